"""Identity's use cases, one transaction each. Hashing and Redis stay outside of the transactions."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID, uuid4

from common.idempotency import Answer, KeyReused, once
from common.pg import Connection, Pool, transaction
from common.roles import Role

from identity import domain, events
from identity.domain import (
    AlreadyRegistered,
    Applicant,
    BadCredentials,
    Email,
    InvalidEmail,
    SessionEnded,
    User,
    UserId,
)
from identity.passwords import HashingBusy, Passwords, breached_passwords
from identity.sessions import Session, Sessions, StartedSession
from identity.store import Credentials, Store
from identity.tokens import Audience, TokenSigner

Clock = Callable[[], datetime]
NewId = Callable[[], UUID]


def now_utc() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Registration:
    """A request to register, with the key and the fingerprint that make it happen once.

    The fingerprint does not cover the password: a fast hash of it must not lie in the database.
    """

    applicant: Applicant
    password: str = field(repr=False)
    key: str
    fingerprint: bytes


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An internal token and the session it was issued for."""

    token: str = field(repr=False)
    expires_in_seconds: int
    session: Session


class Accounts:
    """People and their passwords."""

    def __init__(
        self, pool: Pool, passwords: Passwords, *, clock: Clock = now_utc, new_id: NewId = uuid4
    ) -> None:
        self._pool = pool
        self._passwords = passwords
        self._clock = clock
        self._new_id = new_id

    async def register(self, registration: Registration, *, show: Callable[[User], Answer]) -> Answer:
        """Open a bettor's account, once per key; `show` words the answer that is stored.

        Raises WeakPassword, BirthDateMismatch, HashingBusy, KeyReused. Underage and AlreadyRegistered are
        decisions: they come back as stored answers.
        """
        applicant, password = registration.applicant, domain.normal_form(registration.password)
        domain.check_new_password(password, applicant, breached=breached_passwords())
        password_hash = await self._passwords.hash(password)
        async with transaction(self._pool) as connection:
            answer = await once(
                connection,
                # People who do not know each other may use the same key.
                principal=f"register:{applicant.curp}",
                key=registration.key,
                fingerprint=registration.fingerprint,
                work=lambda: self._open_account(connection, applicant, password_hash, show),
            )
        if answer.replayed and answer.resource is not None:
            await self._expect_same_password(UserId(UUID(answer.resource)), password)
        return answer

    async def appoint(self, applicant: Applicant, role: Role, password: str) -> tuple[User, bool]:
        """Open a staff account; the same appointment again finds it. Second value: whether it is new.

        Raises NotStaff, WeakPassword, Underage; AlreadyRegistered when e-mail or CURP are another account's.
        """
        password = domain.normal_form(password)
        domain.check_new_password(password, applicant, breached=breached_passwords())
        user = domain.appoint(applicant, role=role, user_id=UserId(self._new_id()), now=self._clock())
        password_hash = await self._passwords.hash(password)
        async with transaction(self._pool) as connection:
            store = Store(connection)
            known = await store.credentials(applicant.email)
            if known is not None:
                return _same_appointment(known.user, user), False
            await store.add(user, password_hash)
            await store.announce(events.staff_created(user, event_id=self._new_id()))
        return user, True

    async def prove(self, email: str, password: str) -> User:
        """The user whose e-mail and password these are.

        Anything else is one BadCredentials after one hash, whether the user exists or not. Raises HashingBusy.
        """
        password = domain.normal_form(password)
        known = await self._credentials(email)
        right = await self._passwords.verify(None if known is None else known.password_hash, password)
        if known is None or not right:
            raise BadCredentials("Check both and try again.")
        if self._passwords.is_outdated(known.password_hash):
            await self._rehash(known, password)
        return known.user

    async def user(self, user_id: UserId) -> User:
        """The user a token names. Raises SessionEnded when there is no such user (any more)."""
        async with transaction(self._pool, readonly=True) as connection:
            user = await Store(connection).user(user_id)
        if user is None:
            raise SessionEnded("The session's user does not exist.")
        return user

    async def _open_account(
        self, connection: Connection, applicant: Applicant, password_hash: str, show: Callable[[User], Answer]
    ) -> Answer:
        user_id = UserId(self._new_id())
        user = domain.open_account(applicant, role=Role.BETTOR, user_id=user_id, now=self._clock())
        store = Store(connection)
        await store.add(user, password_hash)
        await store.announce(events.user_registered(user, event_id=self._new_id()))
        return show(user)

    async def _expect_same_password(self, user_id: UserId, password: str) -> None:
        """What the fingerprint does not cover: a replay with another password is another request."""
        async with transaction(self._pool, readonly=True) as connection:
            stored = await Store(connection).password_hash(user_id)
        if not await self._passwords.verify(stored, password):
            raise KeyReused("this key was used for a different request", field="Idempotency-Key")

    async def _credentials(self, email: str) -> Credentials | None:
        try:
            address = Email.parse(email)
        except InvalidEmail:  # nobody's address, answered like any unknown one
            return None
        async with transaction(self._pool, readonly=True) as connection:
            return await Store(connection).credentials(address)

    async def _rehash(self, known: Credentials, password: str) -> None:
        """Bring an old hash to today's cost while the password is at hand; not while workers are busy."""
        try:
            password_hash = await self._passwords.hash(password)
        except HashingBusy:
            return
        async with transaction(self._pool) as connection:
            await Store(connection).replace_password_hash(known, password_hash)


class Access:
    """Sessions for those who proved who they are, and tokens for those who hold a session."""

    def __init__(
        self,
        pool: Pool,
        accounts: Accounts,
        sessions: Sessions,
        signer: TokenSigner,
        *,
        clock: Clock = now_utc,
        new_id: NewId = uuid4,
    ) -> None:
        self._pool = pool
        self._accounts = accounts
        self._sessions = sessions
        self._signer = signer
        self._clock = clock
        self._new_id = new_id

    async def login(self, email: str, password: str) -> StartedSession:
        """Start a session in Redis, then say so. If saying so fails, nobody is told the secret: it opens nothing.

        Raises BadCredentials, HashingBusy, SessionsUnavailable.
        """
        started = await self._sessions.start(await self._accounts.prove(email, password))
        now = self._clock()
        async with transaction(self._pool) as connection:
            created = events.session_created(started.session, event_id=self._new_id(), at=now)
            await Store(connection).announce(created)
        return started

    async def logout(self, user_id: UserId, sid: UUID) -> None:
        """End a session, then say so: whatever fails, nobody is left with a session they ended.

        Raises SessionsUnavailable.
        """
        if not await self._sessions.end(sid):
            return
        now = self._clock()
        async with transaction(self._pool) as connection:
            ended = events.session_ended(sid, user_id, event_id=self._new_id(), at=now)
            await Store(connection).announce(ended)

    async def token(self, secret: str, audience: Audience) -> IssuedToken:
        """Exchange a live session for a token to one service. Raises SessionEnded, SessionsUnavailable."""
        session = await self._sessions.resume(secret)
        now = self._clock()
        lifetime = min(self._signer.lifetime, session.ends - now)
        return IssuedToken(
            self._signer.sign(session, audience, now=now), int(lifetime.total_seconds()), session
        )


def _same_appointment(known: User, wanted: User) -> User:
    same = (known.curp, known.email, known.role) == (wanted.curp, wanted.email, wanted.role)
    if not same:
        raise AlreadyRegistered("The e-mail belongs to another account.", field="email")
    return known
