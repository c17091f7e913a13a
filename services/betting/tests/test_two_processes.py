"""Two processes of betting on one database, each killed and frozen at any moment, and everybody betting at either.

Whoever asks goes on asking, under the same key, at whichever process answers. Afterwards the events, replayed, are a book in
which nobody was passed and nothing crossed.
"""

import asyncio
import os
import random
import signal
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import aiohttp
import asyncpg
import pytest
from betting.api.registry_views import StableView, SuspensionView
from betting.domain.ids import StableId, UserId
from betting.domain.ratios import LADDER
from betting.service.calls import Call
from betting.store.suspensions import Scope, Suspension
from common.idempotency import Answer
from common.signing import SigningKey
from common.testing import Database

from services.betting.tests.asking import JUDGES, call, insist, keep
from services.betting.tests.fake_ledger import API_KEY, FakeIdentity, FakeLedger, Mood
from services.betting.tests.floors import Floor
from services.betting.tests.replayed import replayed
from services.betting.tests.venue import Venue

SECONDS = 20.0
BETTORS, PESOS = 14, 1_500
RATIOS = (*LADDER, *LADDER[11:18] * 3)
NOT_YET = {"offer-pending", "idempotency-key-in-flight", "overloaded"}


@dataclass
class Server:
    """A process of betting's, which is started again whenever it has been killed."""

    port: int
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = None
    kills: int = 0

    async def begin(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "betting", env=os.environ | self.environment
        )
        async with asyncio.timeout(60):
            while self.process.returncode is None:
                with suppress(OSError):
                    _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                    writer.close()
                    return
                await asyncio.sleep(0.05)
        raise AssertionError("it ended by itself")

    async def kill(self) -> None:
        assert self.process is not None
        assert self.process.returncode is None, "it ended by itself"
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        await self.process.wait()
        self.kills += 1

    async def freeze(self, seconds: float) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def two_servers(
    database: Database, ledger: FakeLedger, identity: FakeIdentity
) -> AsyncIterator[tuple[Server, Server]]:
    settings = {
        "DATABASE_DSN": database.dsn("betting_app"),
        "LEDGER_URL": ledger.url,
        "LEDGER_API_KEY": API_KEY,
        "LEDGER_SIGNING_KEY": SigningKey("test", bytes(32)).written(),
        "LEDGER_TIMEOUT_SECONDS": "0.5",
        "IDENTITY_URL": identity.url,
        "PATIENCE_SECONDS": "0.5",
        "SWEEP_SECONDS": "0.2",
        "DEADLINE_SECONDS": "0.1",
        "LOG_LEVEL": "ERROR",
    }
    ports = free_port(), free_port()
    one, other = (Server(port, settings | {"PORT": str(port)}) for port in ports)
    await asyncio.gather(one.begin(), other.begin())
    try:
        yield one, other
    finally:
        for server in (one, other):
            await server.kill()


@dataclass
class Asked:
    """A request, and its definitive answer."""

    method: str
    path: str
    body: Any
    key: str
    user: UserId
    status: int = 0
    told: Any = None


@dataclass
class Hammer:
    venue: Venue
    identity: FakeIdentity
    http: aiohttp.ClientSession
    servers: Sequence[Server]
    floors: list[Floor]
    people: list[UserId]
    seed: int
    asked: list[Asked] = field(default_factory=list)
    versions: dict[UUID, int] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    stops: list[tuple[Scope, UUID | None, datetime, datetime]] = field(default_factory=list)
    over: bool = False

    async def ask(self, dice: random.Random, method: str, path: str, body: Any, user: UserId) -> Asked:
        asked = Asked(method, path, body, f"h-{self.seed}-{len(self.asked)}", user)
        self.asked.append(asked)
        await self.answer(dice, asked)
        slug = asked.told.get("type", "").rpartition("/")[2] if asked.status >= 400 else ""
        name = "cancel" if method == "DELETE" else path.split("/")[-1]
        self.counts[f"{name} {slug or asked.status}"] += 1
        return asked

    async def answer(self, dice: random.Random, asked: Asked) -> None:
        """Go on until it is definitive."""
        while True:
            server = dice.choice(self.servers)
            headers = {
                "Authorization": f"Bearer {self.identity.token(asked.user, 'bettor')}",
                "Idempotency-Key": asked.key,
            }
            try:
                async with self.http.request(
                    asked.method,
                    f"http://127.0.0.1:{server.port}{asked.path}",
                    json=asked.body,
                    headers=headers,
                ) as answer:
                    told = await answer.json(content_type=None)
                    slug = (told or {}).get("type", "").rpartition("/")[2] if answer.status >= 400 else ""
                    if answer.status == 500:
                        raise AssertionError(f"{asked} failed: {told}")
                    if answer.status < 500 and slug not in NOT_YET:
                        asked.status, asked.told = answer.status, told
                        return
            except (aiohttp.ClientError, TimeoutError, ValueError):
                self.counts["no answer"] += 1
            await asyncio.sleep(0.05)

    async def trade(self, number: int) -> None:
        dice = random.Random(f"{self.seed}:{number}")
        mine: list[tuple[str, UserId]] = []
        while not self.over:
            await asyncio.sleep(dice.random() * 0.05)
            user, roll = dice.choice(self.people), dice.random()
            if roll < 0.15 and mine:
                id, whose = dice.choice(mine[-10:])
                await self.ask(dice, "DELETE", f"/v1/offers/{id}", None, whose)
            elif roll < 0.17:
                await self.ask(dice, "POST", "/v1/offers/cancel", {"market_id": None}, user)
            elif roll < 0.24:
                await self.challenged(dice)
            else:
                asked = await self.ask(dice, "POST", "/v1/offers", self.wanted(dice, user), user)
                if asked.status == 201:
                    mine.append((asked.told["id"], user))

    def wanted(self, dice: random.Random, user: UserId) -> dict[str, Any]:
        floor, ratio = dice.choice(self.floors), dice.choice(RATIOS)
        stake = ratio.risk * dice.randint(100 // ratio.risk + 1, 9_000 // ratio.risk)
        more: dict[str, Any] = {}
        match dice.randrange(10):
            case 0:
                more = {"fill_or_kill": True}
            case 1:
                more = {"min_fill": f"{max(1, stake // 3) / 100:.2f}"}
            case 2:
                at = self.venue.clock() + timedelta(milliseconds=dice.randint(20, 2_000))
                more = {"expires_at": at.isoformat()}
            case 3:
                more = {"challenges": str(dice.choice([each for each in self.people if each != user]))}
            case _:
                pass
        return self.offer(floor, dice.randrange(2), ratio.risk, ratio.win, stake, more)

    def offer(
        self, floor: Floor, side: int, risk: int, win: int, stake: int, more: dict[str, Any]
    ) -> dict[str, Any]:
        return {
            "market_id": str(floor.market.id),
            "market_version": self.versions.get(floor.market.id, 1),
            "runner_id": str(floor.race.runners[side].id),
            "risk": risk,
            "win": win,
            "stake": f"{stake / 100:.2f}",
            "currency": "MXN",
            "repeat": True,
            **more,
        }

    async def challenged(self, dice: random.Random) -> None:
        rows = await self.venue.owner.fetch(
            "SELECT * FROM offer WHERE challenges IS NOT NULL AND status IN ('OPEN', 'PARTIAL') LIMIT 20"
        )
        if not rows:
            return
        row = dice.choice(rows)
        if dice.random() < 0.3:
            path = f"/v1/challenges/{row['id']}/decline"
            await self.ask(dice, "POST", path, {}, row["challenges"])
            return
        floor = next(each for each in self.floors if each.market.id == row["market_id"])
        side, risk, win = int(row["side"] == "A"), row["win"], row["risk"]
        stake = risk * dice.randint(100 // risk + 1, 9_000 // risk)
        await self.ask(
            dice, "POST", "/v1/offers", self.offer(floor, side, risk, win, stake, {"answers": str(row["id"])}),
            row["challenges"],
        )  # fmt: skip

    async def strike(self, number: int) -> None:
        dice, server = random.Random(f"{self.seed}:strikes:{number}"), self.servers[number]
        while not self.over:
            await asyncio.sleep(dice.uniform(0.2, 3.0))
            if dice.random() < 0.6:
                await server.kill()
                await server.begin()
            else:
                await server.freeze(dice.uniform(0.05, 1.5))

    async def interfere(self) -> None:
        """Suspend this and that for a moment; or the ledger is in a mood."""
        dice = random.Random(f"{self.seed}:steward")
        while not self.over:
            await asyncio.sleep(dice.uniform(0.1, 0.8))
            match dice.randrange(4):
                case 0:
                    self.venue.ledger.mood = dice.choice((Mood.MUTE, Mood.DEAF, Mood.BUSY, Mood.UNDECIDED))
                    await asyncio.sleep(dice.uniform(0.05, 0.4))
                    self.venue.ledger.mood = Mood.WELL
                case 1:
                    await self.suspend(Scope.MARKET, dice.choice(self.floors).market.id, dice.uniform(0, 0.2))
                case 2:
                    await self.suspend(Scope.USER, dice.choice(self.people), dice.uniform(0, 0.2))
                case _:
                    await self.suspend(Scope.GLOBAL, None, dice.uniform(0, 0.2))

    async def suspend(self, scope: Scope, subject: UUID | None, seconds: float) -> None:
        """A suspension waits for whoever has a market: also for a process that is frozen."""
        found: list[Suspension] = []
        imposing = call(JUDGES[0])

        def show(suspension: Suspension) -> Answer:
            return keep(found, suspension, SuspensionView.of)

        await insist(lambda: self.venue.suspending.impose(imposing, scope, subject, "protest", show))
        since = self.venue.clock()
        await asyncio.sleep(seconds)
        self.stops.append((scope, subject, since, self.venue.clock()))
        lifting = call(JUDGES[0])
        await insist(lambda: self.venue.suspending.lift(lifting, found[-1].id, "over", show))

    async def look(self) -> None:
        while not self.over:
            for row in await self.venue.owner.fetch("SELECT id, version FROM market"):
                self.versions[row["id"]] = row["version"]
            await asyncio.sleep(0.02)

    async def fill_a_stable(self) -> None:
        dice = random.Random(f"{self.seed}:stable")
        stable = await self.venue.stable("Cuadra Reyna", self.people[0])
        for person in self.people[1:5]:
            await asyncio.sleep(dice.uniform(0.5, SECONDS / 4))
            await insist(partial(self.join, call(JUDGES[0]), stable, person))

    async def join(self, joining: Call, stable: StableId, person: UserId) -> Answer:
        return await self.venue.registry.add_member(
            joining, stable, person, "GROOM", lambda each: Answer.of(StableView.of(each))
        )

    async def ask_again(self) -> None:
        """What was done is answered as it was."""
        dice = random.Random(self.seed)
        for asked in self.placed():
            again = replace(asked, status=0, told=None)
            await self.answer(dice, again)
            assert again == asked

    def placed(self) -> list[Asked]:
        return [each for each in self.asked if each.path == "/v1/offers" and each.status == 201]

    def check_answers(self, by_key: Mapping[str, "asyncpg.Record"]) -> None:
        for asked in self.placed():
            row, told = by_key[asked.key], asked.told
            assert str(row["id"]) == told["id"]
            assert row["matched"] >= Decimal(told["matched"])
            if asked.body.get("fill_or_kill"):
                assert row["matched"] == 0 or row["stake"] - row["matched"] < Decimal("0.20")

    async def run(self) -> None:
        async def time_over() -> None:
            await asyncio.sleep(SECONDS)
            self.over = True

        await asyncio.gather(
            time_over(), self.strike(0), self.strike(1), self.interfere(), self.look(), self.fill_a_stable(),
            *(self.trade(number) for number in range(12)),
        )  # fmt: skip


@pytest.mark.drill
@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_two_processes(
    venue: Venue, database: Database, ledger: FakeLedger, identity: FakeIdentity, seed: int
) -> None:
    floors = [await venue.market(bps=333) for _ in range(4)]
    people = [venue.bettor(f"{PESOS}.00") for _ in range(BETTORS)]
    async with (
        two_servers(database, ledger, identity) as servers,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=3)) as http,
    ):
        hammer = Hammer(venue, identity, http, servers, floors, people, seed)
        await hammer.run()
        await venue.suspending.keep_step()
        await venue.sweep()
        await hammer.ask_again()
        kills = [server.kills for server in servers]
        sys.stderr.write(f"seed {seed}: killed {kills}, {dict(sorted(hammer.counts.items()))}\n")
    await venue.deliver()
    rows = await venue.owner.fetch("SELECT * FROM offer")
    assert not [row for row in rows if row["status"] == "PENDING"]
    hammer.check_answers({row["idempotency_key"]: row for row in rows})
    assert replayed(venue.heard, rows) == []
    bets = await venue.owner.fetch("SELECT * FROM fill")
    assert bets
    for scope, subject, since, until in hammer.stops:
        for bet in bets:
            reached = scope is Scope.GLOBAL or subject in (
                bet["market_id"],
                bet["maker_user"],
                bet["taker_user"],
            )
            assert not (reached and since < bet["matched_at"] < until)
    for floor in floors:
        await floor.finish(seed % 2)
        assert await floor.status() == "SETTLED"
    assert venue.books.everything == BETTORS * PESOS
    await venue.check_money()
    venue.check_history()
