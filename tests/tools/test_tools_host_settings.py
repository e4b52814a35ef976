"""Settings of a host are known text; lines of a log that begin like a field of them are none."""

from tools.parsers import host_settings

HOSTNAMECTL = (
    "   Static hostname: node-r4\n         Icon name: computer-server\n           Chassis: server\n"
    "  Operating System: Debian GNU/Linux 12\n            Kernel: Linux 6.1.0-18-amd64\n   Hardware Vendor: Example\n"
)
KERNEL_LINES = (
    "kernel: XFS (dm-2): Corruption detected. Unmount and run xfs_repair\n"
    "kernel: XFS (dm-2): log I/O error -5\n"
    "kernel: watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [node:77]\n"
    "Hardware name: Example 4U/X, BIOS 1.2\nHardware event. This is not a software error: look at it\n"
)


def test_settings_are_recognised():
    assert host_settings.recognise(HOSTNAMECTL.splitlines()) > 0.5


def test_log_lines_that_begin_like_a_field_are_not():
    assert host_settings.recognise(KERNEL_LINES.splitlines()) == 0.0
