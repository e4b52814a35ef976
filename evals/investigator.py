"""Two callers that need no model: one that investigates by a plan, and one that calls and names at random.

They see what a model sees and nothing else: the messages and the schemas. On open scenarios the first is the ceiling,
the second the floor, and every model stands somewhere between them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agent.backend import EndpointKind, Message, Reply, ToolCall
from agent.dialect import count_tokens
from evals.signs import Notes, Sign, find_signs, quote

CALLS_PER_STEP = 6
RANDOM_CALLS = 4
Question = tuple[str, dict[str, Any]]


class Investigator:
    """Asks what lies around the case, then around what that showed, and names the fault of the strongest sign."""

    name = "investigator"
    endpoint_kind: EndpointKind = "local"

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Ask all that is still to be asked, several questions at a time; then say that it is enough."""
        notes = Notes.read(messages)
        asked = {(call["name"], call["arguments"]) for call in notes.calls}
        offered = {tool["function"]["name"] for tool in tools}
        questions = [
            (name, json.dumps(arguments))
            for name, arguments in [*_ask_around(notes), *_ask_further(notes)]
            if name in offered and name not in notes.unavailable
        ]
        fresh = [one for one in dict.fromkeys(questions) if one not in asked][:CALLS_PER_STEP]
        return _speak(messages, tools, fresh)

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Name the fault of the strongest sign that is possible; unknown where there is none."""
        notes = Notes.read(messages)
        possible = schema["properties"]["fault"]["enum"]
        signs = sorted((s for s in find_signs(notes) if s.fault in possible), key=lambda s: -s.strength)
        return _conclude(messages, signs[0] if signs else None, signs[1:3])


class RandomCaller:
    """Calls tools at random, and names one of the possible faults at random; the same for the same case."""

    name = "random"
    endpoint_kind: EndpointKind = "local"

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """Call any tool with anything that was seen."""
        notes = Notes.read(messages)
        if len(notes.calls) >= RANDOM_CALLS:
            return _speak(messages, tools, [])
        dice = _cast(messages)
        tool = dice.choice([tool["function"] for tool in tools])
        values: Mapping[str, Callable[[], object]] = {
            "integer": lambda: dice.randint(0, 30),
            "array": list,
            "string": lambda: dice.choice(["", notes.subject, f"node:{notes.node}", notes.first_text]),
        }
        arguments = {key: values[row["type"]]() for key, row in tool["parameters"]["properties"].items()}
        return _speak(messages, tools, [(tool["name"], json.dumps(arguments))])

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """Name any possible fault, and quote any row for it."""
        notes, dice = Notes.read(messages), _cast(messages)
        row = dice.choice(notes.rows) if notes.rows else None
        fault = dice.choice(list(schema["properties"]["fault"]["enum"]))
        return _conclude(messages, Sign(fault, 1.0, row.handle, row.text) if row else None, [])


def _ask_around(notes: Notes) -> list[Question]:
    place = f"node:{notes.node}" if notes.node else notes.subject
    return [
        ("read_events", {"entity": place, "code": "", "around": "", "limit": 30}),
        ("read_neighbours", {"entity": notes.subject}),
        ("read_past_cases", {"entity": notes.subject, "fault": ""}),
        ("read_readings", {"entity": notes.subject, "signals": []}),
        ("read_jobs", {"entity": notes.subject}),
        ("search_runbooks", {"query": notes.first_text[:300]}),
    ]


def _ask_further(notes: Notes) -> list[Question]:
    """What the first answers made worth asking: the machines of a job, its adapters, the same sign elsewhere."""
    nodes = notes.nodes[:2]
    return [
        *(("search_runbooks", {"query": f"{fault}#confirm"}) for fault in notes.coded_runbooks),
        *(("read_nic_counters", {"node": node}) for node in nodes),
        *(("read_neighbours", {"entity": f"node:{node}"}) for node in nodes),
        ("read_past_cases", {"entity": "", "fault": ""}),
        *(("read_jobs", {"entity": f"node:{node}"}) for node in nodes[:1]),
    ]


def _cast(messages: Sequence[Message]) -> random.Random:
    brief = str(messages[1]["content"]).partition("You have")[0]
    return random.Random(f"{len(messages)} {brief}")  # noqa: S311 (a floor, not a secret)


def _speak(messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], calls: Sequence[tuple[str, str]]) -> Reply:
    made = tuple(ToolCall(f"i-{number}", name, arguments) for number, (name, arguments) in enumerate(calls))
    text = "" if made else "done"
    tokens_in = count_tokens(messages) + count_tokens([{"content": json.dumps(list(tools))}])
    told = json.dumps([{"name": call.name, "arguments": call.arguments} for call in made]) if made else text
    return Reply(
        text=text,
        calls=made,
        tokens_in=tokens_in,
        tokens_out=count_tokens([{"content": told}]),
        finish_reason="tool_calls" if made else "stop",
    )


def _conclude(messages: Sequence[Message], first: Sign | None, others: Sequence[Sign]) -> Reply:
    conclusion = {
        "fault": first.fault if first else "unknown",
        "summary": "",
        "claims": [{"text": f'The evidence reads "{quote(first.text)}".', "evidence": [first.handle]}] if first else [],
        "alternatives": [
            {"fault": fault, "why": "its sign is the weaker one"}
            for fault in dict.fromkeys(sign.fault for sign in others)
            if first and fault != first.fault
        ],
        "check_next": "",
    }
    text = json.dumps(conclusion)
    return Reply(text=text, tokens_in=count_tokens(messages), tokens_out=count_tokens([{"content": text}]))
