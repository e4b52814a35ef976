"""What USB, SD and virtual drives print to the kernel log: sticks, cards, bridges, and network block devices.

Known: usb-storage, uas and hub of Linux 3.10 to 6.14; mmc core and block; nbd; loop.
"""

from __future__ import annotations

from tools.parsers._patterns import Fields, Pattern, on_disk, on_node


def _refine_card(fields: Fields) -> Fields | None:
    # -84 is EILSEQ: a wrong CRC on the wires; the others are cards that do not answer.
    garbled = fields["reason"].startswith("error -84")
    return {**fields, "code": "scsi:transport_error" if garbled else "mmc:error"}


PATTERNS: tuple[Pattern, ...] = (
    Pattern(
        "usb:disk_timeout",
        ("uas_eh_", "uas_zap_pending", "data cmplt err", "cmd cmplt err", "stat urb: status"),
        (
            r"(?:\bsd (?P<address>[\d:]+):(?: \[(?P<device>sd\w+)\])?|\bscsi host\d+:).*?(?P<reason>"
            r"uas_eh_abort_handler|uas_zap_pending|uas_eh_device_reset_handler (?:FAILED.*|start)"
            r"|(?:data|cmd) cmplt err .*|stat urb: status .*)"
        ),
        on_disk,
        constants={"removable": "yes"},
        joins=40,
    ),
    Pattern(
        "usb:error",
        (
            "device not accepting address",
            "device descriptor read",
            "unable to enumerate USB device",
            "USB cable is bad",
            "host controller not responding",
            "HC died",
        ),
        (
            r"\b(?:usb|hub|xhci_hcd|ehci_hcd|ehci-pci)\S* (?P<usb>[\w.:-]+): (?P<reason>.*(?:not accepting address"
            r"|descriptor read\S*, error|unable to enumerate|cable is bad|host controller not responding|HC died).*)"
        ),
        on_node,
    ),
    Pattern(
        "usb:reset",
        ("USB device number", "USB device using"),
        r"\busb (?P<usb>[\w.-]+): (?P<reason>reset (?:\S+ ){1,4}USB device)",
        on_node,
    ),
    Pattern(
        "usb:connect",
        ("USB device number", "USB device using"),
        r"\busb (?P<usb>[\w.-]+): new (?:\S+ ){1,4}USB device",
        on_node,
    ),
    Pattern(
        "",
        (
            ": error -",
            "Timeout waiting for hardware",
            "timed out sending",
            "ard stuck",
            "never left busy state",
            "reset card, got error",
            "recovery failed",
            "cache flush error",
        ),
        (
            r"\b(?P<device>mmc\d+|mmcblk\d+)(?:p\d+)?(?:: mmc\d+:\S+)?: (?P<reason>error -\d+ (?:whilst initialising|"
            r"sending|requesting|reading|transferring).*|Timeout waiting for hardware.*|timed out sending.*"
            r"|[Cc]ard stuck.*|card never left busy state|tried to (?:HW )?reset card, got error.*|recovery failed!?"
            r"|unable to (?:read|set).*|cache flush error -\d+|.*I/O error)"
        ),
        on_disk,
        refine=_refine_card,
        constants={"removable": "yes"},
        joins=10,
    ),
    Pattern(
        "storage:path_error",
        ("block nbd",),
        (
            r"\bblock (?P<device>nbd\d+): (?P<reason>Connection timed out|Receive control failed.*|Send"
            r" (?:data|control) failed.*|Possible stuck request.*|Other side returned error.*"
            r"|shutting down sockets|Dead connection.*)"
        ),
        on_node,
        constants={"kind": "network block device"},
        joins=6,
    ),
    Pattern(
        "block:io_error",
        ("loop: Write error", "loop: error"),
        r"loop: (?P<kind>(?:Write )?error).*",
        on_node,
    ),
)
