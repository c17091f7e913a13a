"""Wiring payments' two processes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from aiohttp import web
from common import pg
from common.amqp import Consumer, Link
from common.auth import TokenVerifier, by_token
from common.client import ServiceClient
from common.http import Check, build_app
from common.signing import RequestSigner, SigningKey

from payments import api
from payments.consumers import QUEUE, LedgerEar, parse
from payments.domain.accounts import issue_clabe
from payments.ledger import Ledger
from payments.rail import Rail
from payments.service.attestor import Attestor
from payments.service.booking import Booking
from payments.service.pace import utc_now
from payments.service.payouts import Payouts
from payments.service.requests import Requests
from payments.settings import AttestorSettings, Settings, WorkSettings
from payments.signing import load_signer
from payments.worker import Worker

NEWEST_MIGRATION = "20261121000500"

Item = TypeVar("Item")

POOL = web.AppKey("pool", pg.Pool)
EAR = web.AppKey("ear", Consumer)


def payments_app(settings: Settings) -> web.Application:
    """The serving process: the API, the workers that carry on from it, and the ear for the ledger's events."""
    app = build_app(
        settings,
        api.ROUTES,
        title="El Carril: payments",
        readiness=(*_database_checks(), Check("broker", lambda app: app[EAR].check())),
        authenticate={"token": by_token(TokenVerifier(settings.identity_url, audience="payments"))},
    )
    app.cleanup_ctx.append(lambda app: _payments_parts(app, settings))
    return app


def attestor_app(settings: AttestorSettings) -> web.Application:
    """The attestor: health and metrics over HTTP, and the work. Raises ValueError or OSError for a bad key."""
    load_signer(settings.signing_key_file, settings.signing_key_id)  # a bad key must not wait for a deposit
    app = build_app(settings, (), title="El Carril: attestor", readiness=_database_checks())
    app.cleanup_ctx.append(lambda app: _attestor_parts(app, settings))
    return app


def _database_checks() -> tuple[Check, ...]:
    return (
        Check("database", lambda app: pg.answers(app[POOL])),
        Check("migrations", lambda app: pg.migrated(app[POOL], NEWEST_MIGRATION)),
    )


async def _payments_parts(app: web.Application, settings: Settings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        pool = app[POOL] = await _pool(stack, settings, "payments")
        ledger = await _ledger(stack, settings)
        client = ServiceClient(settings.rail_url, timeout_seconds=settings.rail_timeout_seconds)
        rail = Rail(await stack.enter_async_context(client), own_clabe=issue_clabe(settings.clabe_prefix, 0))
        booking = Booking(pool, ledger, pace=settings.pace, clock=utc_now)
        payouts = Payouts(pool, ledger, rail, window=settings.send_window, pace=settings.pace, clock=utc_now)
        app[api.REQUESTS] = Requests(
            pool,
            clabe_prefix=settings.clabe_prefix,
            deposit_window=settings.deposit_window,
            clock=utc_now,
        )
        link = Link(settings.amqp_url.get_secret_value(), name="payments")
        stack.push_async_callback(link.close)
        app[EAR] = Consumer(link, QUEUE, LedgerEar(pool, booking, payouts).handle, parse=parse)
        await stack.enter_async_context(app[EAR].running())
        await _work(stack, settings, "booking", booking.lease, booking.book)
        await _work(stack, settings, "payouts", payouts.lease, payouts.advance)
        yield


async def _attestor_parts(app: web.Application, settings: AttestorSettings) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        pool = app[POOL] = await _pool(stack, settings, "attestor")
        client = ServiceClient(settings.rail_url, timeout_seconds=settings.rail_timeout_seconds)
        attestor = Attestor(
            pool,
            Rail(await stack.enter_async_context(client)),
            load_signer(settings.signing_key_file, settings.signing_key_id),
            pace=settings.pace,
            clock=utc_now,
        )
        await _work(stack, settings, "attestor", attestor.lease, attestor.verify)
        yield


async def _work(
    stack: AsyncExitStack,
    settings: WorkSettings,
    name: str,
    lease: Callable[[int], Awaitable[Sequence[Item]]],
    step: Callable[[Item], Awaitable[None]],
) -> None:
    """Start a worker that ends, and finishes what it has in hand, with the stack."""
    worker = Worker(name, lease, step, workers=settings.workers, idle_seconds=settings.idle_seconds)
    await stack.enter_async_context(worker.running())


async def _pool(stack: AsyncExitStack, settings: Settings | AttestorSettings, name: str) -> pg.Pool:
    pool = await pg.create_pool(
        settings.database_dsn.get_secret_value(), max_size=settings.pool_size, application_name=name
    )
    stack.push_async_callback(pool.close)
    return pool


async def _ledger(stack: AsyncExitStack, settings: Settings) -> Ledger:
    key = {"Authorization": f"Bearer {settings.ledger_api_key.get_secret_value()}"}
    timeout_seconds = settings.ledger_timeout_seconds
    signer = RequestSigner(SigningKey.parse(settings.ledger_signing_key.get_secret_value()))
    posting = ServiceClient(settings.ledger_url, timeout_seconds=timeout_seconds, headers=key, signer=signer)
    receipts = ServiceClient(settings.ledger_receipts_url, timeout_seconds=timeout_seconds)
    return Ledger(await stack.enter_async_context(posting), await stack.enter_async_context(receipts))
