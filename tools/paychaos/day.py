"""The day itself: who does what, and in which order it comes to rest."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg

from tools.paychaos.checks import Auditor, Unsound, resting, superuser
from tools.paychaos.desk import Caller, Json, Provider, Refused, Stack
from tools.paychaos.plan import BIG, FUNDS, RICH_FUNDS, WITHDRAWALS, Kind, Plan, Wish
from tools.raceday.day import home_clabe
from tools.raceday.people import person
from tools.raceday.staff import create

VICTIMS = (
    "payments",
    "attestor",
    "ledger",
    "ledger-receipts",
    "relay-payments",
    "relay-ledger",
    "payments",
    "attestor",
)
REST_SECONDS = 500.0
AT_ONCE = 24


@dataclass
class Day:
    """A plan carried out on a running stack."""

    stack: Stack
    plan: Plan
    http: aiohttp.ClientSession
    kills: bool
    provider: Provider
    auditor: Auditor
    players: list[Caller] = field(default_factory=list)
    cashiers: list[Caller] = field(default_factory=list)
    made: dict[int, Json] = field(default_factory=dict)
    killed: int = 0

    @classmethod
    def on(cls, stack: Stack, plan: Plan, http: aiohttp.ClientSession, *, kills: bool) -> Day:
        return cls(stack, plan, http, kills, Provider(stack, http), Auditor(stack))

    def say(self, text: str) -> None:
        print(f"  seed {self.plan.seed}: {text}", flush=True)

    async def run(self) -> None:
        """Everything, from registration to rest. Raises `Unsound`."""
        await self._people()
        await self._fund()
        stop = asyncio.Event()
        watching = asyncio.create_task(self.auditor.watch(stop))
        killing = asyncio.create_task(self._kill_at_random(stop)) if self.kills else None
        try:
            await self.provider.all_faults(self.plan.seed)
            await self._act("asked for", self._ask, self.plan.wishes)
            await self._rest("everything asked for")
            await self._act("carried on with", self._carry_on, self.plan.wishes)
            await self._rest("everything carried on with")
            await self.provider.psp("POST", "/control/late")
            await self._rest("what came late")
            for _ in range(2):
                await self.provider.psp("POST", "/control/payout")
                await self._files_are_in()
                await self._rest("a payout")
            await self._decide()
            await self._rest("what people decided")
        finally:
            stop.set()
            await asyncio.gather(watching, *([killing] if killing else []))
        await self.provider.no_transport_faults()
        await self.auditor.look()
        self.auditor.verdict()

    async def _people(self) -> None:
        """Players and two cashiers, registered and logged in."""
        self.players = [Caller(self.stack, self.http, person(number)) for number in range(self.plan.players)]
        gate = asyncio.Semaphore(4)

        async def enter(caller: Caller) -> None:
            async with gate:
                await caller.enter(register=True)

        await asyncio.gather(*(enter(each) for each in self.players))
        for number in range(2):
            who = await create(self.stack, person(500 + number, "cashier"), "cashier")
            self.cashiers.append(Caller(self.stack, self.http, who))
            await self.cashiers[-1].enter(register=False)

    async def _fund(self) -> None:
        """Every player of transfers has money, honestly come by, and so a CLABE to withdraw to."""

        async def fund(number: int) -> None:
            amount = RICH_FUNDS if number < 3 else FUNDS
            deposit = await self._transfer_and_claim(number, f"FUND{number:06}", amount, Decimal(0))
            await self._until(self.players[number], f"/v1/deposits/{deposit['id']}", {"BOOKED"})

        await asyncio.gather(*(fund(number) for number in range(self.plan.spei_players)))
        for caller in self.players:
            await caller.get("/v1/clabe")

    async def _transfer_and_claim(self, who: int, clave: str, amount: Decimal, lie: Decimal) -> Json:
        told = await self._transfer(who, clave, amount, lie=lie)
        return await self._claim(who, told, amount)

    async def _transfer(
        self,
        who: int,
        clave: str,
        amount: Decimal,
        *,
        lie: Decimal = Decimal(0),
        name: str = "",
        clabe: str = "",
    ) -> Json:
        caller = self.players[who]
        return await self.provider.rail(
            "POST",
            "/transfers",
            {
                "beneficiary_clabe": clabe or (await caller.get("/v1/clabe"))["clabe"],
                "ordering_clabe": home_clabe(who),
                "ordering_name": name or caller.who.full_name.upper(),
                "amount": f"{amount:.2f}",
                "clave": clave,
            }
            | ({"statement_amount": f"{amount + lie:.2f}"} if lie else {}),
        )

    async def _claim(self, who: int, transfer: Json, amount: Decimal) -> Json:
        claim = {
            "tracking_key": transfer["clave"],
            "operation_date": transfer["operation_date"],
            "sender_institution": transfer["institution"],
            "amount": f"{amount:.2f}",
            "currency": "MXN",
        }
        key = f"{self.plan.seed}:claim:{who}:{transfer['clave']}"
        return await self.players[who].post("/v1/deposits", claim, key)

    async def _ask(self, wish: Wish) -> None:
        """What a wish begins with."""
        caller = self.players[wish.who]
        match wish.kind:
            case Kind.DEPOSIT:
                self.made[wish.number] = await self._transfer_and_claim(
                    wish.who, wish.clave, wish.amount, Decimal(0)
                )
            case Kind.DEPOSIT_LIED_ABOUT:
                self.made[wish.number] = await self._transfer_and_claim(
                    wish.who, wish.clave, wish.amount, Decimal(5)
                )
            case Kind.DEPOSIT_UNCLAIMED:
                await self._transfer(wish.who, wish.clave, wish.amount)
            case Kind.DEPOSIT_MISNAMED:
                told = await self._transfer(wish.who, wish.clave, wish.amount, name="OTRA PERSONA CUALQUIERA")
                self.made[wish.number] = await self._claim(wish.who, told, wish.amount)
            case Kind.DEPOSIT_STOLEN:
                told = await self._transfer(wish.who, wish.clave, wish.amount)
                thief = (wish.who + 1) % self.plan.spei_players
                await asyncio.gather(
                    self._claim(thief, told, wish.amount), self._claim(wish.who, told, wish.amount)
                )
            case Kind.UNKNOWN_CLABE:
                await self._transfer(wish.who, wish.clave, wish.amount, clabe="646180157099999993")
            case kind if kind in WITHDRAWALS:
                self.made[wish.number] = await self._withdraw(caller, wish)
            case _:
                capture = wish.kind not in (Kind.CARD_PARTS, Kind.CARD_VOID, Kind.CARD_EXPIRES)
                body = {
                    "amount": f"{wish.amount:.2f}",
                    "currency": "MXN",
                    "card_token": wish.token,
                    "capture": capture,
                }
                self.made[wish.number] = await caller.post(
                    "/v1/card-payments", body, f"{self.plan.seed}:card:{wish.number}"
                )

    async def _withdraw(self, caller: Caller, wish: Wish) -> Json:
        clabe = home_clabe(wish.who)
        big = wish.number % 40 == 7 and wish.who < 3
        body = {
            "clabe": clabe,
            "beneficiary_name": caller.who.full_name,
            "amount": f"{(wish.amount + BIG) if big else wish.amount:.2f}",
            "currency": "MXN",
            "rail": "ted" if wish.kind is Kind.WITHDRAWAL_TED else "spei",
        }
        return await caller.post("/v1/withdrawals", body, f"{self.plan.seed}:withdraw:{wish.number}")

    async def _carry_on(self, wish: Wish) -> None:
        """What comes after everything asked for is at rest."""
        if wish.number not in self.made:
            return
        id, desk = self.made[wish.number]["id"], self.cashiers[wish.number % 2]
        match wish.kind:
            case Kind.CARD_PARTS:
                rest = wish.amount - wish.then - Decimal("0.01")
                for amount in (wish.then, rest):
                    await self._try(desk, f"/v1/cashier/card-payments/{id}/captures", amount, wish, "capture")
            case Kind.CARD_VOID:
                await self._try(desk, f"/v1/cashier/card-payments/{id}/void", None, wish, "void")
            case Kind.CARD_REFUND | Kind.CARD_REFUND_FAILS:
                await self._try(desk, f"/v1/cashier/card-payments/{id}/refunds", wish.then, wish, "refund")
            case Kind.WITHDRAWAL_RETURNED:
                withdrawal = await self.players[wish.who].get(f"/v1/withdrawals/{id}")
                if withdrawal["status"] == "BOOKED":
                    await self.provider.rail("POST", f"/orders/{withdrawal['tracking_key']}/return")
            case kind if kind in WITHDRAWALS:
                await self._review(wish, id)
            case _:
                return

    async def _try(self, desk: Caller, path: str, amount: Decimal | None, wish: Wish, what: str) -> None:
        """Something that may be impossible by now, by what the provider did."""
        body = None if amount is None else {"amount": f"{amount:.2f}", "currency": "MXN"}
        try:
            await desk.post(path, body, f"{self.plan.seed}:{what}:{wish.number}:{amount}")
        except Refused:
            return

    async def _review(self, wish: Wish, id: str) -> None:
        """A withdrawal under review: cancelled by its player, approved or rejected by two cashiers."""
        caller = self.players[wish.who]
        if (await caller.get(f"/v1/withdrawals/{id}"))["status"] != "REVIEW":
            return
        if wish.number % 3 == 0:
            await caller.post(
                f"/v1/withdrawals/{id}/cancellation", None, f"{self.plan.seed}:cancel:{wish.number}"
            )
            return
        decision = "approve" if wish.number % 3 == 1 else "reject"
        await self._decide_cases(
            {"subject": "withdrawal"}, lambda case: decision if case["subject_id"] == id else None
        )

    async def _decide(self) -> None:
        """What is left to people: money in suspense and quarantined deposits."""
        await self._decide_cases({"subject": "deposit"}, lambda _: "reject")
        numbers = {wish.clave: wish.number for wish in self.plan.wishes}
        claves = await self._claves_of_arrivals()

        def arrival(case: Json) -> str | None:
            number = numbers.get(claves.get(case["subject_id"], ""), 0)
            if case["reason"] not in ("unknown-clabe", "name-differs"):
                return None
            return "assign" if number % 2 else "return"

        await self._decide_cases({"subject": "arrival"}, arrival)

    async def _claves_of_arrivals(self) -> dict[str, str]:
        connection = await asyncpg.connect(superuser(self.stack, "payments"))
        try:
            return {
                str(row["id"]): row["clave"]
                for row in await connection.fetch("SELECT id, clave FROM arrival")
            }
        finally:
            await connection.close()

    async def _decide_cases(self, query: dict[str, str], verdict: Callable[[Json], str | None]) -> None:
        """Two cashiers decide every case of a sort for which there is a verdict."""
        one, other = self.cashiers
        found = (await one.get(f"/v1/cashier/cases?limit=200&subject={query['subject']}"))["items"]
        for case in found:
            decision = verdict(case)
            if decision is None:
                continue
            body = {"decision": decision, "note": "by plan"}
            if decision == "assign":
                body["player"] = self.players[0].id
            path = f"/v1/cashier/cases/{case['id']}"
            try:
                await one.post(f"{path}/proposal", body, f"{case['id']}:propose")
                await other.post(f"{path}/approval", None, f"{case['id']}:approve")
            except Refused as refused:
                if refused.slug != "decision-impossible":
                    raise

    async def _files_are_in(self) -> None:
        """Wait until payments has every settlement file that there is."""
        published = 0
        connection = await asyncpg.connect(superuser(self.stack, "payments"))
        try:
            for _ in range(600):
                truth = await self.provider.psp("GET", "/control/truth")
                published = len({each["paid_out"] for each in truth["things"] if each["paid_out"]})
                if await connection.fetchval("SELECT count(*) FROM payout_file") >= published:
                    return
                await asyncio.sleep(0.1)
        finally:
            await connection.close()
        raise Unsound(f"not all of {published} settlement files were imported")

    async def _act(self, what: str, step: Callable[[Wish], Awaitable[None]], wishes: Iterable[Wish]) -> None:
        gate = asyncio.Semaphore(AT_ONCE)
        began = asyncio.get_running_loop().time()

        async def one(wish: Wish) -> None:
            async with gate:
                await step(wish)

        async with asyncio.TaskGroup() as group:
            for wish in wishes:
                group.create_task(one(wish))
        self.say(f"{what} in {asyncio.get_running_loop().time() - began:.1f} s")

    async def _rest(self, what: str) -> None:
        """Wait until nothing moves any more by itself. Raises `Unsound` if it does not come to that."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        quiet, waiting = 0, ["?"]
        while quiet < 3:
            self.auditor.verdict()
            if loop.time() - began > REST_SECONDS:
                raise Unsound(f"{what} never came to rest: {waiting}")
            try:
                waiting = await resting(self.stack)
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                waiting = [repr(error)]
            told = await self.provider.psp("GET", "/control/truth")
            if told["webhooks_waiting"]:
                waiting.append("webhooks on their way")
            quiet = 0 if waiting else quiet + 1
            await asyncio.sleep(0.7)
        self.say(
            f"{what}: at rest after {loop.time() - began:.1f} s, {self.killed} kills, {self.auditor.looks} looks"
        )

    async def _kill_at_random(self, stop: asyncio.Event) -> None:
        """kill -9, one of ours at a time. The supervisor starts it again; only then is the next one killed, so that
        a slow machine makes a slow day and not one that never ends."""
        dice = random.Random()  # when and whom is not drawn from the seed, on purpose
        while not stop.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), 0.4 + dice.random() * 2.0)
                return
            victim = dice.choice(VICTIMS)
            self.killed += await self._order("kill", victim, signal="KILL")
            await self._order("wait", victim)

    async def _order(self, act: str, process: str, **more: str) -> bool:
        """An order to the supervisor; whether it was carried out."""
        reader, writer = await asyncio.open_unix_connection(self.stack["control"])
        try:
            writer.write(json.dumps({"act": act, "process": process, **more}).encode() + b"\n")
            return "error" not in json.loads(await reader.readline() or b'{"error": "gone"}')
        finally:
            writer.close()

    async def _until(self, caller: Caller, path: str, ends: set[str]) -> Json:
        told: Json = {}
        for _ in range(600):
            told = await caller.get(path)
            if told["status"] in ends:
                return told
            await asyncio.sleep(0.1)
        raise Unsound(f"{path} is {told.get('status')}")


async def outcome(stack: Stack, day: Day) -> dict[str, Any]:
    """What became of everything, under names that are the same in every run: what the final hash is over."""
    numbers = {caller.id: f"player-{at}" for at, caller in enumerate(day.players)}
    connection = await asyncpg.connect(superuser(stack, "payments"))
    try:
        cards = await connection.fetch(
            "SELECT card_token, state, captured::text, refunding::text FROM card_payment ORDER BY card_token"
        )
        operations = await connection.fetch(
            """
            SELECT p.card_token || ':' || o.act || ':' || o.amount AS label, o.state,
                   CASE WHEN o.state IN ('CONFLICTED', 'FAILED', 'RELEASED') THEN o.reason END AS reason
              FROM card_operation o JOIN card_payment p ON p.id = o.payment_id ORDER BY 1, 2
            """
        )
        deposits = await connection.fetch("SELECT clave, player::text, state FROM deposit ORDER BY 1, 2")
        arrivals = await connection.fetch("SELECT clave, state FROM arrival ORDER BY 1")
        withdrawals = await connection.fetch(
            "SELECT player::text, amount::text, rail, state FROM withdrawal ORDER BY amount, player"
        )
        breaks = await connection.fetch(
            "SELECT kind, amount::text, break_class FROM payout_line WHERE break_class IS NOT NULL ORDER BY 1, 2, 3"
        )
    finally:
        await connection.close()
    ledger = await asyncpg.connect(superuser(stack, "ledger"))
    try:
        balances = await ledger.fetch(
            "SELECT path, trim_scale(amount)::text AS amount FROM account JOIN balance ON account_id = id ORDER BY path"
        )
    finally:
        await ledger.close()

    def named(text: str) -> str:
        for id, name in numbers.items():
            text = text.replace(id, name)
        return text

    return {
        "cards": [tuple(row) for row in cards],
        "operations": [tuple(row) for row in operations],
        "deposits": sorted((row["clave"], named(row["player"]), row["state"]) for row in deposits),
        "arrivals": [tuple(row) for row in arrivals],
        "withdrawals": sorted(
            (named(row["player"]), row["amount"], row["rail"], row["state"]) for row in withdrawals
        ),
        "breaks": [tuple(row) for row in breaks],
        "balances": sorted((named(row["path"]), row["amount"]) for row in balances if row["amount"] != "0"),
    }
