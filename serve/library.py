"""`daytwo runbook` and `daytwo index`, and the excerpts that stand under a verdict."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from difflib import get_close_matches
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.markdown import Markdown
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from agent.settings import Settings, load_settings
from agent.types import RunbookRef
from rag.chunks import SECTIONS, SHIPPED, SITE_FOLDER, read_runbooks
from rag.errors import RagError
from serve.terminal import is_terminal, note, print_people, print_text
from tools.errors import OperatorError
from tools.harmless import redact_url

if TYPE_CHECKING:
    from rag.library import Library, Passage

SEARCH = "search"
LIST = "list"
EXCERPT_LINES = 8


def open_library(settings: Settings) -> Library:
    """Open the library of runbooks; Chroma is imported here and not before."""
    from rag.library import open_library as open_real_library

    return open_real_library(settings.data_dir, embedding=settings.embedding)


def read_excerpts(references: Sequence[RunbookRef], settings: Settings) -> dict[RunbookRef, str]:
    """Read the sections that verdicts point at.

    Returns:
        Text by reference; one that cannot be read is left out, with a note: a verdict never fails for its runbook.
    """
    if not references:
        return {}
    try:
        books = read_runbooks(SHIPPED, settings.data_dir / SITE_FOLDER)
    except RagError as error:
        note(f"daytwo: no runbook can be shown. {error}")
        return {}
    found = {one: books[one.id].sections.get(one.section) for one in references if one.id in books}
    return {reference: text for reference, text in found.items() if text}


def run_index(*, as_json: bool) -> int:
    """Bring the index up to date and say what that changed."""
    settings = load_settings()
    report = open_library(settings).index()
    if as_json:
        print_text(
            json.dumps({"schema": "daytwo.index/1", "embedding": redact_url(settings.embedding), **asdict(report)})
        )
        return 0
    total = report.added + report.changed + report.unchanged
    print_people(
        Text.assemble(
            (f"{total} runbooks", "bold"),
            f": {report.added} added, {report.changed} changed, {report.removed} removed, in {report.seconds:.1f} s",
        )
    )
    return 0


def run_runbook(words: Sequence[str], *, limit: int, as_json: bool) -> int:
    """Show the runbook of a fault, list all of them, or search them.

    Raises:
        OperatorError: No such runbook, or no words to search for.
    """
    library = open_library(load_settings())
    if words[0] == SEARCH:
        return _search(library, " ".join(words[1:]), limit=limit, as_json=as_json)
    if list(words) == [LIST]:
        return _list(library, as_json=as_json)
    return _show(library, words, as_json=as_json)


def _show(library: Library, words: Sequence[str], *, as_json: bool) -> int:
    books = {book.fault: book for book in library.runbooks()}
    book = books.get(words[0])
    if book is None or len(words) > 1:
        near = get_close_matches(words[0], books, n=1)
        fix = f"daytwo runbook {near[0]}" if near and len(words) == 1 else f"daytwo runbook search {' '.join(words)}"
        raise OperatorError(f"There is no runbook '{' '.join(words)}'.", fix=fix)
    if as_json:
        front = {"applies_to": book.applies_to, "sources": book.sources, "site": book.site}
        document = {"schema": "daytwo.runbook/1", "fault": book.fault, "title": book.title, **front}
        print_text(json.dumps({**document, "sections": dict(book.sections)}, indent=2))
        return 0
    print_people(Text(book.title, "bold"), Text(f"applies to {', '.join(book.applies_to)}", "dim"))
    for slug, text in book.sections.items():
        print_people(Text(), Text(SECTIONS[slug], "bold cyan"), render_prose(text))
    return 0


def _search(library: Library, query: str, *, limit: int, as_json: bool) -> int:
    if not query.strip():
        raise OperatorError("There are no words to search for.", fix="daytwo runbook search ranks hang after a reboot")
    passages = library.search(query, limit=limit, near=True)
    if as_json:
        document = {"schema": "daytwo.passages/1", "query": query, "passages": [asdict(item) for item in passages]}
        print_text(json.dumps(document, indent=2))
        return 0
    for passage in passages:
        print_people(_render_head(passage), Padding(render_prose(_shorten(passage.text)), (0, 0, 1, 2)))
    if not passages:
        print_people(Text.assemble("Nothing in the runbooks is close to that.   ", ("daytwo runbook list", "cyan")))
    return 0


def _list(library: Library, *, as_json: bool) -> int:
    books = library.runbooks()
    if as_json:
        rows = [{"fault": book.fault, "title": book.title, "applies_to": book.applies_to} for book in books]
        print_text(json.dumps({"schema": "daytwo.runbooks/1", "runbooks": rows}, indent=2))
        return 0
    table = Table.grid(padding=(0, 2))
    for book in books:
        table.add_row(Text(book.fault, "bold"), Text(book.title))
    print_people(table)
    return 0


def render_prose(text: str) -> RenderableType:
    """Render Markdown on a terminal; off it the text stands as it is, so that commands can be copied."""
    return Markdown(text, code_theme="ansi_dark") if is_terminal(sys.stdout) else Text(text)


def _render_head(passage: Passage) -> Text:
    head = Text.assemble((passage.title, "bold"), f"  {SECTIONS[passage.section]}")
    return head.append(f"   daytwo runbook {passage.runbook}", "dim")


def _shorten(text: str) -> str:
    lines = text.strip().splitlines()
    return "\n".join(lines if len(lines) <= EXCERPT_LINES else [*lines[:EXCERPT_LINES], "…"])
