"""The kinds for disputes: between the provider, what is contested and what is lost, and never to a player."""

from __future__ import annotations

from decimal import Decimal
from uuid import uuid4

from services.ledger.tests.forgery import Line, Scene
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.test_cards_and_suspense import available, captured, post
from services.ledger.tests.vocabulary import Bank

RECEIVABLE, CONTESTED, LOSSES = "psp/chaos/receivable", "disputes/chaos/receivable", "losses/disputes"


def move(debit: str, credit: str, amount: str) -> list[Line]:
    return [(debit, amount, None), (credit, f"-{amount}", None)]


async def test_what_is_contested_is_won_or_lost_and_no_more_than_that(bank: Bank) -> None:
    player = await bank.fund()
    await captured(bank, str(uuid4()), "100.00")
    assert await post(bank, "dispute.won", move(RECEIVABLE, CONTESTED, "1")) == "insufficient-funds"
    assert await post(bank, "dispute.open", move(CONTESTED, RECEIVABLE, "70")) == "posted"
    assert await post(bank, "dispute.won", move(RECEIVABLE, CONTESTED, "30")) == "posted"
    assert await post(bank, "dispute.lost", move(LOSSES, CONTESTED, "40.01")) == "insufficient-funds"
    assert await post(bank, "dispute.lost", move(LOSSES, CONTESTED, "40")) == "posted"
    take = move(available(player), LOSSES, "40.01")
    assert await post(bank, "dispute.recover", take) == "insufficient-funds", "no more than was lost"
    assert await post(bank, "dispute.recover", move(available(player), LOSSES, "25")) == "posted"
    balances = await bank.balances()
    assert {each: balances[each] for each in (RECEIVABLE, CONTESTED, LOSSES)} == {
        RECEIVABLE: Decimal(60), CONTESTED: Decimal(0), LOSSES: Decimal(15),
    }  # fmt: skip
    await bank.check()


async def test_a_dispute_brings_nobody_money(scene: Scene) -> None:
    """Neither a player nor the bank, in either net: what there is to take goes one way."""
    bank = scene.bank
    await captured(bank, scene.rich, "100.00")
    assert await post(bank, "dispute.open", move(CONTESTED, RECEIVABLE, "70")) == "posted"
    assert await post(bank, "dispute.lost", move(LOSSES, CONTESTED, "40")) == "posted"
    mine, theirs = available(scene.poor), available(scene.rich)
    for kind, debit, credit in (
        ("dispute.open", CONTESTED, mine),
        ("dispute.open", mine, RECEIVABLE),
        ("dispute.won", mine, CONTESTED),
        ("dispute.won", "bank/spei", CONTESTED),
        ("dispute.lost", LOSSES, mine),
        ("dispute.lost", mine, CONTESTED),
        ("dispute.recover", LOSSES, mine),
        ("dispute.recover", theirs, mine),
        ("dispute.recover", theirs, CONTESTED),
    ):
        lines = move(debit, credit, "10")
        assert await post(bank, kind, lines) == "template-violation", (kind, debit, credit)
        assert await scene.forge(kind, lines) == "posting_fits_template", (kind, debit, credit)
    both: list[Line] = [(mine, "5", None), (theirs, "5", None), (LOSSES, "-10", None)]
    assert await scene.forge("dispute.recover", both) != "posted", "of one player at a time"
    assert await scene.forge("dispute.recover", move(theirs, LOSSES, "40.01")) == "balance_not_below_floor"
    assert await scene.forge("dispute.recover", move(theirs, LOSSES, "40")) == "posted"
