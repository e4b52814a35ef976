"""Facts: what was seen, when, where and by which means.

Everything in this module is frozen. Times are Unix seconds in UTC unless a :class:`Moment` says otherwise;
quantities are in the base unit that the name of their signal ends in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from tools.harmless import neutralise_name
from tools.names import clean_device_name, clean_name

EntityKind = Literal[
    "gpu", "nic", "disk", "node", "guest", "job", "service", "sensor", "telemetry",
    "switch", "rail", "rack", "hall", "site", "storage", "network",
]  # fmt: skip
Severity = Literal["ok", "info", "warning", "critical"]
Domain = Literal[
    "gpu", "kernel_log", "disk", "network", "guests", "host", "jobs", "application", "inventory", "driver", "input"
]
ReadStatus = Literal["read", "partial", "missing", "not_applicable"]
Clock = Literal["utc", "local", "boot", "none"]
Writer = Literal["kernel", "user", "tool", "unknown"]

NODELESS_KINDS: frozenset[str] = frozenset(
    {"job", "switch", "rail", "rack", "hall", "site", "storage", "network", "node"}
)


@dataclass(frozen=True, slots=True)
class Entity:
    """One thing that can be ill; its names are made safe to print and to type, whatever evidence they came from.

    Attributes:
        kind: What it is.
        node: Host name as the source spells it; empty where no node is known or the kind has none.
        name: Index, PCI address, device or service name. Empty for a node.
        ids: Stable names as sorted (key, value) pairs: ``uuid``, ``pci``, ``serial``. The index is for people only.
    """

    kind: EntityKind
    node: str = ""
    name: str = ""
    ids: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "node", clean_name(self.node))
        object.__setattr__(self, "name", clean_device_name(self.name))
        if self.ids:
            object.__setattr__(self, "ids", tuple((key, clean_device_name(value)) for key, value in self.ids))

    def __str__(self) -> str:
        """Spell it as ``gpu:node-017/3``, ``node:node-017``, ``job:4711``; a job of unknown id is ``job:HOST/?``."""
        if self.kind == "node":
            return f"node:{self.node or self.name or '?'}"
        if self.kind in NODELESS_KINDS and (self.name or not self.node):
            return f"{self.kind}:{self.name or '?'}"
        return f"{self.kind}:{self.node or '?'}/{self.name or '?'}"

    @property
    def id_map(self) -> dict[str, str]:
        """The stable names as a dictionary."""
        return dict(self.ids)

    def with_ids(self, **ids: str) -> Entity:
        """Return the same entity with more stable names; empty values are ignored."""
        merged = {**self.id_map, **{key: value for key, value in ids.items() if value}}
        return replace(self, ids=tuple(sorted(merged.items())))


@dataclass(frozen=True, slots=True)
class Moment:
    """A time on a named clock.

    Attributes:
        clock: ``utc`` (offset known), ``local`` (wall clock, zone not told), ``boot`` (seconds since boot), ``none``.
        seconds: Unix seconds for ``utc``; wall clock read as if it were UTC for ``local``; since boot for ``boot``.
        year_known: False where the form has no year (RFC 3164, glog); the year is then a best guess.
    """

    clock: Clock = "none"
    seconds: float | None = None
    year_known: bool = True


NO_MOMENT = Moment()


@dataclass(frozen=True, slots=True)
class Quote:
    """A place in what was read, and the words that stand there.

    Attributes:
        source: Relative file path, or the exact command or query.
        line: 1-based line, None where the source has no lines (an API answer).
        text: The line as read, escapes neutralised, at most 2,000 characters.
    """

    source: str
    line: int | None
    text: str

    @property
    def place(self) -> str:
        """``kern.log:118``, or the command alone."""
        return self.source if self.line is None else f"{self.source}:{self.line}"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, read from one line (a stack is one event with its head).

    Attributes:
        code: Family and what: ``xid:79``, ``sxid:20034``, ``gpu:fallen_off_bus``, ``nvme:timeout``, ``nccl:timeout``.
        fields: What the line tells beyond its code (pid, process, rank, job, link, …), all as text.
        writer: Who can have written the line: the kernel, a user, a tool whose table it is, or not told by the form.
    """

    moment: Moment
    entity: Entity
    code: str
    quote: Quote
    fields: Mapping[str, str] = field(default_factory=dict)
    writer: Writer = "tool"

    @property
    def node(self) -> str:
        """Host that the event speaks of."""
        return self.entity.node or (self.entity.name if self.entity.kind == "node" else "")

    @property
    def job(self) -> str:
        """Job that the line names, or empty."""
        return self.fields.get("job", self.entity.name if self.entity.kind == "job" else "")


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A block of readings: entities x times for each signal.

    Attributes:
        entities: Rows, E of them.
        times: Unix seconds, shape (T,); NaN where the form tells no time. Latest last.
        values: Signal name to array of shape (E, T), float64, NaN where missing.
        source: Exact command, query or file.
        step_seconds: Nominal distance of two readings, None for a single snapshot.
        reasons: (row, signal) to why the reading is missing: ``not_supported``, ``gpu_lost``, ``timeout``, …
        quotes: Row to the text line that the latest reading came from; empty for an API.
        signal_quotes: (row, signal) to its own line, where a text has one line for each reading (``nvidia-smi -q``).
        clock: Which clock ``times`` are on.
    """

    entities: tuple[Entity, ...]
    times: NDArray[np.float64]
    values: Mapping[str, NDArray[np.float64]]
    source: str
    step_seconds: float | None = None
    reasons: Mapping[tuple[int, str], str] = field(default_factory=dict)
    quotes: Mapping[int, Quote] = field(default_factory=dict)
    clock: Clock = "utc"
    signal_quotes: Mapping[tuple[int, str], Quote] = field(default_factory=dict)

    def __post_init__(self) -> None:
        shape = (len(self.entities), len(self.times))
        for name, array in self.values.items():
            if array.shape != shape:
                raise ValueError(f"signal {name}: shape {array.shape}, expected {shape} (entities, times)")

    def latest(self, row: int, signal: str) -> float | None:
        """The last reading of one row, or None where it is missing or not part of the window."""
        array = self.values.get(signal)
        if array is None or array.shape[1] == 0 or np.isnan(array[row, -1]):
            return None
        return float(array[row, -1])

    def quotes_of(self, row: int, *signals: str) -> tuple[Quote, ...]:
        """The lines that some signals of one row came from, the row's own line where they have none."""
        own = [self.signal_quotes[row, name] for name in signals if (row, name) in self.signal_quotes]
        if not own and row in self.quotes:
            own = [self.quotes[row]]
        return tuple(dict.fromkeys(own))


Relation = Literal["uses", "runs_on", "part_of"]


@dataclass(frozen=True, slots=True)
class Link:
    """A relation that was read: a guest ``uses`` a disk, a job ``runs_on`` a node, a device is ``part_of`` another."""

    subject: Entity
    relation: Relation
    object: Entity
    quote: Quote


@dataclass(frozen=True, slots=True)
class Coverage:
    """What was asked for and how far it could be read.

    Attributes:
        entity: Spelled entity, or the path for input.
        reason: Why it is not ``read``; empty otherwise.
        fix: What a person types or does next; empty where nothing is to be done.
        lines: Lines of a log that were read; 0 where lines are no measure.
        end_seconds: Unix time of the last of them, where it tells one.
    """

    entity: str
    domain: Domain
    status: ReadStatus
    reason: str = ""
    fix: str = ""
    lines: int = 0
    end_seconds: float | None = None

    def __post_init__(self) -> None:
        # Names of files and members of archives come from whoever made them.
        for name in ("entity", "reason", "fix"):
            text = getattr(self, name)
            if not text.isprintable():
                object.__setattr__(self, name, neutralise_name(text))


@dataclass(frozen=True, slots=True)
class Finding:
    """What a detector saw in a window; a hint at a fault, never a decision.

    Attributes:
        detector: Module name of the detector.
        fault_hint: Fault id of the table that the finding speaks for.
        score: How far beyond its threshold, 1.0 at the threshold.
        settles: True where the reading itself settles the matter (a flag that says so), not a statistic.
        values: Signal or word to number or text: exactly what was seen and the threshold it was held against.
        culprit: Who causes it, where that is not the entity (the guest that saturates a disk).
        start, end: The span of what was seen.
    """

    detector: str
    entity: Entity
    fault_hint: str
    severity: Severity
    score: float
    quotes: tuple[Quote, ...]
    values: Mapping[str, float | str] = field(default_factory=dict)
    settles: bool = False
    culprit: Entity | None = None
    start: Moment = NO_MOMENT
    end: Moment = NO_MOMENT
    note: str = ""


@dataclass(frozen=True, slots=True)
class Inventory:
    """What one node should have, as the site says.

    Attributes:
        state: ``burn_in``, ``production``, ``maintenance`` or ``retired``.
        gpus, nics: Expected counts, None where the inventory does not say.
    """

    node: str
    gpus: int | None = None
    nics: int | None = None
    state: str = "production"
    gpu_model: str = ""
    rack: str = ""
    site: str = ""
    owner: str = ""
    aliases: tuple[str, ...] = ()
    quote: Quote | None = None
    leaf: str = ""
    nvlink_domain: str = ""
    storage: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Facts:
    """All that one reading of the world gave; the only input of detectors, rules and read tools."""

    windows: tuple[Window, ...] = ()
    events: tuple[Event, ...] = ()
    entities: tuple[Entity, ...] = ()
    links: tuple[Link, ...] = ()
    inventory: tuple[Inventory, ...] = ()
    coverage: tuple[Coverage, ...] = ()
    subject: Entity | None = None

    def __add__(self, other: Facts) -> Facts:
        return Facts(
            self.windows + other.windows,
            self.events + other.events,
            self.entities + other.entities,
            self.links + other.links,
            self.inventory + other.inventory,
            self.coverage + other.coverage,
            self.subject or other.subject,
        )


def merge_facts(parts: Iterable[Facts]) -> Facts:
    """Put several readings together, in order."""
    whole = Facts()
    for part in parts:
        whole = whole + part
    return whole


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line: its 1-based number and its text without the line end."""

    number: int
    text: str


class Document(Protocol):
    """Text to be parsed, streamed: a parser never holds the whole of it."""

    @property
    def label(self) -> str:
        """Relative path or command: what a quote names as its source."""
        ...

    @property
    def node(self) -> str:
        """Host that the text is from, where the caller knows it; else empty."""
        ...

    def lines(self) -> Iterator[Line]:
        """Iterate over the lines from the start; may be called again."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """Lines that no parser understood: how many of how many, and the first few."""

    total: int = 0
    unread: int = 0
    samples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Parsed:
    """What one parser made of one document."""

    facts: Facts
    unread: Unread = Unread()


class Parser(Protocol):
    """A module of ``tools/parsers/``: three names, found by walking.

    ``FORM`` is a short name such as ``iostat``; ``DOMAIN`` the coverage domain; ``recognise`` looks at the first lines
    (at most 200) and says how sure it is, 0.0 to 1.0; ``parse`` reads the document and never raises on bad text.
    """

    FORM: str
    DOMAIN: Domain

    def recognise(self, sample: Sequence[str]) -> float:
        """Say how sure this parser is that the sample is of its form."""
        ...

    def parse(self, document: Document) -> Parsed:
        """Read the facts of a document; what is not understood is counted, never raised."""
        ...


class Detector(Protocol):
    """A module of ``tools/detectors/``: ``detect`` reads facts and emits findings; it never decides.

    ``FAULTS`` names the faults that it can hint at.
    """

    FAULTS: frozenset[str]

    def detect(self, facts: Facts) -> list[Finding]:
        """Look for one kind of trouble in windows, links and inventory."""
        ...


class Source(Protocol):
    """Where facts come from: this machine, a folder of evidence, a Prometheus."""

    name: str

    def read_facts(self) -> Facts:
        """Read all that this source can see now; what could not be read is in the coverage, not raised."""
        ...
