"""A market: one question about a race, its terms fixed at opening, and the states it moves through."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from betting.domain.errors import MarketNotOpen, MarketStateConflict, StaleMarket, TermsInvalid
from betting.domain.ids import MarketId, Minor, RaceId, RunnerId, SuspensionId
from betting.domain.margins import Margin
from betting.domain.offers import Side
from betting.domain.ratios import LARGEST_PART

MAX_COMMISSION_BPS = 2_000
DEFAULT_MIN_STAKE: Minor = 100
DEFAULT_MAX_STAKE: Minor = 100_000_000


class MarketKind(StrEnum):
    GANA = "GANA"  # a los picos: whoever of the two crosses the line first, no advantage given
    VENTAJA = "VENTAJA"  # one of the two gives an advantage: it wins only by more than the line


class TieRule(StrEnum):
    PUSH = "PUSH"  # a dead heat gives every stake back, without commission
    SPLIT_POT = "SPLIT_POT"  # a dead heat gives half of each pot to either side


class CloseRule(StrEnum):
    """When the market closes. In any case it closes when the race is off."""

    GATE = "GATE"  # when an official says that the horses are at the gate
    POST_TIME = "POST_TIME"  # at the race's announced time at the latest, whatever anybody does


class MarketStatus(StrEnum):
    DRAFT = "DRAFT"
    OPEN = "OPEN"
    SUSPENDED = "SUSPENDED"
    CLOSED = "CLOSED"
    SETTLING = "SETTLING"
    SETTLED = "SETTLED"
    VOID = "VOID"


# A market whose `defect` is set stays SUSPENDED whatever it was doing before: betting's and the ledger's books
# disagree, and only people can say why. It goes on where it was when two officials sign and the books agree.
# SETTLED and VOID lead back to SETTLING when an official error is corrected.
MOVES: Mapping[MarketStatus, frozenset[MarketStatus]] = {
    MarketStatus.DRAFT: frozenset({MarketStatus.OPEN, MarketStatus.CLOSED}),
    MarketStatus.OPEN: frozenset({MarketStatus.SUSPENDED, MarketStatus.CLOSED}),
    MarketStatus.SUSPENDED: frozenset({MarketStatus.OPEN, MarketStatus.CLOSED}),
    MarketStatus.CLOSED: frozenset({MarketStatus.SETTLING, MarketStatus.SETTLED, MarketStatus.VOID}),
    MarketStatus.SETTLING: frozenset({MarketStatus.SETTLED, MarketStatus.VOID}),
    MarketStatus.SETTLED: frozenset({MarketStatus.SETTLING}),
    MarketStatus.VOID: frozenset({MarketStatus.SETTLING}),
}

TRADING = frozenset({MarketStatus.DRAFT, MarketStatus.OPEN, MarketStatus.SUSPENDED})
"""Not closed yet."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What every bettor of a market agrees to. Snapshotted when it opens and never changed.

    `giver` and `line` are of a VENTAJA market: that side wins only if its margin exceeds the line; equal is a push.
    `max_exposure` bounds what one bettor has at risk in the market, matched or not. `permit` is the authority's
    number, `closes_at` the latest moment under CloseRule.POST_TIME.
    """

    race_id: RaceId
    kind: MarketKind
    runner_a: RunnerId
    runner_b: RunnerId
    currency: str
    commission_bps: int
    tie_rule: TieRule
    min_stake: Minor
    max_stake: Minor
    max_exposure: Minor
    close_rule: CloseRule
    closes_at: datetime | None
    objection_seconds: int
    permit: str
    giver: Side | None = None
    line: Margin | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.commission_bps <= MAX_COMMISSION_BPS:
            raise TermsInvalid(
                f"commission is 0 to {MAX_COMMISSION_BPS} basis points", field="commission_bps"
            )
        if not LARGEST_PART <= self.min_stake <= self.max_stake:
            raise TermsInvalid(f"the minimum stake is at least {LARGEST_PART} minor units", field="min_stake")
        if self.max_exposure < self.max_stake:
            raise TermsInvalid("one stake must fit into the exposure", field="max_exposure")
        for field, given in (("giver", self.giver is not None), ("line", self.line is not None)):
            if given is not (self.kind is MarketKind.VENTAJA):
                raise TermsInvalid(
                    "a VENTAJA market names who gives it and the line, no other does", field=field
                )
        if (self.close_rule is CloseRule.POST_TIME) != (self.closes_at is not None):
            raise TermsInvalid("a market that closes at post time says when", field="close_rule")

    @property
    def digest(self) -> bytes:
        """SHA-256 over the terms as canonical JSON: the same terms have the same hash for ever."""
        return hashlib.sha256(self.wording.encode()).digest()

    @property
    def wording(self) -> str:
        """The terms as canonical JSON: what the hash is of, and what anybody can hash again."""
        closes_at = self.closes_at and self.closes_at.isoformat()
        wording = {
            "race": str(self.race_id),
            "kind": self.kind.value,
            "runners": [str(self.runner_a), str(self.runner_b)],
            "giver": self.giver and self.giver.value,
            "line": self.line and self.line.value,
            "currency": self.currency,
            "commission_bps": self.commission_bps,
            "tie_rule": self.tie_rule.value,
            "min_stake_minor": self.min_stake,
            "max_stake_minor": self.max_stake,
            "max_exposure_minor": self.max_exposure,
            "close_rule": self.close_rule.value,
            "closes_at": closes_at,
            "objection_seconds": self.objection_seconds,
            "permit": self.permit,
        }
        return json.dumps(wording, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Market:
    """`version` is what a bettor has seen of it and changes with its status; `sequence` counts everything that
    ever happened in it and is both the time order of its offers and the version of its events. `escrow` is what
    all its bets have put into the ledger's escrow. `settlement` is the last settlement's version, 0 before the first.
    `void_reason` says why it will be void whatever the race's result; `settled_result` is the version of the race's
    result it was last settled on, 0 for none; `suspension` is what it is suspended by, if it is. `stopped_from` is where
    it was when it was stopped for its `defect`."""

    id: MarketId
    terms: Terms
    status: MarketStatus
    version: int
    sequence: int
    escrow: Minor
    defect: str | None = None
    void_reason: str | None = None
    settlement: int = 0
    settled_result: int = 0
    suspension: SuspensionId | None = None
    stopped_from: MarketStatus | None = None

    def check_admits(self, version: int, terms_hash: bytes | None, now: datetime) -> None:
        """Raises MarketNotOpen, also after post time though nobody has closed it yet; or StaleMarket if it is not the
        market the bettor saw."""
        if self.status is not MarketStatus.OPEN:
            raise MarketNotOpen(f"the market is {self.status}")
        if self.terms.closes_at is not None and now >= self.terms.closes_at:
            raise MarketNotOpen("it is post time")
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
        if self.defect is not None:
            raise MarketStateConflict("the market is stopped for a defect")
        if to not in MOVES[self.status]:
            raise MarketStateConflict(f"the market is {self.status} and does not become {to}")
        return replace(self, status=to, version=self.version + 1)

    def stopped(self, defect: str) -> "Market":
        """The market suspended for a defect, from wherever it was."""
        return replace(
            self,
            status=MarketStatus.SUSPENDED,
            version=self.version + 1,
            defect=defect,
            stopped_from=self.status,
        )

    def restarted(self) -> "Market":
        """The market where it was stopped; one that had not closed is suspended until it is seen whether it opens.

        Raises MarketStateConflict.
        """
        if self.stopped_from is None:
            raise MarketStateConflict("the market is not stopped for a defect")
        to = MarketStatus.SUSPENDED if self.stopped_from in TRADING else self.stopped_from
        return replace(self, status=to, version=self.version + 1, defect=None, stopped_from=None)

    @property
    def may_be_void(self) -> bool:
        """Whether its fate is still open: it is not being settled, nor was when it was stopped."""
        status = self.stopped_from or self.status
        return status in TRADING or status is MarketStatus.CLOSED

    def voided(self, reason: str) -> "Market":
        """The market that will be void."""
        return replace(self, void_reason=reason)

    def advanced(self) -> "Market":
        """The market after one more thing happened in it."""
        return replace(self, sequence=self.sequence + 1)

    @property
    def in_escrow(self) -> Minor:
        """What is still in the ledger's escrow: nothing once every bet has been paid or given back."""
        return 0 if self.status in {MarketStatus.SETTLED, MarketStatus.VOID} else self.escrow

    def escrowed(self, pot: Minor) -> "Market":
        """The market with more bets' pots in its escrow."""
        return replace(self, escrow=self.escrow + pot)

    def suspended(self, by: SuspensionId) -> "Market":
        """The market that takes no offers until the suspension is lifted. Raises MarketStateConflict."""
        return replace(self.moved(MarketStatus.SUSPENDED), suspension=by)

    def resumed(self) -> "Market":
        """Raises MarketStateConflict."""
        return replace(self.moved(MarketStatus.OPEN), suspension=None)

    def settling(self, result_version: int) -> "Market":
        """The market on its way to its next settlement, on that version of the race's result."""
        market = self.moved(MarketStatus.SETTLING)
        return replace(market, settlement=self.settlement + 1, settled_result=result_version)
