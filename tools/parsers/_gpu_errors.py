"""What `nvidia-smi` says instead of a table, in the words of drivers 390 to 590."""

from __future__ import annotations

import re
from typing import NamedTuple

from tools.entities import make_gpu
from tools.parsers._kernel_forms import split_head
from tools.parsers._lines import make_quote
from tools.types import NO_MOMENT, Coverage, Document, Entity, Event, Line, Moment, Writer

_PCI = r"(?P<pci>[0-9A-Fa-f]{4,8}:[0-9A-Fa-f]{2}:[0-9A-Fa-f]{2}\.[0-7])"


class _Words(NamedTuple):
    pattern: re.Pattern[str]
    code: str


_POWER = re.compile(r"insufficient\s+(?:external\s+)?power|power cables?", re.IGNORECASE)
_LOST = re.compile(r"(?:GPU|device) is lost|fallen off the bus", re.IGNORECASE)
_HANDLE = re.compile(
    rf"Unable to determine the device handle for (?:GPU|device)\s*(?P<index>\d{{1,3}}(?=\s*[:\s]))?\s*:?\s*{_PCI}?"
    r"\s*:?\s*(?P<why>.*)",
    re.IGNORECASE,
)
_TEXTS = tuple(
    _Words(re.compile(pattern, re.IGNORECASE), code)
    for pattern, code in (
        (r"Driver/library version mismatch", "driver:library_mismatch"),
        (r"couldn'?t communicate with the NVIDIA driver", "driver:not_loaded"),
        (r"Failed to initialize NVML:\s*Driver Not Loaded", "driver:not_loaded"),
        (r"couldn'?t find libnvidia-ml\.so|NVML (?:shared )?library.*not found", "driver:not_loaded"),
        (r"Failed to initialize NVML:\s*(?:Unknown Error|GPU access blocked)", "driver:nvml_unknown"),
        (r"Failed to initialize NVML:\s*\w+", "driver:nvml_failed"),
        (r"^\W*No devices were found\W*$", "gpu:no_devices"),
        (r"\bGPU requires reset\b", "gpu:reset_required"),
        (rf"infoROM is corrupted at gpu\s+{_PCI}", "gpu:inforom"),
        (rf"^\W*GPU\s*{_PCI}?\W{{0,4}}(?:GPU )?is lost(?=\W*$|[.,;:])", "gpu:lost"),
    )
)
_RIGHTS = re.compile(r"Insufficient Permissions", re.IGNORECASE)
_NO_PROGRAM = re.compile(r"nvidia-smi\S*:?\s+(?:command )?not found|nvidia-smi: No such file", re.IGNORECASE)
_HARMLESS = re.compile(
    r"Make sure that the latest NVIDIA driver|Reboot the system to recover|Please also try|Treating as warning|"
    r"NVML library version|No running processes found|make sure that the NVIDIA Display Driver",
    re.IGNORECASE,
)


def is_error_text(text: str) -> bool:
    """Say whether a line is one of these texts."""
    tests = (_HANDLE, _RIGHTS, _NO_PROGRAM, *(words.pattern for words in _TEXTS))
    return any(pattern.search(text) for pattern in tests)


def is_known_text(text: str) -> bool:
    """Say whether a line belongs to such a text, or tells nothing by itself."""
    return is_error_text(text) or bool(_HARMLESS.search(text))


def read_error(document: Document, line: Line, moment: Moment = NO_MOMENT) -> Event | None:
    """Read the event that one line tells, None where it tells none."""
    handle = _HANDLE.search(line.text)
    if handle is not None:
        return _read_handle(document, line, handle, moment)
    for words in _TEXTS:
        match = words.pattern.search(line.text)
        if match is None:
            continue
        groups = match.groupdict()
        has_gpu = "pci" in groups
        entity = make_gpu(document.node, pci=groups.get("pci") or "") if has_gpu else _node(document)
        fields = {"text": match.group().strip()}
        return Event(moment, entity, words.code, make_quote(document, line), fields, _writer_of(line))
    return None


def _read_handle(document: Document, line: Line, match: re.Match[str], moment: Moment) -> Event:
    why = (match["why"] or "").strip(" .:")
    code = "gpu:handle_failed"
    if _LOST.search(why):
        code = "gpu:lost"
    elif _POWER.search(why):
        code = "gpu:power_missing"
    index = match["index"]
    entity = make_gpu(document.node, index=index, pci=match["pci"] or "")
    return Event(moment, entity, code, make_quote(document, line), {"reason": why}, _writer_of(line))


def _writer_of(line: Line) -> Writer:
    # In a log the same words are those of whoever wrote the line.
    # nvidia-smi itself prints "WARNING: infoROM is corrupted …" under its table.
    return "user" if split_head(line.text.strip().removeprefix("WARNING: ")).writer == "user" else "tool"


def read_gap(document: Document, line: Line) -> Coverage | None:
    """Read why nothing could be seen: no right, no program; None where a line tells nothing like it."""
    if _RIGHTS.search(line.text):
        reason = f"nvidia-smi had no right to read: {line.text.strip()}"
        return Coverage(document.label, "gpu", "missing", reason, "sudo nvidia-smi")
    if _NO_PROGRAM.search(line.text):
        reason = "nvidia-smi is not installed or not in PATH there"
        return Coverage(document.label, "gpu", "missing", reason, "lspci -d 10de: ; ls /usr/bin/nvidia-smi")
    return None


def _node(document: Document) -> Entity:
    return Entity("node", node=document.node)
