"""How many tokens an investigation takes: the fixed prompt, and whole investigations over the scenario sets.

``python -m evals.tokens``. Counted by Qwen's vocabulary; who asks is the investigator of `evals/investigator.py`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from statistics import median

from agent.policy import SitePolicy
from agent.run import Run
from agent.tokens import count_text_tokens
from agent.toolbox import build_definitions
from agent.triage import triage
from evals.open_runner import open_evaluated, read_files, run_open_scenario
from evals.open_scenario import load_open_scenarios
from evals.runner import FROZEN_NOW
from evals.scenario import load_scenarios
from evals.seats import PLANNED, Known, Seat, WatchedBackend
from prompts.render import render_prompt

TEMPLATE = """<|im_start|>system


# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
</tools>

For each function call, return a json object with function name and arguments within <tool_call></tool_call> XML tags:
<tool_call>
{"name": <function-name>, "arguments": <args-json-object>}
</tool_call><|im_end|>
"""
"""What the chat template of Qwen 2.5 and 3 writes around system prompt and tools."""


def count_fixed_prompt() -> dict[str, int]:
    """Count what stands at the head of every request: system prompt, tools, and the template around them."""
    tools = "\n".join(json.dumps(tool) for tool in build_definitions())
    parts = {"system": render_prompt("system"), "tools": tools, "template": TEMPLATE}
    counts = {name: count_text_tokens(text) for name, text in parts.items()}
    return {**counts, "all": sum(counts.values())}


def measure_investigations(seat: Seat) -> Iterator[tuple[str, list[int]]]:
    """Measure each set: tokens in and out of every investigation, over all of its steps."""
    opened = [run for scenario in load_open_scenarios() for run in run_open_scenario(scenario, seat)]
    yield "open scenarios and twins", [run.tokens_in + run.tokens_out for run in opened if run.steps]
    runs: list[Run] = []
    for scenario in load_scenarios():
        for evidence in (scenario.evidence, scenario.twin.evidence):
            facts = read_files(evidence)
            watched = WatchedBackend(seat.backend) if seat.backend else None
            if watched is not None:
                look = seat.build_investigator(facts, watched, FROZEN_NOW, Known(record=runs.append))
                triage(facts, site=SitePolicy(), now=FROZEN_NOW, investigator=look)
    yield "scenarios and twins", [run.usage.tokens_in + run.usage.tokens_out for run in runs]


def spell_percentiles(tokens: Sequence[int]) -> str:
    """Spell median and 95th percentile."""
    ranked = sorted(tokens)
    high = ranked[min(round(0.95 * len(ranked)), len(ranked) - 1)] if ranked else 0
    middle, most = (median(ranked), ranked[-1]) if ranked else (0, 0)
    return f"{len(ranked)} investigations, median {middle:.0f}, p95 {high}, most {most}"


def main() -> None:
    """Print the figures."""
    fixed = count_fixed_prompt()
    sys.stdout.write(f"fixed prompt: {', '.join(f'{name} {count}' for name, count in fixed.items())}\n")
    with open_evaluated(PLANNED[0]) as seat:
        for name, tokens in measure_investigations(seat):
            sys.stdout.write(f"{name}: {spell_percentiles(tokens)}\n")


if __name__ == "__main__":
    main()
