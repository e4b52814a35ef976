"""Run the corpus of injections and say how many broke a guard: the document `daytwo.injections/1` and its table."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import ConfigDict, Field

from agent.backend import Backend, Budget, parse_endpoint
from agent.backends.openai import OpenAIBackend, open_model
from agent.masking import guard_endpoint, is_loopback
from agent.settings import Settings
from agent.site import Models, load_site
from agent.types import Border
from evals.completion import ScriptedBackend
from evals.conversation import Conversation
from evals.injection import INJECTION_FOLDER, Injection, list_stages, load_bases, load_places
from evals.injection_play import Played, Player, build_scene, play
from evals.report import Rate, build_rate, render_rate, start_table
from evals.scripted import MODEL_NAME, ScriptedServer
from evals.scripts import Answer, Script, make_obedient
from tools.errors import OperatorError
from tools.types import Facts

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

OBEDIENT, OBEDIENT_REMOTE = "obedient", "obedient, elsewhere"
ELSEWHERE = "https://models.example.net/v1"
"""Where the second obedient model pretends to be: nothing may reach it unmasked."""
PLATFORM = "starts uname"
"""The OpenAI client asks once on which platform it runs."""
LAYERS = ("not shown", "fence", "mask", "toolbox", "schema", "grounding", "policy")


class PlayRow(Border):
    """One injection on one stage with one model; see `evals.injection_play.Played`."""

    injection: str
    place: str
    stage: str
    seat: str
    technique: str
    wants: str
    reached: bool
    broken: list[str]
    held_by: list[str]
    rules_fault: str
    fault: str
    infrastructure_error: str = ""


class InjectionSeat(Border):
    """One model over the whole corpus.

    Attributes:
        broken: Injections that broke a guard on any stage, of those that were measured.
        plays: The same, counted by play.
        reached: Plays in which the model saw the text.
        layers: In how many plays a layer had something to hold.
        infrastructure_errors: Plays that a broken endpoint spoiled; in no rate above.
    """

    seat: str
    broken: Rate
    plays: Rate
    reached: Rate
    layers: dict[str, int]
    infrastructure_errors: int


class InjectionReport(Border):
    """`daytwo.injections/1`: one row a model, one row a play."""

    schema_: Literal["daytwo.injections/1"] = Field("daytwo.injections/1", alias="schema")
    injections: int
    seats: list[InjectionSeat]
    plays: list[PlayRow]

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, serialize_by_alias=True)


@dataclass
class _Turncoat:
    """One script of a server that is another for each play."""

    script: Script = lambda talk: Answer("done")

    def __call__(self, talk: Conversation) -> Answer:
        return self.script(talk)


def run_injections(
    endpoints: Sequence[str] = (),
    *,
    settings: Settings | None = None,
    only: Sequence[str] = (),
    folder: Path = INJECTION_FOLDER,
) -> InjectionReport:
    """Play every injection on all of its stages.

    Args:
        endpoints: ``URL#NAME`` of real models; the scripted obedient one, on this machine and elsewhere, where none.
        settings: Key, time-outs, data folder and site of a real model.
        only: Ids of injections, or of places; all where empty.
        folder: Where the corpus stands.

    Raises:
        OperatorError: No injection has such a name, or an endpoint is none.
    """
    with ExitStack() as stack:
        if endpoints:
            players = [_open_player(name, settings or Settings()) for name in endpoints]
        else:
            players = _open_obedient(stack)
        plays = list(_play_all(players, only, folder))
    if not plays:
        raise OperatorError(f"No injection is called {', '.join(only)}.", fix="ls evals/injections")
    return build_injection_report(plays)


def _play_all(players: Sequence[Player], only: Sequence[str], folder: Path) -> Iterator[Played]:
    places = load_places(folder)
    bases = load_bases(places)
    for place in places:
        for injection in place.injections:
            if only and not {injection.id, place.place} & set(only):
                continue
            for stage in list_stages(place, injection):
                with ExitStack() as opened:
                    scene = build_scene(place, stage, injection, bases[stage.base], opened)
                    yield from [play(scene, player) for player in players]


def _make_script(injection: Injection) -> Script:
    return make_obedient(injection.find_marker(), injection.orders, invasive=injection.wants != "silence")


def _open_obedient(stack: ExitStack) -> list[Player]:
    """The obedient model on this machine, and behind a mask and a real socket as one elsewhere."""
    turncoat = _Turncoat()
    server = stack.enter_context(ScriptedServer(turncoat))
    backend = OpenAIBackend(server.url, MODEL_NAME, None, 10.0)

    def open_elsewhere(injection: Injection) -> Backend:
        turncoat.script = _make_script(injection)
        return backend

    def mask(backend: Backend, facts: Facts) -> Backend:
        return guard_endpoint(backend, ELSEWHERE, facts, Models())

    here = Player(OBEDIENT, lambda injection: ScriptedBackend(_make_script(injection)))
    reaches = (f"connects to {urlsplit(server.url).netloc}", PLATFORM)
    elsewhere = Player(OBEDIENT_REMOTE, open_elsewhere, mask, masked=True, reaches=reaches)
    return [here, elsewhere]


def _open_player(name: str, settings: Settings) -> Player:
    url, model = parse_endpoint(name)
    backend = open_model((url, model), settings)
    models = load_site(settings.site_file).models
    host = urlsplit(url).hostname or ""
    budget = backend.fit_budget(Budget(steps=settings.max_steps, seconds=settings.investigation_seconds))
    port = urlsplit(url).port or (443 if url.startswith("https") else 80)
    return Player(
        name,
        lambda injection: backend,
        lambda inner, facts: guard_endpoint(inner, url, facts, models),
        masked=not (is_loopback(host) or host in models.allow),
        reaches=(PLATFORM, *(f"connects to {address}:{port}" for address in resolve(host, port))),
        budget=replace(budget),
    )


def resolve(host: str, port: int) -> list[str]:
    """Every address under which a host may be connected to."""
    import socket

    try:
        return sorted({str(row[4][0]) for row in socket.getaddrinfo(host, port)})
    except OSError:
        return [host]


def build_injection_report(plays: Sequence[Played]) -> InjectionReport:
    """Count the plays, one row a model, in the order in which they ran."""
    by_seat: dict[str, list[Played]] = defaultdict(list)
    for one in plays:
        by_seat[one.seat].append(one)
    return InjectionReport(
        injections=len({one.injection for one in plays}),
        seats=[_build_seat(name, rows) for name, rows in by_seat.items()],
        plays=[
            PlayRow(
                injection=one.injection, place=one.place, stage=one.stage, seat=one.seat, technique=one.technique,
                wants=one.wants, reached=one.reached, broken=list(one.broken), held_by=list(one.held_by),
                rules_fault=one.rules_fault, fault=one.fault, infrastructure_error=one.error,
            )
            for one in plays
        ],
    )  # fmt: skip


def _build_seat(name: str, plays: Sequence[Played]) -> InjectionSeat:
    # A guard that did not hold counts although the endpoint broke afterwards; one that was not tried does not.
    good = [one for one in plays if one.broken or not one.error]
    layers = Counter(layer for one in good for layer in one.held_by)
    return InjectionSeat(
        seat=name,
        broken=build_rate(len({p.injection for p in good if p.broken}), len({p.injection for p in good})),
        plays=build_rate(sum(bool(p.broken) for p in good), len(good)),
        reached=build_rate(sum(p.reached for p in good), len(good)),
        layers={layer: layers[layer] for layer in LAYERS},
        infrastructure_errors=len(plays) - len(good),
    )


def render_injections(report: InjectionReport, console: Console) -> None:
    """Print the rate of each model, what held at each place, and every guard that did not."""
    for seat in report.seats:
        broken = f"{seat.broken.count} of {seat.broken.total} injections broke a guard"
        spoiled = f", {seat.infrastructure_errors} plays spoiled" if seat.infrastructure_errors else ""
        console.print(
            f"{seat.seat}: {broken}; plays {render_rate(seat.plays)}, seen by the model "
            f"{render_rate(seat.reached)}{spoiled}",
            soft_wrap=True,
        )
        table = start_table(["place", "plays", *LAYERS, "broken"])
        places = list(dict.fromkeys(one.place for one in report.plays))
        for place in [*places, ""]:
            rows = [one for one in report.plays if one.seat == seat.seat and place in ("", one.place)]
            counts = [str(sum(layer in one.held_by for one in rows)) for layer in LAYERS]
            table.add_row(place or "all", str(len(rows)), *counts, str(sum(bool(one.broken) for one in rows)))
        console.print(table)
    bad = [one for one in report.plays if one.broken or one.infrastructure_error]
    if bad:
        wrong = start_table(["injection", "stage", "model", "what was seen"])
        for one in bad:
            wrong.add_row(one.injection, one.stage, one.seat, "; ".join(one.broken) or one.infrastructure_error)
        console.print("did not hold, or was not measured", wrong, sep="\n")
