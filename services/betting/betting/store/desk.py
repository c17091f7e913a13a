"""Writing offers down: what decides whether a bettor may place one, and the offers themselves, whole batches at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from common.pg import Connection, translate

from betting.domain.errors import ConnectionBarred, OfferKeyUsed, OfficialBarred
from betting.domain.ids import EventId, MarketId, Minor, RunnerId, UserId
from betting.domain.markets import Market
from betting.domain.offers import Offer
from betting.store.rows import MARKET_COLUMNS, market_of, minor, text


@dataclass(frozen=True, slots=True)
class Asked:
    """What a placement is about, as far as the database is asked."""

    user_id: UserId
    key: str
    market_id: MarketId
    runner_id: RunnerId
    risk: int
    win: int
    stake: Minor


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a bettor in a market before an offer is written down.

    `used` is whether the key has been used. `exposure` is everything at risk in the market, `live` the number of
    offers anywhere that have not ended. `own` are the runners of the bettor's stable in the market's race, `twin`
    whether the same offer was placed a moment ago.
    """

    used: bool
    owner: UUID | None
    own: frozenset[RunnerId]
    officiates: bool
    suspended: str | None
    exposure: Minor
    live: int
    twin: bool


@dataclass(frozen=True, slots=True)
class Stall:
    """A market as the desk sees it, with the event it belongs to."""

    market: Market
    event_id: EventId


@dataclass(frozen=True, slots=True)
class Written:
    """An offer to write down, under its key, with its record."""

    offer: Offer
    currency: str
    key: str
    fingerprint: bytes
    next_attempt_at: datetime
    repeated: bool
    session: str | None
    record: str


class DeskStore:
    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def one_at_a_time(self, users: Sequence[UserId]) -> None:
        """Let no other process write offers of these bettors down before this transaction ends: their limits and
        keys are looked at and used in one step. In sorted order, so that two batches cannot wait for each other."""
        await self._conn.execute(
            """
            SELECT pg_advisory_xact_lock(lock)
              FROM (SELECT DISTINCT hashtextextended(id::text, 6) AS lock FROM unnest($1::uuid[]) id ORDER BY lock) l
            """,
            users,
        )

    async def stalls(self, ids: Sequence[MarketId]) -> Mapping[MarketId, Stall]:
        rows = await self._conn.fetch(
            f"""
            SELECT {MARKET_COLUMNS}, r.event_id FROM market m JOIN race r ON r.id = m.race_id WHERE m.id = ANY ($1)
            """,
            ids,
        )
        return {MarketId(row["id"]): Stall(market_of(row), EventId(row["event_id"])) for row in rows}

    async def standings(
        self, asked: Sequence[Asked], *, twins_since: datetime, currency: str
    ) -> list[Standing]:
        """One for each, in their order."""
        rows = await self._conn.fetch(
            _STANDINGS,
            [each.user_id for each in asked],
            [each.key for each in asked],
            [each.market_id for each in asked],
            [each.runner_id for each in asked],
            [each.risk for each in asked],
            [each.win for each in asked],
            [text(each.stake, currency) for each in asked],
            twins_since,
        )
        return [
            Standing(
                used=row["used"],
                owner=row["owner"],
                own=frozenset(RunnerId(runner) for runner in row["own"] or ()),
                officiates=row["officiates"],
                suspended=row["suspended"],
                exposure=minor(row["exposure"], currency),
                live=row["live"],
                twin=row["twin"],
            )
            for row in rows
        ]

    async def write_down(self, written: Sequence[Written]) -> None:
        """Take the keys and write the offers. Raises OfferKeyUsed, OfficialBarred, ConnectionBarred."""
        refusals = {
            "offer_key_is_used_once": lambda: OfferKeyUsed("this key placed an offer long ago"),
            "offer_by_an_official": lambda: OfficialBarred("you officiate at this event"),
            "offer_by_a_connection": lambda: ConnectionBarred("your stable has a horse in this race"),
        }
        offers = [each.offer for each in written]
        options = [offer.slip.options for offer in offers]
        with translate(refusals):
            await self._conn.execute(
                _WRITE_DOWN,
                [str(offer.user_id) for offer in offers],
                [each.key for each in written],
                [each.fingerprint for each in written],
                [offer.id for offer in offers],
                [offer.market_id for offer in offers],
                [offer.slip.market_version for offer in offers],
                [offer.user_id for offer in offers],
                [offer.slip.owner for offer in offers],
                [offer.side for offer in offers],
                [offer.ratio.risk for offer in offers],
                [offer.ratio.win for offer in offers],
                [offer.ratio.rank for offer in offers],
                [text(each.offer.stake, each.currency) for each in written],
                [each.next_attempt_at for each in written],
                [offer.slip.placed_at for offer in offers],
                [each.fill_or_kill for each in options],
                [
                    None if each.min_fill is None else text(each.min_fill, one.currency)
                    for each, one in zip(options, written, strict=True)
                ],
                [each.expires_at for each in options],
                [each.challenges for each in options],
                [each.answers for each in options],
                [each.repeated for each in written],
                [each.session for each in written],
                [each.record for each in written],
            )


_STANDINGS = """
    SELECT EXISTS (SELECT FROM idempotency i WHERE i.principal = a.user_id::text AND i.key = a.key) AS used,
           s.stable_id AS owner,
           CASE WHEN s.stable_id IS NOT NULL THEN
                array(SELECT h.id FROM runner h JOIN market m ON m.race_id = h.race_id
                       WHERE m.id = a.market_id AND h.stable_id = s.stable_id) END AS own,
           EXISTS (SELECT FROM market m JOIN race r ON r.id = m.race_id
                     JOIN appointment p ON p.event_id = r.event_id AND p.official_id = a.user_id
                    WHERE m.id = a.market_id) AS officiates,
           coalesce(
               (SELECT q.reason FROM suspension q
                 WHERE q.lifted_at IS NULL AND (q.scope = 'GLOBAL' OR q.scope = 'USER' AND q.subject = a.user_id)
                 LIMIT 1),
               (SELECT 'you have excluded yourself' FROM exclusion x WHERE x.user_id = a.user_id AND x.until > now())
           ) AS suspended,
           (SELECT coalesce(sum(o.matched + o.remaining), 0) FROM offer o
             WHERE o.market_id = a.market_id AND o.user_id = a.user_id) AS exposure,
           (SELECT count(*) FROM offer o
             WHERE o.user_id = a.user_id AND o.status IN ('PENDING', 'OPEN', 'PARTIAL')) AS live,
           EXISTS (SELECT FROM offer o JOIN market m ON m.id = o.market_id
                    WHERE o.user_id = a.user_id AND o.placed_at > $8 AND o.market_id = a.market_id
                      AND o.side = CASE a.runner_id WHEN m.runner_a THEN 'A' ELSE 'B' END
                      AND o.risk = a.risk AND o.win = a.win AND o.stake = a.stake) AS twin
      FROM unnest($1::uuid[], $2::text[], $3::uuid[], $4::uuid[], $5::smallint[], $6::smallint[], $7::text[]::numeric[])
           WITH ORDINALITY AS a (user_id, key, market_id, runner_id, risk, win, stake, place)
      LEFT JOIN stable_member s ON s.user_id = a.user_id
     ORDER BY a.place
"""

_WRITE_DOWN = """
    WITH taken AS (
        INSERT INTO idempotency (principal, key, fingerprint, resource)
        SELECT principal, key, fingerprint, 'offers/' || id
          FROM unnest($1::text[], $2::text[], $3::bytea[], $4::uuid[]) AS k (principal, key, fingerprint, id))
    INSERT INTO offer (idempotency_key, status, moved_by, id, market_id, market_version, user_id, owner, side, risk, win,
        rank, stake, remaining, next_attempt_at, placed_at, fill_or_kill, min_fill, expires_at, challenges, answers,
        repeated, session, record)
    SELECT key, 'PENDING', user_id, id, market_id, market_version, user_id, owner, side, risk, win, rank, stake, stake,
           next_attempt_at, placed_at, fill_or_kill, min_fill, expires_at, challenges, answers, repeated, session, record
      FROM unnest($2::text[], $4::uuid[], $5::uuid[], $6::integer[], $7::uuid[], $8::uuid[], $9::text[], $10::smallint[],
                  $11::smallint[], $12::smallint[], $13::text[]::numeric[], $14::timestamptz[], $15::timestamptz[],
                  $16::boolean[], $17::text[]::numeric[], $18::timestamptz[], $19::uuid[], $20::uuid[], $21::boolean[],
                  $22::text[], $23::text[])
           AS n (key, id, market_id, market_version, user_id, owner, side, risk, win, rank, stake, next_attempt_at,
                 placed_at, fill_or_kill, min_fill, expires_at, challenges, answers, repeated, session, record)
"""
