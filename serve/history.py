"""What is kept: a case again (`explain`), the time line of an entity (`history`), and a person's word (`clear`)."""

from __future__ import annotations

import json
import os
import pwd
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Group
from rich.text import Text

from agent.history import Did, OpenState, Past, Record, concerns, find_open, is_same, spell_host, spell_time
from agent.remember import build_clear
from agent.settings import load_settings
from agent.types import Verdict
from serve.library import read_excerpts
from serve.render import render_lines, render_step, render_verdict
from serve.store import open_site_store
from serve.terminal import print_people, print_text, print_words
from serve.timeline import render_timeline
from tools.entities import make_gpu, parse_entity
from tools.errors import OperatorError
from tools.types import Entity


def run_explain(case: str, *, as_json: bool) -> int:
    """Print a case: its newest verdict in full, the older ones in a line each, its runs.

    Raises:
        OperatorError: Nothing is kept under that id, or more than one case begins so.
    """
    settings = load_settings()
    with open_site_store(settings) as store:
        one = store.find_verdict(case)
        verdicts = [one] if one else store.find_case(case)
        if not verdicts:
            raise OperatorError(
                f"No case or verdict '{case}' is kept in {store.place}.", fix=_suggest(store.list_verdicts(limit=3))
            )
        runs = store.find_runs(verdicts[0].case_id)
    if as_json:
        document = {
            "schema": "daytwo.case/1",
            "case_id": verdicts[0].case_id,
            "verdicts": [verdict.model_dump(mode="json", by_alias=True) for verdict in verdicts],
            "runs": runs,
        }
        print_text(json.dumps(document, indent=2))
        return 0
    newest = verdicts[0]
    excerpts = read_excerpts([newest.runbook] if newest.runbook else [], settings)
    print_people(render_verdict(newest, excerpt=excerpts.get), Text())
    if verdicts[1:]:
        print_people(Text("Before", "bold"), render_lines(verdicts[1:]), Text())
    print_people(*[_render_run(run) for run in runs])
    return 0


def _suggest(recent: Sequence[Verdict]) -> str:
    if not recent:
        return "daytwo triage --host (nothing is kept yet)"
    return " or ".join(f"daytwo explain {verdict.case_id}" for verdict in recent)


def _render_run(run: Mapping[str, Any]) -> Group:
    when = datetime.fromtimestamp(run["time_seconds"], UTC).isoformat(timespec="seconds")
    origin = run.get("origin", {})
    where = "this machine" if origin.get("host") else ", ".join(origin.get("paths", []))
    said = f"not used: {run['rejected']}" if run.get("rejected") else ""
    head = Text.assemble((f"{run['kind']} ", "bold"), f"{when} {where}{said}", (f"  {run['run_id']}", "dim"))
    return Group(head, *[render_step(step) for step in run.get("steps", [])])


def run_history(spelling: str, *, as_json: bool) -> int:
    """Print the time line of an entity: what is open, then what happened, oldest first.

    Raises:
        OperatorError: The spelling is no entity, or nothing is known of it.
    """
    entity = read_entity(spelling)
    with open_site_store(load_settings()) as store:
        past = _narrow(store.read_records_of(entity), entity)
        told = store.count_verdicts(record.case_id for record in past.records if record.case_id)
    if not past.records:
        raise OperatorError(
            f"Nothing is remembered of {entity} in {store.place}.",
            fix=f"daytwo triage --host, or daytwo history node:{entity.node or 'NAME'}",
        )
    states = find_open(past)
    if as_json:
        document = {
            "schema": "daytwo.history/1",
            "entity": str(entity),
            "open": [_describe_state(state) for state in states],
            "records": [_describe(record, told) for record in past.records],
        }
        print_text(json.dumps(document, indent=2))
    else:
        print_people(render_timeline(entity, states, past.records, told))
    return 0


def run_clear(spelling: str, *, why: str, did: Did, now: datetime) -> int:
    """Note that a person has dealt with what is open on an entity, and print what that ends.

    Raises:
        OperatorError: The spelling is no entity, no reason is given, or nothing is open and nothing was done.
    """
    entity = read_entity(spelling)
    if not why.strip():
        raise OperatorError("A clear needs its reason.", fix=f'daytwo clear {entity} --why "GPU replaced, ticket 123"')
    with open_site_store(load_settings()) as store:
        past = store.read_records_of(entity)
        record = build_clear(
            entity,
            who=pwd.getpwuid(os.getuid()).pw_name,
            why=why.strip(),
            did=did,
            now_seconds=now.timestamp(),
        )
        ended = [state for state in find_open(past) if concerns(record, state.entity)]
        if not ended and did == "nothing":
            others = ", ".join(str(state) for state in find_open(past)) or "nothing at all is open there"
            raise OperatorError(f"Nothing is open on {entity}; {others}.", fix=f"daytwo history {entity}")
        store.add_records([record])
    words = [
        f"cleared: {state.fault} on {state.entity}, open since {spell_time(state.since_seconds)}" for state in ended
    ]
    print_words("\n".join(words or [f"noted: {did} of {entity}"]))
    return 0


def read_entity(spelling: str) -> Entity:
    """Read what a person typed: ``gpu:n7/3``, ``node:n7``, ``job:4711``, or a host name alone.

    Raises:
        OperatorError: It is none of these.
    """
    text = spelling.strip()
    if re.search(r"(^|:)\?(/|$)", text):
        raise OperatorError(
            f"'{spelling}' names no host, and of evidence without one nothing is remembered.",
            fix="dmesg | daytwo triage - --node NAME",
        )
    entity = parse_entity(text) if ":" in text else Entity("node", node=text) if spell_host(text) else None
    if entity is None or "/" in entity.node:
        raise OperatorError(
            f"'{spelling}' is no entity.", fix="daytwo history gpu:NODE/3, disk:NODE/sda, node:NODE or NODE"
        )
    if entity.kind == "gpu" and ":" in entity.name:
        return make_gpu(entity.node, pci=entity.name)
    return entity


def _narrow(past: Past, entity: Entity) -> Past:
    """Keep what is of the entity; of a node, all that is on it."""
    if entity.kind == "node":
        return past
    # A GPU of which only the index was typed is the one that the records know by that index.
    known = [r.entity for r in past.records if r.kind == "fault" and is_same(r.entity, entity)]
    mine = [entity, *known]
    return Past(tuple(r for r in past.records if any(is_same(r.entity, e) or _ends_it(r, e) for e in mine)))


def _ends_it(record: Record, entity: Entity) -> bool:
    return record.kind != "fault" and concerns(record, entity)


def _describe_state(state: OpenState) -> dict[str, object]:
    return {
        "entity": str(state.entity),
        "fault": state.fault,
        "case_id": state.case_id,
        "since": spell_time(state.since_seconds),
        "last": spell_time(state.last_seconds),
        "severity": state.severity,
        "action": state.action,
        "clear": state.clear_command,
    }


def _describe(record: Record, told: Mapping[str, int]) -> dict[str, object]:
    rows: dict[str, object] = {
        "time": spell_time(record.at_seconds),
        "time_is": "told" if record.clock != "none" else "first seen",
        "kind": record.kind,
        "entity": str(record.entity),
        "source": record.place,
        "text": record.text,
    }
    if record.kind == "fault":
        rows |= {
            "until": spell_time(record.until_seconds),
            "fault": record.fault,
            "case_id": record.case_id,
            "confidence": record.confidence,
            "severity": record.severity,
            "action": record.action,
            "verdicts": told.get(record.case_id, 0),
        }
    if record.kind == "clear":
        rows |= {"who": record.who, "why": record.why, "did": record.did}
    return rows
