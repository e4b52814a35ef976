"""Counts which lines of the product have run: the guide of a fuzzing run without atheris."""

from __future__ import annotations

import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

ROOMS = ("tools", "agent")


class LineWatch:
    """Counts lines that run for the first time; each costs once with `sys.monitoring` (3.12), always before it."""

    IS_CHEAP = sys.version_info >= (3, 12)

    def __init__(self, root: Path) -> None:
        self._heads = tuple(str(root / room) for room in ROOMS)
        self._seen: dict[int, set[int] | None] = {}
        self.count = 0

    def __enter__(self) -> LineWatch:
        if sys.version_info >= (3, 12):
            tool = sys.monitoring
            tool.use_tool_id(tool.COVERAGE_ID, "fuzz")
            tool.register_callback(tool.COVERAGE_ID, tool.events.LINE, self._see_line)
            tool.set_events(tool.COVERAGE_ID, tool.events.LINE)
        else:
            sys.setprofile(self._see_call)
        return self

    def __exit__(self, *_: object) -> None:
        if sys.version_info >= (3, 12):
            tool = sys.monitoring
            tool.set_events(tool.COVERAGE_ID, 0)
            tool.free_tool_id(tool.COVERAGE_ID)
        else:
            sys.setprofile(None)

    def _see_line(self, code: CodeType, line: int) -> Any:
        self._note(code, line)
        return sys.monitoring.DISABLE if sys.version_info >= (3, 12) else None

    def _see_call(self, frame: FrameType, what: str, _argument: object) -> None:
        # Before 3.12 lines are too dear to watch: where a function returns tells its branch as well.
        if what == "return":
            self._note(frame.f_code, frame.f_lineno)

    def _note(self, code: CodeType, line: int) -> None:
        name = id(code)  # code is compared by all that is in it, which costs more than what is watched
        if name not in self._seen:
            self._seen[name] = set() if code.co_filename.startswith(self._heads) else None
        seen = self._seen[name]
        if seen is not None and line not in seen:
            seen.add(line)
            self.count += 1
