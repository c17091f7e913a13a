"""Responsible gaming in the money path: a player with a policy stays within it, whoever asks, however many at once."""

from __future__ import annotations

import asyncio
import random
import re
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, Literal
from uuid import uuid4

import asyncpg
import pytest
from common.errors import Unavailable
from common.testing import Database
from hypothesis import given
from hypothesis import strategies as st
from ledger.domain import limits
from ledger.domain.books import Account
from ledger.domain.chart import AccountClass, Chart, Kind, Side
from ledger.domain.commands import Command
from ledger.domain.refusals import LimitExceeded, LimitNotReady, LimitsUnread, PlayerBlocked
from ledger.domain.standings import Cap, Count, Standing
from ledger.store.limits import set_policy

from services.ledger.tests.door import Door, Json
from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    Bank,
    a_key,
    connected,
    deposit,
    hold,
    match,
    open_bank,
    posted,
    refused,
    release,
    settle,
    wrong_memories,
)

HUNDRED = Decimal(100)


async def policy(
    bank: Bank, player: str, *caps: tuple[str, str, int], version: int = 1, until: datetime | None = None
) -> int:
    """Set a player's caps: (measure, period, pesos)."""
    told = [Cap(measure, period, "MXN", Decimal(amount)) for measure, period, amount in caps]
    async with bank.pool.acquire() as connection:
        return await set_policy(connection, 1, PRINCIPAL, player, version, until, told)


async def staked(bank: Bank, player: str, period: str = "day") -> Decimal:
    async with connected(bank.database, "ledger_reader") as connection:
        count: Decimal = await connection.fetchval(
            "SELECT staked FROM player_count WHERE player = $1 AND period = $2", player, period
        )
    return count


@pytest.fixture
async def rich(bank: Bank) -> str:
    """A player with money and no policy."""
    return await bank.fund("10000.00")


async def bet(bank: Bank, player: str, amount: int) -> str:
    """What became of a stake."""
    return refused(await bank.engine.post(hold(player, Decimal(amount), str(uuid4()), uuid4())))


async def test_a_stake_up_to_the_cap_and_not_beyond(bank: Bank, rich: str) -> None:
    await policy(bank, rich, ("stake", "day", 100))
    assert [await bet(bank, rich, 60) for _ in range(2)] == ["posted", "limit-exceeded"]
    assert await bet(bank, rich, 40) == "posted"
    assert await bet(bank, rich, 1) == "limit-exceeded"
    assert await staked(bank, rich) == HUNDRED
    await bank.check()


async def test_what_was_staked_before_the_policy_counts(bank: Bank, rich: str) -> None:
    assert await bet(bank, rich, 90) == "posted"
    await policy(bank, rich, ("stake", "day", 100))
    assert await bet(bank, rich, 20) == "limit-exceeded"
    assert await bet(bank, rich, 10) == "posted"


async def test_what_comes_back_unmatched_was_not_staked(bank: Bank, rich: str) -> None:
    await policy(bank, rich, ("stake", "day", 100))
    market, offer = str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(rich, HUNDRED, market, offer)))
    assert await bet(bank, rich, 1) == "limit-exceeded"
    assert posted(await bank.engine.post(release(rich, HUNDRED, market, offer)))
    assert await bet(bank, rich, 100) == "posted"


async def test_a_loss_is_what_was_staked_and_did_not_come_back(bank: Bank, rich: str) -> None:
    """Matched and settled: a winner may go on, a loser is at the limit; neither is stopped half-way."""
    other, market, offers = await bank.fund("1000.00"), str(uuid4()), [uuid4(), uuid4()]
    for player in (rich, other):
        await policy(bank, player, ("loss", "week", 100))
    for player, offer in ((rich, offers[0]), (other, offers[1])):
        assert posted(await bank.engine.post(hold(player, HUNDRED, market, offer)))
        assert await bet(bank, player, 1) == "limit-exceeded"
    sides = ((rich, offers[0], HUNDRED), (other, offers[1], HUNDRED))
    assert posted(await bank.engine.post(match(market, *sides)))
    assert posted(await bank.engine.post(settle(market, {f"players/{rich}/available": Decimal(200)})))
    assert await bet(bank, rich, 200) == "posted"
    assert await bet(bank, other, 1) == "limit-exceeded"


async def test_a_deposit_beyond_the_cap_is_refused_and_a_smaller_one_is_not(bank: Bank) -> None:
    player = await bank.fund("50.00")
    await policy(bank, player, ("deposit", "month", 100))
    for amount, outcome in ((60, "limit-exceeded"), (50, "posted"), (1, "limit-exceeded")):
        receipt = await bank.receipt(player, Decimal(amount))
        assert refused(await bank.engine.post(deposit(player, Decimal(amount), receipt))) == outcome


async def test_who_is_blocked_stakes_and_deposits_nothing_and_gets_what_is_theirs(
    bank: Bank, rich: str
) -> None:
    market, offer = str(uuid4()), uuid4()
    assert posted(await bank.engine.post(hold(rich, HUNDRED, market, offer)))
    await policy(bank, rich, until=datetime.now(UTC) - timedelta(seconds=1))
    assert await bet(bank, rich, 1) == "posted"
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await policy(bank, rich, version=2, until=tomorrow)
    assert await bet(bank, rich, 1) == "player-blocked"
    receipt = await bank.receipt(rich, HUNDRED)
    assert refused(await bank.engine.post(deposit(rich, HUNDRED, receipt))) == "player-blocked"
    assert posted(await bank.engine.post(release(rich, HUNDRED, market, offer)))
    for shorter in (None, tomorrow - timedelta(hours=1)):
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await policy(bank, rich, version=3, until=shorter)
        assert refusal.value.constraint_name == "player_stays_blocked"
    assert await policy(bank, rich, version=3, until=tomorrow + timedelta(days=6)) == 3


async def test_an_older_policy_does_not_come_back(bank: Bank, rich: str) -> None:
    assert await policy(bank, rich, ("stake", "day", 100), version=5) == 5
    assert await policy(bank, rich, version=4) == 5
    assert await bet(bank, rich, 101) == "limit-exceeded"
    assert await policy(bank, rich, ("stake", "day", 200), version=6) == 6
    assert await bet(bank, rich, 101) == "posted"


async def test_a_policy_holds_for_what_is_posted_after_it_even_by_an_engine_that_remembers(
    bank: Bank, rich: str
) -> None:
    """The engine has the account in memory as it was without a policy; the database knows better."""
    assert await bet(bank, rich, 10) == "posted"
    await policy(bank, rich, ("stake", "day", 15))
    assert await bet(bank, rich, 10) == "limit-exceeded"
    assert await bet(bank, rich, 5) == "posted"


async def test_a_hold_that_is_reversed_was_not_staked(bank: Bank, rich: str) -> None:
    await policy(bank, rich, ("stake", "day", 100))
    command = hold(rich, HUNDRED, str(uuid4()), uuid4())
    assert posted(await bank.engine.post(command))
    assert await bet(bank, rich, 1) == "limit-exceeded"
    back = Command(1, PRINCIPAL, a_key(), "reversal", (), command.reference, reverses=command.id)
    assert posted(await bank.engine.post(back))
    assert await staked(bank, rich) == 0
    assert await bet(bank, rich, 100) == "posted"


async def test_only_players_with_a_policy_leave_the_fast_way(bank: Bank, rich: str) -> None:
    """Memory does not know where a limited player stands, so it leaves them to those who read; nobody is refused
    by it and no second try is needed."""
    other, tries = await bank.fund("100.00"), ("moved", "refused")
    await policy(bank, rich, ("stake", "day", 100))
    assert [await bet(bank, rich, 10), await bet(bank, other, 10)] == ["posted", "posted"]
    before = [wrong_memories(why) for why in tries]
    for _ in range(3):
        assert [await bet(bank, rich, 10), await bet(bank, other, 10)] == ["posted", "posted"]
    assert [wrong_memories(why) for why in tries] == before
    assert await staked(bank, rich) == Decimal(40)


async def test_two_hundred_at_once_on_two_engines_stay_within_the_cap(bank: Bank, rich: str) -> None:
    await policy(bank, rich, ("stake", "day", 70))
    async with AsyncExitStack() as stack:
        other = await open_bank(bank.database, stack)
        outcomes = await asyncio.gather(*(bet((bank, other)[number % 2], rich, 10) for number in range(200)))
    assert sorted(set(outcomes)) == ["limit-exceeded", "posted"]
    assert outcomes.count("posted") == 7
    assert await staked(bank, rich) == Decimal(70)
    await bank.check()


async def test_a_crash_between_deciding_and_committing_counts_nothing(bank: Bank, rich: str) -> None:
    """The counter moves in the posting's own transaction: a connection killed before its commit leaves neither."""
    await policy(bank, rich, ("stake", "day", 100))
    dice = random.Random(7)
    async with connected(bank.database, "superuser") as owner:

        async def killer() -> None:
            for _ in range(12):
                await asyncio.sleep(dice.uniform(0.002, 0.03))
                await owner.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE usename = 'ledger_posting' AND datname = current_database()"
                )

        killing = asyncio.create_task(killer())
        commands = [hold(rich, Decimal(1), str(uuid4()), uuid4()) for _ in range(150)]
        for command in commands:
            for _ in range(200):
                try:
                    if not hasattr((await bank.engine.post(command)).outcome, "retry_after"):
                        break
                except Unavailable:
                    await asyncio.sleep(0.02)  # and the same key is sent again
        await killing
        booked = await owner.fetchval(
            "SELECT coalesce(sum(p.amount), 0) FROM posting p JOIN account a ON a.id = p.account_id"
            " JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence"
            " WHERE a.path = $1 AND e.kind = 'bet.hold'",
            f"players/{rich}/available",
        )
    assert await staked(bank, rich) == booked
    assert booked == HUNDRED
    await bank.check()


FORGED = {
    "a counter made smaller": "UPDATE player_count SET staked = 0",
    "a cap taken away": "DELETE FROM player_cap",
    "a policy lifted": "UPDATE player_policy SET blocked_until = NULL",
    "a policy of one's own": "INSERT INTO player_policy (ledger_id, player, version) VALUES (1, 'x', 9)",
}


@pytest.mark.parametrize("what", FORGED)
async def test_no_runtime_role_writes_policies_or_counters(bank: Bank, rich: str, what: str) -> None:
    await policy(bank, rich, ("stake", "day", 100))
    for role in ("ledger_posting", "ledger_reader", "ledger_receipts", "ledger_keys"):
        async with connected(bank.database, role) as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(FORGED[what])


async def test_the_database_refuses_what_the_engine_would_let_through(
    bank: Bank, rich: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second net alone: the domain's rule is gone."""
    await policy(bank, rich, ("stake", "day", 100))
    monkeypatch.setattr(limits, "after", lambda *_, **__: {})
    answer = await bank.engine.post(hold(rich, Decimal(101), str(uuid4()), uuid4()))
    assert refused(answer) == "refused-by-database"
    assert await staked(bank, rich) == 0
    await bank.check()


async def test_the_database_knows_who_may_set_limits(bank: Bank, rich: str) -> None:
    async with bank.pool.acquire() as connection:
        with pytest.raises(asyncpg.CheckViolationError) as told:
            await set_policy(connection, 1, "betting", rich, 1, None, [])
    assert told.value.constraint_name == "principal_may_set_limits"
    assert await bet(bank, rich, 1) == "posted"


async def test_only_who_is_permitted_sets_policies(door: Door, database: Database) -> None:
    cap: Json = {"measure": "stake", "period": "day", "currency": "MXN", "amount": "100.00"}
    body: Json = {"player": str(uuid4()), "version": 1, "caps": [cap]}
    betting, identity = await door.key("betting", ["bet.hold"]), await door.key("identity", [limits.LIMIT])
    status, told = await door.ask(betting.secret, "PUT", "/v1/player-policies", body)
    assert (status, told["type"]) == (403, "/problems/player-limit-not-permitted")
    for _ in range(2):
        status, told = await door.ask(identity.secret, "PUT", "/v1/player-policies", body)
        assert (status, told["version"]) == (200, 1)
    for change, named in (
        ({"player": "nobody"}, "player"),
        ({"version": 0}, "version"),
        ({"caps": [{**cap, "amount": 1.5}]}, "caps.0.amount"),
        ({"caps": [{**cap, "measure": "luck"}]}, "caps.0.measure"),
        ({"version": 2**63}, "version"),
        ({"caps": [{**cap, "amount": "0.00001"}]}, "caps.0.amount"),
        ({"caps": [cap, {**cap, "amount": "1.00"}]}, "caps"),
    ):
        status, told = await door.ask(identity.secret, "PUT", "/v1/player-policies", {**body, **change})
        assert (status, told["field"]) == (400, named), change
    for currency in ("USD", "ZZZ"):  # a limit that would never be reached is none
        elsewhere = {**body, "version": 2, "caps": [cap, {**cap, "currency": currency}]}
        status, told = await door.ask(identity.secret, "PUT", "/v1/player-policies", elsewhere)
        assert (status, told["field"]) == (422, "caps.1.currency")
    async with connected(database, "ledger_reader") as connection:
        assert (
            await connection.fetchval("SELECT cap FROM player_cap WHERE player = $1", body["player"])
            == HUNDRED
        )


# The rule by itself

CHART = Chart("el-carril", (), {}, {"MXN": 2})
AVAILABLE = AccountClass("player.available", re.compile(""), Side.CREDIT, True, "player", False)


COUNTS: Final[dict[str, tuple[Literal["deposit", "stake", "payout"], limits.Capped]]] = {
    "bet.hold": ("stake", "refuse"),
    "bet.release": ("stake", None),
    "bet.settle": ("payout", None),
    "deposit": ("deposit", "refuse"),
}


def kind(name: str) -> Kind:
    counts, capped = COUNTS[name]
    return Kind(name, False, None, None, False, None, frozenset(), counts=counts, capped=capped)


def account(*, limited: bool = True) -> Account:
    return Account(1, "players/p/available", "MXN", AVAILABLE, "p", Decimal(0), 0, limited=limited)


def moved(name: str, amount: Decimal, known: dict[str, Standing], who: Account) -> dict[str, Standing]:
    what = kind(name)
    return limits.after(what, [(who, amount)], known, CHART, capped=what.capped)


moves = st.lists(
    st.tuples(st.sampled_from(["bet.hold", "bet.release", "bet.settle", "deposit"]), st.integers(1, 50)),
    max_size=30,
)


@given(moves, st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_no_order_of_moves_leads_beyond_a_cap_by_a_stake_or_a_deposit(
    story: list[tuple[str, int]], stake: int, loss: int, deposited: int
) -> None:
    caps = tuple(
        Cap(measure, "day", "MXN", Decimal(amount))
        for measure, amount in (("stake", stake), ("loss", loss), ("deposit", deposited))
    )
    known = {"p": Standing(False, caps, {})}
    for name, amount in story:
        signed = Decimal(amount if name == "bet.hold" else -amount)
        before = known["p"].counts.get(("MXN", "day"), Count())
        try:
            known |= moved(name, signed, known, account())
        except LimitExceeded:
            assert COUNTS[name][1]
            assert known["p"].counts.get(("MXN", "day"), Count()) == before
            continue
        now = known["p"].counts["MXN", "day"]
        if name == "bet.hold":
            assert now.staked <= stake
            assert now.staked - now.returned <= loss
        if name == "deposit":
            assert now.deposited <= deposited


def test_without_a_policy_nothing_is_counted_and_an_unread_one_is_not_guessed() -> None:
    assert moved("bet.hold", HUNDRED, {}, account(limited=False)) == {}
    with pytest.raises(LimitsUnread):
        moved("bet.hold", HUNDRED, {}, account())
    with pytest.raises(LimitNotReady):
        limits.after(
            kind("deposit"), [(account(), -HUNDRED)], {"p": Standing(True, (), {})}, CHART, capped="wait"
        )
    with pytest.raises(PlayerBlocked):
        moved("bet.hold", HUNDRED, {"p": Standing(True, (), {})}, account())
