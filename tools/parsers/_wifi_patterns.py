"""What wireless adapters print: their firmware, their drivers, and the stack that joins them to an access point.

Known: Linux 3.10 to 6.14: iwlwifi, ath9k to ath12k, brcmfmac, rtw88, rtw89, rtlwifi, mt76, mwifiex; mac80211 and
wpa_supplicant 2.
"""

from __future__ import annotations

import re

from tools.parsers._nic_heads import flatten
from tools.parsers._patterns import BDF, Fields, Pattern, on_nic

_DRIVER = (
    r"(?<![\w-])(?P<driver>iwlwifi|iwl[34]965|ath(?:5k|6kl|9k|10k|11k|12k)(?:_\w+)?|brcmfmac|brcmsmac|bcmdhd|b43"
    r"|rtw88_\w+"
    r"|rtw89_\w+|rtw_\w+|rtl\d\w+|rtlwifi|r8188\w+|mt76\w*|mt79\w+|mwifiex_?\w*|wcn36xx|wlcore|rt2\w+|rsi_\w+)(?::"
    rf"| (?P<pci>{BDF})| \S{{3,20}}:)"
)
_DEAD = re.compile(
    r"(?i:sw error detected|hardware error detected|firmware (?:crash|has halted|trap|wake|died|hang)|crashed|ucode"
    r"|driver own failed|chip reset|ser catches|failed to run init|firmware (?:not running|error)|fw error"
    r"|adv\w*_sysassert"
    r"|hardware init failed|failed to wake)"
)
_QUIET = re.compile(
    r"(?i:direct firmware load|no bios|wgds|rf_kill|api flags|regulatory|board[ -]?(?:id|data|file)|clm_blob|txcap"
    r"|pre-?cal|power save|not supported|firmware-\d|optional)"
)
"""Lines of a start that name files or features which a card or its firmware does not have."""


def _refine_complaint(fields: Fields) -> Fields | None:
    reason = fields["reason"]
    if _QUIET.search(fields.pop("said", "") + reason):
        return None
    return {**fields, "code": "nic:firmware" if _DEAD.search(reason) else "nic:driver"}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "",
        (
            "iwlwifi",
            "ath10k",
            "ath11k",
            "ath12k",
            "ath9k",
            "ath6kl",
            "brcmfmac",
            "rtw88_",
            "rtw89_",
            "rtw_8",
            "rtlwifi",
            "rtl8",
            "mt76",
            "mt79",
            "mwifiex",
        ),
        rf"{_DRIVER}(?P<said>.{{0,80}}?)(?P<reason>\b(?:Microcode SW error|Hardware error"
        r"|[Qq]ueue \d+ (?:is active on fifo \d+ and "
        r"(?:is )?)?stuck|[Ee]rror sending \S+: time out|[Ff]ailed to|failing on timeout|[Ff]irmware (?:crash"
        r"|has halted|trap|"
        r"error|wake)|crashed|[Tt]imeout|timed out|pci bus timeout|SER catches|driver own failed|chip reset"
        r"|hardware init "
        r"failed|[Ee]rror|FW error|ADVANCED_SYSASSERT|could not|unable to)\b.*)",
        on_nic,
        refine=_refine_complaint,
        joins=60,
    ),
    Pattern(
        "",
        ("ieee80211 phy",),
        r"ieee80211 (?P<device>phy\d+): (?P<reason>cmd \S+ timed out|timeout: 0x[1-9a-f]\w*"
        r"|Hardware restart was requested"
        r"|.*[Ff]irmware (?:crash|error|dead|timeout|hang).*|.*chip reset.*|rt2\w+: Error - .*)",
        on_nic,
        refine=lambda f: {**f, "code": "nic:firmware" if "rt2" not in f["reason"] else "nic:driver"},
        joins=60,
    ),
    Pattern(
        "nic:wifi_lost",
        ("onnection to AP", "authenticated from", "isassociated from", "CTRL-EVENT-DISCONNECTED", "ith AP lost"),
        r"(?P<device>wl\w+): (?P<reason>Connection to AP \S+ lost|deauthenticated from \S+ \(Reason: .*"
        r"|disassociated from \S+ \(Reason: .*)"
        r"|(?P<device2>wl\w+): (?P<reason2>CTRL-EVENT-DISCONNECTED bssid=\S+ reason=\d+(?!.*locally_generated).*)",
        on_nic,
        refine=lambda f: flatten(f, device=("device2",), reason=("reason2",)),
        joins=40,
    ),
    Pattern(
        "nic:wifi_lost",
        ("uthentication with", "ssociation with", "SSID-TEMP-DISABLED"),
        r"(?P<device>wl\w+): (?P<reason>(?:authentication|association) with \S+ timed out"
        r"|CTRL-EVENT-SSID-TEMP-DISABLED.*)",
        on_nic,
        joins=40,
    ),
)
