"""Reads `nvidia-smi -q -x`, the XML of drivers 418 to 590, as the text of `nvidia-smi -q` that it stands for.

Each element becomes the line that the text form has in its place, so that one table of meanings serves both; what is
quoted is the XML's own line. No XML parser is used: what is pasted is often cut.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from tools.parsers import nvidia_smi_query
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample, make_quote
from tools.types import Document, Domain, Facts, Line, Parsed, Quote, Window

FORM = "nvidia_smi_xml"
DOMAIN: Domain = "gpu"

_ELEMENT = Lazy(r"^\s*<(?P<tag>\w+)>(?P<value>[^<]*)</\w+>\s*$")
_OPEN = Lazy(r"^\s*<(?P<tag>\w+)(?: id=\"(?P<id>[^\"]*)\")?>\s*$")
_CLOSE = Lazy(r"^\s*</(?P<tag>\w+)>\s*$")
_NAMES: Mapping[str, str] = {
    "uuid": "gpu uuid", "serial": "serial number", "gpu_temp": "gpu current temp",
    "memory_temp": "memory current temp",
    "gpu_temp_slow_threshold": "gpu slowdown temp", "gpu_util": "gpu", "remapped_row_corr": "correctable error",
    "remapped_row_unc": "uncorrectable error", "remapped_row_pending": "pending",
    "remapped_row_failure": "remapping failure occurred", "pending_retirement": "pending page retirement",
    "instant_power_draw": "instantaneous power draw", "current_link_width": "current", "max_link_width": "max",
    "current_link_gen": "current", "max_link_gen": "max", "max_device_link_gen": "device max",
    "max_host_link_gen": "host max", "link_widths": "link width", "pcie_gen": "pcie generation", "sm_clock": "sm",
    "mem_clock": "memory", "replay_counter": "replays since reset", "attached_gpus": "Attached GPUs",
    "timestamp": "Timestamp", "dram_uncorrectable": "dram uncorrectable",
    "clocks_event_reasons": "clocks event reasons",
    "sram_threshold_exceeded": "sram threshold exceeded",
}  # fmt: skip
_PREFIXES = ("clocks_throttle_reason_", "clocks_event_reason_", "gpu_link_")


@dataclass(frozen=True, slots=True)
class _TextForm:
    """The document as the lines of the text form, numbers kept."""

    base: Document

    @property
    def label(self) -> str:
        return self.base.label

    @property
    def node(self) -> str:
        return self.base.node

    def lines(self) -> Iterator[Line]:
        depth = 0
        for line in self.base.lines():
            element, opened = _ELEMENT.match(line.text), _OPEN.match(line.text)
            if element is not None:
                yield Line(line.number, f"{'    ' * depth}{_name(element['tag'])} : {element['value']}")
            elif opened is not None and opened["tag"] == "gpu" and opened["id"]:
                depth = 1
                yield Line(line.number, f"GPU {opened['id']}")
            elif opened is not None and opened["tag"] not in ("nvidia_smi_log", "processes"):
                yield Line(line.number, f"{'    ' * depth}{_name(opened['tag'])}")
                depth += 1
            elif _CLOSE.match(line.text):
                depth = max(0, depth - 1)
            elif line.text.lstrip()[:1] not in ("<", ""):
                yield line


def _name(tag: str) -> str:
    short = next((tag.removeprefix(prefix) for prefix in _PREFIXES if tag.startswith(prefix)), tag)
    short = {"gpu_idle": "idle"}.get(short, short)
    return _NAMES.get(short, short.replace("_", " "))


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the root element, or a GPU element with elements that only this tool writes."""
    kept = clip_sample(sample)
    if any("<nvidia_smi_log>" in text or "nvsmi_device" in text for text in kept):
        return 1.0
    own = ("<remapped_row", "<fb_memory_usage>", "<clocks_throttle_reason", "<clocks_event_reason", "<ecc_errors>")
    return 0.95 if any(text.strip().startswith(own) for text in kept) else 0.0


def parse(document: Document) -> Parsed:
    """Read the elements as the text form, and quote the lines as they stand."""
    parsed = nvidia_smi_query.parse(_TextForm(document))
    wanted = {quote.line for quote in _quotes(parsed.facts)}
    own = {line.number: make_quote(document, line) for line in document.lines() if line.number in wanted}
    return replace(parsed, facts=_requote(parsed.facts, own))


def _quotes(facts: Facts) -> Iterator[Quote]:
    yield from (event.quote for event in facts.events)
    for window in facts.windows:
        yield from window.quotes.values()
        yield from window.signal_quotes.values()


def _requote(facts: Facts, own: Mapping[int, Quote]) -> Facts:
    def swap(quote: Quote) -> Quote:
        return own.get(quote.line or 0, quote)

    def swap_window(window: Window) -> Window:
        rows = {row: swap(quote) for row, quote in window.quotes.items()}
        signals = {key: swap(quote) for key, quote in window.signal_quotes.items()}
        return replace(window, quotes=rows, signal_quotes=signals)

    events = tuple(replace(event, quote=swap(event.quote)) for event in facts.events)
    return replace(facts, events=events, windows=tuple(swap_window(window) for window in facts.windows))
