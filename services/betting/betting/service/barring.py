"""Barring: what ends when somebody becomes one of a stable or an official, or a horse becomes a stable's.

It ends in the transaction that makes them so, in the markets' own order, so that nothing of theirs meets anybody
afterwards; what is matched stands. What is on its way then is given back at the floor.
"""

from collections.abc import Sequence
from datetime import datetime

from common.pg import Connection

from betting.domain.book import Book
from betting.domain.markets import Market
from betting.domain.offers import Ending, OfferStatus
from betting.service.floor import write_all
from betting.service.session import Session
from betting.store.exchange import ExchangeStore


async def end_forbidden(conn: Connection, markets: Sequence[Market], now: datetime) -> None:
    """In locked markets: every resting offer that its bettor could not make now ends."""
    store = ExchangeStore(conn)
    forbidden = await store.forbidden(markets)
    if not forbidden:
        return
    resting = await store.resting(markets)
    sessions = [(market, Session(market, Book(resting[market.id]), {}, now)) for market in markets]
    for _, session in sessions:
        session.end_all(
            lambda offer: offer.id in forbidden, OfferStatus.CANCELLED, Ending.BETTOR_BARRED, actor=None
        )
    await write_all(conn, sessions)
