"""A day in the life of the books, at random: for trying the shadow out before there are books of one's own."""

from __future__ import annotations

from decimal import Decimal
from random import Random

from examples.shadow_write.books import Books, Payment

PEOPLE = ("ana", "beto", "caro", "dani", "stable.el-ancla")


def live(books: Books, chance: Random, steps: int) -> None:
    """So many changes: most payments stay, some were wrong, some should not have been."""
    alive = [id for id, _, _ in books.payments()]
    for _ in range(steps):
        payer, payee = chance.sample(PEOPLE, 2)
        payment = Payment(payer, payee, Decimal(chance.randint(1, 100_000)) / 100)
        what = chance.random()
        if what < 0.55 or not alive:
            alive.append(f"p{chance.randrange(10**9)}")
            books.pay(alive[-1], payment)
        elif what < 0.8:
            books.amend(chance.choice(alive), payment)
        else:
            books.take_back(alive.pop(chance.randrange(len(alive))))
