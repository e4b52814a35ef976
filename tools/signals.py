"""The one table of signals: each canonical quantity, its base unit, and where each source finds it.

Names follow the Prometheus conventions: base units, the unit last, counters end in ``_total``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SignalKind = Literal["gauge", "counter"]
MIB = float(1024**2)


@dataclass(frozen=True, slots=True)
class Signal:
    """One canonical quantity.

    Attributes:
        name: Canonical name, ending in its unit.
        unit: Base unit as the name ends in it; empty for flags, codes, bit masks and plain counts.
        meaning: What it tells, in words.
        nvml: Function of NVML (argument in brackets), empty where NVML has none.
        nvml_scale: Factor from NVML's unit to the base unit.
        dcgm: Fields of dcgm-exporter; several are alternatives by version, newest last, or summed where `dcgm_sum`.
        dcgm_scale: Factor from the exporter's unit to the base unit.
        node_exporter: PromQL over node_exporter, ``$window`` standing for the range; empty where it has none.
        column: Column of ``nvidia-smi --query-gpu`` or of ``iostat -x``.
        column_scale: Factor from that column's unit to the base unit.
    """

    name: str
    unit: str
    kind: SignalKind
    meaning: str
    nvml: str = ""
    nvml_scale: float = 1.0
    dcgm: tuple[str, ...] = ()
    dcgm_scale: float = 1.0
    dcgm_sum: bool = False
    node_exporter: str = ""
    column: str = ""
    column_scale: float = 1.0


def _gpu(
    name: str, unit: str, meaning: str, nvml: str, dcgm: str | tuple[str, ...] = "", column: str = "", **more: float
) -> Signal:
    fields = ((dcgm,) if dcgm else ()) if isinstance(dcgm, str) else dcgm
    return Signal(
        f"gpu_{name}", unit, "counter" if name.endswith("_total") else "gauge", meaning, nvml=nvml,
        nvml_scale=more.get("nvml_scale", 1.0), dcgm=fields, dcgm_scale=more.get("dcgm_scale", 1.0),
        dcgm_sum=bool(more.get("dcgm_sum", 0)), column=column, column_scale=more.get("column_scale", 1.0),
    )  # fmt: skip


_DEV = "DCGM_FI_DEV_"
_NVLINK_ERRORS = tuple(
    f"{_DEV}NVLINK_{what}_ERROR_COUNT_TOTAL" for what in ("CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY")
)

_GPU_SIGNALS = (
    _gpu("temperature_celsius", "celsius", "core temperature", "Temperature[GPU]", f"{_DEV}GPU_TEMP",
         "temperature.gpu"),
    _gpu("memory_temperature_celsius", "celsius", "temperature of the memory", "FieldValues[MEMORY_TEMP]",
         f"{_DEV}MEMORY_TEMP", "temperature.memory"),
    _gpu("power_watts", "watts", "power drawn now", "PowerUsage", f"{_DEV}POWER_USAGE", "power.draw", nvml_scale=1e-3),
    _gpu("power_limit_watts", "watts", "power limit in force", "PowerManagementLimit", f"{_DEV}POWER_MGMT_LIMIT",
         "power.limit", nvml_scale=1e-3),
    _gpu("power_limit_default_watts", "watts", "power limit as built", "PowerManagementDefaultLimit",
         f"{_DEV}POWER_MGMT_LIMIT_DEF", "power.default_limit", nvml_scale=1e-3),
    _gpu("sm_clock_hertz", "hertz", "clock of the multiprocessors", "ClockInfo[SM]", f"{_DEV}SM_CLOCK", "clocks.sm",
         nvml_scale=1e6, dcgm_scale=1e6, column_scale=1e6),
    _gpu("sm_clock_max_hertz", "hertz", "highest clock of the multiprocessors", "MaxClockInfo[SM]",
         f"{_DEV}MAX_SM_CLOCK", "clocks.max.sm", nvml_scale=1e6, dcgm_scale=1e6, column_scale=1e6),
    _gpu("memory_clock_hertz", "hertz", "clock of the memory", "ClockInfo[MEM]", f"{_DEV}MEM_CLOCK", "clocks.mem",
         nvml_scale=1e6, dcgm_scale=1e6, column_scale=1e6),
    _gpu("utilization_ratio", "ratio", "share of time in which a kernel ran", "UtilizationRates[gpu]",
         f"{_DEV}GPU_UTIL", "utilization.gpu", nvml_scale=0.01, dcgm_scale=0.01, column_scale=0.01),
    _gpu("memory_used_bytes", "bytes", "memory in use", "MemoryInfo[used]", f"{_DEV}FB_USED", "memory.used",
         dcgm_scale=MIB, column_scale=MIB),
    _gpu("memory_total_bytes", "bytes", "memory of the GPU", "MemoryInfo[total]", f"{_DEV}FB_TOTAL", "memory.total",
         dcgm_scale=MIB, column_scale=MIB),
    _gpu("clock_event_reasons", "", "bit mask of what holds the clocks down", "CurrentClocksEventReasons",
         (f"{_DEV}CLOCK_THROTTLE_REASONS", f"{_DEV}CLOCKS_EVENT_REASONS"), "clocks_event_reasons.active"),
    _gpu("ecc_corrected_volatile_total", "", "memory errors corrected since the driver was loaded",
         "TotalEccErrors[corrected, volatile]", f"{_DEV}ECC_SBE_VOL_TOTAL", "ecc.errors.corrected.volatile.total"),
    _gpu("ecc_uncorrected_volatile_total", "", "memory errors not corrected since the driver was loaded",
         "TotalEccErrors[uncorrected, volatile]", f"{_DEV}ECC_DBE_VOL_TOTAL", "ecc.errors.uncorrected.volatile.total"),
    _gpu("ecc_corrected_aggregate_total", "", "memory errors corrected in the life of the GPU",
         "TotalEccErrors[corrected, aggregate]", f"{_DEV}ECC_SBE_AGG_TOTAL", "ecc.errors.corrected.aggregate.total"),
    _gpu("ecc_uncorrected_aggregate_total", "", "memory errors not corrected in the life of the GPU",
         "TotalEccErrors[uncorrected, aggregate]", f"{_DEV}ECC_DBE_AGG_TOTAL",
         "ecc.errors.uncorrected.aggregate.total"),
    _gpu("row_remap_pending", "", "1 where a row waits for a reset to be remapped", "RemappedRows[pending]",
         f"{_DEV}ROW_REMAP_PENDING", "remapped_rows.pending"),
    _gpu("row_remap_failure", "", "1 where a row could not be remapped", "RemappedRows[failure]",
         f"{_DEV}ROW_REMAP_FAILURE", "remapped_rows.failure"),
    _gpu("row_remap_corrected_total", "", "rows remapped for corrected errors", "RemappedRows[corrected]",
         f"{_DEV}CORRECTABLE_REMAPPED_ROWS", "remapped_rows.correctable"),
    _gpu("row_remap_uncorrected_total", "", "rows remapped for uncorrected errors", "RemappedRows[uncorrected]",
         f"{_DEV}UNCORRECTABLE_REMAPPED_ROWS", "remapped_rows.uncorrectable"),
    _gpu("retired_pages_pending", "", "1 where a page waits for a reset to be retired (before Ampere)",
         "RetiredPagesPendingStatus", f"{_DEV}RETIRED_PENDING", "retired_pages.pending"),
    _gpu("pcie_width_lanes", "lanes", "PCIe lanes in use", "CurrPcieLinkWidth", f"{_DEV}PCIE_LINK_WIDTH",
         "pcie.link.width.current"),
    _gpu("pcie_width_max_lanes", "lanes", "PCIe lanes that GPU and slot can use", "MaxPcieLinkWidth",
         f"{_DEV}PCIE_MAX_LINK_WIDTH", "pcie.link.width.max"),
    _gpu("pcie_generation", "", "PCIe generation in use; an idle GPU lowers it", "CurrPcieLinkGeneration",
         f"{_DEV}PCIE_LINK_GEN", "pcie.link.gen.current"),
    _gpu("pcie_generation_max", "", "PCIe generation that GPU and slot can use", "MaxPcieLinkGeneration",
         f"{_DEV}PCIE_MAX_LINK_GEN", "pcie.link.gen.max"),
    _gpu("pcie_replay_total", "", "PCIe packets sent again", "PcieReplayCounter", f"{_DEV}PCIE_REPLAY_COUNTER"),
    _gpu("recovery_action", "", "what the driver asks for: 0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, "
         "4 drain and reset", "FieldValues[GET_GPU_RECOVERY_ACTION]",
         (f"{_DEV}GET_GPU_RECOVERY_ACTION", f"{_DEV}GPU_RECOVERY_ACTION"), "gpu_recovery_action"),
    _gpu("nvlink_error_total", "", "CRC, replay and recovery errors over all NVLinks",
         "FieldValues[NVLINK_*_ERROR_COUNT_TOTAL]", _NVLINK_ERRORS, dcgm_sum=1),
    _gpu("nvlink_active_links", "", "NVLinks that are up", "NvLinkState"),
    _gpu("graphics_clock_hertz", "hertz", "clock of the graphics engine", "ClockInfo[GRAPHICS]", "",
         "clocks.gr", nvml_scale=1e6, column_scale=1e6),
    _gpu("memory_clock_max_hertz", "hertz", "highest clock of the memory", "MaxClockInfo[MEM]", f"{_DEV}MAX_MEM_CLOCK",
         "clocks.max.mem", nvml_scale=1e6, dcgm_scale=1e6, column_scale=1e6),
    _gpu("performance_state", "", "0 for the highest performance, 15 for the lowest", "PerformanceState",
         f"{_DEV}PSTATE"),
    _gpu("memory_utilization_ratio", "ratio", "share of time in which memory was read or written",
         "UtilizationRates[memory]", f"{_DEV}MEM_COPY_UTIL", "utilization.memory", nvml_scale=0.01, dcgm_scale=0.01,
         column_scale=0.01),
    _gpu("process_count", "", "processes that have the GPU open", "ComputeRunningProcesses"),
    _gpu("power_limit_enforced_watts", "watts", "lowest of all power limits", "EnforcedPowerLimit",
         f"{_DEV}ENFORCED_POWER_LIMIT", "enforced.power.limit", nvml_scale=1e-3),
    _gpu("power_limit_min_watts", "watts", "lowest power limit that can be set", "PowerManagementLimitConstraints[min]",
         f"{_DEV}POWER_MGMT_LIMIT_MIN", "power.min_limit", nvml_scale=1e-3),
    _gpu("power_limit_max_watts", "watts", "highest power limit that can be set",
         "PowerManagementLimitConstraints[max]", f"{_DEV}POWER_MGMT_LIMIT_MAX", "power.max_limit", nvml_scale=1e-3),
    _gpu("energy_joules_total", "joules", "energy used since the driver was loaded", "TotalEnergyConsumption",
         f"{_DEV}TOTAL_ENERGY_CONSUMPTION", nvml_scale=1e-3, dcgm_scale=1e-3),
    _gpu("temperature_shutdown_celsius", "celsius", "core temperature at which the GPU shuts down",
         "TemperatureThreshold[SHUTDOWN]"),
    _gpu("temperature_slowdown_celsius", "celsius", "core temperature at which the hardware slows down",
         "TemperatureThreshold[SLOWDOWN]"),
    _gpu("temperature_max_celsius", "celsius", "core temperature at which software slows the GPU down",
         "TemperatureThreshold[GPU_MAX]"),
    _gpu("memory_temperature_max_celsius", "celsius", "memory temperature at which software slows the GPU down",
         "TemperatureThreshold[MEM_MAX]"),
    _gpu("temperature_margin_celsius", "celsius", "how far the GPU is from slowing down for heat", "MarginTemperature"),
    _gpu("power_violation_seconds_total", "seconds", "time below the wanted clock for the power limit",
         "ViolationStatus[POWER]", nvml_scale=1e-9),
    _gpu("thermal_violation_seconds_total", "seconds", "time below the wanted clock for heat",
         "ViolationStatus[THERMAL]", nvml_scale=1e-9),
    _gpu("sync_boost_violation_seconds_total", "seconds", "time below the wanted clock for a peer in sync boost",
         "ViolationStatus[SYNC_BOOST]", nvml_scale=1e-9),
    _gpu("board_limit_violation_seconds_total", "seconds", "time below the wanted clock for a limit of the board",
         "ViolationStatus[BOARD_LIMIT]", nvml_scale=1e-9),
    _gpu("reliability_violation_seconds_total", "seconds", "time below the wanted clock for reliable voltage",
         "ViolationStatus[RELIABILITY]", nvml_scale=1e-9),
    _gpu("sw_thermal_slowdown_seconds_total", "seconds", "time in which the driver slowed the GPU down for heat",
         "FieldValues[CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN]", nvml_scale=1e-9),
    _gpu("hw_thermal_slowdown_seconds_total", "seconds", "time in which the hardware slowed the GPU down for heat",
         "FieldValues[CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN]", nvml_scale=1e-9),
    _gpu("hw_power_brake_seconds_total", "seconds", "time in which the power brake slowed the GPU down",
         "FieldValues[CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN]", nvml_scale=1e-9),
    _gpu("ecc_mode", "", "1 where memory errors are corrected", "EccMode[current]"),
    _gpu("ecc_mode_pending", "", "what it will be after the next reset", "EccMode[pending]"),
    _gpu("ecc_dram_uncorrected_volatile_total", "", "errors of the DRAM not corrected since the driver was loaded",
         "MemoryErrorCounter[uncorrected, volatile, DRAM]", f"{_DEV}ECC_DBE_VOL_DEV",
         "ecc.errors.uncorrected.volatile.dram"),
    _gpu("ecc_sram_uncorrected_volatile_total", "", "errors of the SRAM not corrected since the driver was loaded",
         "MemoryErrorCounter[uncorrected, volatile, SRAM]", "", "ecc.errors.uncorrected.volatile.sram"),
    _gpu("ecc_dram_uncorrected_aggregate_total", "", "errors of the DRAM not corrected in the life of the GPU",
         "MemoryErrorCounter[uncorrected, aggregate, DRAM]", f"{_DEV}ECC_DBE_AGG_DEV",
         "ecc.errors.uncorrected.aggregate.dram"),
    _gpu("ecc_sram_uncorrected_aggregate_total", "", "errors of the SRAM not corrected in the life of the GPU",
         "MemoryErrorCounter[uncorrected, aggregate, SRAM]", "", "ecc.errors.uncorrected.aggregate.sram"),
    _gpu("ecc_sram_threshold_exceeded", "", "1 where the SRAM had more errors than its maker allows",
         "SramEccErrorStatus[threshold]"),
    _gpu("row_remap_banks_max", "", "memory banks with all of their spare rows", "RowRemapperHistogram[max]", "",
         "remapped_rows.histogram.max"),
    _gpu("row_remap_banks_high", "", "memory banks with many spare rows left", "RowRemapperHistogram[high]", "",
         "remapped_rows.histogram.high"),
    _gpu("row_remap_banks_partial", "", "memory banks with some spare rows left", "RowRemapperHistogram[partial]", "",
         "remapped_rows.histogram.partial"),
    _gpu("row_remap_banks_low", "", "memory banks with few spare rows left", "RowRemapperHistogram[low]", "",
         "remapped_rows.histogram.low"),
    _gpu("row_remap_banks_none", "", "memory banks without a spare row", "RowRemapperHistogram[none]", "",
         "remapped_rows.histogram.none"),
    _gpu("retired_pages_corrected_total", "", "pages retired for errors that came again (before Ampere)",
         "RetiredPages[MULTIPLE_SINGLE_BIT]", f"{_DEV}RETIRED_SBE", "retired_pages.single_bit_ecc.count"),
    _gpu("retired_pages_uncorrected_total", "", "pages retired for an error that was not corrected (before Ampere)",
         "RetiredPages[DOUBLE_BIT]", f"{_DEV}RETIRED_DBE", "retired_pages.double_bit.count"),
    _gpu("pcie_replay_rollover_total", "", "times that the count of packets sent again began anew",
         "FieldValues[PCIE_REPLAY_ROLLOVER_COUNTER]"),
    _gpu("fabric_state", "", "NVLink fabric: 0 none, 1 not started, 2 in progress, 3 completed",
         "GpuFabricInfoV[state]"),
    _gpu("fabric_status", "", "NVML's return code of joining the fabric, 0 for well", "GpuFabricInfoV[status]"),
    _gpu("fabric_health", "", "bit mask of what is wrong with the fabric", "GpuFabricInfoV[health]"),
    _gpu("persistence_mode", "", "1 where the driver stays loaded without users", "PersistenceMode"),
    _gpu("compute_mode", "", "0 shared, 2 prohibited, 3 for one process only", "ComputeMode"),
    _gpu("mig_mode", "", "1 where the GPU is split into instances", "MigMode[current]", f"{_DEV}MIG_MODE"),
    _gpu("mig_mode_pending", "", "what it will be after the next reset", "MigMode[pending]"),
)  # fmt: skip


def _disk(name: str, unit: str, meaning: str, node_exporter: str = "", column: str = "", scale: float = 1.0) -> Signal:
    kind: SignalKind = "counter" if name.endswith("_total") else "gauge"
    return Signal(f"disk_{name}", unit, kind, meaning, node_exporter=node_exporter, column=column, column_scale=scale)


def _rate(metric: str) -> str:
    return f"rate(node_disk_{metric}_total[$window])"


_DISK_SIGNALS = (
    _disk("reads_per_second", "per_second", "read requests completed", _rate("reads_completed"), "r/s"),
    _disk("writes_per_second", "per_second", "write requests completed", _rate("writes_completed"), "w/s"),
    _disk("read_bytes_per_second", "bytes_per_second", "bytes read", _rate("read_bytes"), "rkB/s", 1024.0),
    _disk("write_bytes_per_second", "bytes_per_second", "bytes written", _rate("written_bytes"), "wkB/s", 1024.0),
    _disk("read_await_seconds", "seconds", "mean time of a read request, queue included",
          f"{_rate('read_time_seconds')} / {_rate('reads_completed')}", "r_await", 1e-3),
    _disk("write_await_seconds", "seconds", "mean time of a write request, queue included",
          f"{_rate('write_time_seconds')} / {_rate('writes_completed')}", "w_await", 1e-3),
    _disk("queue_length", "", "mean number of requests waiting or served", _rate("io_time_weighted_seconds"), "aqu-sz"),
    _disk("utilization_ratio", "ratio", "share of time in which a request was open", _rate("io_time_seconds"),
          "%util", 0.01),
    _disk("await_before_seconds", "seconds", "mean time of a request from boot until the disk was looked at"),
    _disk("spare_ratio", "ratio", "spare blocks left (NVMe log)"),
    _disk("spare_threshold_ratio", "ratio", "spare blocks below which the maker calls the disk worn"),
    _disk("wear_ratio", "ratio", "life used as the maker counts it; may pass 1"),
    _disk("media_errors_total", "", "reads that the disk could not recover"),
    _disk("crc_errors_total", "", "transfers damaged on the cable"),
    _disk("smart_failed", "", "1 where the disk's own health test failed"),
    _disk("critical_warning", "", "bit mask of NVMe critical warnings"),
)  # fmt: skip

_GUEST_SIGNALS = (
    Signal("guest_cpu_ratio", "ratio", "gauge", "CPU time of a guest, 1 a full core"),
    Signal("guest_memory_bytes", "bytes", "gauge", "memory given to a guest"),
)

_CONSUMER_SIGNALS = (
    Signal("consumer_disk_read_bytes_per_second", "bytes_per_second", "gauge", "bytes read by a container, unit or "
           "process tree, from the disk that it is linked to by the same quote"),
    Signal("consumer_disk_write_bytes_per_second", "bytes_per_second", "gauge", "bytes written, likewise"),
    Signal("consumer_disk_reads_per_second", "per_second", "gauge", "read requests, where the kernel counts them"),
    Signal("consumer_disk_writes_per_second", "per_second", "gauge", "write requests, likewise"),
)  # fmt: skip


def _nic(name: str, meaning: str, unit: str = "", node_exporter: str = "") -> Signal:
    kind: SignalKind = "counter" if name.endswith("_total") else "gauge"
    return Signal(f"nic_{name}", unit, kind, meaning, node_exporter=node_exporter)


_NIC_SIGNALS = (
    _nic("symbol_errors_total", "symbols that could not be decoded",
         node_exporter="node_infiniband_symbol_error_total"),
    _nic("link_recoveries_total", "times that the link repaired itself",
         node_exporter="node_infiniband_link_error_recovery_total"),
    _nic("link_downed_total", "times that the link was lost", node_exporter="node_infiniband_link_downed_total"),
    _nic("receive_errors_total", "packets that arrived with an error",
         node_exporter="node_infiniband_port_errors_received_total"),
    _nic("receive_packets_total", "packets that arrived", node_exporter="node_network_receive_packets_total"),
    _nic("integrity_errors_total", "times that local errors passed their limit"),
    _nic("transmit_discards_total", "packets that could not be sent",
         node_exporter="node_infiniband_port_discards_transmitted_total"),
    _nic("transmit_errors_total", "packets that failed on the way out"),
    _nic("crc_errors_total", "frames whose check sum was wrong"),
    _nic("carrier_changes_total", "times that the carrier came or went",
         node_exporter="node_network_carrier_changes_total"),
    _nic("effective_errors_total", "errors left behind forward error correction"),
    _nic("effective_ber_ratio", "bit-error rate behind forward error correction", "ratio"),
    _nic("counter_age_seconds", "time since the counters of a port were cleared", "seconds"),
)  # fmt: skip

_TABLES = (_GPU_SIGNALS, _DISK_SIGNALS, _GUEST_SIGNALS, _CONSUMER_SIGNALS, _NIC_SIGNALS)
SIGNALS: dict[str, Signal] = {signal.name: signal for table in _TABLES for signal in table}
"""Canonical name to signal, in the order in which tables show them."""

GPU_SIGNAL_NAMES: tuple[str, ...] = tuple(signal.name for signal in _GPU_SIGNALS)

MAIN_GPU_SIGNALS: tuple[str, ...] = GPU_SIGNAL_NAMES[: GPU_SIGNAL_NAMES.index("gpu_nvlink_active_links") + 1]
"""What every GPU of a data centre tells; the others are told by some kinds or some drivers only."""

FABRIC_STATES: dict[int, str] = {0: "not supported", 1: "not started", 2: "in progress", 3: "completed"}
"""Values of ``gpu_fabric_state`` (NVML's nvmlGpuFabricState)."""

FABRIC_TROUBLES: tuple[tuple[int, int, str], ...] = (
    (0, 0x3, "degraded bandwidth"), (2, 0x3, "route recovery in progress"), (4, 0x3, "unhealthy route"),
    (6, 0x3, "access timeout recovery"),
)  # fmt: skip
"""Shift and width of each field of ``gpu_fabric_health`` that is 1 where it is so (NVML_GPU_FABRIC_HEALTH_MASK_*)."""

CLOCK_EVENT_BITS: dict[int, str] = {
    0x1: "gpu_idle",
    0x2: "applications_clocks",
    0x4: "sw_power_cap",
    0x8: "hw_slowdown",
    0x10: "sync_boost",
    0x20: "sw_thermal_slowdown",
    0x40: "hw_thermal_slowdown",
    0x80: "hw_power_brake",
    0x100: "display_clocks",
}
"""Bits of ``gpu_clock_event_reasons`` (NVML's nvmlClocksEventReasons group)."""

RECOVERY_ACTIONS: dict[int, str] = {
    0: "none", 1: "gpu_reset", 2: "node_reboot", 3: "drain_p2p", 4: "drain_and_reset",
    5: "recover_imex_domain", 6: "bus_reset", 7: "system_reboot",
}  # fmt: skip
"""Values of ``gpu_recovery_action`` (NVML's nvmlDeviceGpuRecoveryAction)."""


def name_clock_reasons(mask: int) -> tuple[str, ...]:
    """Spell the bits of a clock event mask; an unknown bit is spelled in hexadecimal."""
    named = [name for bit, name in CLOCK_EVENT_BITS.items() if mask & bit]
    rest = mask & ~sum(CLOCK_EVENT_BITS)
    return (*named, hex(rest)) if rest else tuple(named)
