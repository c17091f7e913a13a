"""Settlement: who is paid what out of a market's escrow, to the last centavo.

A pot goes whole to the winning side. Commission is taken from a bettor's **net profit in the market**, never from
a single bet: `floor(bps * max(0, net) / 10000)`, floored in the bettor's favour. A push or a void gives everybody's
own stakes back and takes nothing.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice

from betting.domain.ids import Minor, UserId
from betting.domain.offers import Side

USERS_PER_CHUNK = 200


class Verdict(StrEnum):
    """What an outcome means for one bet of one bettor."""

    WON = "WON"
    LOST = "LOST"
    PUSH = "PUSH"
    VOID = "VOID"


class Outcome(StrEnum):
    A = "A"
    B = "B"
    PUSH = "PUSH"
    VOID = "VOID"

    @property
    def winner(self) -> Side | None:
        """The side that takes the pots; none if stakes go back."""
        return {Outcome.A: Side.A, Outcome.B: Side.B}.get(self)

    def verdict(self, side: Side) -> Verdict:
        """What it means for whoever backed `side`."""
        if self.winner is None:
            return Verdict(self.value)
        return Verdict.WON if side is self.winner else Verdict.LOST


@dataclass(frozen=True, slots=True)
class Position:
    """What one bettor has in a market: own stakes by side, and the pots of the bets made on that side."""

    user_id: UserId
    stakes: Mapping[Side, Minor]
    pots: Mapping[Side, Minor]

    @property
    def staked(self) -> Minor:
        return self.stakes[Side.A] + self.stakes[Side.B]


@dataclass(frozen=True, slots=True)
class Share:
    """A bettor's part of a settlement. What comes out of the escrow for it is `payout + commission`."""

    user_id: UserId
    staked: Minor
    payout: Minor
    commission: Minor

    @property
    def drawn(self) -> Minor:
        return self.payout + self.commission


@dataclass(frozen=True, slots=True)
class Chunk:
    """One ledger entry's worth of payees; every bettor with anything to receive is in exactly one chunk."""

    number: int
    shares: tuple[Share, ...]

    @property
    def total(self) -> Minor:
        return sum(share.drawn for share in self.shares)

    @property
    def commission(self) -> Minor:
        return sum(share.commission for share in self.shares)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everybody's share, losers included, and the chunks the payees are paid in. `total` is the whole escrow."""

    outcome: Outcome
    total: Minor
    shares: tuple[Share, ...]
    chunks: tuple[Chunk, ...]


def settle(
    positions: Sequence[Position],
    outcome: Outcome,
    *,
    commission_bps: int,
    users_per_chunk: int = USERS_PER_CHUNK,
) -> Settlement:
    """Share out the escrow of a market. Payouts and commissions sum to everything staked, exactly."""
    shares = tuple(
        _share(position, outcome.winner, commission_bps)
        for position in sorted(positions, key=lambda position: position.user_id)
    )
    return Settlement(
        outcome=outcome,
        total=sum(position.staked for position in positions),
        shares=shares,
        chunks=tuple(_chunked((share for share in shares if share.drawn), users_per_chunk)),
    )


def _share(position: Position, winner: Side | None, commission_bps: int) -> Share:
    if winner is None:
        return Share(position.user_id, position.staked, payout=position.staked, commission=0)
    won = position.pots[winner]
    commission = commission_bps * max(0, won - position.staked) // 10_000
    return Share(position.user_id, position.staked, payout=won - commission, commission=commission)


def _chunked(payees: Iterator[Share], size: int) -> Iterable[Chunk]:
    number = 0
    while shares := tuple(islice(payees, size)):
        number += 1
        yield Chunk(number, shares)
