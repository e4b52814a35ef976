"""The entry point: all commands, and the seam at which every error becomes a sentence and the next command."""

from __future__ import annotations

import gc
import io
import json
import sys
import traceback
from types import TracebackType

from rag.errors import RagError
from serve.app import app as app  # its own name, so that `serve.main:app` is it
from serve.commands import evidence, hands, kept, knowledge, model, runs, serving, talking
from tools.errors import DaytwoError
from tools.harmless import neutralise, redact_url

COMMANDS = (evidence, talking, hands, kept, knowledge, model, runs, serving)
"""Imported for what they add to the command; `--help` lists them in this order."""


class _BugSeam:
    """Give an error of our own the exit code 2: 1 would tell a script that the fleet is ill."""

    def __enter__(self) -> None:
        """Nothing to do at first."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None or not isinstance(error, Exception):
            return
        told = neutralise(redact_url("".join(traceback.format_exception(kind, error, trace))))
        sys.stderr.write(
            told + "daytwo: this is a bug of Daytwo, not of your evidence.\nNext: report the lines above\n"
        )
        sys.exit(2)


def _spell_error(message: str, fix: str, *, as_json: bool) -> str:
    """A sentence and the next command; for scripts one JSON object in a line."""
    message, fix = neutralise(redact_url(message)), neutralise(redact_url(fix))
    if as_json:
        return json.dumps({"schema": "daytwo.error/1", "error": message, "next": fix}) + "\n"
    return f"daytwo: {message}\n" + (f"Next: {fix}\n" if fix else "")


def main() -> None:
    """Run the command; an error that a person can mend becomes one sentence and the next command."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    # Events by the thousand and no cycles among them: looking for cycles every 700 objects cost a twentieth of reading.
    gc.set_threshold(100_000, 50, 100)
    with _BugSeam():
        try:
            # An option that does not exist is quoted back by the library, as it is.
            app([neutralise(word) if word.startswith("-") else word for word in sys.argv[1:]])
        except (DaytwoError, RagError) as error:
            sys.stderr.write(_spell_error(error.message, error.fix, as_json="--json" in sys.argv))
            sys.exit(2)
        except KeyboardInterrupt:
            sys.exit(130)
