"""Reading a conversation as a model would see it: the scripts know nothing but the request that reached them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_FENCE = re.compile(r"<evidence>\n(.*?)\n</evidence>", re.DOTALL)
_ROW = re.compile(r"^\s*\[(e\d+)\] (.*)$", re.MULTILINE)
_FAULTS = re.compile(r'"fault": one of ([\w, ]+),$', re.MULTILINE)
_PASSAGE = re.compile(r"^(\w+)#(\w+) \| ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Row:
    """One piece of evidence as it was shown: its handle, and the text in its last column."""

    handle: str
    text: str


@dataclass(frozen=True)
class Conversation:
    """One chat completions request."""

    request: Mapping[str, Any]

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """All messages, the system prompt first."""
        rows: Sequence[Mapping[str, Any]] = self.request.get("messages") or []
        return rows

    @property
    def concluding(self) -> bool:
        """True where tools are no longer offered."""
        return not self.request.get("tools")

    @property
    def faults(self) -> list[str]:
        """Faults that the conclusion may name, from its schema or else from the words of the request."""
        form = self.request.get("response_format") or {}
        schema = (form.get("json_schema") or {}).get("schema") or {}
        enum = ((schema.get("properties") or {}).get("fault") or {}).get("enum")
        if enum:
            return list(enum)
        told = _FAULTS.search(str(self.messages[-1].get("content")))
        return told[1].split(", ") if told else []

    @property
    def tool_answers(self) -> list[str]:
        """Answers of tools so far, in order."""
        return [str(message["content"]) for message in self.messages if message.get("role") == "tool"]

    @property
    def brief(self) -> str:
        """The first user message."""
        return next((str(message["content"]) for message in self.messages if message.get("role") == "user"), "")

    def find_line(self, label: str) -> str:
        """The first word behind a label of the brief, such as ``Subject:``."""
        match = re.search(rf"^{re.escape(label)} (\S+)", self.brief, re.MULTILINE)
        return match[1] if match else ""

    def read_rows(self) -> list[Row]:
        """Every piece of evidence shown so far, once, in order."""
        rows: dict[str, Row] = {}
        for text in (self.brief, *self.tool_answers):
            for block in _FENCE.findall(text):
                for handle, rest in _ROW.findall(block):
                    rows.setdefault(handle, Row(handle, rest.split(" | ", 3)[-1].strip()))
        return list(rows.values())

    def read_runbooks(self) -> list[str]:
        """Faults whose runbooks a search returned, best first."""
        return list(dict.fromkeys(fault for text in self.tool_answers for fault, _ in _PASSAGE.findall(text)))

    def read_data(self) -> str:
        """All text between the fences."""
        return "\n".join(block for text in (self.brief, *self.tool_answers) for block in _FENCE.findall(text))

    def read_prompt(self) -> str:
        """All text that the model did not write itself, the system prompt left out."""
        return "\n".join(
            str(message.get("content") or "") for message in self.messages if message.get("role") in ("user", "tool")
        )
