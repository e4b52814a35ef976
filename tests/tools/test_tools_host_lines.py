"""Lines of the bus, memory, processors, limits, clocks and HPC event logs: which code they make."""

from __future__ import annotations

import pytest

from tools.catalogue.tables import code_facts
from tools.document import TextDocument
from tools.parsers import kernel_log
from tools.types import Event


def events(text: str) -> list[Event]:
    return list(kernel_log.parse(TextDocument("x.log", "", text)).facts.events)


BUS = """
pci:aer_corrected|pcieport 0000:17:01.0: AER: Correctable error message received from 0000:18:00.0
pci:slot_narrow|pci 0000:08:00.0: 63.012 Gb/s available PCIe bandwidth, limited by 16.0 GT/s PCIe x4 link at 0000:00:01.2 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)
pci:link_degraded|mlx5_core 0000:08:00.0: 63.012 Gb/s available PCIe bandwidth, limited by 16.0 GT/s PCIe x4 link at 0000:00:01.2 (capable of 252.048 Gb/s with 16.0 GT/s PCIe x16 link)
pci:aer_corrected|mt7915e 0000:61:00.0: AER:   Error of this Agent is reported first
pci:eeh|PHB#0051[8:1]: PHB Freeze/Fence detected !
pci:aer_nonfatal|pcieport 0000:17:01.0: AER: Multiple Uncorrectable (Non-Fatal) error message received from 0000:18:00.0
pci:aer_fatal|rasdaemon[551]:           <...>-551   [003]     0.000211: aer_event:            2025-02-03 07:11:09 +0000 0000:18:00.0 Uncorrected (Fatal) error: Completion Timeout
pci:aer_corrected|rasdaemon[551]:           <...>-551   [003]     0.000211: aer_event:            2025-02-03 07:11:09 +0000 0000:18:00.0 Corrected error: Bad DLLP
pci:aer_nonfatal|nvidia 0000:18:00.0: AER: aer_uncor_severity: 0x00062011
pci:aer_nonfatal|pcieport 0000:17:01.0: AER: Root Port link has been reset (0)
pci:dpc|dpc 0000:17:01.0:pcie010: DPC containment event, status:0x1f05 source:0x1800
pci:eeh|EEH: Frozen PHB#7-PE#1 detected
pci:eeh|EEH: This PCI device has failed 2 times in the last hour and will be permanently disabled after 5 failures.
pci:link_down|EEH: Unable to recover from failure from PHB#7-PE#1.
pci:link_down|pciehp 0000:17:01.0:pcie04: Card not present on Slot(9)
pci:link_down|pciehp 0000:17:01.0:pcie04: slot(9): Link Down event
pci:link_down|pcieport 0000:17:01.0: pciehp: Slot(9): Cannot train link: status 0x5021
pci:link_down|pci 0000:18:00.0: not ready 65535ms after bus reset; giving up
pci:config_unreadable|pci 0000:18:00.0: Refused to change power state, currently in D3
pci:iommu_fault|DMAR: VT-d detected Invalidation Time-out Error: SID 0
pci:iommu_fault|AMD-Vi: Completion-Wait loop timed out
pci:iommu_fault|ixgbe 0000:18:00.0: AMD-Vi: Event logged [IO_PAGE_FAULT domain=0x0021 address=0xd0000000 flags=0x0020]
pci:iommu_fault|arm-smmu-v3 arm-smmu-v3.3.auto: event 0x02 received:
pci:bar_unassigned|pci 0000:18:00.0: BAR 3: no space for [mem size 0x02000000 64bit pref]
pci:slot_narrow|ixgbe 0000:18:00.0: PCI-Express bandwidth available for this card is not sufficient for optimal performance.
usb:not_enumerated|usb 3-4: device descriptor read/64, error -110
""".strip("\n").splitlines()

MEMORY = """
mce:uncorrected|CPU 7: Machine Check Exception: 0000000000000005
oom:kill|systemd-oomd[501]: Marked /batch.slice/fit.scope for killing due to memory pressure for /batch.slice being 91.20% > 80.00% for > 20s
oom:kill|systemd-oomd[501]: oomd attempting to kill 4403 with KILL
oom:kill|systemd-oomd[501]: Memory pressure for /batch.slice is 77.10% > 60.00% for > 30s with reclaim activity
oom:kill|systemd[1]: fit.service: systemd-oomd killed 3 process(es) in this unit.
oom:kill|systemd[1]: fit.service: Failed with result 'oom-kill'.
oom:kill|earlyoom[77]: sending SIGKILL to process 5150 uid 1002 "trainer": oom_score 977, VmRSS 91211 MiB
oom:kill|flux-shell[3]: ERROR: oom: Memory cgroup out of memory: killed 2 tasks on n77.
edac:corrected|EDAC amd64: MC3: 4 CE on mc#3csrow#1channel#0 (csrow:1 channel:0 page:0x77a offset:0x40 grain:64 syndrome:0x9)
edac:corrected|EDAC MC2: 1 CE ie31200 CE on mc#2csrow#1channel#1 (csrow:1 channel:1 page:0x0 offset:0x0 grain:8 syndrome:0x77)
edac:uncorrected|EDAC MC5: UE - no information available: UE page 0x0, offset 0x0, grain 128
edac:corrected|EDAC i7core: New Corrected error(s): dimm0: +0, dimm1: +3, dimm2 +0
mce:corrected|mce: CMCI storm detected: switching to poll mode
mce:corrected|Soft offlining pfn 0x77a40 at process virtual address 0x7f0000
mce:corrected|soft offline: 0x77a40: page already poisoned
mce:uncorrected|rasdaemon[551]:           <...>-551   [003]     0.000211: mce_record:           2025-02-03 07:11:09 +0000 bank=1, status= be00000000100110, mci=Uncorrected_error
mce:corrected|rasdaemon[551]:           <...>-551   [003]     0.000211: mce_record:           2025-02-03 07:11:09 +0000 bank=8, status= 8c00004000010093, mci=Corrected_error
mce:uncorrected|rasdaemon[551]:           <...>-551   [003]     0.000211: memory_failure_event: 2025-02-03 07:11:09 +0000 pfn=0x77a40 page_type=clean LRU page action_result=Recovered
oom:kill|oom_reaper: reaped process 7714 (trainer), now anon-rss:0kB, file-rss:0kB, shmem-rss:0kB
oom:kill|systemd-oomd[551]: Killed /user.slice/t.scope due to memory used (6400) / total (6500) and swap used (9) / total (10) being more than 90.00%
oom:alloc_failure|trainer: page allocation stalls for 14410ms, order:0, mode:0x14201ca
oom:alloc_failure|vmalloc: allocation failure: 2147483648 bytes
""".strip("\n").splitlines()

PROCESSORS = """
cpu:thermal_shutdown|Critical temperature reached (108 C), shutting down.
ras:fatal|- 1129411208 2005.10.15 R44-M1-N3 2005-10-15-21.20.08.112233 R44-M1-N3 NULL DISCOVERY SEVERE Can not get assembly information for node card
edac:corrected|- 1129411208 2005.10.15 R44-M1-N3 2005-10-15-21.20.08.112233 R44-M1-N3 RAS KERNEL INFO 77 L3 EDRAM error(s) (dcr 0x0157) detected and corrected
kernel:warning|WARNING: kernel/sched/core.c:4410 at sched_move_task+0x44/0x90, CPU#7: kworker/7:1/771
cpu:hard_lockup|watchdog: CPU 41 self-detected hard LOCKUP @ native_queued_spin_lock_slowpath+0x1a4/0x200
cpu:hard_lockup|NMI Watchdog detected LOCKUP on CPU 3
cpu:soft_lockup|BUG: soft lockup detected on CPU#3!
cpu:rcu_stall|rcu: INFO: rcu_tasks detected stalls on tasks:
cpu:thermal|CPU3: Temperature above threshold
cpu:thermal|CPU3: Running in modulated clock mode
kernel:oops|double fault: 0000 [#1] PREEMPT SMP
kernel:oops|BUG: Bad page map in process trainer  pte:8000000771025 pmd:771067
kernel:oops|BUG: stack guard page was hit at 00000000aa (stack is 00000000bb)
kernel:warning|WARNING: CPU: 9 PID: 771 at kernel/workqueue.c:1512 __queue_work+0x44/0x90
kernel:warning|BUG: sleeping function called from invalid context at mm/page_alloc.c:5177
clock:source_unstable|clocksource: timekeeping watchdog on CPU9: Marking clocksource 'tsc' as unstable because the skew is too large:
clock:wrong|chronyd[551]: Forward time jump detected!
clock:wrong|chronyd[551]: System clock was stepped by -7.712290 seconds
clock:wrong|ntpdate[551]: step time server 10.7.7.1 offset -44.120931 sec
clock:unsynchronised|chronyd[551]: Can't synchronise: no selectable sources
clock:unsynchronised|ntpd[551]: no servers reachable
limit:network_table|ip_conntrack: table full, dropping packet.
limit:network_table|IPv4: Neighbour table overflow
limit:network_table|Route cache is full: consider increasing sysctl net.ipv6.route.max_size.
limit:sockets|TCP: request_sock_TCP: Possible SYN flooding on port 9400. Sending cookies.  Check SNMP counters.
limit:audit_backlog|audit: backlog limit exceeded
limit:processes|runtime: failed to create new OS thread (have 44 already; errno=11)
ras:not_responding|880012 node-19 node status 1129411208 1 not responding
ras:not_responding|ec_node_failed 2014-03-02 07:11:09 c4-1c2s7n3 src:::c4-1c2s7 node heartbeat fault
""".strip("\n").splitlines()


BMC = """
bmc:memory_ecc_uncorrected|An uncorrectable memory error has been detected on DIMM 7 at address 0x77.
bmc:memory_ecc_limit|Correctable memory error rate exceeded for DIMM_B4.
bmc:pcie_fatal|A bus fatal error was detected on a component at slot 6.
bmc:cpu_error|CPU 2 has an internal error (IERR).
bmc:psu_input_lost|Power supply 1 has lost input
bmc:psu_failed|POST Error: 1709-Power Supply Failure
bmc:fan_failed|ipmievd[661]: Fan sensor FAN_7 Lower Critical going low Asserted (Reading 0 < Threshold 600 RPM)
bmc:psu_input_lost|ipmievd[661]: Power Supply sensor PS1 Status Power Supply AC lost Asserted
bmc:memory_ecc_corrected|ipmievd[661]: Memory sensor - Correctable ECC
nic:link_down|nhc[661]: ERROR: nhc: Health check failed: check_hw_ib: No IB port mlx5_4:1 is ACTIVE (LinkUp 400 Gb/sec).
edac:corrected|CE memory scrubbing error on CPU_SrcID#1_MC#0_Chan#1_DIMM#0 (channel:1 slot:0 page:0x77a)
pci:iommu_fault|IO_PAGE_FAULT device=c4:00.0 domain=0x0007 address=0x00000000ff77a000 flags=0x0070]
oom:kill|VM: killing process trainer
oom:alloc_failure|__alloc_pages: 3-order allocation failed (gfp=0x1f0/0)
""".strip("\n").splitlines()


@pytest.mark.parametrize("row", [*BUS, *MEMORY, *PROCESSORS, *BMC], ids=lambda row: row[:70])
def test_one_line_of_each_family(row: str) -> None:
    code, _, line = row.partition("|")
    assert [event.code for event in events(line + "\n")] == [code]
    assert code in code_facts()


HARMLESS = (
    "ipmievd[661]: Power Supply sensor PS1 Status Power Supply AC lost Deasserted",
    "ipmievd[661]: System Boot Initiated sensor - Initiated by power up",
    "pcieport 0000:17:01.0: DPC: error containment capabilities: Int Msg #0, RPExt+ PoisonedTLP+ SwTrigger+",
    "pci 0000:17:01.0: BAR 13: no space for [io  size 0x1000]",
    "pci 0000:18:00.0: BAR 7: no space for [mem size 0x00800000 64bit pref]",
    "pci 0000:18:00.0: BAR 7: failed to assign [mem size 0x00800000 64bit pref]",
    "EDAC MC0: Giving out device to module i10nm_edac controller Intel_10nm Socket#0 IMC#0: DEV 0000:7e:0c.0 (INTERRUPT)",
    "mce: CMCI storm subsided: switching to interrupt mode",
    "perf: interrupt took too long (3921 > 3912), lowering kernel.perf_event_max_sample_rate to 51000",
    "workqueue: fill_page_cache_func hogged CPU for >10000us 8 times, consider switching to WQ_UNBOUND",
    "chronyd[551]: System clock was stepped by 0.000121 seconds",
    "clocksource: Switched to clocksource tsc",
)


@pytest.mark.parametrize("line", HARMLESS)
def test_what_a_healthy_machine_prints_is_no_event(line: str) -> None:
    assert events(f"[ 4101.220114] {line}\n") == []


def test_a_line_that_counts_its_errors_says_how_many() -> None:
    line = "EDAC MC1: 771 CE memory read error on DIMM_A3 (channel:1 slot:0 page:0x77a offset:0x0 grain:32)"
    assert [event.fields["count"] for event in events(line + "\n")] == ["771"]
    line = "mcelog: Corrected memory errors on page 77a40000 exceed threshold 10 in 24h: 14 in 24h"
    assert [event.fields["count"] for event in events(line + "\n")] == ["14"]


def test_the_words_before_a_corrected_error_are_part_of_it() -> None:
    text = (
        "[  71.1] pcieport 0000:17:01.0: AER: Corrected error received: 0000:17:01.0\n"
        "[  71.1] pcieport 0000:17:01.0: PCIe Bus Error: severity=Corrected, type=Physical Layer, (Receiver ID)\n"
        "[  71.1] pcieport 0000:17:01.0:   device [8086:352a] error status/mask=00000001/00002000\n"
    )
    assert [event.code for event in events(text)] == ["pci:aer_corrected"]


def test_one_storm_of_faults_is_one_event() -> None:
    lines = "".join(f"[  7{n:02}.1] IPv4: Neighbour table overflow\n" for n in range(40))
    assert len(events(lines)) == 1
