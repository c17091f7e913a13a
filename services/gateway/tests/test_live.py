"""Live updates without servers: what a watcher is told, in which order, and what happens when it cannot keep up."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from common.errors import Unavailable
from contracts import betting
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryCommitted, PostedLeg, Side
from contracts.wire import Event
from gateway.live import hub as hub_module
from gateway.live.hub import Hub, own_messages
from gateway.live.images import DELTAS_KEPT, Image
from gateway.live.watchers import LATE_SECONDS, MOST_MESSAGES, TooSlow, Watcher
from gateway.sessions import NoSession

MARKET, RUNNER = uuid4(), uuid4()
ANA, BETO = uuid4(), uuid4()
NOON = datetime(2026, 6, 7, 12, tzinfo=UTC)


class Clock:
    """Seconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Betting:
    """What betting would answer to whoever reads the market."""

    def __init__(self) -> None:
        self.sequence, self.status, self.asked = 10, "OPEN", 0
        self.levels: dict[tuple[str, int, int], str] = {(str(RUNNER), 5, 4): "100.00"}

    async def fetch(self, market: str) -> Image:
        self.asked += 1
        return Image(market, self.status, 1, self.sequence, self.sequence, dict(self.levels))

    def moves(self, amount: str, risk: int = 5, win: int = 4) -> Envelope:
        """The next change of its book."""
        key = str(RUNNER), risk, win
        self.levels[key] = amount
        level = betting.BookLevel(runner_id=RUNNER, ratio=betting.Ratio(risk=risk, win=win), amount=amount)
        return self.tells(
            betting.BookChanged(market_id=MARKET, market_version=1, levels=(level,), changed_at=NOON)
        )

    def tells(self, event: Event) -> Envelope:
        self.sequence += 1
        return envelope(
            event, id=uuid4(), subject=f"markets/{MARKET}", version=self.sequence, time=NOON,
            partition_key=f"markets/{MARKET}",
        )  # fmt: skip


async def watching(
    betting_: Betting, clk: int | None = None, hub: Hub | None = None
) -> tuple[Hub, Watcher, Clock]:
    clock = Clock()
    hub, watcher = hub or Hub(), Watcher(str(ANA), heartbeat_seconds=0.05, clock=clock)
    hub.joined(watcher)
    await hub.watch(watcher, str(MARKET), clk, betting_.fetch)
    return hub, watcher, clock


def suspended(source: Betting) -> Envelope:
    source.status = "SUSPENDED"
    return source.tells(betting.MarketSuspended(market_id=MARKET, reason="protest", suspended_at=NOON))


async def away(market: str) -> Image:
    """Betting does not answer."""
    raise OSError(market)


async def logged_out(_: str) -> Image:
    raise NoSession("The session ran out or was ended.")


async def told(watcher: Watcher) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await watcher.next_message())
    return message


async def test_an_image_then_deltas_then_a_heartbeat() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    image = await told(watcher)
    assert (image["op"], image["clk"], image["book"]) == ("img", 10, {str(RUNNER): [[5, 4, "100.00"]]})
    await hub.take(source.moves("60.00"))
    delta = await told(watcher)
    assert (delta["op"], delta["prev"], delta["clk"]) == ("delta", 10, 11)
    assert delta["book"] == {str(RUNNER): [[5, 4, "60.00"]]}
    assert (await told(watcher))["op"] == "hb"


async def test_a_repeated_event_changes_nothing_and_a_gap_is_told_as_one_delta() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    again = source.moves("60.00")
    await hub.take(again)
    await told(watcher)
    await hub.take(again)
    assert (await told(watcher))["op"] == "hb"
    source.moves("50.00")  # never arrives, and neither does this one:
    source.moves("7.00", risk=2, win=1)
    await hub.take(source.moves("0.00"))
    assert (await told(watcher))["op"] == "status"
    missed = await told(watcher)
    assert (missed["op"], missed["prev"], missed["clk"]) == ("delta", 11, 14)
    assert missed["book"] == {str(RUNNER): [[5, 4, "0.00"], [2, 1, "7.00"]]}
    await hub.take(source.moves("1.00"))
    assert (await told(watcher))["prev"] == 14
    _, back, _ = await watching(source, clk=11, hub=hub)
    assert (await told(back))["op"] == "status"
    assert (await told(back))["book"] == {str(RUNNER): [[5, 4, "1.00"], [2, 1, "7.00"]]}


async def test_clients_who_were_told_the_same_are_told_the_same_next() -> None:
    """Whatever each of them took when: whoever applies its own deltas has the book."""
    source = Betting()
    hub, quick, _ = await watching(source)
    _, slow, _ = await watching(source, hub=hub)
    books: dict[int, dict[str, Any]] = {id(quick): {}, id(slow): {}}

    async def hear(watcher: Watcher) -> dict[str, Any]:
        message = await told(watcher)
        for levels in message.get("book", {}).values():
            books[id(watcher)].update({f"{risk}:{win}": amount for risk, win, amount in levels})
        return message

    for watcher in (quick, slow):
        assert (await hear(watcher))["op"] == "img"
    await hub.take(source.moves("60.00"))
    assert (await hear(quick))["prev"] == 10
    await hub.take(source.moves("7.00", risk=2, win=1))
    assert (await hear(quick))["prev"] == 11
    assert (await hear(slow))["prev"] == 10
    assert books[id(quick)] == books[id(slow)] == {"5:4": "60.00", "2:1": "7.00"}
    await hub.take(source.moves("8.00"))
    one, other = await hear(quick), await hear(slow)
    assert one == other
    assert (one["prev"], one["clk"]) == (12, 13)


async def test_a_status_is_told_without_the_book() -> None:
    """It takes a sequence number of the market's as well, but nobody needs an image for it."""
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    await hub.take(suspended(source))
    assert (await told(watcher))["status"] == "SUSPENDED"
    assert (await told(watcher))["op"] == "hb"
    _, back, _ = await watching(source, clk=10, hub=hub)
    status = await told(back)
    assert (status["op"], status["status"]) == ("status", "SUSPENDED"), "it was away when it was told"
    assert (await told(back))["op"] == "hb", "whoever knew the book still knows it"
    await hub.take(source.moves("60.00"))
    delta = await told(watcher)
    assert (delta["op"], delta["prev"], delta["clk"]) == ("delta", 10, 12)


async def test_what_is_told_while_the_first_image_is_read_is_not_lost() -> None:
    """The answer was made before the event was committed, and comes after it."""
    source, hub = Betting(), Hub()
    answered = asyncio.Event()
    earlier = await source.fetch(str(MARKET))

    async def slow(market: str) -> Image:
        if not answered.is_set():
            await answered.wait()
            return earlier
        return await source.fetch(market)

    watcher = Watcher(str(ANA), heartbeat_seconds=0.05)
    joining = asyncio.create_task(hub.watch(watcher, str(MARKET), None, slow))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    moved = source.moves("60.00")
    assert hub.concerns(moved.model_dump_json().encode())
    await hub.take(moved)
    answered.set()
    await joining
    image = await told(watcher)
    assert (image["clk"], image["book"]) == (11, {str(RUNNER): [[5, 4, "60.00"]]})


async def test_an_image_that_cannot_be_read_is_read_when_it_can() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    await hub.watch(watcher, str(MARKET), 10, away)
    assert (await told(watcher))["op"] == "status"
    source.moves("50.00")  # never arrives
    await hub.take(source.moves("40.00"))
    assert (await told(watcher))["op"] == "hb"
    await hub.watch(watcher, str(MARKET), 10, source.fetch)
    assert (await told(watcher))["op"] == "status"
    await hub.mend()
    assert [(await told(watcher))["op"] for _ in range(2)] == ["status", "delta"]


async def test_a_status_that_could_not_be_read_is_read_with_the_next_event() -> None:
    """Betting had too much to do just when the market stopped: whoever watches is not left with an open one."""
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    await hub.watch(watcher, str(MARKET), 10, away)
    await told(watcher)
    await hub.take(suspended(source))
    assert (await told(watcher))["op"] == "hb"
    await hub.watch(watcher, str(MARKET), 10, source.fetch)
    await told(watcher)
    await hub.take(source.moves("0.00"))
    status = await told(watcher)
    assert (status["op"], status["status"]) == ("status", "SUSPENDED")
    assert (await told(watcher))["op"] == "delta"


async def test_a_market_that_is_read_slowly_holds_up_nobody_elses() -> None:
    """Neither the deltas of another market nor what is one's own; and when it is read, it is told before what follows."""
    source, hub, answers = Betting(), Hub(), asyncio.Event()
    other = uuid4()

    async def slow(market: str) -> Image:
        await answers.wait()
        return Image(market, "SUSPENDED", 1, 12, 12, {(str(RUNNER), 5, 4): "1.00"})

    _, ana, _ = await watching(source, hub=hub)
    hub.hear(ana)
    await told(ana)
    beto = Watcher(str(BETO), heartbeat_seconds=0.05)
    hub.joined(beto)
    answers.set()
    await hub.watch(beto, str(other), None, slow)
    assert (await told(beto))["op"] == "img"
    answers.clear()
    stopped = betting.MarketSuspended(market_id=other, reason="protest", suspended_at=NOON)
    async with asyncio.timeout(2):
        for sequence in (13, 14):
            await hub.take(
                envelope(
                    stopped, id=uuid4(), subject=f"markets/{other}", version=sequence, time=NOON,
                    partition_key=f"markets/{other}",
                )
            )  # fmt: skip
        await hub.take(source.moves("60.00"))
        assert (await told(ana))["op"] == "delta"
        await hub.take(source.tells(a_match()))
        assert (await told(ana))["op"] == "me"
    assert (await told(beto))["op"] == "hb"
    await hub.close()


async def test_so_many_images_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "MOST_READINGS_AT_ONCE", 3)
    monkeypatch.setattr(hub_module, "PLACE_SECONDS", 0.1)
    hub, answers = Hub(), asyncio.Event()
    reading = 0

    async def slow(market: str) -> Image:
        nonlocal reading
        reading += 1
        await answers.wait()
        return Image(market, "OPEN", 1, 1, 1)

    async def watch() -> None:
        watcher = Watcher(str(uuid4()))
        hub.joined(watcher)
        await hub.watch(watcher, str(uuid4()), None, slow)

    watching_all = [asyncio.create_task(watch()) for _ in range(8)]
    await asyncio.sleep(0.3)
    assert reading == 3
    answers.set()
    results = await asyncio.gather(*watching_all, return_exceptions=True)
    assert [type(each) for each in results].count(Unavailable) == 5


async def test_nobody_is_left_in_the_dark_by_who_logged_out() -> None:
    """A market is read as one of those who watch it: one whose session has ended is not asked for all the others."""
    source, hub = Betting(), Hub()
    _, ana, _ = await watching(source, hub=hub)
    await told(ana)
    gone, ended = Watcher(str(BETO), heartbeat_seconds=0.05), Watcher(str(uuid4()), heartbeat_seconds=0.05)
    for other in (gone, ended):
        hub.joined(other)
        await hub.watch(other, str(MARKET), None, logged_out)
    hub.left(gone)
    await hub.take(suspended(source))
    assert (await told(ana))["status"] == "SUSPENDED"


async def test_who_shares_a_reading_is_not_refused_for_anothers_session() -> None:
    source, hub, asked = Betting(), Hub(), asyncio.Event()

    async def ends(market: str) -> Image:
        await asked.wait()
        return await logged_out(market)

    first, second = Watcher(str(BETO)), Watcher(str(ANA))
    joining = asyncio.create_task(hub.watch(first, str(MARKET), None, ends))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    other = asyncio.create_task(hub.watch(second, str(MARKET), None, source.fetch))
    await asyncio.sleep(0)
    asked.set()
    await asyncio.gather(joining, other)
    assert (await told(second))["op"] == "img"


async def test_nobodys_session_is_nobodys_image() -> None:
    hub, watcher = Hub(), Watcher(str(ANA))
    with pytest.raises(NoSession):
        await hub.watch(watcher, str(MARKET), None, logged_out)
    assert not hub._watchers


async def test_an_image_is_not_kept_for_who_left_while_it_was_read() -> None:
    """Nothing would keep it true, and the next one who comes would be shown a market that has long been closed."""
    source, answers = Betting(), asyncio.Event()
    asked: list[str] = []

    async def slow(market: str) -> Image:
        asked.append(market)
        await answers.wait()
        return await source.fetch(market)

    hub, watcher, _ = await watching(source)
    await hub.watch(watcher, str(MARKET), None, slow)
    source.moves("50.00")  # never arrives
    missed = asyncio.create_task(hub.take(source.moves("40.00")))
    while not asked:
        await asyncio.sleep(0)
    hub.left(watcher)
    answers.set()
    await missed
    while hub._reading:
        await asyncio.sleep(0)
    assert not hub.concerns(source.moves("30.00").model_dump_json().encode())
    await hub.take(suspended(source))
    _, late, _ = await watching(source, hub=hub)
    assert (await told(late))["status"] == "SUSPENDED"


async def test_a_status_does_not_wait_until_changes_of_the_book_may_be_told() -> None:
    source = Betting()
    hub, watcher, clock = await watching(source)
    watcher.conflate_seconds = 5.0
    await told(watcher)
    await hub.take(source.moves("60.00"))
    waiting = asyncio.create_task(told(watcher))
    await asyncio.sleep(0)
    assert not waiting.done()
    await hub.take(suspended(source))
    async with asyncio.timeout(2):
        assert (await waiting)["op"] == "status"
    clock.now += 5.1
    delta = await told(watcher)
    assert (delta["op"], delta["prev"]) == ("delta", 10), "late by its own wish is not late"


async def test_what_was_anybodys_own_and_was_missed_is_said_to_be() -> None:
    """The broker was gone for a moment. A book is read again; what happened to one's money is not told twice by anybody."""
    source = Betting()
    hub, watcher, _ = await watching(source)
    hub.hear(watcher)
    await told(watcher)
    source.moves("50.00")  # never arrives
    await hub.forget()
    assert [(await told(watcher))["op"] for _ in range(3)] == ["missed", "status", "delta"]


async def test_what_concerns_nobody_here_is_not_read() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    body = source.tells(a_match()).model_dump_json().encode()
    assert hub.concerns(body)
    assert not hub.concerns(body.replace(str(MARKET).encode(), str(uuid4()).encode()))
    hub.hear(watcher)
    assert hub.concerns(body.replace(str(MARKET).encode(), str(uuid4()).encode())), "one side of it is Ana's"


async def test_changes_that_nobody_read_are_merged_and_a_late_reader_gets_the_image() -> None:
    source = Betting()
    hub, watcher, clock = await watching(source)
    await told(watcher)
    for amount in range(50):
        await hub.take(source.moves(f"{amount + 1}.00"))
    merged = await told(watcher)
    assert (merged["op"], merged["prev"], merged["clk"]) == ("delta", 10, 60)
    assert merged["book"] == {str(RUNNER): [[5, 4, "50.00"]]}
    await hub.take(source.moves("1.00"))
    clock.now += LATE_SECONDS + 0.1
    assert (await told(watcher))["op"] == "img"
    assert (await told(watcher))["op"] == "hb"


async def test_what_must_not_be_lost_is_not_and_who_never_reads_is_cut_off() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    await hub.take(suspended(source))
    status = await told(watcher)
    assert (status["op"], status["status"]) == ("status", "SUSPENDED")
    for _ in range(MOST_MESSAGES + 1):
        watcher.tell("{}")
    with pytest.raises(TooSlow):
        await watcher.next_message()


async def test_who_was_away_resumes_or_gets_an_image() -> None:
    source = Betting()
    hub, first, _ = await watching(source)
    await told(first)
    for amount in ("90.00", "80.00"):
        await hub.take(source.moves(amount))
    _, back, _ = await watching(source, clk=11, hub=hub)
    assert (await told(back))["op"] == "status"
    missed = await told(back)
    assert (missed["op"], missed["prev"], missed["clk"]) == ("delta", 11, 12)
    _, current, _ = await watching(source, clk=12, hub=hub)
    assert [(await told(current))["op"] for _ in range(2)] == ["status", "hb"]
    _, unknown, _ = await watching(source, clk=3, hub=hub)
    assert (await told(unknown))["op"] == "img"
    for pesos in range(DELTAS_KEPT):
        await hub.take(source.moves(f"{pesos + 1}.00"))
    _, long_away, _ = await watching(source, clk=11, hub=hub)
    assert (await told(long_away))["op"] == "img"
    assert source.asked == 1  # one reading served them all


async def test_a_change_wakes_whoever_waits() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    await told(watcher)
    watcher.heartbeat_seconds = 30.0
    waiting = asyncio.create_task(told(watcher))
    await asyncio.sleep(0)
    await hub.take(source.moves("60.00"))
    async with asyncio.timeout(5):
        assert (await waiting)["op"] == "delta"


async def test_the_last_one_to_leave_takes_the_image_along() -> None:
    source = Betting()
    hub, watcher, _ = await watching(source)
    hub.left(watcher)
    await hub.take(source.moves("60.00"))  # nobody is told, nothing is kept
    await watching(source, hub=hub)
    assert source.asked == 2


def a_match() -> betting.OfferMatched:
    sides = [
        betting.Fill(offer_id=uuid4(), bettor_id=person, runner_id=RUNNER, risked="50.00", remaining="0.00")
        for person in (ANA, BETO)
    ]
    return betting.OfferMatched(
        fill_id=uuid4(), market_id=MARKET, ratio=betting.Ratio(risk=1, win=1), maker=sides[0], taker=sides[1],
        pot="100.00", currency="MXN", matched_at=NOON,
    )  # fmt: skip


def test_everybody_hears_only_the_own_side_of_a_bet() -> None:
    messages = dict(own_messages(Betting().tells(a_match())))
    assert set(messages) == {str(ANA), str(BETO)}
    assert str(BETO) not in messages[str(ANA)]
    assert str(ANA) not in messages[str(BETO)]


def test_everybody_hears_only_the_own_balances() -> None:
    legs = tuple(
        PostedLeg(
            account=f"players/{person}/held", side=Side.DEBIT, amount="50.00", currency="MXN", balance="0.00",
            account_sequence=2,
        )
        for person in (ANA, BETO)
    )  # fmt: skip
    entry = EntryCommitted(
        id=UUID(int=1), sequence=1, kind="bet.match", posted_at=NOON, reference=f"markets/{MARKET}", postings=legs,
        principal="betting", idempotency_key="match:1",
    )  # fmt: skip
    committed = envelope(entry, id=uuid4(), subject=entry.reference, version=1, time=NOON)
    messages = dict(own_messages(committed))
    assert json.loads(messages[str(ANA)])["moved"] == "-50.00"
    assert str(BETO) not in messages[str(ANA)]
