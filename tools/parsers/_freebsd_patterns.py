"""What the kernel of FreeBSD, and of the appliances built on it, prints about drives, adapters, pools and memory.

Known: FreeBSD 7 to 14: cam (cam_periph, scsi_all, scsi_da, ata_da, nvme_da), nvme, nvd, ahci, mps, mpr, mfi, ciss,
geom, the old ata driver, swap_pager, vfs_bio, x86/mca; the ZFS lines of devd and zfsd.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, no_event, on_disk, on_node

_CAM = r"\((?P<device>(?:da|ada|nda|cd|pass|ses|probe)\d+):(?P<bus>[a-z][\w-]*?\d+):[\d:a-f]+\): "
"""How CAM names a device: `(da5:mps0:0:5:0): `."""
_STICKS = ("umass", "mmcsd", "sdhci")


def _refine_cam(fields: Fields) -> Fields | None:
    device = fields["device"]
    if device.startswith(("cd", "pass", "ses", "probe")):
        return {**fields, "code": "block:removable_error"}
    return {**fields, "removable": "yes"} if fields["bus"].startswith(_STICKS) else fields


def _refine_sense(fields: Fields) -> Fields | None:
    key, what = fields["key"], fields.get("what", "")
    if "not present" in what:
        return {**fields, "code": "block:removable_error"}
    if "prediction" in what.lower():
        return _refine_cam({**fields, "code": "smart:failing"})
    code = "scsi:not_ready" if key == "NOT READY" else _SENSE_CODES.get(key, "")
    if key == "ABORTED COMMAND":
        code = "scsi:transport_error"
    return _refine_cam({**fields, "code": code}) if code else None


_SENSE_CODES = {"MEDIUM ERROR": "scsi:sense_medium", "HARDWARE FAILURE": "scsi:sense_medium"}
_CAM_CODES = {
    "Command timeout": "scsi:timeout",
    "Selection Timeout": "scsi:timeout",
    "Uncorrectable parity/CRC error": "scsi:transport_error",
    "Device Not Present": "scsi:offline",
}
"""Words of `cam_status_table` in cam.c that say what kind of trouble it is."""


def _refine_status(fields: Fields) -> Fields | None:
    return _refine_cam({**fields, "code": _CAM_CODES[fields["reason"]]})


def _refine_ata(fields: Fields) -> Fields | None:
    bits = fields["bits"].split()
    is_medium = any(bit in ("UNC", "IDNF", "AMNF") for bit in bits)
    code = "ata:media_error" if is_medium else "ata:link_error" if "ICRC" in bits else "ata:device_error"
    return _refine_cam({**fields, "code": code})


def _refine_end(fields: Fields) -> Fields | None:
    is_gone = fields["error"] == "6" or "invalidated" in fields["reason"]
    return _refine_cam({**fields, "code": "scsi:offline" if is_gone else "block:io_error"})


def _refine_nvme(fields: Fields) -> Fields | None:
    status = f"{int(fields['sct'], 16):x}/{int(fields['sc'], 16):x}"
    if status.startswith("2/"):
        return {**fields, "code": "block:medium_error"}
    return {**fields, "code": "nvme:timeout"} if status in ("0/7", "0/8") else None


def _refine_zfs(fields: Fields) -> Fields | None:
    reason = fields["reason"]
    if "error=28" in reason or "error=122" in reason:
        return {**fields, "code": "limit:disk_space"}
    vdev = fields.get("vdev", "").removeprefix("/dev/")
    if "checksum" in reason or "catastrophic" in reason or not vdev:
        return {**fields, "code": "fs:error"}
    is_gone = "vdev failure" in reason or "error=6" in reason or "removed" in reason
    return {**fields, "code": "scsi:offline" if is_gone else "block:io_error", "device": vdev.rpartition("/")[2]}


def _refine_mca(fields: Fields) -> Fields | None:
    status = int(fields.get("status", "0"), 16)
    is_bad = bool(status >> 61 & 1) or fields.get("kind") == "UNCOR"
    return {**fields, "code": "mce:uncorrected" if is_bad else "mce:corrected"}


_CAM_ROWS = (
    Pattern(
        "scsi:offline",
        ("lost device", "nvalidating pack", " detached"),
        _CAM + r"(?P<reason>lost device.*|Invalidating pack)",
        on_disk,
        refine=_refine_cam,
    ),
    Pattern(
        "",
        ("SCSI sense: ",),
        _CAM + r"SCSI sense: (?:Deferred error: )?(?P<key>[A-Z ]+?) asc:(?P<asc>[\da-f]+,[\da-f]+) ?\(?(?P<what>[^)]*)",
        on_disk,
        refine=_refine_sense,
        joins=4,
    ),
    Pattern(
        "",
        ("CAM status: ",),
        _CAM + rf"CAM status: (?P<reason>{'|'.join(_CAM_CODES)})",
        on_disk,
        refine=_refine_status,
    ),
    Pattern(
        "",
        ("ATA status: ",),
        _CAM + r"ATA status: [\da-f]{2} \([^)]*\), error: [\da-f]{2} \((?P<bits>[^)]*)\)",
        on_disk,
        refine=_refine_ata,
    ),
    Pattern(
        "",
        ("): Error ",),
        _CAM + r"Error (?P<error>\d+), (?P<reason>Retries exhausted|Unretryable error|Periph was invalidated.*)",
        on_disk,
        refine=_refine_end,
    ),
)

_KNOWN_ROWS = (
    Pattern(
        "",
        (
            "CAM status: ",
            "SCSI status: ",
            "CDB: ",
            "ACB: ",
            "etrying command",
            "eriph destroyed",
            "emoving device entry",
        ),
        _CAM + r"(?:CAM status: (?:SCSI|ATA) Status Error|SCSI status: |[A-Z].*\. (?:CDB|ACB): |Retrying command|Periph"
        r" destroyed|removing device entry)",
        on_disk,
        refine=no_event,
    ),
)
"""Lines that belong to a trouble which another line names."""

_ADAPTER_ROWS = (
    Pattern(
        "scsi:controller_fault",
        ("IOC Fault", "einitializing controller", "COMMAND TIMEOUT", "ADAPTER HEARTBEAT FAILED", "irmware fault"),
        (
            r"\b(?P<controller>(?:mps|mpr|mfi|mrsas|ciss|aacd?|twa|tws|isp|hpt\w*)\d+): (?P<reason>IOC Fault .*"
            r"|Reinitializing controller|COMMAND .*TIMEOUT.*|ADAPTER HEARTBEAT FAILED.*|.*[Ff]irmware fault.*)"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "scsi:timeout",
        ("Sending abort", "Aborting command", "Timeout on slot", "device not ready after", "ioc terminated"),
        (
            r"\b(?P<controller>(?:mps|mpr|ahcich|siisch|mvsch)\d+): (?P<reason>.*Sending abort to target.*"
            r"|Timeout on slot \d+.*|AHCI reset: device not ready after .*|.*scsi ioc terminated.*)"
        ),
        on_node,
        joins=6,
    ),
    Pattern(
        "nvme:timeout",
        ("ontroller due to a timeout", "issing interrupt", "in fatal status, resetting", "RECOVERY_"),
        r"\b(?P<device>nvme\d+): (?P<reason>Resetting controller due to a timeout.*|Missing interrupt.*"
        r"|Controller in fatal status, resetting.*)",
        on_disk,
    ),
    Pattern(
        "nvme:reset_failed",
        ("did not become ", "ailing outstanding i/o", "ailing queued i/o", "ailed initialization", "ontroller failed"),
        (
            r"\b(?P<device>nvme\d+): (?P<reason>(?:c|C)ontroller ready did not become \d.*|failing (?:outstanding"
            r"|queued)"
            r" i/o|.*failed initialization.*|controller failed.*)"
        ),
        on_disk,
        joins=20,
    ),
    Pattern(
        "",
        ("sqid:",),
        (
            r"\b(?P<device>nvme\d+): (?P<reason>[A-Z][A-Z /-]+) \((?P<sct>[\da-f]{2})/(?P<sc>[\da-f]{2})\)"
            r"(?: \w+:\d+){0,4} sqid:\d+"
        ),
        on_disk,
        refine=_refine_nvme,
    ),
    Pattern(
        "nvme:critical_warning",
        ("bove threshold", "eliability degraded", "elow threshold", "n read only mode", "olatile memory backup"),
        (
            r"\b(?P<device>nvme\d+): (?P<warning>(?:device )?reliability degraded|available spare space below threshold"
            r"|media placed in read only mode|volatile memory backup device failed)"
        ),
        on_disk,
    ),
    Pattern(
        "disk:hot", ("emperature above threshold",), r"\b(?P<device>nvme\d+): temperature above threshold", on_disk
    ),
)

_MORE_ROWS = (
    Pattern(
        "",
        ("FAILURE - ", "TIMEOUT - ", "UDMA ICRC error"),
        (
            r"\b(?P<device>ad\d+): (?:(?P<timeout>TIMEOUT) - (?P<reason>\w+ retrying.*)"
            r"|WARNING - (?P<link>.*ICRC error.*)"
            r"|FAILURE - (?P<fault>\w+ status=.*))"
        ),
        on_disk,
        refine=lambda f: {
            **f,
            "code": "scsi:timeout" if "timeout" in f else "ata:link_error" if "link" in f else "ata:media_error",
        },
    ),
    Pattern(
        "block:io_error",
        ("g_vfs_done():",),
        r"g_vfs_done\(\):(?P<device>[a-z]+\d+)\S*?\[(?P<op>\w+)\(.*error ?= ?(?P<error>\d+)",
        on_disk,
    ),
    Pattern(
        "scsi:timeout",
        ("swap_pager: ",),
        r"swap_pager: (?P<reason>indefinite wait buffer.*|I/O error.*)",
        on_node,
        joins=20,
    ),
    Pattern(
        "md:degraded",
        ("GEOM_",),
        r"GEOM_(?:MIRROR|RAID3?|RAID5): (?:Device \S+: |\w+: )?(?:provider |Disk )?(?P<device>[a-z]+\d+)\S* "
        r"(?P<reason>disconnected.*|.*(?:broken|state changed from \w+ to FAILED).*)",
        on_disk,
    ),
    Pattern(
        "block:io_error",
        ("GEOM_",),
        r"GEOM_\w+: Request failed \(error=(?P<error>\d+)\)\. (?P<device>[a-z]+\d+)",
        on_disk,
    ),
    Pattern(
        "",
        ("ZFS: ", "ZFS["),
        (
            r"\bZFS(?:\[\d+\])?: (?P<reason>(?:vdev (?:I/O failure|failure|state)|checksum mismatch"
            r"|catastrophic pool I/O"
            r" failure|pool I/O failure|zpool I/O failure|vdev is removed).*?(?:(?:path|vdev)=(?P<vdev>\S*).*|$))"
        ),
        on_disk,
        refine=_refine_zfs,
        constants={"type": "zfs"},
    ),
    Pattern(
        "",
        ("MCA: ",),
        r"^MCA: (?:Bank (?P<bank>\d+), Status (?:0x)?(?P<status>[\da-f]{8,16})|CPU (?P<cpu>\d+) (?P<kind>COR"
        r"|UNCOR)\b.*)",
        on_node,
        refine=_refine_mca,
        joins=6,
    ),
    Pattern("kernel:panic", ("Fatal trap ",), r"(?P<reason>Fatal trap \d+: .*)", on_node),
    Pattern(
        "oom:kill",
        ("was killed: ",),
        r"pid (?P<pid>\d+) \((?P<process>[^)]*)\).* was killed: (?:failed to reclaim memory|out of swap space.*"
        r"|a thread waited too long to allocate a page)",
        on_node,
    ),
)

PATTERNS: tuple[Pattern, ...] = (*_CAM_ROWS, *_KNOWN_ROWS, *_ADAPTER_ROWS, *_MORE_ROWS)
