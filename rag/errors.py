"""Errors of retrieval, named by who must act.

::

    RagError
    ├── RunbookInvalid        who writes runbooks: front matter or sections are wrong
    ├── EmbeddingUnavailable  who runs this installation: the embedding setting, its folder or its endpoint
    └── IndexUnusable         who runs this installation: the index folder cannot be read or written

Each carries what was tried and what to type next, as the errors of `tools/errors.py` do; the two rooms know nothing
of each other, so a caller that shows errors catches both bases.
"""

from __future__ import annotations


class RagError(Exception):
    """Base of all that retrieval raises.

    Args:
        message: One sentence: what was tried and what came of it.
        fix: The command or change that comes next; empty only where nothing can be done.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix

    def __str__(self) -> str:
        return f"{self.message} Next: {self.fix}" if self.fix else self.message


class RunbookInvalid(RagError):
    """A runbook lacks a field of its front matter or one of the five sections."""


class EmbeddingUnavailable(RagError):
    """The embedding that the settings name cannot be used."""


class IndexUnusable(RagError):
    """The index can neither be opened nor built anew."""
