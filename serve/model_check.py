"""`daytwo model check`: prove a model endpoint, keep what was found, and tell it in ten lines."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Group
from rich.table import Table
from rich.text import Text

from agent.backend import parse_endpoint
from agent.backends.http import HttpEndpoint
from agent.bounds import CONCLUDING_SHARE
from agent.preflight.check import check_model
from agent.profile import ModelProfile, Tries, place_profile, save_profile
from agent.settings import Settings
from serve.terminal import note, print_people, print_text

COLOURS = {"fit": "green", "fit with repair": "yellow", "not fit": "red"}
WAYS = {
    "auto": "tools natively, as the model likes",
    "required": "tools natively, a call demanded, with a tool to finish",
    "text": "tools told in words, calls as JSON",
    "none": "no tools that work: rules decide better alone",
}


def run_check(spec: str, settings: Settings, *, tries: int, as_json: bool, out: Path | None) -> int:
    """Check, keep the profile and print it.

    Returns:
        0 where the model can do the job, also with repair; 1 where it cannot.

    Raises:
        OperatorError: `spec` is no endpoint.
        ModelError: Nothing answers there as a model does.
        SiteConfigError: The profile cannot be kept.
    """
    profile, kept = prove_model(spec, settings, tries=tries)
    if out is not None:
        save_profile(profile, out)
    if as_json:
        print_text(profile.model_dump_json(by_alias=True, indent=2))
    else:
        print_people(render_profile(profile, kept))
    return 1 if profile.fitness == "not fit" else 0


def prove_model(spec: str, settings: Settings, *, tries: int) -> tuple[ModelProfile, Path]:
    """Check an endpoint and keep what was found where the agent looks for it.

    Returns:
        The profile, and where it is kept.

    Raises:
        OperatorError: `spec` is no endpoint.
        ModelError: Nothing answers there as a model does.
        SiteConfigError: The profile cannot be kept.
    """
    url, name = parse_endpoint(spec)
    key = settings.model_key.get_secret_value() if settings.model_key else None
    endpoint = HttpEndpoint(url, name, key, settings.model_timeout_seconds)
    profile = check_model(
        endpoint,
        tries=tries,
        now=datetime.now(UTC),
        salt=uuid.uuid4().hex,
        tell=_tell,
        concluding_seconds=settings.investigation_seconds * CONCLUDING_SHARE,
    )
    kept = place_profile(settings.data_dir, url, name)
    save_profile(profile, kept)
    return profile, kept


def _tell(stage: str) -> None:
    note(f"daytwo: trying {stage}")


def render_profile(profile: ModelProfile, kept: Path) -> Group:
    """Render a profile in about ten lines, the verdict first."""
    head = Text(profile.fitness.upper(), f"bold {COLOURS[profile.fitness]}")
    engine = f"  {profile.engine} {profile.engine_version}".rstrip()
    head.append(f"  {profile.name}", "bold").append(f"  {profile.url}{engine}", "dim")
    rows = [
        ("because", "; ".join(profile.reasons)),
        ("asked with", WAYS[profile.tool_mode]),
        ("tool calls", _spell_tools(profile)),
        ("conclusions", _spell_conclusions(profile)),
        ("window", _spell_window(profile)),
        ("speed", _spell_speed(profile)),
        ("prefix", _spell_prefix(profile)),
        ("wire", _spell_wire(profile)),
        ("kept", f"{kept} ({profile.seconds:g} s of questions)"),
    ]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for label, words in rows:
        table.add_row(Text(f"  {label}", "dim"), Text(words))
    return Group(head, table)


def _spell_tools(profile: ModelProfile) -> str:
    return " · ".join(_spell_tries(way, tries) for way, tries in profile.tools.items())


def _spell_tries(way: str, tries: Tries) -> str:
    if tries.failed == tries.tries:
        return f"{way} fails ({tries.error[:60]})"
    if way == "both":
        return "two at once" if tries.calls > 1 else "one at a time"
    leaks = f", {tries.leaked} leaked, {tries.lost} after repair" if tries.leaked else ""
    prose = f", {tries.prose} with prose" if tries.prose else ""
    right = f", right tool {tries.right}" if tries.right < tries.usable else ""
    return f"{way} {tries.clean}/{tries.tries} clean{leaks}{prose}{right}"


def _spell_conclusions(profile: ModelProfile) -> str:
    tries, how = profile.conclusions, "json_schema" if profile.json_schema else "in words, no schema"
    mended = f", {tries.repaired} repaired" if tries.repaired else ""
    loose = " · lengths are not kept" if profile.json_schema and not profile.bounded else ""
    waited = f", {profile.conclusion_seconds:.0f} s at most" if profile.conclusion_seconds else ""
    return f"{how} {tries.clean}/{tries.tries} valid{mended} · {profile.conclusion_size}{waited}{loose}"


def _spell_window(profile: ModelProfile) -> str:
    window = profile.window
    proven = f"{window.proven_tokens:,} tokens proven" if window.proven_tokens else "nothing proven"
    claimed = f" of {window.claimed_tokens:,} claimed" if window.claimed_tokens else ""
    beyond = {
        "error": f"beyond it status {window.overflow_status}: {window.overflow_message[:90]}",
        "truncates": "beyond it the prompt is cut without a word",
        "not reached": "its end was not reached",
        "unknown": "its end is unknown",
    }[window.overflow]
    return f"{proven}{claimed} · {beyond}" + (f" · {window.note}" if window.note else "")


def _spell_speed(profile: ModelProfile) -> str:
    told = []
    for speed in profile.speed:
        rate = "no count" if speed.tokens_per_second is None else f"{speed.tokens_per_second:g} tok/s"
        first = "" if speed.first_token_seconds is None else f", first token {speed.first_token_seconds:.2f} s"
        failed = f", {speed.failed} failed" if speed.failed else ""
        told.append(f"{speed.in_flight} at once {rate}{first}{failed}")
    return " · ".join(told)


def _spell_prefix(profile: ModelProfile) -> str:
    if profile.prefix_fresh_seconds is None or profile.prefix_again_seconds is None:
        return "not measured: a long question was not answered"
    cached = "cached tokens are told" if profile.tells_cached else "cached tokens are not told"
    return (
        f"first token {profile.prefix_fresh_seconds:.2f} s fresh, {profile.prefix_again_seconds:.2f} s again · {cached}"
    )


def _spell_wire(profile: ModelProfile) -> str:
    streams = {True: "streams", False: "does not stream", None: "streams?"}[profile.streams]
    with_tools = {True: " with tools", False: ", but no whole call", None: ""}[profile.streams_tools]
    usage = "usage told" if profile.tells_usage else "no usage told"
    seed = {"repeats": "seeds repeat", "differs": "seeds do not repeat", "unknown": "seeds unproven"}[profile.seed]
    wrong = "any model name is taken" if profile.wrong_name_status == 200 else f"wrong name {profile.wrong_name_status}"
    strict = "strict tools" if profile.strict else "no strict tools"
    return " · ".join((streams + with_tools, strict, usage, seed, wrong))
