"""The chat on a pseudo-terminal, and models that talk: what the tests of the chat share."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pexpect

from evals.conversation import Conversation
from evals.scripts import Answer

DAYTWO = str(Path(sys.executable).parent / "daytwo")
LOST = (
    "Nov 20 02:14:09 n7 kernel: [18934.214926] NVRM: Xid (PCI:0000:4e:00): 79, pid='<unknown>', name=<unknown>, "
    "GPU has fallen off the bus.\n"
)
FULL = (
    "Nov 20 03:00:01 n8 kernel: [20001.000001] EXT4-fs error (device sdb1): ext4_find_entry:1455: inode #2: comm ls\n"
)
READY, SENT = "\x1b[?2004h", "\x1b[?2004l"
"""The prompt asks for bracketed pastes while it reads, and no longer when a line was sent."""
OWN = re.compile(r"[⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏] thinking|\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")


def answer_question(talk: Conversation) -> Answer:
    """Read the events first; then three sentences: one true, one invented, one that orders."""
    if not talk.concluding and not talk.tool_answers:
        return Answer(
            "I look at the events of 3 cards first.",
            calls=(("read_events", json.dumps({"entity": "", "code": "xid", "around": "", "limit": 5})),),
        )
    return Answer(
        "The card logged Xid 79 and has fallen off the bus [e1]. It ran at 412 C for 9 hours [e1]. "
        "Replace the card at once. I could not read its temperature."
    )


def answer_at_length(talk: Conversation) -> Answer:
    return Answer("The card logged Xid 79 [e1]. " + "And then nothing else was told of it. " * 200)


class Terminal:
    """The program, and what a person sees of it."""

    def __init__(self, words: list[str], data_dir: Path, cwd: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.startswith("DAYTWO_")}
        env = {**kept, "DAYTWO_DATA_DIR": str(data_dir), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.raw = ""
        self.child = pexpect.spawn(
            DAYTWO, words, env=env, cwd=str(cwd), encoding="utf-8", timeout=30, dimensions=(50, 160)
        )
        self.child.delaybeforesend = None

    def wait(self, mark: str = READY) -> str:
        """Wait until it reads the next line; returns what was shown until then, without colours."""
        self.child.expect_exact(mark)
        self.raw += f"{self.child.before}{self.child.after}"
        return OWN.sub("", str(self.child.before)).replace("\r", "")

    def type(self, keys: str, mark: str = READY) -> str:
        """Type a line, and return what is shown until the next one is read, or until a mark."""
        self.child.send(keys + "\r")
        self.wait(SENT)
        return self.wait(mark)

    def leave(self) -> str:
        self.child.sendeof()
        self.child.expect(pexpect.EOF)
        shown = str(self.child.before)
        self.raw += shown
        self.child.close()
        assert self.child.exitstatus == 0
        return OWN.sub("", shown).replace("\r", "")


def struck(shown: str) -> list[str]:
    """The sentences that were struck out, each with its reason, unwrapped."""
    flat = " ".join(shown.split())
    return re.findall(r"✗ (.*?)(?=\s*(?:[✓·✗▸]|$))", flat)
