"""Asking and deciding. An approved request takes effect in the transaction that decides it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from common.idempotency import Answer, once
from common.pg import Connection, transaction
from contracts.identity import RevocationReason

from identity import events
from identity.domain.approvals import (
    WHO_MAY,
    Act,
    Approval,
    ApprovalId,
    ApprovalState,
    NoSuchApproval,
    check_request,
    decide,
)
from identity.domain.people import User, UserId
from identity.service.access import Access
from identity.service.desk import Desk, locked
from identity.service.passwords import known_user
from identity.store.approvals import ApprovalPlace, ApprovalStore
from identity.store.people import PeopleStore

Effect: TypeAlias = Callable[[Connection, Approval], Awaitable[None]]
"""What an approved request does, in the transaction that approves it."""

ENDS_SESSIONS: Mapping[Act, RevocationReason] = {
    Act.CHANGE_ROLE: RevocationReason.ROLE_CHANGED,
    Act.DISMISS: RevocationReason.ACCOUNT_CLOSED,
    Act.SECOND_FACTOR: RevocationReason.ROLE_CHANGED,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody asks for, with the key and the fingerprint that make it happen once."""

    act: Act
    subject: str
    details: Mapping[str, str]
    reason: str
    key: str
    fingerprint: bytes


class Approvals:
    """The staff's requests."""

    def __init__(self, desk: Desk, access: Access, effects: Mapping[Act, Effect]) -> None:
        self._desk = desk
        self._access = access
        self._effects = effects

    async def ask(self, who: UserId, asked: Asked, *, show: Callable[[Approval], Answer]) -> Answer:
        """Ask for an act, once per key. ApprovalOpen comes back as a stored answer.

        Raises NotYourAct, FourEyesNeeded, InvalidReason, SessionEnded, KeyReused.
        """
        async with transaction(self._desk.pool) as connection:
            return await once(
                connection,
                principal=str(who),
                key=asked.key,
                fingerprint=asked.fingerprint,
                work=lambda: self._ask(connection, who, asked, show),
            )

    async def decide(self, who: UserId, approval_id: ApprovalId, *, approve: bool) -> Approval:
        """Approve or refuse. What is approved has happened when this returns.

        Raises NoSuchApproval, NotYourAct, FourEyesNeeded, ApprovalDecided, AskerMayNot, SessionEnded,
        SessionsUnavailable, and whatever stands against the act itself by now.
        """
        if approve:
            # Before as well: should we die in between, the gateways have heard of the sessions there were.
            await self._end_sessions(await self._would_be(who, approval_id))
        async with transaction(self._desk.pool) as connection:
            store = ApprovalStore(connection)
            found = _found(await store.approval_for_update(approval_id))
            decider, asker = await self._locked(connection, who, found)
            decided = decide(found, decider, asker, approve=approve, now=self._desk.clock())
            await store.decide(decided)
            await store.announce(events.approval_decided(decided, event_id=self._desk.new_id()))
            if approve:
                await self._effects[decided.act](connection, decided)
        if approve:
            await self._end_sessions(decided)
        return decided

    async def _would_be(self, who: UserId, approval_id: ApprovalId) -> Approval:
        """What approving would make of it now: refused before any session is ended. Raises what `decide` does."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            found = _found(await ApprovalStore(connection).approval(approval_id))
            people = PeopleStore(connection)
            decider, asker = await known_user(people, who), await known_user(people, found.requested_by)
        return decide(found, decider, asker, approve=True, now=self._desk.clock())

    async def _locked(self, connection: Connection, who: UserId, found: Approval) -> tuple[User, User]:
        """Who decides and who asked, locked together with whom it makes somebody else. In the order of their ids: two who
        decide about each other come one after the other."""
        subject = (UserId(UUID(found.subject)),) if found.act in ENDS_SESSIONS else ()
        all_of_them = sorted({who, found.requested_by, *subject})
        people = {each: await locked(PeopleStore(connection), each) for each in all_of_them}
        return people[who], people[found.requested_by]

    async def _end_sessions(self, approved: Approval) -> None:
        """End the sessions of whom an act makes somebody else. Raises SessionsUnavailable."""
        if approved.act in ENDS_SESSIONS:
            await self._access.revoke_all(UserId(UUID(approved.subject)), ENDS_SESSIONS[approved.act])

    async def approvals(
        self, who: UserId, state: ApprovalState, after: ApprovalPlace | None, *, limit: int
    ) -> tuple[Approval, ...]:
        """A page of the requests that somebody of this role may decide, the newest first."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            user = await PeopleStore(connection).user(who)
            acts = frozenset(act for act, roles in WHO_MAY.items() if user is not None and user.role in roles)
            return await ApprovalStore(connection).approvals(acts, state, after, limit=limit)

    async def _ask(
        self, connection: Connection, who: UserId, asked: Asked, show: Callable[[Approval], Answer]
    ) -> Answer:
        requester = await locked(PeopleStore(connection), who)
        reason = check_request(requester, asked.act, subject=asked.subject, reason=asked.reason)
        approval = Approval(
            ApprovalId(self._desk.new_id()),
            asked.act,
            asked.subject,
            asked.details,
            reason,
            requested_by=who,
            requested_at=self._desk.clock(),
        )
        store = ApprovalStore(connection)
        await store.add(approval)
        await store.announce(events.approval_requested(approval, event_id=self._desk.new_id()))
        return show(approval)


def _found(approval: Approval | None) -> Approval:
    if approval is None:
        raise NoSuchApproval("There is no such request.")
    return approval
