"""The command as a person or a script meets it: real processes, every kind of bad input, exit codes, one document."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.types import TriageReport
from evals.scripted import ScriptedServer

DAYTWO = str(Path(sys.executable).parent / "daytwo")
ROOT = Path(__file__).parents[2]
BAD_NIGHT = ROOT / "examples" / "bad-night"
XID = "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
LOST = f"Nov 20 02:14:09 n7 kernel: [18934.214926] {XID}\n"
QUIET = "".join(
    f"Nov 20 02:{minute:02d}:00 n7 kernel: [{9000 + minute}.000000] perf: interrupt took too long "
    f"({minute + 2500} > 2500), lowering kernel.perf_event_max_sample_rate to 50000\n"
    for minute in range(20)
)
KILLED = "Nov 20 02:24:59 n7 kernel: [18945.02] NVRM: Xid (PCI:0000:5d:00): 45, pid=402251, name=python3, Ch 00000008\n"


@pytest.fixture
def run(tmp_path):
    def run_daytwo(*words: object, stdin: bytes | None = None, timeout: float = 60, **environment: str):
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("DAYTWO_", "COLUMNS"))}
        return subprocess.run(
            [DAYTWO, *map(str, words)],
            input=stdin,
            stdin=None if stdin is not None else subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
            env={**clean, "DAYTWO_DATA_DIR": str(tmp_path / "data"), "TERM": "dumb", **environment},
        )

    return run_daytwo


def read_report(result: subprocess.CompletedProcess[bytes]) -> TriageReport:
    """The document on standard output, whole and alone."""
    return TriageReport.model_validate_json(result.stdout)


def tells(result: subprocess.CompletedProcess[bytes]) -> str:
    text = result.stderr.decode()
    assert "Traceback" not in text
    return text


# -- the main job -----------------------------------------------------------------------------------------------------


def test_a_bad_night(run):
    result = run("triage", BAD_NIGHT)
    text = result.stdout.decode()
    assert result.returncode == 1
    assert text.startswith("✖ CRITICAL  gpu_off_bus  gpu:gpu-017/3 (0000:4e:00.0)  confirmed")
    assert "reboot_node · now · then inspect_hardware" in text
    assert "collective_hang x3 on job:4711" in text
    assert "GPU has fallen off the bus" in text
    assert "io_noisy_neighbor" in text
    assert "tenant-b-etl" in text
    assert "\x1b" not in text
    assert "1. Collect evidence" not in text
    full = run("triage", BAD_NIGHT, "--full").stdout.decode()
    assert "1. Collect evidence" in full, "the section of the runbook"
    assert "+ collective_hang x3 on job:4711" in full


def test_a_bad_night_as_one_document(run):
    result = run("triage", BAD_NIGHT, "--json")
    report = read_report(result)
    assert result.returncode == 1
    assert result.stderr == b""
    first = report.verdicts[0]
    assert (first.fault, first.action, first.follow_up) == ("gpu_off_bus", "reboot_node", "inspect_hardware")
    assert [v.fault for v in report.verdicts] == ["gpu_off_bus", "io_noisy_neighbor"], "what README.md shows"
    actions = [step.action for step in first.plan]
    assert actions.index("drain_node") < actions.index("wait_for_jobs") < actions.index("reboot_node")


def test_this_machine(run):
    result = run("triage", "--host", "--json")
    report = read_report(result)
    assert report.coverage
    if not any(row.domain == "gpu" and row.status == "read" for row in report.coverage):
        assert all(not (v.status == "healthy" and v.subject.entity.startswith("gpu:")) for v in report.verdicts)


@pytest.mark.parametrize(
    ("text", "code"),
    [(LOST, 1), (QUIET, 0), (QUIET + KILLED, 0), (QUIET + LOST, 1)],
    ids=["a fault", "nothing", "xid 45 alone is information", "a fault among the rest"],
)
def test_exit_codes_of_triage(run, text, code):
    result = run("triage", "-", "--json", stdin=text.encode())
    assert result.returncode == code, result.stdout.decode()
    read_report(result)


def test_json_without_a_model_imports_neither_graph_nor_chroma(tmp_path):
    log = tmp_path / "kern.log"
    log.write_text(LOST, encoding="utf-8")
    code = (
        "import sys\nfrom serve.main import app\n"
        f"sys.argv = ['daytwo', 'triage', {str(log)!r}, '--json', '--no-store']\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "heavy = {'langgraph', 'chromadb', 'openai', 'fastapi', 'sqlalchemy', 'rich', 'pynvml', 'uvicorn'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert result.stderr.strip().splitlines()[-1] == "[]"
    assert json.loads(result.stdout)["verdicts"][0]["fault"] == "gpu_off_bus"


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom serve.main import app\nsys.argv = ['daytwo', '--help']\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        "heavy = {'numpy', 'pydantic', 'rich', 'yaml', 'httpx', 'asyncio', 'orjson', 'jinja2'}\n"
        "print(sorted(heavy & set(sys.modules)), file=sys.stderr)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30)
    assert result.stderr.strip() == "[]"
    assert "triage" in result.stdout


@pytest.mark.alone
def test_help_is_quick():
    best = min(time_help() for _ in range(5))
    assert best < 0.4


def time_help() -> float:
    started = time.perf_counter()
    subprocess.run([DAYTWO, "--help"], capture_output=True, check=True, timeout=30)
    return time.perf_counter() - started


def test_since_leaves_out_what_is_older(run):
    log = (
        (QUIET + LOST)
        .replace("Nov 20 ", "2026-11-20T")
        .replace(":00 n7", ":00+0000 n7")
        .replace(":09 n7", ":09+0000 n7")
    )
    assert run("triage", "-", "--json", "--since", "2026-11-20T02:00", stdin=log.encode()).returncode == 1
    late = read_report(run("triage", "-", "--json", "--since", "2026-11-20T03:00", stdin=log.encode()))
    assert "gpu_off_bus" not in {verdict.fault for verdict in late.verdicts}
    bad = run("triage", "-", "--since", "yesterday", stdin=LOST.encode())
    assert bad.returncode == 2
    assert "--since 2h" in tells(bad)


def test_what_was_kept_can_be_explained(run):
    report = read_report(run("triage", "-", "--json", stdin=LOST.encode()))
    first = report.verdicts[0]
    shown = run("explain", first.case_id[:6])
    assert shown.returncode == 0
    assert first.case_id in shown.stdout.decode()
    document = json.loads(run("explain", first.verdict_id, "--json").stdout)
    assert document["verdicts"][0]["verdict_id"] == first.verdict_id
    missing = run("explain", "c-nope")
    assert missing.returncode == 2
    assert f"daytwo explain {first.case_id}" in tells(missing)


def test_no_store_keeps_nothing(run, tmp_path):
    run("triage", "-", "--json", "--no-store", stdin=LOST.encode())
    assert not (tmp_path / "data").exists()


def test_a_store_that_cannot_be_used_costs_a_note_not_the_verdict(run, tmp_path):
    (tmp_path / "data").write_text("in the way", encoding="utf-8")
    result = run("triage", "-", "--json", stdin=LOST.encode())
    assert result.returncode == 1
    assert read_report(result).verdicts[0].fault == "gpu_off_bus"
    assert "the verdicts were not kept" in tells(result)


NAMELESS = LOST.partition("kernel: ")[2]


def test_evidence_without_a_host_is_named_by_the_person(run):
    """dmesg tells no host: what to type is said, and with it the history is kept."""
    blind = run("triage", "-", stdin=NAMELESS.encode())
    here = os.uname().nodename.partition(".")[0]
    assert blind.returncode == 1
    assert f"daytwo triage - --node {here}, if it is of this machine" in blind.stdout.decode()
    nobody = run("history", "gpu:?/0000:4e:00.0")
    assert nobody.returncode == 2
    assert "--node NAME" in tells(nobody)
    named = run("triage", "-", "--node", "n7", stdin=NAMELESS.encode()).stdout.decode()
    assert "gpu:n7/0000:4e:00.0" in named
    assert "NodeName=n7" in named
    assert "no line names its host" not in named
    assert "gpu_off_bus" in run("history", "gpu:n7/0000:4e:00.0").stdout.decode()
    wrong = run("triage", "-", "--node", "localhost", stdin=NAMELESS.encode())
    assert wrong.returncode == 2
    assert "--node 'localhost' names no single machine" in tells(wrong)


# -- bad input --------------------------------------------------------------------------------------------------------

CUT_SMI = (BAD_NIGHT / "gpu-017" / "nvidia-smi.txt").read_text(encoding="utf-8").splitlines(keepends=True)
HEALTHY_SMI = [line for line in CUT_SMI if "ERR" not in line]
ONE_REPORT = (BAD_NIGHT / "xen-03" / "iostat.txt").read_text(encoding="utf-8").split("11/20/26 02:30:16 AM")[0]

BAD_FILES = {
    "empty": b"",
    "binary": bytes(range(256)) * 40,
    "no form": b"dear diary\ntoday was fine\n",
    "html": b"<!DOCTYPE html><html><body>502 Bad Gateway</body></html>\n",
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_file_that_tells_nothing(run, tmp_path, name):
    path = tmp_path / "evidence"
    path.write_bytes(BAD_FILES[name])
    result = run("triage", path)
    assert result.returncode == 2
    told = tells(result)
    assert told.startswith("daytwo: ")
    assert "\nNext: " in told
    document = read_report(run("triage", path, "--json"))
    assert {verdict.status for verdict in document.verdicts} == {"unknown"}
    assert any(row.status == "missing" and row.reason and row.fix for row in document.coverage)


def test_utf_16_is_read(run, tmp_path):
    path = tmp_path / "evidence"
    path.write_bytes((QUIET + LOST).encode("utf-16"))
    assert [verdict.fault for verdict in read_report(run("triage", path, "--json")).verdicts] == ["gpu_off_bus"]
    path.write_bytes(QUIET.encode("utf-16"))
    assert run("triage", path).returncode == 0


STEERING = "\x1b[2J\x1b]0;owned\x07\u202e\x9b31m"


def test_names_and_errors_cannot_steer_the_terminal(run, tmp_path):
    """A host, a file and an argument that carry escapes: what people see holds none of them."""
    entry = {
        "_HOSTNAME": f"n7{STEERING}",
        "__REALTIME_TIMESTAMP": "1795140849214926",
        "MESSAGE": XID,
        "SYSLOG_IDENTIFIER": "kernel",
        "_TRANSPORT": "kernel",
    }
    folder = tmp_path / "case"
    folder.mkdir()
    (folder / f"journal{STEERING.replace('/', '')}.json").write_text(json.dumps(entry) + "\n", encoding="utf-8")
    (folder / f"blob{STEERING}").write_bytes(bytes(range(256)) * 40)
    told = run("triage", folder)
    missing = run("triage", tmp_path / f"no{STEERING}file")
    history = run("history", f"gpu:n7{STEERING}/3")
    assert b"gpu_off_bus" in told.stdout
    assert "blob\ufffd[2J" in told.stdout.decode()
    assert "no\ufffd[2J" in missing.stderr.decode()
    for text in (told.stdout, told.stderr, missing.stdout, missing.stderr, history.stdout, history.stderr):
        shown = text.decode()
        assert [c for c in shown if not c.isprintable() and c != "\n"] == []


def test_secrets_are_shown_nowhere(run, tmp_path):
    path = tmp_path / "kern.log"
    path.write_text(LOST)
    model = "http://user:s3cret@127.0.0.1:9/v1#m"
    store = "postgresql+psycopg://127.0.0.1:9/daytwo?user=u&password=s3cret&connect_timeout=1"
    results = [
        run("triage", path, "--model", model),
        run("triage", path, DAYTWO_MODEL=model),
        run("doctor", DAYTWO_MODEL=model),
        run("doctor", "--json", DAYTWO_STORE_URL=store),
        run("triage", path, DAYTWO_STORE_URL=store),
        run("history", "gpu:n7/3", DAYTWO_STORE_URL=store),
        run("index", "--json", DAYTWO_EMBEDDING="http://user:s3cret@127.0.0.1:9/v1#m"),
    ]
    for result in results:
        assert b"s3cret" not in result.stdout + result.stderr
    assert results[0].returncode == 2
    assert "DAYTWO_MODEL_KEY" in tells(results[0])
    assert results[4].returncode == 1
    assert "not kept" in tells(results[4])


def test_no_such_file(run, tmp_path):
    result = run("triage", tmp_path / "nowhere")
    assert result.returncode == 2
    assert "nowhere" in tells(result)
    document = run("triage", tmp_path / "nowhere", "--json")
    assert document.returncode == 2
    assert document.stdout == b"", "a path that was typed wrong is no verdict"
    told = json.loads(document.stderr)
    assert told == {
        "schema": "daytwo.error/1",
        "error": f"There is no {tmp_path / 'nowhere'}.",
        "next": f"ls -l {tmp_path}",
    }


def test_a_path_that_is_missing_beside_others_is_a_gap(run, tmp_path):
    path = tmp_path / "kern.log"
    path.write_text(QUIET, encoding="utf-8")
    result = run("triage", path, tmp_path / "nowhere", "--json")
    report = read_report(result)
    assert result.returncode == 2
    assert report.verdicts[0].status == "unknown", "what was asked for is missing, so nothing is healthy"
    rows = {row.entity: row for row in report.coverage}
    assert rows[str(tmp_path / "nowhere")].status == "missing"
    assert rows[str(tmp_path / "nowhere")].fix == f"ls -l {tmp_path}"
    assert rows["kern.log"].status == "read"
    path.write_text(QUIET + LOST, encoding="utf-8")
    ill = run("triage", path, tmp_path / "nowhere", "--json")
    assert ill.returncode == 1
    assert read_report(ill).verdicts[0].fault == "gpu_off_bus"


def test_a_folder_without_evidence(run, tmp_path):
    (tmp_path / "empty").mkdir()
    result = run("triage", tmp_path / "empty")
    assert result.returncode == 2
    assert "Next: " in tells(result)


def test_nothing_named(run):
    result = run("triage")
    assert result.returncode == 2
    assert "daytwo triage --host" in tells(result)


def test_broken_encoding_is_read_and_told(run, tmp_path):
    path = tmp_path / "kern.log"
    path.write_bytes(QUIET.encode() + b"\xff\xfe broken \x80\n" + LOST.encode())
    result = run("triage", path, "--json")
    report = read_report(result)
    assert result.returncode == 1
    assert report.verdicts[0].fault == "gpu_off_bus"
    assert any(row.status == "partial" and "UTF-8" in row.reason for row in report.coverage)


def test_a_cut_nvidia_smi_is_never_healthy(run, tmp_path):
    path = tmp_path / "smi.txt"
    path.write_text("".join(HEALTHY_SMI[:14])[:-40], encoding="utf-8")
    result = run("triage", path, "--json")
    report = read_report(result)
    assert result.returncode != 0
    assert any(row.status in ("partial", "missing") for row in report.coverage)
    assert all(verdict.status != "healthy" for verdict in report.verdicts)


def test_one_report_of_iostat_tells_nothing_of_now(run, tmp_path):
    path = tmp_path / "iostat.txt"
    path.write_text(ONE_REPORT, encoding="utf-8")
    result = run("triage", path, "--json")
    report = read_report(result)
    assert result.returncode == 2
    assert any("since boot" in row.reason and row.fix for row in report.coverage)
    assert all(verdict.status != "healthy" for verdict in report.verdicts)


def test_a_clock_that_jumps_back_keeps_the_order_of_lines(run, tmp_path):
    path = tmp_path / "kern.log"
    path.write_text(QUIET + "Nov 19 23:00:00 n7 kernel: [9100.5] clock was set\n" + LOST, encoding="utf-8")
    report = read_report(run("triage", path, "--json"))
    assert report.verdicts[0].fault == "gpu_off_bus"


def test_a_file_over_the_limit_is_told_and_not_healthy(run, tmp_path):
    path = tmp_path / "kern.log"
    path.write_text(QUIET * 50, encoding="utf-8")
    result = run("triage", path, "--json", DAYTWO_MAX_INPUT_BYTES="10000")
    report = read_report(result)
    assert result.returncode == 2
    assert any(row.status in ("partial", "missing") and row.fix for row in report.coverage)


def test_good_evidence_beside_bad_is_still_read(run, tmp_path):
    (tmp_path / "e").mkdir()
    (tmp_path / "e" / "kern.log").write_text(LOST, encoding="utf-8")
    (tmp_path / "e" / "core.bin").write_bytes(bytes(range(256)) * 40)
    result = run("triage", tmp_path / "e", "--json")
    report = read_report(result)
    assert report.verdicts[0].fault == "gpu_off_bus"
    assert any(row.entity.endswith("core.bin") and row.status == "missing" for row in report.coverage)


def test_a_setting_that_does_not_fit(run):
    result = run("triage", "-", stdin=LOST.encode(), DAYTWO_MAX_STEPS="many")
    assert result.returncode == 2
    assert "DAYTWO_MAX_STEPS" in tells(result)


# -- the model --------------------------------------------------------------------------------------------------------


def test_a_model_is_asked_and_its_invention_is_thrown_out(run, tmp_path):
    with ScriptedServer("careful") as server:
        result = run("triage", "-", "--json", "--model", server.spec, stdin=LOST.encode())
        assert len(server.requests) >= 2
    first = read_report(result).verdicts[0]
    assert result.returncode == 1
    assert (first.fault, first.action) == ("gpu_off_bus", "reboot_node")
    assert first.model is not None
    assert any(not claim.verified and claim.rejected_because for claim in first.claims)
    runs = json.loads(run("explain", first.case_id, "--json").stdout)["runs"]
    assert {item["kind"] for item in runs} == {"triage", "investigation"}


@pytest.mark.parametrize("script", ["refuse", "hang"])  # the others: test_serve_asking.py, in one process
def test_a_broken_endpoint_costs_only_its_opinion(run, script):
    with ScriptedServer(script) as server:
        result = run(
            "triage", "-", "--json", "--model", server.spec, stdin=LOST.encode(),
            DAYTWO_MODEL_TIMEOUT_SECONDS="1", DAYTWO_INVESTIGATION_SECONDS="4",
        )  # fmt: skip
    first = read_report(result).verdicts[0]
    tells(result)
    assert result.returncode == 1
    assert (first.fault, first.action, first.decided_by) == ("gpu_off_bus", "reboot_node", "rules")
    assert first.reason, "why the model was not heard"


@pytest.mark.parametrize("spec", ["no-url", "http://127.0.0.1:9/v1", "ftp://x#y", "http://#x"])
def test_a_model_that_is_no_endpoint(run, spec):
    result = run("triage", "-", "--model", spec, stdin=LOST.encode())
    assert result.returncode == 2
    assert "--model" in tells(result)


# -- the other commands -----------------------------------------------------------------------------------------------


def test_runbooks(run):
    shown = run("runbook", "gpu_off_bus").stdout.decode()
    assert "Confirm it" in shown
    found = json.loads(run("runbook", "search", "one", "vm", "makes", "the", "disk", "slow", "--json").stdout)
    assert found["passages"][0]["runbook"] in ("io_noisy_neighbor", "io_saturated")
    unknown = run("runbook", "gpu_of_bus")
    assert unknown.returncode == 2
    assert "daytwo runbook gpu_off_bus" in tells(unknown)


def test_index_does_no_work_twice(run):
    first = json.loads(run("index", "--json").stdout)
    again = json.loads(run("index", "--json").stdout)
    assert first["added"] > 20
    assert (again["added"], again["changed"], again["unchanged"]) == (0, 0, first["added"])


def test_faults(run):
    rows = json.loads(run("faults", "--json").stdout)
    assert {"gpu_off_bus", "collective_hang", "io_noisy_neighbor"} <= {row["id"] for row in rows}
    assert "gpu_off_bus" in run("faults").stdout.decode()


def test_doctor(run):
    result = run("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(result.stdout)["checks"]}
    assert result.returncode == 0
    assert checks["store"]["status"] == "present"
    assert checks["runbook index"]["status"] == "present"
    lacking = [check for check in checks.values() if check["status"] == "partial" and not check["fix"]]
    assert all("no physical disk" in check["detail"] for check in lacking), "nobody misses smartctl there"


def test_doctor_tells_of_an_endpoint(run):
    with ScriptedServer("careful") as server:
        good = run("doctor", DAYTWO_MODEL=server.spec)
        wrong = run("doctor", DAYTWO_MODEL=f"{server.url}#another")
    assert good.returncode == 0
    assert wrong.returncode == 2
    assert f"export DAYTWO_MODEL={server.spec}" in wrong.stdout.decode()
    dead = run("doctor", DAYTWO_MODEL=server.spec)
    assert dead.returncode == 2
    assert f"curl {server.url}/models" in dead.stdout.decode()
    tells(dead)


def test_eval_of_a_few_scenarios(run):
    name = sorted(path.stem for path in (ROOT / "evals" / "scenarios").glob("*.yaml"))[0]
    document = json.loads(run("eval", "--backend", "rules", "--scenario", name, "--json").stdout)
    assert document["backends"][0]["backend"] == "rules"
    unknown = run("eval", "--backend", "guess")
    assert unknown.returncode == 2
    tells(unknown)


def test_version_and_completion(run):
    assert run("--version").stdout.decode().startswith("daytwo 0.")
    script = run("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1", SHELL="/bin/bash")
    assert b"_DAYTWO_COMPLETE" in script.stdout


def test_a_reader_that_leaves_is_no_error(run, tmp_path):
    clean = {**os.environ, "DAYTWO_DATA_DIR": str(tmp_path)}
    process = subprocess.Popen([DAYTWO, "faults", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean)
    process.stdout.close()
    assert process.wait(timeout=30) == 128 + signal.SIGPIPE
    assert process.stderr.read() == b""


def test_ctrl_c_is_quiet(tmp_path):
    clean = {**os.environ, "DAYTWO_DATA_DIR": str(tmp_path)}
    process = subprocess.Popen(
        [DAYTWO, "triage", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean
    )
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 130
    assert b"Traceback" not in process.stderr.read()
