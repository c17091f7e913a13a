"""Wiring the ledger's processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from common import pg, redis
from common.amqp import Consumer
from common.auth import TokenVerifier, by_token
from common.deadlines import DeadlineWorker
from common.http import Check, build_app
from common.rate_limits import tell_standing
from common.repeating import repeating
from common.watched import WatchedFile

from ledger import api, receipts_api
from ledger.attestation import read_public_keys
from ledger.balance_cache import BalanceCache
from ledger.consumers import consume
from ledger.domain.keys import KeyHolder
from ledger.domain.refusals import LedgerNotServed, Overloaded
from ledger.engine import PostingEngine
from ledger.expiry import KIND as EXPIRY
from ledger.expiry import expiry
from ledger.keys import READING, KeyRing, SigningRoots
from ledger.replica import Replica, Sources
from ledger.sealing import Sealer, SealingKeys, Seals
from ledger.service import AccountKeeping, Correcting, Exporting, Finding, Holding, Ledger, Limiting, Reading
from ledger.settings import LedgerSettings, ReceiptsSettings, SealerSettings
from ledger.store.chart import ledgers, load_chart

NEWEST_MIGRATION = "20261122205000"


CACHE_TIMEOUT_SECONDS = 0.05
"""Reading a balance from the books takes a few milliseconds: a cache that takes longer is none."""

FAST_LANE = (("POST", "/v1/entries"), ("POST", "/v1/entries/batch"))
"""What the fast lane serves (ADR 0072)."""

CONSUMERS = web.AppKey("consumers", Sequence[Consumer])
SOURCES = web.AppKey("sources", Sources)


def ledger_app(settings: LedgerSettings) -> web.Application:
    """The posting process: an engine per ledger, HTTP for those who wait, AMQP for facts."""
    cache = redis.connect(settings.redis_url.get_secret_value())
    app = build_app(
        settings,
        api.ROUTES,
        title="El Carril: ledger",
        readiness=(
            Check("database", lambda app: pg.answers(app[READING])),
            Check("migrations", lambda app: pg.migrated(app[READING], NEWEST_MIGRATION)),
            Check("broker", _consuming),
        ),
        told={"replica": lambda app: app[SOURCES].standing()},
        authenticate={
            "key": KeyRing(SigningRoots.load(settings.signing_roots), cache, _welcome).authenticate,
            "token": by_token(TokenVerifier(settings.identity_url, audience="ledger")),
        },
    )
    app.on_response_prepare.append(tell_standing)
    app.cleanup_ctx.append(lambda app: _engines(app, settings))
    app.on_cleanup.append(lambda _: cache.aclose())
    return app


POSTING = frozenset(route.handler for route in api.ROUTES if Overloaded in route.refusals)
"""What goes through an engine's queue, and says so."""


def _welcome(request: web.Request, holder: KeyHolder) -> None:
    """Take in who has a key, for a ledger that there was when this process started and that has room.

    Raises:
        LedgerNotServed: the ledger is newer than this process.
        Overloaded: the request would post, and its ledger's queue is full.
    """
    if holder.ledger not in request.app[api.CHARTS]:
        raise LedgerNotServed("the ledger is new; its processes are to be restarted", retry_after=10)
    if request.match_info.route.handler in POSTING:
        request.app[api.LEDGER].expect_room(holder.ledger)


async def _consuming(app: web.Application) -> None:
    for consumer in app[CONSUMERS]:
        await consumer.check()


async def _engines(app: web.Application, settings: LedgerSettings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        dsn = settings.database_dsn.get_secret_value()
        # Posting and reading do not share connections: a slow page must not hold up the books.
        posting = await pg.create_pool(dsn, min_size=3, max_size=6, application_name="ledger-engine")
        stack.push_async_callback(posting.close)
        app[READING] = await pg.create_pool(dsn, min_size=1, max_size=6, application_name="ledger-reads")
        stack.push_async_callback(app[READING].close)
        engines: dict[int, PostingEngine] = {}
        async with pg.transaction(app[READING], readonly=True) as connection:
            for ledger in (await ledgers(connection)).values():
                engines[ledger] = PostingEngine(
                    posting,
                    ledger,
                    await load_chart(connection, ledger),
                    max_batch=settings.max_batch,
                    max_queued=settings.max_queued,
                    max_wait_seconds=settings.max_wait_seconds,
                )
        for engine in engines.values():
            engine.start()
            stack.push_async_callback(engine.close)
        balances = await stack.enter_async_context(_balance_cache(settings))
        charts = {ledger: engine.chart for ledger, engine in engines.items()}
        app[api.LEDGER] = Ledger(engines, balances)
        app[api.CORRECTING] = Correcting(app[api.LEDGER], app[READING], charts)
        app[api.HOLDING] = Holding(app[api.LEDGER], app[READING], charts)
        app[api.ACCOUNTS] = AccountKeeping(app[READING])
        due = DeadlineWorker(posting, {EXPIRY: expiry(charts)})
        await stack.enter_async_context(due.running())
        sources = Sources(app[READING], await stack.enter_async_context(_replica(app[READING], settings)))
        app[SOURCES] = sources
        app[api.READER] = Reading(sources, balances)
        app[api.FINDING] = Finding(sources, app[api.READER])
        app[api.EXPORTING] = Exporting(app[api.READER], app[api.FINDING])
        app[api.LIMITS] = Limiting(posting)
        app[api.SEALS] = Seals(app[READING])
        app[api.CHARTS] = charts
        app[CONSUMERS] = await stack.enter_async_context(
            consume(app[api.LEDGER], settings.amqp_url.get_secret_value())
        )
        yield


@asynccontextmanager
async def _balance_cache(settings: LedgerSettings) -> AsyncIterator[BalanceCache | None]:
    """The cache of balances, when there is one. It may be down: nothing waits for it."""
    if settings.balance_cache_url is None:
        yield None
        return
    client = redis.connect(
        settings.balance_cache_url.get_secret_value(), timeout_seconds=CACHE_TIMEOUT_SECONDS
    )
    cache = BalanceCache(client)
    writing = asyncio.create_task(cache.run(), name="balance-cache")
    try:
        yield cache
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        await client.aclose()


@asynccontextmanager
async def _replica(primary: pg.Pool, settings: LedgerSettings) -> AsyncIterator[Replica | None]:
    """The read replica with its lag watched, when there is one."""
    if settings.replica_dsn is None:
        yield None
        return
    # It may be down when we start: reports are then read from the primary, or wait.
    dsn = settings.replica_dsn.get_secret_value()
    pool = await pg.create_pool(dsn, min_size=0, max_size=6, application_name="ledger-reports")
    replica = Replica(pool, primary, max_lag_seconds=settings.replica_max_lag_seconds)
    watching = asyncio.create_task(replica.watch(), name="replica-watch")
    try:
        yield replica
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await pool.close()


def receipts_app(settings: ReceiptsSettings) -> web.Application:
    """The receipts process, under the one role that can insert receipts."""
    app = build_app(
        settings,
        receipts_api.ROUTES,
        title="El Carril: ledger receipts",
        readiness=(
            Check("database", lambda app: pg.answers(app[READING])),
            Check("migrations", lambda app: pg.migrated(app[READING], NEWEST_MIGRATION)),
        ),
    )
    app[receipts_api.PUBLIC_KEYS] = WatchedFile(settings.attestor_public_keys, read_public_keys)
    app.cleanup_ctx.append(lambda app: _pool(app, settings))
    return app


async def _pool(app: web.Application, settings: ReceiptsSettings) -> AsyncIterator[None]:
    dsn = settings.database_dsn.get_secret_value()
    app[READING] = await pg.create_pool(dsn, min_size=1, max_size=4, application_name="ledger-receipts")
    yield
    await app[READING].close()


def sealer_app(settings: SealerSettings) -> web.Application:
    """The sealing process: seals in the background, answers for its health. Raises ValueError or OSError for bad keys."""
    keys = WatchedFile(settings.seal_keys, SealingKeys.parse)
    app = build_app(
        settings,
        (),
        title="El Carril: ledger sealer",
        readiness=(
            Check("database", lambda app: pg.answers(app[READING])),
            Check("migrations", lambda app: pg.migrated(app[READING], NEWEST_MIGRATION)),
        ),
    )
    app.cleanup_ctx.append(lambda app: _sealing(app, settings, keys))
    return app


async def _sealing(
    app: web.Application, settings: SealerSettings, keys: WatchedFile[SealingKeys]
) -> AsyncIterator[None]:
    dsn = settings.database_dsn.get_secret_value()
    app[READING] = await pg.create_pool(dsn, min_size=1, max_size=2, application_name="ledger-sealer")
    sealer = Sealer(app[READING], lambda: keys.current, max_run=settings.max_run)
    async with repeating("seal", sealer.seal_due, every_seconds=settings.seal_seconds):
        yield
    await app[READING].close()
