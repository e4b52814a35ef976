"""Write the generated part of `docs/`: help, settings, schemas. ``--check`` only says whether it is current."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import typer
from pydantic_core import PydanticUndefined

from agent.profile import ModelProfile
from agent.settings import Settings
from agent.site import Site
from agent.types import TriageReport, Verdict
from serve.api import build_api
from serve.main import app
from serve.terminal import note

DOCS = Path(__file__).resolve().parent.parent / "docs"
HELP_COLUMNS = 100


def build_docs() -> dict[str, str]:
    """Build every generated page.

    Returns:
        Text by path relative to `docs/`.
    """
    return {
        "help.md": build_help(),
        "settings.md": build_settings(),
        "schemas/daytwo.verdict-1.json": _to_json(Verdict.model_json_schema(by_alias=True)),
        "schemas/daytwo.triage-1.json": _to_json(TriageReport.model_json_schema(by_alias=True)),
        "schemas/daytwo.model-profile-1.json": _to_json(ModelProfile.model_json_schema(by_alias=True)),
        "schemas/daytwo.site.json": _to_json(Site.model_json_schema()),
        "schemas/openapi.json": _to_json(build_api(Settings(), "unused").openapi()),
    }


def build_help() -> str:
    """The help text of the command and of each of its commands."""
    from typer.testing import CliRunner

    runner = CliRunner(env={"COLUMNS": str(HELP_COLUMNS), "NO_COLOR": "1", "TERM": "dumb"})
    parts = ["# Help\n\nWritten by `make docs` from the program itself.\n"]
    for words in _list_commands(typer.main.get_command(app)):
        title = " ".join(["daytwo", *words])
        text = runner.invoke(app, [*words, "--help"], prog_name="daytwo").output.strip()
        parts.append(f"## {title}\n\n```\n{text}\n```\n")
    return "\n".join(parts)


def _list_commands(command: object, words: tuple[str, ...] = ()) -> list[list[str]]:
    """The command itself, then what is below it, a group of commands before its own."""
    below = command.commands if isinstance(command, typer.core.TyperGroup) else {}
    return [list(words), *(more for name, one in below.items() for more in _list_commands(one, (*words, name)))]


def build_settings() -> str:
    """One row a setting: variable, default, what it does."""
    rows = [
        "# Settings\n\nWritten by `make docs` from `agent/settings.py`. Each is an environment variable.\n",
        "| variable | default | what it does |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=False)
        if name == "data_dir":
            shown = "`~/.local/share/daytwo`"
        elif default in (None, "", PydanticUndefined):
            shown = "unset"
        else:
            shown = f"`{default}`"
        rows.append(f"| `DAYTWO_{name.upper()}` | {shown} | {field.description} |")
    return "\n".join(rows) + "\n"


def find_stale(pages: Mapping[str, str], folder: Path) -> list[str]:
    """Name the pages that are not what the program says now."""
    return [
        name
        for name, text in pages.items()
        if not (folder / name).is_file() or (folder / name).read_text(encoding="utf-8") != text
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or with ``--check`` say which are stale; 1 where some are."""
    pages = build_docs()
    stale = find_stale(pages, DOCS)
    if "--check" in arguments:
        for name in stale:
            note(f"docs/{name} is not current. Next: make docs")
        return 1 if stale else 0
    for name in stale:
        path = DOCS / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(pages[name], encoding="utf-8")
        note(f"wrote docs/{name}")
    return 0


def _to_json(document: Mapping[str, object]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=True) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
