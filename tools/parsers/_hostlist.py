"""Expands the host lists of Slurm and friends: ``gpu-[001-004,7],login1``."""

from __future__ import annotations

import re
from itertools import product

MAX_HOSTS = 65536
_PART = re.compile(r"\[([^\]]*)\]")


def expand_hostlist(text: str) -> tuple[str, ...]:
    """Expand a host list, widths kept: ``n[08-10]`` is n08, n09, n10.

    Args:
        text: Names apart by commas, spaces or semicolons, with ranges in brackets.

    Returns:
        At most 65,536 names in order, each once; a bracket that is no range is left as it stands.
    """
    names: dict[str, None] = {}
    for piece in re.findall(r"(?:[^\s,;\[\]]|\[[^\]]*\]?)+", text):
        for name in _expand_one(piece):
            names[name] = None
            if len(names) >= MAX_HOSTS:
                return tuple(names)
    return tuple(names)


def _expand_one(piece: str) -> list[str]:
    parts = _PART.split(piece)
    choices: list[list[str]] = []
    size = 1
    for place, part in enumerate(parts):
        options = _expand_ranges(part) if place % 2 else [part]
        size *= len(options)
        if size > MAX_HOSTS:
            return [piece]
        choices.append(options)
    return ["".join(combination) for combination in product(*choices)]


def _expand_ranges(text: str) -> list[str]:
    options: list[str] = []
    for item in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})-(\d{1,9})\s*", item)
        if match is None:
            options.append(item.strip())
            continue
        first, last = int(match[1]), int(match[2])
        if last - first >= MAX_HOSTS or last < first:
            return [f"[{text}]"]
        options += [f"{number:0{len(match[1])}d}" for number in range(first, last + 1)]
    return options
