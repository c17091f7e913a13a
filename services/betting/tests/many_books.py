"""The matching and the reference model on many random books.

`python -m services.betting.tests.many_books --books 100000 [--seed 1]`. The tests in `test_matching.py` do the same on a
few hundred, with Hypothesis looking for the nasty ones; this is the long walk.
"""

import argparse
import random
import sys
import time

from betting.domain.book import Book as RealBook
from betting.domain.matching import match
from betting.domain.offers import Side
from betting.domain.ratios import LADDER

from services.betting.tests.offers import MIN_STAKE, Wish
from services.betting.tests.reference_model import SlowBook


def wishes(dice: random.Random) -> list[Wish]:
    """A sequence of offers, mostly near evens so that they meet."""
    near = [ratio for ratio in LADDER if abs(ratio.rank) <= dice.choice((1, 3, 14))]
    users, lots = dice.randint(2, 6), dice.choice((5, 40))
    return [
        Wish(dice.randint(1, users), dice.choice(tuple(Side)), dice.choice(near), dice.randint(1, lots))
        for _ in range(dice.randint(2, 16))
    ]


def differs(wanted: list[Wish]) -> str | None:
    """What the two say differently about one book; None if nothing."""
    book, slow = RealBook(), SlowBook(MIN_STAKE)
    bets: dict[tuple[object, object], list[int]] = {}
    offers = {}
    for number, wish in enumerate(wanted, start=1):
        offer = wish.offer(number)
        met = match(offer, book.makers(offer), min_stake=MIN_STAKE)
        for fill in met.fills:
            bets[fill.maker.id, fill.taker.id] = [fill.maker_stake, fill.taker_stake]
            book.put(fill.maker)
            offers[fill.maker.id] = fill.maker
        book.put(met.taker)
        offers[offer.id] = met.taker
        slow.place(wish.offer(number))
    if bets != slow.bets:
        return f"bets {bets} against {slow.bets}"
    for each in slow.standing:
        left = each.left if each.state == "open" else 0
        if offers[each.id].remaining != left:  # type: ignore[index]  # the model does not care what an id is
            return f"offer {each.id}: {offers[each.id].remaining} left against {left}"  # type: ignore[index]
    return None


def main() -> int:
    """The exit status: 1 if any book differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--books", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    dice, began, bets = random.Random(wanted.seed), time.monotonic(), 0
    for number in range(wanted.books):
        book = wishes(dice)
        difference = differs(book)
        if difference is not None:
            print(f"book {number} of seed {wanted.seed}: {difference}\n{book}")  # noqa: T201
            return 1
        bets += len(book)
    took = time.monotonic() - began
    print(f"{wanted.books} random books of {bets} offers: both agree on all of them ({took:.0f} s)")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
