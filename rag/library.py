"""The library of runbooks: what callers open, search and read.

Cheap to import: Chroma, NumPy and bm25s are loaded at the first search.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from rag.chunks import SECTIONS, SHIPPED, SITE_FOLDER, Chunk, Runbook, build_chunks, read_runbooks
from rag.embed import BUILTIN, Embedder, open_embedder
from rag.errors import IndexUnusable
from rag.retrieve import Retriever, spell_passage

if TYPE_CHECKING:
    from rag.store import Stored, VectorStore

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Passage:
    """One section of one runbook, as found.

    Attributes:
        id: Stable name, ``gpu_off_bus#confirm``.
        section: Slug: see, confirm, do, dont or escalate.
        title: Of the runbook.
        text: The section's Markdown.
        score: Only comparable within one search; 1.0 where the section was asked for by name.
    """

    id: str
    runbook: str
    section: str
    title: str
    text: str
    score: float


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What indexing did, counted in runbooks."""

    added: int
    changed: int
    removed: int
    unchanged: int
    seconds: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """What has to be written and deleted, and the counts of it."""

    write: tuple[Chunk, ...]
    remove: tuple[str, ...]
    added: int
    changed: int
    removed: int
    unchanged: int


class Library:
    """The runbooks of the package and of the site, indexed in Chroma.

    Args:
        store: Where the chunks and their vectors live.
        embedder: What makes the vectors.
        shipped: Folder of the package's runbooks.
        site: Folder of the site's own, which override and add; need not exist.
    """

    def __init__(
        self, store: VectorStore, embedder: Embedder, *, shipped: Path = SHIPPED, site: Path | None = None
    ) -> None:
        self._store = store
        self._embedder = embedder
        self._shipped = shipped
        self._site = site
        self._retriever: Retriever | None = None
        self._indexed = False

    def index(self) -> IndexReport:
        """Bring the index up to date with the files; an unchanged file costs nothing.

        Raises:
            RunbookInvalid: A file is no runbook.
            EmbeddingUnavailable: The embedding gives no vectors.
            IndexUnusable: The folder cannot be written, even after it was made anew.
        """
        start = time.perf_counter()
        chunks = [chunk for book in self.runbooks() for chunk in build_chunks(book)]
        with self._store.lock():
            plan = self._write_or_rebuild(chunks)
        self._indexed = True
        self._retriever = None
        return IndexReport(plan.added, plan.changed, plan.removed, plan.unchanged, time.perf_counter() - start)

    def search(
        self, query: str, *, limit: int = 5, mode: Literal["hybrid", "dense", "bm25"] = "hybrid", near: bool = False
    ) -> list[Passage]:
        """Find the runbooks that speak of a symptom, best first, each with its best section.

        Args:
            query: Words as a person or a log has them.
            limit: Most passages; each is of another runbook.
            mode: ``hybrid`` fuses vectors with BM25; the others are for measuring.
            near: Give nothing at all for a question that is about something else.

        Returns:
            Passages; empty where nothing in the question is known to any runbook.

        Raises:
            RagError: As `index`, which the first use calls.
        """
        if near and not self._attempt(lambda: self._open_retriever().is_near(query)):
            return []
        ranked = self._attempt(lambda: self._open_retriever().rank(query, mode))
        return [_build_passage(stored, score) for stored, score in ranked[: max(limit, 0)]]

    def section(self, runbook: str, section: str) -> Passage | None:
        """Read one section by name: slug (``confirm``) or heading (``Confirm it``); None where there is none."""
        slug = next((s for s, heading in SECTIONS.items() if section in (s, heading)), section)
        found = self._attempt(lambda: self._store.read_chunks([f"{runbook}#{slug}"]))
        return _build_passage(found[0], 1.0) if found else None

    def runbooks(self) -> list[Runbook]:
        """Read all runbooks from their files, in order of fault; needs no index.

        Raises:
            RunbookInvalid: A file is no runbook.
        """
        return list(read_runbooks(self._shipped, self._site).values())

    def close(self) -> None:
        """Let go of the index files."""
        self._retriever = None
        self._indexed = False
        self._store.close()

    def _open_retriever(self) -> Retriever:
        if self._retriever is None:
            self._retriever = Retriever(self._store.read_chunks(), self._store, self._embedder)
        return self._retriever

    def _attempt(self, read: Callable[[], T]) -> T:
        """Read from an index that is up to date; one that turns out broken is opened again, then built anew."""
        from rag.store import StoreBroken

        if not self._indexed:
            self.index()
        # Opening again is enough where another process replaced the files; only then are they thrown away.
        for mend in (self._reopen, self._rebuild):
            try:
                return read()
            except StoreBroken:
                mend()
        try:
            return read()
        except StoreBroken as error:
            raise self._unusable(error) from error

    def _reopen(self) -> None:
        self.close()
        self.index()

    def _rebuild(self) -> None:
        self.close()
        with self._store.lock():
            self._store.reset()
        self.index()

    def _write_or_rebuild(self, chunks: list[Chunk]) -> _Plan:
        from rag.store import StoreBroken

        try:
            return self._write(chunks)
        except StoreBroken:
            self._store.reset()
        try:
            return self._write(chunks)
        except StoreBroken as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> IndexUnusable:
        return IndexUnusable(
            f"The index in {self._store.folder} is broken and could not be built anew: {error}.",
            fix=f"rm -r {self._store.folder} && daytwo index",
        )

    def _write(self, chunks: list[Chunk]) -> _Plan:
        plan = build_plan(chunks, self._store.read_digests())
        if plan.write:
            vectors = self._embedder.embed_passages([spell_passage(chunk.title, chunk.text) for chunk in plan.write])
            self._store.write_chunks(plan.write, vectors)
        # Deleting comes last: a run that was cut short leaves too much, which the next one sees, never too little.
        self._store.remove_chunks(plan.remove)
        return plan


def open_library(data_dir: Path, *, embedding: str = BUILTIN) -> Library:
    """Open the library of an installation; it is indexed at the first search, incrementally.

    Args:
        data_dir: The index lives in ``index``; runbooks of the site, if any, in ``runbooks``, overriding the shipped.
        embedding: ``builtin``, a folder with a local model, or ``URL#NAME`` of an OpenAI-compatible endpoint.

    Raises:
        EmbeddingUnavailable: The embedding cannot be opened.
    """
    from rag.store import VectorStore

    embedder = open_embedder(embedding)
    return Library(VectorStore(data_dir / "index", embedder.identity), embedder, site=data_dir / SITE_FOLDER)


def build_plan(chunks: list[Chunk], stored: dict[str, str]) -> _Plan:
    """Hold the chunks of the files against the digests in the store.

    Args:
        chunks: What should be there.
        stored: Chunk id to the digest of its file, what is there.
    """
    wanted = {chunk.id: chunk for chunk in chunks}
    books = {chunk.runbook for chunk in chunks}
    known = {chunk_id.partition("#")[0] for chunk_id in stored}
    stale = {chunk.runbook for chunk in chunks if stored.get(chunk.id) != chunk.digest}
    return _Plan(
        write=tuple(chunk for chunk in chunks if chunk.runbook in stale),
        remove=tuple(sorted(chunk_id for chunk_id in stored if chunk_id not in wanted)),
        added=len(stale - known),
        changed=len(stale & known),
        removed=len(known - books),
        unchanged=len(books - stale),
    )


def _build_passage(stored: Stored, score: float) -> Passage:
    return Passage(stored.id, stored.runbook, stored.section, stored.title, stored.text, score)
