"""The API as a caller meets it: the real command, a real server on loopback, a real client."""

from __future__ import annotations

import gzip
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from agent.settings import Settings
from serve.api import build_api, limit_unpacking, name_files
from serve.server import find_token, is_loopback, parse_bind
from tools.errors import OperatorError, SiteConfigError

DAYTWO = str(Path(sys.executable).parent / "daytwo")
MAX_UPLOAD = 200_000
XID = "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
LOG = f"Nov 20 02:14:09 n7 kernel: [18934.214926] {XID}\n"


def build_environment(folder: Path, **more: str) -> dict[str, str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("DAYTWO_")}
    return {**clean, "DAYTWO_DATA_DIR": str(folder), **more}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    process = subprocess.Popen(
        [DAYTWO, "serve", "--bind", "127.0.0.1:0"],
        env=build_environment(folder, DAYTWO_MAX_UPLOAD_BYTES=str(MAX_UPLOAD)),
        stderr=subprocess.PIPE,
        text=True,
    )
    said = process.stderr.readline()
    assert "listening on http://127.0.0.1:" in said, said
    address = said.split("http://")[1].split(",")[0]
    yield folder, f"http://{address}"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=20) in (0, 130)


@pytest.fixture(scope="module")
def client(server):
    folder, base = server
    token = (folder / "token").read_text(encoding="ascii").strip()
    with httpx.Client(base_url=base, headers={"Authorization": f"Bearer {token}"}, timeout=60) as client:
        yield client


def test_health_is_open(server):
    answer = httpx.get(server[1] + "/healthz")
    assert answer.status_code == 200
    assert answer.json()["status"] == "ok"


def test_token_is_private_and_needed(server):
    folder, base = server
    assert stat.S_IMODE((folder / "token").stat().st_mode) == 0o600
    for headers in (
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic eDp5"},
        {"Authorization": "Bearer é"},
    ):
        encoded = {key: value.encode() for key, value in headers.items()}
        for method, path in (("GET", "/v1/verdicts"), ("GET", "/v1/verdicts/v-1"), ("POST", "/v1/triage")):
            answer = httpx.request(method, base + path, headers=encoded)
            assert answer.status_code == 401, (headers, path)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert answer.json()["next"]


def test_triage_of_a_text_is_answered_and_kept(client):
    answer = client.post("/v1/triage", json={"text": LOG, "name": "kern.log"})
    assert answer.status_code == 200
    report = answer.json()
    assert report["schema"] == "daytwo.triage/1"
    first = report["verdicts"][0]
    assert (first["fault"], first["evidence"][0]["source"]) == ("gpu_off_bus", "kern.log:1")
    assert client.get(f"/v1/verdicts/{first['verdict_id']}").json() == first
    kept = client.get("/v1/verdicts", params={"fault": "gpu_off_bus", "entity": "node:n7", "since": "1h"}).json()
    assert first["verdict_id"] in [verdict["verdict_id"] for verdict in kept["verdicts"]]
    assert client.get("/v1/verdicts", params={"fault": "io_saturated"}).json()["verdicts"] == []


def test_triage_of_files(client):
    files = [("files", ("a/kern.log", LOG.encode())), ("files", ("b\\kern.log", LOG.replace("n7", "n8").encode()))]
    report = client.post("/v1/triage", files=files).json()
    subjects = {verdict["subject"]["entity"].partition("/")[0] for verdict in report["verdicts"]}
    assert {"gpu:n7", "gpu:n8"} <= subjects


def test_what_unpacks_to_too_much_is_cut_and_says_so(client):
    """A bomb: some 6 MB of one line; the limit of this server is sixteen bodies."""
    packed = gzip.compress((LOG + LOG.replace(XID, "usb 1-4: new device") * 80_000).encode())
    assert len(packed) < MAX_UPLOAD
    report = client.post("/v1/triage", files=[("files", ("kern.log.gz", packed))]).json()
    assert report["verdicts"][0]["fault"] == "gpu_off_bus"
    (cut,) = [row for row in report["coverage"] if row["status"] == "partial"]
    assert str(16 * MAX_UPLOAD) in cut["reason"]


def test_files_share_the_limit_and_plain_ones_are_never_cut():
    settings = Settings(max_upload_bytes=100)
    assert limit_unpacking({"a": b"x"}, settings).max_input_bytes == 1600
    assert limit_unpacking({str(n): b"x" for n in range(160)}, settings).max_input_bytes == 10
    assert limit_unpacking({"big": b"x" * 90, **{str(n): b"x" for n in range(160)}}, settings).max_input_bytes == 90


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_reading_keeps_no_store_open(tmp_path):
    settings = Settings(data_dir=tmp_path)
    with TestClient(build_api(settings, "t"), headers={"Authorization": "Bearer t"}) as near:
        assert near.post("/v1/triage", json={"text": LOG}).status_code == 200
        for _ in range(5):
            assert len(near.get("/v1/verdicts").json()["verdicts"]) == 1
        held = [os.readlink(one) for one in Path("/proc/self/fd").iterdir() if one.exists()]
    assert [name for name in held if "daytwo.db" in name] == []


def test_a_name_is_never_a_path(client, tmp_path):
    target = tmp_path / "escaped.log"
    answer = client.post("/v1/triage", json={"text": LOG, "name": f"../../../../../..{target}"})
    assert answer.status_code == 200
    assert not target.exists()
    assert answer.json()["verdicts"][0]["evidence"][0]["source"] == "escaped.log:1"


@pytest.mark.parametrize("name", ["..", "../..", "/", "", ".", "...", "a/..", "\x00", "..\\..", "-rf", "é" * 300])
def test_every_name_becomes_a_plain_file_name(name):
    (made,) = name_files([(name, b"x")])
    assert made == Path(made).name
    assert made not in ("", ".", "..")
    assert len(made) <= 80


def test_two_files_of_one_name_both_stay():
    assert sorted(name_files([("k.log", b"1"), ("x/k.log", b"2")])) == ["2-k.log", "k.log"]


def test_too_large_is_413_before_it_is_read(client):
    answer = client.post("/v1/triage", json={"text": "x" * (MAX_UPLOAD + 1)})
    assert answer.status_code == 413
    assert "DAYTWO_MAX_UPLOAD_BYTES" in answer.json()["next"]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_too_large_without_a_told_length_is_413(client, kind):
    def pieces():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="k"\r\n\r\n'
        for _ in range(MAX_UPLOAD // 1000 + 10):
            yield b"y" * 1000

    answer = client.post("/v1/triage", content=pieces(), headers={"content-type": kind})
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (b"{", "application/json", 422),
        (b"[]", "application/json", 422),
        (b'{"text": ""}', "application/json", 422),
        (b'{"text": "x", "more": 1}', "application/json", 422),
        (b"plain", "text/plain", 415),
        (b"", "", 415),
        (b"--x--\r\n", "multipart/form-data; boundary=x", 422),
        (b"nonsense", "multipart/form-data", 400),
    ],
)
def test_bad_bodies(client, body, kind, code):
    answer = client.post("/v1/triage", content=body, headers={"content-type": kind} if kind else {})
    assert answer.status_code == code
    assert answer.json()["error"]
    assert "-F files=@kern.log http://" in answer.json()["next"]
    assert answer.json()["next"].endswith("/v1/triage")


def test_what_a_refused_first_try_is_told_to_type_works(client, tmp_path):
    """`curl --data-binary @kern.log` is what people try first; each example in the answer is run as it stands."""
    told = client.post(
        "/v1/triage", content=LOG.encode(), headers={"content-type": "application/x-www-form-urlencoded"}
    )
    assert told.status_code == 415
    assert "-F files=@kern.log" in told.json()["next"]
    files = {"files": ("kern.log", LOG.encode())}
    assert client.post("/v1/triage", files=files).json()["verdicts"][0]["fault"] == "gpu_off_bus"
    hint = client.post("/v1/triage", json={}).json()["next"]
    body = json.loads(shlex.split(hint)[shlex.split(hint).index("--json") + 1])
    assert client.post("/v1/triage", json={**body, "text": LOG}).json()["verdicts"][0]["fault"] == "gpu_off_bus"


def test_nothing_known_is_never_healthy(client):
    answer = client.post("/v1/triage", json={"text": "hello\nworld\n"})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("Nothing in the request could be read")


def test_several_at_once_are_all_answered(client):
    def ask(number: int) -> int:
        return client.post("/v1/triage", json={"text": LOG.replace("n7", f"n{number}")}).status_code

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(12))) == [200] * 12
    kept = client.get("/v1/verdicts", params={"limit": 1000, "fault": "gpu_off_bus"}).json()["verdicts"]
    assert {f"gpu:n{number}" for number in range(12)} <= {v["subject"]["entity"].partition("/")[0] for v in kept}


def test_reading_what_is_not_there(client):
    assert client.get("/v1/verdicts/v-nope").status_code == 404
    assert client.get("/v1/verdicts", params={"limit": 0}).status_code == 422
    bad = client.get("/v1/verdicts", params={"since": "yesterday"})
    assert bad.status_code == 422
    assert "2h" in bad.json()["next"]


def test_openapi_names_the_contract(client):
    document = client.get("/openapi.json").json()
    verdicts = {"/v1/verdicts", "/v1/verdicts/{verdict_id}"}
    assert set(document["paths"]) == {"/healthz", "/metrics", "/v1/triage", *verdicts}
    body = document["paths"]["/v1/triage"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "multipart/form-data"}
    assert "TriageReport" in document["components"]["schemas"]


def run_serve(folder: Path, bind: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [DAYTWO, "serve", "--bind", bind],
        env=build_environment(folder, **environment),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_other_addresses_need_a_chosen_token(tmp_path):
    result = run_serve(tmp_path, "0.0.0.0:0")
    assert result.returncode == 2
    assert "DAYTWO_API_TOKEN" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_taken_port_is_one_sentence(tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        result = run_serve(tmp_path, f"127.0.0.1:{taken.getsockname()[1]}")
    assert result.returncode == 2
    assert result.stderr.startswith("daytwo: The API cannot listen on 127.0.0.1:")
    assert "Traceback" not in result.stderr


def test_bind_and_loopback():
    assert parse_bind("127.0.0.1:80") == ("127.0.0.1", 80)
    assert parse_bind("[::1]:80") == ("::1", 80)
    for bad in ("80", ":80", "host:", "host:http", "h:70000"):
        with pytest.raises(OperatorError):
            parse_bind(bad)
    assert [is_loopback(h) for h in ("127.0.0.9", "::1", "localhost", "0.0.0.0", "10.0.0.1", "::", "myhost")] == [
        True, True, True, False, False, False, False,
    ]  # fmt: skip


def test_token_is_made_once_and_must_stay_private(tmp_path):
    settings = Settings(data_dir=tmp_path)
    token, place = find_token(settings)
    assert len(token) >= 40
    assert place == str(tmp_path / "token")
    assert find_token(settings) == (token, place)
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(SiteConfigError, match="Others") as caught:
        find_token(settings)
    assert caught.value.fix == f"chmod 600 {tmp_path / 'token'}"
    assert find_token(Settings(data_dir=tmp_path, api_token="abc")) == ("abc", "DAYTWO_API_TOKEN")


def test_what_was_done_is_counted_for_prometheus(tmp_path):
    from prometheus_client.parser import text_string_to_metric_families

    client = TestClient(build_api(Settings(data_dir=tmp_path), "t0ken"))
    assert client.get("/metrics").status_code == 401
    client.headers["Authorization"] = "Bearer t0ken"
    client.post("/v1/triage", json={"text": LOG})
    families = {f.name: f for f in text_string_to_metric_families(client.get("/metrics").text)}
    counted = {s.labels["fault"]: s.value for s in families["daytwo_verdicts"].samples if s.name.endswith("_total")}
    assert counted == {"gpu_off_bus": 1.0}
    assert next(s.value for s in families["daytwo_triage_seconds"].samples if s.name.endswith("_count")) == 1.0
    assert not [s for s in families["daytwo_model_calls"].samples if s.value]


def test_requests_are_logged_as_json_without_tokens_and_escapes(tmp_path, capsys):
    from serve.logs import start_logs

    start_logs("json")
    client = TestClient(build_api(Settings(data_dir=tmp_path), "t0ken"), headers={"Authorization": "Bearer t0ken"})
    client.get("/v1/verdicts/%1b[31mred")
    line = json.loads(capsys.readouterr().err.splitlines()[-1])
    assert (line["status"], line["method"], line["level"]) == (404, "GET", "info")
    assert "t0ken" not in json.dumps(line)
    assert "\x1b" not in line["path"]
