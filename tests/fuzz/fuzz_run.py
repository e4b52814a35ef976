"""The long lane: `make fuzz` or `python tests/fuzz/fuzz_run.py --help`.

Coverage-guided by atheris where it is installed, else the same mutations with a corpus that grows by executed lines.
A finding does not end the run: its input is kept in a file named by what happened and where, and told at the end.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import sys
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

WHOLE_EVERY = 20
SHOWN_EVERY = 60
EVERY_PARSER_EVERY = 50
WATCHED_EVERY = 16
OTHERS = 2
"""An input goes to the parser of its form and to two others in turn; now and then to all, or the whole way."""
PACKED_EVERY = 16
MAX_GROWTH_BYTES = 400 * 1024 * 1024
"""How much more memory a million inputs may hold than the first thousand did; measured: 60 to 120 MB of caches."""
WARM_RUNS = 2000
TOLD_EVERY = 10_000


@dataclass(slots=True)
class Tally:
    """What a run found: kinds of findings, the slowest input, memory."""

    folder: Path
    runs: int = 0
    findings: Counter[str] = field(default_factory=Counter)
    slowest: tuple[float, str, int] = (0.0, "", 0)
    warm_bytes: int = 0
    start: float = field(default_factory=time.monotonic)

    def keep(self, kind: str, data: bytes) -> None:
        """Keep the first inputs of a kind of finding."""
        self.findings[kind] += 1
        if self.findings[kind] <= 3:
            name = "".join(c if c.isalnum() else "-" for c in kind)[:100]
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / f"{name}-{hashlib.sha256(data).hexdigest()[:8]}").write_bytes(data)

    def describe(self) -> str:
        seconds, where, size = self.slowest
        spent = time.monotonic() - self.start
        told = "".join(f"\n  {count} x {kind}" for kind, count in self.findings.most_common())
        return (
            f"{self.runs} inputs in {spent:.0f} s, {len(self.findings)} kinds of findings, slowest {seconds:.3f} s of "
            f"processor time ({where}, {size} bytes), memory {read_peak_bytes() >> 20} MiB at most, "
            f"{self.warm_bytes >> 20} MiB after {WARM_RUNS} inputs{told}"
        )


def read_peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def try_input(tally: Tally, data: bytes, form: int | None = None) -> None:
    """Run one input and note what went wrong.

    Args:
        form: Number of the parser that it was made for; None lets the first bytes decide.
    """
    import fuzz_target

    tally.runs += 1
    number = tally.runs
    if number % TOLD_EVERY == 0:
        print(tally.describe(), flush=True)  # noqa: T201
    costs = []
    try:
        with fuzz_target.stop_hangs():
            own = zlib.crc32(data[:64]) if form is None else form
            few = [own, *range(number * OTHERS, number * OTHERS + OTHERS)]
            costs.append(fuzz_target.run_parsers(data, () if number % EVERY_PARSER_EVERY == 0 else few))
            if number % WHOLE_EVERY == 0:
                costs.append(fuzz_target.run_whole(data, shown=number % SHOWN_EVERY == 0))
    except (Exception, fuzz_target.Hang) as error:  # noqa: BLE001 (whatever it is, it is what is looked for)
        place = traceback.extract_tb(error.__traceback__)[-1]
        what = f" {error}"[:60] if isinstance(error, fuzz_target.Broken) else ""
        tally.keep(f"{type(error).__name__}{what} at {Path(place.filename).name}:{place.lineno}", data)
        return
    slowest = max(costs, key=lambda cost: cost.seconds)
    if slowest.seconds > tally.slowest[0]:
        tally.slowest = (slowest.seconds, slowest.where, len(data))
        tally.keep("slowest", data) if slowest.seconds > 0.3 else None
    if slowest.seconds > fuzz_target.allow_seconds(len(data)):
        tally.keep(f"slow {slowest.where}", data)
    if number == WARM_RUNS:
        tally.warm_bytes = read_peak_bytes()
    if tally.warm_bytes and read_peak_bytes() > tally.warm_bytes + MAX_GROWTH_BYTES:
        tally.keep("memory grows", data)
        tally.warm_bytes = read_peak_bytes()


def run_seeded(tally: Tally, corpus: Path, runs: int, seed: int) -> None:
    """Mutate without a fuzzer: inputs that reach a new line of the product join the corpus."""
    import fuzz_corpus
    import fuzz_mutate
    import fuzz_target
    from fuzz_lines import LineWatch

    rng = Random(seed)
    words = fuzz_corpus.load_words()
    texts = [*fuzz_corpus.load_seeds(), *(path.read_bytes() for path in sorted(corpus.iterdir()) if path.is_file())]
    pool = [(data, fuzz_target.find_form(data)) for data in texts]
    for data in texts[::5]:
        fuzz_target.run_parsers(data)  # expressions are compiled once, and that time is no input's
    watch = LineWatch(ROOT)
    for number in range(runs):
        data, form = rng.choice(pool)
        data = fuzz_mutate.mutate(rng, data, texts, words)
        if rng.randrange(PACKED_EVERY) == 0:
            data = fuzz_mutate.pack(rng, data, texts)
        if number % WATCHED_EVERY and not LineWatch.IS_CHEAP:
            try_input(tally, data, form)
            continue
        before = watch.count
        with watch:
            try_input(tally, data, form)
        if watch.count > before:
            pool.append((data, form))
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


def run_atheris(tally: Tally, corpus: Path, runs: int, seed: int) -> None:
    """Let libFuzzer choose by coverage; half of its mutations are those that know what evidence looks like."""
    import atheris

    with atheris.instrument_imports(include=["tools", "agent"]):
        import fuzz_target

        fuzz_target.load_parsers()
    import fuzz_corpus
    import fuzz_mutate

    seeds, words = fuzz_corpus.load_seeds(), fuzz_corpus.load_words()
    for data in seeds:
        (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)

    def change(data: bytes, max_size: int, seed: int) -> bytes:
        rng = Random(seed)
        if rng.random() < 0.4:
            return atheris.Mutate(data, min(max_size, len(data) * 2 + 64))
        changed = fuzz_mutate.mutate(rng, data, seeds, words)
        if rng.randrange(PACKED_EVERY) == 0:
            changed = fuzz_mutate.pack(rng, changed, seeds)
        return changed[:max_size]

    arguments = [
        f"-runs={runs}",
        f"-seed={seed}",
        "-max_len=16384",
        "-timeout=60",
        "-rss_limit_mb=3000",
        "-verbosity=0",
    ]
    atheris.Setup([sys.argv[0], *arguments, str(corpus)], lambda data: try_input(tally, data), custom_mutator=change)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000, help="inputs")
    parser.add_argument("--seed", type=int, default=1, help="another seed, other inputs")
    parser.add_argument("--corpus", type=Path, default=Path.home() / ".cache" / "daytwo-fuzz", help="kept between runs")
    parser.add_argument("--engine", choices=["atheris", "seeded"], default="", help="the default is what is installed")
    asked = parser.parse_args()
    corpus = asked.corpus / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    engine = asked.engine or ("atheris" if _has_atheris() else "seeded")
    tally = Tally(asked.corpus / "findings")
    report = asked.corpus / f"report-{engine}-{asked.seed}-{os.getpid()}.json"
    _tell_later(tally, report, engine)
    run = run_atheris if engine == "atheris" else run_seeded
    run(tally, corpus, asked.runs, asked.seed)
    return finish(tally, report, engine)


def _has_atheris() -> bool:
    from importlib.util import find_spec

    return find_spec("atheris") is not None


def _tell_later(tally: Tally, report: Path, engine: str) -> None:
    # libFuzzer ends the process itself, and waits for its own threads for ever where we let it.
    import atexit

    atexit.register(lambda: os._exit(finish(tally, report, engine)))


def finish(tally: Tally, report: Path, engine: str) -> int:
    """Tell what was found; 1 where anything is wrong."""
    wrong = [kind for kind in tally.findings if kind != "slowest"]
    if not report.exists():
        print(f"{engine}: {tally.describe()}", flush=True)  # noqa: T201
        told = {"runs": tally.runs, "findings": tally.findings, "slowest": tally.slowest}
        report.write_text(json.dumps(told), encoding="utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
