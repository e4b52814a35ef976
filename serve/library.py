"""`daytwo runbook` and `daytwo index`, and the excerpts that stand under a verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agent.settings import Settings
from agent.types import RunbookRef
from rag.errors import RagError
from serve.terminal import note

if TYPE_CHECKING:
    from rag.library import Library


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
        library = open_library(settings)
        found = {reference: library.section(reference.id, reference.section) for reference in references}
    except RagError as error:
        note(f"daytwo: no runbook can be shown. {error}")
        return {}
    return {reference: passage.text for reference, passage in found.items() if passage}
