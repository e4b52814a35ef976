"""`daytwo audit`: what was decided, asked, approved and done, row by row, and whether the chain holds."""

from __future__ import annotations

import json
import re

from agent.audit import AuditLine, Head
from agent.history import spell_time
from agent.settings import load_settings
from agent.store.actions import ActionBook
from serve.action_lines import render_audit
from serve.store import open_site_store
from serve.terminal import print_people, print_text, print_words
from tools.errors import OperatorError

HEAD = re.compile(r"(?:(\d{1,18}):)?([0-9a-f]{64})")


def run_show(*, case_id: str, limit: int, as_json: bool) -> int:
    """Print rows of the audit, oldest first.

    Args:
        case_id: Only of this case; empty for all.
        limit: The newest so many; 0 for all.
        as_json: One document.
    """
    with open_site_store(load_settings()) as store:
        lines = ActionBook(store).read_audit(case_id=case_id, limit=limit or None)
    if as_json:
        print_text(json.dumps({"schema": "daytwo.audit/1", "rows": [_describe(line) for line in lines]}, indent=2))
    elif lines:
        print_people(render_audit(lines))
    else:
        print_words(f"Nothing is written down{f' of {case_id}' if case_id else ''} in {store.place}.")
    return 0


def run_verify(*, head: str, as_json: bool) -> int:
    """Check the chain; 1 where it is broken, with the first row that does not hold.

    Args:
        head: A head that was printed before and kept elsewhere; empty where none was.
        as_json: One document.

    Raises:
        OperatorError: `head` is none.
    """
    kept = parse_head(head) if head else None
    with open_site_store(load_settings()) as store:
        found, broken = ActionBook(store).check_audit(kept)
    if as_json:
        row = {"row": broken.number, "why": broken.why} if broken else None
        document = {"schema": "daytwo.audit-check/1", "rows": found.number, "head": str(found), "broken": row}
        print_text(json.dumps(document, indent=2))
    elif broken:
        print_words(f"broken at row {broken.number}: {broken.why}\nNext: daytwo audit show --limit 0, and a backup")
    else:
        held = " and hold the head that you kept" if kept else ""
        print_words(
            f"{found.number} rows follow each other{held}.\n"
            f"Keep this elsewhere, so that a cut at the end is found too: daytwo audit verify --head {found}"
        )
    return 1 if broken else 0


def parse_head(text: str) -> Head:
    """Read ``12:9f86d0…``, or the hash alone.

    Raises:
        OperatorError: It is neither.
    """
    match = HEAD.fullmatch(text.strip().lower())
    if match is None:
        raise OperatorError(
            f"--head {text!r} is no head of an audit.", fix="daytwo audit verify prints one: 12:9f86d0…"
        )
    return Head(int(match[1] or 0), match[2])


def _describe(line: AuditLine) -> dict[str, object]:
    words = line.words
    return {
        "row": line.number,
        "time": spell_time(line.time_seconds),
        "kind": line.kind,
        "case_id": line.case_id,
        "who": words.get("who"),
        "data": words.get("data"),
        "previous": line.previous,
        "hash": line.hash,
    }
