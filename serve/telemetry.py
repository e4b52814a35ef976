"""Where traces and metrics go: to the OTLP collector of the site, by HTTP; nowhere where none is set."""

from __future__ import annotations

import atexit
from functools import cache
from importlib.metadata import version

from agent.settings import Settings
from tools.errors import SiteConfigError
from tools.harmless import redact_url

EXPORT_SECONDS = 15
FLUSH_MILLISECONDS = 3000
"""How long the end of a command waits for a collector (a guess: a person waits with it)."""


def start_telemetry(settings: Settings) -> None:
    """Send traces and metrics to the collector of the settings, once in a process.

    Raises:
        SiteConfigError: A collector is set, and the packages for it are not installed.
    """
    if settings.otlp_endpoint:
        _start(settings.otlp_endpoint.rstrip("/"))


@cache
def _start(endpoint: str) -> None:
    try:
        from opentelemetry import metrics, trace
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ModuleNotFoundError as error:
        raise SiteConfigError(
            f"Traces are to go to {redact_url(endpoint)}, and the Python package {error.name} is not installed.",
            fix="pip install 'daytwo[otel]', or unset DAYTWO_OTLP_ENDPOINT",
        ) from None
    told = Resource.create({"service.name": "daytwo", "service.version": version("daytwo")})
    spans = TracerProvider(resource=told)
    spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces", timeout=EXPORT_SECONDS)))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter(f"{endpoint}/v1/metrics", timeout=EXPORT_SECONDS))
    meters = MeterProvider([reader], resource=told)
    trace.set_tracer_provider(spans)
    metrics.set_meter_provider(meters)
    atexit.register(lambda: (spans.force_flush(FLUSH_MILLISECONDS), meters.force_flush(FLUSH_MILLISECONDS)))
