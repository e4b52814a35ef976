"""Measure what was promised, and print it as Markdown for `docs/log.md`.

Run by ``python -m evals.bench [PART]…``; the parts are help, log, library, eval, code.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter

from tools.shell import expect_success, run_command

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("agent", "tools", "prompts", "rag", "evals", "serve")
LOG_BYTES = 100 * 1000**2
MIB = 1024**2
PEER_HELP = "HolmesGPT: 7.9 s, 312 MB; OpenSRE: 0.5 s"
LINE_KINDS = (
    "audit: type=1400 audit({up}:8{n}): apparmor=\"ALLOWED\" operation=\"open\" profile=\"libvirtd\" pid={n}",
    "docker0: port {n}(veth{n}) entered forwarding state",
    "EXT4-fs (nvme0n1p2): mounted filesystem with ordered data mode. Opts: (null)",
    "perf: interrupt took too long ({n} > 2500), lowering kernel.perf_event_max_sample_rate to 50000",
    "IPv6: ADDRCONF(NETDEV_CHANGE): veth{n}: link becomes ready",
    "TCP: request_sock_TCP: Possible SYN flooding on port {n}. Sending cookies.",
    "usb 1-{n}: new high-speed USB device number 4 using xhci_hcd",
    "nvidia-uvm: Loaded the UVM driver, major device number 511.",
)  # fmt: skip
CHILD_SECONDS = 600.0
WATCH = """
import json, resource, subprocess, sys, time
with open(sys.argv[1], "wb") as output:
    started = time.perf_counter()
    code = subprocess.call(sys.argv[2:], stdout=output, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, code]))
"""
"""A small program between: the peak of all children of a process is then that of one."""
FAULT_AT = 0.7
FAULT_LINE = "NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."


@dataclass(frozen=True, slots=True)
class Child:
    """What one program took."""

    seconds: float
    resident_bytes: int
    exit_code: int


def measure_child(argv: Sequence[str], output: Path) -> Child:
    """Run a program to its end with its output in a file; seconds by the wall, memory at its peak."""
    told = run_command([sys.executable, "-S", "-c", WATCH, str(output), *argv], timeout_seconds=CHILD_SECONDS)
    seconds, kibibytes, code = json.loads(expect_success(told).stdout)
    return Child(seconds, kibibytes * 1024, code)


def write_log(path: Path, size_bytes: int) -> int:
    """Write a kernel log with one fault in it, at 70% of its length.

    Returns:
        How many lines it has.
    """
    written, lines, told = 0, 0, False
    with path.open("w", encoding="utf-8") as stream:
        while written < size_bytes:
            up = 1000 + lines / 50
            words = LINE_KINDS[lines % len(LINE_KINDS)].format(n=lines % 4000 + 3, up=f"{up:.3f}")
            if not told and written > FAULT_AT * size_bytes:
                words, told = FAULT_LINE, True
            minutes, second = divmod(lines // 50, 60)
            day, hour, minute = 1 + minutes // 1440, minutes // 60 % 24, minutes % 60
            written += stream.write(
                f"Nov {day:2d} {hour:02d}:{minute:02d}:{second:02d} n1 kernel: [{up:12.6f}] {words}\n"
            )
            lines += 1
    return lines


def measure_help(folder: Path) -> Iterator[str]:
    """Seconds and memory of `daytwo --help`, best and median of seven."""
    runs = [measure_child([_command(), "--help"], folder / "help") for _ in range(7)]
    seconds = sorted(run.seconds for run in runs)
    memory = max(run.resident_bytes for run in runs) / MIB
    took = f"{seconds[0]:.2f} s best, {median(seconds):.2f} s median of 7, {memory:.0f} MB"
    yield f"- `daytwo --help`: {took} ({PEER_HELP})"


def measure_log(folder: Path) -> Iterator[str]:
    """Seconds, lines a second and memory of the triage of a 100 MB kernel log, beside a bare loop over its lines."""
    path = folder / "kern.log"
    lines = write_log(path, LOG_BYTES)
    started = perf_counter()
    with path.open(encoding="utf-8") as stream:
        count = sum(1 for _ in stream)
    bare = perf_counter() - started
    output = folder / "triage.json"
    child = measure_child([_command(), "triage", str(path), "--json", "--no-store"], output)
    found = "found" if "gpu_off_bus" in output.read_text(encoding="utf-8") else "NOT FOUND"
    yield (
        f"- triage of a kernel log of {LOG_BYTES / 1e6:.0f} MB, {count:,} lines: {child.seconds:.1f} s, "
        f"{lines / child.seconds / 1e3:.0f} k lines/s, {child.resident_bytes / MIB:.0f} MB, "
        f"{child.seconds / bare:.0f} times a bare loop over the lines ({bare:.2f} s); its one fault was {found}"
    )


def measure_library(folder: Path) -> Iterator[str]:
    """Seconds to index the runbooks and to open them again, milliseconds a query, hits of the symptom queries."""
    from rag.library import open_library
    from rag.score import read_questions, score_retrieval

    data, times = folder / "data", []
    for _ in range(2):
        started = perf_counter()
        library = open_library(data)
        library.search("warm up", limit=1)
        times.append(perf_counter() - started)
        library.close()
    yield (
        f"- runbooks: {len(library.runbooks())} indexed and asked in {times[0]:.2f} s (imports included), "
        f"opened again and asked in {times[1]:.2f} s"
    )
    questions = read_questions(ROOT / "tests" / "rag" / "symptom_queries.csv")
    yield f"\n| retrieval, {len(questions)} symptom queries | hit@1 | hit@3 | MRR | ms a query |\n|---|---|---|---|---|"
    for mode, row in score_retrieval(library, questions).items():
        numbers = f"{row.hit_at_1:.3f} | {row.hit_at_3:.3f} | {row.mean_reciprocal_rank:.3f}"
        yield f"| {mode} | {numbers} | {row.median_milliseconds:.1f} |"
    yield ""


def measure_eval(_: Path) -> Iterator[str]:
    """What `daytwo eval --backend rules` says."""
    from evals.report import render_rate
    from evals.runner import run_eval

    report = run_eval(["rules"])
    for row in report.backends:
        yield (
            f"- eval, {row.backend}, {report.scenarios} scenarios with twins: fault {render_rate(row.fault)}, "
            f"entity {render_rate(row.entity)}, action {render_rate(row.action)}, harmful {render_rate(row.harmful)}, "
            f"false alarms {render_rate(row.false_alarms)}, {row.seconds_total:.1f} s"
        ).replace("\n", " ")


def measure_code(_: Path) -> Iterator[str]:
    """Lines a room, and the longest function and module."""
    longest_function, longest_module = (0, ""), (0, "")
    totals = {}
    for room in ROOMS:
        totals[room] = 0
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            name, lines = str(path.relative_to(ROOT)), len(text.splitlines())
            totals[room] += lines
            longest_module = max(longest_module, (lines, name))
            longest_function = max([longest_function, *_measure_functions(name, ast.parse(text))])
    rooms = ", ".join(f"{room} {lines:,}" for room, lines in totals.items())
    yield f"- lines of code: {rooms}; together {sum(totals.values()):,}"
    yield f"- longest function {longest_function[1]}, {longest_function[0]} lines"
    yield f"- longest module `{longest_module[1]}`, {longest_module[0]} lines"


def _measure_functions(name: str, tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (node.end_lineno or node.lineno) - node.lineno + 1, f"`{name}: {node.name}`"


def _command() -> str:
    return str(Path(sys.executable).parent / "daytwo")


PARTS: dict[str, Callable[[Path], Iterator[str]]] = {
    "help": measure_help,
    "log": measure_log,
    "library": measure_library,
    "eval": measure_eval,
    "code": measure_code,
}


def main(names: Sequence[str]) -> int:
    """Measure the named parts, or all; print Markdown as it comes."""
    today = datetime.now(UTC).date().isoformat()
    sys.stdout.write(
        f"## {today}, daytwo {version('daytwo')}, Python {platform.python_version()}, {os.cpu_count()} cores\n\n"
    )
    with tempfile.TemporaryDirectory(prefix="daytwo-bench-") as folder:
        for name in names or PARTS:
            for line in PARTS[name](Path(folder)):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
