"""Reads the JSON of sysstat 11.5 to 12.7, `iostat -o JSON` and `sadf -j`, however it is broken into lines."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.parsers._lines import make_quote
from tools.types import Document, Line, Quote

MAX_JSON_CHARACTERS = 64 * 1024 * 1024
_DEVICE = re.compile(r'"disk[_-]device"\s*:\s*"')
_QUOTED_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class Report:
    """One report of one host: its time as printed (date, time), and device to columns.

    Attributes:
        is_utc: Whether the time is told to be in UTC.
    """

    node: str
    stamp: str
    is_utc: bool
    disks: tuple[tuple[str, Mapping[str, float], Quote], ...]


def read_reports(document: Document) -> list[Report] | None:
    """Read all reports of a document that is whole JSON of sysstat; None where it is not."""
    lines: list[Line] = []
    size = 0
    for line in document.lines():
        size += len(line.text) + 1
        if size > MAX_JSON_CHARACTERS:
            return None
        lines.append(line)
    text = "\n".join(line.text for line in lines)
    start = text.find("{")
    try:
        tree, _ = json.JSONDecoder().raw_decode(text, max(0, start))
    except (ValueError, RecursionError):
        return None
    places = _list_places(document, lines)
    return [report for host in _list_hosts(tree) for report in _read_host(host, places)]


def _list_hosts(tree: object) -> Iterator[Mapping[str, Any]]:
    sysstat = tree.get("sysstat") if isinstance(tree, dict) else None
    hosts = sysstat.get("hosts") if isinstance(sysstat, dict) else None
    yield from (host for host in hosts if isinstance(host, dict)) if isinstance(hosts, list) else ()


def _list_places(document: Document, lines: Sequence[Line]) -> Iterator[Quote]:
    """The words around each device, in the order in which the text names them."""
    for line in lines:
        quote = make_quote(document, line)
        for match in _DEVICE.finditer(line.text):
            yield Quote(quote.source, quote.line, line.text[match.start() : match.start() + _QUOTED_CHARACTERS].strip())


def _read_host(host: Mapping[str, Any], places: Iterator[Quote]) -> Iterator[Report]:
    node, day = str(host.get("nodename", "")), str(host.get("date", ""))
    statistics = host.get("statistics")
    for entry in statistics if isinstance(statistics, list) else ():
        if not isinstance(entry, dict):
            continue
        when = entry.get("timestamp", "")
        is_utc = False
        if isinstance(when, dict):
            is_utc = when.get("utc") == 1
            when = f"{when.get('date', '')} {when.get('time', '')}"
        rows = entry.get("disk")
        disks = [_read_disk(row, places) for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
        yield Report(node, str(when) or day, is_utc, tuple(disk for disk in disks if disk is not None))


def _read_disk(row: Mapping[str, Any], places: Iterator[Quote]) -> tuple[str, Mapping[str, float], Quote] | None:
    name = row.get("disk_device", row.get("disk-device"))
    if not isinstance(name, str):
        return None
    quote = next(places, Quote("", None, ""))
    cells = {key: float(value) for key, value in row.items() if isinstance(value, int | float)}
    return name, cells, quote
