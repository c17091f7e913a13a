"""Devices: enrolled by their owner, revoked by their owner, and looked up by the gateway to verify signatures."""

from collections.abc import Callable
from uuid import UUID

from common.idempotency import Answer, once
from common.pg import Connection, transaction

from identity import events
from identity.derived import MasterKey
from identity.domain.devices import (
    Device,
    DeviceId,
    DeviceName,
    NoSuchDevice,
    check_another_device,
    check_signer,
)
from identity.domain.people import AccountClosed, UserId
from identity.service.desk import Desk, locked
from identity.store.devices import DevicePlace, DeviceStore
from identity.store.people import PeopleStore


class Devices:
    """What signs money calls."""

    def __init__(self, desk: Desk, master: MasterKey) -> None:
        self._desk = desk
        self._master = master

    async def enrol(
        self,
        user_id: UserId,
        name: DeviceName,
        *,
        key: str,
        fingerprint: bytes,
        show: Callable[[Device], Answer],
    ) -> Answer:
        """Enrol a device, once per key; `show` words the answer, without the device's own key.

        That one is derived anew for a replay, so it is stored nowhere. Raises AccountClosed, SessionEnded, KeyReused.
        TooManyDevices is a decision: it comes back as a stored answer.
        """
        async with transaction(self._desk.pool) as connection:
            return await once(
                connection,
                principal=str(user_id),
                key=key,
                fingerprint=fingerprint,
                work=lambda: self._enrol(connection, user_id, name, show),
            )

    async def devices(self, user_id: UserId, after: DevicePlace | None, *, limit: int) -> tuple[Device, ...]:
        """A page of somebody's, revoked ones too, newest first."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            return await DeviceStore(connection).devices(user_id, after, limit=limit)

    async def revoke(self, user_id: UserId, device_id: DeviceId) -> None:
        """Revoke one's own device; again changes nothing. Raises NoSuchDevice, also for somebody else's."""
        async with transaction(self._desk.pool) as connection:
            await locked(PeopleStore(connection), user_id)
            store = DeviceStore(connection)
            device = await store.device(device_id)
            if device is None or device.user != user_id:
                raise NoSuchDevice("You have no such device.")
            await self._revoke(store, device)

    async def revoke_all(self, connection: Connection, user_id: UserId) -> None:
        """Revoke all of somebody's, in the caller's transaction, which holds the lock on their row."""
        store = DeviceStore(connection)
        for device in await store.live(user_id):
            await self._revoke(store, device)

    async def signing_key(self, user_id: UserId, device_id: DeviceId) -> bytes:
        """What a device of that person signs with. Raises DeviceNotYours, DeviceRevoked."""
        async with transaction(self._desk.pool, readonly=True) as connection:
            device = await DeviceStore(connection).device(device_id)
        return self.secret_of(check_signer(device, user_id).id)

    def secret_of(self, device_id: UUID) -> bytes:
        return self._master.device_key(device_id)

    async def _enrol(
        self,
        connection: Connection,
        user_id: UserId,
        name: DeviceName,
        show: Callable[[Device], Answer],
    ) -> Answer:
        user = await locked(PeopleStore(connection), user_id)
        if user.closed_at is not None:
            raise AccountClosed("A closed account gets no new devices.")
        store = DeviceStore(connection)
        check_another_device(len(await store.live(user_id)))
        device = Device(DeviceId(self._desk.new_id()), user_id, name, enrolled_at=self._desk.clock())
        await store.add(device)
        await store.announce(events.device_enrolled(device, event_id=self._desk.new_id()))
        return show(device)

    async def _revoke(self, store: DeviceStore, device: Device) -> None:
        now = self._desk.clock()
        if await store.revoke(device.id, at=now):
            await store.announce(events.device_revoked(device, event_id=self._desk.new_id(), at=now))
