"""Wiring: a pool, a link to the broker, and lanes that share them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from common import pg
from common.amqp import Link
from common.http import Check, build_app

from relay import store
from relay.domain import Pace
from relay.lanes import drain, measure, run_lane
from relay.service import Carrier, Stuck
from relay.settings import Settings
from relay.transports.amqp import AmqpTransport

TITLE = "El Carril: relay"

POOL = web.AppKey("pool", pg.Pool)
LINK = web.AppKey("link", Link)


def relay_app(settings: Settings) -> web.Application:
    """The serving process: carries in the background, answers for its health."""
    app = build_app(
        settings,
        (),
        title=TITLE,
        readiness=(
            Check("database", lambda app: pg.answers(app[POOL])),
            Check("broker", lambda app: app[LINK].check()),
        ),
    )
    app.cleanup_ctx.append(lambda app: _carrying(app, settings))
    return app


async def carry_once(settings: Settings) -> int:
    """Empty the outbox as far as possible. Returns how many rows are left."""
    async with _parts(settings, lanes=1) as (pool, _, (carrier,)):
        return await drain(carrier, pool)


async def _carrying(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    async with _parts(settings, lanes=settings.lanes) as (app[POOL], app[LINK], carriers):
        stop = asyncio.Event()
        pace = Pace()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(measure(app[POOL], stop))
            for carrier in carriers:
                tasks.create_task(run_lane(carrier, pace, stop))
            yield
            stop.set()


@asynccontextmanager
async def _parts(settings: Settings, *, lanes: int) -> AsyncIterator[tuple[pg.Pool, Link, list[Carrier]]]:
    """A connection for each lane and two for looking, so that a lane never waits for one."""
    async with AsyncExitStack() as stack:
        pool = await pg.create_pool(
            settings.database_dsn.get_secret_value(),
            min_size=1,
            max_size=lanes + 2,
            application_name=settings.service,
            settings=store.PLANNER,
        )
        stack.push_async_callback(pool.close)
        link = Link(settings.amqp_url.get_secret_value(), name=settings.service)
        stack.push_async_callback(link.close)
        stuck = Stuck()
        carriers = []
        for _ in range(lanes):
            transport = AmqpTransport(link)
            stack.push_async_callback(transport.close)
            carriers.append(Carrier(pool, transport, stuck))
        yield pool, link, carriers
