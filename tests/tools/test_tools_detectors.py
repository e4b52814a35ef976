import numpy as np
import pytest

from tools.detectors import disk_saturation, gpu_count, gpu_flags, gpu_throttle, pcie_link, smart
from tools.entities import make_gpu
from tools.parsers.iostat import SINCE_BOOT
from tools.types import Coverage, Entity, Facts, Inventory, Link, Quote, Window

NODE = "hv-12"
QUOTE = Quote("map.txt", 1, "as read")


def window(rows, source="x.txt", reasons=None):
    """Build a window from entity -> signal -> reading or list of readings."""
    columns = max((len(v) if isinstance(v, list) else 1 for row in rows.values() for v in row.values()), default=1)
    signals = sorted({signal for row in rows.values() for signal in row})
    values = {signal: np.full((len(rows), columns), np.nan) for signal in signals}
    for number, row in enumerate(rows.values()):
        for signal, reading in row.items():
            values[signal][number] = reading
    quotes = {number: Quote(source, number + 1, str(entity)) for number, entity in enumerate(rows)}
    return Window(tuple(rows), np.arange(columns, dtype=float), values, source, None, reasons or {}, quotes, "utc")


def disk(name, node=NODE):
    return Entity("disk", node, name)


def guest(name):
    return Entity("guest", NODE, name)


def io(util=0.99, queue=40.0, wait=0.09, reads=100.0, writes=400.0, megabytes=50.0):
    return {
        "disk_utilization_ratio": util,
        "disk_queue_length": queue,
        "disk_read_await_seconds": wait,
        "disk_write_await_seconds": wait,
        "disk_reads_per_second": reads,
        "disk_writes_per_second": writes,
        "disk_read_bytes_per_second": 0.0,
        "disk_write_bytes_per_second": megabytes * 1e6,
    }


def uses(name, device):
    return Link(guest(name), "uses", disk(device), QUOTE)


def part(device, whole):
    return Link(disk(device), "part_of", disk(whole), QUOTE)


@pytest.mark.parametrize(("replays", "score"), [(2.0, None), (48000.0, 0.5)])
def test_a_count_of_replays_alone_is_weak(replays, score):
    readings = {"gpu_pcie_width_lanes": 16.0, "gpu_pcie_width_max_lanes": 16.0, "gpu_pcie_replay_total": replays}
    findings = pcie_link.detect(Facts((window({make_gpu(NODE, index=0): readings}),)))
    assert [finding.score for finding in findings] == ([] if score is None else [score])


HEAVY = io(megabytes=45.0, reads=90.0, writes=380.0, queue=35.0)
LIGHT = io(util=0.4, megabytes=3.0, reads=8.0, writes=10.0, queue=1.5)
MAP = (uses("db-3", "dm-7"), uses("web-1", "dm-3"), part("dm-7", "sdb"), part("dm-3", "sdb"))


def test_one_heavy_guest_is_the_culprit_with_its_share():
    facts = Facts((window({disk("sdb"): io(), disk("dm-7"): HEAVY, disk("dm-3"): LIGHT}),), links=MAP)
    (finding,) = disk_saturation.detect(facts)
    assert (finding.fault_hint, str(finding.entity)) == ("io_noisy_neighbor", "disk:hv-12/sdb")
    assert finding.culprit == guest("db-3") and finding.score > 1 and not finding.settles
    assert finding.values["share:db-3"] == 0.9 and finding.values["victims"] == "web-1"
    assert {quote.text for quote in finding.quotes} == {"disk:hv-12/sdb", "disk:hv-12/dm-7", "as read"}
    assert finding.values["disk_utilization_ratio"] == 0.99 and finding.values["threshold_queue_length"] == 2.0


def test_equal_guests_have_no_culprit():
    half = io(megabytes=24.0, queue=18.0, reads=50.0, writes=200.0)
    facts = Facts((window({disk("sdb"): io(), disk("dm-7"): half, disk("dm-3"): half}),), links=MAP)
    (finding,) = disk_saturation.detect(facts)
    assert finding.fault_hint == "io_saturated" and finding.culprit is None


def test_traffic_of_the_host_itself_blames_no_guest():
    small = io(megabytes=2.0, queue=1.0, reads=2.0, writes=2.0)
    tiny = io(megabytes=1.5, queue=0.9, reads=1.5, writes=1.5)
    facts = Facts((window({disk("sdb"): io(), disk("dm-7"): small, disk("dm-3"): tiny}),), links=MAP)
    assert disk_saturation.detect(facts)[0].fault_hint == "io_saturated"


def test_guest_without_a_known_backing_is_attributed_with_a_lower_score():
    rows = (window({disk("sdb"): io(), disk("dm-7"): HEAVY, disk("dm-3"): LIGHT}),)
    sure = disk_saturation.detect(Facts(rows, links=MAP))[0]
    guessed = disk_saturation.detect(Facts(rows, links=MAP[:2]))
    assert [finding.fault_hint for finding in guessed] == ["io_noisy_neighbor"]
    assert guessed[0].score < sure.score and "not known to be part" in guessed[0].note


def test_two_saturated_disks_without_a_map_blame_nobody():
    rows = {disk("sdb"): io(), disk("sdc"): io(), disk("dm-7"): HEAVY}
    findings = disk_saturation.detect(Facts((window(rows),), links=(uses("db-3", "dm-7"),)))
    assert {finding.fault_hint for finding in findings} == {"io_saturated"}


def test_disks_of_a_guest_add_up_and_names_of_the_mapper_are_followed():
    links = (
        uses("db-3", "vg0-db--a"), part("vg0-db--a", "dm-7"), part("dm-7", "sdb"),
        uses("db-3", "dm-8"), part("dm-8", "sdb"), uses("web-1", "dm-3"), part("dm-3", "sdb"),
    )  # fmt: skip
    half = io(megabytes=22.0, queue=17.0, reads=40.0, writes=190.0)
    rows = {disk("sdb"): io(), disk("dm-7"): half, disk("dm-8"): half, disk("dm-3"): LIGHT}
    (finding,) = disk_saturation.detect(Facts((window(rows),), links=links))
    assert finding.culprit == guest("db-3") and finding.values["share:db-3"] == 0.88


@pytest.mark.parametrize(
    ("name", "readings"),
    [
        ("nvme0n1", io(util=1.0, queue=30.0, wait=0.0001)),
        ("sdb", io(util=1.0, queue=1.0, wait=0.001)),
        ("sdb", io(util=0.3, queue=30.0, wait=0.2)),
        ("sdb", io(util=1.0, queue=0.5, wait=0.5)),
        ("sdb", {"disk_utilization_ratio": 1.0}),
        ("sdb", {key: value for key, value in io().items() if key != "disk_queue_length" and "await" not in key}),
    ],
)
def test_utilisation_alone_is_no_saturation(name, readings):
    findings = disk_saturation.detect(Facts((window({disk(name): readings}),)))
    assert {finding.fault_hint for finding in findings} <= {"benign"}


def test_a_busy_disk_that_answers_at_once_is_said_to_be_harmless():
    readings = io(util=1.0, queue=30.0, wait=0.0001)
    (finding,) = disk_saturation.detect(Facts((window({disk("nvme0n1"): readings}),)))
    assert (finding.fault_hint, finding.severity) == ("benign", "info") and "0.1 ms" in finding.note


def test_averages_since_boot_of_an_idle_disk_are_harmless_and_not_the_present():
    idle = io(util=0.0007, queue=0.0, wait=0.003)
    reasons = {(0, "disk_utilization_ratio"): SINCE_BOOT}
    (finding,) = disk_saturation.detect(Facts((window({disk("sdb"): idle}, reasons=reasons),)))
    assert finding.fault_hint == "benign" and "the present is not in them" in finding.note


def test_a_peak_is_no_state():
    peak = {signal: [value * 0.01] * 4 + [value] for signal, value in io().items()}
    assert disk_saturation.detect(Facts((window({disk("sdb"): peak}),))) == []


def test_averages_since_boot_weigh_less():
    now = disk_saturation.detect(Facts((window({disk("sdb"): io()}),)))[0]
    reasons = {(0, "disk_utilization_ratio"): SINCE_BOOT}
    old = disk_saturation.detect(Facts((window({disk("sdb"): io()}, reasons=reasons),)))[0]
    assert old.score < now.score and not old.settles and "since boot" in old.note


def gpus(*readings, node="gpu-001"):
    return {make_gpu(node, index=index, pci=f"0000:{index:02x}:00.0"): row for index, row in enumerate(readings)}


def hints(module, rows, **more):
    return [(f.fault_hint, f.settles) for f in module.detect(Facts((window(rows),), **more))]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"gpu_row_remap_pending": 1.0, "gpu_ecc_corrected_volatile_total": 177.0}, ("gpu_memory_remap_pending", True)),
        ({"gpu_retired_pages_pending": 1.0}, ("gpu_memory_remap_pending", True)),
        ({"gpu_row_remap_failure": 1.0}, ("gpu_memory_remap_failure", True)),
        ({"gpu_ecc_uncorrected_volatile_total": 2.0}, ("gpu_memory_uncorrectable", True)),
        ({"gpu_recovery_action": 1.0}, ("gpu_internal_fault", False)),
        ({"gpu_recovery_action": 1.0, "gpu_row_remap_pending": 1.0}, ("gpu_memory_remap_pending", True)),
        ({"gpu_recovery_action": 0.0, "gpu_row_remap_pending": 0.0}, None),
        ({"gpu_ecc_corrected_volatile_total": 5000.0, "gpu_ecc_uncorrected_aggregate_total": 3.0}, None),
        ({"gpu_row_remap_pending": np.nan}, None),
        (
            {"gpu_retired_pages_corrected_total": 41, "gpu_retired_pages_uncorrected_total": 19},
            ("gpu_memory_remap_failure", False),
        ),
        ({"gpu_retired_pages_corrected_total": 40, "gpu_retired_pages_uncorrected_total": 19}, None),
    ],
)
def test_gpu_flags(readings, expected):
    assert hints(gpu_flags, gpus(readings)) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"gpu_clock_event_reasons": 0x40}, ("gpu_thermal_throttle", True)),
        ({"gpu_clock_event_reasons": 0x48, "gpu_utilization_ratio": 0.0}, ("gpu_thermal_throttle", True)),
        ({"gpu_clock_event_reasons": 0x88}, ("gpu_power_throttle", True)),
        ({"gpu_clock_event_reasons": 0x8, "gpu_temperature_celsius": 45.0}, ("gpu_power_throttle", False)),
        ({"gpu_clock_event_reasons": 0x8, "gpu_temperature_celsius": 88.0}, ("gpu_thermal_throttle", False)),
        ({"gpu_clock_event_reasons": 0x20, "gpu_utilization_ratio": 0.9}, ("gpu_thermal_throttle", True)),
        ({"gpu_clock_event_reasons": 0x20, "gpu_utilization_ratio": 0.0}, None),
        ({"gpu_clock_event_reasons": 0x1 | 0x2 | 0x4 | 0x10 | 0x100, "gpu_utilization_ratio": 0.9}, None),
        ({"gpu_temperature_celsius": 95.0}, ("gpu_thermal_throttle", False)),
        ({"gpu_temperature_celsius": 80.0}, None),
        ({"gpu_temperature_celsius": 95.0, "gpu_clock_event_reasons": 0x0}, None),
        ({"gpu_clock_event_reasons": np.nan}, None),
    ],
)
def test_gpu_throttle(readings, expected):
    assert hints(gpu_throttle, gpus(readings)) == ([expected] if expected else [])


def test_a_low_power_limit_counts_against_peers_only():
    low = {"gpu_power_limit_watts": 300.0, "gpu_power_limit_default_watts": 700.0}
    whole = {"gpu_power_limit_watts": 700.0, "gpu_power_limit_default_watts": 700.0}
    (finding,) = gpu_throttle.detect(Facts((window(gpus(low, whole, whole, whole)),)))
    assert finding.fault_hint == "gpu_power_throttle" and finding.entity.name == "0"
    assert hints(gpu_throttle, gpus(low, low, low, low)) == []


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"gpu_pcie_width_lanes": 8.0, "gpu_pcie_width_max_lanes": 16.0, "gpu_utilization_ratio": 0.0}, True),
        ({"gpu_pcie_generation": 1.0, "gpu_pcie_generation_max": 5.0, "gpu_utilization_ratio": 0.95}, True),
        ({"gpu_pcie_generation": 1.0, "gpu_pcie_generation_max": 5.0, "gpu_utilization_ratio": 0.0}, False),
        ({"gpu_pcie_generation": 1.0, "gpu_pcie_generation_max": 5.0}, False),
        ({"gpu_pcie_width_lanes": 16.0, "gpu_pcie_width_max_lanes": 16.0}, False),
        ({"gpu_pcie_width_lanes": 8.0}, False),
    ],
)
def test_pcie_link(readings, expected):
    assert bool(hints(pcie_link, gpus(readings))) is expected


READ = (Coverage("x.txt", "gpu", "read"),)
EIGHT = (Inventory("gpu-001", gpus=8, quote=QUOTE), Inventory("gpu-002", gpus=8))


def test_fewer_gpus_than_the_inventory_says():
    rows = gpus(*[{"gpu_power_watts": 90.0}] * 7)
    (finding,) = gpu_count.detect(Facts((window(rows),), inventory=EIGHT, coverage=READ))
    assert (finding.fault_hint, str(finding.entity), finding.settles) == ("gpu_missing", "node:gpu-001", True)
    assert (finding.values["gpus_seen"], finding.values["gpus_expected"]) == (7, 8)
    assert QUOTE in finding.quotes


@pytest.mark.parametrize(
    ("count", "coverage"),
    [
        (8, READ),
        (7, (Coverage("x.txt", "gpu", "partial", "the table is cut"),)),
        (7, (Coverage("node:gpu-001", "driver", "missing", "no driver"),)),
        (0, READ),
    ],
)
def test_no_gpu_is_missing_where_all_are_there_or_the_list_is_not_whole(count, coverage):
    rows = gpus(*[{"gpu_power_watts": 90.0}] * count)
    assert gpu_count.detect(Facts((window(rows),), inventory=EIGHT, coverage=coverage)) == []


def test_the_drivers_own_count_stands_where_the_list_is_cut():
    rows = {**gpus({"gpu_power_watts": 90.0}), Entity("node", "gpu-001"): {"node_gpu_count": 7.0}}
    partial = (Coverage("x.txt", "gpu", "partial", "1 of 7 GPUs shown"),)
    (finding,) = gpu_count.detect(Facts((window(rows),), inventory=EIGHT, coverage=partial))
    assert finding.values["gpus_seen"] == 7


def test_one_gpu_in_two_windows_is_counted_once():
    one, two = window(gpus({"gpu_power_watts": 1.0})), window(gpus({"gpu_temperature_celsius": 1.0}))
    facts = Facts((one, two), inventory=(Inventory("gpu-001", gpus=1),), coverage=READ)
    assert gpu_count.detect(facts) == []


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ({"disk_smart_failed": 1.0}, [("disk_wearout", True)]),
        ({"disk_critical_warning": 4.0}, [("disk_wearout", True)]),
        ({"disk_critical_warning": 2.0}, []),
        ({"disk_spare_ratio": 0.05, "disk_spare_threshold_ratio": 0.1}, [("disk_wearout", True)]),
        ({"disk_spare_ratio": 0.99, "disk_spare_threshold_ratio": 0.1, "disk_wear_ratio": 0.03}, []),
        ({"disk_wear_ratio": 1.2}, [("disk_wearout", False)]),
        ({"disk_media_errors_total": 7.0, "disk_smart_failed": 0.0}, [("disk_media_error", False)]),
        ({"disk_crc_errors_total": 3.0, "disk_media_errors_total": 0.0}, []),
        ({"disk_crc_errors_total": 300.0}, [("disk_link_error", False)]),
        ({"disk_reallocated_sectors_total": 3.0}, []),
        ({"disk_utilization_ratio": 1.0}, []),
    ],
)
def test_smart(readings, expected):
    assert hints(smart, {disk("nvme0"): readings}) == expected


def test_media_errors_beside_a_healthy_flag_are_said_to_contradict():
    rows = {disk("nvme0"): {"disk_media_errors_total": 7.0, "disk_smart_failed": 0.0}}
    (finding,) = smart.detect(Facts((window(rows),)))
    assert "own assessment is that it is healthy" in finding.note


@pytest.mark.parametrize("module", [disk_saturation, gpu_count, gpu_flags, gpu_throttle, pcie_link, smart])
def test_no_facts_are_no_findings(module):
    assert module.detect(Facts()) == []
    empty = Window((make_gpu("n", index=0),), np.zeros(0), {"gpu_power_watts": np.zeros((1, 0))}, "x")
    assert module.detect(Facts((empty,), inventory=EIGHT)) == []
