"""Whether betting's books, the ledger's, the events that were published and what everybody was told are one story."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction

import asyncpg

from tools.raceday.client import Json
from tools.raceday.storm.reckoning import Bet, Ends, Side, ends
from tools.raceday.storm.told import Act, Standstill, Told, key_of

Rows = Sequence[asyncpg.Record]
ENDED = {"SETTLED", "VOID"}


@dataclass(frozen=True, slots=True)
class Books:
    """Both services' books, each as of one moment."""

    offers: Mapping[str, asyncpg.Record]
    """By the key they were placed under."""
    bets: Rows
    markets: Mapping[str, asyncpg.Record]
    holds: Mapping[str, Fraction]
    balances: Mapping[str, Fraction]
    """Of players and markets, by path; what we owe them is more than zero."""


async def read_books(betting: str, ledger: str) -> Books:
    """From the databases of these addresses."""
    own, other = await asyncpg.connect(betting), await asyncpg.connect(ledger)
    try:
        async with own.transaction(isolation="repeatable_read", readonly=True):
            offers = await own.fetch("SELECT * FROM offer")
            bets = await own.fetch(
                """
                SELECT f.*, CASE maker_side WHEN 'A' THEN runner_a ELSE runner_b END AS maker_runner,
                       CASE taker_side WHEN 'A' THEN runner_a ELSE runner_b END AS taker_runner
                  FROM fill f JOIN market m ON m.id = f.market_id ORDER BY f.sequence
                """
            )
            markets = await own.fetch("SELECT * FROM market")
        async with other.transaction(isolation="repeatable_read", readonly=True):
            holds = await other.fetch(
                "SELECT id, remaining FROM hold WHERE remaining > 0 AND reference LIKE 'markets/%'"
            )
            balances = await other.fetch(
                "SELECT path, amount * account.side AS amount FROM account JOIN balance ON account_id = id"
            )
    finally:
        await own.close()
        await other.close()
    return Books(
        {row["idempotency_key"]: row for row in offers},
        bets,
        {str(row["id"]): row for row in markets},
        {str(row["id"]): Fraction(row["remaining"]) for row in holds},
        {row["path"]: Fraction(row["amount"]) for row in balances},
    )


def not_at_rest(books: Books) -> Iterator[str]:
    """What is still on its way."""
    pending = sum(offer["status"] == "PENDING" for offer in books.offers.values())
    if pending:
        yield f"{pending} offers are still on their way"
    for id, market in books.markets.items():
        if market["defect"] is not None:
            yield f"market {id} is stopped: {market['defect']}"


def holds_and_escrows(books: Books) -> Iterator[str]:
    """Where the ledger does not hold, offer by offer and market by market, what betting says is at risk."""
    live = {
        str(offer["id"]): Fraction(offer["remaining"])
        for offer in books.offers.values()
        if offer["status"] in ("OPEN", "PARTIAL")
    }
    for id in live.keys() | books.holds.keys():
        if live.get(id) != books.holds.get(id):
            yield f"offer {id} has {live.get(id)} left, and {books.holds.get(id)} is held for it"
    held: dict[str, Fraction] = defaultdict(Fraction)
    for offer in books.offers.values():
        held[f"players/{offer['user_id']}/held"] += live.get(str(offer["id"]), Fraction(0))
    escrows: dict[str, Fraction] = defaultdict(Fraction)
    for bet in books.bets:
        ended = books.markets[str(bet["market_id"])]["status"] in ENDED
        escrows[f"markets/{bet['market_id']}/escrow"] += 0 if ended else Fraction(bet["pot"])
    for path, amount in {**held, **escrows}.items():
        if books.balances.get(path, Fraction(0)) != amount:
            yield f"{path} has {books.balances.get(path)}, and betting knows of {amount}"


def answers(books: Books, told: Told) -> Iterator[str]:
    """Where somebody was told what the books do not say."""
    placed = told.of("offer")
    known = {str(key_of(act.name)): act for act in placed}
    for key in books.offers.keys() - known.keys():
        yield f"nobody asked for the offer under {key}"
    for key, act in known.items():
        yield from _placed(act, books.offers.get(key))
    by_id = {str(offer["id"]): offer for offer in books.offers.values()}
    fills = _stakes_by_offer(books.bets)
    for act in placed:
        for fill in (act.answer or {}).get("fills", ()):
            if fills.get((act.answer["id"], fill["id"])) != (Fraction(fill["stake"]), Fraction(fill["pot"])):  # type: ignore[index]
                yield f"{act.name} was told of a bet that is none: {fill}"
    for act in (*told.of("cancel"), *told.of("decline"), *told.of("cancel all")):
        for done in (act.answer or {}).get("items", [act.answer] if act.answer else []):
            offer = by_id[done["id"]]
            if Fraction(done["matched"]) != offer["matched"]:
                yield f"{act.name} was told that {done['matched']} is matched, and it is {offer['matched']}"
            if Fraction(done["cancelled"]) not in (0, offer["released"]):
                yield f"{act.name} took back {done['cancelled']}, and {offer['released']} was released"
    yield from _nothing_matched(books, told)


def _placed(act: Act, offer: asyncpg.Record | None) -> Iterator[str]:
    if act.answer is None:
        if offer is not None and (offer["matched"] or offer["released"] != offer["stake"]):
            yield f"{act.name} was refused ({act.slug}), and is {offer['status']}"
        return
    if offer is None:
        yield f"{act.name} was told of an offer that is not there"
        return
    said = act.answer
    same = (
        (said["id"], str(offer["id"])),
        (said["market_id"], str(offer["market_id"])),
        (Fraction(said["stake"]), Fraction(offer["stake"])),
        ((said["risk"], said["win"]), (offer["risk"], offer["win"])),
        (Fraction(act.wanted["stake"]), Fraction(offer["stake"])),
    )
    yield from (f"{act.name} was told {one}, and it is {other}" for one, other in same if one != other)
    if Fraction(said["matched"]) > offer["matched"]:
        yield f"{act.name} was told that {said['matched']} is matched, and it is {offer['matched']}"
    record = json.loads(offer["record"])
    if record["stake_minor"] != offer["stake"] * 100 or record["runner"] != act.wanted["runner_id"]:
        yield f"the receipt of {act.name} says something else"


def _stakes_by_offer(bets: Rows) -> dict[tuple[str, str], tuple[Fraction, Fraction]]:
    return {
        (str(bet[f"{part}_offer"]), str(bet["id"])): (Fraction(bet[f"{part}_stake"]), Fraction(bet["pot"]))
        for bet in bets
        for part in ("maker", "taker")
    }


def _nothing_matched(books: Books, told: Told) -> Iterator[str]:
    """What was matched after somebody had been told that nothing would be."""
    ended = {
        done["id"]: act.answered_at
        for act in (*told.of("cancel"), *told.of("decline"), *told.of("cancel all"))
        for done in (act.answer or {}).get("items", [act.answer] if act.answer else [])
    }
    for bet in books.bets:
        at, market = bet["matched_at"], str(bet["market_id"])
        if at > told.closed.get(market, at):
            yield f"bet {bet['id']} was made after its market was closed"
        for part in ("maker", "taker"):
            told_at = ended.get(str(bet[f"{part}_offer"]))
            if told_at is not None and at > told_at:
                yield f"bet {bet['id']} was made with an offer that had been taken back"
        yield from _within_a_stable(bet, told)
        for stop in told.standstills:
            if stop.since < at < stop.until and _reaches(stop, bet, market):
                yield f"bet {bet['id']} was made while {stop.scope} {stop.subject} was suspended"


def _within_a_stable(bet: asyncpg.Record, told: Told) -> Iterator[str]:
    """People of one stable do not bet with each other, nor against their own horse in the race."""
    of = {
        part: belongs.stable
        for part in ("maker", "taker")
        if (belongs := told.members.get(str(bet[f"{part}_user"]))) and belongs.since < bet["matched_at"]
    }
    if len(of) == 2 and of["maker"] == of["taker"]:
        yield f"bet {bet['id']} was made by two of one stable"
    for part, stable in of.items():
        other = "taker" if part == "maker" else "maker"
        against = told.runs_for.get(str(bet[f"{other}_runner"]))
        if against and against.stable == stable and against.since < bet["matched_at"]:
            yield f"bet {bet['id']} was made against the {part}'s own horse"


def _reaches(stop: Standstill, bet: asyncpg.Record, market: str) -> bool:
    match stop.scope:
        case "MARKET":
            return stop.subject == market
        case "USER":
            return stop.subject in (str(bet["maker_user"]), str(bet["taker_user"]))
        case _:
            return True  # every market of a storm is of one event


def money(
    books: Books,
    told: Told,
    markets: Mapping[str, Json],
    deposit: Fraction,
    bettors: Sequence[str],
    tax: tuple[str, int],
) -> Iterator[str]:
    """Where somebody has another amount than the bets, the results and the terms make, or the house or the tax office has."""
    bets: dict[str, list[Bet]] = defaultdict(list)
    for row in books.bets:
        sides = [
            Side(str(row[f"{part}_user"]), str(row[f"{part}_runner"]), Fraction(row[f"{part}_stake"]))
            for part in ("maker", "taker")
        ]
        bets[str(row["market_id"])].append(Bet((sides[0], sides[1]), row["matched_at"]))
    total = Ends()
    for id, market in markets.items():
        status = books.markets[id]["status"]
        out = any(runner in told.scratched for runner in market["runners"])
        seen = None if out else told.results[market["race_id"]].seen
        if status != ("VOID" if seen is None else "SETTLED"):
            yield f"market {id} is {status}, and its race was {told.results[market['race_id']]}"
        ended = ends(market, bets[id], seen, tax[1])
        total.commission += ended.commission
        total.withheld += ended.withheld
        for bettor, gain in ended.gains.items():
            total.gains[bettor] += gain
    for bettor in bettors:
        wanted = deposit + total.gains[bettor]
        has = {
            word: books.balances.get(f"players/{bettor}/{word}", Fraction(0))
            for word in ("available", "held", "debt")
        }
        if has["available"] + has["held"] - abs(has["debt"]) != wanted:
            yield f"{bettor} has {has}, and the bets make {wanted}"
    for path, amount in (("house/commission", total.commission), (f"tax/{tax[0]}", total.withheld)):
        if books.balances.get(path, Fraction(0)) != amount:
            yield f"{path} has {books.balances.get(path)}, and the bets make {amount}"


def clocks_apart(books: Books, told: Told) -> timedelta:
    """How far the bets' times are from when their takers were answered, at most: what `_nothing_matched` can see."""
    answered = {act.answer["id"]: act for act in told.of("offer") if act.answer is not None}
    return max(
        (
            max(bet["matched_at"] - act.answered_at, act.asked_at - bet["matched_at"])
            for bet in books.bets
            if (act := answered.get(str(bet["taker_offer"]))) is not None and act.answered_at is not None
        ),
        default=timedelta(0),
    )
