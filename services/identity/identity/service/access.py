"""Sessions for those who proved who they are, and tokens for those who hold a session."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from uuid import UUID

from common.pg import borrowed, transaction
from common.rate_limits import Charge, RateLimit, RateLimiter
from contracts.identity import RevocationReason

from identity import events
from identity.derived import MasterKey
from identity.domain.passwords import BadCredentials
from identity.domain.people import AccountClosed, SessionEnded, User, UserId, account_name
from identity.service.accounts import Accounts
from identity.service.desk import Desk
from identity.sessions import Lifetime, NoSuchSession, Origin, Session, Sessions, StartedSession
from identity.store.base import Store
from identity.store.people import PeopleStore
from identity.store.play import PlayStore
from identity.tokens import Audience, TokenSigner
from identity.totp import BadCode, CodeRequired, CodeUsed, SecondFactorMissing, matching_step


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long sessions last: of bettors, and of staff."""

    bettor: Lifetime
    staff: Lifetime

    def of(self, user: User) -> Lifetime:
        return self.staff if user.is_staff else self.bettor


@dataclass(frozen=True, slots=True)
class IssuedToken:
    """An internal token and the session it was issued for."""

    token: str = field(repr=False)
    expires_in_seconds: int
    session: Session


class Access:
    """Logging in and out, stepping up, and the tokens that services trust."""

    def __init__(
        self,
        desk: Desk,
        accounts: Accounts,
        sessions: Sessions,
        signer: TokenSigner,
        master: MasterKey,
        limiter: RateLimiter,
        *,
        attempts: RateLimit,
        lifetimes: Lifetimes,
    ) -> None:
        """`attempts` bounds guesses at one account, from wherever they come."""
        self._desk = desk
        self._accounts = accounts
        self._sessions = sessions
        self._signer = signer
        self._master = master
        self._limiter = limiter
        self._attempts = attempts
        self._lifetimes = lifetimes

    async def login(self, email: str, password: str, code: str | None, origin: Origin) -> StartedSession:
        """Start a session in Redis, then say so. If saying so fails, nobody is told the secret: it opens nothing.

        Raises BadCredentials, also when what was proved changed meanwhile; RateLimited, HashingBusy, SessionsUnavailable,
        LimiterUnavailable; for staff CodeRequired, BadCode, CodeUsed, SecondFactorMissing, AccountClosed.
        """
        charge = await self.admit_attempt(email)
        user = await self._accounts.prove(email, password)
        if user.is_staff and user.closed_at is not None:
            raise AccountClosed("You do not work here any more.")
        await self.prove_second_factor(user, code)
        await self._limiter.forgive(charge)
        started = await self._sessions.start(user, self._lifetimes.of(user), origin)
        await self._tell_started(started, RevocationReason.PUSHED_OUT)
        if not await self._holds(started.session):
            if await self._sessions.end(user.id, started.session.sid):
                await self.tell_ended(user.id, (started.session.sid,), RevocationReason.REVOKED)
            raise BadCredentials("Check both and try again.")
        return await self._within_own_limit(user, started)

    async def _holds(self, session: Session) -> bool:
        """Whether what a session was started on is still so."""
        async with borrowed(self._desk.pool) as connection:
            return session.proof == await PeopleStore(connection).proof(session.user)

    async def _within_own_limit(self, user: User, started: StartedSession) -> StartedSession:
        """The session no longer than its holder allows themselves.

        Read after it was started: a limit that is set meanwhile either is seen here or sees this session.
        """
        async with transaction(self._desk.pool, readonly=True) as connection:
            minutes = await PlayStore(connection).session_minutes(user.id)
        if minutes is None:
            return started
        most = timedelta(minutes=minutes)
        await self.shorten(user.id, most)
        session = started.session
        return replace(started, session=replace(session, ends=min(session.ends, session.started + most)))

    async def shorten(self, user_id: UserId, most: timedelta) -> None:
        """Let none of somebody's sessions last longer than that from its start. Raises SessionsUnavailable."""
        ended = await self._sessions.shorten(user_id, most)
        await self.tell_ended(user_id, ended, RevocationReason.SESSION_LIMIT)

    async def admit_attempt(self, email: str) -> Charge:
        """Count a guess at an account. Raises RateLimited, LimiterUnavailable."""
        charge = Charge(self._attempts, account_name(email))
        await self._limiter.admit(charge)
        return charge

    async def step_up(self, user_id: UserId, sid: UUID, password: str, code: str | None) -> StartedSession:
        """Prove again who one is; the session goes on under a fresh secret.

        Raises what `login` does, and SessionEnded.
        """
        charge = Charge(self._attempts, f"step-up:{user_id}")
        await self._limiter.admit(charge)
        user = await self._accounts.prove_again(user_id, password)
        await self.prove_second_factor(user, code)
        await self._limiter.forgive(charge)
        return await self.renew(user_id, sid, user.proof)

    async def renew(self, user_id: UserId, sid: UUID, proof: int) -> StartedSession:
        """The session under a fresh secret, proved now by that version of proof. Raises SessionEnded, SessionsUnavailable."""
        renewed = await self._sessions.renew(user_id, sid, proof)
        await self._tell_started(renewed, RevocationReason.RENEWED)
        return renewed

    async def logout(self, user_id: UserId, sid: UUID) -> None:
        """End a session, then say so: whatever fails, nobody is left with a session they ended.

        Raises SessionsUnavailable.
        """
        if await self._sessions.end(user_id, sid):
            await self.tell_ended(user_id, (sid,), RevocationReason.LOGOUT)

    async def sessions(self, user_id: UserId) -> tuple[Session, ...]:
        """One's live sessions, newest first. Raises SessionsUnavailable."""
        async with borrowed(self._desk.pool) as connection:
            proof = await PeopleStore(connection).proof(user_id)
        return tuple(each for each in await self._sessions.of(user_id) if each.proof == proof)

    async def revoke(self, user_id: UserId, sid: UUID) -> None:
        """End one of one's sessions. Raises NoSuchSession, also for somebody else's; SessionsUnavailable."""
        if not await self._sessions.end(user_id, sid):
            raise NoSuchSession("You have no such session.")
        await self.tell_ended(user_id, (sid,), RevocationReason.REVOKED)

    async def revoke_all(self, user_id: UserId, reason: RevocationReason, *, but: UUID | None = None) -> int:
        """End all of somebody's sessions; gives how many there were. Raises SessionsUnavailable."""
        ended = await self._sessions.end_all(user_id, but=but)
        await self.tell_ended(user_id, ended, reason)
        return len(ended)

    async def token(self, secret: str, audience: Audience) -> IssuedToken:
        """Exchange a live session for a token to one service. Raises SessionEnded, SessionsUnavailable."""
        session = await self.session(secret)
        now = self._desk.clock()
        lifetime = min(self._signer.lifetime, session.ends - now)
        return IssuedToken(
            self._signer.sign(session, audience, now=now), int(lifetime.total_seconds()), session
        )

    async def session(self, secret: str) -> Session:
        """The live session a secret opens. Raises SessionEnded, SessionsUnavailable.

        Whether it still stands on what is so is asked of the database each time: whatever has or has not been ended in
        Redis, by whomever and however far they came, a session on a password that was changed opens nothing. It is not ended
        here: it may be about to be renewed by whoever has just changed the password with it.
        """
        session = await self._sessions.resume(secret)
        if not await self._holds(session):
            raise SessionEnded("The session ran out or was ended.")
        return session

    async def tell_ended(self, user_id: UserId, sids: tuple[UUID, ...], reason: RevocationReason) -> None:
        """Say that sessions have ended, so that nobody goes on using what they kept for them."""
        if not sids:
            return
        now = self._desk.clock()
        async with transaction(self._desk.pool) as connection:
            await Store(connection).announce(
                *(
                    events.session_ended(sid, user_id, reason, event_id=self._desk.new_id(), at=now)
                    for sid in sids
                )
            )

    async def _tell_started(self, started: StartedSession, why_ended: RevocationReason) -> None:
        session, now = started.session, self._desk.clock()
        created = events.session_created(session, event_id=self._desk.new_id(), at=now)
        ended = (
            events.session_ended(sid, session.user, why_ended, event_id=self._desk.new_id(), at=now)
            for sid in started.pushed_out
        )
        async with transaction(self._desk.pool) as connection:
            await Store(connection).announce(created, *ended)

    async def prove_second_factor(self, user: User, code: str | None) -> None:
        """Staff prove that they hold their authenticator; a code that has been used proves nothing."""
        if not user.is_staff:
            return
        if user.totp_generation == 0:
            raise SecondFactorMissing("Ask an administrator to enrol one.")
        if code is None:
            raise CodeRequired("Send the code of your authenticator.", field="code")
        secret = self._master.totp_secret(user.id, user.totp_generation)
        step = matching_step(secret, code, self._desk.clock())
        if step is None:
            raise BadCode("Check the clock of your authenticator.", field="code")
        async with transaction(self._desk.pool) as connection:
            fresh = await PeopleStore(connection).spend_totp_step(user, step)
        if not fresh:
            raise CodeUsed("Wait for the next code.", field="code")
