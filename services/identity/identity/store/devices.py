"""Devices."""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg

from identity.domain.devices import Device, DeviceId, DeviceName
from identity.domain.people import UserId
from identity.store.base import Store


@dataclass(frozen=True, slots=True)
class DevicePlace:
    """Where a page of devices ended."""

    enrolled_at: datetime
    id: UUID


class DeviceStore(Store):
    """Rows of `device`. Whoever adds or revokes holds the lock on the owner's row of `users`."""

    async def add(self, device: Device) -> None:
        await self._connection.execute(
            "INSERT INTO device (id, user_id, name, enrolled_at) VALUES ($1, $2, $3, $4)",
            device.id,
            device.user,
            device.name.value,
            device.enrolled_at,
        )

    async def device(self, device_id: DeviceId) -> Device | None:
        row = await self._connection.fetchrow("SELECT * FROM device WHERE id = $1", device_id)
        return None if row is None else _device(row)

    async def live(self, user_id: UserId) -> tuple[Device, ...]:
        """Those of somebody's that have not been revoked; there are few."""
        rows = await self._connection.fetch(
            "SELECT * FROM device WHERE user_id = $1 AND revoked_at IS NULL ORDER BY enrolled_at, id", user_id
        )
        return tuple(_device(row) for row in rows)

    async def devices(self, user_id: UserId, after: DevicePlace | None, *, limit: int) -> tuple[Device, ...]:
        """At most so many of somebody's beyond that place, revoked ones too, newest first."""
        enrolled_at, device_id = (None, None) if after is None else (after.enrolled_at, after.id)
        rows = await self._connection.fetch(
            """
            SELECT * FROM device WHERE user_id = $1 AND ($2::timestamptz IS NULL OR (enrolled_at, id) < ($2, $3::uuid))
            ORDER BY enrolled_at DESC, id DESC LIMIT $4
            """,
            user_id,
            enrolled_at,
            device_id,
            limit,
        )
        return tuple(_device(row) for row in rows)

    async def revoke(self, device_id: DeviceId, *, at: datetime) -> bool:
        """Whether it was live."""
        revoked = await self._connection.fetchval(
            "UPDATE device SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING true",
            device_id,
            at,
        )
        return revoked is True


def _device(row: asyncpg.Record) -> Device:
    return Device(
        id=DeviceId(row["id"]),
        user=UserId(row["user_id"]),
        name=DeviceName(row["name"]),
        enrolled_at=row["enrolled_at"],
        revoked_at=row["revoked_at"],
    )
