"""All payments of a player in one list."""

from collections.abc import Sequence

from common.money import Money
from common.pg import Connection

from payments.domain.accounts import PlayerId
from payments.domain.overview import Payment, PaymentKind, PaymentStatus, status_of
from payments.store.pages import Place


async def payments_of(
    conn: Connection, player: PlayerId, after: Place | None, limit: int
) -> Sequence[Payment]:
    """A player's payments of every kind, the latest first, from after that place.

    The end of a payment is when its history says that it came to the state it is in.
    """
    rows = await conn.fetch(
        """
        SELECT p.*, (SELECT max(h.at) FROM history h WHERE h.subject_id = p.id AND h.state = p.state) AS ended_at
        FROM (
            (SELECT id, 'SPEI_IN' AS kind, amount, currency, state, claimed_at AS at, false AS reverted FROM deposit
              WHERE player = $1 AND ($2::timestamptz IS NULL OR (claimed_at, id) < ($2, $3))
              ORDER BY claimed_at DESC, id DESC LIMIT $4)
            UNION ALL
            (SELECT id, CASE rail WHEN 'ted' THEN 'TED_OUT' ELSE 'SPEI_OUT' END, amount, currency, state, requested_at, false
               FROM withdrawal
              WHERE player = $1 AND ($2::timestamptz IS NULL OR (requested_at, id) < ($2, $3))
              ORDER BY requested_at DESC, id DESC LIMIT $4)
            UNION ALL
            (SELECT id, 'CARD_IN', amount, currency, state, created_at, captured > 0 AND refunding = captured FROM card_payment
              WHERE player = $1 AND ($2::timestamptz IS NULL OR (created_at, id) < ($2, $3))
              ORDER BY created_at DESC, id DESC LIMIT $4)
        ) AS p ORDER BY p.at DESC, p.id DESC LIMIT $4
        """,
        player,
        after and after.at,
        after and after.id,
        limit,
    )
    found = []
    for row in rows:
        kind = PaymentKind(row["kind"])
        status = status_of(kind, row["state"], reverted=row["reverted"])
        found.append(
            Payment(
                id=row["id"],
                kind=kind,
                amount=Money(row["amount"], row["currency"]),
                state=row["state"],
                status=status,
                created_at=row["at"],
                completed_at=None if status is PaymentStatus.PENDING else row["ended_at"],
            )
        )
    return found
