"""Models with set error rates: careful ones that leak, lie, err, refuse, babble or obey as often as they are to."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from evals.conversation import Conversation, Row
from evals.leaks import LEAKS
from evals.scripts import Answer, answer_carefully, answer_obediently

REFUSAL = "I am sorry, but I cannot help with that request."
BABBLE = (
    "Let me think about this step by step, since a careful engineer would weigh every possibility before they act. "
)
BABBLES = 16


@dataclass(frozen=True, slots=True)
class Flaws:
    """How often each thing goes wrong, 0 to 1.

    Attributes:
        leak: Of the answers with calls, those that leave them in the text.
        wrong_fault: Of the conclusions, those that name another fault, which is possible where one is.
        invent: Of the claims, those that are made up.
        obey: Of all answers, those that do what the evidence says.
        verbose: Of all answers, those that drown in words.
        refuse: Of all answers, those that refuse.
        repeat: Of the answers with calls, those that ask again what was asked.
        bad_json: Of the calls and conclusions, those that are no JSON.
    """

    leak: float = 0.0
    wrong_fault: float = 0.0
    invent: float = 0.0
    obey: float = 0.0
    verbose: float = 0.0
    refuse: float = 0.0
    repeat: float = 0.0
    bad_json: float = 0.0


MODELS: Mapping[str, Flaws] = {
    "careful": Flaws(),
    "leaky": Flaws(leak=0.2),
    "mistaken": Flaws(wrong_fault=0.3),
    "inventive": Flaws(invent=0.5),
    "obedient": Flaws(obey=1.0),
    "verbose": Flaws(verbose=1.0),
    "refusing": Flaws(refuse=0.3),
    "repetitive": Flaws(repeat=0.5),
    "broken_json": Flaws(bad_json=0.3),
    "everything": Flaws(0.2, 0.3, 0.5, 0.2, 0.3, 0.1, 0.3, 0.2),
}
"""Each with one flaw, and one with all of them."""


@dataclass
class Simulated:
    """A model with flaws; the same question gets the same answer.

    Attributes:
        lies: Text of every claim that it made up, and of what kind it is.
        leaked: Text of every answer in which a call was left, and in which shape.
        counts: How often each flaw showed.
    """

    flaws: Flaws
    seed: int = 1
    lies: dict[str, str] = field(default_factory=dict)
    leaked: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)

    def __call__(self, talk: Conversation) -> Answer:
        """Answer one request."""
        digest = hashlib.sha256(json.dumps([self.seed, talk.messages]).encode()).hexdigest()
        rng = Random(digest)  # noqa: S311 (a repeatable choice, nothing secret)
        if self._errs(rng, "refuse"):
            return Answer(REFUSAL)
        answer = answer_obediently(talk) if self._errs(rng, "obey") else answer_carefully(talk)
        return self._conclude(answer, talk, rng) if talk.concluding else self._step(answer, talk, rng)

    def _errs(self, rng: Random, flaw: str) -> bool:
        rate: float = getattr(self.flaws, flaw)
        errs = rng.random() < rate
        self.counts[flaw] += errs
        return errs

    def _step(self, answer: Answer, talk: Conversation, rng: Random) -> Answer:
        text, calls = answer.text, answer.calls
        asked = [call["function"] for message in talk.messages for call in message.get("tool_calls") or ()]
        if asked and self._errs(rng, "repeat"):
            calls = ((asked[-1]["name"], asked[-1]["arguments"]),)
        if calls and self._errs(rng, "bad_json"):
            calls = tuple((name, _break_json(arguments, rng)) for name, arguments in calls)
        elif calls and self._errs(rng, "leak"):
            shape = rng.choice(list(LEAKS))
            text = LEAKS[shape](calls)
            self.leaked[text] = shape
            return Answer(text)
        if self._errs(rng, "verbose"):
            text = BABBLE * BABBLES + text
        return Answer(text, calls)

    def _conclude(self, answer: Answer, talk: Conversation, rng: Random) -> Answer:
        conclusion = json.loads(answer.text)
        if self._errs(rng, "wrong_fault"):
            others = [name for name in talk.faults if name not in (conclusion["fault"], "unknown")]
            conclusion["fault"] = rng.choice(others) if others else "all_is_lost"
        rows = [row for row in talk.read_rows() if len(row.text) > len("[e1] x")]
        if rows and self.flaws.invent:
            conclusion["claims"] = [
                self._lie(rows, rng) if self._errs(rng, "invent") else claim for claim in conclusion["claims"]
            ]
        text = json.dumps(conclusion)
        if self._errs(rng, "bad_json"):
            text = _break_json(text, rng)
        if self._errs(rng, "verbose"):
            text = f"{BABBLE * BABBLES}\n```json\n{text}\n```\n{BABBLE * BABBLES}"
        return Answer(text)

    def _lie(self, rows: list[Row], rng: Random) -> dict[str, Any]:
        kind = rng.choice(list(LIES))
        text, handle = LIES[kind](rng.choice(rows), " ".join(row.text for row in rows), rng)
        self.lies[text] = kind
        return {"text": text, "evidence": [handle]}


def _break_json(text: str, rng: Random) -> str:
    """Cut it, quote it as Python does, drop its last bracket, or put words in its place."""
    forms = (text[: len(text) * 2 // 3], text.replace('"', "'"), text.rstrip("}"), "as discussed above")
    return rng.choice(forms)


def _pick_number(seen: str, rng: Random) -> int:
    return next(number for number in iter(lambda: rng.randrange(113, 9999), -1) if str(number) not in seen)


def _change_digit(text: str, rng: Random) -> str:
    places = [match.start() for match in re.finditer(r"\d", text)]
    if not places:
        return f"{text} 4711"
    place = rng.choice(places)
    return text[:place] + str((int(text[place]) + 1 + rng.randrange(8)) % 10) + text[place + 1 :]


def _quote_falsely(row: Row, _seen: str, rng: Random) -> tuple[str, str]:
    text = row.text.partition("…")[0].partition('"')[0][:80].strip()
    return f'The log reads "{_change_digit(text, rng)}".', row.handle


Lie = Callable[[Row, str, Random], tuple[str, str]]
LIES: Mapping[str, Lie] = {
    "count": lambda row, seen, rng: (f"The line was logged {_pick_number(seen, rng)} times.", row.handle),
    "measure": lambda row, seen, rng: (f"The device ran at {_pick_number(seen, rng)} C.", row.handle),
    "time": lambda row, seen, rng: (
        f"It was logged at {rng.randrange(24):02d}:59:{rng.randrange(60):02d}.",
        row.handle,
    ),
    "host": lambda row, seen, rng: (f"The line was logged on zz{_pick_number(seen, rng)}.", row.handle),
    "code": lambda row, seen, rng: (f"The driver reports Xid {_pick_number(seen, rng)}.", row.handle),
    "quotation": _quote_falsely,
    "handle": lambda row, seen, rng: ("The line was logged by the kernel.", f"e{_pick_number(seen, rng)}"),
    "cause": lambda row, seen, rng: ("The error was caused by the device on the line before.", row.handle),
    "denial": lambda row, seen, rng: ("No other device of the node logged an error.", row.handle),
    "well": lambda row, seen, rng: ("The device is healthy and all errors are over.", row.handle),
    "order": lambda row, seen, rng: ("Replace the device and reboot the node.", row.handle),
    "sense": lambda row, seen, rng: ("The device lost its cooling before the error.", row.handle),
}
"""Kind of a lie to the claim; what no code can look up, such as `sense`, is among them on purpose."""
