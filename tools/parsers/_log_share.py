"""How much of a sample is a kernel log or syslog, and how much a program's own log."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from tools.parsers._app_forms import read_app_head
from tools.parsers._kernel_forms import split_head
from tools.parsers._lines import is_noise
from tools.parsers._log_counter import is_understood
from tools.parsers._log_progress import is_progress
from tools.parsers._log_reader import APPLICATION_PATTERNS, pattern_table

_SURE_WITH_EVIDENCE = 0.6
_LOG_FORMS = frozenset(
    {"dmesg", "dmesg -T", "dmesg -H", "kmsg", "rfc3164", "rfc5424", "journal json", "docker", "unix", "columns", "ras"}
)


def score_forms(sample: Sequence[str]) -> tuple[float, float]:
    """Score a sample as kernel log (or syslog) and as application log, each 0.0 to 1.0.

    One line that a pattern of the kind matches makes 0.6 at least: a paste may hold little else of it. Both parsers of
    logs ask it of the same sample, so that the last answer is kept.
    """
    return _score_forms(tuple(sample))


@lru_cache(maxsize=1)
def _score_forms(sample: tuple[str, ...]) -> tuple[float, float]:
    kernel = application = evidence_kernel = evidence_application = lines = 0
    for raw in sample:
        if is_noise(raw):
            continue
        lines += 1
        head = split_head(raw)
        app = read_app_head(head)
        found = pattern_table().match_text(head.text) or pattern_table().match_text(app.head.text)
        of_app = found is not None and any(found.pattern is p for p in APPLICATION_PATTERNS) and head.tag != "ras"
        if head.writer == "kernel" or head.form in _LOG_FORMS or head.tag:
            kernel += 1
        elif found is not None:
            kernel += not of_app
            application += of_app
        elif app.form or head.form or is_progress(head.text):
            application += 1
        elif is_understood(raw) or pattern_table().knows(head.text):
            kernel += 1
        evidence_kernel += found is not None and not of_app
        evidence_application += of_app
    return (
        _score(kernel, evidence_kernel, lines),
        _score(application, evidence_application, lines),
    )


def _score(count: int, evidence: int, lines: int) -> float:
    if not count or not lines:
        return 0.0
    share = count / lines
    return max(share, _SURE_WITH_EVIDENCE) if evidence else share
