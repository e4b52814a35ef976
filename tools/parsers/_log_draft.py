"""An event in the making: one line begins it, later lines of the same trouble add to it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from tools.entities import normalise_pci
from tools.parsers._patterns import Fields, Match, Pattern
from tools.types import Entity, Moment, Writer

_IDENTITY = ("pci", "device", "cpu", "pid", "process", "severity", "minor", "usb", "slot", "unit", "scope")
_MAX_FIELD = 300


@dataclass(slots=True)
class Draft:
    """An event that later lines may still add to."""

    number: int
    code: str
    entity: Entity
    text: str
    moment: Moment
    writer: Writer
    pattern: Pattern
    node: str
    fields: Fields = field(default_factory=dict)


def conflicts(known: Fields, new: Fields) -> bool:
    """Say whether a line speaks of another thing than the event before it: another device, process or severity."""
    for name in _IDENTITY:
        if name not in known or name not in new:
            continue
        one, other = known[name], new[name]
        if one != other and (name != "pci" or normalise_pci(one) != normalise_pci(other)):
            return True
    return False


def merge_match(draft: Draft, found: Match) -> None:
    """Add to an event what a later line of the same trouble tells: fields, a better name, what a record really is."""
    for name, value in found.fields.items():
        known = draft.fields.get(name)
        if known is None:
            draft.fields[name] = value
        elif found.pattern.attaches and name not in _IDENTITY and value not in known and len(known) < _MAX_FIELD:
            draft.fields[name] = f"{known}; {value}"
    if draft.code.startswith("mce:") and "PCIe" in draft.fields.get("section", ""):
        # A CPER record of a PCIe error is no memory error.
        severity = draft.fields.get("severity", "")
        draft.code = {"corrected": "pci:aer_corrected", "fatal": "pci:aer_fatal"}.get(severity, "pci:aer_nonfatal")
    better = draft.pattern.entity(draft.node, draft.fields)
    if len(better.ids) > len(draft.entity.ids) or (draft.entity.kind == "node" and better.kind != "node"):
        draft.entity = replace(better)
