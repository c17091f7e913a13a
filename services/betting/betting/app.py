"""Wiring: what betting is made of, and in which order it starts and ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import timedelta

from aiohttp import web
from common import pg
from common.amqp import Consumer
from common.auth import TokenVerifier, by_token
from common.client import ServiceClient
from common.deadlines import DeadlineWorker, Handler
from common.http import Check, build_app
from common.repeating import repeating
from common.signing import RequestSigner, SigningKey

from betting import api
from betting.consumers import IdentityEvents, LedgerEvents, consume
from betting.ledger import Holds, MarketBooks, Purses
from betting.service.calls import now_utc
from betting.service.collecting import Collecting
from betting.service.desk import Desk
from betting.service.excluding import Excluding
from betting.service.floor import EXPIRY, Floors
from betting.service.gates import Gates
from betting.service.holding import Holding
from betting.service.officiating import OBJECTIONS, Officiating
from betting.service.placing import Placing
from betting.service.programme import POST_TIME, Programme
from betting.service.reading import Reading
from betting.service.registry import Registry
from betting.service.rejecting import Rejecting
from betting.service.restarting import Restarting
from betting.service.settling import Settling
from betting.service.suspending import Suspending
from betting.service.trading import Trading
from betting.service.withholding import Withholding
from betting.settings import LedgerSettings, Settings, SettlerSettings

TITLE = "El Carril: betting"
NEWEST_MIGRATION = "20261122230501"

POOL = web.AppKey("pool", pg.Pool)

BATCH_CONNECTIONS = 6
"""One for the desk, one for the floor, the others for markets that somebody else has locked: see docs/adr/0078."""
PLANNED_ONCE = {"plan_cache_mode": "force_generic_plan"}
"""The planner took a third of what PostgreSQL spent on a batch: it prefers a plan for this batch's very arrays, each time,
and comes to the same one."""
IDENTITY_TIMEOUT_SECONDS = 2.0
"""One attempt, of three."""
CONSUMERS = web.AppKey("consumers", tuple[Consumer, ...])


def betting_app(settings: Settings) -> web.Application:
    """The serving process: HTTP, the offers left pending, and the deadlines."""
    app = build_app(
        settings,
        api.ROUTES,
        title=TITLE,
        readiness=(
            Check("database", lambda app: pg.answers(app[POOL])),
            Check("migrations", lambda app: pg.migrated(app[POOL], NEWEST_MIGRATION)),
        ),
        authenticate={"token": by_token(TokenVerifier(settings.identity_url, audience="betting"))},
    )
    app.cleanup_ctx.append(lambda app: _parts(app, settings))
    return app


async def _parts(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        dsn = settings.database_dsn.get_secret_value()
        pool = app[POOL] = await pg.create_pool(dsn, max_size=settings.pool_size, application_name="betting")
        stack.push_async_callback(pool.close)
        # Offers are written down and placed by a dozen statements that never change; whoever reads pages shares no
        # connection with them.
        batches = await pg.create_pool(
            dsn, max_size=BATCH_CONNECTIONS, application_name="betting-batches", settings=PLANNED_ONCE
        )
        stack.push_async_callback(batches.close)
        ledger = await stack.enter_async_context(_ledger(settings))
        turn = asyncio.Lock()
        floors = Floors(batches, clock=now_utc, turn=turn)
        desk = Desk(batches, patience=timedelta(seconds=settings.patience_seconds), turn=turn)
        holding = Holding(Holds(ledger))
        rejecting = Rejecting(batches, clock=now_utc)
        stack.push_async_callback(floors.drained)
        stack.push_async_callback(rejecting.drained)
        stack.push_async_callback(holding.drained)
        stack.push_async_callback(desk.drained)
        placing = app[api.PLACING] = Placing(
            pool, desk, holding, floors, rejecting, show=api.own_offer_answer
        )
        trading = app[api.TRADING] = Trading(pool, floors)
        programme = app[api.PROGRAMME] = Programme(pool)
        gates = app[api.GATES] = Gates(pool, programme)
        officiating = app[api.OFFICIATING] = Officiating(pool)
        suspending = app[api.SUSPENDING] = Suspending(pool)
        app[api.RESTARTING] = Restarting(pool, MarketBooks(ledger), Settling(pool), suspending)
        app[api.REGISTRY] = Registry(pool)
        identity = await stack.enter_async_context(
            ServiceClient(settings.identity_url, timeout_seconds=IDENTITY_TIMEOUT_SECONDS)
        )
        app[api.WITHHOLDING] = Withholding(pool, identity)
        app[api.READING] = Reading(pool)
        for name, work, seconds in (
            ("finish pending offers", placing.resume, settings.sweep_seconds),
            ("keep step with suspensions", suspending.keep_step, settings.sweep_seconds),
        ):
            await stack.enter_async_context(repeating(name, work, every_seconds=seconds))
        deadlines = DeadlineWorker(
            pool, handlers(trading, gates, officiating), idle_seconds=settings.deadline_seconds
        )
        await stack.enter_async_context(deadlines.running())
        yield


def settler_app(settings: SettlerSettings) -> web.Application:
    """The process that pays out: it computes settlements, hears what the ledger and identity say, and collects debts.

    It is not the one that takes offers: a market of fifty thousand bets is seconds of work, and whoever places an offer
    on another market must not feel them.
    """
    app = build_app(
        settings,
        (),
        title=f"{TITLE}, the settler",
        readiness=(
            Check("database", lambda app: pg.answers(app[POOL])),
            Check("migrations", lambda app: pg.migrated(app[POOL], NEWEST_MIGRATION)),
            Check("broker", _all_consuming),
        ),
    )
    app.cleanup_ctx.append(lambda app: _settler_parts(app, settings))
    return app


async def _all_consuming(app: web.Application) -> None:
    for consumer in app[CONSUMERS]:
        await consumer.check()


async def _settler_parts(app: web.Application, settings: SettlerSettings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        pool = app[POOL] = await pg.create_pool(
            settings.database_dsn.get_secret_value(),
            max_size=settings.pool_size,
            application_name="betting-settler",
        )
        stack.push_async_callback(pool.close)
        ledger = await stack.enter_async_context(_ledger(settings))
        settling = Settling(pool, users_per_chunk=settings.users_per_chunk)
        collecting = Collecting(pool, Purses(ledger))
        app[CONSUMERS] = await stack.enter_async_context(
            consume(
                LedgerEvents(settling, collecting),
                IdentityEvents(Excluding(pool, Suspending(pool))),
                settings.amqp_url.get_secret_value(),
            )
        )
        for name, work, seconds in (
            ("settle decided markets", settling.settle_due, settings.settle_seconds),
            ("collect debts", collecting.collect, settings.collect_seconds),
        ):
            await stack.enter_async_context(repeating(name, work, every_seconds=seconds))
        yield


def handlers(trading: Trading, gates: Gates, officiating: Officiating) -> dict[str, Handler]:
    """What happens when a deadline is due, by its kind."""
    return {EXPIRY: trading.expiry(), POST_TIME: gates.post_time(), OBJECTIONS: officiating.window()}


def _ledger(settings: LedgerSettings) -> ServiceClient:
    return ServiceClient(
        settings.ledger_url,
        timeout_seconds=settings.ledger_timeout_seconds,
        headers={"Authorization": f"Bearer {settings.ledger_api_key.get_secret_value()}"},
        connections=settings.ledger_connections,
        signer=RequestSigner(SigningKey.parse(settings.ledger_signing_key.get_secret_value())),
    )
