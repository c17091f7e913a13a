"""Posting many entries in one request, linked ones all or none; and the mirror of one."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import repeat

from aiohttp import web
from common.errors import DomainError
from common.http import IDEMPOTENCY_KEY, Rendered, Route, read, reply
from common.problem import type_of
from common.telemetry.traces import traceparent
from contracts.ledger import EntryView
from contracts.ledger_batches import (
    BatchRequest,
    BatchView,
    KeyedEntry,
    ReversalRequest,
)
from pydantic_core import to_json

from ledger import wire
from ledger.api.parts import CHARTS, CORRECTING, LEDGER, path_id
from ledger.api.posting import POST_REFUSALS
from ledger.domain import refusals
from ledger.domain.chart import Chart
from ledger.domain.commands import Group, linked
from ledger.domain.holding import Caller
from ledger.domain.keys import KeyHolder
from ledger.engine.batch import Answer
from ledger.keys import HOLDER
from ledger.store.outcomes import PostedEntry, StoredRefusal


async def post_batch(request: web.Request) -> web.Response:
    """Post up to 1,000 entries: independent groups, each of them whole or not at all.

    Every entry carries its own idempotency key, so there is none in the header. The answer has a result for
    each entry, in the same places, with the balances after it. A request that does not fit into the queue
    is refused as a whole.
    """
    holder = request[HOLDER]
    wanted = await read(request, BatchRequest)
    now, trace = datetime.now(UTC), traceparent()
    groups = [
        _group(holder, group, now, trace, f"groups.{number}.") for number, group in enumerate(wanted.groups)
    ]
    answers = await request.app[LEDGER].post_groups(holder.ledger, groups)
    chart = request.app[CHARTS][holder.ledger]
    told = ",".join(
        [
            f"[{','.join(map(_result, [entry.idempotency_key for entry in group], results, repeat(chart)))}]"
            for group, results in zip(wanted.groups, answers, strict=True)
        ]
    )
    return reply(Rendered(f'{{"groups":[{told}]}}'.encode()))


def _group(
    holder: KeyHolder, group: tuple[KeyedEntry, ...], now: datetime, trace: str | None, at: str
) -> Group:
    for entry in group:
        holder.require_kind(entry.kind)
    return linked(
        [
            wire.command(
                holder.ledger,
                holder.principal,
                entry.idempotency_key,
                entry,
                entry.traceparent or trace,
                now=now,
                at=f"{at}{number}.",
            )
            for number, entry in enumerate(group)
        ]
    )


def _result(key: str, answer: Answer, chart: Chart) -> str:
    """An `EntryResult`, written out: see `wire.entry_json`."""
    told = f'{{"idempotency_key":{wire.quoted(key)},"replayed":{"true" if answer.replayed else "false"}'
    match answer.outcome:
        case PostedEntry() as entry:
            return f'{told},"entry":{wire.entry_text(entry, chart)},"problem":null,"status":201}}'
        case StoredRefusal(why=why) | (DomainError() as why):
            problem = {
                "type": type_of(why.slug),
                "title": why.title,
                "status": why.status,
                "detail": why.detail,
                "field": why.field,
            }
            return f'{told},"entry":null,"problem":{to_json(problem).decode()},"status":{why.status}}}'


async def reverse_entry(request: web.Request) -> web.Response:
    """Post the mirror of an entry, once, under the same reference.

    To correct an entry, reverse it and post it anew: linked in one batch, both happen or neither does.
    """
    holder = request[HOLDER]
    correcting = request.app[CORRECTING]
    holder.require_kind(correcting.kind(holder.ledger))
    id = path_id(request, refusals.NoSuchEntry)
    wanted = await read(request, ReversalRequest)
    wire.check_moments(wanted.effective_at, None, datetime.now(UTC))
    caller = Caller(holder.ledger, holder.principal, request[IDEMPOTENCY_KEY], traceparent())
    entry, replayed = await correcting.reverse(caller, id, wire.utc(wanted.effective_at), wanted.metadata)
    told = wire.entry_json(entry, request.app[CHARTS][holder.ledger])
    return reply(told, status=201, headers={"Idempotent-Replayed": "true"} if replayed else None)


ROUTES = (
    Route("POST", "/v1/entries/batch", post_batch, body=BatchRequest, returns=BatchView, auth="key",
          refusals=(refusals.MomentOutOfRange, refusals.ReadOnlyKey, refusals.ScopeMissing, refusals.Overloaded,
                    refusals.Draining)),
    Route("POST", "/v1/entries/{id}/reversal", reverse_entry, body=ReversalRequest, returns=EntryView, status=201,
          auth="key", idempotent=True, refusals=(*POST_REFUSALS, refusals.NoSuchEntry)),
)  # fmt: skip
