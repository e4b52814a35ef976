"""Find a parser by its form, for sources that know what they hold."""

from __future__ import annotations

from typing import cast

from tools.errors import BugError
from tools.types import Parser
from tools.walk import walk_modules


def find_parser(form: str) -> Parser:
    """Find the parser of a form among the modules of ``tools/parsers/``.

    Raises:
        BugError: No parser has that form.
    """
    for module in walk_modules("tools.parsers"):
        if getattr(module, "FORM", "") == form:
            return cast("Parser", module)
    raise BugError(f"No parser in tools/parsers/ has the form {form}.", fix="report this with the version of daytwo")
