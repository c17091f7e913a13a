"""Traces pass through HTTP, with spans when a provider is there and without them when not."""

from collections.abc import AsyncIterator

import pytest
from common.telemetry import traces
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from libs.common.tests.shop import Client, open_shop, shop

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
PARENT = {"traceparent": f"00-{TRACE_ID}-b7ad6b7169203331-01"}


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans made in this test, of a provider of its own."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", provider)
    return exporter


@pytest.fixture
async def client(spans: InMemorySpanExporter) -> AsyncIterator[Client]:
    async with open_shop(shop()) as opened:
        spans.clear()
        yield opened


async def test_a_request_is_a_span_below_its_caller(client: Client, spans: InMemorySpanExporter) -> None:
    await client.get("/v1/failures/refused", headers=PARENT)
    (made,) = spans.get_finished_spans()
    assert made.name == r"GET /v1/failures/{how:\w+}"
    assert made.kind is trace.SpanKind.SERVER
    assert made.context is not None
    assert f"{made.context.trace_id:032x}" == TRACE_ID


@pytest.mark.parametrize(
    ("how", "status", "code"), [("refused", 422, StatusCode.UNSET), ("ambush", 500, StatusCode.ERROR)]
)
async def test_a_refusal_is_no_error_of_ours(
    client: Client, spans: InMemorySpanExporter, how: str, status: int, code: StatusCode
) -> None:
    await client.get(f"/v1/failures/{how}")
    (made,) = spans.get_finished_spans()
    assert made.attributes == {"http.response.status_code": status}
    assert made.status.status_code is code


async def test_health_is_not_traced(client: Client, spans: InMemorySpanExporter) -> None:
    await client.get("/healthz", headers=PARENT)
    assert spans.get_finished_spans() == ()


def test_a_span_is_the_parent_of_what_it_calls(spans: InMemorySpanExporter) -> None:
    with traces.span("outer", parent=PARENT):
        carried = traces.traceparent()
        assert carried is not None
        with traces.span("inner", parent={"traceparent": carried}):
            pass
    inner, outer = spans.get_finished_spans()
    assert inner.parent is not None
    assert outer.context is not None
    assert inner.parent.span_id == outer.context.span_id
    assert f"{outer.context.trace_id:032x}" == TRACE_ID


def test_without_a_provider_the_trace_travels_on_unchanged() -> None:
    assert not traces.traces_provided()
    assert traces.traceparent() is None
    with traces.continued(PARENT):
        assert traces.traceparent() == PARENT["traceparent"]
        assert traces.trace_ids() == (TRACE_ID, "b7ad6b7169203331")
    assert traces.trace_ids() is None


def test_nonsense_for_a_parent_is_ignored() -> None:
    with traces.continued({"traceparent": "nonsense"}):
        assert traces.traceparent() is None
