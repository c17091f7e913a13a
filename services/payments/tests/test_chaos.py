"""A small day of chaos in one process: every fault of the providers on, workers stopped at random awaits, and the
invariants looked at after every single step. The same seed ends in the same books.

The whole of it, with processes that are really killed, is `make chaos-payments`.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from decimal import Decimal
from random import Random
from uuid import UUID, uuid4

import pytest
from common.kept_database import KeptDatabase
from payments.domain.cards import Act, CardPaymentId
from payments.store.errors import LeaseLost

from services.payments.tests.card_scene import PATIENCE, once, shown
from services.payments.tests.test_crashes import survives
from services.payments.tests.world import World, new_player, pesos
from tools.paychaos.checks import PAYMENTS_ALWAYS

PAYMENTS = 24
ROUNDS = 14
CRASHES = 0.25


class Chaos:
    """One day on one world."""

    def __init__(self, here: World, seed: int) -> None:
        self.here = here
        self.dice = Random(seed)  # what is asked for
        self.fate = Random()  # who is stopped when: not drawn from the seed, on purpose
        self.seed = seed
        self.crashes = 0
        self.looks = 0
        self.books = ""
        self.cards: list[CardPaymentId] = []
        self.player = new_player()
        self.card_player = new_player()

    async def run(self) -> str:
        """The day; the hash of what it ended in."""
        here = self.here
        await here.deposited(self.player, "5000.00")
        await here.psp.ask(
            "PUT",
            "/control/faults",
            {"seed": self.seed, "every": True, "hold_seconds": 0.05, "lag_seconds": 0.2},
        )
        await here.rail.put("/behaviour", {"chaos_seed": self.seed, "chaos_rate": 0.2, "hold_seconds": 0.05})
        for number in range(PAYMENTS):
            await self.ask(number)
        await self.work()
        await self.carry_on()
        await self.work()
        await here.psp.ask("POST", "/control/late")
        await self.hints()
        await self.work()
        for _ in range(2):
            await here.psp.ask("POST", "/control/payout")
            await here.settlements.import_new()
            await self.work()
        return await self.digest()

    async def ask(self, number: int) -> None:
        amount = pesos(f"{20 + number}.{self.dice.randrange(100):02}")
        match number % 4:
            case 0:
                await self.here.withdraw(self.player, str(amount), key=f"w{number}")
            case 1:
                clabe = await self.here.requests.own_clabe(self.player)
                clave = f"S{self.seed}N{number}T{uuid4().hex[:8]}"
                transfer = await self.here.rail.transfer(clabe, str(amount), clave=clave)
                await self.here.claim(self.player, transfer, str(amount))
            case _:
                answer = await self.here.card_requests.pay(
                    self.card_player,
                    amount,
                    f"tok_{number}_ok",
                    once(),
                    shown,
                    capture_at_once=number % 4 == 2,
                )
                self.cards.append(CardPaymentId(UUID(json.loads(answer.body)["id"])))

    async def carry_on(self) -> None:
        """Captures in parts of what was only authorised, refunds of what was captured."""
        for at, payment_id in enumerate(self.cards):
            payment, operations = await self.here.card_requests.payment(None, payment_id)
            part = pesos(f"{payment.amount.amount / 2:.2f}")
            if any(each.act is Act.CAPTURE for each in operations):
                if at % 3 == 0:
                    await self.here.card_requests.refund("c", None, payment_id, part, once("r"), shown)
                continue
            await self.here.card_requests.capture("c", payment_id, part, once("first"), shown)

    async def work(self) -> None:
        """Every worker in turn, stopped at random, until nothing is due any more."""
        here = self.here
        for _ in range(ROUNDS):
            await self.some(here.cards.lease, here.cards.advance)
            await self.some(here.payouts.lease, here.payouts.advance)
            await self.some(here.attestor.lease, here.attestor.verify)
            await self.some(here.booking.lease, here.booking.book)
            await self.some(here.witness.lease, here.witness.attest)
            await self.some(here.proofs.lease, here.proofs.book)
            await self.some(here.hints.lease, here.hints.apply)
            await here.deliver_commands()
            here.clock.forward(PATIENCE)
        self.fate, kept = Random(0), self.fate
        await here.run_cards()
        self.fate = kept

    async def some(
        self, lease: Callable[[int], Awaitable[Sequence[object]]], step: Callable[..., Awaitable[None]]
    ) -> None:
        for item in await lease(8):

            async def one(item: object = item) -> None:
                try:
                    await step(item)
                except LeaseLost:
                    return

            if self.fate.random() < CRASHES:
                self.crashes += not await survives(one(), self.fate.randrange(1, 30))
            else:
                await one()
            await self.look()

    async def look(self) -> None:
        """Everything that must always hold."""
        self.looks += 1
        for account, balance in self.here.ledger.balances.items():
            assert balance >= 0 or account.startswith("psp/"), (account, balance)
        for says, query in PAYMENTS_ALWAYS.items():
            assert not await self.here.owner.fetch(query), says

    async def hints(self) -> None:
        """Webhooks about everything, some of them twice, in any order."""
        things = (await self.here.psp.ask("GET", "/control/truth"))["things"]
        for thing in self.fate.sample(things * 2, len(things) * 2):
            await self.here.owner.execute(
                "INSERT INTO webhook (source, webhook_id, sent_at, raw, object_id) VALUES ('chaos', $1, now(), '', $2)",
                uuid4().hex,
                thing["id"],
            )

    async def digest(self) -> str:
        """The hash of the books. The text behind it is kept, for when two differ."""
        rows = await self.here.owner.fetch(
            """
            SELECT p.card_token, o.act, o.amount::text, o.state, p.state AS payment
              FROM card_operation o JOIN card_payment p ON p.id = o.payment_id
            UNION ALL SELECT 'withdrawal', rail, amount::text, state, '' FROM withdrawal
            UNION ALL SELECT 'deposit', '', amount::text, state, '' FROM deposit
            ORDER BY 1, 2, 3, 4
            """
        )
        names = {str(self.player): "p", str(self.card_player): "c"}
        balances = {}
        for account, balance in self.here.ledger.balances.items():
            named = account
            for id, name in names.items():
                named = named.replace(id, name)
            balances[named] = str(balance)
        text = json.dumps([[tuple(row) for row in rows], balances], sort_keys=True)
        self.books = text
        return hashlib.sha256(text.encode()).hexdigest()


async def books_agree_with_the_truth(here: World) -> None:
    """What the provider has really moved is booked, or is explained by a conflict, a case or a break."""
    things = (await here.psp.ask("GET", "/control/truth"))["things"]
    for thing in things:
        row = await here.owner.fetchrow(
            "SELECT state, amount FROM card_operation WHERE psp_id = $1", thing["id"]
        )
        ours = Decimal(0)
        if row is not None and row["state"] in ("BOOKED", "SETTLED", "CLEARED"):
            ours = row["amount"] if thing["act"] == "capture" else -row["amount"]
        if thing["act"] not in ("capture", "refund") or ours == Decimal(thing["moved"]):
            continue
        explained = await here.owner.fetchval(
            """
            SELECT EXISTS (SELECT FROM review_case WHERE subject_id = $1)
                OR EXISTS (SELECT FROM card_operation WHERE id = $1 AND state = 'CONFLICTED')
                OR EXISTS (SELECT FROM payout_line WHERE psp_id = $2 AND break_class IS NOT NULL)
            """,
            UUID(thing["key"]),
            thing["id"],
        )
        assert explained, thing


@pytest.mark.timeout(300)
@pytest.mark.parametrize("seed", [1, 2])
async def test_a_day_of_chaos_ends_the_same_however_it_was_interrupted(
    here: World, kept_database: KeptDatabase, seed: int
) -> None:
    first = Chaos(here, seed)
    one = await first.run()
    await books_agree_with_the_truth(here)
    assert first.crashes > 3
    assert first.looks > 100
    await here.psp.ask("POST", "/control/forget")
    await _empty(here, kept_database)
    second = Chaos(here, seed)
    assert await second.run() == one, f"{first.books}\n{second.books}"


async def _empty(here: World, kept: KeptDatabase) -> None:
    """A new day: nothing has happened yet."""
    await kept.forget()
    await here.rail.post("/forget", {})
    await here.rail.put("/behaviour", {})
    here.ledger.entries.clear()
    here.ledger.balances.clear()
    here.ledger.receipts.clear()
    here.clock.forward(timedelta(days=3))
