"""An answer in words, taken apart into sentences, each checked against the evidence as the claims of a verdict are.

Three kinds stand in an answer: what evidence bears out, what names no number, name, time or quotation and so cannot be
checked, and what is struck out. What the evidence lacks may be said only as that: "I could not read the temperature".
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent.causality import find_causal_problem
from agent.faults import load_faults
from agent.ground import Lookup
from agent.types import Claim
from tools.evidence import EvidenceBook

Standing = Literal["borne_out", "plain", "struck"]
MAX_SENTENCE_CHARACTERS = 600
MAX_FOUND = 2
"""So many pieces of evidence are named for a sentence that names none itself."""
_CITED = r"[\[(]e\d+(?:[\s,;]+(?:and )?e?\d+)*[\])]"
# A sentence ends at its full stop and the handles behind it, or with its line; what follows must have begun.
_END = re.compile(
    r"(?:(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)(?<!\betc)(?<!\A\d)(?<!\n\d)(?<!\A\d\d)(?<!\n\d\d)[.!?]"
    rf"[\"”'*`)]*(?:\s*{_CITED}\.?)*[ \t]+|\s*\n\s*)"
    r"(?=[^\s\[(]|[\[(](?:[^e]|e\D))"
)
_HANDLES = re.compile(rf"\s*{_CITED}")
_MARKER = re.compile(r"^\s*(?:[-*•#>]+\s+|\d{1,2}[.)]\s+)+")
_EMPHASIS = re.compile(r"\*\*|__|(?<![\w*])\*(?=\S)|(?<=\S)\*(?![\w*])")
_WORD = re.compile(r"[\w.:/\-]+")
_QUOTED = re.compile(r"\"[^\"]+\"|“[^”]+”|`[^`]+`")
_ADMITS = re.compile(
    r"\b(?:not|n't|un)\W{0,2}(?:been |be |yet )?(?:read|know|known|tell|told|see|seen|say|shown|show|decide|find|found|"
    r"cover|covered|able|enough|available)\b|\bunknown\b|\bno(?:thing)?\b.{0,40}\b(?:read|evidence|shown|told|known)\b"
    r"|\bcannot (?:say|tell|see|know)\b|\b(?:is|are|was|were) missing\b",
    re.IGNORECASE,
)
_WELL = re.compile(
    r"\b(?:healthy|fine|okay|normal(?:ly)?|in order|all good|no (?:problem|issue|fault|error|trouble)s?|"
    r"nothing (?:is |was )?wrong)\b",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"(?:^|[.:;,] )(?:(?:please|now|then|next|first|finally|and|or|also|just)[:,]? )*(\w[\w-]*)"
    r"|\b(?:should|must|need(?:s|ed)? to|have to|has to|recommend\w*|suggest\w*|advise\w*|propose\w*|try|consider|"
    r"going to|want to|can|could|might|to|and|then|or)\s+(?:you |to |be |that you |a |an |the )*(\w[\w-]*)"
    r"|\b(\w[\w-]*) (?:is|are|was|would be|seems) (?:needed|required|necessary|advised|recommended|due|in order)\b",
    re.IGNORECASE,
)
ORDERS: Mapping[str, tuple[str, ...]] = {
    "reboot": ("reboot_node",), "reset": ("reset_gpu",), "drain": ("drain_node",), "cordon": ("drain_node",),
    "replac": ("replace_part",), "swap": ("replace_part",), "rma": ("replace_part",), "reseat": ("inspect_hardware",),
    "inspect": ("inspect_hardware",), "restart": ("restart_service", "restart_job"), "reinstall": ("update_software",),
    "updat": ("update_software",), "upgrad": ("update_software",), "downgrad": ("update_software",),
    "limit": ("limit_tenant",), "throttl": ("limit_tenant",), "kill": (), "delet": (), "remov": (), "format": (),
    "wip": (), "disabl": (), "shut": (), "power": (), "eras": (), "unload": (), "unmount": (), "detach": (),
}  # fmt: skip
"""Beginnings of words that order something, and the actions of which they may speak; most may never be ordered."""


@dataclass(frozen=True, slots=True)
class Sentence:
    """One sentence of an answer, as it stands after the check.

    Attributes:
        evidence: Handles that it cites, or under which code found it.
        admits: It says that something is not known or was not read.
        why: Why it was struck out.
    """

    text: str
    evidence: tuple[str, ...] = ()
    standing: Standing = "plain"
    admits: bool = False
    why: str = ""


def cut_sentences(text: str) -> tuple[list[str], str]:
    """Cut a text that may still grow into the sentences that are whole, and the rest."""
    sentences, start = [], 0
    for end in _END.finditer(text):
        sentences.append(text[start : end.end()].strip())
        start = end.end()
    return [sentence for sentence in sentences if sentence], text[start:]


class Judge:
    """Checks the sentences of answers.

    Args:
        book: All evidence that was shown.
        lookup: Finds what stands behind a piece of it.
        actions: What policy decided in the cases that are talked about; nothing else may be advised.
        asked: The person's own words: what is not known may be named in them.
    """

    def __init__(self, book: EvidenceBook, lookup: Lookup, actions: Collection[str], asked: str = "") -> None:
        self._book = book
        self._lookup = lookup
        self._actions = frozenset(actions)
        self._asked = frozenset(map(_plain, _WORD.findall(asked)))

    def check(self, text: str) -> Sentence:
        """Check one sentence."""
        shown = " ".join(text.split())[:MAX_SENTENCE_CHARACTERS]
        plain = _EMPHASIS.sub("", _MARKER.sub("", shown))
        cited = tuple(dict.fromkeys(f"e{number}" for found in _HANDLES.findall(plain) for number in _read(found)))
        stray = next((handle for handle in cited if self._book.find(handle) is None), "")
        if stray:
            return Sentence(shown, cited, "struck", why=f"cites {stray}, which was never shown")
        said = _HANDLES.sub("", plain)
        problem = find_order(said, self._actions)
        if problem:
            return Sentence(shown, cited, "struck", why=problem)
        if cited:
            problem = self._find_problem(said, cited)
            return Sentence(shown, cited, "struck" if problem else "borne_out", why=problem)
        if _ADMITS.search(said):
            return self._check_admission(shown, said)
        return self._check_uncited(shown, said)

    def _find_problem(self, said: str, cited: Sequence[str]) -> str:
        evidence = [one for one in map(self._book.find, cited) if one is not None]
        held = " ".join(one.quote for one in evidence).lower()
        well = _WELL.search(_QUOTED.sub(" ", said))
        if well and well[0].lower() not in held:
            return f"says that something is well ({well[0]!r}), which {', '.join(cited)} does not"
        return self._lookup.find_unsupported(said, cited, as_claim=True) or find_causal_problem(
            _QUOTED.sub(" ", said), evidence
        )

    def _check_admission(self, shown: str, said: str) -> Sentence:
        unknown = re.sub(
            r"[\w.:/\-]+", lambda word: " " if word[0].strip(".:-").lower() in self._asked else word[0], said
        )
        problem = self._lookup.find_unsupported(unknown, [one.id for one in self._book])
        return Sentence(shown, (), "struck" if problem else "plain", admits=True, why=problem)

    def _check_uncited(self, shown: str, said: str) -> Sentence:
        unheld = next((fault for fault in load_faults() if re.search(rf"\b{fault}\b", said) and "_" in fault), "")
        if not unheld and not self._lookup.find_unsupported(said, ()):
            why = _find_bare_problem(said)
            return Sentence(shown, (), "struck" if why else "plain", why=why)
        found = []
        for one in self._book:
            if (not unheld or unheld in one.quote) and not self._find_problem(said, [one.id]):
                found.append(one.id)
            if len(found) == MAX_FOUND:
                break
        if found:
            return Sentence(shown, tuple(found), "borne_out")
        everything = [one.id for one in self._book]
        missing = self._lookup.find_unsupported(said, everything, as_claim=True).partition(" does not stand in ")[0]
        why = (
            f"{missing} stands in no evidence" if missing else "cites nothing, and no single piece of evidence holds it"
        )
        return Sentence(shown, (), "struck", why=why)


def _find_bare_problem(said: str) -> str:
    """What not even a sentence without numbers and names may say where it cites nothing."""
    if well := _WELL.search(said):
        return f"says that something is well ({well[0]!r}), and cites nothing that shows it"
    causal = find_causal_problem(said, ()).partition(" on one piece")[0]
    return f"{causal}, and cites nothing" if causal else ""


def find_order(said: str, actions: Collection[str]) -> str:
    """Say which action a sentence advises that policy did not choose; empty where none."""
    for match in _ORDER.finditer(_QUOTED.sub(" ", said)):
        word = (match[1] or match[2] or match[3]).lower()
        known = next((begin for begin in ORDERS if word.startswith(begin)), None)
        if known is not None and not any(action in actions for action in ORDERS[known]):
            return f"advises an action ({word}) that no verdict holds; policy chooses"
    return ""


def build_claim(sentence: Sentence) -> Claim:
    """A sentence as a claim of the contract."""
    return Claim(
        text=_HANDLES.sub("", sentence.text),
        evidence=list(sentence.evidence),
        verified=sentence.standing == "borne_out",
        rejected_because=sentence.why or None,
    )


def _read(cited: str) -> list[str]:
    return re.findall(r"\d+", cited)


def _plain(word: str) -> str:
    return word.strip(".:-").lower()
