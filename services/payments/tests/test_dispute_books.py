"""Disputes in the books: contested when a file took it, then the provider's debt again or a loss, less what its player has."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from payments.domain.accounts import PlayerId, available
from payments.domain.cards import CardPaymentId
from payments.psp import CardProvider

from services.payments.tests.card_scene import books, captured, cases, found, hear
from services.payments.tests.test_crashes import Work, at_every_await
from services.payments.tests.test_disputes_listed import contested, end, state
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_set_off import paid_out
from services.payments.tests.world import World, new_player


def kinds(here: World) -> list[str]:
    return [each for each in here.ledger.kinds() if each.startswith("dispute.")]


async def player_of(here: World, payment_id: CardPaymentId) -> PlayerId:
    return (await found(here, payment_id))[0].player


def has(here: World, player: PlayerId) -> int:
    """What a player could spend, in pesos without centavos."""
    return int(here.ledger.balance(available(player)))


async def spends(here: World, player: PlayerId, amount: str) -> None:
    """So much of what a player has is elsewhere."""
    here.ledger.balances[available(player)] -= Decimal(amount)


async def test_one_that_is_open_is_in_the_books_and_won_it_is_owed_to_us_again(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await paid_out(here)
    assert (books(here), kinds(here)) == ((0, 40, 0), ["dispute.open"])
    await end(here, dispute, won=True)
    await hear(here, dispute)
    assert books(here) == (0, 40, 0), "won, and not given back yet"
    await captured(here, new_player(), "50.00")
    await paid_out(here)
    assert (books(here), kinds(here)) == ((0, 0, 0), ["dispute.open", "dispute.won"])


async def test_a_lost_one_is_taken_of_its_player_as_far_as_they_have_it(here: World) -> None:
    ((payment_id, dispute),) = await contested(here)  # a hundred, forty of it refunded and disputed
    player = await player_of(here, payment_id)
    await paid_out(here)
    assert has(here, player) == 60
    await spends(here, player, "35.00")
    await end(here, dispute, won=False)
    await hear(here, dispute)
    assert here.ledger.balance(available(player)) == 0
    assert books(here) == (0, 0, 15)
    here.ledger.balances[available(player)] += 20
    await here.run_cards()
    assert (has(here, player), books(here)) == (5, (0, 0, 0)), "no more than was lost"


async def test_after_half_a_year_it_stays_the_houses_loss(here: World) -> None:
    ((payment_id, dispute),) = await contested(here)
    player = await player_of(here, payment_id)
    await paid_out(here)
    await spends(here, player, "60.00")
    await end(here, dispute, won=False)
    await hear(here, dispute)
    assert books(here) == (0, 0, 40)
    here.clock.forward(timedelta(days=181))
    here.ledger.balances[available(player)] += 20
    await here.run_cards()
    assert (has(here, player), books(here)) == (20, (0, 0, 40))


async def test_lost_before_any_file_has_it_nothing_is_booked_until_one_does(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await end(here, dispute, won=False)
    await hear(here, dispute)
    assert await state(here, dispute) == "LOST"
    assert kinds(here) == []
    await paid_out(here)
    assert kinds(here) == ["dispute.open", "dispute.lost", "dispute.recover"]
    assert books(here) == (0, 0, 0)


async def test_won_after_it_was_lost_is_for_people(here: World) -> None:
    ((_, dispute),) = await contested(here)
    await paid_out(here)
    for won in (False, True):
        await end(here, dispute, won=won)
        await hear(here, dispute)
    assert ("card", f"dispute-was-lost:{dispute}") in await cases(here)
    assert kinds(here) == ["dispute.open", "dispute.lost", "dispute.recover"]


ORDERS = st.permutations(["file", "hear", "end", "list", "work", "file", "hear", "end", "work"])


@given(order=ORDERS, won=st.booleans(), keeps=st.integers(0, 60))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_in_whatever_order_it_is_told_every_peso_is_somewhere_once(
    here: World, order: list[str], *, won: bool, keeps: int
) -> None:
    before, booked = books(here), len(kinds(here))
    ((payment_id, dispute),) = await contested(here)
    player = await player_of(here, payment_id)
    for step in order:
        match step:
            case "file":
                await here.psp.ask("POST", "/control/payout")
                await here.settlements.import_new()
            case "hear":
                await hear(here, dispute)
            case "list":
                await here.disputes.look()
            case "end":
                await end(here, dispute, won=won)
            case _:
                await here.dispute_books.look()
                await here.deliver_commands()
    if has(here, player) > keeps:
        await spends(here, player, str(has(here, player) - keeps))
    await captured(here, new_player(), "50.00")
    await hear(here, dispute)
    await paid_out(here)
    await here.run_cards()
    assert len(set(kinds(here))) <= len(kinds(here)) <= booked + 4
    lost = books(here)[2] - before[2]
    recovered = sum(
        Decimal(entry.postings[0].amount) for entry in here.ledger.entries.values()
        if entry.kind == "dispute.recover" and entry.postings[0].account == available(player)
    )  # fmt: skip
    assert books(here)[:2] == before[:2] == (0, 0), (
        "the provider owes nothing, and nothing is contested any more"
    )
    assert lost + recovered == (0 if won else 40)


async def test_of_several_who_look_at_once_one_books_it(here: World) -> None:
    ((payment_id, dispute),) = await contested(here)
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await end(here, dispute, won=False)
    for _ in range(4):
        await asyncio.gather(hear(here, dispute), *(here.dispute_books.look() for _ in range(6)))
        await here.deliver_commands()
    assert kinds(here) == ["dispute.open", "dispute.lost", "dispute.recover"]
    assert here.ledger.balance(available(await player_of(here, payment_id))) == 20
    assert books(here) == (0, 0, 0)


async def test_stopped_at_every_await_it_is_taken_once(here: World) -> None:
    players: list[PlayerId] = []

    async def begin() -> Work:
        ((payment_id, dispute),) = await contested(here)
        players.append(await player_of(here, payment_id))
        await end(here, dispute, won=False)
        await here.disputes.look()
        await here.psp.ask("POST", "/control/payout")
        await here.settlements.import_new()
        for _ in range(3):  # until its file is booked, and its opening and its loss are: its player is next
            await here.deliver_commands()
            for proof in await here.witness.lease(16):
                await here.witness.attest(proof)
            for proof in await here.proofs.lease(16):
                await here.proofs.book(proof)
            await here.dispute_books._book_due()
        await here.deliver_commands()
        return _looks(here)

    async def carry_on(number: int) -> None:
        await here.run_cards()
        assert here.ledger.balance(available(players[-1])) == 20, number
        assert books(here) == (0, 0, 0), number

    assert await at_every_await(begin, carry_on) > 5


async def _looks(here: World) -> None:
    await here.dispute_books.look()


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_an_answer_of_the_ledger_that_is_lost_is_asked_for_again(here: World, lost: str) -> None:
    ((payment_id, dispute),) = await contested(here)
    await paid_out(here)
    await end(here, dispute, won=False)
    here.ledger.lose = "before" if lost == "before" else "after"
    await hear(here, dispute)
    await here.run_cards()
    here.ledger.lose = None
    await here.run_cards()
    assert here.ledger.balance(available(await player_of(here, payment_id))) == 20
    assert (kinds(here).count("dispute.recover"), books(here)) == (1, (0, 0, 0))


STEP = """
    INSERT INTO dispute_entry (id, dispute_id, step, amount)
    SELECT gen_random_uuid(), psp_id, '{step}', {amount} FROM card_dispute
"""
TAKE = "INSERT INTO dispute_recovery (id, dispute_id, amount) SELECT gen_random_uuid(), psp_id, {amount} FROM card_dispute"


async def test_in_the_database_too_files_and_disputes_alone_say_what_is_due(here: World) -> None:
    """Whoever holds payments' own role books no dispute that no file has, nor more, nor twice, nor takes what was not lost."""
    ((payment_id, dispute),) = await contested(here)
    await hear(here, dispute)
    assert await refusal(here, STEP.format(step="open", amount=40)) == "dispute_entry_is_due", (
        "no file has it"
    )
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    assert await refusal(here, STEP.format(step="open", amount=40)) == "dispute_entry_is_due", (
        "it is not booked"
    )
    await here.run_cards()
    for step, amount in (("open", 40), ("lost", 40), ("won", 40)):
        assert await refusal(here, STEP.format(step=step, amount=amount)) == "dispute_entry_is_due", step
    assert await refusal(here, TAKE.format(amount=1)) == "dispute_recovers_no_more_than_lost"
    await spends(here, await player_of(here, payment_id), "60.00")
    await end(here, dispute, won=False)
    await hear(here, dispute)
    assert await refusal(here, STEP.format(step="lost", amount=40)) == "dispute_entry_is_due", "it is booked"
    assert await refusal(here, TAKE.format(amount="40.01")) == "dispute_recovers_no_more_than_lost"
    assert await refusal(here, TAKE.format(amount="40")) is None
    twice = "; ".join((TAKE.format(amount=20), TAKE.format(amount=20)))
    assert await refusal(here, twice) == "dispute_recovery_one_at_a_time"
    assert await refusal(here, "UPDATE dispute_entry SET booked_at = now()") == "dispute_entry_is_booked_once"


async def test_given_back_by_a_file_before_the_one_that_took_it_is_booked_in_their_order(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first file cannot be attested for a while: the second one is booked first."""
    ((_, dispute),) = await contested(here)
    honest = CardProvider.payout

    async def silent_about_the_first(provider: CardProvider, name: str) -> str | None:
        return None if name == "PO-0001" else await honest(provider, name)

    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    monkeypatch.setattr(CardProvider, "payout", silent_about_the_first)
    await end(here, dispute, won=True)
    await captured(here, new_player(), "50.00")
    await paid_out(here)
    assert kinds(here) == []
    monkeypatch.undo()
    here.clock.forward(timedelta(minutes=5))
    await here.run_cards()
    assert (kinds(here), books(here)) == (["dispute.open", "dispute.won"], (0, 0, 0))
