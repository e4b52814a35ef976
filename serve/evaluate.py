"""`daytwo eval`: the frozen scenarios, or a folder of real excerpts, on each backend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def run_evaluate(backends: Sequence[str], *, repeats: int, excerpts: Path | None, as_json: bool) -> int:
    """Score and print. The exit code is 0 where all was measured, 2 where an endpoint kept runs from being measured."""
    raise NotImplementedError
