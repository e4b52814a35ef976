"""Shapes that pass between the modules of this room."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked to be triaged.

    Attributes:
        paths: Files and folders; ``-`` is standard input.
        host: Read this machine.
        model: URL#NAME; empty means what the settings say.
        since: Leave out what is older; empty means nothing is left out.
        store: Keep the verdicts.
        node: Host of the evidence that names none.
        origin: What the audit names in place of the paths.
    """

    paths: tuple[Path, ...] = ()
    host: bool = False
    model: str = ""
    since: str = ""
    store: bool = True
    node: str = ""
    origin: tuple[str, ...] = ()
