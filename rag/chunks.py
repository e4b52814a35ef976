"""Runbooks as files, and the chunks that the index holds: one per section, with ids that stay."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rag.errors import RunbookInvalid

SECTIONS: Mapping[str, str] = {
    "see": "What you see",
    "confirm": "Confirm it",
    "do": "Do",
    "dont": "Do not",
    "escalate": "When to escalate",
}
"""Slug to heading, in the order of the file. The slug ends a chunk's id: ``gpu_off_bus#confirm``."""

SHIPPED = Path(__file__).parent / "runbooks"
"""The runbooks that come with the package."""
SITE_FOLDER = "runbooks"
"""In the data folder: the runbooks of the site."""

FRONT_MATTER_FIELDS = ("fault", "title", "applies_to", "sources")

_FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
_HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Runbook:
    """One runbook: what a person reads about one fault.

    Attributes:
        sections: Slug to Markdown body, all five, none empty.
        digest: SHA-256 of the file, hexadecimal: the same digest means that there is nothing to index.
        site: True where the file is the site's own, which overrides the shipped one.
    """

    fault: str
    title: str
    applies_to: tuple[str, ...]
    sources: tuple[str, ...]
    sections: Mapping[str, str]
    digest: str
    path: Path
    site: bool = False


@dataclass(frozen=True, slots=True)
class Chunk:
    """One section of one runbook, the unit of the index."""

    id: str
    runbook: str
    section: str
    title: str
    text: str
    digest: str


def read_runbook(path: Path, *, site: bool = False) -> Runbook:
    """Read and check one runbook.

    Raises:
        RunbookInvalid: No front matter, a field or section is missing or unknown, or the text is not UTF-8.
    """
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8").replace("\r\n", "\n")
    except (OSError, UnicodeDecodeError) as error:
        raise _invalid(path, f"cannot be read as UTF-8 text ({error})") from None
    match = _FRONT_MATTER.match(text)
    if match is None:
        raise _invalid(path, "does not start with front matter between two lines of ---")
    front = _read_front_matter(path, match[1])
    sections = _split_sections(path, match[2])
    return Runbook(
        fault=str(front["fault"]),
        title=str(front["title"]),
        applies_to=_as_words(front["applies_to"]),
        sources=_as_words(front["sources"]),
        sections=sections,
        digest=hashlib.sha256(raw).hexdigest(),
        path=path,
        site=site,
    )


def read_runbooks(shipped: Path = SHIPPED, site: Path | None = None) -> dict[str, Runbook]:
    """Read all runbooks by fault; one of the site replaces the shipped one of the same fault.

    Raises:
        RunbookInvalid: A file is not a runbook, or its name is not its fault.
    """
    books = {book.fault: book for book in _read_folder(shipped, site=False)}
    if site is not None and site.is_dir():
        books.update({book.fault: book for book in _read_folder(site, site=True)})
    return dict(sorted(books.items()))


def build_chunks(runbook: Runbook) -> list[Chunk]:
    """Cut a runbook into its five chunks; each carries the title, so that it can be understood alone."""
    return [
        Chunk(
            id=f"{runbook.fault}#{slug}",
            runbook=runbook.fault,
            section=slug,
            title=runbook.title,
            text=runbook.sections[slug],
            digest=runbook.digest,
        )
        for slug in SECTIONS
    ]


def _read_folder(folder: Path, *, site: bool) -> list[Runbook]:
    books = []
    for path in sorted(folder.glob("*.md")):
        if path.stem.upper() == "README":
            continue
        book = read_runbook(path, site=site)
        if book.fault != path.stem:
            raise _invalid(path, f"speaks of the fault {book.fault!r}, which is not its file name")
        books.append(book)
    return books


def _read_front_matter(path: Path, text: str) -> dict[str, object]:
    import yaml

    try:
        front = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _invalid(path, f"has front matter that is no YAML ({str(error).splitlines()[0]})") from None
    if not isinstance(front, dict):
        raise _invalid(path, "has front matter that is no mapping")
    missing = [name for name in FRONT_MATTER_FIELDS if not front.get(name)]
    if missing:
        raise _invalid(path, f"lacks {', '.join(missing)} in its front matter")
    return {str(key): value for key, value in front.items()}


def _split_sections(path: Path, body: str) -> dict[str, str]:
    parts = _HEADING.split(body)
    if parts[0].strip():
        raise _invalid(path, "has text before its first section")
    found = dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
    if list(found) != list(SECTIONS.values()) or len(parts) != 2 * len(SECTIONS) + 1:
        raise _invalid(path, f"has the sections {parts[1::2]}")
    empty = [heading for heading, text in found.items() if not text]
    if empty:
        raise _invalid(path, f"has nothing under {', '.join(empty)}")
    return {slug: found[heading] for slug, heading in SECTIONS.items()}


def _as_words(value: object) -> tuple[str, ...]:
    values: Sequence[object] = value if isinstance(value, list) else [value]
    return tuple(str(item) for item in values)


def _invalid(path: Path, why: str) -> RunbookInvalid:
    wanted = ", ".join(f"## {heading}" for heading in SECTIONS.values())
    fields = ", ".join(FRONT_MATTER_FIELDS)
    return RunbookInvalid(
        f"The runbook {path} {why}.",
        fix=f"mend the file: front matter with {fields}; then, in this order, {wanted}",
    )
