"""Matching alone, in memory: offers a second into one book, at several mixtures, without a server.

`python -m loadtests.matching [--offers 200000]`. What is timed is what the floor does for an offer besides writing it
down: find its makers, bet with them, keep the book.
"""

from __future__ import annotations

import argparse
import gc
import random
import time
from datetime import UTC, datetime
from uuid import UUID

from betting.domain.book import Book
from betting.domain.ids import MarketId, OfferId, UserId
from betting.domain.matching import match
from betting.domain.offers import Offer, Side, Slip
from betting.domain.ratios import LADDER

MIN_STAKE = 100
NOON = datetime(2026, 6, 7, 12, tzinfo=UTC)
MARKET = MarketId(UUID(int=1))
MIXTURES = {"evens only": 0, "two steps around evens": 2, "whole ladder": 14}


def offers(count: int, width: int, dice: random.Random) -> list[Offer]:
    """Held offers of 500 bettors at ratios at most `width` steps from evens."""
    near = [ratio for ratio in LADDER if abs(ratio.rank) <= width]
    made = []
    for number in range(1, count + 1):
        bettor, ratio = UserId(UUID(int=dice.randrange(1, 500))), dice.choice(near)
        stake = ratio.risk * dice.randrange(100, 2000)
        slip = Slip(
            OfferId(UUID(int=number)), MARKET, 1, bettor, bettor, dice.choice(tuple(Side)), ratio, stake, NOON
        )
        made.append(Offer.pending(slip).placed(number))
    return made


def play(wanted: list[Offer]) -> tuple[float, int]:
    """Seconds for all of them, and how many bets they made."""
    book, bets = Book(), 0
    gc.collect()
    began = time.perf_counter()
    for offer in wanted:
        met = match(offer, book.makers(offer), min_stake=MIN_STAKE)
        for fill in met.fills:
            book.put(fill.maker)
        book.put(met.taker)
        bets += len(met.fills)
    return time.perf_counter() - began, bets


def main() -> None:
    """Print one row for each mixture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--offers", type=int, default=200_000)
    wanted = parser.parse_args()
    print("| ratios | offers/s | bets for 100 offers | us an offer |\n|---|---|---|---|")
    for name, width in MIXTURES.items():
        seconds, bets = play(offers(wanted.offers, width, random.Random(7)))  # noqa: S311 - a load, no secret
        rate = wanted.offers / seconds
        print(f"| {name} | {rate:,.0f} | {100 * bets / wanted.offers:.0f} | {1e6 / rate:.1f} |")


if __name__ == "__main__":
    main()
