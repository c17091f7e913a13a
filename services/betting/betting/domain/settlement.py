"""Settlement: who is paid what out of a market's escrow, to the last centavo.

A pot goes whole to the winning side. Commission is taken from a bettor's **net profit in the market**, never from
a single bet: `floor(bps * max(0, net) / 10000)`, floored in the bettor's favour; withholding the same way from what
is left of the profit. A push or a void gives everybody's own stakes back and takes nothing. A split gives each side
half of every pot; the odd centavo goes to the side that risked more (with equal stakes there is none). A late bet is
no bet: both stakes go back, whatever the outcome.

A later version says what everybody should have had. What it pays is the **difference** to the version before, and
that is first recovered from those who had too much.
"""

from collections import defaultdict
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
    SPLIT = "SPLIT"
    VOID = "VOID"


class Outcome(StrEnum):
    A = "A"
    B = "B"
    PUSH = "PUSH"
    SPLIT = "SPLIT"
    VOID = "VOID"

    @property
    def winner(self) -> Side | None:
        """The side that takes the pots; none if stakes go back or pots are split."""
        return {Outcome.A: Side.A, Outcome.B: Side.B}.get(self)

    def verdict(self, side: Side) -> Verdict:
        """What it means for whoever backed `side`."""
        if self.winner is None:
            return Verdict(self.value)
        return Verdict.WON if side is self.winner else Verdict.LOST


@dataclass(frozen=True, slots=True)
class Position:
    """What one bettor has in a market: own stakes by side, the pots of the bets made on that side, and the bettor's
    part of those pots if they are split. `late` is what late bets risked; it is in no other sum."""

    user_id: UserId
    stakes: Mapping[Side, Minor]
    pots: Mapping[Side, Minor]
    halves: Mapping[Side, Minor]
    late: Minor = 0

    @property
    def staked(self) -> Minor:
        return self.stakes[Side.A] + self.stakes[Side.B]

    def won(self, outcome: Outcome) -> Minor:
        """What comes out of the escrow for this bettor's bets, late ones apart."""
        if outcome.winner is not None:
            return self.pots[outcome.winner]
        if outcome is Outcome.SPLIT:
            return self.halves[Side.A] + self.halves[Side.B]
        return self.staked


@dataclass(frozen=True, slots=True)
class Rates:
    """Parts of a profit, in basis points: the market's commission, and the tax of the place and the day."""

    commission_bps: int
    withholding_bps: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """What a bettor should have had by a settlement, absolute. `late` went back and is part of `payout`."""

    user_id: UserId
    staked: Minor
    late: Minor
    payout: Minor
    commission: Minor
    withheld: Minor

    @property
    def drawn(self) -> Minor:
        """What comes out of the escrow for it in a first settlement."""
        return self.payout + self.commission + self.withheld


@dataclass(frozen=True, slots=True)
class Move:
    """What one bettor's share makes the ledger move: to the player, the house and the tax account, or back."""

    user_id: UserId
    payout: Minor
    commission: Minor
    withheld: Minor

    @property
    def total(self) -> Minor:
        return self.payout + self.commission + self.withheld


class ChunkKind(StrEnum):
    RECOVER = "RECOVER"  # what was paid too much comes back into the escrow
    PAY = "PAY"


@dataclass(frozen=True, slots=True)
class Chunk:
    """One ledger entry's worth of bettors; each bettor is in at most one chunk of a kind. Recoveries are numbered
    first, and payments after them."""

    kind: ChunkKind
    number: int
    moves: tuple[Move, ...]

    @property
    def total(self) -> Minor:
        return sum(move.total for move in self.moves)

    @property
    def commission(self) -> Minor:
        return sum(move.commission for move in self.moves)

    @property
    def withheld(self) -> Minor:
        return sum(move.withheld for move in self.moves)


@dataclass(frozen=True, slots=True)
class Settlement:
    """Everybody's share, losers included, and the chunks it is booked in. `total` is what the PAY chunks pay: the
    whole escrow in a first settlement, what was recovered in a later one."""

    outcome: Outcome
    total: Minor
    shares: tuple[Share, ...]
    recoveries: tuple[Chunk, ...]
    payments: tuple[Chunk, ...]

    @property
    def chunks(self) -> tuple[Chunk, ...]:
        """In the order they are booked."""
        return (*self.recoveries, *self.payments)


def settle(
    positions: Sequence[Position],
    outcome: Outcome,
    rates: Rates,
    *,
    before: Mapping[UserId, Share] | None = None,
    users_per_chunk: int = USERS_PER_CHUNK,
) -> Settlement:
    """Share out the escrow of a market; with `before`, what the last version paid, correct that.

    Payouts, commissions and taxes sum to everything staked, exactly, in every version; so what is recovered is
    exactly what is paid.
    """
    shares = tuple(
        share_of(position, outcome, rates)
        for position in sorted(positions, key=lambda position: position.user_id)
    )
    differences = [_difference(share, (before or {}).get(share.user_id)) for share in shares]
    gains = (_positive(move, 1) for move in differences)
    losses = (_positive(move, -1) for move in differences)
    recoveries = tuple(_chunked(ChunkKind.RECOVER, losses, users_per_chunk))
    payments = tuple(_chunked(ChunkKind.PAY, gains, users_per_chunk, after=len(recoveries)))
    return Settlement(
        outcome=outcome,
        total=sum(chunk.total for chunk in payments),
        shares=shares,
        recoveries=recoveries,
        payments=payments,
    )


def as_written(
    outcome: Outcome,
    shares: Sequence[tuple[Share, int | None, int | None]],
    before: Mapping[UserId, Share] | None,
) -> Settlement:
    """A settlement in the very chunks it was written down with: each share comes with the numbers of the chunks that pay
    and that recover."""
    parts: dict[tuple[ChunkKind, int], list[Move]] = defaultdict(list)
    for share, payment, recovery in shares:
        difference = _difference(share, (before or {}).get(share.user_id))
        for kind, number, sign in ((ChunkKind.PAY, payment, 1), (ChunkKind.RECOVER, recovery, -1)):
            if number is not None:
                parts[kind, number].append(_positive(difference, sign))
    chunks = [Chunk(kind, number, tuple(moves)) for (kind, number), moves in sorted(parts.items())]
    payments = tuple(chunk for chunk in chunks if chunk.kind is ChunkKind.PAY)
    return Settlement(
        outcome=outcome,
        total=sum(chunk.total for chunk in payments),
        shares=tuple(share for share, _, _ in shares),
        recoveries=tuple(chunk for chunk in chunks if chunk.kind is ChunkKind.RECOVER),
        payments=payments,
    )


def share_of(position: Position, outcome: Outcome, rates: Rates) -> Share:
    """What one bettor should have. Both takings are floored in the bettor's favour."""
    won = position.won(outcome)
    takes = outcome is not Outcome.VOID and outcome is not Outcome.PUSH
    profit = max(0, won - position.staked) if takes else 0
    commission = rates.commission_bps * profit // 10_000
    withheld = rates.withholding_bps * (profit - commission) // 10_000
    return Share(
        position.user_id,
        position.staked,
        position.late,
        payout=won - commission - withheld + position.late,
        commission=commission,
        withheld=withheld,
    )


def _difference(share: Share, before: Share | None) -> Move:
    if before is None:
        return Move(share.user_id, share.payout, share.commission, share.withheld)
    return Move(
        share.user_id,
        share.payout - before.payout,
        share.commission - before.commission,
        share.withheld - before.withheld,
    )


def _positive(move: Move, sign: int) -> Move:
    """What of a difference goes that way; a bettor's payout may fall while the house's part rises."""
    return Move(
        move.user_id,
        max(0, sign * move.payout),
        max(0, sign * move.commission),
        max(0, sign * move.withheld),
    )


def _chunked(kind: ChunkKind, moves: Iterable[Move], size: int, *, after: int = 0) -> Iterable[Chunk]:
    moving: Iterator[Move] = (move for move in moves if move.total)
    number = after
    while part := tuple(islice(moving, size)):
        number += 1
        yield Chunk(kind, number, part)
