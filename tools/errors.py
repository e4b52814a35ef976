"""Errors of Daytwo, named by who must act.

::

    DaytwoError
    ├── OperatorError         the person at the keyboard: a path, an argument, a right
    │   ├── EvidenceNotFound      no such file or folder
    │   └── EvidenceUnreadable    binary, empty, too large, no right
    ├── SiteConfigError       who runs this installation: settings, inventory, tokens
    ├── UpstreamError         the service on the other side
    │   ├── ToolMissing           a program is not installed
    │   ├── ToolTimeout           a program or call gave no answer in time
    │   ├── ToolFailed            a program ended with an error
    │   └── ModelError            the model endpoint refused, hung, or answered nonsense
    │       └── ModelDown             it gives no answer, none in time, or an error of its own
    └── BugError              us: an invariant did not hold

Each carries what was tried and what to type next. `rag/errors.py` holds what retrieval can raise.
"""

from __future__ import annotations


class DaytwoError(Exception):
    """Base of all errors that a person may see: what happened, and what to type next.

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


class OperatorError(DaytwoError):
    """The person at the keyboard must act."""


class EvidenceNotFound(OperatorError):
    """A named path does not exist."""


class EvidenceUnreadable(OperatorError):
    """A named path exists and cannot be read as evidence."""


class SiteConfigError(DaytwoError):
    """A setting, an inventory or a token is missing or wrong."""


class UpstreamError(DaytwoError):
    """A program or service on the other side did not do its part."""


class ToolMissing(UpstreamError):
    """A program is not installed."""


class ToolTimeout(UpstreamError):
    """A program or call did not answer in time."""


class ToolFailed(UpstreamError):
    """A program ended with an error."""


class ModelError(UpstreamError):
    """The model endpoint refused, hung, or answered with something that is no answer."""


class ModelDown(ModelError):
    """The model endpoint does not do its part at all: no answer, none in time, or an error of its own."""


class BugError(DaytwoError):
    """An invariant of Daytwo itself did not hold; please report it."""
