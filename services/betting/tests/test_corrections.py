"""A market settled again and again, on a real database: after every version everybody has what the newest result alone
would have given, to the centavo, whoever has spent what they were paid by mistake."""

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from betting.api.views import RaceView
from betting.domain.ids import RaceId, UserId
from betting.domain.margins import Margin
from betting.domain.markets import MarketKind, Terms, TieRule
from betting.domain.races import Race
from betting.domain.withholding import TaxRate
from common.idempotency import Answer

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue

RATIOS = ((1, 1), (20, 19), (19, 20), (7, 10), (10, 7), (5, 4), (4, 5))


def shown(race: Race) -> Answer:
    return Answer.of(RaceView.of(race))


@dataclass(frozen=True)
class Seen:
    """A result: the runner that was ahead (none: a dead heat), by how much, and when they were off."""

    winner: int | None
    margin: Margin
    off: datetime


def pays(terms: Terms, seen: Seen) -> str:
    """Which side takes the pots; or what becomes of them."""
    if terms.giver is None or terms.line is None:
        if seen.winner is None:
            return "SPLIT" if terms.tie_rule is TieRule.SPLIT_POT else "PUSH"
        return "AB"[seen.winner]
    order, giver = list(Margin), terms.giver.value
    by = -1 if seen.winner is None or "AB"[seen.winner] != giver else order.index(seen.margin)
    if by == order.index(terms.line):
        return "PUSH"
    return giver if by > order.index(terms.line) else terms.giver.opposite.value


def gains(bets: Sequence[asyncpg.Record], terms: Terms, seen: Seen) -> Counter[UserId]:
    """What everybody wins or loses, bet by bet, in centavos and before anything is taken."""
    what, net = pays(terms, seen), Counter[UserId]()
    for bet in bets:
        if what == "PUSH" or bet["matched_at"] > seen.off - timedelta(seconds=2):
            continue
        for mine, other in (("maker", "taker"), ("taker", "maker")):
            own, theirs = int(bet[f"{mine}_stake"] * 100), int(bet[f"{other}_stake"] * 100)
            if what == "SPLIT":
                odd = (own + theirs) % 2 and own > theirs
                net[bet[f"{mine}_user"]] += (own + theirs) // 2 + bool(odd) - own
            else:
                net[bet[f"{mine}_user"]] += theirs if bet[f"{mine}_side"] == what else -own
    return net


async def a_market(venue: Venue, dice: random.Random, tax: int) -> Floor:
    """Under random terms, with forty offers of six people in it, some seconds long."""
    if tax:
        rate = TaxRate("SON", venue.clock().date() + timedelta(days=1), "isr", tax)
        await venue.tax(rate)
    race = await venue.race(state="SON", days=1)
    terms: dict[str, Any] = {"tie_rule": dice.choice(list(TieRule))}
    if dice.random() < 0.5:
        giver = race.runners[dice.randrange(2)].id
        terms |= {"kind": MarketKind.VENTAJA, "giver": giver, "line": dice.choice(list(Margin)[:4])}
    floor = await venue.market(race=race, bps=dice.choice((0, 1, 333, 2000)), min_stake=20, **terms)
    people = [venue.bettor("1000.00") for _ in range(6)]
    for _ in range(40):
        venue.clock.ahead += timedelta(milliseconds=dice.randint(0, 400))
        ratio = dice.choice(RATIOS)
        wanted = floor.wanted(dice.randrange(2), ratio, 1)
        wanted = replace(wanted, stake=ratio[0] * dice.randint(20, 200))
        await venue.placing.place(call(dice.choice(people)), wanted)
    await floor.close()
    await venue.deliver()
    return floor


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_corrected_the_newest_result_is_what_everybody_has(venue: Venue, seed: int) -> None:
    dice = random.Random(seed)
    venue.users_per_chunk, tax = dice.choice((1, 2, 200)), dice.choice((0, 137, 5000))
    venue.__post_init__()
    floor = await a_market(venue, dice, tax)
    terms = floor.market.terms
    bets = await venue.owner.fetch("SELECT * FROM fill")
    times = sorted(bet["matched_at"] for bet in bets)
    people = {bet[f"{part}_user"] for bet in bets for part in ("maker", "taker")}
    spent = Counter[UserId]()
    for version in range(5):
        off = dice.choice(times) + timedelta(seconds=dice.choice((0, 1, 2, 86_400)))
        seen = Seen(dice.choice((0, 1, None)), dice.choice(list(Margin)), off)
        for judge in JUDGES:
            if version == 0:
                await floor.declare(seen.winner, judge=judge, margin=seen.margin, off=off)
            else:
                right = floor.seen(seen.winner, margin=seen.margin, off=off)
                await venue.officiating.correct(call(judge), RaceId(floor.race.id), right, "misread", shown)
        await venue.time_passes()
        await venue.settling.settle_due()
        await venue.deliver()
        assert await floor.status() == "SETTLED"

        taken, withheld, net = 0, 0, gains(bets, terms, seen)
        for person in people:
            commission = terms.commission_bps * max(0, net[person]) // 10_000
            tax_due = tax * (max(0, net[person]) - commission) // 10_000
            taken, withheld = taken + commission, withheld + tax_due
            purse = venue.books.of(person)
            has = Decimal(purse["available"]) + Decimal(purse.get("debt", "0"))
            left = 100_000 - spent[person] + net[person] - commission - tax_due
            assert has == Decimal(left) / 100, (version, seen)
        assert venue.books.balances["house/commission"] == Decimal(taken) / 100
        assert venue.books.balances["tax/isr"] == Decimal(withheld) / 100
        spender = dice.choice(sorted(people))
        amount = Decimal(venue.books.of(spender)["available"])
        venue.books.balances[f"players/{spender}/available"] -= amount
        spent[spender] += int(amount * 100)
    await venue.check_money()
    venue.check_history()
