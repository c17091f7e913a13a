"""What comes while a batch is being written is decided on top of it, and means nothing before both are in the journal."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from random import Random
from uuid import uuid4

import pytest
from ledger.engine import queue
from ledger.engine.queue import AHEAD_FROM

from services.ledger.tests.drafting import (
    ONE,
    TWO,
    WAITING,
    Posts,
    answers,
    being_written,
    drafted,
    known,
    post,
    sent_ahead,
    waiting_for_the_head,
)
from services.ledger.tests.vocabulary import (
    Bank,
    connected,
    deposit,
    hold,
    locked,
    posted,
    refused,
    release,
    wrong_memories,
)


async def test_drafts_are_one_batch_and_follow_what_they_were_decided_on(bank: Bank) -> None:
    player, market = await known(bank, "5.00")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(4)))
        await drafted(bank, 4)
        assert not any(each.done() for each in (*first, *more)), "nothing is said before it is in the journal"
    told = [answer.outcome for answer in await answers([*first, *more])]
    assert [outcome.legs[0].balance for outcome in told] == [Decimal(-rest) for rest in (4, 3, 2, 1, 0)]  # type: ignore[union-attr]
    assert [outcome.sequence - told[0].sequence for outcome in told] == [0, 1, 2, 3, 4]  # type: ignore[union-attr]
    assert len({outcome.posted_at for outcome in told[1:]}) == 1  # type: ignore[union-attr]
    await bank.check()


async def test_drafts_upon_a_batch_that_is_refused_are_decided_again(bank: Bank) -> None:
    """The batch opens a hold that exists; memory cannot see that. Its neighbours and the drafts are posted."""
    player, market = await known(bank, "3.00")
    offer = uuid4()
    assert posted(await bank.engine.post(hold(player, ONE, market, offer)))
    assert posted(await bank.engine.post(release(player, ONE, market, offer)))
    before = wrong_memories("refused")
    async with being_written(bank, hold(player, TWO, market, offer)) as first:
        # With the first one gone the money is enough for three, and two were all that could be drafted upon it.
        more = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(4)))
        await drafted(bank, 1)
    told = await answers([*first, *more])
    assert [refused(each) for each in told] == ["hold-exists", *["posted"] * 3, "insufficient-funds"]
    assert wrong_memories("refused") == before + 1
    await bank.check()


async def test_drafts_upon_money_that_another_engine_takes_first(bank: Bank, other: Bank) -> None:
    await known(
        other, "1.00"
    )  # before the first engine looks: its memory of the head is right, the other's is not
    player, market = await known(bank, "3.00")
    theirs = hold(player, TWO, market, uuid4())
    async with locked(bank.database, 1, asyncio.Event()):
        first_in_line = post(other, theirs)
        await waiting_for_the_head(bank, 1)
        mine = post(bank, hold(player, ONE, market, uuid4()))
        await waiting_for_the_head(bank, 2)
        upon = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(2)))
        await drafted(bank, 2)
    told = await answers([*first_in_line, *mine, *upon])
    assert sorted(map(refused, told)) == ["insufficient-funds", "insufficient-funds", "posted", "posted"]
    await bank.check()


async def test_what_cannot_be_drafted_is_not_overtaken(bank: Bank) -> None:
    """A deposit is read under the lock. Who spends it comes after it, and finds it; who could be drafted waits as well."""
    player, market = await known(bank, "1.00")
    rich, _ = await known(bank, "9.00")
    receipt = await bank.receipt(player, TWO)
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = post(bank, deposit(player, TWO, receipt), hold(player, TWO, market, uuid4()))
        more += post(bank, hold(rich, ONE, market, uuid4()))
        await asyncio.sleep(0.05)
        assert not bank.engine._drafted
    assert all(map(posted, await answers([*first, *more])))
    await bank.check()


async def test_nothing_is_drafted_upon_half_a_batch(bank: Bank) -> None:
    """The other half goes under the lock after the first is written, and nobody knows yet what becomes of it."""
    player, market = await known(bank, "5.00")
    receipt = await bank.receipt(player, TWO)
    async with being_written(
        bank, hold(player, ONE, market, uuid4()), deposit(player, TWO, receipt)
    ) as first:
        more = post(bank, hold(player, ONE, market, uuid4()))
        await asyncio.sleep(0.05)
        assert not bank.engine._drafted
    assert all(map(posted, await answers([*first, *more])))
    await bank.check()


async def test_a_refusal_in_the_batch_keeps_nothing_from_being_drafted(bank: Bank) -> None:
    """It goes under the lock after the others are written, and moves nothing."""
    player, market = await known(bank, "3.00")
    poor, _ = await known(bank, "1.00")
    before = wrong_memories("moved"), wrong_memories("refused")
    async with being_written(
        bank, hold(player, ONE, market, uuid4()), hold(poor, TWO, market, uuid4())
    ) as first:
        more = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(2)))
        await drafted(bank, 2)
    told = [refused(each) for each in await answers([*first, *more])]
    assert told == ["posted", "insufficient-funds", "posted", "posted"]
    assert before == (wrong_memories("moved"), wrong_memories("refused")), "none of it was decided twice"
    await bank.check()


async def test_who_is_posted_does_not_wait_for_who_is_refused(bank: Bank) -> None:
    """They are in one batch, and no refusal can be written as long as somebody has the table."""
    player, market = await known(bank, "2.00")
    poor, _ = await known(bank, "1.00")
    async with connected(bank.database, "superuser") as stranger, stranger.transaction():
        await stranger.execute("LOCK TABLE refusal IN SHARE ROW EXCLUSIVE MODE")
        bad, good = post(bank, hold(poor, TWO, market, uuid4()), hold(player, ONE, market, uuid4()))
        (told,) = await answers([good])
        assert posted(told)
        assert not bad.done()
    assert [refused(each) for each in await answers([bad])] == ["insufficient-funds"]
    await bank.check()


async def test_drafts_upon_a_batch_whose_refused_is_posted_after_all(bank: Bank) -> None:
    """Memory would refuse the first, which comes before the money it needs; under the lock the money is there, and is taken
    from under the drafts."""
    player, market = await known(bank, "3.00")
    offer = uuid4()
    assert posted(await bank.engine.post(hold(player, TWO, market, offer)))
    before = wrong_memories("refused")
    async with being_written(
        bank, hold(player, TWO, market, uuid4()), release(player, TWO, market, offer)
    ) as first:
        upon = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(2)))
        await drafted(bank, 2)
    told = [refused(each) for each in await answers([*first, *upon])]
    assert told == ["posted", "posted", "posted", "insufficient-funds"]
    assert wrong_memories("refused") == before, "drafts were written that knew nothing of it"
    await bank.check()


async def test_a_draft_that_comes_again_has_one_answer(bank: Bank) -> None:
    player, market = await known(bank, "2.00")
    again = hold(player, ONE, market, uuid4())
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = post(bank, again, again, again)
        await drafted(bank, 1)
    told = await answers([*first, *more])
    assert [each.replayed for each in told] == [False, False, True, True]
    assert len({each.outcome.id for each in told[1:]}) == 1  # type: ignore[union-attr]
    await bank.check()


async def test_the_connection_breaks_while_there_are_drafts(bank: Bank) -> None:
    """Whether the batch is in the journal is not known; it is asked again, and the drafts with it."""
    player, market = await known(bank, "9.00")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = post(bank, *(hold(player, TWO, market, uuid4()) for _ in range(4)))
        await drafted(bank, 4)
        async with connected(bank.database, "superuser") as connection:
            killed = await connection.fetchval(
                """
                SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'ledger_posting' AND wait_event_type = 'Lock'
                """
            )
        assert killed == 1
    assert all(map(posted, await answers([*first, *more])))
    await bank.check()


async def test_drafts_that_became_void_are_not_mixed_with_new_ones(bank: Bank) -> None:
    """The batch is tried again after its connection broke, and is being written again when more comes."""
    player, market = await known(bank, "9.00")
    before = wrong_memories("refused")
    async with (
        being_written(bank, hold(player, ONE, market, uuid4())) as first,
        connected(bank.database, "superuser") as connection,
    ):
        void = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(3)))
        await drafted(bank, 3)
        pid = await connection.fetchval(WAITING)
        await connection.execute("SELECT pg_terminate_backend($1)", pid)
        async with asyncio.timeout(5):
            while await connection.fetchval(WAITING) in (None, pid):
                await asyncio.sleep(0.01)
        more = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(3)))
        await drafted(bank, 6)
    told = [answer.outcome for answer in await answers([*first, *void, *more])]
    assert [outcome.sequence - told[0].sequence for outcome in told] == list(range(7))  # type: ignore[union-attr]
    assert wrong_memories("refused") == before, "one was decided twice"
    await bank.check()


async def test_going_down_finishes_what_was_drafted(bank: Bank) -> None:
    player, market = await known(bank, "3.00")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(2)))
        await drafted(bank, 2)
        closing = asyncio.create_task(bank.engine.close())
    assert all(map(posted, await answers([*first, *more])))
    await closing
    await bank.check()


@pytest.mark.parametrize("many", [False, True], ids=["few", "many"])
@pytest.mark.parametrize("seed", range(4))
async def test_holds_drawn_from_batch_to_batch(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, seed: int, many: bool
) -> None:
    """Opened in one batch, drawn in the next ones while they are written, until nothing is left: never more than there is.
    With `many` drafts are sent ahead by the handful, so that there are two batches on their way nearly always."""
    if many:
        monkeypatch.setattr(queue, "AHEAD_FROM", 4)
    dice, market = Random(seed), str(uuid4())
    players = [await bank.fund("40.00") for _ in range(3)]
    offers = [(player, uuid4()) for player in players for _ in range(4)]
    assert all(
        map(
            posted,
            await answers(post(bank, *(hold(player, Decimal(6), market, offer) for player, offer in offers))),
        )
    )
    posts: Posts = []
    for player, offer in [dice.choice(offers) for _ in range(300)]:
        posts += post(bank, release(player, Decimal(dice.randint(1, 3)), market, offer))
        if dice.random() < 0.3:
            await asyncio.sleep(dice.random() * 0.01)
    amounts = [each.outcome.legs[0].amount for each in await answers(posts) if posted(each)]  # type: ignore[union-attr]
    drawn = sum(amounts)
    assert 60 <= drawn <= 72
    await bank.check()


async def test_a_defect_in_the_loop_leaves_nobody_waiting(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in the queue, drafted and sent ahead are told that nobody knows; what is in the journal is found by its key."""
    player, market = await known(bank, "300.00")
    engine = bank.engine
    commands = [hold(player, ONE, market, uuid4()) for _ in range(2 * AHEAD_FROM)]
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = await sent_ahead(bank, *commands[:AHEAD_FROM])
        upon = post(bank, *commands[AHEAD_FROM:-1])
        await drafted(bank, AHEAD_FROM - 1)

        def stumble(*_: object) -> None:
            monkeypatch.undo()
            raise ValueError("a defect")

        monkeypatch.setattr(engine, "_draft_waiting", stumble)
        with pytest.raises(ValueError, match="a defect"):
            await engine.post(commands[-1])
        assert commands[-1].id not in engine._flights, "who repeats it would wait for what was never queued"
        monkeypatch.setattr(engine, "_draft_waiting", stumble)
    told = await answers([*first, *more, *upon])
    assert posted(told[0])
    assert {refused(each) for each in told[1:]} == {"database-unavailable"}
    again = await answers(post(bank, *commands))
    assert all(map(posted, again))
    await bank.check()
