"""Measure what was promised, and print it as Markdown for `docs/log.md`.

Run by ``python -m evals.bench [--log-gigabytes N] [PART]…``; the parts are help, small, log, dialects, library, eval,
code.
"""

from __future__ import annotations

import ast
import json
import os
import platform
import sys
import tempfile
from argparse import ArgumentParser
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

from evals.bench_log import DIALECTS, FAULT_LINE, write_log
from tools.shell import expect_success, run_command

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("agent", "tools", "prompts", "rag", "evals", "serve")
LOG_BYTES = 200 * 1000**2
DIALECT_BYTES = 20 * 1000**2
MIB = 1024**2
PEER_HELP = "HolmesGPT: 7.9 s, 312 MB; OpenSRE: 0.5 s"
CHILD_SECONDS = 600.0
WATCH = """
import json, resource, subprocess, sys, time
told = 0.0
with open(sys.argv[1], "wb") as output:
    started = time.perf_counter()
    child = subprocess.Popen(sys.argv[2:], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while piece := child.stdout.read1(1 << 20):
        told = time.perf_counter() - started
        output.write(piece)
    code = child.wait()
    seconds = time.perf_counter() - started
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([seconds, told, used.ru_utime + used.ru_stime, used.ru_maxrss, code]))
"""
"""A small program between: the peak of all children of a process is then that of one."""
READ_ALONE = """
import sys, time
from pathlib import Path
from tools.document import FileDocument
from tools.parsers._log_reader import LogReader
count = LogReader(FileDocument("kern.log", "", Path(sys.argv[1]))).read().unread
print(count.total, count.unread)
"""
IMPORT_PARSERS = """
import time
import numpy
started = time.process_time()
from tools.walk import walk_modules
walk_modules("tools.parsers")
print(time.process_time() - started)
"""


@dataclass(frozen=True, slots=True)
class Child:
    """What one program took: seconds by the wall, to the last word it said, and of one core; memory at its peak."""

    seconds: float
    told_seconds: float
    core_seconds: float
    resident_bytes: int
    exit_code: int


def measure_child(argv: Sequence[str], output: Path) -> Child:
    """Run a program to its end with its output in a file; what it took."""
    told = run_command([sys.executable, "-S", "-c", WATCH, str(output), *argv], timeout_seconds=CHILD_SECONDS)
    seconds, told_seconds, core_seconds, kibibytes, code = json.loads(expect_success(told).stdout)
    return Child(seconds, told_seconds, core_seconds, kibibytes * 1024, code)


def measure_help(folder: Path) -> Iterator[str]:
    """Seconds and memory of `daytwo --help`, best and median of seven."""
    runs = [measure_child([_command(), "--help"], folder / "help") for _ in range(7)]
    seconds = sorted(run.seconds for run in runs)
    memory = max(run.resident_bytes for run in runs) / MIB
    took = f"{seconds[0]:.2f} s best, {median(seconds):.2f} s median of 7, {memory:.0f} MB"
    yield f"- `daytwo --help`: {took} ({PEER_HELP})"


def measure_small(folder: Path) -> Iterator[str]:
    """Seconds from the shell to the verdict on one line, with the store and without; import of the parsers.

    Compiled code is kept, as that of an installed program is, whatever the environment says of it.
    """
    path = folder / "small.log"
    path.write_text(f"Nov 14 07:00:01 n1 kernel: [ 1000.000001] {FAULT_LINE}\n", encoding="utf-8")
    kept = ("-u", "PYTHONDONTWRITEBYTECODE", f"PYTHONPYCACHEPREFIX={folder / 'compiled'}")
    environment = ["env", *kept, f"DAYTWO_DATA_DIR={folder / 'small'}"]
    for words, options in (("without the store", ["--no-store"]), ("with the store", [])):
        argv = [*environment, _command(), "triage", str(path), *options]
        measure_child(argv, folder / "small.txt")  # the first use makes the store
        runs = [measure_child(argv, folder / "small.txt") for _ in range(7)]
        seconds, told = sorted(run.seconds for run in runs), sorted(run.told_seconds for run in runs)
        took = f"verdict after {told[0]:.2f} s best, {median(told):.2f} s median of 7"
        core = min(run.core_seconds for run in runs)
        yield f"- triage of one line, {words}: {took}; end after {seconds[0]:.2f} s, {core:.2f} s of one core"
    python = [*environment, sys.executable, "-c", IMPORT_PARSERS]
    imports = sorted(_time_import(python, folder / "small.txt") for _ in range(7))
    took = f"{imports[0]:.3f} s of one core best, {median(imports):.3f} s median of 7"
    yield f"- import of all parsers, NumPy aside: {took}"


def _time_import(argv: Sequence[str], output: Path) -> float:
    measure_child(argv, output)
    return float(output.read_text(encoding="utf-8"))


def measure_log(folder: Path, size_bytes: int = LOG_BYTES) -> Iterator[str]:
    """Lines a second and memory for a large kernel log, beside bare loops over its lines and `grep -c`."""
    path = folder / "kern.log"
    lines, interest = write_log(path, size_bytes)
    mix = f"{interest / lines:.1%} of interest, the mix of `evals/bench_log.py`"
    yield f"- a kernel log of {size_bytes / 1e9:.1f} GB, {lines:,} lines, {mix}:"
    text = min((time_loop(path, "r") for _ in range(3)), key=lambda took: took[1])
    binary = min((time_loop(path, "rb") for _ in range(3)), key=lambda took: took[1])
    output = folder / "triage.json"
    grep = measure_child(["grep", "-c", "NVRM", str(path)], output)
    alone = measure_child([sys.executable, "-c", READ_ALONE, str(path)], output)
    total, unread = (int(word) for word in output.read_text(encoding="utf-8").split())
    child = measure_child([_command(), "triage", str(path), "--json", "--no-store"], output)
    found = "found" if "gpu_off_bus" in output.read_text(encoding="utf-8") else "NOT FOUND"
    yield "\n| | seconds | of one core | million lines/s and core | of a loop over text | of a loop over bytes |"
    yield "|---|---|---|---|---|---|"
    for words, wall, core in (
        ("`for line in file`, text", *text),
        ("`for line in file`, bytes", *binary),
        ("`grep -c NVRM`", grep.seconds, grep.core_seconds),
        ("reading alone, start included", alone.seconds, alone.core_seconds),
        ("`daytwo triage`, whole", child.seconds, child.core_seconds),
    ):
        rate, of_text, of_bytes = lines / core / 1e6, text[1] / core, binary[1] / core
        yield f"| {words} | {wall:.2f} | {core:.2f} | {rate:.2f} | {of_text:.2f} | {of_bytes:.2f} |"
    yield (
        f"\nOf {total:,} lines {unread:,} unread; {child.resident_bytes / MIB:.0f} MB at most; "
        f"its GPU off the bus was {found}."
    )
    path.unlink()


def measure_dialects(folder: Path) -> Iterator[str]:
    """Lines a second of one core of reading alone, start included, for every way in which a log can be kept."""
    yield "\n| reading alone, 20 MB | million lines/s and core |\n|---|---|"
    for dialect in DIALECTS:
        path = folder / "dialect.log"
        lines, _ = write_log(path, DIALECT_BYTES, dialect=dialect)
        argv = [sys.executable, "-c", READ_ALONE, str(path)]
        seconds = min(measure_child(argv, folder / "told").core_seconds for _ in range(3))
        yield f"| {dialect} | {lines / seconds / 1e6:.2f} |"
    yield ""


def time_loop(path: Path, mode: str) -> tuple[float, float]:
    """Seconds of a bare loop over the lines of a file, by the wall and of one core."""
    started, used = perf_counter(), process_time()
    with path.open(mode, encoding=None if "b" in mode else "utf-8") as stream:
        for _ in stream:
            pass
    return perf_counter() - started, process_time() - used


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
    "small": measure_small,
    "log": measure_log,
    "dialects": measure_dialects,
    "library": measure_library,
    "eval": measure_eval,
    "code": measure_code,
}


def main(arguments: Sequence[str]) -> int:
    """Measure the named parts, or all; print Markdown as it comes."""
    parser = ArgumentParser(prog="python -m evals.bench", description="Measure what was promised.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--log-gigabytes", type=float, default=LOG_BYTES / 1e9, help="size of the large log")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; parts are {', '.join(PARTS)}")
    log = partial(measure_log, size_bytes=int(options.log_gigabytes * 1e9))
    parts: dict[str, Callable[[Path], Iterator[str]]] = {**PARTS, "log": log}
    today = datetime.now(UTC).date().isoformat()
    sys.stdout.write(
        f"## {today}, daytwo {version('daytwo')}, Python {platform.python_version()}, {os.cpu_count()} cores\n\n"
    )
    with tempfile.TemporaryDirectory(prefix="daytwo-bench-") as folder:
        for name in options.parts or parts:
            for line in parts[name](Path(folder)):
                sys.stdout.write(line + "\n")
                sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
