"""How kernels begin their messages when they start: so that lines are known as theirs where nothing stands before them.

Known: Linux 2.6 to 6.14 on x86, Arm, RISC-V and POWER; FreeBSD 9 to 14. People paste them without time and host.
"""

from __future__ import annotations

import re
from functools import cache

from tools.parsers._log_alarm import is_harmless

_SPEAKERS = (
    r"ACPI(?: \w+)?|acpi(?:php)?|PCI(?:-DMA)?|pci_\w+|pcpu-alloc|pcieport|pciehp|shpchp|usbcore|usbhid|usbserial"
    r"|NET|Console|VFS|TCP|UDP|Memory|Kernel command line|Command line|pid_max|input|random|vgaarb|ftrace|devtmpfs"
    r"|Serial|SLUB|SLAB|pnp|pinctrl core|NetLabel|cpuidle|cpufreq\w*|DMI|SMBIOS|PM|BIOS-e820|e820|clocksource"
    r"|smpboot|smp|tsc|TSC|Yama|Performance Events|perf|zbud|zswap|RAMDISK|Policy zone|mousedev|mice|percpu"
    r"|workingset|x86/\w+|x86|microcode|fbcon|fb\d|pps_core|device-mapper|NR_IRQS|sched_clock|loop|brd|rcu|RCU"
    r"|thermal_sys|thermal|IPv6|CPU\d*|CPUs?|printk|mem auto-init|LSM|efi|efifb|EFI|iommu|DMAR(?:-IR)?|AMD-Vi"
    r"|hpet\d*|serio|i8042|ledtrig-cpu|cryptd|APIC|IOAPIC|software IO TLB|Speculative Store Bypass|Spectre V\d"
    r"|RETBleed|MDS|TAA|L1TF|MMIO Stale Data|SRBDS|Mitigation|drop_monitor|fuse|Bluetooth|AppArmor|SELinux|audit"
    r"|sdhci\S*|MTRR\w*|mtrr|RAS|hidraw|gpio\S*(?: \S+)?|chromeos_\w+"
    r"|hid\S*|libphy|integrity|ima|evm|Calgary|intel_\w+|amd_\w+|mce|MCE|mmc\d"
    r"|process|mc|squashfs|IPI shorthand broadcast|alg|RAPL PMU|RPC|kvm|xor|raid6|md|ehci\S*|ohci\S*|uhci\S*"
    r"|xhci\S*|videodev|ip_tables|nf_conntrack|pstore|secureboot|lp|lpc_ich|pci_hotplug|bridge|landlock|clk|i2c\S*"
    r"|SCSI|scsi\d*|libata|ata\d\S*|ahci|NUMA|rfkill|Dynamic Preempt|cdrom|bio|wmi|rdac|emc|alua|async_tx|media"
    r"|uvcvideo|kfence|kprobes|mctp|IPMI \w+ \w+|ipmi_\w+|psci|GIC\w*|GICv\d|CPU features|alternatives|Booting \w+"
    r"|OF|of_\w+|Unknown kernel|\.\.+ ?[\w-]+(?: [\w-]+){0,3}|\.\.TIMER|\.\.MP-BIOS \w+|NMI watchdog|Initmem \w+"
    r"|EDAC|GHES|HEST|ERST|BERT|dw-apb-uart|uart\d*|rtc\S*|watchdog|virtio\S*|bond\d*|tun|e1000e?|igb|ixgbe|i40e"
    r"|tg3|bnx2\w?|r8169|8021q|cfg80211|iwlwifi|ath\w+|snd\S*|nouveau|i915|radeon|amdgpu|drm|vmw\S*|hv_\S*|xen\S*"
    r"|Xen|floppy\d?|Freeing \w+ memory|Intel\(R\)|Registered \w+|registered \w+|Key type \w+|Block layer"
    r"|io scheduler|SRAT|acpi/\w+|thinkpad_acpi|wl\w+|core|ena|tegra\w*(?: \S+)?|loop\d+|max\d+\S*(?: \S+)?"
    r"|vdd-\w+|mdio\S*|nvgpu|ip6?_tables"
)
_BEGINNINGS = (
    r" +with (?:arguments|environment):|ENERGY_PERF_BIAS|tcp_listen"
    r"|Linux version |init IO_APIC|IO-APIC|timer doesn|\.{2,3} ?[a-zA-Z]"
    r"|Freeing |Built \d|Calibrating |Dentry cache|Inode-cache|Mount(?:point)?-cache|TCP \w+"
    r"|UDP\S* hash|Block layer|SCSI subsystem|On node \d|Movable zone|Zone (?:ranges|PFN)|Early memory|Initmem "
    r"|registered |Registered |Key type |futex hash|IOAPIC\[|NX \(|DMA\d* |Normal |HighMem |libata |Last level"
    r"|\[drm\]|\[TTM\]|PCI host|Loading |Booting |Initiali[sz]|Write protecting|Linux agpgart|Trying to |HugeTLB"
    r"|Using |PTP clock|NODE_DATA|No NUMA|Faking |Adding \d+k |Run /|last_pfn|EXT\d|Segment Routing|Device empty"
    r"|AES |IP idents|Non-volatile|BIOS-provided|SMP: |SMP |Brought up|Total of \d|Detected |Switch(?:ed|ing) "
    r"|Unpacking |Magic number|Asymmetric key|Fallback order|Hierarchical |Preemptible |found SMP|Command line"
    r"|Reserving |Base memory|Enabling |Disabling |Advanced Linux|ALSA |ASID |PPP |PID hash|Security Framework"
    r"|Copyright|USB |hub |\[mem |\d+ (?:pages|base|disabled)|usb |eth\d|allocated \d|io scheduler |Intel |AMD "
    r"|KERNEL supported|Hygon |Centaur |zhaoxin|Spectre |software IO|entropy|kAFS|ISO 9660|VIA |EISA|isapnp|lo: "
    r"|Starting CPU|CPU \d+: |Entropy|ipw|Wireless|RPC: |SGI XFS|FAT|NTFS|JFS|JFFS2|FDT:|console \[|Mem(?:ory)?: "
    r"|BRK \[|PAT|Kernel |kernel memory|Virtual kernel|vmalloc|lowmem|fixmap|Warning: unable to open"
    r"|checking generic|\[Firmware |Monitor-Mwait|.{0,60}\b(?:[Dd]river|[Mm]odule|[Vv]ersion)(?: version)? v?\d"
    r"|MAP [0-9a-f]|reserve setup_data| *node +\d|Loaded |Copyright|Fusion MPT|3ware |MP table|SMP TABLE|ramdisk"
)
_BUS = (
    r"[A-Za-z][\w./+-]{1,24} (?:[0-9a-f]{4}:)?[0-9a-f]{2}:[0-9a-f]{2}(?:[.:]\d+)?: "
    r"|(?:pci_bus|usb|hub|platform|sd|sr|scsi|i2c|spi|hid\S*|acpi|rtc_cmos|thermal|nvme|ieee80211|tpm\S*) [\w:.-]+: "
)
_BSD = (
    r"[a-z][a-z_]{1,14}\d{1,3}: (?:<.{2,80}>|[^:]{0,80}\b(?:on|at) [a-z]+\d+\b"
    r"|(?:Ethernet address|link state|Using|netmap|Media))"
)


_CRY = re.compile(
    r"(?i:time[ -]?d?[ -]?out|fail|error|fault|reset|lost|hang|hung|stuck|abort|corrupt|dead|unable|cannot|can't"
    r"|invalid|panic|bug|oops|not respond|overflow|exceed|warn|down\b|mismatch|critical|stall)"
)


def is_boot_line(text: str) -> bool:
    """Say whether a line begins as kernels do when they start, and names no trouble but what is known to be none."""
    return _boot().match(text) is not None and (not _CRY.search(text) or is_harmless(text))


@cache
def _boot() -> re.Pattern[str]:
    return re.compile(rf"^\s*(?:(?:{_SPEAKERS}): |{_BEGINNINGS}|{_BUS}|{_BSD})")
