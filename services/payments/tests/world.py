"""Payments with everything around it: a database, the rail's process, a ledger, a clock that can be set."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import asyncpg
from common import pg
from common.client import ServiceClient
from common.idempotency import Answer
from common.money import Money
from common.testing import Database
from contracts.ledger import EntryRequest, PostRequested
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from payments.api import DepositView, WithdrawalView
from payments.domain.accounts import Clabe, PlayerId, issue_clabe
from payments.domain.deposits import Deposit, DepositId, Transfer
from payments.domain.withdrawals import Withdrawal, WithdrawalId, WithdrawalState, clave_of
from payments.entries import DONE
from payments.ledger import Ledger
from payments.rail import Rail
from payments.service.attestor import Attestor
from payments.service.booking import Booking
from payments.service.pace import Pace
from payments.service.payouts import Payouts
from payments.service.requests import Claim, Once, Payout, Requests
from payments.signing import Signer

from services.payments.tests.fake_ledger import FakeLedger, serving
from services.payments.tests.railhouse import SENDER, RailProcess

PREFIX = "6461801570"
OWN_CLABE = issue_clabe(PREFIX, 0)
WINDOW = timedelta(seconds=20)
DEPOSIT_WINDOW = timedelta(hours=2)
PACE = Pace(lease_seconds=20, first_seconds=0.25, longest_seconds=30)
KEY_ID = "attestor-test"


@dataclass
class SetClock:
    """A clock that stands still until the test puts it forward. It is ahead of the database's own, so that
    what is new there is due here."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


@dataclass
class World:
    """What a test needs at hand."""

    database: Database
    pool: pg.Pool
    owner: asyncpg.Connection
    clock: SetClock
    rail: RailProcess
    ledger: FakeLedger
    signer: Signer
    requests: Requests
    attestor: Attestor
    booking: Booking
    payouts: Payouts

    async def claim(
        self, player: PlayerId, transfer: Transfer, amount: str, *, key: str | None = None
    ) -> Answer:
        claim = Claim(transfer.clave, transfer.operation_date, transfer.institution, pesos(amount))
        return await self.requests.claim_deposit(player, claim, _once(key, f"{claim}"), _deposit_answer)

    async def withdraw(
        self, player: PlayerId, amount: str, *, clabe: str = SENDER, key: str | None = None
    ) -> Answer:
        payout = Payout(Clabe(clabe), "Ana López", pesos(amount))
        return await self.requests.request_withdrawal(
            player, payout, _once(key, f"{payout}"), _withdrawal_answer
        )

    async def verify_all(self) -> int:
        """What the attestor does until nothing is due."""
        done = 0
        while leased := await self.attestor.lease(16):
            for deposit in leased:
                await self.attestor.verify(deposit)
            done += len(leased)
        return done

    async def book_all(self) -> None:
        while leased := await self.booking.lease(16):
            for deposit in leased:
                await self.booking.book(deposit)

    async def pay_all(self) -> None:
        while leased := await self.payouts.lease(16):
            for withdrawal in leased:
                await self.payouts.advance(withdrawal)

    async def deposited(self, player: PlayerId, amount: str, *, sender: str = SENDER) -> Deposit:
        """A player with that much money, deposited from `sender`."""
        transfer = await self.rail.transfer(await self.requests.own_clabe(player), amount, sender=sender)
        answer = await self.claim(player, transfer, amount)
        await self.verify_all()
        await self.book_all()
        return await self.deposit(player, answer)

    async def deposit(self, player: PlayerId, answer: Answer) -> Deposit:
        return await self.requests.deposit(player, DepositId(_id(answer)))

    async def withdrawal(self, player: PlayerId, answer: Answer) -> Withdrawal:
        return await self.requests.withdrawal(player, WithdrawalId(_id(answer)))

    async def commands(self) -> list[PostRequested]:
        """The commands in the outbox, in order."""
        rows = await self.owner.fetch("SELECT body FROM outbox WHERE exchange = 'commands' ORDER BY id")
        return [PostRequested.model_validate(json.loads(row["body"])["data"]) for row in rows]

    async def events(self, aggregate: str) -> list[tuple[str, int]]:
        """The types and versions of the events told about it, in order."""
        rows = await self.owner.fetch(
            "SELECT routing_key, version FROM outbox WHERE aggregate = $1 AND exchange = 'events' ORDER BY id",
            aggregate,
        )
        return [(row["routing_key"], row["version"]) for row in rows]

    async def deliver_commands(self) -> None:
        """What relay, broker and ledger do: every command is posted, its answer is heard."""
        for command in await self.commands():
            wanted = EntryRequest.model_validate(command.model_dump(exclude={"idempotency_key"}))
            status, body = self.ledger.post(command.idempotency_key, wanted)
            assert status == 201, body
            _, withdrawal, step = command.idempotency_key.split(":")
            state = WithdrawalState.BOOKED if step == DONE else WithdrawalState.RELEASED
            async with pg.transaction(self.pool) as conn:
                await self.payouts.hear_booked(conn, WithdrawalId(UUID(withdrawal)), state)

    async def rail_order(self, withdrawal_id: UUID) -> dict[str, str] | None:
        """What the rail knows of a withdrawal's order."""
        status, told = await self.rail.get(f"/orders/{clave_of(WithdrawalId(withdrawal_id))}")
        return told if status == 200 else None


@asynccontextmanager
async def world(database: Database, rail: RailProcess) -> AsyncIterator[World]:
    signer = Signer(KEY_ID, Ed25519PrivateKey.generate())
    clock = SetClock(datetime.now(UTC) + timedelta(minutes=10))
    async with AsyncExitStack() as stack:
        owner = await asyncpg.connect(database.superuser_dsn)
        stack.push_async_callback(owner.close)
        pool = await pg.create_pool(database.dsn("payments_app"), max_size=8, application_name="test-app")
        stack.push_async_callback(pool.close)
        attesting = await pg.create_pool(
            database.dsn("payments_attestor"), max_size=8, application_name="test-attestor"
        )
        stack.push_async_callback(attesting.close)
        fake = await stack.enter_async_context(serving({KEY_ID: signer.key.public_key()}))
        client = await stack.enter_async_context(ServiceClient(rail.url, timeout_seconds=2))
        posting = await stack.enter_async_context(ServiceClient(fake.url, timeout_seconds=2))
        ledger = Ledger(posting, posting)
        yield World(
            database=database,
            pool=pool,
            owner=owner,
            clock=clock,
            rail=rail,
            ledger=fake,
            signer=signer,
            requests=Requests(pool, clabe_prefix=PREFIX, deposit_window=DEPOSIT_WINDOW, clock=clock),
            attestor=Attestor(attesting, Rail(client), signer, pace=PACE, clock=clock),
            booking=Booking(pool, ledger, pace=PACE, clock=clock),
            payouts=Payouts(
                pool, ledger, Rail(client, own_clabe=OWN_CLABE), window=WINDOW, pace=PACE, clock=clock
            ),
        )


def new_player() -> PlayerId:
    return PlayerId(uuid4())


def pesos(amount: str) -> Money:
    return Money.parse(amount, "MXN")


def _once(key: str | None, asked: str) -> Once:
    return Once(key or uuid4().hex, asked.encode())


def _id(answer: Answer) -> UUID:
    assert answer.status == 202, answer.body
    return UUID(json.loads(answer.body)["id"])


def _deposit_answer(deposit: Deposit) -> Answer:
    return Answer.of(DepositView.of(deposit), status=202)


def _withdrawal_answer(withdrawal: Withdrawal) -> Answer:
    return Answer.of(WithdrawalView.of(withdrawal), status=202)
