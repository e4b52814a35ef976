"""A kernel log as large as one likes, for `make bench`: 99% of daemons and drivers at peace, 1% of interest.

The lines are written after what Linux 5.15 to 6.8, systemd 249 to 255, Docker, kubelet and Slurm print; the same seed
writes the same bytes. A tenth of the lines of interest are one fault that repeats, as a dying link or disk does.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path

INTEREST_SHARE = 0.01
STORM_SHARE = 0.1
"""Of the lines of interest, those that come in storms of one fault."""
STORM_LINES = 10_000
START = datetime(2026, 3, 2, 6, 25, 1, tzinfo=UTC)
HOSTS = ("gpu-r07-n13", "gpu-r07-n14")
POOL_LINES = 20_000
FAULT_LINE = "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."

PEACE: tuple[tuple[int, str, str], ...] = (
    (60, "kernel", 'audit: type=1400 audit({up}:{n}): apparmor="ALLOWED" operation="open" class="file" '
               'profile="/usr/sbin/sssd" name="/proc/{n}/cmdline" pid={p} comm="sssd" requested_mask="r" fsuid=0'),
    (30, "kernel", 'audit: type=1326 audit({up}:{n}): auid=4294967295 uid=0 gid=0 ses=4294967295 pid={p} comm="runc"'),
    (10, "kernel", "docker0: port {s}(veth{h}) entered forwarding state"),
    (10, "kernel", "docker0: port {s}(veth{h}) entered blocking state"),
    (10, "kernel", "docker0: port {s}(veth{h}) entered disabled state"),
    (10, "kernel", "cni0: port {s}(veth{h}) entered forwarding state"),
    (1, "kernel", "device veth{h} entered promiscuous mode"),
    (5, "kernel", "device veth{h} left promiscuous mode"),
    (5, "kernel", "eth0: renamed from veth{h}"),
    (5, "kernel", "IPv6: ADDRCONF(NETDEV_CHANGE): veth{h}: link becomes ready"),
    (5, "kernel", "IPv6: ADDRCONF(NETDEV_UP): cali{h}: link is not ready"),
    (1, "kernel", "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Quota mode: none."),
    (5, "kernel", "EXT4-fs (dm-{s}): mounted filesystem 6f3b2a54-1c5f-4b8e-9a33-{h}00a0 r/w with ordered data mode."),
    (5, "kernel", "EXT4-fs (dm-{s}): unmounting filesystem."),
    (1, "kernel", "perf: interrupt took too long ({n} > 2500), lowering kernel.perf_event_max_sample_rate to 50000"),
    (1, "kernel", "TCP: request_sock_TCP: Possible SYN flooding on port {p}. Sending cookies.  Check SNMP counters."),
    (1, "kernel", "usb 1-{s}: new high-speed USB device number {s} using xhci_hcd"),
    (1, "kernel", "usb 1-{s}: New USB device found, idVendor=046b, idProduct=ff01, bcdDevice= 1.00"),
    (1, "kernel", "nvidia-uvm: Loaded the UVM driver, major device number 511."),
    (1, "kernel", "nvme nvme{s}: 64/0/0 default/read/poll queues"),
    (1, "kernel", "nvme{s}n1: p1 p2 p3"),
    (1, "kernel", "mlx5_core 0000:5d:00.{s} eth{s}: Link up"),
    (1, "kernel", "IPVS: ftp: loaded support on port[0] = 21"),
    (1, "kernel", "overlayfs: lowerdir is in-use as upperdir/workdir of another mount, accessing files is undefined."),
    (30, "kernel", "[UFW BLOCK] IN=eth0 OUT= MAC={h} SRC=10.7.{s}.13 DST=10.7.0.255 LEN=72 TOS=0x00 ID={p}"),
    (40, "systemd[1]", "Started Session {n} of User slurm."),
    (40, "systemd[1]", "run-docker-runtime\\x2drunc-moby-{h}-runc.{h}.mount: Deactivated successfully."),
    (1, "systemd[1]", "Starting Cleanup of Temporary Directories..."),
    (1, "systemd[1]", "Finished Rotate log files."),
    (20, "systemd[1]", "session-{n}.scope: Deactivated successfully."),
    (20, "systemd-logind[1187]", "New session {n} of user slurm."),
    (5, "systemd-networkd[903]", "veth{h}: Gained carrier"),
    (5, "systemd-networkd[903]", "veth{h}: Lost carrier"),
    (1, "systemd-udevd[{p}]", "veth{h}: Failed to get link config: No such device"),
    (30, "CRON[{p}]", "(root) CMD (   cd / && run-parts --report /etc/cron.hourly)"),
    (20, "sshd[{p}]", "Accepted publickey for ops from 10.7.{s}.2 port {p} ssh2: ED25519 SHA256:Zm9vYmFy{h}"),
    (20, "sshd[{p}]", "pam_unix(sshd:session): session opened for user ops(uid=1000) by (uid=0)"),
    (10, "slurmd[2211]", "launch task StepId={n}.0 request from UID:1000 GID:1000 HOST:10.7.0.{s} PORT:{p}"),
    (1, "slurmd[2211]", "task/affinity: lllp_distribution: JobId={n} manual binding: none"),
    (1, "slurmstepd[{p}]", "done with step"),
    (50, "kubelet[1893]", 'I0302 06:25:01.{p}    1893 reconciler.go:224] "operationExecutor.MountVolume started '
                      'for volume \\"kube-api-access\\" pod=\\"jobs/train-{h}\\""'),
    (30, "containerd[1402]", 'time="2026-03-02T06:25:01.{p}Z" level=info '
                         'msg="StopPodSandbox for \\"{h}\\" returns successfully"'),
    (20, "dockerd[1511]", 'time="2026-03-02T06:25:01.{p}Z" level=info msg="ignoring event" '
                      'container={h} topic=/tasks/delete'),
    (1, "chronyd[977]", "Selected source 10.7.0.{s}"),
    (1, "rsyslogd", "-- MARK --"),
    (1, "dhclient[{p}]", "DHCPACK of 10.7.{s}.13 from 10.7.0.1"),
    (20, "snmpd[1702]", "Connection from UDP: [10.7.0.{s}]:{p}->[10.7.1.13]:161"),
    (1, "nvidia-persistenced", "device 0000:{s}b:00.0 - persistence mode enabled."),
    (1, "dbus-daemon[1101]", "[system] Successfully activated service 'org.freedesktop.hostname1'"),
)  # fmt: skip
"""How often (a guess, after hosts that run containers), who writes, and what.

{up} seconds since boot, {n} a number, {p} a process, {s} a small number, {h} a hash."""
TROUBLE: tuple[tuple[str, str], ...] = (
    ("kernel", "NVRM: Xid (PCI:0000:{s}b:00): 31, pid={p}, name=python3, Ch 0000001b, intr 00000000. MMU Fault: ENGINE "
               "GRAPHICS GPCCLIENT_T1_{s} faulted @ 0x7f3a_{h}. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ"),
    ("kernel", "NVRM: Xid (PCI:0000:{s}b:00): 13, pid={p}, name=python3, Graphics SM Warp Exception on "
               "(GPC {s}, TPC 2, SM 1): Out Of Range Address"),
    ("kernel", "NVRM: Xid (PCI:0000:{s}b:00): 63, pid='<unknown>', name=<unknown>, Row Remapper: New row marked"),
    ("kernel", "NVRM: Xid (PCI:0000:{s}b:00): 94, pid={p}, name=python3, Contained: SM (0x1). RST: No, D-RST: No"),
    ("kernel", "pcieport 0000:{s}0:01.0: AER: Corrected error received: 0000:{s}b:00.0"),
    ("kernel", "pcieport 0000:{s}0:01.0: PCIe Bus Error: severity=Corrected, type=Data Link Layer, (Receiver ID)"),
    ("kernel", "EDAC MC{s}: 1 CE memory read error on CPU_SrcID#0_MC#{s}_Chan#1_DIMM#0 (channel:1 slot:0 page:0x{h})"),
    ("kernel", "mce: [Hardware Error]: Machine check events logged"),
    ("kernel", "nvme nvme{s}: I/O {n} QID {s} timeout, aborting"),
    ("kernel", "blk_update_request: I/O error, dev sd{l}, sector {n} op 0x0:(READ) flags 0x0 phys_seg 1 prio class 0"),
    ("kernel", "sd {s}:0:0:0: [sd{l}] tag#{s} FAILED Result: hostbyte=DID_OK driverbyte=DRIVER_OK cmd_age=0s"),
    ("kernel", "ata{s}.00: failed command: READ FPDMA QUEUED"),
    ("kernel", "EXT4-fs error (device sd{l}1): ext4_find_entry:1455: inode #{n}: comm java: reading directory"),
    ("kernel", "mlx5_core 0000:5d:00.{s} ens{s}f0np0: Link down"),
    ("kernel", "mlx5_core 0000:5d:00.{s}: temp_warn: High temperature on sensors with bit set 0 1"),
    ("kernel", "nfs: server 10.7.0.{s} not responding, still trying"),
    ("kernel", "nfs: server 10.7.0.{s} OK"),
    ("kernel", "LustreError: 11-0: scratch-OST00{s}0-osc-ffff{h}: operation ost_write "
               "to node 10.7.0.{s}@o2ib failed: rc = -19"),
    ("kernel", "Memory cgroup out of memory: Killed process {p} (python3) total-vm:81234567kB, anon-rss:65012345kB"),
    ("kernel", "INFO: task python3:{p} blocked for more than 120 seconds."),
    ("kernel", "CPU{s}: Core temperature above threshold, cpu clock throttled (total events = {n})"),
    ("kernel", "watchdog: BUG: soft lockup - CPU#{s} stuck for 23s! [python3:{p}]"),
    ("kernel", "nvidia-nvswitch{s}: SXid (PCI:0000:05:00.0): 20034, Non-fatal, Link {s} LTSSM Fault Up"),
    ("slurmd[2211]", "error: Node reboot request for gpu-r07-n13 denied"),
    ("slurmd[2211]", "error: StepId={n}.0 exceeded memory limit ({n} > 1024), being killed"),
)  # fmt: skip
STORMS = (
    "pcieport 0000:40:01.0: AER: Corrected error received: 0000:4b:00.0",
    "blk_update_request: I/O error, dev sdc, sector 1953525160 op 0x0:(READ) flags 0x80700 phys_seg 1 prio class 0",
)


@lru_cache(maxsize=4)
def _spell_second(second: int, form: str) -> str:
    return (START + timedelta(seconds=second)).strftime(form)


def _syslog(up: float, host: str, tag: str) -> str:
    stamp = f"[{up:12.6f}] " if tag == "kernel" else ""
    return f"{_spell_second(int(up), '%b %e %H:%M:%S')} {host} {tag}: {stamp}"


def _short_iso(up: float, host: str, tag: str) -> str:
    return f"{_spell_second(int(up), '%Y-%m-%dT%H:%M:%S')}+0000 {host} {tag}: "


def _short_precise(up: float, host: str, tag: str) -> str:
    return f"{_spell_second(int(up), '%b %d %H:%M:%S')}.{up % 1 * 1e6:06.0f} {host} {tag}: "


def _rsyslog_iso(up: float, host: str, tag: str) -> str:
    stamp = f"[{up:12.6f}] " if tag == "kernel" else ""
    return f"{_spell_second(int(up), '%Y-%m-%dT%H:%M:%S')}.{up % 1 * 1e6:06.0f}+00:00 {host} {tag}: {stamp}"


def _dmesg(up: float, host: str, tag: str) -> str:
    return f"[{up:12.6f}] " + ("" if tag == "kernel" else f"{tag}: ")


def _dmesg_ctime(up: float, host: str, tag: str) -> str:
    return f"[{_spell_second(int(up), '%a %b %e %H:%M:%S %Y')}] " + ("" if tag == "kernel" else f"{tag}: ")


DIALECTS: dict[str, Callable[[float, str, str], str]] = {
    "syslog": _syslog,
    "short-iso": _short_iso,
    "short-precise": _short_precise,
    "rsyslog-iso": _rsyslog_iso,
    "dmesg": _dmesg,
    "dmesg -T": _dmesg_ctime,
}
"""How the line begins, by what wrote it."""


def write_log(path: Path, size_bytes: int, *, dialect: str = "syslog", seed: int = 7) -> tuple[int, int]:
    """Write a log with about 1% of its lines of interest, and one GPU off the bus at 70% of its length.

    Returns:
        How many lines it has, and how many of them are of interest.
    """
    source = random.Random(seed)  # noqa: S311 (the same bytes each time is the point)
    head = DIALECTS[dialect]
    written = lines = interest = 0
    told = False
    with path.open("w", encoding="utf-8", buffering=1 << 20) as stream:
        for tag, words, is_trouble in _tell(source):
            up = 1000 + lines / 37
            if not told and written > 0.7 * size_bytes:
                tag, words, told, is_trouble = "kernel", FAULT_LINE, True, True
            written += stream.write(f"{head(up, HOSTS[0], tag)}{words}\n")
            lines += 1
            interest += is_trouble
            if written >= size_bytes:
                break
    return lines, interest


def _tell(source: random.Random) -> Iterator[tuple[str, str, bool]]:
    """Yield writer, message and whether it is of interest, without end."""
    often = [row for row in PEACE for _ in range(row[0])]
    pool = [_fill(source, *source.choice(often)[1:]) for _ in range(POOL_LINES)]
    storm = STORMS[0]
    left = 0
    for number in range(1 << 62):
        if source.random() >= INTEREST_SHARE:
            tag, words = pool[int(source.random() * len(pool))]
            yield tag, words, False
        elif source.random() < STORM_SHARE:
            left = left - 1 if left else STORM_LINES
            storm = STORMS[number % len(STORMS)] if left == STORM_LINES else storm
            yield "kernel", storm, True
        else:
            yield *_fill(source, *source.choice(TROUBLE)), True


def _fill(source: random.Random, tag: str, words: str) -> tuple[str, str]:
    told = {
        "up": f"{1000 + source.random() * 1e6:.3f}",
        "n": source.randrange(100, 99_999),
        "p": source.randrange(1000, 99_999),
        "s": source.randrange(1, 8),
        "h": f"{source.getrandbits(28):07x}",
        "l": "abcdefgh"[source.randrange(8)],
    }
    return tag.format(**told), words.format(**told)
