"""Evidence handed in by people, and cases decided by two of the staff."""

from dataclasses import dataclass
from uuid import UUID

from common.pg import Connection, transaction

from identity import events
from identity.domain import kyc
from identity.domain.approvals import Act, Approval
from identity.domain.kyc import Case, CaseId, CaseNotOpen, Evidence, EvidenceKind, KycState, NoSuchCase
from identity.domain.people import AccountClosed, UserId
from identity.service.desk import Desk, locked
from identity.store.kyc import KycStore
from identity.store.people import PeopleStore


@dataclass(frozen=True, slots=True)
class CaseWithEvidence:
    case: Case
    evidence: tuple[Evidence, ...]


class Kyc:
    """Who people are."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def hand_in(
        self, user_id: UserId, kind: EvidenceKind, media_type: str, content: bytes
    ) -> CaseWithEvidence:
        """Add a file to one's draft, which begins with the first one.

        Raises InvalidEvidence, CaseNotOpen, AccountClosed, SessionEnded.
        """
        kyc.check_file(media_type, content)
        async with transaction(self._desk.pool) as connection:
            user = await locked(PeopleStore(connection), user_id)
            if user.closed_at is not None:
                raise AccountClosed("The account is closed.")
            store, now = KycStore(connection), self._desk.clock()
            case = await store.latest(user_id)
            if case is None or case.state in (KycState.REJECTED, KycState.SUPERSEDED):
                case = Case(CaseId(self._desk.new_id()), user_id, KycState.DRAFT, 1, opened_at=now)
                await store.add(case)
            if case.state is not KycState.DRAFT:
                raise CaseNotOpen(f"It is {case.state.lower()}.")
            await store.put_evidence(case.id, kind, media_type, content, at=now)
            return CaseWithEvidence(case, await store.evidence(case.id))

    async def submit(self, user_id: UserId) -> CaseWithEvidence:
        """Ask for one's draft to be decided. Raises NoSuchCase, CaseNotOpen, EmailNotVerified, EvidenceMissing."""
        async with transaction(self._desk.pool) as connection:
            user = await locked(PeopleStore(connection), user_id)
            store, now = KycStore(connection), self._desk.clock()
            draft = _found(await store.latest(user_id))
            evidence = await store.evidence(draft.id)
            case = kyc.submit(draft, user, {each.kind for each in evidence}, now=now)
            await store.save(case)
            await store.announce(events.kyc_changed(case, event_id=self._desk.new_id(), at=now))
        return CaseWithEvidence(case, evidence)

    async def mine(self, user_id: UserId) -> CaseWithEvidence:
        """One's newest case. Raises NoSuchCase."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            store = KycStore(connection)
            case = _found(await store.latest(user_id))
            return CaseWithEvidence(case, await store.evidence(case.id))

    async def cases(self, state: KycState) -> tuple[Case, ...]:
        """For the staff: cases in that state, the one that waits longest first."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await KycStore(connection).cases(state)

    async def case(self, case_id: UUID) -> CaseWithEvidence:
        """For the staff. Raises NoSuchCase."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            store = KycStore(connection)
            case = _found(await store.case(CaseId(case_id)))
            return CaseWithEvidence(case, await store.evidence(case.id))

    async def file(self, case_id: UUID, kind: EvidenceKind) -> tuple[str, bytes]:
        """For the staff: a file's media type and content. Raises NoSuchCase."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            found = await KycStore(connection).content(CaseId(case_id), kind)
        if found is None:
            raise NoSuchCase("There is no such evidence.")
        return found

    async def conclude(self, connection: Connection, approval: Approval) -> None:
        """Decide a case as two people agreed. Raises NoSuchCase, CaseNotOpen."""
        store, now = KycStore(connection), self._desk.clock()
        case = _found(await store.case(CaseId(UUID(approval.subject))))
        await locked(PeopleStore(connection), case.user)
        case = _found(await store.case(case.id))
        decided = kyc.conclude(case, approve=approval.act is Act.APPROVE_KYC, now=now)
        await store.save(decided, approval=approval.id)
        await store.announce(events.kyc_changed(decided, event_id=self._desk.new_id(), at=now))

    async def supersede(self, connection: Connection, user_id: UserId) -> None:
        """Somebody is called otherwise: what they have shown tells of somebody else. Holds the lock on their row."""
        store, now = KycStore(connection), self._desk.clock()
        for case in await store.live(user_id):
            superseded = kyc.supersede(case)
            await store.save(superseded)
            await store.announce(events.kyc_changed(superseded, event_id=self._desk.new_id(), at=now))


def _found(case: Case | None) -> Case:
    if case is None:
        raise NoSuchCase("Hand in evidence first.")
    return case
