"""Render and hash the prompt files; keep evidence inside its fence."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

PROMPT_DIR = Path(__file__).parent
MAX_DATA_CHARACTERS = 300
HARMLESS_BRACKET = "\u2039"  # looks like "<", opens nothing
# Whatever could open or close a tag or a chat token: "</evidence>", "<tool_call>", "<|im_end|>"; letters that only look
# like the bracket too, as some tokenizers make them one. What is left alone: "temperature < 90", "<3>", "a <= b", "<<".
_TAG_START = re.compile("[<\uff1c\ufe64](?!\\s*[\\d=<+\\-.]|\\s*$)")


def render_prompt(name: str, **values: object) -> str:
    """Render ``prompts/<name>.md.j2``.

    Args:
        name: File name without ``.md.j2``.
        **values: Every variable that the file names; none may be missing.

    Returns:
        The text, byte for byte the same for the same values.

    Raises:
        jinja2.UndefinedError: A variable of the file was not given.
    """
    return _environment().get_template(f"{name}.md.j2").render(**values)


@cache
def hash_prompt(name: str) -> str:
    """Name the edition of a prompt file: the first 12 hex digits of the SHA-256 of its bytes."""
    return hashlib.sha256((PROMPT_DIR / f"{name}.md.j2").read_bytes()).hexdigest()[:12]


def neutralise_data(text: object) -> str:
    """Make foreign text unable to open or close a tag, and unable to break its line open; capped in length."""
    flat = " ".join(str(text).split())
    if len(flat) > MAX_DATA_CHARACTERS:
        flat = flat[:MAX_DATA_CHARACTERS] + "…"
    return _TAG_START.sub(HARMLESS_BRACKET, flat)


def fence_evidence(text: object) -> str:
    """Put foreign text between ``<evidence>`` and ``</evidence>``; no text can close that fence from inside."""
    return f"<evidence>\n{_TAG_START.sub(HARMLESS_BRACKET, str(text)).strip()}\n</evidence>"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(PROMPT_DIR),
        undefined=StrictUndefined,
        # Prompts are plain text: HTML escaping would change what the model reads; the filters below neutralise.
        autoescape=select_autoescape(enabled_extensions=()),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["data"] = neutralise_data
    environment.filters["fence"] = fence_evidence
    return environment
