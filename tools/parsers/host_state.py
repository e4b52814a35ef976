"""Reads what a Linux host says of its file systems, memory, clock and sensors.

Knows `df` and `df -i` of coreutils 8 and 9, `free`, `vmstat` and `top -b` of procps 3 and 4, `chronyc tracking` of
chrony 3 and 4, `sensors` of lm-sensors 3, `edac-util` 0.18, `nvme list` of nvme-cli 1 and 2.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, is_noise, parse_number
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Line, Parsed

FORM = "host_state"
DOMAIN: Domain = "host"

_DF_HEAD = Lazy(
    r"^Filesystem\s+(?:Type\s+)?(?:\d*[KMGT]?-?blocks|Size|Inodes)\s+I?Used\s+(?:Avail\w*|IFree)\s+"
    r"(?:I?Use%|Capacity)\s+Mounted on"
)
_DF_ROW = Lazy(
    r"^(?P<fs>\S+)(?:\s+(?P<type>[a-z][\w.-]*))?\s+[\d.,]+[A-Za-z]*\s+[\d.,]+[A-Za-z]*\s+[\d.,]+[A-Za-z]*\s+"
    r"(?P<use>\d+|-)%?\s+(?P<mount>/.*?)\s*$"
)
_FULL_OK = Lazy(r"squashfs|^/dev/loop|iso9660|udf|^overlay$|/snap/|^/(?:mnt/)?cdrom|/media/|erofs|efivarfs|^none$")
_FREE_HEAD = Lazy(r"^\s+total\s+used\s+free\s+shared")
_FREE_ROW = Lazy(r"^(?P<what>Mem|Swap):\s+(?P<cells>\S.*)$")
_VMSTAT = Lazy(r"^\s*r\s+b\s+swpd\s+free\s+buff|^procs\s+-+memory")
_TOP = Lazy(r"^top - \d\d:\d\d|^Tasks:\s+\d+ total|^%?Cpu\(s\):|^[KMG]iB (?:Mem|Swap)\s*:|^\s*PID USER\s+PR\s+NI")
_NUMBERS = Lazy(r"^\s*\d+(?:\s+[\d.]+){7,}\s*$")
_TOP_ROW = Lazy(
    r"^\s*\d+\s+\S+\s+(?:rt|-?\d+)\s+-?\d+\s+[\d.]+[mgt]?\s+[\d.]+[mgt]?\s+[\d.]+[mgt]?\s+(?P<state>[RSDZTtI])\s"
)
_CHRONY = Lazy(
    r"^(?P<key>Reference ID|Stratum|Ref time \(UTC\)|System time|Last offset|RMS offset|Frequency|Residual freq|Skew|"
    r"Root delay|Root dispersion|Update interval|Leap status)\s*:\s*(?P<value>.*?)\s*$"
)
_SENSOR = Lazy(r"^(?P<name>[\w .+/-]+?):\s+\+?(?P<value>-?[\d.]+)\s*(?P<unit>°?C|V|RPM|W|A)\b(?P<rest>.*)$")
_ADAPTER = Lazy(r"^Adapter: |^[\w]+-(?:isa|pci|i2c|virtual|acpi|hid|mdio)-\w+$")
_EDAC = Lazy(r"^(?P<where>mc\d+(?:: \S+)*): (?:(?P<dimm>\S+): )?(?P<count>\d+) (?P<kind>Uncorrected|Corrected) Errors")
_EDAC_OK = Lazy(r"^edac-util: (?:No errors to report|EDAC drivers are loaded)")
_NVME = Lazy(r"^(?:Node\s+(?:Generic\s+)?SN\s+Model|/dev/nvme\d+n\d+\s)")

LOW_SHARE = 0.01
"""Available memory below this share of all is nearly none (a guess)."""
_SIZES = {"K": 1024.0, "M": 1024.0**2, "G": 1024.0**3, "T": 1024.0**4}


def _read_size(cell: str) -> float | None:
    number = parse_number(cell)
    factor = next((size for letter, size in _SIZES.items() if letter in cell.upper()), 1.0)
    return None if number is None else number * factor


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a head line that only one of these programs prints, else the share of its rows."""
    kept = [text for text in clip_sample(sample) if not is_noise(text)]
    heads = (_DF_HEAD, _FREE_HEAD, _VMSTAT, _TOP, _EDAC, _EDAC_OK, _NVME)
    if any(head.match(text) for text in kept for head in heads):
        return 0.9
    if sum(bool(_CHRONY.match(text)) for text in kept) >= 2:
        return 0.9
    return 0.85 if any(text.startswith("Adapter: ") for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read every table; only what is wrong becomes an event."""
    host = _Host(document)
    return host.sheet.read(
        host.read_df, host.read_memory, host.read_clock, host.read_edac, host.read_sensor, host.read_rest
    )


class _Host:
    """State of reading: which table is open."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.node = self.sheet.make_node()
        self.in_df = self.in_top = False
        self.lone_device = ""

    def read_df(self, line: Line) -> bool:
        if _DF_HEAD.match(line.text):
            self.in_df = True
            return True
        if self.in_df and line.text[:1] == "/" and len(line.text.split()) == 1:
            # Old df breaks the line after a long device name.
            self.lone_device = line.text.strip()
            return True
        text = f"{self.lone_device} {line.text.strip()}" if self.lone_device and line.text[:1] == " " else line.text
        self.lone_device = ""
        match = _DF_ROW.match(text) if self.in_df else None
        if match is None:
            return False
        is_real = not any(_FULL_OK.search(text or "") for text in (match["fs"], match["type"], match["mount"]))
        if match["use"] == "100" and is_real:
            self.sheet.add(line, self.node, "limit:disk_space", {"mount": match["mount"], "device": match["fs"]})
        return True

    def read_memory(self, line: Line) -> bool:
        row = _FREE_ROW.match(line.text)
        if row is not None:
            numbers = [_read_size(cell) for cell in row["cells"].split()]
            if row["what"] == "Mem" and len(numbers) >= 6 and numbers[0] and numbers[5] is not None:
                share = numbers[5] / numbers[0]
                if share < LOW_SHARE:
                    self.sheet.add(line, self.node, "memory:low", {"available_ratio": f"{share:.4f}"})
            return True
        if _TOP.match(line.text) or _FREE_HEAD.match(line.text) or _VMSTAT.match(line.text):
            self.in_top = True
            return True
        return self.in_top and bool(
            _TOP_ROW.match(line.text) or _NUMBERS.match(line.text) or "load average" in line.text
        )

    def read_clock(self, line: Line) -> bool:
        match = _CHRONY.match(line.text)
        if match is None:
            return False
        offset = parse_number(match["value"])
        if match["key"] == "System time" and offset is not None and offset >= 0.1:
            self.sheet.add(line, self.node, "clock:offset", {"seconds": f"{offset:g}"})
        elif match["key"] == "Leap status" and match["value"].lower().startswith("not synch"):
            self.sheet.add(line, self.node, "clock:unsynchronised", {})
        return True

    def read_edac(self, line: Line) -> bool:
        match = _EDAC.match(line.text)
        if match is not None and int(match["count"][:9]):
            code = "edac:corrected" if match["kind"] == "Corrected" else "edac:uncorrected"
            self.sheet.add(line, self.node, code, {"count": match["count"], "label": match["dimm"] or match["where"]})
        return match is not None or bool(_EDAC_OK.match(line.text))

    def read_sensor(self, line: Line) -> bool:
        match = _SENSOR.match(line.text)
        if match is not None and "ALARM" in match["rest"] and match["unit"].endswith("C"):
            fields = {"sensor": match["name"], "value": match["value"], "limits": match["rest"].strip()}
            self.sheet.add(line, self.node, "bmc:temperature_critical", fields)
        return match is not None or bool(_ADAPTER.match(line.text))

    def read_rest(self, line: Line) -> bool:
        return bool(_NVME.match(line.text) or line.text.startswith(("edac-util", "mc")))
