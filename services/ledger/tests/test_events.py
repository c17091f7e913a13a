"""The ledger's events are built in SQL (docs/adr/0003): they must be what the contract says."""

from __future__ import annotations

import json
from decimal import Decimal
from uuid import uuid4

from contracts.envelope import Envelope
from contracts.ledger import EntryCommitted, EntryView, PostRefused
from ledger.wire import entry_json, entry_view

from services.ledger.tests.vocabulary import Bank, connected, hold, match, posted, refused, settle


async def envelopes(bank: Bank, type_: str) -> list[Envelope]:
    async with connected(bank.database, "ledger_relay") as connection:
        rows = await connection.fetch(
            "SELECT body FROM outbox WHERE body ->> 'type' = $1 ORDER BY version", type_
        )
    return [Envelope.model_validate_json(row["body"]) for row in rows]


async def test_a_committed_event_carries_the_answer_word_for_word(bank: Bank) -> None:
    player, market, offer = await bank.fund(), str(uuid4()), uuid4()
    answer = await bank.engine.post(hold(player, Decimal("12.50"), market, offer, key="the-key"))
    view = entry_view(answer.outcome, bank.engine.chart)  # type: ignore[arg-type] # posted
    told = (await envelopes(bank, EntryCommitted.type))[-1]
    event = told.read(EntryCommitted)
    assert json.loads(entry_json(answer.outcome, bank.engine.chart)) == json.loads(view.model_dump_json())  # type: ignore[arg-type] # posted
    assert told.id == view.id
    assert (told.subject, told.partitionkey, told.sequence) == (
        f"markets/{market}",
        f"markets/{market}",
        view.sequence,
    )
    assert event.idempotency_key == "the-key"
    assert EntryView.model_validate(event.model_dump()).model_dump(mode="json") == json.loads(
        view.model_dump_json()
    )


async def test_a_settlement_part_is_told(bank: Bank) -> None:
    one, other, market = await bank.fund(), await bank.fund(), str(uuid4())
    offers = uuid4(), uuid4()
    for player, offer in zip((one, other), offers, strict=True):
        await bank.engine.post(hold(player, Decimal(10), market, offer))
    await bank.engine.post(match(market, (one, offers[0], Decimal(10)), (other, offers[1], Decimal(10))))
    assert posted(await bank.engine.post(settle(market, {f"players/{one}/available": Decimal(20)})))
    event = (await envelopes(bank, EntryCommitted.type))[-1].read(EntryCommitted)
    assert event.settlement is not None
    assert (str(event.settlement.market), event.settlement.total, event.settlement.chunks) == (
        market,
        "20.00",
        1,
    )


async def test_a_refusal_is_told(bank: Bank) -> None:
    player, market = await bank.fund("5.00"), str(uuid4())
    assert (
        refused(await bank.engine.post(hold(player, Decimal(10), market, uuid4(), key="no")))
        == "insufficient-funds"
    )
    event = (await envelopes(bank, PostRefused.type))[-1].read(PostRefused)
    assert (event.idempotency_key, event.kind, event.problem.slug) == ("no", "bet.hold", "insufficient-funds")
