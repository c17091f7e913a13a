"""Cases: what waits for a person, and what a person may decide about it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Final
from uuid import UUID

from payments.domain.refusals import DecisionImpossible, FourEyes, NoCashierNow, ProposerMayNot


class Subject(StrEnum):
    """What a case is about."""

    WITHDRAWAL = "withdrawal"
    DEPOSIT = "deposit"
    ARRIVAL = "arrival"
    CARD = "card"
    PROOF = "proof"
    PAYOUT_LINE = "payout_line"
    PLAYER = "player"


class Decision(StrEnum):
    """What people decide."""

    APPROVE = "approve"
    REJECT = "reject"
    ASSIGN = "assign"
    RETURN = "return"
    SUSPEND = "suspend"
    PAID = "paid"
    NEVER_PAID = "never-paid"
    REPORT = "report"
    ASK_AGAIN = "ask-again"
    CLOSE = "close"


DECISIONS: Final[Mapping[Subject, frozenset[Decision]]] = {
    Subject.WITHDRAWAL: frozenset(
        {Decision.APPROVE, Decision.REJECT, Decision.PAID, Decision.NEVER_PAID, Decision.CLOSE}
    ),
    Subject.DEPOSIT: frozenset({Decision.SUSPEND, Decision.REJECT, Decision.CLOSE}),
    Subject.ARRIVAL: frozenset({Decision.ASSIGN, Decision.RETURN, Decision.NEVER_PAID, Decision.CLOSE}),
    Subject.CARD: frozenset({Decision.NEVER_PAID, Decision.CLOSE}),
    Subject.PROOF: frozenset({Decision.ASK_AGAIN, Decision.CLOSE}),
    Subject.PAYOUT_LINE: frozenset({Decision.CLOSE}),
    Subject.PLAYER: frozenset({Decision.REPORT, Decision.CLOSE}),
}
"""What may be decided about each subject. What waits for people alone is decided, not closed."""


class CaseState(StrEnum):
    """Where a case is."""

    OPEN = "OPEN"
    PROPOSED = "PROPOSED"
    DECIDED = "DECIDED"


@dataclass(frozen=True, slots=True)
class Clerk:
    """An employee who proposes or decides, and the number of what their session stands on (ADR 0092)."""

    id: str
    proof: int


@dataclass(frozen=True, slots=True)
class Proposal:
    """What somebody has seen proposed about a case: the how manieth proposal. `player` goes with an assignment."""

    number: int
    decision: Decision
    player: UUID | None = None


@dataclass(frozen=True, slots=True)
class Case:
    """Something for people. With `four_eyes` one proposes and another decides; else one does both.

    `proposal` counts how often something has been proposed. `proposed_on` is what the proposer's session stood on, `confirmed_on`
    what identity named for them when it was decided.
    """

    id: UUID
    subject: Subject
    subject_id: UUID
    reason: str
    opened_at: datetime
    four_eyes: bool
    player: UUID | None = None
    amount: Decimal | None = None
    evidence: Mapping[str, str] = field(default_factory=dict)
    state: CaseState = CaseState.OPEN
    decision: Decision | None = None
    note: str | None = None
    target: UUID | None = None
    proposal: int = 0
    proposed_by: str | None = None
    proposed_on: int | None = None
    confirmed_on: int | None = None
    decided_by: str | None = None
    decided_at: datetime | None = None


def check_decision(case: Case, decision: Decision, target: UUID | None) -> None:
    """Raises `DecisionImpossible` for what cannot be decided about this case."""
    if case.state is CaseState.DECIDED:
        raise DecisionImpossible("the case is decided", field="decision")
    if decision not in DECISIONS[case.subject]:
        raise DecisionImpossible(f"a {case.subject} is not decided by {decision}", field="decision")
    if (decision is Decision.ASSIGN) != (target is not None):
        raise DecisionImpossible("`player` goes with `assign`, and only with it", field="player")


def check_approval(case: Case, seen: Proposal, by: Clerk, standing: Mapping[str, int | None]) -> None:
    """Whether somebody may approve what is proposed: it is what they have seen, another one proposed it, and both are
    cashiers still, on what their sessions stood on. `standing` is what identity names for each of them now, None for who
    is no cashier.

    Raises `DecisionImpossible`, `FourEyes`, `ProposerMayNot`, `NoCashierNow`.
    """
    if case.state is not CaseState.PROPOSED:
        raise DecisionImpossible("nothing is proposed")
    if (case.proposal, case.decision, case.target) != (seen.number, seen.decision, seen.player):
        raise DecisionImpossible("something else is proposed by now", field="proposal")
    if case.four_eyes and case.proposed_by == by.id:
        raise FourEyes("whoever proposed it does not decide it")
    if standing.get(by.id) != by.proof:
        raise NoCashierNow("log in again")
    if standing.get(case.proposed_by or "") != case.proposed_on:
        raise ProposerMayNot("they are gone, moved, or have changed their password since: propose it anew")
