"""A span for every row on its way, so that a trace shows how long its events waited and travelled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace

from common.telemetry.traces import beginning, traceparent_of, traces_provided
from opentelemetry.trace import SpanKind

from relay.domain import Row


class Tracing:
    """Does nothing unless this process exports spans."""

    @contextmanager
    def sending(self, rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
        """The rows as they are to be sent: below the trace of their making, above that of their consumers."""
        if not traces_provided():
            yield rows
            return
        spans = [
            beginning(f"{row.routing_key} send", parent=row.headers, kind=SpanKind.PRODUCER) for row in rows
        ]
        try:
            yield [
                replace(row, headers={**row.headers, "traceparent": traceparent_of(span)})
                if "traceparent" in row.headers
                else row
                for row, span in zip(rows, spans, strict=True)
            ]
        finally:
            for span in spans:
                span.end()
