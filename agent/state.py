"""What passes from node to node of an investigation; lists grow, everything else is replaced."""

from __future__ import annotations

from operator import add
from typing import Annotated, TypedDict

from agent.backend import Message, Reply, ToolCall
from agent.conclude import Conclusion
from agent.run import Step
from agent.types import Opinion, Verdict


class State(TypedDict, total=False):
    """State of one investigation.

    Attributes:
        messages: The conversation in the form of the chat completions API; its head never changes.
        replies: Every answer of the model, for the usage.
        steps: The record so far.
        repairs: Name of each plumbing repair, once per time that it was needed.
        calls: Tools that the last answer asks for and that have not been called.
        finished: True once the model has seen enough.
        failure: Why the model's opinion cannot be had; empty while it can.
    """

    messages: Annotated[list[Message], add]
    replies: Annotated[list[Reply], add]
    steps: Annotated[list[Step], add]
    repairs: Annotated[list[str], add]
    calls: tuple[ToolCall, ...]
    finished: bool
    failure: str
    conclusion: Conclusion
    opinion: Opinion
    verdict: Verdict
