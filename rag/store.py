"""The vector store: the only place that knows Chroma.

Embedded and on disk; embeddings are always given, so Chroma never loads a model of its own; telemetry is off.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import re
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rag.chunks import Chunk
from rag.errors import IndexUnusable

if TYPE_CHECKING:
    import numpy as np
    from chromadb.api.client import Client
    from chromadb.api.models.Collection import Collection
    from numpy.typing import NDArray

LOCK_WAIT_SECONDS = 60.0
"""Longest wait for another process that indexes; a guess: a first index takes about a second."""

SEARCH_WIDTH = 400
"""Candidates that Chroma's graph search keeps; below the corpus' size its answers would only be approximate."""


class StoreBroken(Exception):
    """Chroma could not read or write its files: the index has to be built anew."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What the store holds about one chunk, without its vector."""

    id: str
    runbook: str
    section: str
    title: str
    text: str
    digest: str


class VectorStore:
    """One collection of chunks, named after the embedding that made its vectors.

    Args:
        folder: Where Chroma keeps its files; made if missing.
        identity: Of the embedding; another identity is another collection.
    """

    def __init__(self, folder: Path, identity: str) -> None:
        self.folder = folder
        self.name = _build_collection_name(identity)
        self._client: Client | None = None
        self._collection: Collection | None = None

    def read_digests(self) -> dict[str, str]:
        """Read every chunk id with the digest of the file that it was cut from."""
        with _seam():
            rows = self._open().get(include=["metadatas"])
        return {
            chunk_id: str((row or {}).get("digest", ""))
            for chunk_id, row in zip(rows["ids"], rows["metadatas"] or [], strict=True)
        }

    def read_chunks(self, ids: Sequence[str] | None = None) -> list[Stored]:
        """Read chunks by id, or all of them; ids that are not there are left out."""
        with _seam():
            rows = self._open().get(ids=None if ids is None else list(ids), include=["metadatas", "documents"])
        texts, metadatas = rows["documents"] or [], rows["metadatas"] or []
        return [
            _build_stored(chunk_id, text, metadata)
            for chunk_id, text, metadata in zip(rows["ids"], texts, metadatas, strict=True)
        ]

    def write_chunks(self, chunks: Sequence[Chunk], vectors: NDArray[np.float32]) -> None:
        """Add or replace chunks.

        Args:
            chunks: N of them.
            vectors: Shape (N, dimensions), rows of unit length.
        """
        if not chunks:
            return
        with _seam():
            self._open().upsert(
                ids=[chunk.id for chunk in chunks],
                embeddings=vectors,
                documents=[chunk.text for chunk in chunks],
                metadatas=[
                    {"runbook": c.runbook, "section": c.section, "title": c.title, "digest": c.digest} for c in chunks
                ],
            )

    def remove_chunks(self, ids: Sequence[str]) -> None:
        """Delete chunks by id."""
        if not ids:
            return
        with _seam():
            self._open().delete(ids=list(ids))

    def query_nearest(self, vector: NDArray[np.float32], limit: int) -> list[tuple[str, float]]:
        """Find the chunks nearest to a vector as (id, cosine similarity), best first."""
        with _seam():
            collection = self._open()
            count = min(limit, collection.count())
            if count == 0:
                return []
            found = collection.query(query_embeddings=vector.reshape(1, -1), n_results=count, include=["distances"])
        distances = found["distances"] or [[]]
        return [(chunk_id, 1.0 - distance) for chunk_id, distance in zip(found["ids"][0], distances[0], strict=True)]

    def reset(self) -> None:
        """Throw the files away and start with an empty folder."""
        from chromadb.api.shared_system_client import SharedSystemClient

        self.close()
        # Chroma keeps one engine per path and process; without this the new folder would be asked through the old one.
        SharedSystemClient.clear_system_cache()
        try:
            if self.folder.exists():
                doomed = self.folder.with_name(f"{self.folder.name}.broken-{time.time_ns()}")
                self.folder.rename(doomed)
                shutil.rmtree(doomed, ignore_errors=True)
        except OSError as error:
            raise _unusable(self.folder, error) from None

    def close(self) -> None:
        """Let go of the files."""
        if self._client is not None:
            self._client.close()
        self._client = self._collection = None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the index for writing, so that two processes never build it at once.

        Raises:
            IndexUnusable: The folder cannot be written, or another process holds it for too long.
        """
        path = self.folder.with_name(f"{self.folder.name}.lock")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("w", encoding="utf-8") as handle:
                _wait_for_lock(handle.fileno(), path)
                yield
        except OSError as error:
            raise _unusable(self.folder, error) from None

    def _open(self) -> Collection:
        if self._collection is not None:
            return self._collection
        import chromadb
        from chromadb.config import Settings

        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _unusable(self.folder, error) from None
        client = chromadb.PersistentClient(path=self.folder, settings=Settings(anonymized_telemetry=False))
        self._client = cast("Client", client)
        self._collection = self._client.get_or_create_collection(
            self.name, embedding_function=None, configuration={"hnsw": {"space": "cosine", "ef_search": SEARCH_WIDTH}}
        )
        return self._collection


@contextlib.contextmanager
def _seam() -> Iterator[None]:
    """Map what Chroma raises: everything foreign becomes `StoreBroken` here and nowhere else."""
    import sqlite3

    from chromadb.errors import ChromaError

    try:
        yield
    except (ChromaError, sqlite3.Error, OSError, RuntimeError, ValueError) as error:
        raise StoreBroken(f"{type(error).__name__}: {error}") from error


def _wait_for_lock(descriptor: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise IndexUnusable(
                    f"Another process has held the index for more than {LOCK_WAIT_SECONDS:.0f} s.",
                    fix=f"see who holds it with: fuser -v {path}",
                ) from None
            time.sleep(0.05)


def _build_collection_name(identity: str) -> str:
    """Spell an identity as Chroma allows it; what had to be changed is told apart by a digest."""
    plain = re.sub(r"[^a-zA-Z0-9-]+", "-", identity)[:80].strip("-")
    if plain != identity:
        plain = f"{plain}-{hashlib.sha256(identity.encode()).hexdigest()[:12]}"
    return f"runbooks-{plain}"


def _build_stored(chunk_id: str, text: str | None, metadata: Mapping[str, object] | None) -> Stored:
    row = metadata or {}
    names = ("runbook", "section", "title", "digest")
    runbook, section, title, digest = (str(row.get(name, "")) for name in names)
    return Stored(chunk_id, runbook, section, title, text or "", digest)


def _unusable(folder: Path, error: OSError) -> IndexUnusable:
    return IndexUnusable(
        f"The index folder {folder} cannot be used: {error.strerror or error}.",
        fix="export DAYTWO_DATA_DIR=<a folder that you may write to>",
    )
