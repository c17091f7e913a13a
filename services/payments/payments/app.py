"""Wiring payments' two processes."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeVar

from aiohttp import web
from common import pg
from common.amqp import Consumer, Link
from common.auth import TokenVerifier, by_token
from common.client import ServiceClient
from common.deadlines import DeadlineWorker
from common.http import Check, build_app
from common.signing import RequestSigner, SigningKey
from common.watched import WatchedFile

from payments import api
from payments.api.bank_account import BANK_ACCOUNT
from payments.api.cards import CARD_REQUESTS
from payments.api.cashier import CASHIER
from payments.api.transfers import REQUESTS
from payments.api.webhooks import DOOR
from payments.consumers import QUEUE, LedgerEar, parse
from payments.domain.accounts import issue_clabe
from payments.domain.windows import Windows
from payments.domain.withdrawals import PayoutRail
from payments.ledger import Ledger
from payments.people import People
from payments.psp import CardProvider
from payments.rail import Rail, Sources
from payments.service.arrivals import Arrivals
from payments.service.attestor import Attestor
from payments.service.bank_account import BankAccount
from payments.service.booking import Booking
from payments.service.card_requests import CardRequests
from payments.service.cards import Cards, card_deadlines
from payments.service.cashier import Cashier
from payments.service.dispute_books import DisputeBooks
from payments.service.disputes import Disputes
from payments.service.holders import Holders
from payments.service.last_look import LastLook
from payments.service.pace import utc_now
from payments.service.payouts import Payouts
from payments.service.proof_booking import ProofBooking
from payments.service.requests import Requests
from payments.service.settlements import Settlements
from payments.service.webhooks import Door, Hints, read_secrets
from payments.service.witness import Witness
from payments.settings import AttestorSettings, Settings, WorkSettings
from payments.signing import Signer, read_signer
from payments.spei import load_order_signer
from payments.worker import Ticker, Worker

NEWEST_MIGRATION = "20261122220100"

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
    signers = WatchedFile(settings.signing_key_file, read_signer)  # a bad key must not wait for a deposit
    app = build_app(settings, (), title="El Carril: attestor", readiness=_database_checks())
    app.cleanup_ctx.append(lambda app: _attestor_parts(app, settings, signers))
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
        provider = await _provider(stack, settings)
        rails = await _rails(stack, settings)
        pace, window = settings.pace, settings.send_window
        identity = ServiceClient(settings.identity_url, timeout_seconds=settings.ledger_timeout_seconds)
        people = People(await stack.enter_async_context(identity))
        booking = Booking(pool, ledger, people, pace=pace, clock=utc_now)
        payouts = Payouts(
            pool, ledger, people, rails, window=window, pace=pace, clock=utc_now,
            ted_windows=Windows.parse(settings.ted_windows),
        )  # fmt: skip
        cards = Cards(pool, ledger, people, provider, window=settings.psp_window, pace=pace, clock=utc_now)
        proofs = ProofBooking(pool, ledger, pace=pace, clock=utc_now)
        arrivals = Arrivals(
            pool, rails[PayoutRail.SPEI], grace=settings.statement_grace, deposit_window=settings.deposit_window,
            window=window, pace=pace, clock=utc_now,
        )  # fmt: skip
        app[CASHIER] = Cashier(pool, arrivals, people, LastLook(pool, rails, provider), clock=utc_now)
        _serve(app, settings, pool)
        app[BANK_ACCOUNT] = BankAccount(pool, ledger, rails[PayoutRail.SPEI])
        link = Link(settings.amqp_url.get_secret_value(), name="payments")
        stack.push_async_callback(link.close)
        dispute_books = DisputeBooks(pool, ledger, clock=utc_now)
        ear = LedgerEar(pool, booking, payouts, proofs, dispute_books)
        app[EAR] = Consumer(link, QUEUE, ear.handle, parse=parse)
        await stack.enter_async_context(app[EAR].running())
        disputes = Disputes(pool, provider, patience=settings.disputes_patience, clock=utc_now)
        hints = Hints(pool, provider, cards, disputes, pace=pace, clock=utc_now)
        await _work(stack, settings, "booking", booking.lease, booking.book)
        await _work(stack, settings, "payouts", payouts.lease, payouts.advance)
        await _work(stack, settings, "cards", cards.lease, cards.advance)
        await _work(stack, settings, "proofs", proofs.lease, proofs.book)
        await _work(stack, settings, "webhooks", hints.lease, hints.apply)
        await _work(stack, settings, "returns", arrivals.lease, arrivals.advance)
        holders = Holders(pool, people, pace=pace, clock=utc_now)
        await _work(stack, settings, "holders", holders.lease, holders.learn)
        await _tick(stack, settings, pool, provider, cards, arrivals, disputes, dispute_books)
        await stack.enter_async_context(DeadlineWorker(pool, card_deadlines(utc_now)).running())
        yield


def _serve(app: web.Application, settings: Settings, pool: pg.Pool) -> None:
    """What the handlers need."""
    secrets = WatchedFile(settings.psp_webhook_secrets_file, read_secrets)
    app[DOOR] = Door(pool, settings.psp_name, lambda: secrets.current)
    app[CARD_REQUESTS] = CardRequests(pool, psp=settings.psp_name, clock=utc_now)
    app[REQUESTS] = Requests(
        pool, clabe_prefix=settings.clabe_prefix, deposit_window=settings.deposit_window, clock=utc_now
    )


async def _tick(
    stack: AsyncExitStack,
    settings: Settings,
    pool: pg.Pool,
    provider: CardProvider,
    cards: Cards,
    arrivals: Arrivals,
    disputes: Disputes,
    dispute_books: DisputeBooks,
) -> None:
    """What is looked at every so often."""
    settlements = Settlements(
        pool,
        provider,
        cards,
        disputes,
        patience=settings.payouts_patience,
        overdue=settings.payouts_overdue,
        clock=utc_now,
    )
    for ticker in (
        Ticker("statement", arrivals.notice, every_seconds=settings.statement_interval_seconds),
        Ticker("settlements", settlements.import_new, every_seconds=settings.payouts_interval_seconds),
        Ticker("disputes", disputes.look, every_seconds=settings.disputes_interval_seconds),
        Ticker("dispute-books", dispute_books.look, every_seconds=settings.disputes_interval_seconds),
        Ticker("overdue", settlements.look_overdue, every_seconds=settings.payouts_interval_seconds),
    ):
        await stack.enter_async_context(ticker.running())


async def _attestor_parts(
    app: web.Application, settings: AttestorSettings, signers: WatchedFile[Signer]
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        pool = app[POOL] = await _pool(stack, settings, "attestor")
        timeout_seconds = settings.rail_timeout_seconds
        participant = ServiceClient(settings.rail_url, timeout_seconds=timeout_seconds)
        central_bank = ServiceClient(settings.central_bank_url, timeout_seconds=timeout_seconds)
        sources = Sources(
            await stack.enter_async_context(participant), await stack.enter_async_context(central_bank)
        )
        provider = await _provider(stack, settings)
        attestor = Attestor(pool, sources, lambda: signers.current, pace=settings.pace, clock=utc_now)
        witness = Witness(pool, sources, provider, lambda: signers.current, pace=settings.pace, clock=utc_now)
        await _work(stack, settings, "attestor", attestor.lease, attestor.verify)
        await _work(stack, settings, "witness", witness.lease, witness.attest)
        yield


async def _provider(stack: AsyncExitStack, settings: WorkSettings) -> CardProvider:
    key = {"Authorization": f"Bearer {settings.psp_api_key.get_secret_value()}"}
    client = ServiceClient(settings.psp_url, timeout_seconds=settings.psp_timeout_seconds, headers=key)
    return CardProvider(settings.psp_name, await stack.enter_async_context(client))


async def _rails(stack: AsyncExitStack, settings: Settings) -> dict[PayoutRail, Rail]:
    client = ServiceClient(settings.rail_url, timeout_seconds=settings.rail_timeout_seconds)
    await stack.enter_async_context(client)
    signer = load_order_signer(settings.order_signing_key_file)
    own_clabe = issue_clabe(settings.clabe_prefix, 0)
    return {rail: Rail(client, own_clabe=own_clabe, signer=signer, rail=rail) for rail in PayoutRail}


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
