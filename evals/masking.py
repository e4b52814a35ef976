"""How well masking holds, on a seeded set: recall over what must be hidden, precision over what was hidden."""

from __future__ import annotations

import base64
import re
import string
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from agent.masking import Mask
from tools.sources.recording import RecordingSource

MAX_BYTES = 1024**2
FOLDER = Path(__file__).parent / "redaction"
_MARK = re.compile(r"«([^»]+)»")
_HOSTS = (
    "gpu-{:03d}",
    "dgx{:02d}-a",
    "hpc1c{:02d}n07",
    "node{:04d}.cluster.example.com",
    "lambda-scalar{:02d}",
    "r7u{:02d}",
)
_USERS = ("alice", "mkowalski", "jdoe7", "svc-train", "wei.zhang", "priya_n", "oseguera", "tklein")
_TLDS = ("example.org", "uni-north.example", "lab.example.net")


@dataclass(frozen=True, slots=True)
class MaskingScore:
    """Counts of one seed; `left` and `taken` are what went wrong, for people.

    Attributes:
        told: How many things there were to hide.
        hidden: How many of them stood nowhere any more.
        replaced: How many different things were replaced.
        rightly: How many of those were to be.
        restored: Whether every line came back as it had been.
    """

    told: int
    hidden: int
    replaced: int
    rightly: int
    restored: bool
    left: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()

    @property
    def recall(self) -> float:
        """Share of what was to be hidden that was."""
        return self.hidden / self.told if self.told else 1.0

    @property
    def precision(self) -> float:
        """Share of what was replaced that was to be."""
        return self.rightly / self.replaced if self.replaced else 1.0


def score_masking(seed: int) -> MaskingScore:
    """Fill the set by a seed, mask it line by line as a conversation would, and compare."""
    rng = Random(seed)  # noqa: S311 (a repeatable set, nothing secret)
    filled = [fill_line(line, rng) for line in _read("told.txt")]
    lines = [line for line, _ in filled] + list(_read("plain.txt"))
    text = "\n".join(lines).lower()
    mask = _open_mask(lines)
    mask.study(lines)
    told, hidden, left, restored = 0, 0, [], True
    for line, names in filled:
        shown = mask.hide(line)
        gone = [
            name for name in names if not re.search(rf"(?i)(?<![A-Za-z0-9]){re.escape(name)}(?![A-Za-z0-9])", shown)
        ]
        told, hidden = told + len(names), hidden + len(gone)
        left += [f"{name} in {line}" for name in names if name not in gone]
        restored &= mask.show(shown).lower() == line.lower()
    for line in _read("plain.txt"):
        restored &= mask.show(mask.hide(line)).lower() == line.lower()
    known = {name.lower() for _, names in filled for name in names}
    replaced = [one for one in mask.originals if one.lower() in text and mask.hide(one) != one]
    taken = [one for one in replaced if not any(one.lower() in name or name in one.lower() for name in known)]
    count = len(replaced)
    return MaskingScore(told, hidden, count, count - len(taken), restored, tuple(left), tuple(taken))


def fill_line(line: str, rng: Random) -> tuple[str, tuple[str, ...]]:
    """Fill the marks of a line; the same kind in one line is the same thing unless it is an address.

    Returns:
        The line, and what in it is to be hidden.
    """
    chosen: dict[str, str] = {}
    names: list[str] = []

    def fill(match: re.Match[str]) -> str:
        kind = match[1]
        made = FORMS[kind](rng)
        name = made if kind.startswith("ipv") else chosen.setdefault(kind, made)
        names.append(name)
        return name

    return _MARK.sub(fill, line), tuple(names)


def _open_mask(lines: list[str]) -> Mask:
    """Open a mask as a triage of these lines would: with the hosts that its facts know."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "told.log"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return Mask(RecordingSource([path], max_bytes=MAX_BYTES).read_facts())


def _read(name: str) -> Iterator[str]:
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return (line for line in lines if line.strip() and not line.startswith("# "))


def _pick(rng: Random, letters: str, count: int) -> str:
    return "".join(rng.choice(letters) for _ in range(count))


def _hex(count: int) -> Callable[[Random], str]:
    return lambda rng: _pick(rng, "0123456789abcdef", count)


_ALNUM = string.ascii_letters + string.digits


def _jwt(rng: Random) -> str:
    parts = [base64.urlsafe_b64encode(rng.randbytes(24)).decode().rstrip("=") for _ in range(2)]
    head = base64.urlsafe_b64encode(b'{"alg":"HS256","typ":"JWT"}').decode().rstrip("=")
    return ".".join([head, *parts])


FORMS: dict[str, Callable[[Random], str]] = {
    "host": lambda rng: rng.choice(_HOSTS).format(rng.randrange(1, 64)),
    "user": lambda rng: rng.choice(_USERS),
    "ipv4": lambda rng: f"10.{rng.randrange(256)}.{rng.randrange(256)}.{rng.randrange(1, 255)}",
    "ipv6": lambda rng: f"fe80::{_hex(4)(rng)}:{_hex(2)(rng)}ff:fe{_hex(2)(rng)}:{_hex(4)(rng)}",
    "mac": lambda rng: ":".join(_hex(2)(rng) for _ in range(6)),
    "uuid": lambda rng: str(uuid.UUID(int=rng.getrandbits(128), version=4)),
    "guid0x": lambda rng: f"0x{_hex(16)(rng)}",
    "serial": lambda rng: f"{_pick(rng, string.ascii_uppercase, 3)}4{_pick(rng, _ALNUM, 8)}",
    "wwn": lambda rng: f"0x5{_hex(15)(rng)}",
    "mail": lambda rng: f"{rng.choice(_USERS)}@{rng.choice(_TLDS)}",
    "secret:aws_id": lambda rng: f"AKIA{_pick(rng, string.ascii_uppercase + '234567', 16)}",
    "secret:base64": lambda rng: base64.b64encode(rng.randbytes(30)).decode(),
    "secret:hf": lambda rng: f"hf_{_pick(rng, string.ascii_letters, 34)}",
    "secret:nvapi": lambda rng: f"nvapi-{_pick(rng, _ALNUM + '_-', 62)}9",
    "secret:word": lambda rng: f"{_pick(rng, string.ascii_letters, 6)}{_pick(rng, '!#%+_', 1)}{_pick(rng, _ALNUM, 6)}",
    "secret:hex40": _hex(40),
    "secret:jwt": _jwt,
    "secret:sk": lambda rng: f"sk-proj-{_pick(rng, _ALNUM, 44)}",
    "secret:glpat": lambda rng: f"glpat-{_pick(rng, _ALNUM, 20)}",
    "secret:ghp": lambda rng: f"ghp_{_pick(rng, _ALNUM, 36)}",
    "secret:xoxb": lambda rng: f"xoxb-{_pick(rng, string.digits, 12)}-{_pick(rng, _ALNUM, 24)}",
    "secret:google": lambda rng: f"AIza{_pick(rng, _ALNUM + '_-', 34)}Z",
    "secret:azure": lambda rng: base64.b64encode(rng.randbytes(64)).decode(),
}  # fmt: skip
"""How each kind is spelled; all of it is made up."""
