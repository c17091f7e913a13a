"""Traces: OpenTelemetry through HTTP and AMQP, W3C `traceparent` between processes.

Without a tracer provider no span is made, but an incoming `traceparent` still travels on.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

EXPORT_TIMEOUT_SECONDS: Final = 3.0
"""How long a collector may take, also when a process stops and sends its last spans."""

_PROPAGATOR: Final = TraceContextTextMapPropagator()


def otlp_exporter(endpoint: str) -> SpanExporter:
    """An exporter that sends spans over HTTP to an OpenTelemetry collector at that base address."""
    return OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)


def provide_traces(service: str, exporter: SpanExporter, *, ratio: float = 1.0) -> TracerProvider:
    """Make spans from here on, of that share of the traces that start here; export them in the background.

    Call it once, when a process starts. The caller shuts the provider down.
    """
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service}),
        sampler=ParentBased(TraceIdRatioBased(ratio)),
        shutdown_on_exit=False,
    )
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return provider


def traces_provided() -> bool:
    """Whether spans are made at all. A cheap question, asked once when an application is built."""
    return isinstance(trace.get_tracer_provider(), TracerProvider)


@contextmanager
def span(
    name: str, *, parent: Mapping[str, str] | None = None, kind: SpanKind = SpanKind.INTERNAL
) -> Iterator[Span]:
    """A span around a piece of work, below the trace that `parent` (headers) names or the current one."""
    above = None if parent is None else _PROPAGATOR.extract(parent)
    with trace.get_tracer("el-carril").start_as_current_span(name, context=above, kind=kind) as current:
        yield current


def beginning(name: str, *, parent: Mapping[str, str], kind: SpanKind) -> Span:
    """A span below the trace that `parent` (headers) names, for work that is not one block; the caller ends it."""
    return trace.get_tracer("el-carril").start_span(name, context=_PROPAGATOR.extract(parent), kind=kind)


def traceparent_of(span: Span) -> str:
    """What names this span as the parent of others."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, trace.set_span_in_context(span))
    return carrier["traceparent"]


@contextmanager
def continued(parent: Mapping[str, str]) -> Iterator[None]:
    """Carry the trace that these headers name, without making a span."""
    token = context.attach(_PROPAGATOR.extract(parent))
    try:
        yield
    finally:
        context.detach(token)


def traceparent() -> str | None:
    """The current trace as a W3C header value, or None outside of one."""
    if not trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get("traceparent")


def trace_ids() -> tuple[str, str] | None:
    """The current trace and span ids in hex, or None outside of a trace."""
    current = trace.get_current_span().get_span_context()
    if not current.is_valid:
        return None
    return f"{current.trace_id:032x}", f"{current.span_id:016x}"
