"""Replace what names people, machines and addresses, always by the same stand-in, so that evidence can be handed on.

Replaced are host names (short or with a domain), user names, IPv4, IPv6 and MAC addresses, InfiniBand GUIDs, world-wide
names of disks, serial numbers, UUIDs, and mail addresses. Kept are times, PCI addresses, models, versions, job numbers
and amounts: a triage needs them and they name nobody. A stand-in is of the same form as what it stands for, so that the
same rules read it.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from tools.errors import OperatorError
from tools.types import Facts

_HEX = "[0-9a-fA-F]"
_UUID = re.compile(rf"(?<![0-9a-zA-Z]){_HEX}{{8}}-(?:{_HEX}{{4}}-){{3}}{_HEX}{{12}}(?![0-9a-zA-Z])")
_MAC = re.compile(rf"(?<![\w:-])(?:{_HEX}{{2}}[:-]){{5}}{_HEX}{{2}}(?![\w-]|:\w)")
_GUID = re.compile(rf"(?<![\w:]){_HEX}{{4}}(?::{_HEX}{{4}}){{3}}(?![\w:])")
_GUID_WORD = re.compile(rf"(?i)(?P<word>guid[\s:=]+)(?P<name>0x{_HEX}{{16}})\b")
_WWN = re.compile(
    rf"\b0x5{_HEX}{{15}}\b|(?<=wwn-)0x{_HEX}{{16,32}}|(?<=naa\.){_HEX}{{16,32}}|(?<=eui\.){_HEX}{{16,32}}"
)
_IPV4 = re.compile(r"(?<![\w.-])\d{1,3}(?:\.\d{1,3}){3}(?![\w-]|\.\d)")
_VERSION = re.compile(r"(?i)\b(?:v|ver|version|firmware|fw|release|rev)[\s:.=-]*$")
_IPV6 = re.compile(rf"(?<![\w:.])(?:{_HEX}{{0,4}}:){{2,7}}{_HEX}{{0,4}}(?![\w:.])")
_MAIL = re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_SERIAL = re.compile(
    r"(?i)\b(?:serial(?:[ _]?(?:number|no\.?|num)\]?\"?\s*[:=#]?|\]?\"?\s*[:=#])|s/n\s*[:=#]?)\s*\"?"
    r"(?P<name>(?=[\w.-]*\d)[A-Za-z0-9][\w.-]{4,63})"
)
_USER = re.compile(
    r"(?:/home/|/Users/|\b(?:user|USER|acct|logname|LOGNAME|User|user_name|UserName|username)[=:]\s?\"?|"
    r"\buid=\d+\(|\bUserId=|\bowner=|\b(?:for|by|of) user |\bAccepted \w+ for |\bsudo:\s+(?=\S+ : )|"
    r"\bsession (?:opened|closed) for )(?P<name>(?!user\b)[A-Za-z_][\w.-]{1,31})"
)
_HOST = re.compile(
    r"(?m)^(?P<nccl>[A-Za-z][\w.-]*):\d+:\d+ \[\d+\] |\b(?:NodeList|NodeName|NodeHostName|NodeAddr|BatchHost|hostname"
    r"|HOSTNAME|host|Hostname)[=:]\s?\"?(?P<name>[A-Za-z][\w.-]*\d[\w.-]*)(?![\w.-]|\[)"
)
_TRADE = """
    localhost localdomain kernel daytwo root nobody daemon user users host node nodes gpu gpus nic disk disks guest job
    service sensor telemetry switch rail rack hall site storage network nvidia nvml nvme linux ubuntu debian systemd
    driver memory device error fatal read write none unknown true false null boot test default server client data
    shared scratch home local production maintenance retired
"""
_WORDS = frozenset(_TRADE.split())
"""Words of the trade: a host called so is known by its place only, for the word is everywhere."""
MIN_NAME = 3

KINDS = ("host", "domain", "user", "uuid", "serial", "ipv4", "ipv6", "mac", "guid", "wwn", "place", "guest")
_NAMED_KINDS = ("host", "domain", "user", "serial", "place", "guest")
_HOST_KEYS = frozenset({"node", "aliases"})
_NOBODY = frozenset({"localhost", "root", "nobody", "?"})


def _stand_in(kind: str, number: int, original: str) -> str:
    """Make a stand-in of the form of the original."""
    if kind == "ipv4":
        return str(ipaddress.IPv4Address("198.18.0.0") + number)  # RFC 2544: benchmarks, routed nowhere
    if kind == "ipv6":
        return str(ipaddress.IPv6Address("2001:db8::") + number)  # RFC 3849: documentation
    if kind == "mac":
        separator = "-" if "-" in original else ":"
        return separator.join(f"{byte:02x}" for byte in (0x02000000 << 16 | number).to_bytes(6, "big"))
    if kind == "uuid":
        return f"00000000-0000-4000-8000-{number:012x}"
    if kind == "guid":
        digits = f"{number:016x}"
        return f"0x{digits}" if original.startswith("0x") else ":".join(digits[i : i + 4] for i in range(0, 16, 4))
    if kind == "wwn":
        prefix = "0x" if original.startswith("0x") else ""
        return prefix + f"{number:x}".rjust(len(original) - len(prefix), "0")
    return {"domain": f"domain-{number}.invalid", "serial": f"SERIAL{number:06d}"}.get(kind, f"{kind}-{number:04d}")


class Scrubber:
    """Replaces names, the same by the same: first it studies all that is to be scrubbed, then it scrubs.

    Args:
        mapping: Kind to (original to stand-in) of an earlier scrubbing, to go on with.
    """

    def __init__(self, mapping: Mapping[str, Mapping[str, str]] | None = None) -> None:
        self.mapping: dict[str, dict[str, str]] = {kind: dict((mapping or {}).get(kind, {})) for kind in KINDS}
        self._stand_ins = {name for names in self.mapping.values() for name in names.values()}
        self._by_name: dict[str, str] = {}
        self._by_place: dict[str, str] = {}
        self._compiled: tuple[re.Pattern[str] | None, re.Pattern[str] | None] | None = None
        for kind in _NAMED_KINDS:
            self.learn(kind, list(self.mapping[kind]))

    def learn(self, kind: str, names: Iterable[str]) -> None:
        """Learn names that no form tells: of hosts, users, guests, places; and serial numbers."""
        for name in sorted({name.strip() for name in names} - {""}):
            if name in self._stand_ins or name.lower() in _NOBODY:
                continue
            short, dot, domain = name.partition(".") if kind == "host" else (name, "", "")
            self._learn(kind, short)
            if dot:
                self._learn("domain", domain)
        self._compiled = None

    def _learn(self, kind: str, name: str) -> None:
        number = name.isdigit() and kind != "serial"
        plain = len(name) < MIN_NAME or name.lower() in _WORDS or number
        if not plain:
            self._by_name[name.lower()] = self._find(kind, name)
        elif kind == "host":
            self._by_place[name.lower()] = self._find(kind, name)

    def study(self, texts: Iterable[str]) -> None:
        """Learn the users, serial numbers, mail domains and sibling hosts that texts name."""
        found: dict[str, set[str]] = {"user": set(), "serial": set(), "host": set()}
        siblings = self._build_siblings()
        for text in texts:
            found["user"].update(match["name"] for match in _USER.finditer(text))
            found["serial"].update(match["name"] for match in _SERIAL.finditer(text))
            found["host"].update(match["nccl"] or match["name"] for match in _HOST.finditer(text))
            if siblings is not None:
                found["host"].update(match[0] for match in siblings.finditer(text))
        for kind, names in found.items():
            self.learn(kind, names)

    def _build_siblings(self) -> re.Pattern[str] | None:
        """A pattern of the hosts that are numbered like known ones, or are of a known domain."""
        forms = [rf"[a-z0-9-]+\.{re.escape(domain)}" for domain in self.mapping["domain"]]
        for name in self.mapping["host"]:
            pieces = re.split(r"(\d{2,})", name)
            if len(pieces) > 1 and len(pieces[0]) > 1:
                forms.append("".join(rf"\d{{{len(p)}}}" if p.isdigit() else re.escape(p) for p in pieces))
        return _join_names(sorted(set(forms))) if forms else None

    def scrub_text(self, text: str) -> str:
        """Replace all names in a text."""
        for pattern, replace in (
            (_UUID, self._replacer("uuid")),
            (_WWN, self._replacer("wwn")),
            (_MAC, self._replace_mac),
            (_GUID, self._replacer("guid")),
            (_GUID_WORD, lambda found: found["word"] + self._find("guid", found["name"])),
            (_IPV4, self._replace_address),
            (_IPV6, self._replace_address),
            (_MAIL, self._replace_mail),
        ):
            text = pattern.sub(replace, text)
        if self._compiled is None:
            self._compiled = self._compile()
        names, places = self._compiled
        if names is not None:
            text = names.sub(lambda found: self._by_name[found[0].lower()], text)
        if places is not None:
            text = places.sub(lambda found: self._by_place[found[0].lower()], text)
        return text

    def scrub(self, value: object, *, key: str = "") -> object:
        """Replace all names in the strings of a JSON value; keys are ours and stay."""
        if isinstance(value, str):
            place = self._by_place.get(value.lower()) if key in _HOST_KEYS else None
            return place or self.scrub_text(value)
        if isinstance(value, Mapping):
            return {name: self.scrub(inner, key=name) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self.scrub(inner, key=key) for inner in value]
        return value

    def _compile(self) -> tuple[re.Pattern[str] | None, re.Pattern[str] | None]:
        names = _join_names([re.escape(name) for name in self._by_name])
        spelled = "|".join(sorted(map(re.escape, self._by_place), key=len, reverse=True))
        # gpu:HOST/3, node:HOST, and the place of the host in a syslog line
        places = rf"(?i)(?<=[a-z]:)(?:{spelled})(?=/|$)|(?<=[\dZ] )(?:{spelled})(?= [\w.-]+(?:\[\d+\])?: )"
        return names, re.compile(places) if spelled else None

    def _replacer(self, kind: str) -> Callable[[re.Match[str]], str]:
        return lambda found: self._find(kind, found[0])

    def _replace_mac(self, found: re.Match[str]) -> str:
        # Broadcast and unset addresses name nobody.
        return found[0] if len(set(found[0].lower()) - set(":-")) == 1 else self._find("mac", found[0])

    def _replace_address(self, found: re.Match[str]) -> str:
        if _VERSION.search(found.string, max(found.start() - 16, 0), found.start()):
            return found[0]
        try:
            address = ipaddress.ip_address(found[0])
        except ValueError:
            return found[0]  # a version, a time, a bus address
        if address.is_loopback or address.is_unspecified or address.is_multicast:
            return found[0]  # names nobody
        return self._find(f"ipv{address.version}", found[0])

    def _replace_mail(self, found: re.Match[str]) -> str:
        user, _, domain = found[0].partition("@")
        return f"{self._find('user', user)}@{self._find('domain', domain)}"

    def _find(self, kind: str, original: str) -> str:
        if original in self._stand_ins:
            return original
        known = self.mapping[kind]
        # Letter case tells no two things apart, so it must not make two of one.
        key = original.lower() if kind != "user" else original
        if key not in known:
            known[key] = _stand_in(kind, len(known) + 1, original)
            self._stand_ins.add(known[key])
        return known[key]


def _join_names(patterns: list[str]) -> re.Pattern[str] | None:
    if not patterns:
        return None
    # The longest first, so that a name is not cut by a shorter one that begins it.
    whole = "|".join(sorted(patterns, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{whole})(?![A-Za-z0-9])", re.IGNORECASE)


def learn_facts(scrubber: Scrubber, facts: Facts) -> None:
    """Learn the names that facts tell in their fields."""
    entities = [*facts.entities, *(event.entity for event in facts.events)]
    entities += [entity for window in facts.windows for entity in window.entities]
    entities += [entity for link in facts.links for entity in (link.subject, link.object)]
    rows = facts.inventory
    scrubber.learn("host", [entity.node for entity in entities])
    scrubber.learn("host", [name for row in rows for name in (row.node, *row.aliases)])
    scrubber.learn("host", [entity.name for entity in entities if entity.kind in ("storage", "switch")])
    scrubber.learn("guest", [entity.name for entity in entities if entity.kind == "guest"])
    scrubber.learn("place", [name for row in rows for name in (row.rack, row.site)])
    scrubber.learn("place", [entity.name for entity in entities if entity.kind in ("rack", "hall", "site", "network")])
    scrubber.learn("user", [row.owner for row in rows])
    scrubber.learn("serial", [entity.id_map.get("serial", "") for entity in entities])


def list_strings(value: object) -> Iterator[str]:
    """List all strings of a JSON value."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for inner in value.values():
            yield from list_strings(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from list_strings(inner)


def read_users(passwd: Path = Path("/etc/passwd")) -> list[str]:
    """List the people of this machine: user ids from 1000 on, without nobody (65534)."""
    try:
        lines = passwd.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows = [line.split(":") for line in lines]
    return [row[0] for row in rows if len(row) > 2 and row[2].isdigit() and 1000 <= int(row[2]) < 65534]


def read_map(path: Path) -> dict[str, dict[str, str]]:
    """Read the map of an earlier scrubbing; empty where there is none yet.

    Raises:
        OperatorError: The file is something else.
    """
    if not path.exists():
        return {}
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        return {str(kind): {str(k): str(v) for k, v in names.items()} for kind, names in document.items()}
    except (OSError, ValueError, AttributeError) as error:
        raise OperatorError(
            f"{path} is no map of an earlier scrubbing: {error}.", fix=f"name another file, or rm {path}"
        ) from None


def write_map(path: Path, scrubber: Scrubber) -> None:
    """Write who is who, readable by its owner only.

    Raises:
        OperatorError: It cannot be written.
    """
    text = json.dumps({kind: names for kind, names in scrubber.mapping.items() if names}, indent=1) + "\n"
    try:
        path.touch(mode=0o600)
        path.chmod(0o600)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"{path} cannot be written: {error.strerror}.", fix=f"ls -ld {path.parent}") from None
