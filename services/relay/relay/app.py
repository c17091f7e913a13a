"""Wiring: a pool, a link to the broker, and lanes that share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import NamedTuple, assert_never

from aiohttp import web
from common import pg
from common.http import Check, build_app

from relay import store
from relay.domain import Pace
from relay.forgetting import keep_forgetting
from relay.lanes import Lag, Traffic, drain, keep_watch, run_lane
from relay.service import FENCE_SECONDS, Carrier, Stuck
from relay.settings import Settings, TransportName
from relay.transports.amqp import AmqpBroker
from relay.transports.interface import Broker
from relay.transports.nats import NatsBroker

TITLE = "El Carril: relay"
OUTBOX_MIGRATION = "20261121005001"
"""The last one that changed the outbox; it has the same number in every service."""


class Parts(NamedTuple):
    """What a relay consists of."""

    pool: pg.Pool
    broker: Broker
    carriers: list[Carrier]


PARTS = web.AppKey("parts", Parts)
LAG = web.AppKey("lag", Lag)


def relay_app(settings: Settings) -> web.Application:
    """The serving process: carries in the background, answers for its health and its lag."""
    app = build_app(
        settings,
        (),
        title=TITLE,
        readiness=(
            Check("database", lambda app: pg.answers(app[PARTS].pool)),
            Check("migrations", lambda app: pg.migrated(app[PARTS].pool, OUTBOX_MIGRATION)),
            Check("broker", lambda app: app[PARTS].broker.check()),
        ),
        told={"outbox": _lag},
    )
    app[LAG] = Lag()
    app.cleanup_ctx.append(lambda app: _carrying(app, settings))
    return app


async def carry_once(settings: Settings) -> int:
    """Empty the outbox as far as possible. Returns how many rows are left."""
    async with _parts(settings, lanes=1) as parts:
        return await drain(parts.carriers[0], parts.pool)


def _lag(app: web.Application) -> dict[str, object]:
    return {"rows": app[LAG].rows, "oldest_seconds": round(app[LAG].oldest_seconds, 3)}


async def _carrying(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    async with _parts(settings, lanes=settings.lanes) as app[PARTS]:
        stop, pace, traffic = asyncio.Event(), Pace(), Traffic()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(keep_watch(app[PARTS].pool, app[LAG], stop))
            tasks.create_task(keep_forgetting(app[PARTS].pool, stop))
            for number, carrier in enumerate(app[PARTS].carriers):
                tasks.create_task(run_lane(carrier, pace, traffic, stop, scout=number == 0))
            yield
            stop.set()


@asynccontextmanager
async def _parts(settings: Settings, *, lanes: int) -> AsyncIterator[Parts]:
    """Two connections for each lane, two for looking and one for forgetting, so that a lane never waits for one."""
    async with AsyncExitStack() as stack:
        pool = await pg.create_pool(
            settings.database_dsn.get_secret_value(),
            min_size=1,
            max_size=2 * lanes + 3,
            application_name=settings.service,
            idle_in_transaction_timeout_ms=int(FENCE_SECONDS * 1000),
            settings=store.SESSION,
        )
        stack.push_async_callback(pool.close)
        broker = _broker(settings)
        stack.push_async_callback(broker.close)
        stuck = Stuck()
        carriers = []
        for _ in range(lanes):
            transport = broker.transport()
            stack.push_async_callback(transport.close)
            carriers.append(Carrier(pool, transport, stuck))
        yield Parts(pool, broker, carriers)


def _broker(settings: Settings) -> Broker:
    match settings.transport:
        case TransportName.AMQP:
            return AmqpBroker(settings.broker_url, name=settings.service)
        case TransportName.NATS:
            return NatsBroker(settings.broker_url, name=settings.service)
        case _:
            assert_never(settings.transport)
