"""Reads what the smaller tools of RAID adapters and volume managers print: a row and a state for volumes and drives.

Known: tw_cli of 3ware 7000 to 9750, cli64 of Areca, sas2ircu and sas3ircu, mpt-status 1.1 and 1.2, cciss_vol_status
1.09 to 1.12, mvcli of Marvell, megasasctl, megarc, dmraid 1.0, `dmsetup status`, lsraid, metastat of Solaris.
"""

from __future__ import annotations

from collections.abc import Sequence

from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Document, Domain, Entity, Line, Parsed

FORM = "raid_rows"
DOMAIN: Domain = "disk"

_ROWS = (
    # tw_cli: 'u0 RAID-5 DEGRADED - - 64K …', 'p3 DEVICE-ERROR u0 465.76 GB …', '/c0/u0 status = DEGRADED'
    Lazy(r"^\s*(?P<name>u\d+(?:-\d+)*)\s+(?:RAID-?\S+|SPARE|JBOD|SINGLE|DISK)\s+(?P<state>[A-Z][A-Z-]+)\b"),
    Lazy(r"^\s*(?P<name>p\d+)\s+(?P<state>[A-Z][A-Z-]+)\s+(?:u\d+|-)(?:\s|$)"),
    Lazy(r"^/c\d+/(?P<name>[up]\d+) [Ss]tatus = (?P<state>[A-Z-]+)"),
    # mpt-status: 'ioc0 vol_id 0 type IM, 2 phy, 136 GB, state OPTIMAL, flags ENABLED', and with -n, and with -s
    Lazy(
        r"^ioc:?\d+ (?:vol_id|phy|phys_id)[: ](?P<name>\d+)\b.*?\bstate:? (?P<state>[A-Z]+)\b"
        r"(?:,? flags:? (?P<more>[A-Z_ ]+))?"
    ),
    Lazy(r"^(?:log_id|phys_id) (?P<name>\d+) (?P<state>[A-Z]+)\b"),
    # cciss_vol_status: '/dev/cciss/c0d0: (Smart Array P400i) RAID 6 Volume 0 status: OK.'
    Lazy(r"^(?:/dev/)?(?P<name>\S+): \([^)]*\) (?:RAID|Enclosure|Direct).*? status: (?P<state>.*)$"),
    Lazy(r"^\s+connector (?P<name>\w+ box \d+ bay \d+)\b.*\s(?P<state>\S+)\s*$"),
    # Areca: ' 1  Raid Set # 00  15 15000.0GB 0.0GB 123 Normal', ' 4  4  WDC …  750.2GB  Failed'
    Lazy(r"^\s*(?P<name>\d+)\s+\S.*?\s\d[\d.]*[GT]B\s+\d[\d.]*[GT]B\s+\S+\s+(?:\S+\s+)?(?P<state>[A-Z][A-Za-z]+)\s*$"),
    Lazy(r"^\s*(?P<name>\d+)\s+\d+\s+(?:Slot ?\S+\s+)?\S.*?\s\d[\d.]*[GT]B\s+(?P<state>[A-Za-z]\S*(?: \S+)*)\s*$"),
    # megasasctl: 'a0d0  465GiB RAID 1  1x2  optimal', 'a0e32s0  465GiB  a0d0  online  errs: media:0 other:0'
    Lazy(r"^\s*(?P<name>a\d+(?:d\d+|e\d+s\d+))\s+\d+[GTM]iB\s.*?\b(?P<state>[a-z]+)(?:\s+errs: .*|\s*)$"),
    Lazy(r"Logical Drive : (?P<name>\d+)\( ?Adapter: \d+ ?\):\s+Status: (?P<state>\w+)"),
    # dmraid, lsraid
    Lazy(r'^(?P<name>/dev/\S+): \w+, "[^"]*", [\w-]+, (?P<state>\w+), \d+ sectors'),
    Lazy(r"^\[dev +\d+, +\d+\] (?P<name>\S+)\s+[0-9A-F.]{20,}\s+(?P<state>\w+)\s*$"),
    # metastat: '    State: Okay', '  c1t2d0s6  0  No  Okay  Yes'
    Lazy(
        r"^\s*State: (?P<state>Okay|Needs maintenance|Resyncing|Unavailable|Last [Ee]rred|Maintenance|Initializing)"
        r"(?P<name>)\b"
    ),
    Lazy(r"^\s*(?P<name>c\d+t\w+d\d+s\d+)\s+\d+\s+(?:No|Yes)\s+(?P<state>Okay|Maintenance|Last [Ee]rred|Resyncing)\b"),
)
# Fields of mvcli and dmraid -s, which name their thing on a line before.
_FIELD = Lazy(r"^\s*(?P<key>status|Block status|SMART STATUS RETURN)\s*: +(?P<state>\w[\w ]*)\.?\s*$")
# 'vg-raid1: 0 2097152 raid raid1 2 AA 2097152/2097152 idle 0', 'vg-m: 0 2097152 mirror 2 254:1 254:2 9/9 1 AA 1 core'
_MAPPED = Lazy(
    r"^(?P<name>\S+): \d+ \d+ (?:raid \w+ \d+ (?P<raid>[ADa-]+) "
    r"|mirror \d+ (?:\d+:\d+ )+\d+/\d+ \d+ (?P<mirror>[ADSRFU]+) )"
)
_FIRM = Lazy(
    r"^Unit\s+UnitType\s|^V?Port\s+Status\s|^Ctl\s+Model\s|^/c\d+ \w.* = |^\s*#\s+(?:Ch#|Name|\w+)\s.*(?:Capacity"
    r"|TotalCap|Usage|State)|^GuiErrMsg<|^\s*(?:Virtual Disk|Block|Adapter) Information$|^Smart Info$|^d\d+: "
    r"|^\s+Submirror \d+:|^\s*Device\s+Start Block\s|^Controller: Smart Array|^\s*(?:Logical|Physical) drives: \d+"
)
_OTHER = Lazy(
    r"^\s*[A-Za-z/][\w ./#()&%-]{0,60}\s*[:=]\s?.*$|^[=\-+| *]{4,}$|^c\d+\s+\S+\s+\d+\s+\d+\b|^bbu\s"
    r"|^\s*\S+: \d+ \d+ \w|^\s*Total of \d+ failed|^SG driver version|^ID\s+Attribute Name"
    r"|^[0-9A-F]{2}\s+\S.*\s(?:OK|-)?$"
)
_BATTERY = Lazy(r"Write cache temporarily disabled|^bbu\s+\w+\s+(?:No|\w+\s+(?!OK\b|Testing|Charging|WeakBat)\w+)")
_LOST = Lazy(
    r"fail|degrad|missing|offline|inoperable|device-?error|error|removed|dead|faulty|incomplete|broken|unavailable"
    r"|needs maintenance|^maintenance|last erred|interim recovery|not properly|wrong physical|inconsistent|unusable"
)
_NO_LOSS = Lazy(r"no error|not failed|rebuild|recover(?:ing|y operation)|resync")


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: a head of one of the tools, or two rows."""
    kept = clip_sample(sample)
    rows = sum(any(row.match(text) for row in _ROWS) or bool(_MAPPED.match(text)) for text in kept)
    heads = sum(bool(_FIRM.match(text)) for text in kept)
    return 0.94 if rows and (heads or rows > 1) else 0.9 if heads and any(map(_FIELD.match, kept)) else 0.0


def parse(document: Document) -> Parsed:
    """Make an event of each volume and drive that is not as it should be."""
    sheet = Sheet(document, DOMAIN)
    return sheet.read(
        lambda line: _read_row(sheet, line),
        lambda line: _read_mapped(sheet, line),
        lambda line: _read_other(sheet, line),
    )


def _read_row(sheet: Sheet, line: Line) -> bool:
    match = next((found for row in (*_ROWS, _FIELD) if (found := row.match(line.text))), None)
    if match is None:
        return False
    told = match.groupdict()
    state = (told["state"] or "").strip()
    is_rebuilt = bool(_NO_LOSS.search(state)) and "interim" not in state.lower()
    if "SMART-FAILURE" in state or "smart" in state.lower():
        _lose(sheet, line, told.get("name") or "", state, "smart:failing")
    elif _LOST.search(state) and not is_rebuilt:
        _lose(sheet, line, told.get("name") or "", state)
    return True


def _read_mapped(sheet: Sheet, line: Line) -> bool:
    match = _MAPPED.match(line.text)
    if match is not None and ("D" in (match["raid"] or "") or set(match["mirror"] or "") - {"A"}):
        _lose(sheet, line, match["name"], match["raid"] or match["mirror"])
    return match is not None


def _read_other(sheet: Sheet, line: Line) -> bool:
    if _BATTERY.search(line.text):
        sheet.add(line, sheet.make_node(), "bmc:battery_low", {"state": line.text.strip()})
        return True
    return bool(_FIRM.match(line.text) or _OTHER.match(line.text))


def _lose(sheet: Sheet, line: Line, name: str, state: str, code: str = "md:degraded") -> None:
    entity = Entity("disk", sheet.node, name.replace(" ", "_")) if name else sheet.make_node()
    sheet.add(line, entity, code, {"reason": state})
