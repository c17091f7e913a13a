"""Showing who one is; and, for the staff, looking at what was shown."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from aiohttp import web
from common.http import IDEMPOTENCY_KEY, Body, Role, Route, View, read, read_query, reply
from common.http.reading import body_of
from common.idempotency import fingerprint
from pydantic import Field

from identity.api.approvals import REFUSALS, ApprovalView, shown
from identity.api.parts import APPROVALS, KYC, caller, id_in_path
from identity.domain.approvals import Act
from identity.domain.kyc import (
    MOST_BYTES,
    Case,
    CaseNotOpen,
    EmailNotVerified,
    EvidenceKind,
    EvidenceMissing,
    InvalidEvidence,
    KycState,
    NoSuchCase,
)
from identity.domain.people import AccountClosed, SessionEnded
from identity.service.approvals import Asked
from identity.service.kyc import CaseWithEvidence

REVIEWERS = (Role.CASHIER, Role.ADMIN)
READERS = (Role.CASHIER, Role.ADMIN, Role.AUDITOR)


class EvidenceView(View):
    """A file that was handed in. `sha256` tells that it is the very one."""

    kind: EvidenceKind
    media_type: str
    sha256: str
    added_at: datetime


class CaseView(View):
    id: UUID
    user_id: UUID
    state: KycState
    opened_at: datetime
    submitted_at: datetime | None
    decided_at: datetime | None
    evidence: tuple[EvidenceView, ...] = ()

    @classmethod
    def of(cls, found: CaseWithEvidence) -> "CaseView":
        shown = cls.without_evidence(found.case)
        evidence = tuple(
            EvidenceView(
                kind=each.kind, media_type=each.media_type, sha256=each.sha256.hex(), added_at=each.added_at
            )
            for each in found.evidence
        )
        return shown.model_copy(update={"evidence": evidence})

    @classmethod
    def without_evidence(cls, case: Case) -> "CaseView":
        return cls(
            id=case.id,
            user_id=case.user,
            state=case.state,
            opened_at=case.opened_at,
            submitted_at=case.submitted_at,
            decided_at=case.decided_at,
        )


class CasesView(View):
    items: tuple[CaseView, ...]


class CasesQuery(Body):
    state: KycState = KycState.SUBMITTED


class DecisionRequest(Body):
    """What should become of a case; another one of the staff decides whether it does."""

    approve: bool
    reason: Annotated[str, Field(max_length=500)]


async def hand_in_evidence(request: web.Request) -> web.Response:
    """Hand in a file as evidence of who one is.

    A JPEG, a PNG or a PDF of at most 2 MiB as the body. It may be replaced until the case is submitted.
    """
    try:
        kind = EvidenceKind(request.match_info["kind"])
    except ValueError:
        raise NoSuchCase(f"Evidence is one of {', '.join(EvidenceKind)}.") from None
    content = await body_of(request.clone(client_max_size=MOST_BYTES))
    return reply(
        CaseView.of(await request.app[KYC].hand_in(caller(request), kind, request.content_type, content))
    )


async def submit_kyc(request: web.Request) -> web.Response:
    """Ask for one's evidence to be looked at."""
    return reply(CaseView.of(await request.app[KYC].submit(caller(request))))


async def my_kyc(request: web.Request) -> web.Response:
    """How far one has come."""
    return reply(CaseView.of(await request.app[KYC].mine(caller(request))))


async def kyc_cases(request: web.Request) -> web.Response:
    """Cases in one state, the one that waits longest first."""
    wanted = read_query(request, CasesQuery)
    found = await request.app[KYC].cases(wanted.state)
    return reply(CasesView(items=tuple(CaseView.without_evidence(each) for each in found)))


async def kyc_case(request: web.Request) -> web.Response:
    """A case and what was handed in."""
    return reply(CaseView.of(await request.app[KYC].case(_case_id(request))))


async def kyc_file(request: web.Request) -> web.Response:
    """A file that was handed in."""
    try:
        kind = EvidenceKind(request.match_info["kind"])
    except ValueError:
        raise NoSuchCase("There is no such evidence.") from None
    media_type, content = await request.app[KYC].file(_case_id(request), kind)
    headers = {"Content-Disposition": "attachment", "Cache-Control": "no-store"}
    return web.Response(body=content, content_type=media_type, headers=headers)


async def propose_kyc_decision(request: web.Request) -> web.Response:
    """Propose how to decide a case; another one of the staff has the last word."""
    wanted = await read(request, DecisionRequest)
    case_id = _case_id(request)
    await request.app[KYC].case(case_id)
    asked = Asked(
        act=Act.APPROVE_KYC if wanted.approve else Act.REJECT_KYC,
        subject=str(case_id),
        details={},
        reason=wanted.reason,
        key=request[IDEMPOTENCY_KEY],
        fingerprint=fingerprint(f"POST /v1/kyc/cases/{case_id}/decision", wanted),
    )
    return reply(await request.app[APPROVALS].ask(caller(request), asked, show=shown))


def _case_id(request: web.Request) -> UUID:
    found = id_in_path(request, "case_id")
    if found is None:
        raise NoSuchCase("There is no such case.")
    return found


ROUTES = (
    Route("GET", "/v1/kyc", my_kyc, returns=CaseView, role=Role.BETTOR, refusals=(NoSuchCase,)),
    Route("PUT", "/v1/kyc/evidence/{kind}", hand_in_evidence, returns=CaseView, role=Role.BETTOR,
          refusals=(InvalidEvidence, CaseNotOpen, NoSuchCase, AccountClosed, SessionEnded)),
    Route("POST", "/v1/kyc/submit", submit_kyc, returns=CaseView, role=Role.BETTOR,
          refusals=(NoSuchCase, CaseNotOpen, EmailNotVerified, EvidenceMissing, SessionEnded)),
    Route("GET", "/v1/kyc/cases", kyc_cases, query=CasesQuery, returns=CasesView, role=READERS),
    Route("GET", "/v1/kyc/cases/{case_id}", kyc_case, returns=CaseView, role=READERS, refusals=(NoSuchCase,)),
    Route("GET", "/v1/kyc/cases/{case_id}/evidence/{kind}", kyc_file, role=READERS, refusals=(NoSuchCase,)),
    Route("POST", "/v1/kyc/cases/{case_id}/decision", propose_kyc_decision, body=DecisionRequest,
          returns=ApprovalView, status=202, role=REVIEWERS, idempotent=True, step_up=True,
          refusals=(NoSuchCase, *REFUSALS)),
)  # fmt: skip
