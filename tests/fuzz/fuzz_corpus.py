"""Seeds and words for fuzzing: the project's own scenarios, the lines of its tests, the literals of its tables."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from evals.scenario import load_scenarios
from tools.parsers._log_reader import APPLICATION_PATTERNS, KERNEL_PATTERNS
from tools.signals import SIGNALS

TESTS = Path(__file__).parents[1]
MIN_CHARACTERS = 24
MAX_SEED_BYTES = 16 * 1024
OWN = (
    "Node             SN         Model        Namespace  Usage  Format  FW Rev\n"
    "/dev/nvme0n1     S7A01      DRIVE 3840   1          3.84 TB / 3.84 TB  512 B + 0 B  GDC1\n",
    '{"Devices": [{"DevicePath": "/dev/nvme0n1", "ModelNumber": "DRIVE", "SerialNumber": "S7A01"}]}\n',
    "disk         driver   sector     failure holds    holds                            storage\n"
    "name         type       size       group metadata data  status        availability pool\n"
    "nsd1         nsd         512           1 yes      yes   ready         down         system\n",
    "core file size          (blocks, -c) 0\nmax locked memory       (kbytes, -l) 64\n"
    "open files                      (-n) 1024\nmax user processes              (-u) 4096\n",
    "Error Log Entries for device:nvme0n1 entries:2\n.................\n Entry[ 0]\n.................\n"
    "error_count     : 12\nsqid            : 1\nstatus_field    : 0x2281(READ_ERROR: Unrecovered Read Error)\n"
    "parm_err_loc    : 0xffff\nlba             : 0x1f\nnsid            : 0x1\n",
    '{"@odata.id": "/redfish/v1/Systems/1", "@odata.type": "#ComputerSystem.v1_5_0.ComputerSystem", '
    '"Status": {"Health": "Critical", "State": "Enabled"}, "MemorySummary": {"Status": {"Health": "Warning"}}}\n',
)
"""Forms that the tests write in pieces."""


@cache
def load_seeds() -> tuple[bytes, ...]:
    """Texts of every form, in an order that is always the same."""
    texts: dict[str, None] = dict.fromkeys(OWN)
    for scenario in load_scenarios():
        for file in (*scenario.evidence, *scenario.twin.evidence):
            texts[file.text] = None
    for room in ("tools", "agent"):
        for path in sorted((TESTS / room).glob("test_*.py")):
            texts.update(dict.fromkeys(_list_strings(path)))
    return tuple(text.encode("utf-8", errors="replace")[:MAX_SEED_BYTES] for text in texts)


def _list_strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if len(node.value) >= MIN_CHARACTERS and (" " in node.value or "\n" in node.value):
                yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "7" for part in node.values)
        elif isinstance(node, ast.Dict):
            # The answer of an API stands in a test as what it is made of.
            with suppress(ValueError, TypeError):
                yield json.dumps(ast.literal_eval(node))


@cache
def load_words() -> tuple[bytes, ...]:
    """Literals of the pattern tables and names of signals: what a fuzzer would not guess."""
    words = {literal for pattern in (*KERNEL_PATTERNS, *APPLICATION_PATTERNS) for literal in pattern.literals}
    words.update(name for name in SIGNALS if isinstance(name, str))
    return tuple(sorted(word.encode() for word in words))
