"""What a Prometheus server may know of a running Daytwo: counts of verdicts, of calls and tokens, and their times."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from agent.admission import Standing
from agent.run import Run
from agent.types import TriageReport

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Metrics:
    """The counters of one server; a registry of its own, so that two servers in one process do not share it."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        count = partial(Counter, registry=self.registry)
        measure = partial(Histogram, buckets=SECONDS, registry=self.registry)
        self._triages = measure("daytwo_triage_seconds", "Time of a triage")
        self._verdicts = count(
            "daytwo_verdicts", "Verdicts", ("fault", "severity", "action", "confidence", "decided_by")
        )
        self._unread = count("daytwo_unread_sources", "Sources that could not be read", ("domain",))
        self._runs = measure("daytwo_investigation_seconds", "Time of an investigation", ("model",))
        self._opinions = count("daytwo_opinions", "Opinions of a model", ("model", "outcome"))
        self._calls = count("daytwo_model_calls", "Calls of a model", ("model",))
        self._tokens = count("daytwo_model_tokens", "Tokens; cached ones are part of those in", ("model", "type"))
        self._dollars = count("daytwo_model_cost_dollars", "Cost, where the price is known", ("model",))
        self._unpriced = count("daytwo_model_unpriced_runs", "Investigations of unknown price", ("model",))
        self._repairs = count("daytwo_model_repairs", "Answers that had to be mended", ("model", "kind"))
        measure_now = partial(Gauge, registry=self.registry)
        self._circuits = measure_now("daytwo_model_circuit", "1 for the state of the breaker", ("model", "state"))
        self._doors = measure_now("daytwo_model_investigations", "At once: limit, inside, waiting", ("model", "kind"))
        self._tools = count("daytwo_tool_calls", "Tool calls by what came of them", ("model", "outcome"))

    def observe_report(self, report: TriageReport, seconds: float) -> None:
        """Count a triage."""
        self._triages.observe(seconds)
        for one in report.verdicts:
            self._verdicts.labels(one.fault, one.severity, one.action, one.confidence, one.decided_by).inc()
        for row in report.coverage:
            if row.status == "missing":
                self._unread.labels(row.domain).inc()

    def observe_run(self, run: Run) -> None:
        """Count an investigation."""
        usage, model = run.usage, run.backend
        self._runs.labels(model).observe(usage.seconds)
        self._opinions.labels(model, "rejected" if run.rejected else "used").inc()
        self._calls.labels(model).inc(usage.calls)
        for kind, count in (("in", usage.tokens_in), ("cached", usage.tokens_cached), ("out", usage.tokens_out)):
            self._tokens.labels(model, kind).inc(count)
        if usage.cost is None:
            self._unpriced.labels(model).inc()
        else:
            self._dollars.labels(model).inc(usage.cost)
        for kind, count in run.repairs.items():
            self._repairs.labels(model, kind).inc(count)
        for outcome, count in run.tool_counts.items():
            self._tools.labels(model, outcome).inc(count)

    def observe_endpoints(
        self, circuits: Iterable[tuple[str, str]], doors: Iterable[tuple[str, str, Standing]]
    ) -> None:
        """Tell how the endpoints stand now: model and state of the circuit, and the doors of this process."""
        for model, state in circuits:
            for one in ("closed", "half-open", "open"):
                self._circuits.labels(model, one).set(one == state)
        for _, model, standing in doors:
            for kind, count in (
                ("limit", standing.limit),
                ("inside", standing.inside),
                ("waiting", standing.waiting),
            ):
                self._doors.labels(model, kind).set(count)

    def render(self) -> bytes:
        """The text that Prometheus scrapes."""
        return generate_latest(self.registry)
