import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import nvidia_smi, nvidia_smi_csv, nvidia_smi_query

HEAD = """\
Tue Mar  3 04:12:09 2026
+-----------------------------------------------------------------------------------------+
| NVIDIA-SMI 570.86.15              Driver Version: 570.86.15      CUDA Version: 12.8     |
|-----------------------------------------+------------------------+----------------------+
| GPU  Name                 Persistence-M | Bus-Id          Disp.A | Volatile Uncorr. ECC |
| Fan  Temp   Perf          Pwr:Usage/Cap |           Memory-Usage | GPU-Util  Compute M. |
|                                         |                        |               MIG M. |
|=========================================+========================+======================|
"""
GPU_0 = """\
|   0  NVIDIA H100 80GB HBM3          On  |   00000000:1B:00.0 Off |                    0 |
| N/A   41C    P0            412W /  700W |   70211MiB /  81559MiB |     97%      Default |
|                                         |                        |             Disabled |
+-----------------------------------------+------------------------+----------------------+
"""
GPU_1_ERR = """\
|   1  NVIDIA H100 80GB HBM3          On  |   00000000:43:00.0 Off |                 ERR! |
|ERR!  ERR! ERR!             ERR! /  ERR! |     ERR! /  ERR!       |    ERR!         ERR! |
|                                         |                        |                 ERR! |
+-----------------------------------------+------------------------+----------------------+
"""
PROCESSES = """
+-----------------------------------------------------------------------------------------+
| Processes:                                                                              |
|  GPU   GI   CI              PID   Type   Process name                        GPU Memory |
|        ID   ID                                                               Usage      |
|=========================================================================================|
|    0   N/A  N/A           41234      C   python3                               70190MiB |
+-----------------------------------------------------------------------------------------+
"""
OLD = """\
+-----------------------------------------------------------------------------+
| NVIDIA-SMI 440.33.01    Driver Version: 440.33.01    CUDA Version: 10.2     |
|-------------------------------+----------------------+----------------------+
| GPU  Name        Persistence-M| Bus-Id        Disp.A | Volatile Uncorr. ECC |
| Fan  Temp  Perf  Pwr:Usage/Cap|         Memory-Usage | GPU-Util  Compute M. |
|===============================+======================+======================|
|   0  Tesla V100-SXM2...  On   | 00000000:3A:00.0 Off |                  N/A |
| N/A   33C    P0    42W / 300W |      0MiB / 16160MiB |      0%      Default |
+-------------------------------+----------------------+----------------------+
"""


def read(text, module=nvidia_smi, node="n1"):
    return module.parse(TextDocument("gpu.txt", node, text))


def test_wide_table_gives_readings_with_quotes():
    parsed = read(HEAD + GPU_0 + PROCESSES)
    (window,) = parsed.facts.windows
    assert [str(gpu) for gpu in window.entities] == ["gpu:n1/0"]
    assert window.entities[0].id_map == {"pci": "0000:1b:00.0"}
    assert window.latest(0, "gpu_power_watts") == 412
    assert window.latest(0, "gpu_power_limit_watts") == 700
    assert window.latest(0, "gpu_utilization_ratio") == 0.97
    assert window.latest(0, "gpu_memory_used_bytes") == 70211 * 1024**2
    assert window.latest(0, "gpu_ecc_uncorrected_volatile_total") == 0
    assert window.clock == "local" and len(window.times) == 1
    assert "412W" in window.quotes[0].text and window.quotes[0].line == 10
    assert parsed.facts.coverage == () and parsed.facts.events == () and parsed.unread.unread == 0


def test_old_two_line_table_and_unsupported_ecc():
    (window,) = read(OLD).facts.windows
    assert window.latest(0, "gpu_temperature_celsius") == 33
    assert window.latest(0, "gpu_ecc_uncorrected_volatile_total") is None
    assert window.reasons[0, "gpu_ecc_uncorrected_volatile_total"] == "not_supported"
    assert window.clock == "none"


def test_err_cells_are_events_and_never_zero():
    facts = read(HEAD + GPU_0 + GPU_1_ERR).facts
    assert {event.code for event in facts.events} == {"gpu:err_reading"}
    assert {event.entity.id_map["pci"] for event in facts.events} == {"0000:43:00.0"}
    (window,) = facts.windows
    assert window.latest(1, "gpu_temperature_celsius") is None
    assert window.reasons[1, "gpu_temperature_celsius"] == "error"


def test_list_of_devices():
    text = "".join(
        f"GPU {n}: NVIDIA H100 80GB HBM3 (UUID: GPU-0000000{n}-1111-2222-3333-444444444444)\n" for n in (0, 1)
    )
    text += "  MIG 1g.10gb     Device  0: (UUID: MIG-aaaa)\n"
    assert nvidia_smi.recognise(text.splitlines()) > 0.8
    parsed = read(text)
    (window,) = parsed.facts.windows
    assert [(str(gpu), list(gpu.id_map)) for gpu in window.entities] == [
        ("gpu:n1/0", ["uuid"]),
        ("gpu:n1/1", ["uuid"]),
    ]
    assert parsed.unread.unread == 0 and parsed.facts.coverage == ()


def test_two_tables_are_two_columns():
    later = HEAD.replace("04:12:09", "04:13:09") + GPU_0.replace("41C", "57C")
    (window,) = read(HEAD + GPU_0 + "\n" + later).facts.windows
    assert window.values["gpu_temperature_celsius"].tolist() == [[41.0, 57.0]]
    assert window.times[1] - window.times[0] == 60


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (HEAD + GPU_0 + GPU_1_ERR.splitlines()[0], "the row of GPU 1 is cut"),
        (HEAD + "\n".join(GPU_0.splitlines()[:2]), "the table is cut"),
        (HEAD + GPU_0 + "[...]\n", "the table is cut"),
        (HEAD + GPU_0.replace("|   0 ", "|   2 "), "GPU 0, 1 is not shown"),
    ],
)
def test_truncated_table_reads_what_is_there_and_says_partial(text, why):
    facts = read(text).facts
    assert facts.windows
    (row,) = facts.coverage
    assert row.status == "partial" and row.domain == "gpu" and why in row.reason and row.fix


@pytest.mark.parametrize(
    ("text", "code", "entity"),
    [
        ("No devices were found", "gpu:no_devices", "node:n1"),
        ("Failed to initialize NVML: Driver/library version mismatch", "driver:library_mismatch", "node:n1"),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest "
            "NVIDIA driver is installed and running.",
            "driver:not_loaded",
            "node:n1",
        ),
        (
            "Unable to determine the device handle for GPU 0000:3B:00.0: Unknown Error",
            "gpu:handle_failed",
            "gpu:n1/0000:3b:00.0",
        ),
        ("Unable to determine the device handle for GPU0000:3B:00.0: Not Found", "gpu:handle_failed", None),
        (
            "Unable to determine the device handle for GPU2: 0000:AF:00.0: GPU is lost.  Reboot the system",
            "gpu:lost",
            "gpu:n1/2",
        ),
        (
            "Unable to determine the device handle for GPU 0000:AF:00.0: Insufficient External Power",
            "gpu:power_missing",
            "gpu:n1/0000:af:00.0",
        ),
        (
            "GPU 00000000:AF:00.0: GPU is lost. Reboot the system to recover this GPU.",
            "gpu:lost",
            "gpu:n1/0000:af:00.0",
        ),
    ],
)
def test_error_texts_are_events(text, code, entity):
    assert nvidia_smi.recognise([text]) > 0.8
    facts = read(text).facts
    (event,) = facts.events
    assert event.code == code and event.quote.line == 1
    assert entity is None or str(event.entity) == entity


def test_insufficient_permissions_is_missing_not_healthy():
    (row,) = read("Failed to initialize NVML: Insufficient Permissions").facts.coverage
    assert row.status == "missing" and row.fix == "sudo nvidia-smi"


QUERY = """\
==============NVSMI LOG==============

Timestamp                                 : Tue Mar  3 04:12:09 2026
Driver Version                            : 550.54.15
CUDA Version                              : 12.4

Attached GPUs                             : 2
GPU 00000000:1B:00.0
    Product Name                          : NVIDIA A100-SXM4-80GB
    Serial Number                         : 1320921000000
    GPU UUID                              : GPU-11111111-2222-3333-4444-555555555555
    PCI
        GPU Link Info
            PCIe Generation
                Max                       : 5
                Current                   : 1
                Host Max                  : 4
            Link Width
                Max                       : 16x
                Current                   : 8x
        Replays Since Reset               : 3
    Clocks Event Reasons
        Idle                              : Not Active
        SW Power Cap                      : Active
        HW Slowdown                       : Active
            HW Thermal Slowdown           : Active
            HW Power Brake Slowdown       : Not Active
        SW Thermal Slowdown               : Not Active
    FB Memory Usage
        Total                             : 81920 MiB
        Used                              : 1024 MiB
    Utilization
        Gpu                               : 97 %
    ECC Errors
        Volatile
            SRAM Correctable              : 1
            SRAM Uncorrectable            : 0
            DRAM Correctable              : 12
            DRAM Uncorrectable            : 2
        Aggregate
            DRAM Uncorrectable            : 5
    Remapped Rows
        Correctable Error                 : 0
        Uncorrectable Error               : 1
        Pending                           : Yes
        Remapping Failure Occurred        : No
    Temperature
        GPU Current Temp                  : 88 C
        GPU Slowdown Temp                 : 89 C
    GPU Power Readings
        Power Draw                        : 212.31 W
        Current Power Limit               : 400.00 W
        Default Power Limit               : 400.00 W
    Module Power Readings
        Power Draw                        : 900.00 W
    Max Clocks
        SM                                : 1410 MHz
GPU 00000000:43:00.0
    Product Name                          : GPU is lost
    ECC Errors
        Volatile
            DRAM Correctable              : GPU is lost
"""


def test_query_tree_to_signals():
    facts = read(QUERY, nvidia_smi_query).facts
    (window,) = facts.windows
    rows = {str(entity): number for number, entity in enumerate(window.entities)}
    one = rows["gpu:n1/0"]
    told = {signal: window.latest(one, signal) for signal in window.values}
    assert told["gpu_pcie_width_lanes"] == 8 and told["gpu_pcie_width_max_lanes"] == 16
    assert told["gpu_pcie_generation"] == 1 and told["gpu_pcie_generation_max"] == 4
    assert told["gpu_clock_event_reasons"] == 0x4 | 0x8 | 0x40
    assert told["gpu_ecc_corrected_volatile_total"] == 13
    assert told["gpu_ecc_uncorrected_volatile_total"] == 2
    assert told["gpu_ecc_uncorrected_aggregate_total"] == 5
    assert told["gpu_row_remap_pending"] == 1 and told["gpu_row_remap_failure"] == 0
    assert told["gpu_power_watts"] == 212.31
    assert told["gpu_sm_clock_max_hertz"] == 1410e6
    assert window.latest(rows["node:n1"], "node_gpu_count") == 2
    (quote,) = window.quotes_of(one, "gpu_row_remap_pending")
    assert quote.text.split() == ["Pending", ":", "Yes"]
    assert window.entities[one].id_map["uuid"].startswith("GPU-1111")
    assert facts.coverage == ()


def test_query_of_a_lost_gpu_is_an_event():
    facts = read(QUERY, nvidia_smi_query).facts
    (event,) = facts.events
    assert event.code == "gpu:lost" and str(event.entity) == "gpu:n1/1"
    (window,) = facts.windows
    row = [str(entity) for entity in window.entities].index("gpu:n1/1")
    assert window.reasons[row, "gpu_ecc_corrected_volatile_total"] == "gpu_lost"


def test_query_that_shows_one_of_two_is_partial_and_has_no_index():
    text = QUERY[: QUERY.index("GPU 00000000:43")] + "[...]\n"
    facts = read(text, nvidia_smi_query).facts
    assert [str(entity) for entity in facts.entities] == ["gpu:n1/0000:1b:00.0"]
    (row,) = facts.coverage
    assert "1 of 2 GPUs shown" in row.reason and "cut out" in row.reason


def test_query_that_begins_within_a_gpu_is_read():
    text = QUERY[QUERY.index("    Remapped Rows") : QUERY.index("    Temperature")]
    assert nvidia_smi_query.recognise(text.splitlines()) > 0.3
    (window,) = read(text, nvidia_smi_query).facts.windows
    assert window.latest(0, "gpu_row_remap_pending") == 1


@pytest.mark.parametrize(("key", "word"), [("State", "In Progress"), ("Status", "Failure")])
def test_query_of_a_gpu_that_is_not_in_the_fabric(key, word):
    text = QUERY.replace(
        "    Temperature\n", f"    Fabric\n        {key}                             : {word}\n    Temperature\n"
    )
    assert "fabric:error" in [event.code for event in read(text, nvidia_smi_query).facts.events]
    fine = text.replace(word, "Success")
    assert "fabric:error" not in [event.code for event in read(fine, nvidia_smi_query).facts.events]


NAMES = (
    "timestamp, index, pci.bus_id, temperature.gpu, utilization.gpu [%], memory.used [MiB], power.limit [W], "
    "clocks_throttle_reasons.active, clocks_throttle_reasons.hw_thermal_slowdown, remapped_rows.pending"
)
ROWS = """\
2026/03/04 11:22:33.123, 0, 00000000:07:00.0, 45, 97 %, 4000 MiB, 400.00 W, 0x0000000000000004, Not Active, No
2026/03/04 11:22:33.123, 1, 00000000:0F:00.0, 88, 100 %, 4000 MiB, 400.00 W, 0x0000000000000008, Active, Yes
2026/03/04 11:22:33.123, 2, 00000000:10:00.0, [GPU is lost], [N/A], [N/A], [N/A], [N/A], [N/A], [N/A]
"""
BARE = ROWS.replace(" %", "").replace(" MiB", "").replace(" W", "")
COMMAND = (
    "$ nvidia-smi --query-gpu=" + ",".join(name.split()[0] for name in NAMES.split(", ")) + " --format=csv,noheader"
)


@pytest.mark.parametrize("text", [f"{NAMES}\n{ROWS}", f"{NAMES}\n{BARE}", f"{COMMAND},nounits\n{BARE}"])
def test_csv_with_and_without_units_and_header(text):
    assert nvidia_smi_csv.recognise(text.splitlines()) > 0.9
    facts = read(text, nvidia_smi_csv).facts
    (window,) = facts.windows
    assert [str(gpu) for gpu in window.entities] == ["gpu:n1/0", "gpu:n1/1", "gpu:n1/2"]
    told = {signal: window.latest(1, signal) for signal in window.values}
    assert told["gpu_utilization_ratio"] == 1.0 and told["gpu_memory_used_bytes"] == 4000 * 1024**2
    assert told["gpu_clock_event_reasons"] == 0x48 and told["gpu_row_remap_pending"] == 1.0
    assert window.latest(0, "gpu_row_remap_pending") == 0.0 and window.clock == "local"
    assert [(event.code, str(event.entity)) for event in facts.events] == [("gpu:lost", "gpu:n1/2")]
    assert window.latest(2, "gpu_temperature_celsius") is None
    assert window.reasons[2, "gpu_temperature_celsius"] == "gpu_lost"


@pytest.mark.parametrize("module", [nvidia_smi, nvidia_smi_csv, nvidia_smi_query])
@pytest.mark.parametrize("whole", [HEAD + GPU_0 + GPU_1_ERR + PROCESSES, OLD, QUERY, f"{NAMES}\n{ROWS}"])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(module, whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    text = whole[start:end]
    assert 0.0 <= module.recognise(text.splitlines()[:200]) <= 1.0
    parsed = read(text, module)
    assert parsed.unread.unread <= parsed.unread.total


@pytest.mark.parametrize("module", [nvidia_smi, nvidia_smi_csv, nvidia_smi_query])
@given(text=st.text(st.characters(codec="utf-8"), max_size=400))
def test_any_text_is_read_without_a_crash(module, text):
    assert 0.0 <= module.recognise(text.split("\n")) <= 1.0
    read(text, module)
