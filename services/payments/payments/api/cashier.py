"""What cashiers see and decide: cases, evidence, the history of a payment, notices for the authority."""

import csv
import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated, Final
from uuid import UUID

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, read_query, reply
from common.idempotency import Answer, KeyInFlight, KeyReused, fingerprint
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationInfo, field_validator

from payments.api.shared import clerk_of, id_in
from payments.cursors import read_cursor, write_cursor
from payments.domain import refusals
from payments.domain.cases import Case, CaseState, Decision, Proposal, Subject
from payments.service.cashier import Cashier, Verdict
from payments.service.requests import Once
from payments.store.history import Line
from payments.store.pages import Place

CASHIER: Final = web.AppKey("cashier", Cashier)

Note = Annotated[str, StringConstraints(strict=True, strip_whitespace=True, min_length=1, max_length=2000)]


class CasesQuery(BaseModel):
    """A page of the queue. `after` is the `next` of the page before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    subject: Subject | None = None
    after: Annotated[str, StringConstraints(max_length=200)] | None = None
    limit: int = Field(default=50, ge=1, le=200)


class NoticesQuery(BaseModel):
    """Days of decisions, both included."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    since: date
    until: date

    @field_validator("until")
    @classmethod
    def _goes_forward(cls, until: date, before: ValidationInfo) -> date:
        if "since" in before.data and until < before.data["since"]:
            raise ValueError("must not come before `since`")
        return until


class ProposalRequest(Body):
    """What should be done about a case, and why. `player` goes with `assign`."""

    decision: Decision
    note: Note
    player: UUID | None = None


class ApprovalRequest(Body):
    """What the approver has seen proposed: the case's `proposal`. Something else may be proposed by now: that is not approved."""

    proposal: Annotated[int, Field(ge=1, lt=2**31)]
    decision: Decision
    player: UUID | None = None


class LineView(View):
    """Something that happened. `answer` is what a rail, a provider or the ledger said, as JSON."""

    at: datetime
    subject: str
    actor: str
    person: str | None
    state: str
    event: str
    answer: str | None

    @classmethod
    def of(cls, line: Line) -> "LineView":
        return cls(
            at=line.at,
            subject=line.subject,
            actor=line.actor,
            person=line.person,
            state=line.state,
            event=line.event,
            answer=line.answer,
        )


class CaseView(View):
    """Something that waits for a person, and what was decided about it. `assigned_to` is whom the money goes to by an
    `assign`; `proposal` counts what was proposed, and whoever approves names it."""

    id: UUID
    subject: Subject
    subject_id: UUID
    reason: str
    player: UUID | None
    amount: str | None
    evidence: dict[str, str]
    four_eyes: bool
    status: CaseState
    decision: Decision | None
    note: str | None
    assigned_to: UUID | None
    proposal: int
    proposed_by: str | None
    decided_by: str | None
    opened_at: datetime
    decided_at: datetime | None
    history: tuple[LineView, ...] = ()

    @classmethod
    def of(cls, case: Case, history: Sequence[Line] = ()) -> "CaseView":
        return cls(
            id=case.id,
            subject=case.subject,
            subject_id=case.subject_id,
            reason=case.reason,
            player=case.player,
            amount=None if case.amount is None else str(case.amount),
            evidence=dict(case.evidence),
            four_eyes=case.four_eyes,
            status=case.state,
            decision=case.decision,
            note=case.note,
            assigned_to=case.target,
            proposal=case.proposal,
            proposed_by=case.proposed_by,
            decided_by=case.decided_by,
            opened_at=case.opened_at,
            decided_at=case.decided_at,
            history=tuple(LineView.of(line) for line in history),
        )


class CasesView(View):
    """A page of the queue, the oldest first."""

    items: tuple[CaseView, ...]
    next: str | None


class HistoryView(View):
    """Everything that happened to a payment, in order."""

    items: tuple[LineView, ...]


async def list_cases(request: web.Request) -> web.Response:
    """Cases that wait for a person, the oldest first."""
    page = read_query(request, CasesQuery)
    place = None if page.after is None else read_cursor(page.after)
    found = await request.app[CASHIER].queue(page.subject, place, page.limit)
    full = len(found) == page.limit
    after = write_cursor(Place(found[-1].opened_at, found[-1].id)) if full else None
    return reply(CasesView(items=tuple(CaseView.of(each) for each in found), next=after))


async def show_case(request: web.Request) -> web.Response:
    """A case with the evidence and the history of what it is about."""
    case, history = await request.app[CASHIER].case(_case_id(request))
    return reply(CaseView.of(case, history))


async def propose_decision(request: web.Request) -> web.Response:
    """Propose what is to be done about a case. Where four eyes are asked for, somebody else has to approve it."""
    wanted = await read(request, ProposalRequest)
    verdict = Verdict(wanted.decision, wanted.note, wanted.player)
    case_id = _case_id(request)
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/cashier/cases/{case_id}/proposal", wanted))
    answer = await request.app[CASHIER].propose(case_id, verdict, clerk_of(request), asked, _shown)
    return reply(answer)


async def approve_decision(request: web.Request) -> web.Response:
    """Approve what somebody else has proposed, by its name; it is carried out."""
    seen = await read(request, ApprovalRequest)
    case_id = _case_id(request)
    asked = Once(request[IDEMPOTENCY_KEY], fingerprint(f"POST /v1/cashier/cases/{case_id}/approval", seen))
    proposal = Proposal(seen.proposal, seen.decision, seen.player)
    return reply(await request.app[CASHIER].approve(case_id, proposal, clerk_of(request), asked, _shown))


async def show_history(request: web.Request) -> web.Response:
    """Every attempt and every answer of a deposit, a withdrawal or a card payment, in order."""
    payment_id = id_in(request, refusals.NoSuchPayment("that is no payment's id"))
    found = await request.app[CASHIER].history(payment_id)
    return reply(HistoryView(items=tuple(LineView.of(line) for line in found)))


async def export_notices(request: web.Request) -> web.Response:
    """What was decided to be reported to the authority, as CSV."""
    asked = read_query(request, NoticesQuery)
    found = await request.app[CASHIER].notices(asked.since, asked.until)
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(
        (
            "case",
            "player",
            "rule",
            "amount",
            "found",
            "threshold",
            "proposed_by",
            "decided_by",
            "decided_at",
            "note",
        )
    )
    for case in found:
        rows.writerow(
            (
                case.id,
                case.player,
                case.reason,
                case.amount,
                case.evidence.get("found"),
                case.evidence.get("threshold"),
                case.proposed_by,
                case.decided_by,
                case.decided_at and case.decided_at.isoformat(),
                _harmless(case.note or ""),
            )
        )
    return web.Response(text=text.getvalue(), content_type="text/csv")


def _shown(case: Case) -> Answer:
    return Answer.of(CaseView.of(case), resource=f"/v1/cashier/cases/{case.id}")


def _harmless(text: str) -> str:
    """A cell that begins like a formula would be run by a spreadsheet."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def _case_id(request: web.Request) -> UUID:
    return id_in(request, refusals.NoSuchCase("that is no case's id"))


_STAFF: Final = (Role.CASHIER, Role.AUDITOR)

ROUTES: Final = (
    Route("GET", "/v1/cashier/cases", list_cases, query=CasesQuery, returns=CasesView, role=_STAFF,
          refusals=(refusals.InvalidCursor,)),
    Route("GET", "/v1/cashier/cases/{id}", show_case, returns=CaseView, role=_STAFF,
          refusals=(refusals.NoSuchCase,)),
    Route("POST", "/v1/cashier/cases/{id}/proposal", propose_decision, body=ProposalRequest, returns=CaseView,
          role=Role.CASHIER, idempotent=True,
          refusals=(refusals.NoSuchCase, refusals.DecisionImpossible, KeyReused, KeyInFlight)),
    Route("POST", "/v1/cashier/cases/{id}/approval", approve_decision, body=ApprovalRequest, returns=CaseView,
          role=Role.CASHIER, idempotent=True,
          refusals=(refusals.NoSuchCase, refusals.DecisionImpossible, refusals.ProposerMayNot, refusals.FourEyes,
                    refusals.NoCashierNow, KeyReused, KeyInFlight)),
    Route("GET", "/v1/cashier/payments/{id}/history", show_history, returns=HistoryView, role=_STAFF,
          refusals=(refusals.NoSuchPayment,)),
    Route("GET", "/v1/cashier/notices", export_notices, query=NoticesQuery, role=_STAFF),
)  # fmt: skip
