"""People who run the platform: appointed, moved and dismissed by two administrators; activated by themselves."""

import secrets
from uuid import UUID

from common.errors import NotFound
from common.pg import Connection, transaction
from common.roles import Role

from identity import events
from identity.derived import MasterKey
from identity.domain import people
from identity.domain.approvals import Approval
from identity.domain.codes import Purpose, WrongCode
from identity.domain.documents import DocumentKind, HolderDocument
from identity.domain.people import STAFF_ROLES, Applicant, Email, FullName, InvalidEmail, User, UserId
from identity.passwords import Passwords
from identity.service.access import Access
from identity.service.desk import Desk
from identity.service.messages import Codes
from identity.service.passwords import new_password_hash
from identity.store.people import PeopleStore
from identity.totp import provisioning_uri


class NoSuchStaff(NotFound):
    slug = "no-such-staff"
    title = "There is no such member of the staff"


class Staff:
    """The staff, and what an approved request does to it."""

    def __init__(
        self, desk: Desk, passwords: Passwords, codes: Codes, access: Access, master: MasterKey
    ) -> None:
        self._desk = desk
        self._passwords = passwords
        self._codes = codes
        self._access = access
        self._master = master

    async def staff(self, after: UUID | None, *, limit: int) -> tuple[User, ...]:
        """A page of those who work here or did, by name."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await PeopleStore(connection).staff(after, limit=limit)

    async def member(self, user_id: UUID) -> User:
        """Raises NoSuchStaff."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return _staff(await PeopleStore(connection).user(UserId(user_id)))

    async def employed(self, user_id: UUID) -> User:
        """Raises NoSuchStaff, also for who has been dismissed."""
        member = await self.member(user_id)
        if member.closed_at is not None:
            raise NoSuchStaff("Nobody of that id works here.")
        return member

    async def appoint(self, connection: Connection, approval: Approval) -> None:
        """Open the account that two administrators agreed on; its holder gets a code to activate it with.

        Raises Underage, AlreadyRegistered.
        """
        told, now = approval.details, self._desk.clock()
        document = HolderDocument.parse(DocumentKind.CURP, told["curp"], field="curp")
        applicant = Applicant(document, Email.parse(told["email"]), FullName.parse(told["full_name"]))
        user_id = UserId(self._desk.new_id())
        user = people.with_first_totp(
            people.appoint(applicant, role=Role(told["role"]), user_id=user_id, now=now)
        )
        store = PeopleStore(connection)
        # Nobody knows this password; the holder sets one with the code.
        password_hash = await self._passwords.hash(secrets.token_urlsafe(32))
        await store.add(user, document, password_hash, approval=approval.id)
        await store.announce(events.staff_created(user, event_id=self._desk.new_id()))
        await self._codes.send(connection, Purpose.STAFF_ACTIVATION, user.email.value, user)

    async def change_role(self, connection: Connection, approval: Approval) -> None:
        """Raises NoSuchStaff, AccountClosed."""
        store = PeopleStore(connection)
        user = people.change_role(
            _staff(await store.user_for_update(UserId(UUID(approval.subject)))),
            Role(approval.details["role"]),
        )
        await store.save_role(user, approval=approval.id)
        await store.announce(events.staff_changed(user, event_id=self._desk.new_id(), at=self._desk.clock()))

    async def dismiss(self, connection: Connection, approval: Approval) -> None:
        """Raises NoSuchStaff, AccountClosed."""
        store, now = PeopleStore(connection), self._desk.clock()
        user = people.close_account(
            _staff(await store.user_for_update(UserId(UUID(approval.subject)))), now=now
        )
        await store.save(user)
        await store.announce(events.account_closed(user, event_id=self._desk.new_id(), at=now))

    async def renew_second_factor(self, connection: Connection, approval: Approval) -> None:
        """The old authenticator is worth nothing; a code lets its holder set up another. Raises NoSuchStaff, AccountClosed."""
        store, now = PeopleStore(connection), self._desk.clock()
        user = people.enrol_totp(_staff(await store.user_for_update(UserId(UUID(approval.subject)))))
        await store.save(user)
        await store.announce(events.totp_enrolled(user, event_id=self._desk.new_id(), at=now))
        await self._codes.send(connection, Purpose.STAFF_ACTIVATION, user.email.value, user)

    async def activate(self, email: str, code: str, password: str) -> str:
        """Set a password with the code of an appointment; gives what the authenticator reads, this once.

        Raises WrongCode, WeakPassword, HashingBusy, RateLimited.
        """
        await self._access.admit_attempt(email)
        try:
            address = Email.parse(email)
        except InvalidEmail:
            raise WrongCode from None
        async with transaction(self._desk.pool, readonly=True) as connection:
            known = await PeopleStore(connection).credentials(address)
        verification = await self._codes.check(email, Purpose.STAFF_ACTIVATION, code)
        if known is None or known.user.closed_at is not None:
            raise WrongCode
        user, now = known.user, self._desk.clock()
        password_hash = await new_password_hash(self._desk, self._passwords, user.id, password)
        async with transaction(self._desk.pool) as connection:
            store = PeopleStore(connection)
            changed = people.change_password(_staff(await store.user_for_update(user.id)), now=now)
            await self._codes.spend(connection, email, user.id, Purpose.STAFF_ACTIVATION, verification)
            await store.save(changed)
            await store.set_password_hash(user.id, password_hash)
            await store.announce(
                events.password_changed(changed, "reset", event_id=self._desk.new_id(), at=now)
            )
        return provisioning_uri(self._master.totp_secret(user.id, changed.totp_generation), email)


def _staff(user: User | None) -> User:
    if user is None or user.role not in STAFF_ROLES:
        raise NoSuchStaff("Nobody of that id works here.")
    return user
