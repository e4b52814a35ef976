"""The generated pages are current, and say what the program says."""

from __future__ import annotations

import json

from agent.settings import Settings
from serve.docs import DOCS, build_docs, find_stale, main

PAGES = build_docs()


def test_pages_are_current():
    assert find_stale(PAGES, DOCS) == [], "make docs"
    assert main(["--check"]) == 0


def test_stale_pages_are_named(tmp_path):
    assert find_stale(PAGES, tmp_path) == list(PAGES)


def test_help_has_every_command():
    for command in ("triage", "doctor", "runbook", "index", "eval", "serve", "explain", "faults", "demo"):
        assert f"## daytwo {command}\n" in PAGES["help.md"]


def test_every_setting_is_told():
    assert Settings.model_fields
    for name in Settings.model_fields:
        assert f"| `DAYTWO_{name.upper()}` |" in PAGES["settings.md"]


def test_schemas_name_their_version():
    verdict = json.loads(PAGES["schemas/daytwo.verdict-1.json"])
    assert verdict["properties"]["schema"]["const"] == "daytwo.verdict/1"
    triage = json.loads(PAGES["schemas/daytwo.triage-1.json"])
    assert triage["properties"]["verdicts"]["minItems"] == 1
