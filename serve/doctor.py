"""`daytwo doctor`: what Daytwo needs here, present or missing, and what to type."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict
from importlib.metadata import version

import httpx
from rich.table import Table
from rich.text import Text

from agent.backend import parse_endpoint
from agent.settings import Settings, load_settings
from agent.site import load_site
from rag.errors import RagError
from serve.store import open_site_store
from serve.terminal import print_people, print_text
from tools.doctor import Check, check_host
from tools.errors import DaytwoError
from tools.harmless import redact_url
from tools.inventory import read_inventory

COLOURS = {"present": "green", "partial": "yellow", "missing": "red"}
ENDPOINT_SECONDS = 5.0
"""How long the model endpoint may take to list its models (a guess; a live one answers in milliseconds)."""


def run_doctor(*, as_json: bool) -> int:
    """Check and print.

    Returns:
        2 where something that the settings ask for cannot be used, else 0: what merely is not there is no failure.
    """
    settings = load_settings()
    own = list(check_installation(settings))
    checks = [*own, *check_host()]
    if as_json:
        print_text(json.dumps({"schema": "daytwo.doctor/1", "checks": [asdict(check) for check in checks]}, indent=2))
    else:
        print_people(render_checks(checks))
    return 2 if any(check.status == "missing" for check in own) else 0


def check_installation(settings: Settings) -> Iterable[Check]:
    """Check what this installation owns: interpreter, data folder, store, index, inventory, model endpoint."""
    yield Check("daytwo", "present", version("daytwo"), "")
    yield _check_data_dir(settings)
    for name, look in CHECKS.items():
        yield _check(name, look, settings)


def render_checks(checks: Iterable[Check]) -> Table:
    """Render one row a check: state, name, detail and what to type."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for check in checks:
        text = Text(check.detail)
        if check.fix:
            text.append("\n→ ", "dim").append(check.fix, "bold")
        table.add_row(Text(check.status, COLOURS[check.status]), Text(check.name), text)
    return table


def _check_data_dir(settings: Settings) -> Check:
    folder = settings.data_dir
    nearest = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if os.access(nearest, os.W_OK):
        return Check("data folder", "present", str(folder), "")
    return Check("data folder", "missing", f"{folder} cannot be written", "export DAYTWO_DATA_DIR=/some/other/folder")


def _check(name: str, look: Callable[[Settings], Check], settings: Settings) -> Check:
    try:
        return look(settings)
    except (DaytwoError, RagError) as error:
        return Check(name, "missing", redact_url(error.message), redact_url(error.fix))


def _check_store(settings: Settings) -> Check:
    with open_site_store(settings) as store:
        kept = len(store.list_verdicts(limit=1000))
    return Check("store", "present", f"{store.place}, {kept if kept < 1000 else '1000 or more'} verdicts", "")


def _check_index(settings: Settings) -> Check:
    from serve.library import open_library

    report = open_library(settings).index()
    total = report.added + report.changed + report.unchanged
    return Check("runbook index", "present", f"{total} runbooks, embedding {redact_url(settings.embedding)}", "")


def _check_inventory(settings: Settings) -> Check:
    if settings.inventory is None:
        detail = "none: what should be there is not known, so a GPU that is gone without a log line goes unseen"
        return Check("inventory", "partial", detail, "export DAYTWO_INVENTORY=/path/to/inventory.csv")
    rows = read_inventory(settings.inventory)
    return Check("inventory", "present", f"{settings.inventory}, {len(rows)} nodes", "")


def _check_model(settings: Settings) -> Check:
    named = len(load_site(settings.site_file).models.endpoints)
    if not settings.model and named:
        return Check("model", "present", f"{named} of the site's file: daytwo model list asks whether they answer", "")
    if not settings.model:
        return Check("model", "partial", "none: rules decide alone", "export DAYTWO_MODEL=http://HOST:8000/v1#NAME")
    url, name = parse_endpoint(settings.model)
    headers = {"Authorization": f"Bearer {settings.model_key.get_secret_value()}"} if settings.model_key else {}
    try:
        answer = httpx.get(f"{url}/models", headers=headers, timeout=ENDPOINT_SECONDS)
        models = [row["id"] for row in answer.raise_for_status().json()["data"]]
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        reason = (
            f"{url}/models gave no list of models: {str(error).splitlines()[0] if str(error) else type(error).__name__}"
        )
        return Check("model", "missing", reason, f"curl {url}/models")
    if name not in models:
        return Check(
            "model",
            "missing",
            f"{url} serves {', '.join(models) or 'nothing'}, not {name}",
            f"export DAYTWO_MODEL={url}#{models[0] if models else 'NAME'}",
        )
    return Check("model", "present", f"{name} at {url}", "")


CHECKS: dict[str, Callable[[Settings], Check]] = {
    "store": _check_store,
    "runbook index": _check_index,
    "inventory": _check_inventory,
    "model": _check_model,
}
