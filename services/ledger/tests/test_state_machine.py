"""A model that predicts every answer, against two engines on one real database.

Hypothesis makes up sequences of transfers, holds, captures, releases, reversals, duplicates, linked groups,
expiries, closed accounts, days that pass and days that are closed; each is given to the ledger through one engine
or the other, and the oracle says beforehand what will come back. At the end the books, the holds and the events are
the oracle's, and the journal is sound.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from contextlib import AsyncExitStack
from copy import deepcopy
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import permutations
from typing import ClassVar
from uuid import UUID, uuid5

import pytest
from common.deadlines import DeadlineWorker
from common.errors import DomainError
from common.pg import create_pool
from common.testing import Database, examples, fresh_database
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from ledger.domain.chart import Chart
from ledger.domain.commands import Command, Leg, linked
from ledger.engine import PostedEntry
from ledger.expiry import KIND, expiry
from ledger.service import AccountKeeping
from ledger.service.closing import Closing
from ledger.store import closes

from services.ledger.tests.history import a_day_passes
from services.ledger.tests.oracle import ClosedDay, Oracle, midnight
from services.ledger.tests.shop import CASH, FEES, OWN, RENT, Shop, open_shop
from services.ledger.tests.vocabulary import PRINCIPAL, assert_sound, connected, refused

WALLETS = ("liabilities/ana", "liabilities/beto")
ACCOUNTS = (*WALLETS, CASH, OWN, FEES, RENT)
NAMES = UUID("5b0d5a55-4a49-4b5e-9d2f-1f7f36a4f0aa")
PAST, FUTURE = datetime(2026, 1, 1, tzinfo=UTC), timedelta(days=30)

wallets = st.sampled_from(WALLETS)
accounts = st.sampled_from(ACCOUNTS)
holds = st.integers(0, 20).map(lambda number: uuid5(NAMES, str(number)))
expiries = st.sampled_from((None, PAST, datetime.now(UTC) + FUTURE))

effects = st.sampled_from((None,) * 3 + (midnight() - timedelta(hours=6), midnight() - timedelta(hours=30)))
"""Now, or in the evening of one of the last two days: refused once that day is closed."""


@dataclass(frozen=True)
class Choice:
    """What a command may be made of. Most are sane; a wild one is wrong in some place or other."""

    accounts: st.SearchStrategy[str]
    amounts: st.SearchStrategy[Decimal]
    currencies: st.SearchStrategy[str]
    references: st.SearchStrategy[str]


SANE = Choice(accounts, st.integers(1, 15).map(Decimal), st.just("USD"), st.just("orders/1"))
WILD = Choice(
    st.sampled_from((*ACCOUNTS, "players/nobody", "held/liabilities/ana")),
    st.sampled_from((Decimal("0.001"), Decimal("12.5"), Decimal(500), Decimal("0.01"))),
    st.sampled_from(("USD", "JPY", "KWD", "EUR")),
    st.sampled_from(("orders/1", "orders/2")),
)


@st.composite
def entries(draw: st.DrawFn, machine: LedgerMachine) -> Command:
    """Any command at all."""
    shop, key = machine.shops[0], machine.new_key()
    some = draw(st.sampled_from((SANE,) * 4 + (WILD,)))
    amount, currency, reference = draw(some.amounts), draw(some.currencies), draw(some.references)
    match draw(st.integers(0, 9)):
        case 0 | 1:
            return shop.transfer(
                draw(some.accounts), draw(some.accounts), amount, currency, key=key, reference=reference,
                effective_at=draw(effects),
            )  # fmt: skip
        case 2 | 3 | 4:
            return shop.hold(
                draw(wallets),
                amount,
                draw(holds),
                currency,
                key=key,
                reference=reference,
                expires_at=draw(expiries),
            )
        case 5 | 6:
            kind = draw(st.sampled_from(("hold.capture", "hold.capture", "hold.release")))
            hold, wallet, currency = draw(machine.drawable())
            to = wallet if kind == "hold.release" else draw(st.sampled_from((FEES, *WALLETS)))
            return shop.capture(wallet, amount, hold, to, currency, kind=kind, key=key, reference=reference)
        case 7:
            return shop.release(draw(machine.drawable())[0], key=key, reference=reference)
        case 8:
            known = [*machine.posted[-6:], uuid5(NAMES, "never posted")]
            return shop.reversal(draw(st.sampled_from(known)), key=key, reference=reference)
        case _:
            return machine.many_legged(draw, key, reference)


EVERY_ANSWER = {
    "posted", "insufficient-funds", "unknown-account", "account-closed", "wrong-currency", "template-violation",
    "unbalanced-entry", "hold-not-ready", "hold-exists", "hold-mismatch", "hold-exhausted", "entry-not-ready",
    "not-reversible", "already-reversed", "linked-refused", "idempotency-key-reused", "expired", "closed",
    "account-not-empty", "account-not-found", "period-closed", "day-closed",
}  # fmt: skip
"""The examples must meet each of these, else they prove little."""


class LedgerMachine(RuleBasedStateMachine):
    """One example: a ledger of its own, two engines on it, and the oracle."""

    database: ClassVar[Database]
    seen: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.stack = AsyncExitStack()
        self.oracle = Oracle()
        self.posted: list[UUID] = []
        self.asked: list[tuple[Command, ...]] = []
        self.keys = 0

    @initialize(days=st.integers(0, 2))
    def found(self, days: int) -> None:
        """Books with some money in them, and perhaps with some days behind them that are closed."""

        async def start() -> list[Shop]:
            first = await open_shop(self.database, self.stack)
            pool = await create_pool(
                self.database.dsn("ledger_closer"), min_size=1, max_size=1, application_name="test-close"
            )
            self.stack.push_async_callback(pool.close)
            self.closing = Closing(pool)
            return [first, await open_shop(self.database, self.stack, first.ledger)]

        self.shops = self.runner.run(start())
        chart = self.shops[0].engine.chart
        charts: defaultdict[int, Chart] = defaultdict(lambda: chart)
        self.worker = DeadlineWorker(self.shops[0].pool, {KIND: expiry(charts)})
        self.accounts = AccountKeeping(self.shops[1].pool)
        for account in WALLETS:
            self._post([(self.shops[0].transfer(CASH, account, "100.00", key=self.new_key()),)], 0)
        for _ in range(days):
            self.a_day_passes()
        self.close_days()

    def new_key(self) -> str:
        self.keys += 1
        return f"k{self.keys}"

    def drawable(self) -> st.SearchStrategy[tuple[UUID, str, str]]:
        """A hold with its account and currency, usually one that is there."""
        known = [(id, held.account, held.currency) for id, held in self.oracle.world.holds.items()]
        return st.one_of(
            *[st.sampled_from(known)] * (3 if known else 0), st.tuples(holds, wallets, SANE.currencies)
        )

    def many_legged(self, draw: st.DrawFn, key: str, reference: str) -> Command:
        """Three or four legs, sometimes in two currencies, usually balanced."""
        amount, other = draw(SANE.amounts), draw(st.integers(1, 9).map(Decimal))
        legs = [
            Leg(CASH, "USD", amount + other),
            Leg(draw(wallets), "USD", -amount),
            Leg(draw(st.sampled_from((FEES, OWN))), "USD", -other),
        ]
        if draw(st.booleans()):
            legs += [Leg(CASH, "JPY", other), Leg(OWN, "JPY", -other)]
        if draw(st.integers(0, 9)) == 0:
            legs.pop()
        return Command(self.shops[0].ledger, PRINCIPAL, key, "transfer", tuple(legs), reference)

    @rule(data=st.data(), engine=st.integers(0, 1))
    def post(self, data: st.DataObject, engine: int) -> None:
        self._post([(data.draw(entries(self)),)], engine)

    @rule(engine=st.integers(0, 1), account=st.sampled_from(("players/nobody", "nowhere")))
    def post_to_a_stranger(self, engine: int, account: str) -> None:
        self._post([(self.shops[0].transfer(CASH, account, "1.00", key=self.new_key()),)], engine)

    @rule(data=st.data(), engine=st.integers(0, 1), size=st.integers(2, 3))
    def post_linked(self, data: st.DataObject, engine: int, size: int) -> None:
        self._post([linked([data.draw(entries(self)) for _ in range(size)])], engine)

    @rule(data=st.data(), engine=st.integers(0, 1), sizes=st.lists(st.integers(1, 3), min_size=2, max_size=4))
    def post_batch(self, data: st.DataObject, engine: int, sizes: list[int]) -> None:
        groups = [linked([data.draw(entries(self)) for _ in range(size)]) for size in sizes]
        self._post(groups, engine)

    @rule(data=st.data(), engine=st.integers(0, 1))
    def post_again(self, data: st.DataObject, engine: int) -> None:
        """What was asked before, word for word, or with one word changed."""
        group = data.draw(st.sampled_from(self.asked))
        if data.draw(st.booleans()):
            first = group[0]
            changed = Command(
                first.ledger, PRINCIPAL, first.key, "transfer",
                (Leg(CASH, "USD", Decimal("7.77")), Leg(WALLETS[0], "USD", Decimal("-7.77"))), first.reference,
            )  # fmt: skip
            group = (changed,)
        self._post([group], engine)

    @rule(engine=st.integers(0, 1), data=st.data())
    def correct(self, engine: int, data: st.DataObject) -> None:
        """Reverse and repost, linked."""
        if not self.posted:
            return
        shop, entry = self.shops[0], data.draw(st.sampled_from(self.posted))
        again = shop.transfer(CASH, WALLETS[0], data.draw(SANE.amounts), key=self.new_key())
        self._post([linked([shop.reversal(entry, key=self.new_key()), again])], engine)

    @rule(data=st.data(), wild=st.booleans())
    def close(self, data: st.DataObject, wild: bool) -> None:
        """Sometimes an account that is empty, sometimes any."""
        world = self.oracle.world
        empty = sorted(key for key in world.known if not world.balances[key])
        if empty and not wild:
            account, currency = data.draw(st.sampled_from(empty))
        else:
            account, currency = data.draw(WILD.accounts), data.draw(st.sampled_from(("USD", "JPY")))
        expected = self.oracle.close(account, currency)

        async def close() -> str:
            try:
                await self.accounts.close(self.shops[0].ledger, PRINCIPAL, account, currency)
            except DomainError as why:
                return why.slug
            return "closed"

        assert (account, currency, self.runner.run(close())) == (account, currency, expected)
        self.seen[expected] += 1

    @rule()
    def expire(self) -> None:
        async def expire() -> None:
            while await self.worker.turn():
                pass

        before = len(self.oracle.world.told)
        self.oracle.expire()
        self.runner.run(expire())
        self.seen["expired"] += len(self.oracle.world.told) - before

    @rule()
    def a_day_passes(self) -> None:
        if self.asked:
            self.oracle.a_day_passes()
            self.runner.run(a_day_passes(self.database, self.shops[0].ledger))

    @rule()
    def close_days(self) -> None:
        """Every day that is over and not closed yet, with its figures."""
        expected = self.oracle.close_days()
        assert self.runner.run(self._close_days()) == expected
        self.seen["day-closed"] += len(expected)

    async def _close_days(self) -> list[ClosedDay]:
        ledger, told = self.shops[0].ledger, list[ClosedDay]()
        async for closed in self.closing.close_due(ledger):
            close = closed.close
            if close.period == "month":
                continue
            async with connected(self.database, "ledger_reader") as reader:
                balances, _ = await closes.closed_balances(reader, ledger, "day", close.starts_on, 0, 1_000)
            figures = {
                (each.account, each.currency): (each.debit, each.credit, each.balance) for each in balances
            }
            told.append((close.entries, close.late, figures))
        return told

    @invariant()
    def the_books_are_the_oracles(self) -> None:
        if not self.asked:
            return
        balances = self.runner.run(self.shops[0].balances())
        expected = self.oracle.world.balances
        assert {key: amount for key, amount in balances.items() if amount} == {
            key: amount for key, amount in expected.items() if amount
        }

    def _post(self, groups: list[tuple[Command, ...]], engine: int) -> None:
        """Groups of one request are independent: some order of them explains all answers."""
        answers = self.runner.run(self.shops[engine].engine.post_groups(groups))
        told = [[(refused(answer), answer.replayed) for answer in group] for group in answers]
        places = [
            max((getattr(answer.outcome, "sequence", 0) for answer in group), default=0) for group in answers
        ]
        for order in permutations(range(len(groups))):
            oracle = deepcopy(self.oracle)
            expected = {at: oracle.predict(groups[at]) for at in order}
            fresh = [places[at] for at in order if ("posted", False) in expected[at]]
            if [expected[at] for at in range(len(groups))] == told and fresh == sorted(fresh):
                break
        else:
            expected = {at: self.oracle.predict(group) for at, group in enumerate(groups)}
            raise AssertionError(f"{groups} came to {told}, not to {expected} in any order")
        self.oracle = oracle
        self.seen.update(slug for group in told for slug, _ in group)
        self.asked += groups
        self.posted += [
            answer.outcome.id
            for group in answers
            for answer in group
            if isinstance(answer.outcome, PostedEntry) and not answer.replayed
        ]

    def teardown(self) -> None:
        async def end() -> None:
            try:
                if self.asked:
                    await self._compare()
            finally:
                await self.stack.aclose()

        try:
            self.runner.run(end())
        finally:
            self.runner.close()

    async def _compare(self) -> None:
        ledger = self.shops[0].ledger
        async with connected(self.database, "ledger_reader") as connection:
            rows = await connection.fetch(
                "SELECT id, remaining, opened FROM hold WHERE ledger_id = $1", ledger
            )
            events = await connection.fetch(
                """
                SELECT split_part(o.body ->> 'type', '.', 3) AS happened, (o.body #>> '{data,hold}')::uuid AS hold,
                       o.body #>> '{data,amount}' AS amount, o.body #>> '{data,remaining}' AS remaining
                  FROM outbox o JOIN entry e ON e.id = (o.body #>> '{data,entry}')::uuid
                 WHERE o.body ->> 'type' LIKE 'ledger.hold.%' AND e.ledger_id = $1 ORDER BY o.version
                """,
                ledger,
            )
            await assert_sound(connection)
        assert {row["id"]: (row["opened"], row["remaining"]) for row in rows} == {
            id: (held.opened, held.remaining) for id, held in self.oracle.world.holds.items()
        }
        told = [
            (row["happened"], row["hold"], Decimal(row["amount"]), Decimal(row["remaining"]))
            for row in events
        ]
        assert sorted(told) == sorted(self.oracle.world.told)


@pytest.mark.timeout(examples(240))
def test_the_ledger_answers_as_the_oracle_says() -> None:
    """Each example is a ledger of its own on one database."""
    with asyncio.Runner() as runner:
        databases = fresh_database("ledger")
        LedgerMachine.database = runner.run(databases.__aenter__())
        try:
            run_state_machine_as_test(
                LedgerMachine,
                settings=settings(
                    max_examples=examples(24),
                    stateful_step_count=50,
                    deadline=None,
                    phases=(Phase.generate,),  # shrinking would take longer than reading
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(databases.__aexit__(None, None, None))
    assert LedgerMachine.seen.keys() >= EVERY_ANSWER, LedgerMachine.seen
