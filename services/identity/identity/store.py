"""Every SQL statement of identity, each beside its row mapping."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import asyncpg
from common.errors import DomainError
from common.outbox import announce
from common.pg import Connection, translate
from common.roles import Role
from contracts.envelope import Envelope

from identity.domain import AlreadyRegistered, Curp, Email, FullName, User, UserId


def _already_registered() -> DomainError:
    return AlreadyRegistered("Log in, or ask for help if you never registered.")


VIOLATIONS: Mapping[str, Callable[[], DomainError]] = {
    "users_email_is_unique": _already_registered,
    "users_curp_is_unique": _already_registered,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the password hash stored for them. Apart from User, which may be shown and logged."""

    user: User
    password_hash: str = field(repr=False)


class Store:
    """The statements over one connection; the caller holds the transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def add(self, user: User, password_hash: str) -> None:
        """Raises AlreadyRegistered when the CURP or the e-mail is taken, even a moment ago."""
        with translate(VIOLATIONS):
            await self._connection.execute(
                """
                INSERT INTO users
                    (id, email, full_name, curp, birth_date, role, password_hash, registered_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                user.id,
                user.email.value,
                user.full_name.value,
                user.curp.value,
                user.birth_date,
                user.role.value,
                password_hash,
                user.registered_at,
            )

    async def user(self, user_id: UserId) -> User | None:
        row = await self._connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        return None if row is None else _user(row)

    async def credentials(self, email: Email) -> Credentials | None:
        row = await self._connection.fetchrow("SELECT * FROM users WHERE email = $1", email.value)
        return None if row is None else Credentials(_user(row), row["password_hash"])

    async def password_hash(self, user_id: UserId) -> str | None:
        stored: str | None = await self._connection.fetchval(
            "SELECT password_hash FROM users WHERE id = $1", user_id
        )
        return stored

    async def replace_password_hash(self, known: Credentials, password_hash: str) -> None:
        """Store another hash of the same password, unless the hash was replaced since `known` was read."""
        await self._connection.execute(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            known.user.id,
            known.password_hash,
            password_hash,
        )

    async def announce(self, event: Envelope) -> None:
        """Let an event leave when this transaction commits."""
        await announce(self._connection, aggregate=event.partitionkey, version=event.sequence, envelope=event)


def _user(row: asyncpg.Record) -> User:
    return User(
        id=UserId(row["id"]),
        email=Email(row["email"]),
        full_name=FullName(row["full_name"]),
        curp=Curp(row["curp"]),
        birth_date=row["birth_date"],
        role=Role(row["role"]),
        registered_at=row["registered_at"],
    )
