"""Plumbing repair: shapes of leaked tool calls as models really write them, and texts that must stay texts."""

from __future__ import annotations

import json

import pytest

from agent.backend import Reply, ToolCall
from agent.repair import drop_trailing_commas, match_name, parse_lenient_json, repair_reply
from agent.toolbox import find_tools

SCHEMAS = {name: spec.schema for name, spec in find_tools().items()}
CALL = {"entity": "gpu:gx07/3", "code": "xid", "around": "", "limit": 5}
PROPER = json.dumps({"name": "read_events", "arguments": CALL})

LEAKS = {
    "tag": f"<tool_call>\n{PROPER}\n</tool_call>",
    "tag_without_end": f"<tool_call>\n{PROPER}",
    "tag_without_start": f"I will look at the log.\n{PROPER}\n</tool_call>",
    "tag_after_prose": f"Let me see what the kernel says.\n\n<tool_call>{PROPER}</tool_call>",
    "fenced": f"```json\n{PROPER}\n```",
    "fenced_without_end": f"Sure:\n```json\n{PROPER}",
    "bare": PROPER,
    "bare_with_parameters": json.dumps({"name": "read_events", "parameters": CALL}),
    "bare_in_function": json.dumps({"type": "function", "function": {"name": "read_events", "arguments": CALL}}),
    "arguments_as_text": json.dumps({"name": "read_events", "arguments": json.dumps(CALL)}),
    "trailing_comma": PROPER[:-2] + ",},}",
    "function_block": (
        "<tool_call>\n<function=read_events>\n<parameter=entity>\ngpu:gx07/3\n</parameter>\n<parameter=code>\nxid\n"
        "</parameter>\n<parameter=around>\n</parameter>\n<parameter=limit>\n5\n</parameter>\n</function>\n</tool_call>"
    ),
    "bare_function_block": (
        "Looking.\n<function=read_events><parameter=entity>gpu:gx07/3</parameter><parameter=code>xid</parameter>"
        "<parameter=around></parameter><parameter=limit>5</parameter></function>"
    ),
    "function_block_cut": (
        "<function=read_events>\n<parameter=entity>\ngpu:gx07/3\n<parameter=code>\nxid\n<parameter=around>\n\n"
        "<parameter=limit>\n5"
    ),
    "after_thinking": f"<think>Which tool? read_coverage?</think>\n<tool_call>{PROPER}</tool_call>",
    "name_off_by_case": PROPER.replace("read_events", "Read-Events"),
}


@pytest.mark.parametrize("shape", LEAKS)
def test_a_leaked_call_becomes_a_call(shape: str) -> None:
    reply, repairs = repair_reply(Reply(text=LEAKS[shape]), SCHEMAS)
    assert [call.name for call in reply.calls] == ["read_events"]
    assert json.loads(reply.calls[0].arguments) == CALL
    assert "read_events" not in reply.text
    assert any(name.startswith("leaked") for name in repairs)


NATIVE = {
    "text_for_a_number": ('{"entity": "gpu:gx07/3", "code": "xid", "around": "", "limit": "5"}', 1),
    "null_for_a_text": ('{"entity": "gpu:gx07/3", "code": "xid", "around": null, "limit": 5}', 1),
    "twice_encoded": (json.dumps(json.dumps(CALL)), 1),
    "trailing_comma": ('{"entity": "gpu:gx07/3", "code": "xid", "around": "", "limit": 5,}', 1),
    "name_of_argument_off_by_case": ('{"Entity": "gpu:gx07/3", "code": "xid", "around": "", "limit": 5.0}', 1),
    "as_it_should_be": (json.dumps(CALL), 0),
}


@pytest.mark.parametrize("shape", NATIVE)
def test_arguments_of_a_proper_call_are_brought_into_form(shape: str) -> None:
    arguments, expected = NATIVE[shape]
    reply, repairs = repair_reply(Reply(calls=(ToolCall("a", "read_events", arguments),)), SCHEMAS)
    assert json.loads(reply.calls[0].arguments) == CALL
    assert len(repairs) == expected


def test_a_list_given_as_text_becomes_a_list() -> None:
    for given in ('"[\\"gpu_power\\"]"', '"gpu_power"', '["gpu_power"]'):
        call = ToolCall("a", "read_readings", f'{{"entity": "gpu:gx07/3", "signals": {given}}}')
        reply, _ = repair_reply(Reply(calls=(call,)), SCHEMAS)
        assert json.loads(reply.calls[0].arguments)["signals"] == ["gpu_power"]


@pytest.mark.parametrize(
    "text",
    [
        "done",
        "The tool read_events would show the Xid.",
        '{"fault": "gpu_off_bus", "claims": []}',
        '```json\n{"name": "replace_part", "arguments": {}}\n```',
        '{"name": "trainer", "pid": 4711}',
        "<tool_call> replace the card </tool_call>",
        "<think>I could call <tool_call>" + PROPER + "</tool_call> later.</think> done",
    ],
)
def test_what_is_no_call_stays_text(text: str) -> None:
    reply, _ = repair_reply(Reply(text=text), SCHEMAS)
    assert reply.calls == ()


def test_several_leaks_of_one_answer_are_counted_each() -> None:
    text = f'<tool_call>{PROPER}</tool_call>\n<tool_call>{{"name": "read_coverage", "arguments": {{}}}}</tool_call>'
    reply, repairs = repair_reply(Reply(text=text), SCHEMAS)
    assert [call.name for call in reply.calls] == ["read_events", "read_coverage"]
    assert repairs.count("leaked_tool_call_tag") == 2


def test_a_call_of_an_unknown_name_in_a_function_block_is_kept_for_the_toolbox_to_answer() -> None:
    reply, _ = repair_reply(Reply(text="<function=replace_part></function>"), SCHEMAS)
    assert [call.name for call in reply.calls] == ["replace_part"]


def test_json_is_read_leniently_and_strings_are_left_alone() -> None:
    assert parse_lenient_json('Here it is:\n```json\n{"a": [1, 2,], "b": "x,}",}\n```') == {"a": [1, 2], "b": "x,}"}
    assert parse_lenient_json('{"a": "one\ttwo"}') == {"a": "one\ttwo"}
    assert drop_trailing_commas('{"a": ",}", }') == '{"a": ",}" }'
    with pytest.raises(ValueError, match="no JSON"):
        parse_lenient_json("I do not know.")


def test_names_match_by_letters_only() -> None:
    assert match_name("functions.Read_Events", SCHEMAS) == "read_events"
    assert match_name("read events", SCHEMAS) == "read_events"
    assert match_name("read_event", SCHEMAS) == ""
