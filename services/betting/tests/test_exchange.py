"""A day at the carril on a real database: offers, matches, cancels, results, settlements, and where the money is."""

import asyncio
from dataclasses import replace
from uuid import uuid4

import pytest
from betting.domain.errors import (
    MarketNotOpen,
    OfferNotFound,
    OfficialHasBet,
    RunnerNotInMarket,
    StakeNotWholeLots,
    StaleMarket,
)
from betting.domain.ids import UserId
from betting.domain.margins import Margin
from common.idempotency import KeyReused
from contracts.ledger import PostRefused, RefusalReason
from prometheus_client import REGISTRY

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.venue import Venue


async def test_two_offers_meet_and_the_winner_is_paid(venue: Venue) -> None:
    floor = await venue.market(bps=300)
    ana, beto = venue.bettor(), venue.bettor()

    made = await floor.place(ana, 0, (5, 4), 500)
    taken = await floor.place(beto, 1, (4, 5), 400)
    await venue.deliver()
    assert (made.status, taken.status, taken.matched, taken.fills) == ("OPEN", "FILLED", "400.00", 1)
    assert venue.books.of(ana) == {"available": "500.00", "held": "0.00"}
    await venue.check_money()

    await floor.finish(0)
    assert await floor.status() == "SETTLED"
    assert venue.books.of(ana)["available"] == "1388.00"  # 400 won, three per cent of it to the house
    assert venue.books.of(beto)["available"] == "600.00"
    assert str(venue.books.balances["house/commission"]) == "12.00"
    assert venue.books.balances[f"markets/{floor.market.id}/escrow"] == 0
    await venue.check_money()
    venue.check_history()


async def test_a_taker_meets_several_makers_and_rests_with_what_is_left(venue: Venue) -> None:
    floor = await venue.market()
    makers = [venue.bettor() for _ in range(3)]
    for user, ratio in zip(makers, ((1, 1), (5, 4), (10, 9)), strict=True):
        await floor.place(user, 0, ratio, 100)

    taken = await floor.place(venue.bettor(), 1, (1, 1), 500)

    assert (taken.status, taken.fills, taken.matched) == ("PARTIAL", 3, "270.00")
    await venue.deliver()
    ratios = [(each.ratio.risk, each.ratio.win) for each in venue.matches(floor.market.id)]
    assert ratios == [(5, 4), (10, 9), (1, 1)]
    await venue.check_money()


async def test_a_deep_book_is_met_page_by_page(venue: Venue) -> None:
    floor = await venue.market()
    for _ in range(140):
        await floor.place(venue.bettor("1.00"), 0, (1, 1), 1)
    taken = await floor.place(venue.bettor(), 1, (1, 1), 135)
    assert (taken.status, taken.fills) == ("FILLED", 135)
    await venue.deliver()
    times = await venue.owner.fetch(
        "SELECT maker.sequence FROM fill JOIN offer maker ON maker.id = maker_offer ORDER BY fill.sequence"
    )
    assert [row[0] for row in times] == sorted(row[0] for row in times)
    await venue.check_money()


async def test_a_cancel_takes_back_what_is_really_left(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    made = await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 30)

    with pytest.raises(OfferNotFound):
        await floor.cancel(beto, made.id)
    assert await floor.cancel(ana, made.id) == 7_000
    assert await floor.cancel(ana, made.id) == 0

    await venue.deliver()
    assert venue.books.of(ana) == {"available": "970.00", "held": "0.00"}
    await venue.check_money()


async def test_meeting_ones_own_offer_cancels_the_rest(venue: Venue) -> None:
    floor = await venue.market()
    ana = venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    taken = await floor.place(ana, 1, (1, 1), 100)
    assert (taken.status, taken.fills) == ("CANCELLED", 0)
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "900.00", "held": "100.00"}
    await venue.check_money()


async def test_dust_goes_back_on_both_sides(venue: Venue) -> None:
    floor = await venue.market(min_stake=5_000)
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 70)
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "930.00", "held": "0.00"}
    taken = await floor.place(ana, 0, (1, 1), 60)
    assert taken.status == "OPEN"
    filled = await floor.place(beto, 1, (1, 1), 90)
    assert (filled.status, filled.matched) == ("FILLED", "60.00")
    await venue.deliver()
    assert venue.books.of(beto) == {"available": "870.00", "held": "0.00"}
    await venue.check_money()


async def test_the_gate_closes_for_ever_and_the_unmatched_lapses(venue: Venue) -> None:
    floor = await venue.market()
    ana = venue.bettor()
    made = await floor.place(ana, 0, (1, 1), 100)
    assert (await floor.close()).status == 200
    assert (await floor.close()).status == 409
    with pytest.raises(MarketNotOpen):
        await floor.place(ana, 0, (1, 1), 100, version=2)
    assert (await floor.offers())[made.id] == "LAPSED"
    await venue.deliver()
    assert venue.books.of(ana) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()


async def test_a_market_without_bets_settles_at_once(venue: Venue) -> None:
    floor = await venue.market()
    await floor.finish(1)
    assert await floor.status() == "SETTLED"
    assert not [message for message in venue.heard if message.type == "ledger.post.requested.v1"]
    venue.check_history()


async def test_a_dead_heat_gives_every_stake_back(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (5, 4), 500)
    await floor.place(beto, 1, (1, 1), 400)
    await floor.finish(None)
    assert await floor.status() == "SETTLED"
    assert venue.books.of(ana)["available"] == venue.books.of(beto)["available"] == "1000.00"
    await venue.check_money()


async def test_a_scratched_race_gives_everything_back(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 300)
    await floor.place(beto, 1, (1, 1), 100)
    assert (await floor.scratch()).status == 200
    assert (await floor.scratch()).status == 409
    await venue.settling.settle_due()
    await venue.deliver()
    assert await floor.status() == "VOID"
    for user in (ana, beto):
        assert venue.books.of(user) == {"available": "1000.00", "held": "0.00"}
    await venue.check_money()
    venue.check_history()


def told(metric: str) -> float | None:
    return REGISTRY.get_sample_value(f"betting_{metric}")


async def test_a_settlement_that_nobody_books_and_a_market_that_cannot_be_settled_are_told(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The settler's turn goes well in both cases, so somebody else has to hear of it."""
    floor = await venue.market()
    await floor.place(venue.bettor(), 0, (1, 1), 100)
    await floor.place(venue.bettor(), 1, (1, 1), 100)
    await floor.scratch()

    async def broken(_: object) -> None:
        raise RuntimeError("a defect")

    with monkeypatch.context() as for_now:
        for_now.setattr(venue.settling, "settle", broken)
        await venue.settling.settle_due()
    assert (told("markets_failing"), told("settlement_unbooked_seconds")) == (1, 0)

    await venue.settling.settle_due()
    await asyncio.sleep(0.2)
    await venue.settling.settle_due()
    late = told("settlement_unbooked_seconds")
    assert told("markets_failing") == 0
    assert late is not None
    assert late >= 0.2, "the ledger has not answered"

    await venue.deliver()
    await venue.settling.settle_due()
    assert told("settlement_unbooked_seconds") == 0


async def test_many_bettors_are_paid_in_chunks(venue: Venue) -> None:
    floor = await venue.market()
    for _ in range(210):
        await floor.place(venue.bettor("10.00"), 0, (1, 1), 10)
    for _ in range(30):
        await floor.place(venue.bettor("70.00"), 1, (1, 1), 70)
    before = venue.books.everything
    await floor.finish(0)
    assert await floor.status() == "SETTLED"
    chunks = await venue.owner.fetch("SELECT chunk, total FROM settlement_chunk ORDER BY chunk")
    assert [row["chunk"] for row in chunks] == [1, 2]
    assert sum(row["total"] for row in chunks) == 4200
    assert venue.books.everything == before
    await venue.check_money()


async def test_results_that_differ_are_a_dispute_and_nothing_is_paid(venue: Venue) -> None:
    floor = await venue.market()
    await floor.close()
    await floor.declare(0, judge=JUDGES[0])
    assert (await floor.declare(0, judge=JUDGES[0])).status == 409
    answer = await floor.declare(0, judge=JUDGES[1], margin=Margin.FAJA)
    assert '"DISPUTED"' in answer.body
    await venue.settling.settle_due()
    assert await floor.status() == "CLOSED"
    await floor.no_contest("disputed")
    await venue.settling.settle_due()
    assert await floor.status() == "VOID"


async def test_the_first_declaration_is_told_to_nobody(venue: Venue) -> None:
    floor = await venue.market()
    await floor.close()
    answer = await floor.declare(0)
    assert '"result":null' in answer.body
    await venue.deliver()
    (declared,) = [message for message in venue.heard if message.type == "betting.race.declared.v1"]
    assert set(declared.data) == {"race_id", "official_id", "declared_at"}


async def test_an_official_who_bet_in_the_event_does_not_judge(venue: Venue) -> None:
    floor = await venue.market()
    judge = venue.bettor()
    await floor.place(judge, 0, (1, 1), 10)
    await floor.close()
    with pytest.raises(OfficialHasBet):
        await floor.declare(0, judge=judge)


async def test_a_stale_screen_places_nothing(venue: Venue) -> None:
    floor = await venue.market()
    ana = venue.bettor()
    with pytest.raises(StaleMarket):
        await floor.place(ana, 0, (1, 1), 100, version=2)
    with pytest.raises(StakeNotWholeLots):
        await venue.placing.place(call(ana), replace(floor.wanted(0, (20, 17), 1), stake=110))
    assert not await floor.offers()


async def test_a_stranger_among_the_runners(venue: Venue) -> None:
    floor, other = await venue.market(), await venue.market()
    wanted = floor.wanted(0, (1, 1), 10)
    with pytest.raises(RunnerNotInMarket):
        await venue.placing.place(call(venue.bettor()), replace(wanted, runner_id=other.race.runners[0].id))
    assert venue.ledger.requests == 0


async def test_a_key_places_once(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    first = await floor.place(ana, 0, (1, 1), 100, key="tap")
    again = await floor.place(ana, 0, (1, 1), 100, key="tap")
    assert (again.id, again.replayed, first.replayed) == (first.id, True, False)
    with pytest.raises(KeyReused):
        await venue.placing.place(call(ana, "tap", b"\1" * 32), floor.wanted(0, (1, 1), 200))
    assert (await floor.place(beto, 0, (1, 1), 100, key="tap")).id != first.id
    assert len(await floor.offers()) == 2


async def test_poor_people_are_told_why(venue: Venue) -> None:
    floor = await venue.market()
    poor = UserId(uuid4())
    refused = await floor.place(poor, 0, (1, 1), 100, key="wish")
    assert (refused.http, refused.problem) == (422, "/problems/insufficient-funds")
    again = await floor.place(poor, 0, (1, 1), 100, key="wish")
    assert (again.id, again.replayed) == (refused.id, True)
    assert await floor.offers() == {refused.id: "REJECTED"}
    assert venue.ledger.requests == 1
    await venue.deliver()
    assert not venue.books.holds
    await venue.check_money()


def defects() -> float:
    return REGISTRY.get_sample_value("betting_market_defects_total") or 0.0


async def test_a_fact_the_ledger_refuses_stops_the_market(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    refused = PostRefused(
        principal="betting",
        idempotency_key="match:1",
        kind="bet.match",
        reference=f"markets/{floor.market.id}",
        problem=RefusalReason(slug="hold-exhausted", detail="no"),
    )
    event, before = uuid4(), defects()
    for _ in range(2):
        await venue.hear(refused, id=event)
    assert defects() == before + 1
    assert await floor.status() == "SUSPENDED"
    with pytest.raises(MarketNotOpen):
        await floor.place(beto, 1, (1, 1), 100)
    assert (await floor.close()).status == 409
    assert await venue.owner.fetchval("SELECT defect FROM market") == "bet.match match:1: hold-exhausted"
    await venue.hear(refused.model_copy(update={"kind": "bet.hold", "reference": "markets/none"}))


async def test_a_chunk_booked_twice_counts_once(venue: Venue) -> None:
    floor = await venue.market()
    await floor.place(venue.bettor(), 0, (1, 1), 100)
    await floor.place(venue.bettor(), 1, (1, 1), 100)
    await floor.finish(0)
    (entry,) = [
        answer
        for key, answer in venue.books.answers.items()
        if key.startswith("settle:") and not isinstance(answer, Exception)
    ]
    for _ in range(2):
        await venue.hear(entry)
    await venue.deliver()
    settled = [message for message in venue.heard if message.type == "betting.market.settled.v1"]
    assert len(settled) == 1
    assert settled[0].data["commission"] == "3.00"
