"""Score real excerpts: a folder of published lines, and what an expert would accept for each."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.policy import SitePolicy
from agent.triage import build_unread_facts, triage
from agent.types import TriageReport
from evals.report import ExcerptReport, ExcerptRow, build_excerpt_report
from evals.runner import FROZEN_NOW, triage_paths
from evals.score import score_first_verdict
from evals.seats import RULES, Seat
from tools.errors import DaytwoError, EvidenceNotFound, EvidenceUnreadable, SiteConfigError

COLUMNS = frozenset({"file", "accepted_faults", "harmful_actions"})


def score_excerpts(folder: Path) -> ExcerptReport:
    """Triage every excerpt that `accepted.csv` names and score its first verdict.

    The name of an excerpt and its leading ``#`` lines tell the answer, so neither is seen by what triages: the rest of
    the text is copied to a file with an opaque name first.

    Args:
        folder: Holds ``accepted.csv`` with the columns file, accepted_faults, harmful_actions (both ``|``-separated;
            further columns are allowed, ``format`` is shown), and the files.

    Raises:
        EvidenceNotFound: No such folder, or no ``accepted.csv`` in it.
        SiteConfigError: A column is missing.
    """
    rows = [_score_excerpt(folder, row, number) for number, row in enumerate(_read_rows(folder), start=1)]
    return build_excerpt_report(str(folder), rows)


def _read_rows(folder: Path) -> Iterator[dict[str, str]]:
    path = folder / "accepted.csv"
    if not path.is_file():
        raise EvidenceNotFound(f"Looked for accepted.csv in {folder}; not there.", fix=f"ls {folder}")
    with path.open(encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        missing = COLUMNS - set(reader.fieldnames or ())
        if missing:
            raise SiteConfigError(f"{path} lacks: {', '.join(sorted(missing))}.", fix=f"head -1 {path}")
        yield from reader


def _score_excerpt(folder: Path, row: dict[str, str], number: int) -> ExcerptRow:
    accepted, harmful = split_words(row["accepted_faults"]), split_words(row["harmful_actions"])
    form = row.get("format") or "unknown"
    try:
        report = _triage_excerpt(folder / row["file"], number)
    except (DaytwoError, OSError) as error:
        return _build_row(row["file"], form, accepted, error=str(error))
    right, harm = score_first_verdict(report, accepted, harmful)
    return _build_row(row["file"], form, accepted, report, right=right, harm=harm)


def _build_row(
    file: str,
    form: str,
    accepted: list[str],
    report: TriageReport | None = None,
    *,
    right: bool = False,
    harm: bool = False,
    error: str = "",
) -> ExcerptRow:
    first = report.verdicts[0] if report is not None else None
    return ExcerptRow(
        file=file,
        form=form,
        accepted=accepted,
        fault=first.fault if first else None,
        entity=first.subject.entity if first else None,
        action=first.action if first else None,
        right=right,
        harm=harm,
        error=error,
    )


def _triage_excerpt(path: Path, number: int) -> TriageReport:
    with tempfile.TemporaryDirectory(prefix="t") as name:
        target = Path(name) / f"input-{number:04d}.txt"
        target.write_bytes(cut_header(path.read_bytes()))
        try:
            return triage_paths([target], Seat(RULES))
        except EvidenceUnreadable as error:
            return triage(build_unread_facts([target.name], error), site=SitePolicy(), now=FROZEN_NOW)


def cut_header(data: bytes) -> bytes:
    """Cut the leading lines that begin with ``#``; the rest stays as it is, to the byte."""
    while data.startswith(b"#"):
        _, _, data = data.partition(b"\n")
    return data


def split_words(text: str) -> list[str]:
    """Split ``a|b`` into its words."""
    return [word.strip() for word in text.split("|") if word.strip()]
