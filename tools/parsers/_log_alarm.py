"""Words by which a line cries, and the lines known to cry for nothing: so that a short log of cries is not healthy.

The words are how programs in English name trouble; the harmless lines are those of a normal boot and of log-ins.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.resources import files

from tools.parsers._any_of import AnyOf

MAX_LINES = 200
"""A longer text is a log with its own noise; only a short paste is there for the sake of what it says (a guess)."""
_KEPT_CHARACTERS = 400
"""Longer lines are asked anew: what is remembered must not fill memory."""
ALARM_SHARE = 0.5
"""Where something else was read, as many lines must cry for what is unknown to be heard beside it (a guess)."""
LONE_ALARM_SHARE = 0.1
"""Where nothing was read, one line of ten is why the text was pasted (a guess)."""
_ALARM = re.compile(
    r"(?i:(?<![\w=/.-])(?:errors?|err|fail(?:ed|s|ure|ures|ing)?|fatal|panic(?:ked)?|abort(?:ed|ing|s)?|time(?:d)?[ "
    r"-]?out"
    r"|corrupt(?:ed|ion)?|lost|unhealthy|exceed(?:ed|s)?|degraded|critical|emerg(?:ency)?|unreachable|unrecoverable|uncorrectable|cannot|unable"
    r"|refused|exception|hung|stuck|dead|crash(?:ed)?|killed|bad|invalid|violation|inconsisten\w+"
    r"|not? (?:answer|respon\w+|synchroni[sz]ed)|got not answer)"
    r"(?![\w=/-]|\.\w))"
)
_NOTHING = re.compile(
    r"(?i:\b(?:0|no|zero|without) (?:\w+ )?(?:errors?|failures?)|errors?[ =:]+(?:0\b|none|remount)|error reporting"
    r"|correctable errors?: 0|error count since|errs: wr 0, rd 0|collector initialized"
    r"|(?:error )?containment capabilities|timeouts? ?(?:set|is|of|[(=:])(?:ms\)=\d+)?|panic[ =]\d|crash ?kernel)"
)
"""Phrases that name trouble and tell that there is none; the rest of their line may still cry."""
_HARMLESS = re.compile(
    r"(?i:free space cache|FAULT_INJECTION|fail_make_request|collector initialized|containment capabilities"
    r"|ACPI (?:BIOS )?(?:Error|Warning|Exception)|Firmware (?:Bug|Warn)|module verification failed|tainting kernel"
    r"|Failed password"
    r"|authentication failure|Invalid user|kex_exchange|_OSC|fail2ban|Unable to read EDID|direct firmware load"
    r"|firmware:"
    r" failed to load|bad username|Connection (?:closed|reset) by (?:\w+ )*(?:user|[\d.]+ port)"
    r"|corrected error received"
    r"|\b(?:veth|docker|cali|cni)\w*: |watchdog.*enabled)"
    r"|Delayed init of the lockup detector|not properly unmounted|trap int3"
    r"|\bINFO\b(?!: (?:task|rcu))|\binfo\b[ :>]|\bDEBUG\b|\[?\bI\d{4} \d\d:|<info>"
    r"|(?i:^[^:=|]{3,60}[:=|]\s*"
    r"(?:0(?:x0+)?(?:\.0+)?\s*(?:%|C|B|KB)?|no|none|\[?n/?a\]?|-|false|not active|never)\s*\|?$)"
)


def is_alarm(text: str) -> bool:
    """Say whether a line names trouble and is not one of those known to do so for nothing."""
    return _is_short_alarm(text) if len(text) <= _KEPT_CHARACTERS else _is_alarm(text)


def _is_alarm(text: str) -> bool:
    return bool(_ALARM.search(drop_nothing(text))) and not is_harmless(text)


# A line is asked again and again: when its form is looked for, when it is counted, when nothing else is known of it.
_is_short_alarm = lru_cache(maxsize=2048)(_is_alarm)


def drop_nothing(text: str) -> str:
    """Remove the phrases that name trouble and say that there is none."""
    return _NOTHING.sub(" ", text)


def is_harmless(text: str) -> bool:
    """Say whether a line is one of those known to name trouble for nothing."""
    return bool(_HARMLESS.search(text)) or _load_harmless().search(text)


@cache
def _load_harmless() -> AnyOf:
    """What `catalogue/harmless.csv` names, each row of which tells why it is nothing."""
    table = files("tools").joinpath("catalogue", "harmless.csv").read_text(encoding="utf-8")
    return AnyOf([row["pattern"] for row in csv.DictReader(table.splitlines())])


def count_alarms(lines: Iterable[str]) -> tuple[int, str]:
    """Count lines that name trouble.

    Returns:
        How many, and the first of them.
    """
    alarms = [text for text in lines if is_alarm(text)]
    return len(alarms), alarms[0] if alarms else ""
