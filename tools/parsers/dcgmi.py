"""Reads `dcgmi diag` (tables of DCGM 2, 3 and 4, and `-j` JSON) and `dcgmi health -c`.

A test that failed is told once: by its warning where that says why, else by its own name. What was skipped or passed
tells of no fault; a diagnostic that could not reach the host engine is no answer at all.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from itertools import islice

from tools.entities import make_gpu
from tools.parsers._dcgm_rules import classify_message, classify_test
from tools.parsers._lazy import Lazy
from tools.parsers._lines import clip_sample
from tools.parsers._sheet import Sheet
from tools.types import Coverage, Document, Domain, Line, Parsed

FORM = "dcgmi"
DOMAIN: Domain = "gpu"

MAX_JSON_LINES = 50_000
MAX_DEPTH = 12
_LONGEST_STATUS = 24
"""Longer than any status word; what is longer is the text of an error."""
_HEAD = Lazy(
    r"Successfully ran diagnostic|^\W*Diagnostic\s+\|\s+Result\s*\||Health Monitor Report|^\|\s*Overall Health\s*\||"
    r"^\|\s*GPU ID\s*\|\s*Device Information\s*\||"
    r"^\|[^|]*\|\s*(?:Pass|Fail|Skip|Warn)(?: - (?:All|GPUs?: [\d, ]+))?\s*(?:\||$)|"
    r"^\|\s*(?:Warning|Error)(?:: GPU ?\d+)?\s*\|\s*\S|"
    r"^\|-{3,}\s+(?:Metadata|Deployment|Integration|Hardware|Stress|Custom|Inforom)\s"
)
_ROW = Lazy(r"^\|(?P<left>[^|]*+)\|(?P<right>[^|]*+)(?:\|\s*)?$|^\|-{2,}\s+(?P<section>[\w ]+?)\s+-*\+.*$|^\+.*\+?\s*$")
_RULER = Lazy(r"^\+[-=+]+\+\s*$")
_NOTE = Lazy(r"^(?:warning|error)s?\b(?::?\s*GPU\s*(?P<gpu>\d+))?")
_STATUS = Lazy(
    r"^(?P<word>pass|fail|skip|warn(?:ing)?|healthy|failure|not run|success)\w*\b(?:.*?GPUs?:? ?(?P<gpu>\d+))?"
)
_EACH = Lazy(r"^GPU\s*(?P<gpu>\d+): (?P<word>\w+)")
_GPU = Lazy(r"\bGPU(?: ID)?:? (?P<gpu>\d+)\b")
_ARROW = Lazy(r"^->\s*(?P<gpu>\d+)$|^GPU ID: (?P<id>\d+)$")
_NO_ENGINE = Lazy(r"unable to (?:connect to|establish).*host engine|host engine .*not running|^Error: .*host engine")
_FAILED = frozenset({"fail", "failure"})


def recognise(sample: Sequence[str]) -> float:
    """Say how sure it is: the table's own head or sections, the keys of the JSON, or the missing host engine."""
    kept = clip_sample(sample)
    if any(_HEAD.search(text) for text in kept):
        return 0.96
    text = "\n".join(kept)
    is_tree = text.lstrip()[:1] == "{"
    if is_tree and (
        ("DCGM" in text and "test_categories" in text) or ('"Overall Health"' in text and '"value"' in text)
    ):
        return 1.0
    return 0.9 if _NO_ENGINE.search(text) else 0.0


def parse(document: Document) -> Parsed:
    """Read what failed and why; a text that is cut says so."""
    first = next((line.text.lstrip()[:1] for line in document.lines() if line.text.strip()), "")
    return _parse_json(document) if first == "{" else _Table(document).parse()


class _Table:
    """State of reading: the test that is open, the text that is being put together, whose it is."""

    def __init__(self, document: Document) -> None:
        self.sheet = Sheet(document, DOMAIN)
        self.test = ""
        self.failed: tuple[Line, str] | None = None
        self.gpu = ""
        self.notes: list[tuple[Line, str]] = []
        self.in_note = False
        self.explained = False
        self.has_end = False
        self.unhealthy: Line | None = None
        self.passed: Line | None = None

    def parse(self) -> Parsed:
        parsed = self.sheet.read(self._read_row, self._read_other)
        self._close_note()
        self._close_test()
        if self.unhealthy is not None and not self.sheet.events:
            _add(self.sheet, self.unhealthy, "dcgm:fail", gpu="", test=self.test, text="")
        if not self.has_end and self.passed is not None and not self.sheet.events:
            self.sheet.add(self.passed, self.sheet.make_node(), "dcgm:passed")
        if not self.has_end and not self.sheet.gaps:
            self.sheet.miss("the table is cut", "dcgmi diag -r 1")
        return Parsed(self.sheet.build_facts(), parsed.unread)

    def _read_row(self, line: Line) -> bool:
        match = _ROW.match(line.text)
        if match is None:
            return False
        self.has_end = bool(_RULER.match(line.text))
        if match["left"] is None:
            self._close_note()
            return True
        left, right = match["left"].strip(), match["right"].strip()
        note = _NOTE.match(left)
        if note is not None:
            self._close_note()
            self.gpu, self.in_note = note["gpu"] or "", True
        elif left and left.lower() != "info" and not left.lower().startswith("info:"):
            self._close_note()
            self._open_test(line, left, right)
            return True
        elif left:
            self._close_note()
            return True
        self._read_right(line, right)
        return True

    def _open_test(self, line: Line, left: str, right: str) -> None:
        arrow, status = _ARROW.match(left), _STATUS.match(right)
        if arrow is not None:
            self.gpu = arrow["gpu"] or arrow["id"] or ""
            return
        if left.lstrip("-> ").lower() in ("gpu", "errors", "diagnostic"):
            return
        if left.startswith("->") or (status is None and right):
            self._read_right(line, right)
            return
        self._close_test()
        self.test, self.explained, self.gpu = left, False, ""
        if status is not None and status["word"].lower() in ("pass", "healthy"):
            self.passed = line
        if status is not None and status["word"].lower() in _FAILED:
            self.failed = (line, status["gpu"] or "")

    def _read_right(self, line: Line, right: str) -> None:
        each, status = _EACH.match(right), _STATUS.match(right)
        if each is not None:
            if each["word"].lower() in _FAILED:
                self.failed = (line, each["gpu"])
        elif right and not (status is not None and len(right) < 24):
            self.notes.append((line, right))

    def _close_note(self) -> None:
        """Make an event of the text that was put together; a text outside of a warning needs a rule that knows it."""
        if self.notes:
            # Cells are broken at a fixed width, within a word where it falls there: both readings are tried.
            line, parts = self.notes[0][0], [part for _, part in self.notes]
            self._tell(line, " ".join(parts), "".join(parts), sure=self.in_note)
        self.notes, self.in_note = [], False

    def _tell(self, line: Line, text: str, unbroken: str, *, sure: bool) -> None:
        code = classify_message(f"{text} / {unbroken}") or (classify_test(self.test) if sure and self.failed else None)
        if code is None:
            return
        told = _GPU.search(text)
        self.explained = True
        _add(self.sheet, line, code, gpu=self.gpu or (told["gpu"] if told else ""), test=self.test, text=text)

    def _close_test(self) -> None:
        if self.failed is not None and self.test.lower() == "overall health":
            self.unhealthy = self.failed[0]
        elif self.failed is not None and not self.explained:
            line, gpu = self.failed
            _add(self.sheet, line, classify_test(self.test), gpu=gpu, test=self.test, text="")
        self.failed = None

    def _read_other(self, line: Line) -> bool:
        if _NO_ENGINE.search(line.text):
            label = self.sheet.document.label
            reason = f"DCGM could not be asked: {line.text.strip()[:120]}"
            self.sheet.gaps.append(Coverage(label, DOMAIN, "missing", reason, "systemctl start nvidia-dcgm"))
            return True
        return "ran diagnostic" in line.text or "dcgmi" in line.text


def _add(sheet: Sheet, line: Line, code: str, *, gpu: str, test: str, text: str) -> None:
    entity = make_gpu(sheet.node, index=gpu) if gpu else sheet.make_node()
    sheet.add(line, entity, code, {"test": test, "gpu": gpu, "text": text[:300]})


def _parse_json(document: Document) -> Parsed:
    sheet = Sheet(document, DOMAIN)
    lines = list(islice(document.lines(), MAX_JSON_LINES))
    text = "\n".join(line.text for line in lines)
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError):
        sheet.miss("the JSON is cut or broken", "dcgmi diag -r 1 -j")
        return Parsed(sheet.build_facts())
    for test, gpu, words in (*_walk(tree, "", 0), *_walk_health(tree)):
        needle = json.dumps(words)[1:40] if words else test
        line = next((line for line in lines if needle in line.text), lines[0])
        code = (classify_message(words) if words else None) or classify_test(test)
        _add(sheet, Line(line.number, (words or line.text)[:400]), code, gpu=gpu, test=test, text=words)
    return Parsed(sheet.build_facts())


def _walk(tree: object, test: str, depth: int) -> Iterator[tuple[str, str, str]]:
    """Find (test, GPU, text) of every result that failed or warns."""
    if depth > MAX_DEPTH:
        return
    if isinstance(tree, list):
        for item in tree:
            yield from _walk(item, test, depth + 1)
    if not isinstance(tree, dict):
        return
    name = tree.get("name")
    test = name if isinstance(name, str) else test
    status = tree.get("status")
    if isinstance(status, str) and status.lower() in ("fail", "warn", "warning"):
        gpu = str(tree.get("gpu_id", tree.get("gpu_ids", tree.get("entity_id", ""))))
        texts = list(_texts(tree.get("warnings")))
        is_summed_up = "results" in tree or not (texts or gpu)
        for words in texts or ([] if status.lower() != "fail" or is_summed_up else [""]):
            yield test, gpu if gpu.isdecimal() else "", words
    for key, value in tree.items():
        if key != "warnings":
            yield from _walk(value, test, depth + 1)


def _walk_health(tree: object) -> Iterator[tuple[str, str, str]]:
    """Find (system, GPU, text) of what `dcgmi health -c -j` says; a failure without a text is told all the same."""
    body = tree.get("body") if isinstance(tree, dict) else None
    if not isinstance(body, dict) or "Overall Health" not in body:
        return
    found = [row for name, node in body.items() for row in _health_rows(node, name, "", 0)]
    yield from found
    overall = body["Overall Health"]
    if not found and isinstance(overall, dict) and str(overall.get("value", "")).lower() in ("failure", "warning"):
        yield "overall health", "", ""


def _health_rows(node: object, name: str, gpu: str, depth: int) -> Iterator[tuple[str, str, str]]:
    if not isinstance(node, dict) or depth > MAX_DEPTH:
        return
    gpu = name if name.isdecimal() else gpu
    value = node.get("value")
    if isinstance(value, str) and len(value) > _LONGEST_STATUS:
        yield name, gpu, value.strip()
    children = node.get("children")
    for key, child in children.items() if isinstance(children, dict) else ():
        yield from _health_rows(child, key, gpu, depth + 1)


def _texts(warnings: object) -> Iterator[str]:
    for item in warnings if isinstance(warnings, list) else [warnings]:
        words = item.get("warning") if isinstance(item, dict) else item
        if isinstance(words, str) and words.strip():
            yield words.strip()
