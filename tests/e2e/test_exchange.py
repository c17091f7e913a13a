"""The exchange as its users meet it, on the real platform: officials set a day up, people bet, officials judge, money moves."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import aiohttp
import pytest
import pytest_asyncio
from common.testing import Stack

from tests.e2e.meeting import Meeting, convened, refused, seen, tomorrow
from tools.raceday.client import Json, Refusal

ANA, BETO, CHUY, MECHE = range(4)
HEADER = "number,distance_m,starts_at,horses,stables,conditions\n"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def meeting(running: Stack) -> AsyncIterator[Meeting]:
    """With bettors who are nobody else's: two of them join stables, which is for good."""
    async with aiohttp.ClientSession() as http:
        yield await convened(running, http, 9_100 + 4 * secrets.randbelow(200), 4)


# -- what officials set up


async def test_a_day_is_set_up_under_a_permit_from_a_card(meeting: Meeting) -> None:
    mark = secrets.token_hex(4)
    carril = await meeting.do(
        "/v1/carriles",
        {"name": f"Carril {mark}", "state": "SIN", "length_m": 350, "margins": ["cabeza", "faja"]},
    )
    for name in ("Reyna", "Sotol"):
        await meeting.do("/v1/stables", {"name": f"Cuadra {name} {mark}"})
    wanted = {"name": "Junta", "venue": "as the carril", "permit": f"P-{mark}", "carril_id": carril["id"],
              "starts_at": tomorrow().isoformat()}  # fmt: skip
    event = await meeting.do("/v1/events", wanted)
    assert (event["venue"], event["status"]) == (f"Carril {mark}", "DRAFT")
    await refused(
        meeting.bettors[ANA].get(f"/v1/events/{event['id']}"), "event-not-found"
    )  # a draft is theirs
    publish = f"/v1/events/{event['id']}/publish"
    await refused(meeting.do(publish), "permit-missing", "permit")
    day = tomorrow().date()
    permit = {"number": f"P-{mark}", "venue": event["venue"], "issuer": "SEGOB", "valid_to": day.isoformat()}
    yesterday = (day - timedelta(days=1)).isoformat()
    await refused(meeting.do("/v1/permits", {**permit, "valid_from": "2099-01-01"}), "invalid-request", None)
    await meeting.do("/v1/permits", {**permit, "valid_from": yesterday})
    assert (await meeting.do(publish))["status"] == "PUBLISHED"
    await refused(meeting.do(publish), "event-state")
    assert [became for became, _ in await meeting.moves(event["id"])] == ["DRAFT", "PUBLISHED"]

    card = f"/v1/events/{event['id']}/card"
    at = (tomorrow() + timedelta(minutes=10)).isoformat()
    rows = f"x,300,{at},a|b,,\n2,300,tomorrow,a|b,,\n3,300,{at},solo,,\n4,9,{at},a|b,,\n7,300,{at},a|b,,\n7,300,{at},c|d,,\n"
    assert await faults(meeting, card, rows) == [
        (2, "number"), (3, "starts_at"), (4, "horses"), (5, "distance_m"), (7, "number"),
    ]  # fmt: skip
    assert await faults(meeting, card, f"5,300,{at},a|b,Nadie|,\n6,400,{at},a|b,,\n") == [
        (2, "stables"), (3, "distance_m"),
    ]  # fmt: skip
    assert (await meeting.bettors[ANA].get(f"/v1/events/{event['id']}"))["races"] == [], "all or nothing"
    good = f"1,300,{at},El Moro|La Chula,cuadra reyna {mark}|Cuadra Sotol {mark},10 s\n2,350,{at},Uno|Dos|Tres,,\n"
    races = (await meeting.do(card, {"content": HEADER + good}))["races"]
    assert [(each["number"], len(each["runners"]), each["conditions"]) for each in races] == [
        (1, 2, "10 s"),
        (2, 3, None),
    ]
    assert all(runner["stable"] for runner in races[0]["runners"])
    assert await faults(meeting, card, good) == [(2, "number"), (3, "number")]
    # This carril judges by two words only.
    pair = [runner["id"] for runner in races[0]["runners"]]
    ventaja = {"kind": "VENTAJA", "giver": pair[0]}
    await refused(meeting.market(races[0], **ventaja, line="paleta"), "terms-invalid", "line")
    assert (await meeting.market(races[0], **ventaja, line="faja"))["line"] == "faja"


async def faults(meeting: Meeting, path: str, rows: str) -> list[tuple[int, str]]:
    """Line and field of everything that a card is refused for."""
    problem = await refused(meeting.do(path, {"content": HEADER + rows}), "card-invalid", "content")
    report = json.loads(problem["report"])
    assert problem["faults"] == len(report)
    assert all(fault["problem"] for fault in report)
    return [(fault["line"], fault["field"]) for fault in report]


async def test_a_race_passes_its_states_in_their_order(meeting: Meeting) -> None:
    event = await meeting.event(seconds=0)
    race, other, third = [await meeting.race(event, number=number) for number in (1, 2, 3)]
    market, void = await meeting.market(race), await meeting.market(other)
    at, saw = f"/v1/races/{race['id']}", seen(race["runners"][0]["id"])
    for path, body in (("finish", {}), ("results", saw), ("ruling", {**saw, "reason": "x"}),
                       ("corrections", {**saw, "reason": "x"})):  # fmt: skip
        problem = await refused(meeting.do(f"{at}/{path}", body), "race-state")
        assert "SCHEDULED" in problem["detail"], "it says what the race is"
    await refused(meeting.do(f"/v1/events/{event['id']}/close"), "event-state")
    await meeting.gate(market)
    await refused(meeting.do(f"/v1/markets/{market['id']}/close"), "race-state")
    await refused(meeting.do(f"/v1/markets/{market['id']}/open"), "race-state")
    assert (await meeting.do(f"{at}/off"))["status"] == "OFF"
    await refused(
        meeting.do(f"{at}/postpone", {"starts_at": tomorrow().isoformat(), "reason": "rain"}), "race-state"
    )
    assert (await meeting.do(f"{at}/finish"))["status"] == "FINISHED"
    await refused(meeting.do(f"{at}/off"), "race-state")
    await meeting.declare(race, saw)
    await meeting.becomes(market, "SETTLED")
    states = [became for became, _ in await meeting.moves(race["id"])]
    assert states == ["SCHEDULED", "AT_GATE", "OFF", "FINISHED", "DECLARED", "CONFIRMED", "FINAL"]
    told = (await meeting.officials[0].get(f"/v1/transitions/{race['id']}"))["items"]
    assert all(each["reason"] and each["at"] for each in told)
    assert [each["actor"] is None for each in told] == [False] * 6 + [True], "the deadline has no actor"

    late = {"starts_at": (tomorrow() + timedelta(hours=3)).isoformat(), "reason": "rain"}
    assert (await meeting.do(f"/v1/races/{other['id']}/postpone", late))["status"] == "POSTPONED"
    assert (await meeting.becomes(void, "OPEN"))["status"] == "OPEN", "on the same day bets stand"
    past = {"starts_at": (tomorrow() + timedelta(days=2)).isoformat(), "reason": "storm"}
    await meeting.do(f"/v1/races/{other['id']}/postpone", past)
    assert (await meeting.becomes(void, "VOID"))["void_reason"]
    await refused(
        meeting.do(f"/v1/races/{third['id']}/scratch", {"reason": " "}), "invalid-request", "reason"
    )
    await meeting.do(f"/v1/events/{event['id']}/cancel", {"reason": "storm"})
    assert (await meeting.bettors[ANA].get(f"/v1/races/{third['id']}"))["status"] == "NO_CORRE"
    assert [became for became, _ in await meeting.moves(event["id"])][-1] == "CANCELLED"
    await refused(meeting.bettors[ANA].post("/v1/events", {}, str(uuid4())), "role-forbidden")


async def test_markets_say_their_terms_and_keep_them(meeting: Meeting) -> None:
    event = await meeting.event()
    match, three = (
        await meeting.race(event, number=1),
        await meeting.race(event, "Uno", "Dos", "Tres", number=2),
    )
    gana = await meeting.market(
        match, commission_bps=250, tie_rule="SPLIT_POT", min_stake="20.00", max_stake="500.00"
    )
    assert hashlib.sha256(gana["terms"].encode()).hexdigest() == gana["terms_hash"]
    assert (gana["kind"], gana["version"], gana["status"]) == ("GANA", 1, "OPEN")
    await refused(meeting.market(match), "market-exists")
    giver = match["runners"][0]["id"]
    await refused(meeting.market(match, kind="VENTAJA", giver=giver), "terms-invalid", "line")
    await refused(meeting.market(match, kind="VENTAJA", giver=giver, line="nariz"), "invalid-request", "line")
    ventaja = await meeting.market(match, kind="VENTAJA", giver=giver, line="paleta")
    assert (ventaja["giver"], ventaja["line"], ventaja["terms_hash"] != gana["terms_hash"]) == (
        giver,
        "paleta",
        True,
    )
    await refused(meeting.market(three), "terms-invalid", "runners")
    runners = [runner["id"] for runner in three["runners"]]
    await refused(meeting.market(three, runners=[runners[0], runners[0]]), "terms-invalid", "runners")
    await refused(
        meeting.market(three, runners=runners[:2], commission_bps=2001), "invalid-request", "commission_bps"
    )
    pairs = [
        await meeting.market(three, runners=[runners[a], runners[b]]) for a, b in ((0, 1), (0, 2), (1, 2))
    ]
    assert len({pair["id"] for pair in pairs}) == 3
    # One horse does not start: the markets about it are void, the third stands.
    await meeting.do(f"/v1/races/{three['id']}/runners/{runners[0]}/scratch", {"reason": "cojea"})
    await meeting.becomes(pairs[0], "VOID")
    await meeting.becomes(pairs[1], "VOID")
    assert (await meeting.becomes(pairs[2], "OPEN"))["version"] == 1
    offer = await meeting.offer(ANA, gana, 0, "20.00", terms_hash=gana["terms_hash"])
    assert offer["status"] == "OPEN"
    await refused(meeting.offer(ANA, gana, 0, "30.00", terms_hash="ab" * 32), "stale-market", "terms_hash")
    await refused(meeting.offer(ANA, gana, 0, "10.00"), "stake-out-of-bounds", "stake")
    await refused(meeting.offer(ANA, gana, 0, "600.00"), "stake-out-of-bounds", "stake")


@pytest.mark.parametrize("scope", ["MARKET", "EVENT", "GLOBAL", "USER"])
async def test_betting_is_suspended_and_resumed(meeting: Meeting, scope: str) -> None:
    race, market = await meeting.floor()
    subject = {"MARKET": market["id"], "EVENT": race["event_id"], "GLOBAL": None, "USER": meeting.ids[ANA]}[
        scope
    ]
    resting = await meeting.offer(ANA, market, 0, "50.00")
    wanted: Json = {"scope": scope, "reason": "storm"} | ({} if subject is None else {"subject": subject})
    if scope == "GLOBAL":
        await refused(meeting.do("/v1/suspensions", {**wanted, "subject": market["id"]}), "invalid-request")
    else:
        await refused(meeting.do("/v1/suspensions", {"scope": scope, "reason": "x"}), "invalid-request")
    suspension = await meeting.admin.post("/v1/suspensions", wanted, str(uuid4()))
    try:
        told = await refused(
            meeting.offer(ANA, market, 0, "60.00"),
            "betting-suspended" if scope == "USER" else "market-not-open",
        )
        assert "SUSPENDED" in told["detail"] or "storm" in told["detail"]
        await refused(meeting.do("/v1/suspensions", wanted), "betting-suspended")
        ended = await meeting.bettors[ANA].get(f"/v1/offers/{resting['id']}")
        if scope == "USER":
            assert (ended["status"], ended["ending"]) == ("CANCELLED", "BETTOR_SUSPENDED")
            assert (await meeting.offer(BETO, market, 0, "60.00"))["status"] == "OPEN", "others go on"
        else:
            assert ended["status"] == "OPEN"
            cancelled = await meeting.bettors[ANA].delete(f"/v1/offers/{resting['id']}", str(uuid4()))
            assert cancelled["cancelled"] == "50.00", "what rests can be taken back"
    finally:
        lifted = await meeting.admin.post(
            f"/v1/suspensions/{suspension['id']}/lift", {"reason": "over"}, str(uuid4())
        )
    assert (lifted["imposed_by"], lifted["reason"], lifted["lift_reason"]) == (
        lifted["lifted_by"],
        "storm",
        "over",
    )
    await refused(
        meeting.do(f"/v1/suspensions/{suspension['id']}/lift", {"reason": "again"}), "suspension-not-found"
    )
    now = await meeting.becomes(market, "OPEN")
    if scope != "USER":
        assert now["version"] == 3
        await refused(meeting.offer(ANA, market, 0, "60.00"), "stale-market", "market_version")
    assert (await meeting.offer(ANA, now, 0, "60.00"))["status"] == "OPEN"


# -- what bettors do


async def test_offers_of_every_kind(meeting: Meeting) -> None:
    _, market = await meeting.floor(max_exposure="1000.00", max_stake="1000.00")
    ana = meeting.bettors[ANA]
    begun = await meeting.purse(ANA)
    resting = await meeting.offer(ANA, market, 0, "100.00", 5, 4)
    assert (resting["status"], resting["remaining"]) == ("OPEN", "100.00")
    # What does not fit is refused and names its field; nothing is held for it.
    for options, slug, field in (
        ({"risk": 7, "win": 3}, "ratio-off-ladder", "risk"),
        ({"risk": 5, "win": 4, "pesos": "100.01"}, "stake-not-whole-lots", "stake"),
        ({"pesos": "1.005"}, "invalid-request", "stake"),
        ({"pesos": "0.50"}, "stake-out-of-bounds", "stake"),
        ({"min_fill": "200.00"}, "options-invalid", "min_fill"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "options-invalid", "expires_at"),
        ({"challenges": meeting.ids[ANA]}, "options-invalid", "challenges"),
        ({"market_version": 2}, "stale-market", "market_version"),
        ({"runner_id": str(uuid4())}, "runner-not-in-market", "runner_id"),
        ({"currency": "USD"}, "currency-not-taken", "currency"),
    ):  # fmt: skip
        asked = {"side": 0, "pesos": "100.00", **options}
        await refused(meeting.offer(ANA, market, **asked), slug, field)  # type: ignore[arg-type]
    again = await meeting.offer(ANA, market, 0, "100.00", 5, 4, repeat=True)
    assert again["id"] != resting["id"]
    taps = (meeting.offer(MECHE, market, 0, "20.00", 1, 10) for _ in range(2))
    both = await asyncio.gather(*taps, return_exceptions=True)
    (twin,) = [each for each in both if isinstance(each, Refusal)]
    assert (twin.slug, twin.problem["field"]) == ("duplicate-slip", "repeat"), "the same slip by two taps"
    await refused(meeting.offer(ANA, market, 0, "900.00"), "exposure-exceeded", "stake")
    # Fill or kill: wholly or not at all. Beto risks 4 to win 5 against what rests.
    killed = await meeting.offer(BETO, market, 1, "400.00", 4, 5, fill_or_kill=True)
    assert (killed["status"], killed["released"], killed["ending"]) == ("KILLED", "400.00", "NOT_ENOUGH")
    filled = await meeting.offer(BETO, market, 1, "40.00", 4, 5, fill_or_kill=True)
    assert (filled["status"], filled["fills"][0]["pot"]) == ("FILLED", "90.00")
    # At least so much at once: enough, and the rest waits; not enough, and nothing happens.
    none = await meeting.offer(BETO, market, 1, "400.00", 4, 5, min_fill="200.00", repeat=True)
    assert (none["status"], none["matched"]) == ("KILLED", "0.00")
    some = await meeting.offer(BETO, market, 1, "200.00", 4, 5, min_fill="80.00")
    assert (some["status"], some["matched"], some["remaining"]) == ("PARTIAL", "120.00", "80.00")
    cancelled = await meeting.bettors[BETO].delete(f"/v1/offers/{some['id']}", str(uuid4()))
    assert (cancelled["status"], cancelled["cancelled"], cancelled["matched"]) == (
        "CANCELLED",
        "80.00",
        "120.00",
    )
    # Both of Ana's offers are bets now: one was met by two, one by one.
    mine = (await ana.get(f"/v1/offers?market_id={market['id']}"))["items"]
    assert [(each["status"], each["matched"]) for each in mine] == [("FILLED", "100.00")] * 2
    # Expiry.
    soon = (datetime.now(UTC) + timedelta(seconds=6)).isoformat()
    brief = await meeting.offer(ANA, market, 0, "30.00", expires_at=soon)
    assert brief["status"] == "OPEN"
    async with asyncio.timeout(30):
        while (ended := await ana.get(f"/v1/offers/{brief['id']}"))["status"] == "OPEN":
            await asyncio.sleep(0.1)
    assert (ended["status"], ended["ending"], ended["released"]) == ("EXPIRED", "TIME_OVER", "30.00")
    # Self-match: her own resting offer stops her, and what is left of the taker ends.
    await meeting.offer(ANA, market, 0, "10.00")
    self_match = await meeting.offer(ANA, market, 1, "10.00")
    assert (self_match["status"], self_match["ending"]) == ("CANCELLED", "SELF_MATCH")
    # Cancel all: of this market, then of all.
    await meeting.offer(ANA, market, 0, "11.00")
    gone = await ana.post("/v1/offers/cancel", {"market_id": market["id"]}, str(uuid4()))
    assert sorted(each["cancelled"] for each in gone["items"]) == ["10.00", "11.00"]
    await ana.post("/v1/offers/cancel", {}, str(uuid4()))
    assert (await ana.get("/v1/offers?open=true"))["items"] == []
    await meeting.do(f"/v1/races/{market['race_id']}/scratch", {"reason": "cojea"})
    await meeting.becomes(market, "VOID")
    await meeting.gained(ANA, begun, "0.00")


async def test_a_challenge_is_taken_or_declined_by_the_one_it_is_for(meeting: Meeting) -> None:
    _, market = await meeting.floor()
    beto, chuy = meeting.bettors[BETO], meeting.bettors[CHUY]
    for_beto = await meeting.offer(ANA, market, 0, "100.00", 2, 1, challenges=meeting.ids[BETO])
    another = await meeting.offer(ANA, market, 0, "50.00", challenges=meeting.ids[BETO])
    view = await chuy.get(f"/v1/markets/{market['id']}")
    assert not any(side["levels"] for side in view["book"]), "it is not in the public book"
    assert (await chuy.get("/v1/challenges"))["items"] == []
    assert {each["id"] for each in (await beto.get("/v1/challenges"))["items"]} >= {
        for_beto["id"],
        another["id"],
    }
    not_meant = await meeting.offer(CHUY, market, 1, "50.00", 1, 2, answers=for_beto["id"])
    assert (not_meant["status"], not_meant["matched"], not_meant["released"]) == (
        "KILLED",
        "0.00",
        "50.00",
    )
    taken = await meeting.offer(BETO, market, 1, "50.00", 1, 2, answers=for_beto["id"])
    assert (taken["status"], taken["matched"]) == ("FILLED", "50.00")
    await refused(
        chuy.post(f"/v1/challenges/{another['id']}/decline", {}, str(uuid4())), "challenge-not-found"
    )
    declined = await beto.post(f"/v1/challenges/{another['id']}/decline", {}, str(uuid4()))
    assert declined["cancelled"] == "50.00"
    assert (await meeting.bettors[ANA].get(f"/v1/offers/{another['id']}"))["ending"] == "DECLINED"
    await meeting.do(f"/v1/races/{market['race_id']}/scratch", {"reason": "cojea"})


async def test_records_exposure_profit_and_a_history_that_replays(meeting: Meeting) -> None:
    race, market = await meeting.floor(seconds=0)
    ana, beto = meeting.bettors[ANA], meeting.bettors[BETO]
    before = {each["market_id"]: each for each in (await ana.get("/v1/exposure"))["markets"]}
    assert market["id"] not in before
    made = await meeting.offer(ANA, market, 0, "100.00", 5, 4)
    took = await meeting.offer(BETO, market, 1, "40.00", 4, 5)
    receipt = await ana.get(f"/v1/offers/{made['id']}/receipt")
    assert hashlib.sha256(receipt["record"].encode()).hexdigest() == receipt["sha256"]
    record = json.loads(receipt["record"])
    assert (record["offer"], record["bettor"]) == (made["id"], meeting.ids[ANA])
    await refused(beto.get(f"/v1/offers/{made['id']}/receipt"), "offer-not-found")
    exposure = {each["market_id"]: each for each in (await ana.get("/v1/exposure"))["markets"]}[market["id"]]
    assert (exposure["offered"], exposure["if_a"], exposure["if_b"]) == ("50.00", "40.00", "-50.00")
    (open_one,) = (await ana.get(f"/v1/offers?open=true&market_id={market['id']}"))["items"]
    assert (open_one["id"], open_one["remaining"]) == (made["id"], "50.00")
    for pesos in ("20.00", "30.00"):
        await meeting.offer(BETO, market, 0, pesos, 10, 9)
    replayed: dict[tuple[str, int, int], str] = {}
    after: int | None = 0
    while after is not None:
        page = await ana.get(f"/v1/markets/{market['id']}/history?after={after}&limit=2")
        for change in page["items"]:
            for side in change["book"]:
                for level in side["levels"]:
                    replayed[side["runner_id"], level["risk"], level["win"]] = level["amount"]
        after = page["next"]
    view = await ana.get(f"/v1/markets/{market['id']}")
    shown = {
        (side["runner_id"], level["risk"], level["win"]): level["amount"]
        for side in view["book"]
        for level in side["levels"]
    }
    assert {level: amount for level, amount in replayed.items() if amount != "0.00"} == shown != {}
    assert not set(meeting.ids) & set(json.dumps(view).split('"')), "no book names anybody"
    await meeting.gate(market)
    await meeting.declare(race, seen(race["runners"][0]["id"]))
    await meeting.becomes(market, "SETTLED", 1)
    profit = next(
        each for each in (await ana.get("/v1/profits"))["items"] if each["market_id"] == market["id"]
    )
    assert (profit["staked"], profit["payout"], profit["commission"], profit["profit"]) == (
        "50.00",
        "88.80",
        "1.20",
        "38.80",
    )
    bet = next(each for each in (await beto.get("/v1/bets"))["items"] if each["offer_id"] == took["id"])
    assert (bet["verdict"], bet["stake"], bet["pot"]) == ("LOST", "40.00", "90.00")
    assert (await ana.get(f"/v1/offers/{made['id']}/receipt")) == receipt, "the record never changes"


# -- results and money


async def test_a_mismatch_an_objection_and_a_third_officials_ruling(meeting: Meeting) -> None:
    race, market = await meeting.floor()
    one = race["runners"][0]["id"]
    before = await meeting.purse(ANA)
    await meeting.offer(ANA, market, 0, "100.00")
    await meeting.offer(BETO, market, 1, "100.00")
    await meeting.gate(market)
    at = f"/v1/races/{race['id']}"
    await refused(meeting.do(f"{at}/results", seen(one, None)), "result-invalid", "margin")
    await refused(meeting.do(f"{at}/results", seen(str(uuid4()))), "result-invalid", "winner")
    await refused(
        meeting.do(f"{at}/results", {**seen(one), "photo_sha256": "no"}), "invalid-request", "photo_sha256"
    )
    first = await meeting.declare(race, seen(one), 0)
    assert (first["status"], first["result"]) == ("DECLARED", None)
    blind = await meeting.officials[1].get(at)
    assert one not in json.dumps({**blind, "runners": [], "market": None, "markets": []}), (
        "the second is blind"
    )
    await refused(meeting.declare(race, seen(one), 0), "result-already-declared")
    assert (await meeting.declare(race, seen(one, "faja"), 1))["status"] == "DISPUTED"
    ruling = {**seen(one), "reason": "the photo shows a head"}
    await refused(meeting.do(f"{at}/ruling", ruling, judge=0), "result-already-declared")
    await refused(meeting.do(f"{at}/ruling", seen(one), judge=2), "invalid-request", "reason")
    assert (await meeting.do(f"{at}/ruling", ruling, judge=2))["status"] == "FINAL"
    await meeting.becomes(market, "SETTLED", 1)
    await meeting.gained(ANA, before, "97.00")
    final = await meeting.bettors[ANA].get(at)
    assert (final["result"]["source"], final["result"]["reason"]) == ("RULED", "the photo shows a head")

    race, market = await meeting.floor()
    await meeting.gate(market)
    at = f"/v1/races/{race['id']}"
    assert (await meeting.declare(race, seen(race["runners"][0]["id"])))["status"] == "CONFIRMED"
    reason = {"reason": "it crossed the line"}
    await refused(meeting.bettors[MECHE].post(f"{at}/objections", reason, str(uuid4())), "not-a-party")
    assert (await meeting.do(f"{at}/objections", reason, judge=2))["status"] == "DISPUTED"
    await refused(meeting.do(f"{at}/objections", reason, judge=2), "objection-window-closed")
    dead_heat = {**seen(None), "reason": "together"}
    await refused(
        meeting.do(f"{at}/ruling", dead_heat, judge=2), "result-already-declared"
    )  # who objected is a party
    assert (await meeting.do(f"{at}/ruling", dead_heat, judge=3))["status"] == "FINAL"
    await meeting.becomes(market, "SETTLED")


async def test_both_stables_conform_and_connections_are_barred(meeting: Meeting) -> None:
    stables = [await meeting.do("/v1/stables", {"name": f"Cuadra {uuid4()}"}) for _ in range(2)]
    for stable, bettor in zip(stables, (CHUY, MECHE), strict=True):
        member = {"user_id": meeting.ids[bettor], "part": "OWNER"}
        await meeting.do(f"/v1/stables/{stable['id']}/members", member)
        await refused(meeting.do(f"/v1/stables/{stable['id']}/members", member), "member-of-a-stable")
    race = await meeting.race(await meeting.event(), stables=[stable["id"] for stable in stables])
    market = await meeting.market(race)
    await refused(meeting.offer(CHUY, market, 1, "50.00"), "connection-barred")
    begun = [await meeting.purse(bettor) for bettor in (CHUY, MECHE)]
    await meeting.offer(CHUY, market, 0, "50.00")
    await meeting.offer(MECHE, market, 1, "50.00")
    await meeting.gate(market)
    assert (await meeting.declare(race, seen(race["runners"][0]["id"])))["status"] == "CONFIRMED"
    conform = f"/v1/races/{race['id']}/conformity"
    await refused(meeting.bettors[ANA].post(conform, {}, str(uuid4())), "not-a-party")
    assert (await meeting.bettors[CHUY].post(conform, {}, str(uuid4())))["status"] == "CONFIRMED"
    await refused(meeting.bettors[CHUY].post(conform, {}, str(uuid4())), "already-signed")
    assert (await meeting.bettors[MECHE].post(conform, {}, str(uuid4())))["status"] == "FINAL", (
        "nobody waits any more"
    )
    await meeting.becomes(market, "SETTLED", 1)
    await meeting.gained(CHUY, begun[0], "48.50")
    await meeting.gained(MECHE, begun[1], "-50.00")


@pytest.mark.parametrize(
    ("end", "ana", "beto"),
    [
        ("winner", "78.40", "-80.00"),
        ("push", "0.00", "0.00"),
        ("split", "-10.00", "9.80"),
        ("void", "0.00", "0.00"),
    ],
)
async def test_money_moves_as_the_race_ended(meeting: Meeting, end: str, ana: str, beto: str) -> None:
    """Ana risks 100 to win 80 and Beto the other way round, at 2 % commission."""
    rule = "SPLIT_POT" if end == "split" else "PUSH"
    race, market = await meeting.floor(seconds=0, commission_bps=200, tie_rule=rule)
    begun = [await meeting.purse(bettor) for bettor in (ANA, BETO)]
    await meeting.offer(ANA, market, 0, "100.00", 5, 4)
    await meeting.offer(BETO, market, 1, "80.00", 4, 5)
    assert (await meeting.becomes(market, "OPEN"))["escrow"] == "180.00"
    if end == "void":
        await meeting.do(f"/v1/races/{race['id']}/scratch", {"reason": "cojea"})
    else:
        await meeting.gate(market)
        winner = race["runners"][0]["id"] if end == "winner" else None
        await meeting.declare(race, seen(winner))
    done = await meeting.becomes(market, "VOID" if end == "void" else "SETTLED")
    assert done["escrow"] == "0.00"
    for bettor, purse, pesos in zip((ANA, BETO), begun, (ana, beto), strict=True):
        await meeting.gained(bettor, purse, pesos)


async def test_what_the_law_of_a_state_takes_is_withheld(meeting: Meeting) -> None:
    state = "".join(secrets.choice("ABCDEFGHJKLMNPQRSTUVWXYZ") for _ in range(3))
    rate = {
        "state": state,
        "valid_from": tomorrow().date().isoformat(),
        "name": "isr",
        "bps": 700,
        "reason": "ley",
    }
    await refused(meeting.bettors[ANA].post("/v1/withholding-rates", rate, str(uuid4())), "role-forbidden")
    asked = await meeting.admin.post("/v1/withholding-rates", rate, str(uuid4()))
    approve = f"/v1/withholding-rates/{asked['id']}/approve"
    await refused(meeting.admin.post(approve, {}, str(uuid4())), "four-eyes-needed")
    await meeting.other_admin.post(approve, {}, str(uuid4()))
    past = {**rate, "valid_from": "2020-01-01"}
    await refused(
        meeting.admin.post("/v1/withholding-rates", past, str(uuid4())), "rate-too-late", "valid_from"
    )
    await refused(
        meeting.admin.post("/v1/withholding-rates", rate, str(uuid4())), "rate-exists", "valid_from"
    )
    race = await meeting.race(await meeting.event(seconds=0, state=state))
    market = await meeting.market(race, commission_bps=0)
    begun = await meeting.purse(ANA)
    await meeting.offer(ANA, market, 0, "100.00")
    await meeting.offer(BETO, market, 1, "100.00")
    await meeting.gate(market)
    await meeting.declare(race, seen(race["runners"][0]["id"]))
    await meeting.becomes(market, "SETTLED", 1)
    await meeting.gained(ANA, begun, "93.00")
