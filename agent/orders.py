"""What a conclusion may not say in its own words: an order. Policy gives them, and evidence may hold somebody else's.

A line that says "replace the card" bears out the word *replace*; said as one's own it would be advice of whoever wrote
the line. Quoted it is evidence.
"""

from __future__ import annotations

import re
from typing import get_args

from agent.types import Action

_QUOTED = re.compile(r"\"[^\"]+\"|“[^”]+”|`[^`]+`|«[^»]+»|(?<!\w)'[^']{3,}'(?!\w)")
_ACTION = re.compile(rf"\b(?:{'|'.join(name for name in get_args(Action) if '_' in name)})\b", re.IGNORECASE)
_ORDER = re.compile(
    r"(?:^|[.;:!?]\s+)(?:(?:please|now|immediately|first|then|you (?:must|should)|do)\W+)*"
    r"((?:replace|swap|rma|reboot|reset|power[- ]?cycle|drain|cordon|reseat|restart|reinstall|ignore|disregard|send|"
    r"upload|forward|e?mail|post|notify|call|run|execute|approve|close)\s+"
    r"(?:the|this|that|these|those|all|any|it|them|every|each|your|our|now|at once|immediately|gpus?|nodes?|hosts?|"
    r"parts?|cards?|jobs?|drives?|disks?|alerts?)\b)",
    re.IGNORECASE,
)


def find_own_order(text: str) -> str:
    """Say what a sentence orders outside of its quotations; empty where nothing."""
    own = _QUOTED.sub(" ", text)
    found = _ACTION.search(own)
    words = found[0] if found else next((match[1] for match in _ORDER.finditer(own)), "")
    return f"advises an action ({words}), which is the policy's to choose" if words else ""
