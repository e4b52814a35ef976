"""`daytwo model list`: who may be asked for what, whether they answer, what is proven of them, and what they cost."""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

from rich.table import Table
from rich.text import Text

from agent.circuit import CircuitRecord, open_circuit
from agent.cost import price_usage
from agent.masking import is_loopback
from agent.profile import load_profile
from agent.roster import Roster, build_roster
from agent.settings import Settings
from agent.site import Endpoint, load_site
from agent.types import Usage
from serve.spent import read_spent
from serve.terminal import print_people, print_text
from tools.errors import SiteConfigError
from tools.harmless import neutralise, redact_url

MILLION = 1_000_000
NOBODY = (
    "No model is named: rules decide alone. export DAYTWO_MODEL=URL#NAME, or [[models.endpoints]] in the site's file"
)
STYLES = {"yes": "green", "closed": "green", "half-open": "yellow", "open": "red"}


@dataclass(frozen=True, slots=True)
class Row:
    """One endpoint.

    Attributes:
        answers: ``yes``, or what is wrong, with what to type next.
        profile: How fit its preflight found it; empty where there was none.
        circuit: State of its breaker, and `circuit_why` what it failed with, where it is not closed.
        at_once: Most investigations at once, where the site or the preflight bounds them.
        own: Nothing is masked for it.
        million_in_usd, million_out_usd: What a million tokens cost, cache aside; None where that is unknown.
        gpu_hour_usd: What a GPU of it costs an hour, of a local server.
        basis: Where the price comes from.
    """

    url: str
    name: str
    roles: tuple[str, ...]
    own: bool
    answers: str
    profile: str
    window_tokens: int | None
    at_once: int | None
    circuit: str
    circuit_why: str
    million_in_usd: float | None
    million_out_usd: float | None
    gpu_hour_usd: float | None
    basis: str


def run_list(settings: Settings, *, as_json: bool) -> int:
    """Print who may be asked.

    Returns:
        0 where each of them answers, else 2.

    Raises:
        DaytwoError: The site's file does not fit, or an endpoint is none.
    """
    roster = build_roster(settings.model, load_site(settings.site_file).models)
    rows = [_describe(one, roster, settings) for one in roster.endpoints]
    spent = read_spent(settings, roster.models)
    hour = asdict(spent) if spent and roster.models.spending.by_hour else None
    if as_json:
        limits = roster.models.spending.model_dump()
        told = {"schema": "daytwo.models/1", "models": [asdict(row) for row in rows], "limits": limits, "hour": hour}
        print_text(json.dumps(told, indent=2))
    else:
        print_people(_render(rows) if rows else Text(NOBODY))
        if hour is not None and spent is not None:
            print_people(Text(f"in the last hour: {spent.tokens:,} tokens, {spent.dollars:.2f} USD of known price"))
    return 0 if all(row.answers == "yes" for row in rows) else 2


def _describe(endpoint: Endpoint, roster: Roster, settings: Settings) -> Row:
    profile = load_profile(settings.data_dir, endpoint.url, endpoint.name)
    circuit = open_circuit(settings.data_dir, endpoint.url, endpoint.name)
    host = urlsplit(endpoint.url).hostname or ""
    proven = profile.concurrency if profile else None
    bounds = [bound for bound in (endpoint.in_flight, proven) if bound is not None]
    dear, out, basis = _price(endpoint, roster)
    record = circuit.read()
    return Row(
        url=redact_url(endpoint.url),
        name=endpoint.name,
        roles=tuple(endpoint.roles),
        own=is_loopback(host) or host in roster.models.allow,
        answers=_knock(endpoint, roster, settings),
        profile=profile.fitness if profile else "",
        window_tokens=profile.window_tokens if profile else None,
        at_once=min(bounds, default=None),
        circuit=circuit.state,
        circuit_why=_spell_circuit(record),
        million_in_usd=dear,
        million_out_usd=out,
        gpu_hour_usd=endpoint.gpu_hour_usd if endpoint.gpus else None,
        basis=basis,
    )


def _price(endpoint: Endpoint, roster: Roster) -> tuple[float | None, float | None, str]:
    """Dollars of a million tokens in, and out, and where these come from; hours of GPUs are no price of tokens."""
    if endpoint.gpus:
        return None, None, ""
    asked = Usage(calls=1, tokens_in=MILLION, tokens_cached=0, tokens_out=0, seconds=0.0)
    told = asked.model_copy(update={"tokens_in": 0, "tokens_out": MILLION})
    dear, out = (price_usage(one, endpoint.url, endpoint.name, roster.models) for one in (asked, told))
    return dear.cost, out.cost, dear.cost_basis or ""


def _knock(endpoint: Endpoint, roster: Roster, settings: Settings) -> str:
    """Ask for the list of models, which costs nothing; a model elsewhere is not asked where the site refuses it."""
    from agent.backends.http import HttpEndpoint
    from agent.backends.rules import RulesBackend
    from agent.masking import guard_endpoint
    from tools.types import Facts

    try:
        guard_endpoint(RulesBackend(), endpoint.url, Facts(), roster.models)
        key = roster.read_key(endpoint, settings)
    except SiteConfigError as error:
        return str(error)
    served = HttpEndpoint(endpoint.url, endpoint.name, key, settings.model_timeout_seconds).read("models")
    rows = served.get("data") if served else None
    if not isinstance(rows, list):
        return f"no list of models. Next: curl {endpoint.url}/models"
    names = [str(row.get("id")) for row in rows if isinstance(row, dict)]
    return "yes" if endpoint.name in names else f"it serves {', '.join(names[:5]) or 'nothing'}, not {endpoint.name}"


def _spell_circuit(record: CircuitRecord) -> str:
    if not record.opened_at:
        return ""
    wait = record.until - time.time()
    tried = f"tried again in {wait:.0f} s" if wait > 0 else "the next question tries it"
    return f"{record.failures} failures in a row, {tried}: {record.why}"


def _render(rows: list[Row]) -> Table:
    table = Table("model", "roles", "answers", "profile", "at once", "circuit", "USD", box=None)
    for row in rows:
        table.add_row(
            Text.assemble((neutralise(row.name), "bold"), f"\n{row.url}"),
            ", ".join(row.roles),
            Text(neutralise(row.answers), STYLES.get(row.answers, "red")),
            _spell_profile(row),
            str(row.at_once or "by metrics"),
            Text(f"{row.circuit}\n{neutralise(row.circuit_why)}".strip(), STYLES[row.circuit]),
            _spell_price(row),
        )
    return table


def _spell_profile(row: Row) -> str:
    if not row.profile:
        return "none: daytwo model check"
    return f"{row.profile}, {row.window_tokens:,} tokens" if row.window_tokens else row.profile


def _spell_price(row: Row) -> str:
    if row.gpu_hour_usd is not None:
        return f"{row.gpu_hour_usd:.2f} a GPU hour"
    if row.million_in_usd is None or row.million_out_usd is None:
        return "unknown"
    return f"{row.million_in_usd:.2f} in, {row.million_out_usd:.2f} out a million ({row.basis})"
