"""Traces and metrics reach a collector over HTTP, tell names, counts and times, and no word of the evidence."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from evals.scripted import ScriptedServer

LOG = (
    "Nov 20 02:14:09 n7 kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 31, pid=4711, name=python, Ch 00000010, "
    "intr 00000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f1c_e0000000\n"
)


@pytest.fixture
def collector():
    """An OTLP collector that keeps what it is sent."""
    kept: dict[str, list[bytes]] = {"/v1/traces": [], "/v1/metrics": []}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            packed = self.headers.get("content-encoding") == "gzip"
            kept[self.path].append(gzip.decompress(body) if packed else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", kept
    server.shutdown()
    server.server_close()


def triage(tmp_path, endpoint: str, spec: str) -> subprocess.CompletedProcess[str]:
    (tmp_path / "kern.log").write_text(LOG, encoding="utf-8")
    env = {**os.environ, "DAYTWO_DATA_DIR": str(tmp_path / "data"), "DAYTWO_OTLP_ENDPOINT": endpoint}
    code = "from serve.main import main; main()"
    words = [sys.executable, "-c", code, "triage", str(tmp_path / "kern.log"), "--model", spec, "--json", "--no-store"]
    return subprocess.run(words, env=env, capture_output=True, text=True, timeout=60, check=False)


def read_spans(kept) -> list:
    parsed = [ExportTraceServiceRequest.FromString(body) for body in kept["/v1/traces"]]
    return [
        s for one in parsed for resource in one.resource_spans for scope in resource.scope_spans for s in scope.spans
    ]


def test_a_case_is_one_trace_with_a_span_for_each_call_and_tool(tmp_path, collector) -> None:
    endpoint, kept = collector
    with ScriptedServer("careful") as server:
        result = triage(tmp_path, endpoint, server.spec)
    assert result.returncode in (0, 1), result.stderr
    spans = read_spans(kept)
    by_kind: dict[str, list] = {}
    for span in spans:
        told = {one.key: one.value for one in span.attributes}
        by_kind.setdefault(told["gen_ai.operation.name"].string_value, []).append((span, told))
    assert len(by_kind["invoke_agent"]) == 1
    root, told = by_kind["invoke_agent"][0]
    assert told["daytwo.action"].string_value
    assert {span.trace_id for span in spans} == {root.trace_id}
    assert all(span.parent_span_id == root.span_id for kind in ("chat", "execute_tool") for span, _ in by_kind[kind])
    assert all(told["gen_ai.usage.input_tokens"].int_value > 0 for _, told in by_kind["chat"])
    assert all(told["gen_ai.request.model"].string_value == "scripted" for _, told in by_kind["chat"])
    assert all(b"MMU Fault" not in body for bodies in kept.values() for body in bodies)


def test_tokens_and_seconds_are_counted(tmp_path, collector) -> None:
    endpoint, kept = collector
    with ScriptedServer("careful") as server:
        triage(tmp_path, endpoint, server.spec)
    parsed = [ExportMetricsServiceRequest.FromString(body) for body in kept["/v1/metrics"]]
    names = {m.name for one in parsed for r in one.resource_metrics for scope in r.scope_metrics for m in scope.metrics}
    assert {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"} <= names


def test_a_collector_that_is_gone_costs_no_verdict(tmp_path) -> None:
    with ScriptedServer("careful") as server:
        result = triage(tmp_path, "http://127.0.0.1:9", server.spec)
    assert '"daytwo.triage/1"' in result.stdout
    assert result.returncode in (0, 1)
