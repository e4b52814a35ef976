import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.document import TextDocument
from tools.parsers import dcgmi, nvlink

WELL = """\
Successfully ran diagnostic for group.
+---------------------------+------------------------------------------------+
| Diagnostic                | Result                                         |
+===========================+================================================+
|-----  Metadata  ----------+------------------------------------------------|
| DCGM Version              | 3.3.5                                          |
| Driver Version Detected   | 550.54.15                                      |
| GPU Device IDs Detected   | 2330,2330                                      |
|-----  Deployment  --------+------------------------------------------------|
| Denylist                  | Pass                                           |
| NVML Library              | Pass                                           |
| Page Retirement/Row Remap | Pass                                           |
+-----  Hardware  ----------+------------------------------------------------+
| GPU Memory                | Pass - All                                     |
| Pulse Test                | Skip - All                                     |
+---------------------------+------------------------------------------------+
"""


def diag(test, result, note="", text=""):
    rows = [f"| {test:25} | {result:46} |"]
    rows += [f"| {note if not i else '':25} | {part:46} |" for i, part in enumerate(text.split("/")) if text]
    return WELL.replace("| Pulse Test", "\n".join([*rows, "| Pulse Test"]))


HEALTH = """\
+---------------------------+----------------------------------------------------------+
| Health Monitor Report                                                                |
+===========================+==========================================================+
| Overall Health            | {overall:56} |
| GPU                       |                                                          |
| -> 4                      | Warning                                                  |
|    -> Errors              |                                                          |
|       -> PCIe system      | Warning                                                  |
|                           | Detected more than 8 PCIe replays per minute for GPU 4 : |
|                           | 31 Reconnect PCIe card.                                  |
+---------------------------+----------------------------------------------------------+
"""
HEALTHY = """\
+---------------------------+----------------------------------------------------------+
| Health Monitor Report                                                                |
+===========================+==========================================================+
| Overall Health            | Healthy                                                  |
+---------------------------+----------------------------------------------------------+
"""
JSON = {
    "DCGM Diagnostic": {
        "test_categories": [
            {
                "category": "Hardware",
                "tests": [
                    {
                        "name": "memory",
                        "results": [
                            {"entity_group": "GPU", "entity_id": 0, "status": "Pass"},
                            {
                                "entity_group": "GPU",
                                "entity_id": 1,
                                "status": "Fail",
                                "warnings": [
                                    {
                                        "error_id": 80,
                                        "warning": "GPU 1 had memory errors and row remappings are pending",
                                    }
                                ],
                            },
                        ],
                        "test_summary": {"status": "Fail"},
                    },
                    {"name": "pcie", "results": [{"gpu_id": "2", "status": "Fail"}]},
                ],
            }
        ]
    }
}
SMI_STATE = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)
\t Link 0: 26.562 GB/s
\t Link 1: 26.562 GB/s
GPU 1: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000001)
\t Link 0: 26.562 GB/s
\t Link 1: <inactive>
"""
SMI_ERRORS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-00000000-0000-0000-0000-000000000000)
\t Link 0: Replay Errors: 0
\t Link 0: Recovery Errors: {count}
\t Link 0: CRC Errors: 0
"""
DCGM_STATE = """\
+----------------------+
|  NvLink Link Status  |
+----------------------+
GPUs:
    gpuId 0:
        U U U U
    gpuId 1:
        U D U D
NvSwitches:
    physicalId 8:
        U U D D X X

Key: Up=U, Down=D, Disabled=X, Not Supported=_
"""
TOPOLOGY = """\
\tGPU0\tGPU1\tNIC0\tCPU Affinity\tNUMA Affinity\tGPU NUMA ID
GPU0\t X \tNV18\tPXB\t0-47\t0\t\tN/A
GPU1\tNV18\t X \tSYS\t48-95\t1\t\tN/A
NIC0\tPXB\tSYS\t X

Legend:

  X    = Self
  SYS  = Connection traversing PCIe as well as the SMP interconnect between NUMA nodes
"""


def read(text, parser=dcgmi):
    return parser.parse(TextDocument("d.txt", "n1", text))


def told(text, parser=dcgmi):
    return [(event.code, str(event.entity)) for event in read(text, parser).facts.events]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (WELL, []),
        (diag("PCIe", "Fail - GPU: 3", "Warning: GPU 3", "GPU 3 is running at PCI link width/8X, which is below the minimum"),
         [("dcgm:pcie_link", "gpu:n1/3")]),
        (diag("GPU Memory", "Fail - GPU: 1"), [("dcgm:memory_faulty", "gpu:n1/1")]),
        (diag("GPU Memory", "Fail", "Warning", "Detected 2 volatile double-bit ECC error(s) in GPU/5. Drain the GPU."),
         [("dcgm:memory_uncorrectable", "gpu:n1/5")]),
        (diag("Diagnostic", "Warn", "Warning: GPU 2", "Detected clock throttling due to thermal/violation in GPU 2."),
         [("dcgm:thermal", "gpu:n1/2")]),
        (diag("Persistence Mode", "Fail", "Warning: GPU 0", "Persistence mode for GPU 0 is disabled."),
         [("dcgm:precondition", "gpu:n1/0")]),
        (diag("GPU Memory", "Fail", "Warning", "Detected XID 79 for GPU 6"), [("xid:79", "gpu:n1/6")]),
        (diag("Memtest", "Fail", "", "GPU0: Pass/GPU1: Fail"), [("dcgm:memory_faulty", "gpu:n1/1")]),
        (diag("Software", "Fail", "Error", "Something that nobody ever saw"), [("dcgm:fail", "node:n1")]),
        (HEALTHY, []),
        (HEALTH.format(overall="Warning"), [("dcgm:pcie_replay", "gpu:n1/4")]),
        (HEALTHY.replace("Healthy", "Failure"), [("dcgm:fail", "node:n1")]),
        (json.dumps(JSON, indent=1), [("dcgm:remap_pending", "gpu:n1/1"), ("dcgm:pcie_failed", "gpu:n1/2")]),
    ],
)  # fmt: skip
def test_a_failed_test_is_told_once(text, expected):
    assert dcgmi.recognise(text.splitlines()) >= 0.9
    parsed = read(text)
    assert told(text) == expected
    assert parsed.unread.unread == 0 and not parsed.facts.coverage


def test_the_test_and_the_text_stay_with_the_event():
    (event,) = read(
        diag("PCIe", "Fail", "Warning: GPU 3", "GPU 3 host-side PCIe replay violation/see dmesg")
    ).facts.events
    assert event.fields == {"test": "PCIe", "gpu": "3", "text": "GPU 3 host-side PCIe replay violation see dmesg"}


def test_no_host_engine_is_no_answer():
    (gap,) = read("Error: Unable to connect to host engine. Host engine might not be running.\n").facts.coverage
    assert gap.status == "missing" and gap.fix


def test_a_table_that_is_cut_says_so():
    (gap,) = read(WELL[: WELL.index("| GPU Memory")].rstrip("+-\n")).facts.coverage
    assert gap.status == "partial" and "cut" in gap.reason


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SMI_STATE, [("nvlink:down", "gpu:n1/1")]),
        (SMI_STATE.replace("26.562 GB/s", "<inactive>"), [("nvlink:all_inactive", f"gpu:n1/{i}") for i in (0, 1)]),
        (SMI_ERRORS.format(count=0), []),
        (SMI_ERRORS.format(count=9), [("nvlink:errors", "gpu:n1/0")]),
        (DCGM_STATE, [("nvlink:down", "gpu:n1/1")]),
        (TOPOLOGY, []),
    ],
)
def test_links(text, expected):
    assert nvlink.recognise(text.splitlines()) >= 0.9
    assert told(text, nvlink) == expected
    assert read(text, nvlink).unread.unread == 0


def test_links_that_are_up_are_counted():
    (window,) = read(DCGM_STATE, nvlink).facts.windows
    assert [window.latest(row, "gpu_nvlink_active_links") for row in (0, 1)] == [4.0, 2.0]


WHOLE = [
    diag("PCIe", "Fail", "Warning: GPU 3", "a/b"),
    HEALTH.format(overall="Warning"),
    json.dumps(JSON),
    SMI_STATE,
    DCGM_STATE,
]


@pytest.mark.parametrize("whole", [*WHOLE, TOPOLOGY])
@given(data=st.data())
def test_any_truncation_is_read_without_a_crash(whole, data):
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    for parser in (dcgmi, nvlink):
        assert 0.0 <= parser.recognise(whole[start:end].split("\n")) <= 1.0
        read(whole[start:end], parser)


@given(
    st.recursive(
        st.none() | st.integers() | st.text(max_size=5) | st.just("Fail"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["name", "status", "warnings", "warning", "results", "gpu_id"]), inner, max_size=4
            )
        ),
        max_leaves=10,
    )
)
def test_any_json_is_read_without_a_crash(value):
    read("{" + json.dumps({"x": value})[1:])


def test_a_word_that_the_table_breaks_is_still_read():
    text = diag("Environment Variables", "Fail", "Error", "Found CUDA_VISIBLE_DEVICES en/vironment variable set")
    assert told(text) == [("dcgm:precondition", "node:n1")]
