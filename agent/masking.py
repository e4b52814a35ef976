"""What leaves this machine for a model elsewhere: secrets, hosts, people, addresses and serials under other names.

The same name has the same stand-in in one triage, so that the model can reason on them; what it answers is put back
before anybody reads it, grounding included. It fails closed: where masking cannot be done, nothing is sent.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from agent.backend import Backend, EndpointKind, Hear, Message, Reply, stream_reply
from agent.secret_forms import find_secrets
from agent.site import Models
from tools.errors import ModelError, SiteConfigError
from tools.scrub import Scrubber, learn_facts, list_strings, read_users
from tools.types import Facts

_OPEN_KEYS = frozenset({"role", "type", "tool_call_id", "id"})
"""Parts of a message that are the protocol's own."""
MIN_SECRET = 4


class Mask:
    """Puts stand-ins in and takes them out again.

    Args:
        facts: Whose hosts, guests, serials and owners are to be hidden, wherever they are named.
    """

    def __init__(self, facts: Facts) -> None:
        self._scrubber = Scrubber()
        self._secrets: dict[str, str] = {}
        learn_facts(self._scrubber, facts)
        self._scrubber.learn("host", [os.uname().nodename])
        self._scrubber.learn("user", read_users())
        # A name that one line tells by its form may stand bare in an earlier prompt.
        self.study(_list_quotes(facts))

    @property
    def originals(self) -> list[str]:
        """Everything that was replaced so far."""
        return [original for original, _ in self._pairs()]

    def study(self, texts: Iterable[str]) -> None:
        """Learn the names that texts tell by their form, so that they are hidden where they stand without it too."""
        self._scrubber.study(texts)

    def hide(self, text: str) -> str:
        """Replace secrets first, then names: a password may look like a host."""
        found = {one for one in find_secrets(text) if len(one) >= MIN_SECRET}
        for secret in sorted(found - set(self._secrets.values()), key=len, reverse=True):
            self._secrets.setdefault(secret, f"[SECRET-{len(self._secrets) + 1:04d}]")
        for secret in sorted(self._secrets, key=len, reverse=True):
            text = text.replace(secret, self._secrets[secret])
        return self._scrubber.scrub_text(text)

    def hide_messages(self, messages: Sequence[Message]) -> list[Message]:
        """Replace in every text of a conversation; the protocol's own words stay."""
        self.study(list_strings(list(messages)))
        return [{key: self._hide_value(key, value) for key, value in message.items()} for message in messages]

    def show(self, text: str, *, spell: Callable[[str], str] = str) -> str:
        """Put the names back; `spell` says how an original stands in such a text."""
        back = {stand_in.lower(): original for original, stand_in in self._pairs()}
        if not back:
            return text
        longest_first = sorted(map(re.escape, back), key=len, reverse=True)
        pattern = re.compile(
            rf"(?<![A-Za-z0-9])(?!(?<=\d\.)\d)(?:{'|'.join(longest_first)})(?![A-Za-z0-9]|\.\d)", re.IGNORECASE
        )
        return pattern.sub(lambda found: spell(back[found[0].lower()]), text)

    def find_left(self, messages: Sequence[Message]) -> str:
        """Say which kind of what was to be hidden still stands in a conversation; empty where nothing does."""
        text = "\n".join(list_strings(_drop_open(list(messages))))
        if any(secret in text for secret in self._secrets):
            return "a secret"
        for kind, names in self._scrubber.mapping.items():
            # What the scrubber leaves alone by itself is a word of the trade, and no name.
            hidden = [name for name in names if self._scrubber.scrub_text(name) != name]
            spelled = "|".join(map(re.escape, hidden))
            if hidden and re.search(rf"(?i)(?<![A-Za-z0-9])(?:{spelled})(?![A-Za-z0-9])", text):
                return f"a name ({kind})"
        return ""

    def _hide_value(self, key: str, value: Any) -> Any:  # noqa: ANN401 (whatever a message of the API holds)
        if isinstance(value, str):
            return value if key in _OPEN_KEYS else self.hide(value)
        if isinstance(value, Mapping):
            return {name: self._hide_value(name, inner) for name, inner in value.items()}
        if isinstance(value, list | tuple):
            return [self._hide_value(key, inner) for inner in value]
        return value

    def _pairs(self) -> list[tuple[str, str]]:
        names = [pair for kind in self._scrubber.mapping.values() for pair in kind.items()]
        return [*names, *self._secrets.items()]


class Unmasker:
    """Puts names back into a text that comes in pieces: a stand-in that is cut in two waits for its rest.

    No stand-in holds a blank, and none is recognised by what stands beyond one: so whole words are passed on.

    Args:
        mask: Whose stand-ins stand in the text.
        hear: Told the text with its names.
    """

    def __init__(self, mask: Mask, hear: Hear) -> None:
        self._mask = mask
        self._hear = hear
        self._pending = ""

    def hear(self, piece: str) -> None:
        """Take the next piece."""
        text = self._pending + piece
        end = max((at for at, letter in enumerate(text, 1) if letter.isspace()), default=0)
        self._pending = text[end:]
        if end:
            self._hear(self._mask.show(text[:end]))

    def close(self) -> None:
        """Pass on what still waits: the text has ended."""
        if self._pending:
            self._hear(self._mask.show(self._pending))
        self._pending = ""


@dataclass(frozen=True)
class MaskedBackend:
    """A backend to which only stand-ins are told, and whose answers are put back."""

    inner: Backend
    mask: Mask

    @property
    def name(self) -> str:
        """The name of the model behind."""
        return self.inner.name

    @property
    def endpoint_kind(self) -> EndpointKind:
        """Where the model behind runs."""
        return self.inner.endpoint_kind

    def step(self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float) -> Reply:
        """As of the backend behind; see :class:`agent.backend.Backend`."""
        return self._show(self.inner.step(self._hide(messages), tools, seconds=seconds))

    def conclude(self, messages: Sequence[Message], schema: Mapping[str, Any], *, seconds: float) -> Reply:
        """As of the backend behind; see :class:`agent.backend.Backend`."""
        return self._show(self.inner.conclude(self._hide(messages), schema, seconds=seconds))

    def stream(
        self, messages: Sequence[Message], tools: Sequence[Mapping[str, Any]], *, seconds: float, hear: Hear
    ) -> Reply:
        """As of the backend behind, names put back in what is heard too; see :func:`agent.backend.stream_reply`."""
        shown = Unmasker(self.mask, hear)
        reply = stream_reply(self.inner, self._hide(messages), tools, seconds=seconds, hear=shown.hear)
        shown.close()
        return self._show(reply)

    def _hide(self, messages: Sequence[Message]) -> list[Message]:
        hidden = self.mask.hide_messages(messages)
        if left := self.mask.find_left(hidden):
            raise ModelError(
                f"Nothing was sent to {self.inner.name}: {left} could not be masked.",
                fix="ask a model on this machine, or name its host in models.allow of the site's file",
            )
        return hidden

    def _show(self, reply: Reply) -> Reply:
        calls = tuple(replace(call, arguments=self.mask.show(call.arguments, spell=_in_json)) for call in reply.calls)
        # Most answers are JSON: an original with a quote or a backslash must not break it.
        spell = _in_json if reply.text.lstrip()[:1] in ("{", "[", "`") else str
        return replace(reply, text=self.mask.show(reply.text, spell=spell), calls=calls)


def guard_endpoint(backend: Backend, url: str, facts: Facts, models: Models) -> Backend:
    """Put a mask before a model that is not one's own; a model of this machine, or of an allowed host, sees names.

    Raises:
        SiteConfigError: The site asks only its own models, and this is none.
    """
    host = urlsplit(url).hostname or ""
    if is_loopback(host) or host in models.allow:
        return backend
    if models.local_only:
        raise SiteConfigError(
            f"The site asks only its own models (models.local_only), and {host} is none of them.",
            fix=f'name "{host}" in models.allow of the site\'s file, or --model http://127.0.0.1:8000/v1#NAME',
        )
    return MaskedBackend(backend, Mask(facts))


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _list_quotes(facts: Facts) -> Iterator[str]:
    yield from (event.quote.text for event in facts.events)
    yield from (link.quote.text for link in facts.links)
    yield from (quote.text for window in facts.windows for quote in window.quotes.values())


def _drop_open(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _drop_open(inner) for key, inner in value.items() if key not in _OPEN_KEYS}
    return [_drop_open(inner) for inner in value] if isinstance(value, list | tuple) else value


def _in_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
