"""The conversations of a preflight: the agent's own prompts and tools, over a made-up case."""

from __future__ import annotations

from agent.backend import Message
from agent.bounds import SIZES, Bounds, drop_limits
from agent.conclude import UNKNOWN, build_schema
from prompts.render import render_prompt

POSSIBLE = ("gpu_off_bus", "pcie_error", "gpu_power_supply")
ASKED_TOOL = "read_events"
ANSWER_TOKENS = 1500
"""As the agent's own."""
CALL_TOKENS = 300
_TEXT = (
    "time year people way day man thing woman life child world school state family student group country problem hand "
    "part place case week company system program question work night point home water room mother area money story "
    "fact month lot right study book eye job word business issue side kind head house service friend father power "
    "hour game line end member law car city name team minute idea body back parent face level office door health art "
    "war history party result change morning reason research girl guy moment air teacher force foot boy age policy"
)
WORDS = tuple(_TEXT.split())
"""Common words: each is one token or more in every tokenizer of a large vocabulary."""


def open_case(number: int, *, both: bool = False) -> list[Message]:
    """Open the conversation about one case; another number is another subject, so that answers are not all one."""
    subject = f"gpu:node-{number:02d}/{number % 8}"
    evidence = (
        f"[e1] kern.log:{12 + number} | - | {subject} xid:79 | node-{number:02d} kernel: NVRM: Xid (PCI:0000:4e:00): "
        "79, pid=1042, GPU has fallen off the bus."
    )
    return [
        {"role": "system", "content": render_prompt("system")},
        {"role": "user", "content": render_prompt("probe", subject=subject, evidence=evidence, both=both)},
    ]


def ask_conclusion(number: int, bounds: Bounds = SIZES["full"]) -> list[Message]:
    """The same case at its end, where the conclusion is asked for."""
    faults = [*POSSIBLE, UNKNOWN]
    return [
        *open_case(number),
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": render_prompt("conclude", faults=faults, problem="", bounds=bounds)},
    ]


def build_form(bounds: Bounds = SIZES["full"], *, bounded: bool = True) -> dict[str, object]:
    """The form of the conclusion, as the agent demands it; unbounded for a server that knows no lengths."""
    schema = build_schema(POSSIBLE, handles=("e1",), bounds=bounds)
    return {
        "type": "json_schema",
        "json_schema": {"name": "conclusion", "strict": True, "schema": schema if bounded else drop_limits(schema)},
    }


def ask_plainly(words: str) -> list[Message]:
    """One message, nothing else."""
    return [{"role": "user", "content": words}]


def fill(count: int, salt: str = "") -> str:
    """So many common words after a salt, which makes them a beginning that no cache has seen."""
    rounds = count // len(WORDS) + 1
    return " ".join([salt, *(WORDS * rounds)[:count]]).strip()
