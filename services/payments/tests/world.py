"""Payments with everything around it: a database, the rail's process, a ledger, a clock that can be set."""

import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

import asyncpg
from common import pg
from common.amqp import Delivery
from common.client import ServiceClient
from common.idempotency import Answer
from common.money import Money
from common.testing import Database
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryRequest, PostRequested
from contracts.wire import Event
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from payments.api.transfers import DepositView, WithdrawalView
from payments.consumers import QUEUE, LedgerEar
from payments.domain.accounts import Clabe, PlayerId, issue_clabe
from payments.domain.cases import Case, Clerk, Proposal
from payments.domain.deposits import Deposit, DepositId, Transfer
from payments.domain.holders import Holder
from payments.domain.windows import Windows
from payments.domain.withdrawals import PayoutRail, Withdrawal, WithdrawalId, clave_of
from payments.ledger import Ledger
from payments.people import People
from payments.psp import CardProvider
from payments.rail import Rail, Sources
from payments.service.arrivals import Arrivals
from payments.service.attestor import Attestor
from payments.service.bank_account import BankAccount
from payments.service.booking import Booking
from payments.service.card_requests import CardRequests
from payments.service.cards import Cards
from payments.service.cashier import Cashier, Verdict
from payments.service.dispute_books import DisputeBooks
from payments.service.disputes import Disputes
from payments.service.last_look import LastLook
from payments.service.pace import Pace
from payments.service.payouts import Payouts
from payments.service.proof_booking import ProofBooking
from payments.service.requests import Claim, Once, Payout, Requests
from payments.service.settlements import Settlements
from payments.service.webhooks import Hints
from payments.service.witness import Witness
from payments.signing import Signer
from payments.store.deposits import DepositStore

from services.payments.tests.fake_identity import FakeIdentity, identity
from services.payments.tests.fake_ledger import FakeLedger, serving
from services.payments.tests.railhouse import PSP_KEY, PSP_READ_KEY, SENDER, PspProcess, RailProcess

PSP = "chaos"
PREFIX = "6461801570"
OWN_CLABE = issue_clabe(PREFIX, 0)
WINDOW = timedelta(seconds=20)
DEPOSIT_WINDOW = timedelta(hours=2)
PACE = Pace(lease_seconds=20, first_seconds=0.25, longest_seconds=30)
KEY_ID = "attestor-test"
FOR_EVER = timedelta(days=3650)


@dataclass
class SetClock:
    """A clock that stands still until the test puts it forward. It is ahead of the database's own, so that
    what is new there is due here."""

    now: datetime

    def __call__(self) -> datetime:
        return self.now

    def forward(self, by: timedelta) -> None:
        self.now += by


DELIVERIES: Final = 2
"""Of each message: consumers know it again."""


@dataclass
class World:
    """What a test needs at hand."""

    database: Database
    pool: pg.Pool
    owner: asyncpg.Connection
    clock: SetClock
    rail: RailProcess
    ledger: FakeLedger
    identity: FakeIdentity
    signer: Signer
    requests: Requests
    attestor: Attestor
    booking: Booking
    payouts: Payouts
    psp: PspProcess
    cards: Cards
    card_requests: CardRequests
    witness: Witness
    proofs: ProofBooking
    hints: Hints
    disputes: Disputes
    dispute_books: DisputeBooks
    arrivals: Arrivals
    settlements: Settlements
    cashier: Cashier
    bank_account: BankAccount
    ear: LedgerEar
    _delivered: Counter[str] = field(default_factory=Counter)

    async def claim(
        self, player: PlayerId, transfer: Transfer, amount: str, *, key: str | None = None
    ) -> Answer:
        async with self.pool.acquire() as conn:
            stranger = not await conn.fetchval("SELECT EXISTS (SELECT FROM holder WHERE player = $1)", player)
        if stranger:
            await self.known(player)
        claim = Claim(transfer.clave, transfer.operation_date, transfer.institution, pesos(amount))
        return await self.requests.claim_deposit(player, claim, _once(key, f"{claim}"), _deposit_answer)

    async def withdraw(
        self,
        player: PlayerId,
        amount: str,
        *,
        clabe: str = SENDER,
        key: str | None = None,
        device: UUID | None = None,
    ) -> Answer:
        payout = Payout(Clabe(clabe), "Ana López", pesos(amount), device=device)
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

    async def known(
        self, player: PlayerId, name: str = "Ana López", *, curp: str | None = None, rfc: str | None = None
    ) -> None:
        """A player of that name and with those papers, as identity would tell it whenever it is asked."""
        async with pg.transaction(self.pool) as conn:
            await DepositStore(conn).keep_holder(player, Holder(name, curp, rfc), self.clock() + FOR_EVER)

    async def propose(self, case: Case, verdict: Verdict, person: str) -> Answer:
        by = self.clerk(person)
        return await self.cashier.propose(case.id, verdict, by, _once(None, f"{verdict}"), _case_answer)

    async def approve(self, case: Case, verdict: Verdict, person: str) -> Answer:
        """Approve that verdict, as if it were what was proposed last."""
        shown, _ = await self.cashier.case(case.id)
        seen = Proposal(shown.proposal, verdict.decision, verdict.player)
        return await self.approve_seen(case, seen, person)

    async def approve_seen(self, case: Case, seen: Proposal, person: str) -> Answer:
        by = self.clerk(person)
        return await self.cashier.approve(case.id, seen, by, _once(None, f"{seen}"), _case_answer)

    def clerk(self, person: str) -> Clerk:
        """Somebody with a session on what theirs stand on now."""
        return Clerk(person, self.identity.proofs.get(person, 1))

    async def run_cards(self) -> None:
        """What all workers around cards do until nothing is due."""
        for _ in range(40):
            leased = [*(await self.cards.lease(16))]
            for operation in leased:
                await self.cards.advance(operation)
            asked = await self.witness.lease(16)
            for proof in asked:
                await self.witness.attest(proof)
            decided = await self.proofs.lease(16)
            for proof in decided:
                await self.proofs.book(proof)
            hints = await self.hints.lease(16)
            for hint in hints:
                await self.hints.apply(hint)
            contested = await self.dispute_books.look()
            heard = await self.deliver_commands()
            if not (leased or asked or decided or hints or contested or heard):
                return

    async def deposit(self, player: PlayerId, answer: Answer) -> Deposit:
        return await self.requests.deposit(player, DepositId(_id(answer)))

    async def paid_out(self, player: PlayerId) -> tuple[Answer, Withdrawal]:
        """200 of 500 pesos that a player has deposited, asked for and booked as paid out."""
        await self.deposited(player, "500.00")
        answer = await self.withdraw(player, "200.00")
        await self.pay_all()
        await self.deliver_commands()
        return answer, await self.withdrawal(player, answer)

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

    async def deliver_commands(self) -> int:
        """What relay, broker and ledger do: every command is posted and its answer heard, in two turns, as brokers do.
        Returns how many were new."""
        new = 0
        for command in await self.commands():
            if self._delivered[command.idempotency_key] == DELIVERIES:
                continue
            self._delivered[command.idempotency_key] += 1
            wanted = EntryRequest.model_validate(command.model_dump(exclude={"idempotency_key"}))
            new += command.idempotency_key not in self.ledger.entries
            status, body = self.ledger.post(command.idempotency_key, wanted)
            assert status == 201, (command, body)
            event_id = uuid5(NAMESPACE_OID, command.idempotency_key)
            await self.ear.handle(heard(self.ledger.committed(command.idempotency_key), event_id))
        return new

    async def rail_order(self, withdrawal_id: UUID) -> dict[str, str] | None:
        """What the rail knows of a withdrawal's order."""
        status, told = await self.rail.get(f"/orders/{clave_of(WithdrawalId(withdrawal_id))}")
        return told if status == 200 else None


def heard(event: Event, event_id: UUID) -> Delivery:
    """An event as the broker delivers it."""
    wrapped = envelope(event, id=event_id, subject="test", version=1, time=datetime.now(UTC))
    raw = wrapped.model_dump_json().encode()
    return Delivery(QUEUE, Envelope.model_validate_json(raw), raw, 1, False)


@asynccontextmanager
async def world(database: Database, rail: RailProcess, psp: PspProcess) -> AsyncIterator[World]:
    signer = Signer(KEY_ID, Ed25519PrivateKey.generate())
    clock = SetClock(datetime.now(UTC) + timedelta(minutes=10))
    async with AsyncExitStack() as stack:

        async def pool_of(role: str) -> pg.Pool:
            pool = await pg.create_pool(database.dsn(role), max_size=8, application_name=f"test-{role}")
            stack.push_async_callback(pool.close)
            return pool

        async def client_of(url: str, **more: str) -> ServiceClient:
            return await stack.enter_async_context(ServiceClient(url, timeout_seconds=2, headers=more))

        owner = await asyncpg.connect(database.superuser_dsn)
        stack.push_async_callback(owner.close)
        pool, attesting = await pool_of("payments_app"), await pool_of("payments_attestor")
        fake = await stack.enter_async_context(serving({KEY_ID: signer.key.public_key()}))
        client, posting = await client_of(rail.url), await client_of(fake.url)
        sources = Sources(client, await client_of(rail.central_bank_url))
        provider, seen = [
            CardProvider(PSP, await client_of(psp.url, Authorization=f"Bearer {key}"))
            for key in (PSP_KEY, PSP_READ_KEY)
        ]
        ledger = Ledger(posting, posting)
        rails = {each: Rail(client, own_clabe=OWN_CLABE, rail=each) for each in PayoutRail}
        known = await stack.enter_async_context(identity())
        people = People(await client_of(known.url))
        booking = Booking(pool, ledger, people, pace=PACE, clock=clock)
        payouts = Payouts(
            pool,
            ledger,
            people,
            rails,
            window=WINDOW,
            pace=PACE,
            clock=clock,
            ted_windows=Windows.parse(""),
        )
        cards = Cards(pool, ledger, people, provider, window=WINDOW, pace=PACE, clock=clock)
        contested = Disputes(pool, provider, patience=timedelta(0), clock=clock)
        dispute_books = DisputeBooks(pool, ledger, clock=clock)
        proofs = ProofBooking(pool, ledger, pace=PACE, clock=clock)
        arrivals = Arrivals(
            pool,
            rails[PayoutRail.SPEI],
            grace=timedelta(0),
            deposit_window=DEPOSIT_WINDOW,
            window=WINDOW,
            pace=PACE,
            clock=clock,
        )
        yield World(
            database=database,
            pool=pool,
            owner=owner,
            clock=clock,
            rail=rail,
            ledger=fake,
            identity=known,
            signer=signer,
            requests=Requests(pool, clabe_prefix=PREFIX, deposit_window=DEPOSIT_WINDOW, clock=clock),
            attestor=Attestor(attesting, sources, lambda: signer, pace=PACE, clock=clock),
            booking=booking,
            payouts=payouts,
            psp=psp,
            cards=cards,
            card_requests=CardRequests(pool, psp=PSP, clock=clock),
            witness=Witness(attesting, sources, seen, lambda: signer, pace=PACE, clock=clock),
            proofs=proofs,
            hints=Hints(pool, provider, cards, contested, pace=PACE, clock=clock),
            disputes=contested,
            dispute_books=dispute_books,
            arrivals=arrivals,
            settlements=Settlements(
                pool,
                provider,
                cards,
                contested,
                patience=timedelta(minutes=5),
                overdue=timedelta(days=3),
                clock=clock,
            ),
            cashier=Cashier(pool, arrivals, people, LastLook(pool, rails, provider), clock=clock),
            bank_account=BankAccount(pool, ledger, rails[PayoutRail.SPEI]),
            ear=LedgerEar(pool, booking, payouts, proofs, dispute_books),
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


def _case_answer(case: Case) -> Answer:
    return Answer(200, json.dumps({"id": str(case.id), "state": case.state}))


def _withdrawal_answer(withdrawal: Withdrawal) -> Answer:
    return Answer.of(WithdrawalView.of(withdrawal), status=202)
