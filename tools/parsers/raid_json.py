"""Reads the JSON of storcli and perccli (`show all J`), versions 1 and 7: controllers, volumes, drives, batteries."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from tools.parsers._json_tree import list_dicts, read_json_text
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "raid_json"
DOMAIN: Domain = "disk"

_WELL_DRIVES = frozenset({"Onln", "UGood", "DHS", "GHS", "JBOD", "Rbld", "Cpybck", "Optl", "Rec", "Conf", "Online"})
_LOST_DRIVES = frozenset({"Offln", "Failed", "UBad", "Msng", "Missing", "Dgrd", "Pdgd", "OfLn", "UBUnsp", "F"})
_WELL_BATTERIES = frozenset({"optimal", "learning", "charging", "ok", "optimal "})
_WELL_CONTROLLERS = frozenset({"optimal", "ok"})
_FLAGS = ("S.M.A.R.T alert flagged by drive", "Predictive Failure Count")
"""What a drive says of its own end."""
_NOTHING = frozenset({"0", "no", "n/a", "na", "none", "-", ""})


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the keys that every answer of these tools begins with."""
    text = "\n".join(sample)
    return 0.97 if '"Command Status"' in text and ('"Controllers"' in text or '"CLI Version"' in text) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each controller, volume, drive and battery that is not as it should be."""
    sheet = Sheet(document, DOMAIN)
    text = read_json_text(document)
    for part in list_dicts(list(text.values)):
        for code, name, reason in _judge(part):
            line = text.find(reason.partition("=")[0], reason.partition("=")[2])
            _add(sheet, line, code, name, reason)
    if text.is_cut:
        sheet.miss("the JSON is cut or broken", "storcli64 /call show all J")
    return Parsed(sheet.build_facts())


def _judge(part: dict[str, Any]) -> Iterator[tuple[str, str, str]]:
    """List code, name of the thing and reason of what is wrong in one object."""
    name = str(part.get("EID:Slt") or part.get("DG/VD") or "").replace(" ", "")
    state = str(part.get("State", ""))
    if name and state in _LOST_DRIVES:
        yield "md:degraded", name, f"State={state}"
    elif not name and "Model" in part and "RetentionTime" in part and state.lower() not in _WELL_BATTERIES:
        yield "bmc:battery_low", "", f"State={state}"
    for flag in _FLAGS:
        if str(part.get(flag, "")).strip().lower() not in _NOTHING:
            yield "smart:failing", "", f"{flag}={part[flag]}"
    media = str(part.get("Media Error Count", "")).strip().lower()
    if media not in _NOTHING:
        yield "disk:error_count", "", f"Media Error Count={media}"
    controller = str(part.get("Controller Status", "")).strip().lower()
    if controller and controller not in _WELL_CONTROLLERS:
        code = "md:degraded" if controller == "needs attention" else "scsi:controller_fault"
        yield code, "", f"Controller Status={part['Controller Status']}"


def _add(sheet: Sheet, line: Line, code: str, name: str, reason: str) -> None:
    entity = Entity("disk", sheet.node, name) if name else sheet.make_node()
    sheet.add(line, entity, code, {"reason": reason})
