"""The day itself: who does what, and in which order it comes to rest."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal

import aiohttp
import asyncpg

from tools.paychaos.checks import Auditor, Unsound, superuser
from tools.paychaos.desk import Caller, Json, Provider, Refused
from tools.paychaos.kills import Killer
from tools.paychaos.plan import FUNDS, RICH, RICH_FUNDS, WITHDRAWALS, Kind, Plan, Wish
from tools.paychaos.rest import waiting_for
from tools.raceday.day import home_clabe
from tools.raceday.people import person
from tools.raceday.staff import create
from tools.rail.book import institution_of
from tools.rail.cep import MEXICO_CITY
from tools.stack.described import Stack

REST_SECONDS = 500.0
LOOK_SECONDS = 0.4
LOOKS = 2
"""So often in a row nothing may be left."""
AT_ONCE = 24
DECIDED = frozenset({"BOOKED", "FAILED", "CONFLICTED", "REFUSED"})
"""What a capture is before it is paid out, when the provider's answer is known."""


@dataclass
class Day:
    """A plan carried out on a running stack."""

    stack: Stack
    plan: Plan
    http: aiohttp.ClientSession
    kills: bool
    provider: Provider
    auditor: Auditor
    killer: Killer
    players: list[Caller] = field(default_factory=list)
    cashiers: list[Caller] = field(default_factory=list)
    made: dict[int, Json] = field(default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    @classmethod
    def on(cls, stack: Stack, plan: Plan, http: aiohttp.ClientSession, *, kills: bool) -> Day:
        return cls(stack, plan, http, kills, Provider(stack, http), Auditor(stack), Killer(stack))

    def say(self, text: str) -> None:
        print(f"  seed {self.plan.seed}: {text}", flush=True)

    async def run(self) -> None:
        """Everything, from registration to rest. Raises `Unsound`."""
        await self._people()
        await self._fund()
        stop = asyncio.Event()
        watching = asyncio.create_task(self.auditor.watch(stop))
        killing = asyncio.create_task(self.killer.work(stop)) if self.kills else None
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
        """Every player has a CLABE, and those of transfers money, honestly come by, so that they may withdraw."""
        for caller in self.players:
            await caller.get("/v1/clabe")

        async def fund(number: int) -> None:
            amount = RICH_FUNDS if number < RICH else FUNDS
            deposit = await self._claim_and_transfer(number, f"FUND{number:06}", amount, Decimal(0))
            await self._until(self.players[number], f"/v1/deposits/{deposit['id']}", {"BOOKED"})

        await asyncio.gather(*(fund(number) for number in range(self.plan.spei_players)))
        closed = home_clabe(self.plan.closed)
        await self.provider.rail("PUT", f"/accounts/{closed}", {"state": "closed"})

    async def _claim_and_transfer(
        self, who: int, clave: str, amount: Decimal, lie: Decimal, *, name: str = ""
    ) -> Json:
        """The claim comes first: else it would be a matter of time whether the statement was read before."""
        deposit = await self._claim(who, clave, who, amount)
        await self._transfer(who, clave, amount, lie=lie, name=name)
        return deposit

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

    async def _claim(self, who: int, clave: str, sender: int, amount: Decimal) -> Json:
        claim = {
            "tracking_key": clave,
            "operation_date": self._today(),
            "sender_institution": institution_of(home_clabe(sender)),
            "amount": f"{amount:.2f}",
            "currency": "MXN",
        }
        return await self.players[who].post("/v1/deposits", claim, f"{self.plan.seed}:claim:{who}:{clave}")

    @staticmethod
    def _today() -> str:
        return datetime.now(MEXICO_CITY).date().isoformat()

    async def _ask(self, wish: Wish) -> None:
        """What a wish begins with."""
        caller = self.players[wish.who]
        match wish.kind:
            case Kind.DEPOSIT:
                await self._claim_and_transfer(wish.who, wish.clave, wish.amount, Decimal(0))
            case Kind.DEPOSIT_LIED_ABOUT:
                await self._claim_and_transfer(wish.who, wish.clave, wish.amount, Decimal(5))
            case Kind.DEPOSIT_UNCLAIMED:
                await self._transfer(wish.who, wish.clave, wish.amount)
            case Kind.DEPOSIT_MISNAMED:
                await self._claim_and_transfer(
                    wish.who, wish.clave, wish.amount, Decimal(0), name="OTRA PERSONA CUALQUIERA"
                )
            case Kind.DEPOSIT_STOLEN:
                thief = (wish.who + 1) % self.plan.spei_players
                await asyncio.gather(
                    *(self._claim(who, wish.clave, wish.who, wish.amount) for who in (thief, wish.who))
                )
                await self._transfer(wish.who, wish.clave, wish.amount)
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
        body = {
            "clabe": home_clabe(wish.who),
            "beneficiary_name": caller.who.full_name,
            "amount": f"{wish.amount:.2f}",
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
                await self._capture_in_parts(desk, wish, id)
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

    async def _capture_in_parts(self, desk: Caller, wish: Wish, id: str) -> None:
        """One after the other: what is left for the second depends on what the provider made of the first."""
        for amount in (wish.then, wish.amount - wish.then - Decimal("0.01")):
            await self._try(desk, f"/v1/cashier/card-payments/{id}/captures", amount, wish, "capture")
            for _ in range(1200):
                told = await self.players[wish.who].get(f"/v1/card-payments/{id}")
                if all(each["status"] in DECIDED for each in told["operations"] if each["act"] == "capture"):
                    break
                await asyncio.sleep(0.1)
            else:
                raise Unsound(f"a capture of {id} is never decided")

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

    async def _queue(self, query: dict[str, str]) -> list[Json]:
        """Every case of a sort that is open."""
        found: list[Json] = []
        page: str | None = ""
        while page is not None:
            path = f"/v1/cashier/cases?limit=100&subject={query['subject']}{page}"
            told = await self.cashiers[0].get(path)
            found += told["items"]
            page = told["next"] and f"&after={told['next']}"
        return found

    async def _decide_cases(self, query: dict[str, str], verdict: Callable[[Json], str | None]) -> None:
        """Two cashiers decide every case of a sort for which there is a verdict."""
        one, other = self.cashiers
        for case in await self._queue(query):
            decision = verdict(case)
            if decision is None:
                continue
            seen = {"decision": decision}
            if decision == "assign":
                seen["player"] = self.players[0].id
            path = f"/v1/cashier/cases/{case['id']}"
            try:
                wanted = seen | {"note": "by plan"}
                proposed = await one.post(f"{path}/proposal", wanted, f"{case['id']}:propose")
                seen["proposal"] = proposed["proposal"]
                await other.post(f"{path}/approval", seen, f"{case['id']}:approve")
            except Refused as refused:
                if refused.slug != "decision-impossible":
                    raise

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
        """Wait until nothing is left to be done or heard. Raises `Unsound` if it does not come to that."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        quiet, waiting = 0, ["?"]
        while quiet < LOOKS:
            self.auditor.verdict()
            if loop.time() - began > REST_SECONDS:
                raise Unsound(f"{what} never came to rest: {waiting}")
            try:
                waiting = await waiting_for(self.stack, self.provider, self.began)
            except (OSError, asyncpg.PostgresError, TimeoutError) as error:
                waiting = [repr(error)]
            quiet = 0 if waiting else quiet + 1
            await asyncio.sleep(LOOK_SECONDS)
        self.say(
            f"{what}: at rest after {loop.time() - began:.1f} s, "
            f"{self.killer.killed.total()} kills, {self.auditor.looks} looks"
        )

    async def _until(self, caller: Caller, path: str, ends: set[str]) -> Json:
        told: Json = {}
        for _ in range(600):
            told = await caller.get(path)
            if told["status"] in ends:
                return told
            await asyncio.sleep(0.1)
        raise Unsound(f"{path} is {told.get('status')}")
