"""Nothing that evidence holds steers the terminal of who reads about it: every command, piped and on a terminal."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

DAYTWO = str(Path(sys.executable).parent / "daytwo")
STEERING = {
    "clear screen": "\x1b[2J\x1b[H",
    "title": "\x1b]0;owned\x07",
    "link": "\x1b]8;;http://evil.example\x1b\\click\x1b]8;;\x1b\\",
    "clipboard": "\x1b]52;c;cm0gLXJmIH4K\x07",
    "eight-bit CSI": "\x9b2J\x9d0;owned\x9c",
    "device string": "\x1bP+q544e\x1b\\",
    "bell and backspace": "\x07\x08\x08\x08rm\x7f",
    "direction": "\u202egnp.exe\u202c\u2066x\u2069\u200f",
    "carriage return": "good\rbad",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
}
ALL = "".join(STEERING.values())
OWN_COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
LOST = "NVRM: Xid (PCI:0000:17:00): 79, pid=4411, name={0}, GPU {0} has fallen off the bus."
TABLE = "Device r/s w/s rkB/s wkB/s await aqu-sz %util\nsd{0} 1 900 4 200 8000 180 100\n"


@pytest.fixture
def daytwo(tmp_path):
    def run(*words: str, stdin: bytes = b"", terminal: bool = False) -> tuple[int, bytes]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DAYTWO_")}
        env = {**kept, "DAYTWO_DATA_DIR": str(tmp_path / "data"), "TERM": "xterm" if terminal else "dumb"}
        if not terminal:
            done = subprocess.run([DAYTWO, *words], input=stdin, capture_output=True, env=env, timeout=60, check=False)
            return done.returncode, done.stdout + done.stderr
        return run_on_terminal([DAYTWO, *words], stdin, env)

    return run


def run_on_terminal(words: list[str], stdin: bytes, env: dict[str, str]) -> tuple[int, bytes]:
    ours, theirs = pty.openpty()
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=theirs, stderr=theirs, env=env) as process:
        os.close(theirs)
        assert process.stdin is not None
        process.stdin.write(stdin)
        process.stdin.close()
        shown = b""
        try:
            while piece := os.read(ours, 65536):
                shown += piece
        except OSError:
            pass  # the other end is closed: Linux says so by an error
        os.close(ours)
    return process.returncode, shown


def check(shown: bytes, *, terminal: bool) -> None:
    text = (OWN_COLOURS.sub(b"", shown).replace(b"\r\n", b"\n") if terminal else shown).decode()
    bad = sorted({c for c in text if not (c.isprintable() or c == "\n")})
    assert bad == [], text[:2000]
    assert text.strip()


def make_evidence(folder: Path, steering: str) -> None:
    """A folder in which everything that a person can name is named by somebody who means harm."""
    folder.mkdir()
    name = steering.replace("/", "_")[:80]
    line = LOST.format(steering)
    (folder / f"{name}.log").write_text(
        f"Nov 20 09:41:02 h{steering}1 kernel: {line}\nNov 20 09:41:03 h1 kernel: {line}\n", encoding="utf-8"
    )
    (folder / "app.log").write_text(
        f"2026-11-20 09:41:02 [rank1]: NCCL WARN {steering} timeout\nslurmstepd: error: *** JOB 4711{steering} ON h1 "
        f"CANCELLED AT 2026-11-20T09:41:02 DUE TO NODE FAILURE ***\n",
        encoding="utf-8",
    )
    (folder / "io.txt").write_text(TABLE.format(steering), encoding="utf-8")
    (folder / f"unknown{name}.bin").write_bytes(b"\x00\x01\x02" * 400)
    (folder / f"words{name}.txt").write_text(f"nothing {steering} that is known\n" * 9, encoding="utf-8")
    (folder / "jobs.csv").write_text(f"job,node,state\n4711{steering},h1,running\n", encoding="utf-8")
    with tarfile.open(folder / f"packed{name}.tar", "w") as archive:
        member = tarfile.TarInfo(f"in{name}/kern{name}.log")
        data = f"Nov 20 09:41:04 h2 kernel: {line}\n".encode()
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize("steering", [ALL], ids=["all"])
def test_every_page_is_harmless(daytwo, tmp_path, steering, terminal):
    folder = tmp_path / f"e{steering.replace('/', '_')[:40]}"
    make_evidence(folder, steering)
    code, shown = daytwo("triage", str(folder), terminal=terminal)
    assert code == 1
    check(shown, terminal=terminal)
    check(daytwo("triage", str(folder), "--full", terminal=terminal)[1], terminal=terminal)
    case = re.search(r"c-[0-9a-f]{12}", daytwo("triage", str(folder), "--json")[1].decode())
    assert case is not None
    check(daytwo("explain", case[0], terminal=terminal)[1], terminal=terminal)
    check(daytwo("history", "h1", terminal=terminal)[1], terminal=terminal)


@pytest.mark.parametrize("terminal", [False, True], ids=["piped", "terminal"])
@pytest.mark.parametrize(
    "words",
    [
        ("triage", "/tmp/{0}"),
        ("triage", "-", "--node", "{0}"),
        ("triage", "-", "--since", "{0}"),
        ("explain", "{0}"),
        ("history", "gpu:{0}/0"),
        ("clear", "gpu:{0}/0", "--why", "{0}"),
        ("runbook", "{0}"),
        ("inject", "{0}"),
        ("{0}",),
        ("triage", "--{0}"),
    ],
    ids=lambda words: " ".join(words[:2]).replace("{0}", "X"),
)
def test_every_error_is_harmless(daytwo, words, terminal):
    given = [word.format(ALL.replace("/", "_")) for word in words]
    code, shown = daytwo(*given, stdin=LOST.format(ALL).encode(), terminal=terminal)
    check(shown, terminal=terminal)
    assert b"Traceback" not in shown and code in (0, 1, 2)


def test_a_name_that_is_no_utf_8_is_shown_and_written(daytwo, tmp_path):
    folder = os.fsencode(tmp_path) + b"/bad\xff\xfename"
    os.mkdir(folder)
    with open(folder + b"/kern\xff.log", "wb") as stream:
        stream.write(b"[12.5] NVRM: Xid (PCI:0000:17:00): 79, GPU has fallen off the bus.\n")
    for words in ((), ("--full",), ("--json",)):
        code, shown = daytwo("triage", os.fsdecode(folder), *words)
        assert (code, b"Traceback" in shown) == (1, False), shown[-500:]
        shown.decode()
    assert json.loads(shown)["verdicts"][0]["fault"] == "gpu_off_bus"


def test_json_escapes_what_steers(daytwo):
    code, shown = daytwo("triage", "-", "--json", stdin=("[12.5] " + LOST.format(ALL) + "\n").encode())
    assert code == 1
    json.loads(shown)
    assert all(byte >= 0x20 or byte == 0x0A for byte in shown)
