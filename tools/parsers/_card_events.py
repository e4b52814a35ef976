"""What a RAID adapter's own event says: the texts of MegaRAID firmware, in the kernel's lines and in its tools' logs.

Known: firmware of LSI, Avago and Broadcom (MFI events), as megaraid_sas, MegaRAID Storage Manager (`MRMON`), MegaCli
`-AdpEventLog` and `storcli show events` print them.
"""

from __future__ import annotations

from tools.parsers._lazy import Lazy

_OTHER_PART = Lazy(
    r"\b(?:battery|bbu|tbbu|supercap|cachevault|capacitor|patrol read|flash|login|firmware|learn|download|power"
    r" supply|fan|temperature sensor)\b"
)
"""Parts of the adapter and its enclosure that fail by themselves: no drive is lost with them."""
_LOST_DRIVE = Lazy(
    r"\bto (?:failed|offline|unconfigured_bad|unconfigured bad|missing)\b|\bcurrent = (?:failed|offline)"
)
_LOST_VOLUME = Lazy(
    r"\b(?:vd|ld|virtual drive|logical drive|volume)\b.*(?:now offline|to offline|current = offline|is offline)"
)


def classify_card_event(text: str) -> str:
    """Name the code of an adapter's event; an empty string where it tells of no trouble of a drive or volume."""
    low = text.lower()
    if "corrected medium error" in low:
        return "md:read_corrected"
    if "medium error" in low or "unrecoverable" in low or "puncturing" in low or "bad block" in low:
        return "block:medium_error"
    if "predictive failure" in low:
        return "smart:failing"
    if _OTHER_PART.search(low):
        return ""
    if _LOST_VOLUME.search(low):
        return "md:failed"
    if "command timeout on pd" in low:
        return "scsi:timeout"
    if _LOST_DRIVE.search(low) or "degraded" in low or "pd missing" in low or "rebuild failed" in low:
        return "md:degraded"
    return ""
