"""Changing a password, and setting one anew after it was forgotten. Either ends the other sessions."""

from typing import Literal
from uuid import UUID

from common.pg import Connection, transaction
from contracts.identity import RevocationReason

from identity import events
from identity.domain import people
from identity.domain.codes import MessageKind, Purpose, WrongCode
from identity.domain.passwords import check_new_password, normal_form
from identity.domain.people import Email, InvalidEmail, User, UserId
from identity.passwords import Passwords, breached_passwords
from identity.service.access import Access
from identity.service.desk import Desk, locked
from identity.service.messages import Codes
from identity.sessions import StartedSession
from identity.store.people import PeopleStore


class PasswordDesk:
    """What people do with their own password."""

    def __init__(
        self,
        desk: Desk,
        passwords: Passwords,
        codes: Codes,
        access: Access,
    ) -> None:
        self._desk = desk
        self._passwords = passwords
        self._codes = codes
        self._access = access

    async def change(self, user_id: UserId, sid: UUID, password: str) -> StartedSession:
        """Another password; the session goes on under a fresh secret, all others end.

        Raises WeakPassword, HashingBusy, SessionEnded, SessionsUnavailable.
        """
        password_hash = await self._new_hash(user_id, password)
        # Before as well: should we die in between, the gateways have heard of the sessions there were.
        await self._access.revoke_all(user_id, RevocationReason.PASSWORD_CHANGED, but=sid)
        async with transaction(self._desk.pool) as connection:
            proof = await self._set(connection, user_id, password_hash, "changed")
        await self._access.revoke_all(user_id, RevocationReason.PASSWORD_CHANGED, but=sid)
        return await self._access.renew(user_id, sid, proof)

    async def forgot(self, email: str) -> None:
        """Send a code to whoever has the address. Nothing tells whether somebody does.

        Raises RateLimited, LimiterUnavailable.
        """
        await self._codes.admit(email)
        address = _address(email)
        async with transaction(self._desk.pool) as connection:
            known = None if address is None else await PeopleStore(connection).credentials(address)
            await self._codes.send(
                connection, Purpose.PASSWORD_RESET, email, None if known is None else known.user
            )

    async def reset(self, email: str, code: str, password: str, second_factor: str | None) -> None:
        """Set a password with a code; every session ends.

        Raises WrongCode (one answer for whatever is wrong with address or code), WeakPassword, HashingBusy,
        RateLimited; for staff CodeRequired, BadCode, CodeUsed.
        """
        await self._access.admit_attempt(email)
        address = _address(email)
        async with transaction(self._desk.pool, readonly=True) as connection:
            known = None if address is None else await PeopleStore(connection).credentials(address)
        verification = await self._codes.check(email, Purpose.PASSWORD_RESET, code)
        if known is None:
            raise WrongCode
        password_hash = await self._new_hash(known.user.id, password)
        await self._access.prove_second_factor(known.user, second_factor)
        await self._access.revoke_all(known.user.id, RevocationReason.PASSWORD_CHANGED)
        async with transaction(self._desk.pool) as connection:
            await self._codes.spend(connection, email, known.user.id, Purpose.PASSWORD_RESET, verification)
            await self._set(connection, known.user.id, password_hash, "reset")
        await self._access.revoke_all(known.user.id, RevocationReason.PASSWORD_CHANGED)

    async def _new_hash(self, user_id: UserId, password: str) -> str:
        return await new_password_hash(self._desk, self._passwords, user_id, password)

    async def _set(
        self, connection: Connection, user_id: UserId, password_hash: str, how: Literal["changed", "reset"]
    ) -> int:
        """Gives the version of proof that this made."""
        store, now = PeopleStore(connection), self._desk.clock()
        user = people.change_password(await locked(store, user_id), now=now)
        await store.save(user)
        await store.set_password_hash(user_id, password_hash)
        await store.announce(events.password_changed(user, how, event_id=self._desk.new_id(), at=now))
        await self._codes.tell(connection, MessageKind.PASSWORD_CHANGED, user.email.value)
        return (await locked(store, user_id)).proof


async def new_password_hash(desk: Desk, passwords: Passwords, user_id: UserId, password: str) -> str:
    """The hash of a password that somebody may have. Raises WeakPassword, HashingBusy, SessionEnded."""
    async with transaction(desk.pool, readonly=True) as connection:
        store = PeopleStore(connection)
        user = await known_user(store, user_id)
        documents = {document.value.lower() for document in await store.documents(user_id)}
    password = normal_form(password)
    check_new_password(
        password,
        email=user.email,
        full_name=user.full_name,
        documents=documents,
        breached=breached_passwords(),
    )
    return await passwords.hash(password)


async def known_user(store: PeopleStore, user_id: UserId) -> User:
    """The user, for a look only. Raises SessionEnded."""
    user = await store.user(user_id)
    if user is None:
        raise people.SessionEnded("The session's user does not exist.")
    return user


def _address(email: str) -> Email | None:
    try:
        return Email.parse(email)
    except InvalidEmail:
        return None
