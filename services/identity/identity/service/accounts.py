"""People and their passwords: registering, being appointed, proving who one is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from common.idempotency import Answer, KeyReused, once
from common.pg import Connection, transaction
from common.roles import Role

from identity import events
from identity.domain import people
from identity.domain.documents import HolderDocument
from identity.domain.passwords import BadCredentials, check_new_password, normal_form
from identity.domain.people import (
    AlreadyRegistered,
    Applicant,
    Email,
    InvalidEmail,
    SessionEnded,
    User,
    UserId,
)
from identity.passwords import HashingBusy, Passwords, breached_passwords
from identity.service.desk import Desk
from identity.store.people import Credentials, PeopleStore


@dataclass(frozen=True, slots=True)
class Registration:
    """A request to register, with the key and the fingerprint that make it happen once.

    The fingerprint does not cover the password: a fast hash of it must not lie in the database.
    """

    applicant: Applicant
    password: str = field(repr=False)
    key: str
    fingerprint: bytes


class Accounts:
    """People and their passwords."""

    def __init__(self, desk: Desk, passwords: Passwords) -> None:
        self._desk = desk
        self._passwords = passwords

    async def register(self, registration: Registration, *, show: Callable[[User], Answer]) -> Answer:
        """Open a bettor's account, once per key; `show` words the answer that is stored.

        Raises WeakPassword, what `open_account` raises for a wrong request, HashingBusy, KeyReused. Underage and
        AlreadyRegistered are decisions: they come back as stored answers.
        """
        applicant, password = registration.applicant, normal_form(registration.password)
        password_hash = await self._new_hash(applicant, password)
        async with transaction(self._desk.pool) as connection:
            answer = await once(
                connection,
                # People who do not know each other may use the same key.
                principal=f"register:{applicant.document}",
                key=registration.key,
                fingerprint=registration.fingerprint,
                work=lambda: self._open_account(connection, applicant, password_hash, show),
            )
        if answer.replayed and answer.resource is not None:
            await self._expect_same_password(UserId(UUID(answer.resource)), password)
        return answer

    async def appoint(self, applicant: Applicant, role: Role, password: str) -> tuple[User, bool]:
        """Open a staff account with a second factor; the same appointment again finds it.

        Second value: whether it is new. Raises NotStaff, WeakPassword, Underage; AlreadyRegistered when e-mail or
        document are another account's.
        """
        password = normal_form(password)
        user_id, now = UserId(self._desk.new_id()), self._desk.clock()
        user = people.with_first_totp(people.appoint(applicant, role=role, user_id=user_id, now=now))
        password_hash = await self._new_hash(applicant, password)
        async with transaction(self._desk.pool) as connection:
            store = PeopleStore(connection)
            known = await store.credentials(applicant.email)
            if known is not None:
                documents = await store.documents(known.user.id)
                if applicant.document not in documents or known.user.role is not role:
                    raise AlreadyRegistered("The e-mail belongs to another account.", field="email")
                return known.user, False
            await store.add(user, applicant.document, password_hash)
            await store.announce(events.staff_created(user, event_id=self._desk.new_id()))
        return user, True

    async def prove(self, email: str, password: str) -> User:
        """The user whose e-mail and password these are.

        Anything else is one BadCredentials after one hash, whether the user exists or not. Raises HashingBusy.
        """
        return await self._prove(await self._credentials(email), password)

    async def prove_again(self, user_id: UserId, password: str) -> User:
        """The user, if it is their password. Raises BadCredentials, HashingBusy."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            known = await PeopleStore(connection).credentials_of(user_id)
        return await self._prove(known, password)

    async def user(self, user_id: UserId) -> User:
        """The user a token names. Raises SessionEnded when there is no such user (any more)."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            user = await PeopleStore(connection).user(user_id)
        if user is None:
            raise SessionEnded("The session's user does not exist.")
        return user

    async def holder(self, user_id: UserId) -> tuple[User, tuple[HolderDocument, ...]]:
        """Somebody with their documents. Raises SessionEnded when there is no such user."""
        user = await self.user(user_id)
        async with transaction(self._desk.pool, readonly=True) as connection:
            return user, await PeopleStore(connection).documents(user_id)

    async def _new_hash(self, applicant: Applicant, password: str) -> str:
        check_new_password(
            password,
            email=applicant.email,
            full_name=applicant.full_name,
            documents={applicant.document.value.lower()},
            breached=breached_passwords(),
        )
        return await self._passwords.hash(password)

    async def _open_account(
        self, connection: Connection, applicant: Applicant, password_hash: str, show: Callable[[User], Answer]
    ) -> Answer:
        user_id = UserId(self._desk.new_id())
        user = people.open_account(applicant, role=Role.BETTOR, user_id=user_id, now=self._desk.clock())
        store = PeopleStore(connection)
        await store.add(user, applicant.document, password_hash)
        await store.announce(events.user_registered(user, event_id=self._desk.new_id()))
        return show(user)

    async def _expect_same_password(self, user_id: UserId, password: str) -> None:
        """What the fingerprint does not cover: a replay with another password is another request."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            known = await PeopleStore(connection).credentials_of(user_id)
        if known is None or not await self._passwords.verify(known.password_hash, password):
            raise KeyReused("this key was used for a different request", field="Idempotency-Key")

    async def _prove(self, known: Credentials | None, password: str) -> User:
        password = normal_form(password)
        right = await self._passwords.verify(None if known is None else known.password_hash, password)
        if known is None or not right:
            raise BadCredentials("Check both and try again.")
        if self._passwords.is_outdated(known.password_hash):
            await self._rehash(known, password)
        return known.user

    async def _credentials(self, email: str) -> Credentials | None:
        try:
            address = Email.parse(email)
        except InvalidEmail:  # nobody's address, answered like any unknown one
            return None
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await PeopleStore(connection).credentials(address)

    async def _rehash(self, known: Credentials, password: str) -> None:
        """Bring an old hash to today's cost while the password is at hand; not while workers are busy."""
        try:
            password_hash = await self._passwords.hash(password)
        except HashingBusy:
            return
        async with transaction(self._desk.pool) as connection:
            await PeopleStore(connection).replace_password_hash(known, password_hash)
