"""Reads who uses which GPU and how much: small tables around `nvidia-smi`.

Knows lines of `gpustat` 0.4 to 1.1, `dcgmi dmon` of DCGM 2 to 4, rows of
`nvidia-smi --query-compute-apps`, `nvidia-smi dmon` and `pmon` of drivers 390 to 590, and `nvidia-debugdump -l`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.entities import make_gpu
from tools.parsers._csv_rows import split_row
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, parse_number
from tools.parsers._sheet import Sheet
from tools.parsers.nvidia_smi import DEAD_NAMES, HELD_BYTES
from tools.types import Document, Domain, Line, Parsed

FORM = "gpu_processes"
DOMAIN: Domain = "gpu"

_MIB = 1024.0**2
_GPUSTAT = Lazy(
    r"^\[(?P<index>\d{1,3})\]\s+(?P<model>\S.*?)\s*\|\s*(?P<temp>\d+|\?+)\s*['°]?C,\s*(?:\d+\s*%?,\s*)?(?P<load>\d+|\?+)\s*%"
    r"[^|]*\|\s*(?P<used>\d+|\?+)\s*/\s*(?P<total>\d+|\?+)\s*M[Bi]*\s*(?:\|\s*(?P<users>.*?)\s*)?$"
)
_GPUSTAT_HEAD = Lazy(r"^(?P<host>[\w.-]+)\s+\w{3} \w{3} +\d+ \d\d:\d\d:\d\d \d{4}(?:\s+[\d.]+)?\s*$")
_DEAD_USER = Lazy(r"^\(?(?:null|none|\?)\)?$|^(?:--|\(null\)|None|\?)(?::|\()")
_APPS = Lazy(r"^\s*(?:gpu_uuid|gpu_name|gpu_bus_id|pid|timestamp)\b.*\b(?:process_name|used_gpu_memory|used_memory)\b")
_MONITOR = Lazy(r"^#\s*(?:Date\s+Time\s+)?gpu\s+(?:pid\s+type|pwr|gtemp|temp|sm|mclk|rxpci)\b")
_DCGM_MONITOR = Lazy(r"^#?\s*(?:Entity|GPU)\s+(?:[A-Z0-9]{4,6}\s+)*(?:TMPTR|POWER|GPUTL|MCUTL|SMCLK|FBUSD|XIDER)\b")
_DCGM_ROW = Lazy(r"^\s*GPU(?:-I|-CI)? (?P<gpu>\d{1,3})\s+(?P<cells>\S.*)$")
_DCGM_UNITS = Lazy(r"^\s*I[Dd]\b[ \w/%]*$|^#?\s*Id\b")
_UNITS = Lazy(r"^#\s*(?:YYYYMMDD\s+HH:MM:SS\s+)?Idx\b")
_COLUMNS: Mapping[str, tuple[str, float]] = {
    "pwr": ("gpu_power_watts", 1.0),
    "gtemp": ("gpu_temperature_celsius", 1.0), "temp": ("gpu_temperature_celsius", 1.0),
    "mtemp": ("gpu_memory_temperature_celsius", 1.0), "sm": ("gpu_utilization_ratio", 0.01),
    "mclk": ("gpu_memory_clock_hertz", 1e6), "pclk": ("gpu_sm_clock_hertz", 1e6), "fb": ("gpu_memory_used_bytes", _MIB),
    "tmptr": ("gpu_temperature_celsius", 1.0), "mmtmp": ("gpu_memory_temperature_celsius", 1.0),
    "power": ("gpu_power_watts", 1.0), "gputl": ("gpu_utilization_ratio", 0.01), "smclk": ("gpu_sm_clock_hertz", 1e6),
    "mmclk": ("gpu_memory_clock_hertz", 1e6), "fbusd": ("gpu_memory_used_bytes", _MIB),
}  # fmt: skip
_BARE_ROW = Lazy(r"^\s*\d{1,2}(?:\s+(?:\d{1,4}|-)){8,11}\s*$")
_BARE_COLUMNS: Mapping[int, tuple[str, ...]] = {
    9: ("gpu", "pwr", "temp", "sm", "mem", "enc", "dec", "mclk", "pclk"),
    10: ("gpu", "pwr", "gtemp", "mtemp", "sm", "mem", "enc", "dec", "mclk", "pclk"),
    12: ("gpu", "pwr", "gtemp", "mtemp", "sm", "mem", "enc", "dec", "jpg", "ofa", "mclk", "pclk"),
}
"""Columns of `nvidia-smi dmon` without its head, by their number: drivers before 390, before 535, and since."""
_BARE_PROCESS = Lazy(r"^\s*(?P<gpu>\d{1,2})\s+(?:\d+|-)\s+(?:[CGM+]{1,5}|-)(?:\s+(?:\d{1,6}|-)){4,8}\s+\S+\s*$")
"""A row of `nvidia-smi pmon` without its head."""
MIN_BARE_ROWS = 2
"""Rows of numbers alone are taken for `dmon` only where several agree (a guess)."""
_DUMP = Lazy(r"^\s*Found \d+ NVIDIA devices?|^\s*(?:Device ID|Device name|GPU internal ID):\s+(?P<value>\S+)")
_DUMP_ERROR = Lazy(r"FAILED to get details on GPU \((?:0x)?(?P<index>[0-9a-f]+)\)\s*:?\s*(?P<why>.*)$")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: rows of gpustat, or the header of one of the other tables."""
    kept = clip_sample(sample)
    if any(_GPUSTAT.match(text) or _MONITOR.match(text) or _APPS.match(text) for text in kept):
        return 0.96
    told = [text for text in kept if text.strip()]
    if _is_bare_monitor(kept) or (told and all(_BARE_PROCESS.match(text) for text in told)):
        return 0.7
    if any(_DCGM_MONITOR.match(text) for text in kept) and any(_DCGM_ROW.match(text) for text in kept):
        return 0.95
    return (
        0.9
        if any(
            "NVIDIA device" in text or _DUMP_ERROR.search(text) for text in kept if _DUMP.match(text) or "GPU (" in text
        )
        else 0.0
    )


def _is_bare_monitor(sample: Sequence[str]) -> bool:
    rows = [text.split() for text in sample if text.strip()]
    return (
        len(rows) >= MIN_BARE_ROWS
        and all(_BARE_ROW.match(text) for text in sample if text.strip())
        and all(len(row) == len(rows[0]) and _is_monitor_row(row) for row in rows)
    )


def _is_monitor_row(row: Sequence[str]) -> bool:
    """Whether the figures can be a GPU's: shares up to 100, temperatures below 125 °C, clocks of 100 to 9,999 MHz."""
    columns = _BARE_COLUMNS.get(len(row))
    if columns is None:
        return False
    named = {name: parse_number(text) for name, text in zip(columns, row, strict=True)}
    limits = {"sm": (0, 100), "mem": (0, 100), "enc": (0, 100), "dec": (0, 100), "jpg": (0, 100), "ofa": (0, 100),
              "temp": (1, 125), "gtemp": (1, 125), "mtemp": (0, 125), "mclk": (100, 9999),
              "pclk": (100, 9999)}  # fmt: skip
    told = [(value, limits[name]) for name, value in named.items() if value is not None and name in limits]
    return all(low <= value <= high for value, (low, high) in told) and named["pclk"] is not None


def parse(document: Document) -> Parsed:
    """Read readings of each GPU, and memory that is held by a process that is not there any more."""
    table = _Table(document)
    return table.sheet.read(table.read_gpustat, table.read_apps, table.read_monitor, table.read_dump)


class _Table:
    """State of reading: the columns of the open table, empty where none is open."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.apps: list[str] = []
        self.columns: list[str] = []

    def read_gpustat(self, line: Line) -> bool:
        match, head = _GPUSTAT.match(line.text), _GPUSTAT_HEAD.match(line.text)
        if match is None:
            self.sheet.node = self.sheet.node or (head["host"] if head is not None else "")
            return head is not None
        gpu = make_gpu(self.sheet.node, index=match["index"])
        readings = (
            ("gpu_temperature_celsius", match["temp"], 1.0), ("gpu_utilization_ratio", match["load"], 0.01),
            ("gpu_memory_used_bytes", match["used"], _MIB), ("gpu_memory_total_bytes", match["total"], _MIB),
        )  # fmt: skip
        if self.sheet.readings.has(gpu, "gpu_memory_used_bytes"):
            self.sheet.readings.start_column()
        for signal, text, factor in readings:
            value = parse_number(text)
            self.sheet.put(
                line, gpu, signal, None if value is None else value * factor, "" if value is not None else "error"
            )
        users, used = match["users"] or "", (parse_number(match["used"]) or 0.0) * _MIB
        if _DEAD_USER.match(users) and used > HELD_BYTES:
            self.sheet.add(line, gpu, "gpu:process_gone", {"name": users, "memory_mib": match["used"]})
        return True

    def read_apps(self, line: Line) -> bool:
        if _APPS.match(line.text):
            self.apps = [cell.split("[")[0].strip().lower() for cell in split_row(line.text)]
            return True
        cells = [cell.strip() for cell in split_row(line.text)]
        if not self.apps or len(cells) != len(self.apps):
            return False
        row = dict(zip(self.apps, cells, strict=True))
        memory = row.get("used_gpu_memory", row.get("used_memory", ""))
        gpu = make_gpu(self.sheet.node, uuid=row.get("gpu_uuid", ""), pci=row.get("gpu_bus_id", ""))
        dead = row.get("process_name", "").strip("[] ").lower() in DEAD_NAMES
        if dead and (parse_number(memory) or 0.0) * _MIB > HELD_BYTES:
            fields = {"pid": row.get("pid", ""), "name": row["process_name"], "memory_mib": memory}
            self.sheet.add(line, gpu, "gpu:process_gone", fields)
        return True

    def read_monitor(self, line: Line) -> bool:
        if _MONITOR.match(line.text) or _DCGM_MONITOR.match(line.text):
            self.columns = line.text.lstrip("# ").lower().split()
            return True
        dcgm = _DCGM_ROW.match(line.text)
        if self.columns[:1] in (["entity"], ["gpu"]) and dcgm is not None:
            self._put_row(
                line, {"gpu": dcgm["gpu"], **dict(zip(self.columns[1:], dcgm["cells"].split(), strict=False))}
            )
            return True
        cells = line.text.split()
        if not self.columns and _BARE_ROW.match(line.text) and _is_monitor_row(cells):
            self.columns = list(_BARE_COLUMNS[len(cells)])
        process = _BARE_PROCESS.match(line.text) if not self.columns else None
        if process is not None:
            self.sheet.readings.quote_row(make_gpu(self.sheet.node, index=process["gpu"]), self.sheet.quote(line))
            return True
        if not self.columns or not cells or len(cells) < len(self.columns) or line.text.startswith("#"):
            return bool(_UNITS.match(line.text) or _DCGM_UNITS.match(line.text))
        row = dict(zip(self.columns, cells, strict=False))
        if not row.get("gpu", "").isdecimal():
            return False
        if "pid" not in row:
            self._put_row(line, row)
        return True

    def _put_row(self, line: Line, row: Mapping[str, str]) -> None:
        gpu = make_gpu(self.sheet.node, index=row["gpu"][:3])
        told = [(*_COLUMNS[name], value) for name, text in row.items() if name in _COLUMNS
                and (value := parse_number(text) if text != "-" else None) is not None]  # fmt: skip
        if any(self.sheet.readings.has(gpu, signal) for signal, _, _ in told):
            self.sheet.readings.start_column()
        last_xid = row.get("xider", "")
        if last_xid.isdecimal() and int(last_xid[:4]):
            # The gauge keeps the last one: that it happened, not when.
            self.sheet.add(line, gpu, f"xid:{int(last_xid[:4])}", {"gauge": "DCGM_FI_DEV_XID_ERRORS"})
        for signal, factor, value in told:
            self.sheet.put(line, gpu, signal, round(value * factor, 9))

    def read_dump(self, line: Line) -> bool:
        error = _DUMP_ERROR.search(line.text)
        if error is not None:
            index, why = str(int(error["index"][:4], 16)), error["why"].strip()
            code = "gpu:lost" if "lost" in why.lower() else "gpu:handle_failed"
            self.sheet.add(line, make_gpu(self.sheet.node, index=index), code, {"reason": why})
        return error is not None or bool(_DUMP.match(line.text))
