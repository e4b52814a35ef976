"""Tables around GPU jobs: DCGM's monitor, health and policy, pods and nodes of Kubernetes, nodes of Slurm."""

from __future__ import annotations

import json

from tools.document import TextDocument
from tools.parsers import dcgmi, gpu_processes, kube_tables, nvidia_smi_csv, slurm_tables
from tools.types import Document, Event


def document(text: str) -> Document:
    return TextDocument("x.txt", "n7", text)


def codes(events: tuple[Event, ...]) -> list[tuple[str, str]]:
    return [(event.code, event.entity.name or event.entity.node) for event in events]


MONITOR = """\
#Entity   TMPTR        POWER     GPUTL     SMCLK
ID        C            W                   MHz
GPU 0     34           61.202    0         1410
GPU 1     36           63.015    97        N/A
"""


def test_the_monitor_of_dcgm_is_read_as_readings_of_each_gpu() -> None:
    assert gpu_processes.recognise(MONITOR.splitlines()) > 0.9
    parsed = gpu_processes.parse(document(MONITOR))
    window = parsed.facts.windows[0]
    assert {entity.name for entity in window.entities} == {"0", "1"}
    assert parsed.facts.events == ()
    assert parsed.unread.unread == 0


def health(value: str, errors: dict[str, object]) -> str:
    gpu = {"children": {"5": {"value": value, "children": {"Errors": {"children": errors}}}}}
    body = {"Overall Health": {"value": value}, "GPU": gpu}
    return json.dumps({"body": body, "header": ["Health Monitor Report"]}, indent=2)


def test_the_health_report_of_dcgm_as_json_tells_what_failed_and_where() -> None:
    text = "Detected 2 volatile double-bit ECC error(s) in GPU 5. Drain the GPU and reset it or reboot the node."
    failed = health("Failure", {"Memory system": {"value": "Failure", "children": {"Error": {"value": text}}}})
    assert dcgmi.recognise(failed.splitlines()) > 0.9
    assert codes(dcgmi.parse(document(failed)).facts.events) == [("dcgm:memory_uncorrectable", "5")]
    assert codes(dcgmi.parse(document(health("Failure", {}))).facts.events) == [("dcgm:fail", "n7")]
    assert dcgmi.parse(document(health("Healthy", {}))).facts.events == ()


def test_a_list_of_devices_is_no_finding() -> None:
    listed = (
        "2 GPUs found.\n+--------+-----------+\n| GPU ID | Device Information   |\n+--------+-----------+\n"
        "| 0      | Name: NVIDIA H100 80GB HBM3 |\n|        | PCI Bus ID: 00000000:19:00.0 |\n+--------+-----------+\n"
    )
    assert dcgmi.recognise(listed.splitlines()) > 0.9
    assert dcgmi.parse(document(listed)).facts.events == ()


NODES = """\
NAME        STATUS                     ROLES    AGE    VERSION
gpu-node1   Ready                      <none>   120d   v1.27.3
gpu-node2   NotReady                   <none>   120d   v1.27.3
gpu-node3   Ready,SchedulingDisabled   <none>   120d   v1.27.3
"""
PODS = """\
NAMESPACE   NAME            READY   STATUS             RESTARTS       AGE
ml          train-0         1/1     Running            0              5h
ml          train-1         0/1     OOMKilled          3 (2m ago)     5h
ml          old-2           0/1     Completed          0              1d
ml          serve-3         0/1     ImagePullBackOff   0              5h
ml          serve-4         0/1     Init:Error         0              5h
"""


def test_nodes_and_pods_are_told_where_they_are_not_well() -> None:
    assert kube_tables.recognise(NODES.splitlines()) > 0.9
    assert kube_tables.recognise(PODS.splitlines()) > 0.9
    assert kube_tables.recognise(["NAME   TYPE   CLUSTER-IP   EXTERNAL-IP"]) == 0.0
    assert codes(kube_tables.parse(document(NODES)).facts.events) == [("kube:node_not_ready", "gpu-node2")]
    pods = kube_tables.parse(document(PODS)).facts.events
    assert [event.code for event in pods] == ["oom:kill", "job:precondition", "job:failed"]
    assert pods[0].fields["process"] == "train-1"


def test_one_unreadable_cell_of_a_row_is_no_lost_gpu_and_a_row_of_them_is() -> None:
    head = "index, name, temperature.gpu, power.draw [W], utilization.gpu [%], fan.speed [%], power.default_limit [W]\n"
    one = head + "0, GeForce RTX 2080 Ti, 56, 228.82, 100, 56, [Unknown Error]\n"
    many = head + "0, GeForce RTX 2080 Ti, [Unknown Error], [Unknown Error], [Unknown Error], 56, [Unknown Error]\n"
    assert codes(nvidia_smi_csv.parse(document(one)).facts.events) == [("gpu:cell_unreadable", "0")]
    assert codes(nvidia_smi_csv.parse(document(many)).facts.events) == [("gpu:err_reading", "0")]


def test_a_partition_where_every_node_works_was_read_and_tells_of_no_fault() -> None:
    listed = "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST\ngpu*  up 7-00:00:00  4  mix gpu[01-04]\n"
    assert slurm_tables.DOMAIN == "application"
    assert slurm_tables.parse(document(listed)).facts.events == ()
