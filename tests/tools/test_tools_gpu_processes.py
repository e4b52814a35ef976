import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.detectors import gpu_flags, gpu_processes, gpu_throttle
from tools.document import TextDocument
from tools.parsers import gpu_processes as small
from tools.parsers import nvidia_smi, nvidia_smi_query, nvidia_smi_xml

ROW = """\
|   {index}  NVIDIA A100-SXM4-80GB           On | 00000000:{bus}:00.0 Off |                    0 |
| N/A   40C    P0              62W / 400W |  {used}MiB / 81920MiB |      {load}%      Default |
|                                         |                      |             Disabled |
"""
PROCESSES = """\
+-----------------------------------------------------------------------------+
| Processes:                                                                  |
|  GPU   GI   CI        PID   Type   Process name                  GPU Memory |
|        ID   ID                                                   Usage      |
|=============================================================================|
{rows}+-----------------------------------------------------------------------------+
"""
DEAD = "|    2   N/A  N/A     88123      C   [Not Found]                     61002MiB |\n"
ALIVE = "|    0   N/A  N/A     88124      C   python3                         61002MiB |\n"
NOBODY = "|  No running processes found                                                 |\n"
GPUSTAT = """\
gpu-4                      Tue Mar  3 04:12:09 2026  535.104.05
[0] NVIDIA L40S | 41'C,   0 % |     3 / 46068 MB |
[1] NVIDIA L40S | 67'C,  98 % | 30112 / 46068 MB | ann:python/4123(30104M)
[2] NVIDIA L40S | 60'C, 100 % | 21007 / 46068 MB | (null)
"""
APPS = "pid, process_name, used_gpu_memory [MiB]\n4123, python3, 30104 MiB\n9911, [Not Found], 21007 MiB\n"
DMON = """\
# gpu    pwr  gtemp  mtemp     sm    mem    enc    dec   mclk   pclk
# Idx      W      C      C      %      %      %      %    MHz    MHz
    0    310     61     70     98     40      0      0   1593   1410
    1     60      -      -      0      0      0      0   1593    210
"""
PMON = """\
# gpu         pid   type     sm    mem    enc    dec    command
# Idx           #    C/G      %      %      %      %    name
    0       4123     C     97     40      -      -    python3
"""
DUMP = "Found 2 NVIDIA devices\nError: nvmlDeviceGetHandleByIndex(): Unknown Error\nFAILED to get details on GPU (0x1): Unknown Error\n"
XML = """\
<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
\t<timestamp>Tue Mar  3 04:12:09 2026</timestamp>
\t<attached_gpus>1</attached_gpus>
\t<gpu id="00000000:3B:00.0">
\t\t<uuid>GPU-00000000-0000-0000-0000-000000000000</uuid>
\t\t<fb_memory_usage>
\t\t\t<total>81559 MiB</total>
\t\t\t<used>10 MiB</used>
\t\t</fb_memory_usage>
\t\t<ecc_errors>
\t\t\t<volatile>
\t\t\t\t<dram_uncorrectable>2</dram_uncorrectable>
\t\t\t</volatile>
\t\t</ecc_errors>
\t\t<remapped_rows>
\t\t\t<remapped_row_pending>Yes</remapped_row_pending>
\t\t\t<remapped_row_failure>No</remapped_row_failure>
\t\t</remapped_rows>
\t\t<clocks_event_reasons>
\t\t\t<clocks_event_reason_gpu_idle>Active</clocks_event_reason_gpu_idle>
\t\t\t<clocks_event_reason_hw_thermal_slowdown>Active</clocks_event_reason_hw_thermal_slowdown>
\t\t</clocks_event_reasons>
\t</gpu>
</nvidia_smi_log>
"""


def read(text, parser):
    return parser.parse(TextDocument("gpu.txt", "n1", text))


def told(text, parser):
    return [(event.code, event.entity.name) for event in read(text, parser).facts.events]


def test_a_process_table_alone_names_the_dead():
    text = PROCESSES.format(rows=DEAD + ALIVE)
    assert nvidia_smi.recognise(text.splitlines()) >= 0.9
    assert told(text, nvidia_smi) == [("gpu:process_gone", "2")]
    assert told(PROCESSES.format(rows=ALIVE), nvidia_smi) == []
    assert read(text, nvidia_smi).unread.unread == 0 and not read(text, nvidia_smi).facts.coverage


@pytest.mark.parametrize(
    ("used", "load", "rows", "found"),
    [(30000, 0, NOBODY, 1), (30000, 0, ALIVE, 0), (30000, 97, NOBODY, 0), (4, 0, NOBODY, 0)],
)
def test_memory_that_nobody_holds(used, load, rows, found):
    text = ROW.format(index=0, bus="07", used=used, load=load) + PROCESSES.format(rows=rows)
    findings = gpu_processes.detect(read(text, nvidia_smi).facts)
    assert [(finding.fault_hint, finding.score < 1) for finding in findings] == [("gpu_process_leak", True)] * found


def test_rows_without_head_and_foot_are_whole_and_gaps_between_them_are_not():
    row_6, row_7 = (ROW.format(index=i, bus=f"0{i}", used=1, load=0) for i in (6, 7))
    (coverage,) = read(row_6 + row_7, nvidia_smi).facts.coverage
    assert coverage.status == "partial" and not coverage.fix
    row_4 = row_6.replace("|   6", "|   4")
    (coverage,) = read(row_4 + row_7, nvidia_smi).facts.coverage
    assert coverage.fix


@pytest.mark.parametrize(
    ("text", "signal", "expected"),
    [
        (
            "Retired Pages\n    Single Bit ECC : 0\n    Double Bit ECC : 2\n    Pending Page Blacklist : Yes\n",
            "gpu_retired_pages_pending",
            1.0,
        ),
        (
            "    Remapped Rows\n        Correctable Error : 0\n        Uncorrectable Error : 4\n        Pending : No\n",
            "gpu_row_remap_uncorrected_total",
            4.0,
        ),
        (
            "        Idle  : Not Active\n        SW Power Cap : Active\n        HW Slowdown : Not Active\n",
            "gpu_clock_event_reasons",
            4.0,
        ),
    ],
)
def test_a_section_alone_is_known(text, signal, expected):
    assert nvidia_smi_query.recognise(text.splitlines()) >= 0.6
    (window,) = read(text, nvidia_smi_query).facts.windows
    assert window.latest(0, signal) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GPUSTAT, [("gpu:process_gone", "2")]),
        (APPS, [("gpu:process_gone", "?")]),
        (DMON, []),
        (PMON, []),
        (DUMP, [("gpu:handle_failed", "1")]),
    ],
)
def test_small_tables(text, expected):
    assert small.recognise(text.splitlines()) >= 0.9
    assert told(text, small) == expected


def test_readings_of_small_tables():
    (window,) = read(DMON, small).facts.windows
    assert window.latest(0, "gpu_power_watts") == 310 and window.latest(1, "gpu_temperature_celsius") is None
    (window,) = read(GPUSTAT, small).facts.windows
    assert window.latest(1, "gpu_utilization_ratio") == 0.98


def test_xml_is_read_as_its_text_form_and_quoted_as_it_stands():
    assert nvidia_smi_xml.recognise(XML.splitlines()) == 1.0
    facts = read(XML, nvidia_smi_xml).facts
    findings = gpu_flags.detect(facts) + gpu_throttle.detect(facts)
    assert {finding.fault_hint for finding in findings} == {
        "gpu_memory_uncorrectable",
        "gpu_memory_remap_pending",
        "gpu_thermal_throttle",
    }
    assert all(quote.text.strip() in XML for finding in findings for quote in finding.quotes)
    assert findings[0].entity.id_map["pci"] == "0000:3b:00.0" and not facts.coverage


@pytest.mark.parametrize("whole", [PROCESSES.format(rows=DEAD), GPUSTAT, APPS, DMON, DUMP, XML])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    for parser in (small, nvidia_smi, nvidia_smi_xml):
        assert 0.0 <= parser.recognise(whole[start:end].split("\n")) <= 1.0
        read(whole[start:end], parser)
