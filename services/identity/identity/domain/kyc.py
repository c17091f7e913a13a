"""Knowing one's customer: evidence, and a case that two people of the staff decide."""

from collections.abc import Container
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType
from uuid import UUID

from common.errors import Conflict, Invalid, NotFound

from identity.domain.people import User, UserId

CaseId = NewType("CaseId", UUID)

MOST_BYTES: Final = 2 * 1024 * 1024


class KycState(StrEnum):
    """`SUPERSEDED`: the person's name changed, so the evidence tells of somebody else."""

    DRAFT = "DRAFT"
    SUBMITTED = "SUBMITTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"
    SUPERSEDED = "SUPERSEDED"


class EvidenceKind(StrEnum):
    ID_FRONT = "id-front"
    ID_BACK = "id-back"
    SELFIE = "selfie"
    PROOF_OF_ADDRESS = "proof-of-address"


REQUIRED: Final = (EvidenceKind.ID_FRONT, EvidenceKind.ID_BACK, EvidenceKind.SELFIE)

MAGIC: Final = {"image/jpeg": b"\xff\xd8\xff", "image/png": b"\x89PNG\r\n\x1a\n", "application/pdf": b"%PDF-"}
"""How files of the media types that we take begin."""


class InvalidEvidence(Invalid):
    slug = "invalid-evidence"
    title = "Not a file we take as evidence"


class EvidenceMissing(Invalid):
    slug = "evidence-missing"
    title = "Evidence is missing"


class EmailNotVerified(Conflict):
    slug = "email-not-verified"
    title = "Verify the e-mail address first"


class CaseNotOpen(Conflict):
    slug = "kyc-case-not-open"
    title = "The case is not open for this"


class NoSuchCase(NotFound):
    slug = "no-such-kyc-case"
    title = "There is no such case"


@dataclass(frozen=True, slots=True)
class Case:
    """One attempt to show who somebody is."""

    id: CaseId
    user: UserId
    state: KycState
    version: int
    opened_at: datetime
    submitted_at: datetime | None = None
    decided_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file, without its content."""

    kind: EvidenceKind
    media_type: str
    sha256: bytes
    added_at: datetime


def check_file(media_type: str, content: bytes) -> None:
    """Whether a file is what it says and small enough. Raises InvalidEvidence."""
    magic = MAGIC.get(media_type)
    if magic is None:
        raise InvalidEvidence(f"Send one of {', '.join(MAGIC)}.", field="Content-Type")
    if not content.startswith(magic) or len(content) > MOST_BYTES:
        raise InvalidEvidence(f"This is no {media_type} of at most {MOST_BYTES} bytes.", field="body")


def submit(case: Case, user: User, evidence: Container[EvidenceKind], *, now: datetime) -> Case:
    """The case, ready to be decided. Raises CaseNotOpen, EmailNotVerified, EvidenceMissing."""
    if case.state is not KycState.DRAFT:
        raise CaseNotOpen(f"It is {case.state.lower()}.")
    if user.email_verified_at is None:
        raise EmailNotVerified("We must be able to reach you about it.")
    missing = [kind for kind in REQUIRED if kind not in evidence]
    if missing:
        raise EvidenceMissing(f"Still needed: {', '.join(missing)}.", field="evidence")
    return replace(case, state=KycState.SUBMITTED, submitted_at=now, version=case.version + 1)


def conclude(case: Case, *, approve: bool, now: datetime) -> Case:
    """The decided case. Raises CaseNotOpen."""
    if case.state is not KycState.SUBMITTED:
        raise CaseNotOpen(f"It is {case.state.lower()}.")
    state = KycState.APPROVED if approve else KycState.REJECTED
    return replace(case, state=state, decided_at=now, version=case.version + 1)


def supersede(case: Case) -> Case:
    """The case of somebody who is now called otherwise."""
    return replace(case, state=KycState.SUPERSEDED, version=case.version + 1)
