"""Cached readers of the vendor's catalogues.

Facts only; what we do about a code is policy and stands in `agent/tables/`.

Sources: `xid.csv` and `nvlink5.csv` carry NVIDIA's "analyzing Xid errors" catalogue sheet of 2025-10-29, by way of
the generated catalogue of leptonai/gpud; `xid74.csv` carries the bits of the registers of Xid 74 from the same
catalogue's resolution bucket WORKFLOW_NVLINK_ERR (registers 3, 4 and 5 are told for Hopper only, 2, 6 and 7 for no
generation); `sxid.csv` carries the code groups of the Fabric Manager user guide
DU-09883-001 v1.3 (October 2023, appendix D). `codes.csv` is our own: every event code that a parser makes.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from types import MappingProxyType

_BITS = 32
_ONE_BIT_STATUS = frozenset({144, 145, 146, 147, 148})
"""Xids whose error status is a register of flags, one decode row a flag; for 149 and 150 it is a number."""


@dataclass(frozen=True, slots=True)
class XidFact:
    """One row of the Xid catalogue.

    Attributes:
        used: False for codes that the catalogue calls unused.
        applies: GPU generations it applies to; empty where not told.
        immediate_bucket, investigatory_bucket: What the vendor says to do at once, and then.
    """

    xid: int
    mnemonic: str
    used: bool
    applies: tuple[str, ...]
    immediate_bucket: str
    investigatory_bucket: str


@dataclass(frozen=True, slots=True)
class DecodeRow:
    """One row of the NVLink5 decode table (Xid 144-150).

    Attributes:
        pattern_v1, pattern_v2: Bits of intrinfo before and from driver 575 on; 32 characters, most significant first,
            ``-`` for any.
        error_statuses: Values of the error status register; empty for any.
    """

    xid: int
    unit: str
    pattern_v1: str
    pattern_v2: str
    error_statuses: tuple[int, ...]
    immediate_bucket: str
    investigatory_bucket: str
    severity: str
    hw_sw: str


@dataclass(frozen=True, slots=True)
class RegisterBit:
    """One bit of a register of Xid 74, counted from the least significant; `kind` sorts what it means."""

    register: int
    bit: int
    kind: str
    meaning: str


@dataclass(frozen=True, slots=True)
class SxidFact:
    """One row of the SXid groups: ``non-fatal``, ``fatal`` (on that port) or ``always-fatal`` (the whole fabric)."""

    sxid: int
    name: str
    group: str


@dataclass(frozen=True, slots=True)
class CodeFact:
    """One event code that a parser makes; ``xid:*`` and ``sxid:*`` stand for whole families."""

    code: str
    domain: str
    meaning: str
    source: str


def _read_rows(name: str) -> Iterator[dict[str, str]]:
    with files("tools.catalogue").joinpath(name).open(encoding="utf-8") as stream:
        yield from csv.DictReader(stream)


@cache
def xid_facts() -> Mapping[int, XidFact]:
    """Read the Xid catalogue, by code."""
    facts = (
        XidFact(
            int(row["xid"]),
            row["mnemonic"],
            row["used"] == "yes",
            tuple(part for part in row["applies"].split("+") if part),
            row["immediate_bucket"],
            row["investigatory_bucket"],
        )
        for row in _read_rows("xid.csv")
    )
    return MappingProxyType({fact.xid: fact for fact in facts})


@cache
def sxid_facts() -> Mapping[int, SxidFact]:
    """Read the SXid groups, by code."""
    facts = (SxidFact(int(row["sxid"]), row["name"], row["group"]) for row in _read_rows("sxid.csv"))
    return MappingProxyType({fact.sxid: fact for fact in facts})


@cache
def code_facts() -> Mapping[str, CodeFact]:
    """Read the list of event codes, by code."""
    facts = (CodeFact(row["code"], row["domain"], row["meaning"], row["source"]) for row in _read_rows("codes.csv"))
    return MappingProxyType({fact.code: fact for fact in facts})


@cache
def nvlink5_rows() -> tuple[DecodeRow, ...]:
    """Read the NVLink5 decode table, in the vendor's order."""
    return tuple(
        DecodeRow(
            int(row["xid"]),
            row["unit"],
            row["intrinfo_v1_before_r575"],
            row["intrinfo_v2_from_r575"],
            tuple(int(part, 16) for part in row["error_status"].split("/") if part),
            row["immediate_bucket"],
            row["investigatory_bucket"],
            row["severity"],
            row["hw_sw"],
        )
        for row in _read_rows("nvlink5.csv")
    )


def decode_nvlink5(xid: int, intrinfo: int, error_status: int, *, unit: str = "") -> DecodeRow | None:
    """Find the decode row of an NVLink5 Xid line.

    The bits of intrinfo changed with driver 575, and some values fit both layouts: then the row whose unit name
    stands in the line wins. A status register with several flags gets the most severe of its rows.

    Args:
        xid: 144 to 150.
        intrinfo: First number in the parentheses of the line.
        error_status: Second number.
        unit: Name of the unit as the line tells it (``RLW_RXPIPE``); empty where it tells none.

    Returns:
        The row, or None where the table has none.
    """
    bits = format(intrinfo & 0xFFFFFFFF, f"0{_BITS}b")
    candidates = [
        row for row in nvlink5_rows() if row.xid == xid and (_fits(row.pattern_v1, bits) or _fits(row.pattern_v2, bits))
    ]
    named = [row for row in candidates if unit and unit in _unit_names(row)]
    for group in (named, candidates):
        if row := _pick_status(group, error_status):
            return row
    return None


def _unit_names(row: DecodeRow) -> frozenset[str]:
    return frozenset((*row.unit.split("/"), row.unit))


def _fits(pattern: str, bits: str) -> bool:
    return len(pattern) == _BITS and all(p in ("-", b) for p, b in zip(pattern, bits, strict=True))


def _pick_status(rows: list[DecodeRow], error_status: int) -> DecodeRow | None:
    for row in rows:
        if error_status in row.error_statuses:
            return row
    for row in rows:
        if not row.error_statuses:
            return row
    flagged = [r for r in rows if r.xid in _ONE_BIT_STATUS and any(s & error_status for s in r.error_statuses)]
    return max(flagged, key=lambda row: "non" not in row.severity.lower(), default=None)


@cache
def _xid74_bits() -> Mapping[tuple[int, int], RegisterBit]:
    bits = (
        RegisterBit(int(row["register"]), int(bit), row["kind"], row["meaning"])
        for row in _read_rows("xid74.csv")
        for bit in row["bits"].split()
    )
    return MappingProxyType({(fact.register, fact.bit): fact for fact in bits})


def decode_xid74(registers: Sequence[int]) -> tuple[RegisterBit, ...]:
    """Explain the bits that are set in the seven registers of an Xid 74.

    A bit that no public source explains comes back with the kind `undocumented`.

    Args:
        registers: The numbers in the parentheses of the line, in its order.
    """
    return tuple(
        _xid74_bits().get((register, bit)) or RegisterBit(register, bit, "undocumented", "told by no public source")
        for register, value in enumerate(registers, start=1)
        for bit in range(_BITS)
        if value >> bit & 1
    )
