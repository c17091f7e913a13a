"""What somebody does with their own account: address, name, documents, closing it, taking their data along."""

from dataclasses import dataclass
from typing import Literal

from common.pg import transaction
from contracts.identity import RevocationReason

from identity import events
from identity.domain import people
from identity.domain.codes import MessageKind, Purpose
from identity.domain.devices import Device
from identity.domain.documents import HolderDocument, check_further_document
from identity.domain.people import Email, FullName, User, UserId
from identity.domain.play import PlayPolicy
from identity.service.access import Access
from identity.service.desk import Desk, locked
from identity.service.kyc import CaseWithEvidence, Kyc
from identity.service.messages import Codes
from identity.service.passwords import known_user
from identity.service.play import Play
from identity.sessions import Session
from identity.store.devices import DeviceStore
from identity.store.kyc import KycStore
from identity.store.people import Formerly, PeopleStore
from identity.store.play import PlayStore


@dataclass(frozen=True, slots=True)
class Export:
    """What identity knows about somebody. Of their history and devices the first page; the lists have the others."""

    user: User
    documents: tuple[HolderDocument, ...]
    history: tuple[Formerly, ...]
    devices: tuple[Device, ...]
    sessions: tuple[Session, ...]
    kyc: CaseWithEvidence | None
    play: PlayPolicy | None


class Profiles:
    """One's own account."""

    def __init__(self, desk: Desk, codes: Codes, kyc: Kyc, play: Play, access: Access) -> None:
        self._desk = desk
        self._codes = codes
        self._kyc = kyc
        self._play = play
        self._access = access

    async def change(self, user_id: UserId, *, email: Email | None, full_name: FullName | None) -> User:
        """Another address or name. The old address is told, the new one is sent a code.

        Raises AlreadyRegistered, AccountClosed, SessionEnded; RateLimited, LimiterUnavailable for another address.
        """
        if email is not None:
            async with transaction(self._desk.pool, readonly=True) as connection:
                known = await known_user(PeopleStore(connection), user_id)
            if email != known.email:
                await self._codes.admit(f"user:{user_id}", email.value)
        async with transaction(self._desk.pool) as connection:
            store, now = PeopleStore(connection), self._desk.clock()
            before = await locked(store, user_id)
            user = people.change_profile(before, email=email, full_name=full_name)
            if user == before:
                return user
            await store.save(user)
            fields: list[Literal["email", "full_name"]] = []
            if user.full_name != before.full_name:
                fields.append("full_name")
                await self._kyc.supersede(connection, user_id)
            if user.email != before.email:
                fields.append("email")
                await self._codes.tell(connection, MessageKind.EMAIL_CHANGED, before.email.value)
                await self._codes.send(connection, Purpose.EMAIL, user.email.value, user)
            await store.announce(events.profile_changed(user, fields, event_id=self._desk.new_id(), at=now))
        return user

    async def send_email_code(self, user_id: UserId) -> None:
        """Send a code to one's address. Raises SessionEnded, RateLimited, LimiterUnavailable."""
        await self._codes.admit(f"user:{user_id}")
        async with transaction(self._desk.pool) as connection:
            user = await locked(PeopleStore(connection), user_id)
            await self._codes.send(connection, Purpose.EMAIL, user.email.value, user)

    async def verify_email(self, user_id: UserId, code: str) -> User:
        """Show that messages to one's address arrive. Raises WrongCode, AccountClosed, SessionEnded."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            address = (await known_user(PeopleStore(connection), user_id)).email.value
        verification = await self._codes.check(address, Purpose.EMAIL, code)
        async with transaction(self._desk.pool) as connection:
            store, now = PeopleStore(connection), self._desk.clock()
            before = await locked(store, user_id)
            user = people.verify_email(before, now=now)
            await self._codes.spend(connection, before.email.value, user_id, Purpose.EMAIL, verification)
            await store.save(user)
            await store.announce(events.contact_verified(user, event_id=self._desk.new_id(), at=now))
        return user

    async def add_document(self, user_id: UserId, document: HolderDocument) -> tuple[HolderDocument, ...]:
        """A further document of one's own; gives all of them. The same one again changes nothing.

        Raises DocumentNotYours, DocumentTaken, AccountClosed, SessionEnded.
        """
        async with transaction(self._desk.pool) as connection:
            store, now = PeopleStore(connection), self._desk.clock()
            before = await locked(store, user_id)
            known = await store.documents(user_id)
            if document in known:
                return known
            check_further_document(document, born=before.birth_date)
            user = people.next_version(before)
            await store.add_document(user_id, document, at=now)
            await store.save(user)
            await store.announce(events.document_added(user, document, event_id=self._desk.new_id(), at=now))
            return await store.documents(user_id)

    async def close(self, user_id: UserId) -> User:
        """Close one's account: every session ends, nothing is staked or deposited any more.

        Money stays withdrawable: one may log in and sign for that.

        Raises AccountClosed, SessionEnded, SessionsUnavailable.
        """
        now = self._desk.clock()
        async with transaction(self._desk.pool, readonly=True) as connection:
            # Refused before any session is ended.
            people.close_account(await known_user(PeopleStore(connection), user_id), now=now)
        await self._access.revoke_all(user_id, RevocationReason.ACCOUNT_CLOSED)
        async with transaction(self._desk.pool) as connection:
            store = PeopleStore(connection)
            user = people.close_account(await locked(store, user_id), now=now)
            await store.save(user)
            await store.announce(events.account_closed(user, event_id=self._desk.new_id(), at=now))
            await self._codes.tell(connection, MessageKind.ACCOUNT_CLOSED, user.email.value)
            await self._play.block_for_good(connection, user_id)
        return user

    async def documents(self, user_id: UserId) -> tuple[HolderDocument, ...]:
        """One's documents, by kind."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await PeopleStore(connection).documents(user_id)

    async def history(self, user_id: UserId, after: int, *, limit: int) -> tuple[Formerly, ...]:
        """A page of what one was called before each change, beyond a version, oldest first."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await PeopleStore(connection).history(user_id, after, limit=limit)

    async def export(self, user_id: UserId, *, limit: int) -> Export:
        """What is known about one, as of one moment; of each list at most so many. Raises SessionEnded, SessionsUnavailable."""
        async with transaction(self._desk.pool, isolation="repeatable_read", readonly=True) as connection:
            store = PeopleStore(connection)
            user = await known_user(store, user_id)
            documents, history = await store.documents(user_id), await store.history(user_id, 0, limit=limit)
            devices = await DeviceStore(connection).devices(user_id, None, limit=limit)
            case = await KycStore(connection).latest(user_id)
            evidence = () if case is None else await KycStore(connection).evidence(case.id)
            play = await PlayStore(connection).policy(user_id)
        kyc = None if case is None else CaseWithEvidence(case, evidence)
        return Export(user, documents, history, devices, await self._access.sessions(user_id), kyc, play)
