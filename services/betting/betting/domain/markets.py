"""A market: one question about a race, its terms fixed at opening, and the states it moves through."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from betting.domain.errors import MarketNotOpen, MarketStateConflict, StaleMarket, TermsInvalid
from betting.domain.ids import MarketId, Minor, RaceId, RunnerId
from betting.domain.offers import Side
from betting.domain.ratios import LARGEST_PART

MAX_COMMISSION_BPS = 2_000
DEFAULT_MIN_STAKE: Minor = 100
DEFAULT_MAX_STAKE: Minor = 100_000_000


class MarketKind(StrEnum):
    GANA = "GANA"  # a los picos: whoever crosses the line first, no advantage given


class TieRule(StrEnum):
    PUSH = "PUSH"  # a dead heat gives every stake back, without commission


class MarketStatus(StrEnum):
    OPEN = "OPEN"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"
    SETTLING = "SETTLING"
    SETTLED = "SETTLED"
    VOID = "VOID"


# SUSPENDED is where the ledger's refusal of a booked fact leaves a market, whatever it was doing: the two books
# disagree, and only people can say why.
MOVES: Mapping[MarketStatus, frozenset[MarketStatus]] = {
    MarketStatus.OPEN: frozenset({MarketStatus.CLOSED}),
    MarketStatus.CLOSED: frozenset({MarketStatus.SETTLING, MarketStatus.SETTLED, MarketStatus.VOID}),
    MarketStatus.SETTLING: frozenset({MarketStatus.SETTLED, MarketStatus.VOID}),
    MarketStatus.SUSPENDED: frozenset(),
    MarketStatus.SETTLED: frozenset(),
    MarketStatus.VOID: frozenset(),
}


@dataclass(frozen=True, slots=True)
class Terms:
    """What every bettor of a market agrees to. Snapshotted when it opens and never changed."""

    race_id: RaceId
    kind: MarketKind
    runner_a: RunnerId
    runner_b: RunnerId
    currency: str
    commission_bps: int
    tie_rule: TieRule
    min_stake: Minor
    max_stake: Minor

    def __post_init__(self) -> None:
        if not 0 <= self.commission_bps <= MAX_COMMISSION_BPS:
            raise TermsInvalid(
                f"commission is 0 to {MAX_COMMISSION_BPS} basis points", field="commission_bps"
            )
        if not LARGEST_PART <= self.min_stake <= self.max_stake:
            raise TermsInvalid(f"the minimum stake is at least {LARGEST_PART} minor units", field="min_stake")

    @property
    def digest(self) -> bytes:
        """SHA-256 over the terms as canonical JSON: the same terms have the same hash for ever."""
        wording = {
            "race": str(self.race_id),
            "kind": self.kind.value,
            "runners": [str(self.runner_a), str(self.runner_b)],
            "currency": self.currency,
            "commission_bps": self.commission_bps,
            "tie_rule": self.tie_rule.value,
            "min_stake_minor": self.min_stake,
            "max_stake_minor": self.max_stake,
        }
        return hashlib.sha256(json.dumps(wording, sort_keys=True, separators=(",", ":")).encode()).digest()


@dataclass(frozen=True, slots=True)
class Market:
    """`version` is what a bettor has seen of it and changes with its status; `sequence` counts everything that
    ever happened in it and is both the time order of its offers and the version of its events. `escrow` is what
    its bets hold in the ledger's escrow."""

    id: MarketId
    terms: Terms
    status: MarketStatus
    version: int
    sequence: int
    escrow: Minor
    defect: str | None = None

    def check_admits(self, version: int, terms_hash: bytes | None) -> None:
        """Raises MarketNotOpen, or StaleMarket if it is not the market the bettor saw."""
        if self.status is not MarketStatus.OPEN:
            raise MarketNotOpen(f"the market is {self.status}")
        if self.version != version:
            raise StaleMarket(f"the market is at version {self.version}", field="market_version")
        if terms_hash is not None and terms_hash != self.terms.digest:
            raise StaleMarket("these are not the market's terms", field="terms_hash")

    def side_of(self, runner: RunnerId) -> Side | None:
        return {self.terms.runner_a: Side.A, self.terms.runner_b: Side.B}.get(runner)

    def runner_of(self, side: Side) -> RunnerId:
        return self.terms.runner_a if side is Side.A else self.terms.runner_b

    def moved(self, to: MarketStatus) -> "Market":
        """The market in its next state and version. Raises MarketStateConflict if it cannot go there."""
        if to not in MOVES[self.status]:
            raise MarketStateConflict(f"the market is {self.status} and does not become {to}")
        return replace(self, status=to, version=self.version + 1)

    def suspended(self, defect: str) -> "Market":
        """The market stopped for a defect, from wherever it was."""
        return replace(self, status=MarketStatus.SUSPENDED, version=self.version + 1, defect=defect)

    def advanced(self) -> "Market":
        """The market after one more thing happened in it."""
        return replace(self, sequence=self.sequence + 1)

    def escrowed(self, pot: Minor) -> "Market":
        """The market with another bet's pot in its escrow."""
        return replace(self, escrow=self.escrow + pot)
