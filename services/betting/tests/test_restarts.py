"""A market that was stopped for a defect goes on when its books agree with the ledger's again and two officials sign."""

from dataclasses import dataclass
from uuid import UUID, uuid4

import asyncpg
import pytest
from betting import bookings
from betting.api.views import MarketView, RaceView
from betting.domain.agreement import LedgerBooks
from betting.domain.errors import BooksDiffer, OfficialHasBet
from betting.domain.ids import MarketId, RaceId, UserId
from common.idempotency import Answer
from common.testing import Database
from contracts.ledger import EntryRequest, Posting, Side

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.badges import shows
from services.betting.tests.books import Refusal
from services.betting.tests.floors import Floor
from services.betting.tests.venue import Venue

STEWARDS = (UserId(uuid4()), UserId(uuid4()))


async def sign(floor: Floor, steward: UserId, key: str | None = None) -> Answer:
    return await floor.venue.restarting.sign(
        call(steward, key),
        MarketId(floor.market.id),
        "found and mended",
        lambda market: Answer.of(MarketView.of(market)),
    )


def leg(side: Side, account: str, pesos: str, hold: UUID | None = None) -> Posting:
    return Posting(account=account, side=side, amount=pesos, currency="MXN", hold=hold)


@dataclass
class Stopped:
    """A market of one bet of a hundred pesos a side, whose match the ledger refused: by mistake Ana's hold had been
    given back."""

    floor: Floor
    ana: UserId
    beto: UserId
    match: EntryRequest

    def post(self, kind: str, *legs: Posting) -> None:
        """What somebody does by hand in the ledger."""
        entry = EntryRequest(kind=kind, reference=bookings.reference(self.floor.market.id), postings=legs)
        self.floor.venue.books.post(f"by-hand-{uuid4()}", entry)

    def hold_again(self, whose: UserId) -> UUID:
        hold, player = uuid4(), f"players/{whose}"
        debit, credit = leg(Side.DEBIT, f"{player}/available", "100.00"), f"{player}/held"
        self.post("bet.hold", debit, leg(Side.CREDIT, credit, "100.00", hold))
        return hold

    def mend(self) -> None:
        """Ana's stake is held again, under another id, and the bet booked."""
        self.book_with(self.ana, self.hold_again(self.ana))

    def book_with(self, whose: UserId, hold: UUID) -> None:
        first, *others = self.match.postings
        paid = first.model_copy(update={"hold": hold, "account": f"players/{whose}/held"})
        self.post("bet.match", paid, *others)


@pytest.fixture
async def stopped(venue: Venue) -> Stopped:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    made = await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 100)
    held = leg(Side.DEBIT, f"players/{ana}/held", "100.00", made.id)
    free = leg(Side.CREDIT, f"players/{ana}/available", "100.00")
    wrong = EntryRequest(
        kind="bet.release", reference=bookings.reference(floor.market.id), postings=(held, free)
    )
    venue.books.post("a-mistake", wrong)
    await venue.deliver()
    assert await floor.status() == "SUSPENDED"
    (match,) = [message.data for message in venue.heard if message.type.startswith("ledger.post.requested")]
    return Stopped(floor, ana, beto, EntryRequest.model_validate(
        {name: match[name] for name in ("kind", "reference", "metadata", "postings")}
    ))  # fmt: skip


async def off(floor: Floor) -> None:
    await floor.venue.gates.off(
        call(JUDGES[0]), RaceId(floor.race.id), lambda race: Answer.of(RaceView.of(race))
    )


async def moves(floor: Floor) -> list[tuple[str | None, str, UUID | None, str]]:
    rows = await floor.venue.owner.fetch(
        "SELECT was, became, actor, reason FROM transition WHERE subject = $1 ORDER BY id", floor.market.id
    )
    return [tuple(row) for row in rows]


async def test_a_stopped_market_is_mended_signed_by_two_and_settled_to_the_centavo(
    venue: Venue, stopped: Stopped
) -> None:
    floor = stopped.floor
    for steward in STEWARDS:
        with pytest.raises(BooksDiffer, match=r"escrow: betting 200\.00, ledger 0\.00"):
            await sign(floor, steward)
    stopped.mend()
    assert (await sign(floor, STEWARDS[0], "one")).status == 200
    assert await floor.status() == "SUSPENDED"
    assert (await sign(floor, STEWARDS[0])).status == 409
    assert (await sign(floor, STEWARDS[0], "one")).replayed
    assert (await sign(floor, STEWARDS[1], "two")).status == 200
    assert await floor.status() == "OPEN"
    assert (await sign(floor, STEWARDS[1], "two")).replayed
    assert (await sign(floor, STEWARDS[1])).status == 409  # it is not stopped
    assert (await moves(floor))[-3:] == [
        ("OPEN", "SUSPENDED", None, "bet.match " + await match_key(venue) + ": hold-exhausted"),
        ("SUSPENDED", "SUSPENDED", STEWARDS[1], "found and mended"),
        ("SUSPENDED", "OPEN", None, "the suspension was lifted"),
    ]
    await floor.finish(0)
    assert await floor.status() == "SETTLED"
    assert venue.books.of(stopped.ana) == {"available": "1097.00", "held": "0.00"}
    assert venue.books.of(stopped.beto) == {"available": "900.00", "held": "0.00"}
    assert venue.books.everything == 2000
    await venue.check_money()
    venue.check_history()


async def match_key(venue: Venue) -> str:
    return f"match:{await venue.owner.fetchval('SELECT id FROM fill')}"


async def test_nobody_restarts_a_market_whose_bet_somebody_else_paid(stopped: Stopped) -> None:
    """The escrow is whole again, and still the books differ: the stake is another's."""
    stranger = stopped.floor.venue.bettor()
    stopped.book_with(stranger, stopped.hold_again(stranger))
    with pytest.raises(BooksDiffer) as differ:
        await sign(stopped.floor, STEWARDS[0])
    assert f"bettor {stranger}: betting 0.00 in bets, ledger 100.00" in str(differ.value)
    assert f"bettor {stopped.ana}: betting 100.00 in bets, ledger 0.00" in str(differ.value)


async def test_a_hold_that_is_left_over_is_a_difference(stopped: Stopped) -> None:
    stopped.mend()
    stopped.hold_again(stopped.beto)
    with pytest.raises(BooksDiffer, match="of no offer, held 100"):
        await sign(stopped.floor, STEWARDS[0])


async def test_who_has_bet_at_the_event_does_not_sign(stopped: Stopped) -> None:
    stopped.mend()
    with pytest.raises(OfficialHasBet):
        await sign(stopped.floor, stopped.beto)


async def test_what_happened_meanwhile_is_compared_again(
    venue: Venue, stopped: Stopped, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the comparing and the signature something happens: the signature would be for books that nobody compared."""
    floor = stopped.floor
    stopped.mend()
    books, looks = venue.restarting._books, 0
    of = books.of

    async def meanwhile(market: MarketId, currency: str) -> LedgerBooks:
        nonlocal looks
        looks += 1
        found = await of(market, currency)
        if looks == 1:
            await venue.owner.execute("UPDATE market SET sequence = sequence + 1")
        return found

    monkeypatch.setattr(books, "of", meanwhile)
    assert (await sign(floor, STEWARDS[0])).status == 200
    assert looks == 2


async def test_a_market_whose_race_went_on_meanwhile_closes_and_is_settled(
    venue: Venue, stopped: Stopped
) -> None:
    floor = stopped.floor
    await off(floor)
    for judge in JUDGES:
        await floor.declare(1, judge=judge)
    await venue.time_passes()
    await venue.settling.settle_due()
    assert await floor.status() == "SUSPENDED"
    stopped.mend()
    for steward in STEWARDS:
        await sign(floor, steward)
    assert await floor.status() == "CLOSED"
    await venue.settling.settle_due()
    await venue.deliver()
    assert await floor.status() == "SETTLED"
    assert venue.books.of(stopped.beto)["available"] == "1097.00"
    await venue.check_money()
    venue.check_history()


async def test_a_market_whose_race_was_scratched_meanwhile_is_void(venue: Venue, stopped: Stopped) -> None:
    floor = stopped.floor
    await floor.scratch()
    assert await floor.status() == "SUSPENDED"
    stopped.mend()
    for steward in STEWARDS:
        await sign(floor, steward)
    await venue.settling.settle_due()
    await venue.deliver()
    assert await floor.status() == "VOID"
    assert {venue.books.of(who)["available"] for who in (stopped.ana, stopped.beto)} == {"1000.00"}
    await venue.check_money()


async def test_a_chunk_that_was_refused_is_asked_for_again(venue: Venue) -> None:
    """Once, under a key of its own; and what was booked stays booked."""
    floor = await venue.market()
    people = [venue.bettor() for _ in range(4)]
    for number, who in enumerate(people):
        await floor.place(who, number % 2, (1, 1), 100)
    venue.settling._users_per_chunk = 1
    for again in range(2):
        key = f"settle:{floor.market.id}:1:2" + (f":{again}" if again else "")
        assert bookings.ChunkKey.parse(key) == bookings.ChunkKey(MarketId(floor.market.id), 1, 2, again)
        venue.books.answers[key] = Refusal("account-closed")
        if again == 0:
            await floor.finish(0)
        else:
            for steward in STEWARDS:
                assert (await sign(floor, steward)).status == 200
            await venue.deliver()
        assert await floor.status() == "SUSPENDED"
        assert await venue.owner.fetchval("SELECT stopped_from FROM market") == "SETTLING"
    for steward in STEWARDS:
        assert (await sign(floor, steward)).status == 200
    assert await floor.status() == "SETTLING"
    await venue.deliver()
    assert await floor.status() == "SETTLED"
    assert sorted(venue.books.of(who)["available"] for who in people) == ["1097.00"] * 2 + ["900.00"] * 2
    assert venue.books.everything == 4000
    await venue.check_money()
    venue.check_history()


async def test_a_chunk_that_was_booked_by_hand_completes_the_settlement(venue: Venue) -> None:
    floor = await venue.market()
    ana, beto = venue.bettor(), venue.bettor()
    await floor.place(ana, 0, (1, 1), 100)
    await floor.place(beto, 1, (1, 1), 100)
    key = f"settle:{floor.market.id}:1:1"
    venue.books.answers[key] = Refusal("account-closed")
    await floor.finish(0)
    (asked,) = [message.data for message in venue.heard if message.data.get("idempotency_key") == key]
    names = ("kind", "reference", "postings", "settlement")
    wanted = EntryRequest.model_validate({name: asked[name] for name in names})
    booked = venue.books.post("by-hand", wanted)
    with pytest.raises(BooksDiffer, match=r"escrow: betting 200\.00, ledger 0\.00"):
        await sign(floor, STEWARDS[0])  # betting has not heard of it yet
    await venue.hear(booked)
    for steward in STEWARDS:
        assert (await sign(floor, steward)).status == 200
    assert await floor.status() == "SETTLED"
    await venue.check_money()


STOP = "UPDATE market SET status = 'SUSPENDED', defect = 'd', version = version + 1 WHERE id = {market};"
SIGN = "INSERT INTO restart SELECT id, version, {who}, 'r' FROM market WHERE id = {market};"
LIFT = """
    UPDATE market SET defect = NULL, status = {status}, version = version + {step}, moved_by = {by}, moved_why = 'r'
     WHERE id = {market};"""


@pytest.mark.parametrize(
    ("rule", "signs", "lift"),
    [
        ("market_restarts_by_two", (), {}),
        ("market_restarts_by_two", ("one",), {}),
        ("restart_is_signed_once", ("one", "one"), {}),
        ("market_restarts_by_two", ("one", "two"), {"by": "third"}),
        ("market_restarts_where_it_was", ("one", "two"), {"status": "OPEN"}),
        ("market_move_is_a_version", ("one", "two"), {"step": "0"}),
        ("declaration_is_impartial", ("bettor", "two"), {}),
        (None, ("one", "two"), {}),
    ],
)
async def test_the_database_wants_two_officials(
    database: Database, venue: Venue, rule: str | None, signs: tuple[str, ...], lift: dict[str, str]
) -> None:
    """As the runtime role, in SQL."""
    floor = await venue.market()
    bettor = venue.bettor()
    await floor.place(bettor, 0, (1, 1), 100)
    who = {
        "one": f"'{STEWARDS[0]}'",
        "two": f"'{STEWARDS[1]}'",
        "third": f"'{uuid4()}'",
        "bettor": f"'{bettor}'",
    }
    market = f"'{floor.market.id}'"
    wanted = {"status": "SUSPENDED", "step": "1", "by": "two", **lift}
    statement = (
        "".join(shows(each) for each in (*STEWARDS, bettor))
        + STOP.format(market=market)
        + "".join(SIGN.format(market=market, who=who[one]) for one in signs)
    )
    statement += LIFT.format(
        market=market, status=f"'{wanted['status']}'", step=wanted["step"], by=who[wanted["by"]]
    )
    app = await asyncpg.connect(database.dsn("betting_app"))
    try:
        if rule is None:
            await app.execute(statement)
            assert await venue.owner.fetchval("SELECT stopped_from IS NULL AND defect IS NULL FROM market")
            return
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
            await app.execute(statement)
        assert refused.value.constraint_name == rule
    finally:
        await app.close()


async def test_a_signature_is_for_one_stop_and_a_stop_keeps_its_reason(
    database: Database, venue: Venue
) -> None:
    floor = await venue.market()
    market = f"'{floor.market.id}'"
    app = await asyncpg.connect(database.dsn("betting_app"))
    broken = {
        "restart_is_of_a_stopped_market": SIGN.format(market=market, who=f"'{STEWARDS[0]}'"),
        "restart_is_of_a_stopped_market (another stop)": STOP.format(market=market)
        + f"INSERT INTO restart VALUES ({market}, 1, '{STEWARDS[0]}', 'r')",
        "market_defect_stays": STOP.format(market=market)
        + "UPDATE market SET defect = 'another', version = version + 1",
        "market_moves_forward": STOP.format(market=market)
        + "UPDATE market SET status = 'OPEN', version = version + 1",
    }
    try:
        for rule, statement in broken.items():
            with pytest.raises(asyncpg.CheckViolationError) as refused:
                await app.execute(shows(STEWARDS[0]) + statement)
            assert refused.value.constraint_name == rule.partition(" ")[0]
        for statement in ("UPDATE market SET stopped_from = 'OPEN'", "DELETE FROM restart"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await app.execute(statement)
    finally:
        await app.close()
