"""Many drafts are sent at once after the batch they were decided on, and wait for the ledger's head in PostgreSQL."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from uuid import uuid4

import pytest
from ledger.domain.commands import Group
from ledger.engine.memory import Memory
from ledger.engine.queue import AHEAD_FROM

from services.ledger.tests.drafting import (
    ONE,
    TWO,
    answers,
    being_written,
    drafted,
    known,
    post,
    sent_ahead,
    together,
    waiting_for_the_head,
)
from services.ledger.tests.vocabulary import (
    Bank,
    connected,
    hold,
    locked,
    posted,
    refused,
    release,
    wrong_memories,
)


async def test_many_drafts_are_sent_before_what_they_were_decided_on_is_there(bank: Bank) -> None:
    player, market = await known(bank, "100.00")
    before = wrong_memories("moved"), wrong_memories("refused")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = await sent_ahead(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        upon = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(100 - 1 - AHEAD_FROM)))
        await drafted(bank, len(upon))
        assert not any(each.done() for each in (*first, *more, *upon)), (
            "nothing is said before it is in the journal"
        )
    told = [answer.outcome for answer in await answers([*first, *more, *upon])]
    assert [outcome.sequence - told[0].sequence for outcome in told] == list(range(100))  # type: ignore[union-attr]
    assert [outcome.legs[0].balance for outcome in told] == [Decimal(-rest) for rest in reversed(range(100))]  # type: ignore[union-attr]
    moments = [outcome.posted_at for outcome in told]  # type: ignore[union-attr]
    assert moments == sorted(moments)
    assert len(set(moments)) == 3
    assert before == (wrong_memories("moved"), wrong_memories("refused")), "none of it was decided twice"
    await bank.check()


async def test_what_found_no_room_among_the_drafts_is_drafted_when_there_is_some(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a queue longer than the batches on their way would be decided while nothing is written."""
    player, market = await known(bank, "300.00")
    engine = bank.engine
    monkeypatch.setattr(engine, "_max_batch", AHEAD_FROM)
    drafts = 0
    draft = engine._memory.draft

    def counted(group: Group) -> bool:
        nonlocal drafts
        told = draft(group)
        drafts += told
        return told

    monkeypatch.setattr(engine._memory, "draft", counted)
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = await sent_ahead(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        upon = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(2 * AHEAD_FROM)))
        await drafted(bank, AHEAD_FROM)
        assert len(engine._waiting) == AHEAD_FROM
    told = [answer.outcome for answer in await answers([*first, *more, *upon])]
    assert [outcome.sequence - told[0].sequence for outcome in told] == list(range(1 + 3 * AHEAD_FROM))  # type: ignore[union-attr]
    assert drafts == 3 * AHEAD_FROM
    await bank.check()


async def test_what_was_sent_upon_a_batch_that_is_refused_is_decided_again(bank: Bank) -> None:
    """As with drafts above; there is money for one more of them once the first is not there."""
    player, market = await known(bank, f"{AHEAD_FROM + 2}.00")
    offer = uuid4()
    assert posted(await bank.engine.post(hold(player, ONE, market, offer)))
    assert posted(await bank.engine.post(release(player, ONE, market, offer)))
    async with being_written(bank, hold(player, TWO, market, offer)) as first:
        more = await sent_ahead(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        upon = post(bank, *(hold(player, ONE, market, uuid4()) for _ in range(3)))
    told = await answers([*first, *more, *upon])
    assert [refused(each) for each in told] == [
        "hold-exists", *["posted"] * (AHEAD_FROM + 2), "insufficient-funds",
    ]  # fmt: skip
    await bank.check()


async def test_what_was_sent_upon_money_that_another_engine_takes_first(bank: Bank, other: Bank) -> None:
    await known(other, "1.00")
    player, market = await known(bank, f"{AHEAD_FROM + 1}.00")
    async with locked(bank.database, 1, asyncio.Event()):
        first_in_line = post(other, hold(player, TWO, market, uuid4()))
        await waiting_for_the_head(bank, 1)
        mine = post(bank, hold(player, ONE, market, uuid4()))
        await waiting_for_the_head(bank, 2)
        upon = together(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        await waiting_for_the_head(bank, 3)
    told = await answers([*first_in_line, *mine, *upon])
    assert sorted(map(refused, told)) == ["insufficient-funds"] * 2 + ["posted"] * AHEAD_FROM
    await bank.check()


@pytest.mark.parametrize("which", ["the one before", "the one sent ahead", "both"])
async def test_a_connection_breaks_while_two_batches_are_on_their_way(bank: Bank, which: str) -> None:
    player, market = await known(bank, f"{AHEAD_FROM + 1}.00")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = await sent_ahead(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        async with connected(bank.database, "superuser") as connection:
            killed = await connection.fetch(
                """
                SELECT pg_terminate_backend(pid) FROM (
                    SELECT pid, row_number() OVER (ORDER BY query_start) AS place FROM pg_stat_activity
                     WHERE datname = current_database() AND usename = 'ledger_posting' AND wait_event_type = 'Lock'
                ) waiting WHERE place = ANY ($1::int[])
                """,
                {"the one before": [1], "the one sent ahead": [2], "both": [1, 2]}[which],
            )
        assert len(killed) == (2 if which == "both" else 1)
    assert all(map(posted, await answers([*first, *more])))
    await bank.check()


async def test_what_lands_upon_a_failure_is_no_memory(bank: Bank) -> None:
    """The one before got no answer and was decided again; so it was in the journal after all, and nobody knows what memory
    has read meanwhile."""
    memory = Memory(1, bank.engine.chart)
    memory.head = 5
    first, second = memory.send([], whole=True), memory.send([], whole=True)
    memory.failed(first)
    assert memory.head is None
    memory.head = 7
    memory.landed(second)
    assert memory.head is None


async def test_going_down_finishes_what_was_sent_ahead(bank: Bank) -> None:
    player, market = await known(bank, f"{AHEAD_FROM + 1}.00")
    async with being_written(bank, hold(player, ONE, market, uuid4())) as first:
        more = await sent_ahead(bank, *(hold(player, ONE, market, uuid4()) for _ in range(AHEAD_FROM)))
        closing = asyncio.create_task(bank.engine.close())
    assert all(map(posted, await answers([*first, *more])))
    await closing
    await bank.check()
