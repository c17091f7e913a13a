"""Holds, matches, releases and settlements that are duplicated, reordered, late and lost-then-resent:
holds and escrow always end at zero, whatever the order they arrive in."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid4

from common.kept_database import KeptDatabase
from common.testing import Database, examples
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ledger.domain.commands import Command

from services.ledger.tests.vocabulary import (
    Bank,
    connected,
    hold,
    match,
    open_bank,
    refused,
    release,
    settle,
)

STAKE = Decimal(30)
LOT = Decimal(10)


@dataclass(frozen=True)
class Story:
    """One market: offers of 30 each, lots of 10 matched in pairs, what is left released, a result."""

    matches: tuple[tuple[int, int], ...]
    winner_is_first: bool
    void: bool
    deliveries: tuple[int, ...]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    """Each of 2 + 2 offers has three lots; a delivery order that repeats and shuffles everything."""
    pairs = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(2, 3)), max_size=6))
    lots = [3, 3, 3, 3]
    kept = []
    for one, other in pairs:
        if lots[one] and lots[other]:
            lots[one] -= 1
            lots[other] -= 1
            kept.append((one, other))
    deliveries = draw(st.lists(st.integers(0, 30), max_size=40))
    return Story(tuple(kept), draw(st.booleans()), draw(st.booleans()), tuple(deliveries))


def commands_of(story: Story, players: list[str], market: str) -> list[Command]:
    """Everything betting would ever send about this market, each under its own key."""
    offers = [uuid4() for _ in players]
    lots = [3] * len(players)
    sent = [hold(p, STAKE, market, o, f"hold:{o}") for p, o in zip(players, offers, strict=True)]
    for number, (one, other) in enumerate(story.matches):
        lots[one] -= 1
        lots[other] -= 1
        sides = ((players[one], offers[one], LOT), (players[other], offers[other], LOT))
        sent.append(match(market, *sides, key=f"match:{market}:{number}"))
    for player, offer, rest in zip(players, offers, lots, strict=True):
        if rest:
            sent.append(release(player, rest * LOT, market, offer, f"release:{offer}"))
    if story.matches:
        sent.append(_settlement(story, players, market))
    return sent


def _settlement(story: Story, players: list[str], market: str) -> Command:
    staked: dict[str, Decimal] = {}
    for pair in story.matches:
        for at in pair:
            staked[players[at]] = staked.get(players[at], Decimal(0)) + LOT
    pot = sum(staked.values(), Decimal(0))
    if story.void:
        back = {f"players/{player}/available": amount for player, amount in staked.items()}
        return settle(market, back, kind="bet.void", key=f"settle:{market}:1:1")
    side = [players[at] for at in ((0, 1) if story.winner_is_first else (2, 3)) if players[at] in staked]
    payouts = {f"players/{player}/available": staked[player] * 2 for player in side}
    payouts["house/commission"] = Decimal("0.50")
    payouts[f"players/{side[0]}/available"] -= Decimal("0.50")
    assert sum(payouts.values()) == pot
    return settle(market, payouts, key=f"settle:{market}:1:1")


async def _deliver(bank: Bank, command: Command) -> str:
    return refused(await bank.engine.post(command))


async def _play(story: Story, banks: list[Bank], database: Database) -> None:
    market = str(uuid4())
    players = [await banks[0].fund(str(STAKE)) for _ in range(4)]
    sent = commands_of(story, players, market)

    # First as the network pleases: some twice, some out of order, some not at all, to either engine.
    for start in range(0, len(story.deliveries), 5):
        burst = story.deliveries[start : start + 5]
        got = await asyncio.gather(
            *(_deliver(banks[(start + at) % 2], sent[which % len(sent)]) for at, which in enumerate(burst))
        )
        assert set(got) <= {"posted", "hold-not-ready", "escrow-not-ready"}

    # Then what was lost is resent until it is answered, as the broker does.
    waiting = list(reversed(sent))
    for _ in range(len(sent) + 1):
        answers = [await _deliver(banks[0], command) for command in waiting]
        waiting = [c for c, answer in zip(waiting, answers, strict=True) if answer.endswith("not-ready")]
        assert set(answers) <= {"posted", "hold-not-ready", "escrow-not-ready"}
    assert not waiting

    balances = await banks[0].balances()
    assert balances.get(f"markets/{market}/escrow", Decimal(0)) == 0
    assert all(balances.get(f"players/{player}/held", Decimal(0)) == 0 for player in players)
    async with connected(database, "ledger_reader") as connection:
        assert await connection.fetchval("SELECT coalesce(sum(remaining), 0) FROM hold") == 0
        assert not await connection.fetch("SELECT reference FROM settlement WHERE state <> 'CLOSED'")
    await banks[0].check()


@settings(max_examples=examples(12), deadline=None, suppress_health_check=list(HealthCheck))
@given(stories())
def test_holds_and_escrow_converge_to_zero(kept_database: KeptDatabase, story: Story) -> None:
    asyncio.run(_run(kept_database, story))


async def _run(kept: KeptDatabase, story: Story) -> None:
    async with AsyncExitStack() as stack:
        database = await kept.as_new()
        banks = [await open_bank(database, stack), await open_bank(database, stack)]
        await _play(story, banks, database)


def test_a_story_pays_out_exactly_what_went_in() -> None:
    """The model itself: what all commands move nets to zero."""
    story = Story(((0, 2), (1, 3), (0, 3)), winner_is_first=True, void=False, deliveries=())
    legs = [
        leg
        for command in commands_of(story, [str(UUID(int=n)) for n in range(4)], str(uuid4()))
        for leg in command.legs
    ]
    assert sum((leg.amount for leg in legs), Decimal(0)) == 0
