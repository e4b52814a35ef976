"""The nodes of an investigation: each takes the state and returns what it adds to it."""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from agent.backend import Backend, Budget, Message, Reply, ToolCall
from agent.brief import build_brief
from agent.conclude import UNKNOWN, Unusable, build_opinion, build_schema, close_cut, find_handles, parse_conclusion
from agent.dialect import speak
from agent.policy import SitePolicy
from agent.repair import repair_reply
from agent.run import Run, build_step
from agent.spending import must_conclude_for_cost
from agent.state import State
from agent.toolbox import Toolbox
from agent.tracing import trace_tool
from agent.types import Case, ModelUse, Opinion, Usage
from agent.verdicts import build_verdict
from prompts.render import hash_prompt, render_prompt
from tools.errors import ModelError
from tools.tool import ToolContext

PROMPTS = ("system", "brief", "conclude")
CALLS_PER_STEP = 6
CONCLUDING_WINDOW_SHARE = 0.4  # of the window, kept for one more answer of a tool and the conclusion; a guess


@dataclass(frozen=True)
class Terms:
    """What holds for every investigation of one triage: whose commands, how much it may cost, the time, the prices."""

    site: SitePolicy
    budget: Budget
    now: datetime
    price: Callable[[Usage], Usage] = field(default=lambda usage: usage)


@dataclass(frozen=True)
class Seat:
    """One investigation: the case, what may be looked at, who sits in the seat, and on which terms."""

    case: Case
    context: ToolContext
    toolbox: Toolbox
    backend: Backend
    terms: Terms
    possible: Mapping[str, str]
    record_run: Callable[[Run], None] | None = None
    started: float = field(default_factory=time.monotonic)

    def brief(self, state: State) -> State:
        """Open the conversation: the system prompt, the same for every case, then the brief of this one."""
        began = time.monotonic()
        steps = max(self.terms.budget.steps - 1, 0)
        idle = [name for name, there_is in self.toolbox.available.items() if not there_is]
        facts, book = self.context.facts, self.context.book
        text = build_brief(self.case, facts, book, self.possible, steps=steps, unavailable=idle)
        messages: list[Message] = [
            {"role": "system", "content": render_prompt("system")},
            {"role": "user", "content": text},
        ]
        return {"messages": messages, "steps": [build_step("brief", "brief", text, seconds=_since(began))]}

    def investigate(self, state: State) -> State:
        """Ask the model once; it names tools to call, or says that it has seen enough."""
        began = time.monotonic()
        try:
            reply = self.backend.step(state["messages"], self.toolbox.definitions, seconds=self._seconds_left())
        except ModelError as error:
            return {"failure": str(error), "steps": [build_step("model", "step", str(error), seconds=_since(began))]}
        mended, repairs = repair_reply(reply, self.toolbox.schemas)
        calls = tuple(
            ToolCall(f"call-{len(state['messages'])}-{number}", call.name, call.arguments)
            for number, call in enumerate(mended.calls[:CALLS_PER_STEP])
        )
        step = build_step("model", "step", f"{reply.text}\n{reply.calls}", seconds=_since(began))
        return {
            "messages": [speak(mended.text, calls)],
            "replies": [reply],
            "repairs": list(repairs),
            "steps": [step],
            "calls": calls,
            "finished": not calls,
        }

    def tools(self, state: State) -> State:
        """Answer every call; a call that cannot be made is answered with what would be valid."""
        answers = self.toolbox.call_all(state["calls"], lambda call: trace_tool(self._name_tool(call), call.id))
        asked = list(zip(state["calls"], answers, strict=True))
        messages: list[Message] = [
            {"role": "tool", "tool_call_id": call.id, "content": answer.text} for call, answer in asked
        ]
        steps = [
            build_step("tool", call.name, answer.text, seconds=answer.seconds, arguments=call.arguments[:1000])
            for call, answer in asked
        ]
        return {"messages": messages, "steps": steps, "calls": ()}

    def conclude(self, state: State) -> State:
        """Ask for the conclusion without tools, once more where it cannot be read; then give up on the opinion."""
        faults = [*self.possible, *([] if UNKNOWN in self.possible else [UNKNOWN])]
        bounds = self.terms.budget.bounds
        shown = find_handles(str(message.get("content") or "") for message in state["messages"])
        # A log line may spell handles of its own; only what stands in the book can be cited.
        handles = [handle for handle in shown if self.context.book.find(handle) is not None]
        schema = build_schema(list(self.possible), handles=handles, bounds=bounds)
        added: State = {"messages": [], "replies": [], "steps": [], "repairs": []}
        problem = ""
        for attempt in range(2):
            if attempt:
                added["repairs"].append("conclusion_asked_again")
            began = time.monotonic()
            prompt = render_prompt("conclude", faults=faults, problem=problem, bounds=bounds)
            added["messages"].append({"role": "user", "content": prompt})
            try:
                reply = self.backend.conclude(
                    [*state["messages"], *added["messages"]], schema, seconds=self._seconds_left()
                )
            except ModelError as error:
                added["steps"].append(build_step("conclude", "failed", str(error), seconds=_since(began)))
                return {**added, "failure": str(error)}
            added["replies"].append(reply)
            added["messages"].append(speak(reply.text, ()))
            added["steps"].append(build_step("conclude", "conclude", reply.text, seconds=_since(began)))
            conclusion = parse_conclusion(reply.text, list(self.possible))
            if not isinstance(conclusion, Unusable):
                return {**added, "conclusion": close_cut(conclusion, bounds)}
            problem = conclusion.why
        return {**added, "failure": f"the model's conclusion could not be used: {problem}"}

    def ground(self, state: State) -> State:
        """Check every claim against the evidence that it cites; without a conclusion the opinion is a rejected one."""
        began = time.monotonic()
        model, usage = self._describe_model(), self._sum_usage(state)
        conclusion = state.get("conclusion")
        if conclusion is None:
            rejected = state.get("failure", "") or "the model gave no conclusion"
            opinion = Opinion(fault=UNKNOWN, summary="", model=model, usage=usage, rejected=rejected)
        else:
            opinion = build_opinion(
                conclusion, self.context.book, self.context.everything, self.possible, model=model, usage=usage
            )
        result = json.dumps([claim.model_dump() for claim in opinion.claims])
        return {"opinion": opinion, "steps": [build_step("ground", "claims", result, seconds=_since(began))]}

    def decide(self, state: State) -> State:
        """Let policy weigh the opinion; where no model sat in the seat the verdict is the rules' own."""
        opinion = None if self.backend.endpoint_kind == "rules" else state["opinion"]
        verdict = build_verdict(
            self.case,
            self.context.book,
            facts=self.context.everything,
            site=self.terms.site,
            now=self.terms.now,
            opinion=opinion,
        )
        return {"verdict": verdict}

    def record(self, state: State) -> State:
        """Hand the record of the investigation to whoever keeps it."""
        if self.record_run is not None:
            conclusion = state.get("conclusion")
            run = Run(
                run_id=f"r-{uuid.uuid4().hex[:16]}",
                case_id=self.case.case_id,
                verdict_id=state["verdict"].verdict_id,
                backend=self.backend.name,
                steps=tuple(state["steps"]),
                prompt_hashes=self._hash_prompts(),
                usage=self._sum_usage(state),
                repairs=dict(Counter(state.get("repairs", []))),
                tool_counts=dict(self.toolbox.counts),
                rejected=state["opinion"].rejected,
                check_next=conclusion.check_next if conclusion else "",
                messages=tuple(state["messages"]),
                replies=tuple(state.get("replies", [])),
            )
            self.record_run(run)
        return {}

    def _name_tool(self, call: ToolCall) -> str:
        return call.name if call.name in self.toolbox.schemas else UNKNOWN

    def choose_next(self, state: State) -> str:
        """Choose the node that follows: open calls first, then the model, and the conclusion as the last step."""
        if state.get("failure"):
            return "ground"
        if state.get("calls"):
            return "tools"
        return "conclude" if state.get("finished") or self._must_conclude(state) else "investigate"

    def _must_conclude(self, state: State) -> bool:
        replies = state.get("replies", [])
        last = replies[-1].tokens_in + replies[-1].tokens_out if replies else 0
        window = self.terms.budget.window_tokens
        return (
            len(replies) >= self.terms.budget.steps - 1
            or must_conclude_for_cost(replies, self.terms.budget, self.terms.price, _since(self.started))
            or (window is not None and last >= window * (1 - CONCLUDING_WINDOW_SHARE))
            or self._seconds_left() <= self.terms.budget.find_concluding_seconds()
        )

    def _seconds_left(self) -> float:
        return self.terms.budget.seconds - _since(self.started)

    def _describe_model(self) -> ModelUse | None:
        kind = self.backend.endpoint_kind
        if kind == "rules":
            return None
        return ModelUse(name=self.backend.name, endpoint_kind=kind, prompt_hashes=self._hash_prompts())

    def _hash_prompts(self) -> dict[str, str]:
        tools = json.dumps(self.toolbox.definitions, sort_keys=True)
        return {name: hash_prompt(name) for name in PROMPTS} | {
            "tools": hashlib.sha256(tools.encode()).hexdigest()[:12]
        }

    def _sum_usage(self, state: State) -> Usage:
        replies: list[Reply] = state.get("replies", [])
        usage = Usage(
            calls=len(replies),
            tokens_in=sum(reply.tokens_in for reply in replies),
            tokens_cached=sum(reply.tokens_cached for reply in replies),
            tokens_out=sum(reply.tokens_out for reply in replies),
            seconds=round(_since(self.started), 3),
        )
        return self.terms.price(usage)


def _since(began: float) -> float:
    return time.monotonic() - began
