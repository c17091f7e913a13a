"""The storm's checks can fail: small books that are sound, and each lie about them is named.

The storm itself takes minutes and is run by hand (`make storm`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID, uuid4

import pytest
from contracts.envelope import Envelope

from tools.raceday.storm import verdict
from tools.raceday.storm.heard import Listener
from tools.raceday.storm.reckoning import Bet, Side, ends
from tools.raceday.storm.told import Act, Result, Standstill, Told, key_of

NOW = datetime(2036, 6, 7, 18, tzinfo=UTC)
ANA, BETO, MORO, CHULA = (str(UUID(int=number)) for number in range(1, 5))
MARKET, RACE = str(uuid4()), str(uuid4())
TERMS = {
    "id": MARKET, "race_id": RACE, "runners": [MORO, CHULA], "kind": "GANA", "tie_rule": "PUSH", "giver": None, "line": None,
    "commission_bps": 333,
}  # fmt: skip
SEEN = {"winner": MORO, "margin": "cabeza", "off_time": (NOW + timedelta(minutes=1)).isoformat()}


@dataclass
class Day:
    """Ana risked 100 to win 80 on El Moro; Beto took half of it; the rest she took back. El Moro won."""

    told: Told = field(default_factory=Told)
    offers: list[dict[str, Any]] = field(default_factory=list)
    bets: list[dict[str, Any]] = field(default_factory=list)
    markets: list[dict[str, Any]] = field(default_factory=list)
    holds: dict[str, Fraction] = field(default_factory=dict)
    balances: dict[str, Fraction] = field(default_factory=dict)

    @property
    def books(self) -> verdict.Books:
        return verdict.Books(
            {each["idempotency_key"]: each for each in self.offers},  # type: ignore[misc]  # rows, as far as they are read
            self.bets,  # type: ignore[arg-type]
            {each["id"]: each for each in self.markets},  # type: ignore[misc]
            self.holds,
            self.balances,
        )

    def wrong(self) -> list[str]:
        books = self.books
        return [
            *verdict.not_at_rest(books),
            *verdict.holds_and_escrows(books),
            *verdict.answers(books, self.told),
            *verdict.money(books, self.told, {MARKET: TERMS}, Fraction(1000), [ANA, BETO], ("isr", 137)),
        ]


def offered(
    day: Day, who: str, runner: str, ratio: tuple[int, int], stake: str, matched: str
) -> dict[str, Any]:
    """An offer in the books, and what its bettor was told when it was placed."""
    id, name = str(uuid4()), f"offer {len(day.offers)}"
    released = str(Decimal(stake) - Decimal(matched))
    day.offers.append({
        "id": id, "idempotency_key": str(key_of(name)), "user_id": who, "market_id": MARKET, "risk": ratio[0], "win": ratio[1],
        "stake": Decimal(stake), "matched": Decimal(matched), "remaining": Decimal(0), "released": Decimal(released),
        "status": "FILLED" if released == "0.00" else "CANCELLED",
        "record": json.dumps({"stake_minor": int(Decimal(stake) * 100), "runner": runner}),
    })  # fmt: skip
    answer = {
        "id": id,
        "market_id": MARKET,
        "stake": stake,
        "risk": ratio[0],
        "win": ratio[1],
        "matched": matched,
        "fills": [],
    }
    wanted = {"stake": stake, "runner_id": runner}
    day.told.acts.append(Act("offer", name, 0, wanted, NOW, NOW + timedelta(seconds=1), answer))
    return day.offers[-1]


@pytest.fixture
def day() -> Day:
    day = Day()
    made = offered(day, ANA, MORO, (5, 4), "100.00", "50.00")
    took = offered(day, BETO, CHULA, (4, 5), "40.00", "40.00")
    made["released"] = Decimal(50)
    fill = str(uuid4())
    day.told.acts[1].answer["fills"] = [{"id": fill, "stake": "40.00", "pot": "90.00"}]  # type: ignore[index]
    day.bets.append({
        "id": fill, "market_id": MARKET, "matched_at": NOW, "pot": Decimal(90),
        "maker_offer": made["id"], "maker_user": ANA, "maker_runner": MORO, "maker_stake": Decimal(50),
        "taker_offer": took["id"], "taker_user": BETO, "taker_runner": CHULA, "taker_stake": Decimal(40),
    })  # fmt: skip
    cancelled = {"id": made["id"], "cancelled": "50.00", "matched": "50.00"}
    day.told.acts.append(Act("cancel", "cancel", 0, {}, NOW, NOW + timedelta(seconds=2), cancelled))
    day.told.results[RACE] = Result(SEEN)
    day.told.closed[MARKET] = NOW + timedelta(seconds=30)
    day.markets.append({"id": MARKET, "race_id": RACE, "status": "SETTLED", "defect": None})
    # 3.33 % of 40.00 is 1.332, and 1.37 % of what is left is 0.52…
    day.balances = {
        f"players/{ANA}/available": Fraction("1038.15"),
        f"players/{BETO}/available": Fraction(960),
        "house/commission": Fraction("1.33"),
        "tax/isr": Fraction("0.52"),
    }
    return day


def test_sound_books_are_sound(day: Day) -> None:
    assert day.wrong() == []


def _stop(day: Day, **change: object) -> None:
    stop = {
        "scope": "MARKET",
        "subject": MARKET,
        "since": NOW - timedelta(1),
        "until": NOW + timedelta(1),
        **change,
    }
    day.told.standstills.append(Standstill(**stop))  # type: ignore[arg-type]


LIES: dict[str, Callable[[Day], object]] = {
    "on their way": lambda day: day.offers[0].update(status="PENDING"),
    "is stopped": lambda day: day.markets[0].update(defect="x"),
    "is held for it": lambda day: day.holds.update({day.offers[0]["id"]: Fraction(50)}),
    "betting knows of": lambda day: day.balances.update({f"players/{ANA}/held": Fraction(1)}),
    "escrow has": lambda day: day.markets[0].update(status="CLOSED"),
    "nobody asked": lambda day: day.told.acts.pop(0),
    "that is not there": lambda day: day.offers.pop(),
    "was refused": lambda day: setattr(day.told.acts[1], "answer", None),
    "was told 41": lambda day: day.told.acts[1].wanted.update(stake="41.00"),
    "that 50.00 is matched": lambda day: day.offers[0].update(matched=Decimal(45)),
    "receipt": lambda day: day.offers[0].update(record='{"stake_minor": 1, "runner": ""}'),
    "a bet that is none": lambda day: day.bets[0].update(pot=Decimal(91)),
    "was released": lambda day: day.offers[0].update(released=Decimal(49)),
    "market was closed": lambda day: day.told.closed.update({MARKET: NOW - timedelta(seconds=1)}),
    "had been taken back": lambda day: day.bets[0].update(matched_at=NOW + timedelta(seconds=3)),
    "MARKET": _stop,
    "USER": lambda day: _stop(day, scope="USER", subject=BETO),
    "GLOBAL": lambda day: _stop(day, scope="GLOBAL", subject=None),
    "and its race was": lambda day: day.told.results.update({RACE: Result(None, "no corre")}),
    "and the bets make": lambda day: day.balances.update({f"players/{ANA}/available": Fraction("1038.16")}),
    "house/commission": lambda day: day.balances.update({"house/commission": Fraction("1.34")}),
    "tax/isr": lambda day: day.balances.update({"tax/isr": Fraction("0.53")}),
}


@pytest.mark.parametrize("named", LIES)
def test_a_lie_is_named(day: Day, named: str) -> None:
    LIES[named](day)
    assert named in "; ".join(day.wrong())


ONE, OTHER = Side(ANA, MORO, Fraction("0.05")), Side(BETO, CHULA, Fraction("0.04"))


@pytest.mark.parametrize(
    ("terms", "seen", "gains"),
    [
        ({}, {"winner": CHULA}, {ANA: "-0.05", BETO: "0.05"}),
        ({}, {"winner": None, "margin": None}, {ANA: "0", BETO: "0"}),
        ({"tie_rule": "SPLIT_POT"}, {"winner": None, "margin": None}, {ANA: "0", BETO: "0"}),
        ({"kind": "VENTAJA", "giver": MORO, "line": "faja"}, {}, {ANA: "-0.05", BETO: "0.05"}),
        ({"kind": "VENTAJA", "giver": MORO, "line": "cabeza"}, {}, {ANA: "0", BETO: "0"}),
        ({"kind": "VENTAJA", "giver": MORO, "line": "media cabeza"}, {}, {ANA: "0.04", BETO: "-0.04"}),
        ({}, {"off_time": (NOW + timedelta(seconds=1)).isoformat()}, {}),
        ({}, {"winner": None, "places": [["x"], [CHULA], [MORO]]}, {ANA: "-0.05", BETO: "0.05"}),
        ({}, {"winner": None, "places": [["x"]]}, {ANA: "0", BETO: "0"}),
    ],
)
def test_a_market_ends_as_its_terms_say(
    terms: dict[str, str], seen: dict[str, Any], gains: dict[str, str]
) -> None:
    ended = ends({**TERMS, **terms}, [Bet((ONE, OTHER), NOW)], {**SEEN, **seen}, 137)
    assert dict(ended.gains) == {who: Fraction(gain) for who, gain in gains.items()}
    assert ended.commission == ended.withheld == 0  # parts of a centavo are left to the bettor


def event(type: str, sequence: int, **data: Any) -> Envelope:
    return Envelope(
        id=uuid4(), source="/betting", type=type, subject="offers/1", time=NOW, dataschema="x", partitionkey="markets/1",
        sequence=sequence, data=data,
    )  # fmt: skip


def test_what_no_event_told_of_is_noticed(day: Day) -> None:
    made, took = day.offers
    sides = [
        {"offer_id": offer["id"], "risked": str(stake)}
        for offer, stake in ((made, Decimal(50)), (took, Decimal(40)))
    ]
    events = [
        event("betting.offer.placed.v1", 1, offer_id=made["id"], stake="100.00"),
        event("betting.offer.placed.v1", 2, offer_id=took["id"], stake="40.00"),
        event(
            "betting.offer.matched.v1",
            3,
            fill_id=day.bets[0]["id"],
            maker=sides[0],
            taker=sides[1],
            pot="90.00",
        ),
        event("betting.offer.cancelled.v1", 4, offer_id=made["id"], released="50.00"),
    ]

    def differs(heard: list[Envelope]) -> list[str]:
        listener = Listener({}, None, events={str(each.id): each for each in heard})  # type: ignore[arg-type]
        return [*listener._gaps(), *listener._bets(day.books), *listener._offers(day.books)]

    assert differs(events) == []
    for lost in range(4):
        assert differs([each for at, each in enumerate(deepcopy(events)) if at != lost]), (
            f"{events[lost].type} is missed"
        )
