"""Undoes what mail, tickets and diffs did to a text before it was pasted: lines folded, marked, with a clock alone.

A text is mended only where it then tells more than as it stands: what was pasted is believed first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from tools.parsers._lines import is_cut
from tools.sources._reading import UNEXPLAINED, note_clock_jumps, read_stretch
from tools.sources._segments import ListDocument, cut_stretches
from tools.types import Document, Facts, Line, merge_facts

MAX_LINES = 2000
WIDTHS = range(56, 121)
"""Columns at which mail programs and editors fold: 72 to 80 mostly, fewer after an indentation (a guess)."""
MOST = 0.6
"""A mark or a clock is the text's, not a line's own, where so many lines begin with it (a guess)."""
MAX_PIECES = 4
MIN_ROWS = 3
"""So many rows that were all folded once are a folded table (a guess)."""
WORDED = "wording:"
_FENCE = re.compile(r"^\s*(?:```|~~~)[\w+-]*\s*$")
_MARK = re.compile(r"^[+](?![-+=])")
_CLOCK = re.compile(r"^\[?\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s+(?=\S)")
_BULLET = re.compile(r"^\s*(?:[*•·]|\d{1,2}[.)])\s+(?=\S)")
_DRAWN = re.compile(r"^\s*[|+]")
"""A row of a drawn table is as long as all others."""
_HEADED = re.compile(
    r"^\s*(?:<\d+>)?(?:\[\s*\d+\.\d+\]|[A-Z][a-z]{2}\s+\d+\s+\d\d:\d\d|\d{4}-\d\d-\d\d"
    r"|\[[A-Z][a-z]{2} [A-Z][a-z]{2}\s+\d+ |\w[\w.-]*:\d+:\d+ \[\d+\])"
)


def drop_fences(lines: Sequence[Line]) -> list[Line]:
    """Empty the lines that only fence code in: they are the page's, not the machine's."""
    return [Line(line.number, "") if _FENCE.match(line.text) else line for line in lines]


def read_mended(document: Document, lines: Sequence[Line]) -> Facts | None:
    """Read a text as it may have been before it was pasted; None where as it stands it tells as much."""
    variants = list(mend(lines))
    if not variants:
        return None
    if _is_surely_folded(variants[-1], sum(bool(line.text.strip()) for line in lines)):
        return _read_lines(document, variants[-1])
    best = max((_read_lines(document, variant) for variant in variants), key=_weigh)
    return best if _weigh(best) > _weigh(_read_lines(document, lines)) else None


def _is_surely_folded(joined: Sequence[Line], before: int) -> bool:
    """Whether every line has a head of its own once the folded ones are joined, or every row of a table was folded.

    Half a line may have told another thing, and so may half a row.
    """
    told = [line for line in joined if line.text.strip()]
    if len(told) in (before, 0, 1):
        return False
    return all(_HEADED.match(line.text) for line in told) or (len(told) >= MIN_ROWS and before == 2 * len(told))


def _read_lines(document: Document, lines: Sequence[Line]) -> Facts:
    stretches = cut_stretches([line.text for line in lines])
    parts = [ListDocument(document.label, document.node, tuple(lines[s.start : s.end])) for s in stretches]
    return merge_facts([note_clock_jumps(read_stretch(p, s.parsers)) for p, s in zip(parts, stretches, strict=True)])


def _weigh(facts: Facts) -> int:
    """How much a text told: events that a rule knows, and rows of tables; its words alone are nothing."""
    told = sum(event.code != UNEXPLAINED and not event.code.startswith(WORDED) for event in facts.events)
    return told + sum(len(window.entities) * len(window.values) for window in facts.windows) + len(facts.links)


def mend(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Yield what a text may have been, the likeliest first; nothing where it shows no sign of having been changed."""
    if len(lines) > MAX_LINES:
        return
    unmarked = _strip(lines, _MARK) or _strip(lines, _BULLET)
    bare = _strip(unmarked or lines, _CLOCK)
    for one in (unmarked, bare):
        if one:
            yield one
    joined = join_folded(bare or unmarked or lines)
    if joined:
        yield joined


def _strip(lines: Sequence[Line], mark: re.Pattern[str]) -> list[Line]:
    """Remove a mark that most lines begin with; empty where it is not theirs."""
    told = [line for line in lines if line.text.strip()]
    if sum(bool(mark.match(line.text)) for line in told) < max(1, MOST * len(told)):
        return []
    return [Line(line.number, mark.sub("", line.text, count=1)) for line in lines]


def join_folded(lines: Sequence[Line]) -> list[Line]:
    """Join lines that were folded at one width: the next word would not have stood on the line before.

    Returns:
        The lines, a joined one under the number of its first; empty where nothing was folded.
    """
    lengths = [len(line.text.rstrip()) for line in lines]
    width = max(lengths, default=0)
    if width not in WIDTHS:
        return []
    has_heads = sum(bool(_HEADED.match(line.text)) for line in lines) > 1
    joined: list[Line] = []
    pieces = 1
    for line, before in zip(lines, [0, *lengths], strict=False):
        word = line.text.split(maxsplit=1)[0] if line.text.strip() else ""
        goes_on = bool(word) and before > 0 and before + 1 + len(word) > width and pieces < MAX_PIECES
        # Rows of a table are all as long as the longest; the rest of a folded line is what was left of it.
        goes_on = goes_on and (has_heads or len(line.text.rstrip()) < width)
        own = _DRAWN.match(line.text) or is_cut(line.text) or (has_heads and _HEADED.match(line.text))
        if goes_on and not own and not _DRAWN.match(joined[-1].text):
            joined[-1] = Line(joined[-1].number, f"{joined[-1].text.rstrip()} {line.text.strip()}")
            pieces += 1
        else:
            joined.append(line)
            pieces = 1
    return joined if len(joined) < len(lines) else []
