"""The doors of this process before its model endpoints, and whether anything is behind them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from urllib.parse import urlsplit

from agent.admission import Admission, Doors, build_admission
from agent.circuit import Circuit, State, open_circuit
from agent.masking import is_loopback
from agent.profile import load_profile
from agent.roster import build_roster
from agent.settings import Settings
from agent.site import Endpoint, Models, load_site


@cache
def open_doors() -> Doors:
    """All doors: whoever asks an endpoint in this process stands in the same line."""
    return Doors()


def open_door(endpoint: Endpoint, models: Models, settings: Settings) -> Admission:
    """The door of an endpoint; only a server of one's own is asked how busy it is."""

    def build() -> Admission:
        from agent.backends.load import find_load

        profile = load_profile(settings.data_dir, endpoint.url, endpoint.name)
        host = urlsplit(endpoint.url).hostname or ""
        is_own = bool(endpoint.gpus) or is_loopback(host) or host in models.allow
        read_load = find_load(endpoint.url) if is_own else None
        return build_admission(endpoint.in_flight, profile.concurrency if profile else None, read_load)

    return open_doors().open(endpoint.url, endpoint.name, build)


def choose_endpoint(endpoints: Sequence[Endpoint], settings: Settings) -> tuple[Endpoint | None, str]:
    """The first endpoint whose circuit is closed and where something listens.

    Returns:
        It, and why there is none.
    """
    reasons = []
    for one in endpoints:
        circuit = open_circuit(settings.data_dir, one.url, one.name)
        why = circuit.ask() or _knock(one, circuit)
        if not why:
            return one, ""
        reasons.append(f"{one.name}: {why}" if len(endpoints) > 1 else why)
    return None, "; ".join(reasons)


def list_states(settings: Settings) -> list[tuple[str, State]]:
    """Name and state of the circuit of every endpoint that may be asked."""
    roster = build_roster(settings.model, load_site(settings.site_file).models)
    return [(one.name, open_circuit(settings.data_dir, one.url, one.name).state) for one in roster.endpoints]


def _knock(endpoint: Endpoint, circuit: Circuit) -> str:
    from serve.asking import reach_endpoint
    from tools.errors import ModelError

    try:
        reach_endpoint(endpoint.url)
    except ModelError as error:
        circuit.note(error)
        return str(error)
    return ""
