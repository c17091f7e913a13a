"""People, their documents and their past."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import asyncpg
from common.errors import DomainError
from common.pg import translate
from common.roles import Role

from identity.domain.approvals import ApprovalId
from identity.domain.documents import DocumentKind, DocumentTaken, HolderDocument
from identity.domain.people import AlreadyRegistered, Email, FullName, User, UserId
from identity.store.base import Store


def _already_registered() -> DomainError:
    return AlreadyRegistered("Log in, or ask for help if you never registered.")


def _taken() -> DomainError:
    return DocumentTaken("It is known already, or you have one of its kind.", field="value")


VIOLATIONS: Mapping[str, Callable[[], DomainError]] = {
    "users_email_is_unique": _already_registered,
    "holder_document_is_unique": _already_registered,
}
FURTHER_VIOLATIONS: Mapping[str, Callable[[], DomainError]] = {
    "holder_document_is_unique": _taken,
    "holder_document_pkey": _taken,
}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user and the password hash stored for them. Apart from User, which may be shown and logged."""

    user: User
    password_hash: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Formerly:
    """What somebody was called before a change."""

    version: int
    email: str
    full_name: str
    role: Role
    replaced_at: datetime


class PeopleStore(Store):
    """Rows of `users`, `holder_document` and `user_history`."""

    async def add(
        self,
        user: User,
        document: HolderDocument,
        password_hash: str,
        *,
        approval: ApprovalId | None = None,
    ) -> None:
        """`approval` is the request by which somebody becomes staff.

        Raises AlreadyRegistered when the document or the e-mail is taken, even a moment ago."""
        with translate(VIOLATIONS):
            await self._connection.execute(
                """
                INSERT INTO users (id, email, full_name, birth_date, role, password_hash, registered_at, totp_generation,
                                   approval)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
                """,
                user.id,
                user.email.value,
                user.full_name.value,
                user.birth_date,
                user.role.value,
                password_hash,
                user.registered_at,
                user.totp_generation,
                approval,
            )
            await self._add_document(user.id, document, user.registered_at)

    async def add_document(self, user_id: UserId, document: HolderDocument, *, at: datetime) -> None:
        """Raises DocumentTaken."""
        with translate(FURTHER_VIOLATIONS):
            await self._add_document(user_id, document, at)

    async def _add_document(self, user_id: UserId, document: HolderDocument, at: datetime) -> None:
        await self._connection.execute(
            "INSERT INTO holder_document (user_id, kind, value, added_at) VALUES ($1, $2, $3, $4)",
            user_id,
            document.kind.value,
            document.value,
            at,
        )

    async def documents(self, user_id: UserId) -> tuple[HolderDocument, ...]:
        """Somebody's documents, by kind."""
        rows = await self._connection.fetch(
            "SELECT kind, value FROM holder_document WHERE user_id = $1 ORDER BY kind", user_id
        )
        return tuple(HolderDocument(DocumentKind(row["kind"]), row["value"]) for row in rows)

    async def user(self, user_id: UserId) -> User | None:
        row = await self._connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        return None if row is None else _user(row)

    async def proof(self, user_id: UserId) -> int | None:
        """The version of what somebody proves themselves by; None of nobody."""
        proof: int | None = await self._connection.fetchval("SELECT proof FROM users WHERE id = $1", user_id)
        return proof

    async def user_for_update(self, user_id: UserId) -> User | None:
        """The user, locked: whoever changes somebody does so one after the other."""
        row = await self._connection.fetchrow("SELECT * FROM users WHERE id = $1 FOR UPDATE", user_id)
        return None if row is None else _user(row)

    async def save(self, user: User) -> None:
        """Write a changed user, one version on. Raises AlreadyRegistered when the new e-mail is taken."""
        with translate(VIOLATIONS):
            await self._connection.execute(
                """
                UPDATE users SET email = $2, full_name = $3, version = $4, email_verified_at = $5,
                       password_changed_at = $6, closed_at = $7, totp_generation = $8,
                       totp_last_step = CASE totp_generation WHEN $8 THEN totp_last_step ELSE 0 END
                WHERE id = $1
                """,
                user.id,
                user.email.value,
                user.full_name.value,
                user.version,
                user.email_verified_at,
                user.password_changed_at,
                user.closed_at,
                user.totp_generation,
            )

    async def save_role(self, user: User, *, approval: ApprovalId) -> None:
        """Write another role, with the request by which it was given."""
        await self._connection.execute(
            "UPDATE users SET role = $2, version = $3, approval = $4 WHERE id = $1",
            user.id,
            user.role.value,
            user.version,
            approval,
        )

    async def staff(self, after: UUID | None, *, limit: int) -> tuple[User, ...]:
        """At most so many of those who work here or did, by name, from after that one of them."""
        rows = await self._connection.fetch(
            """
            SELECT * FROM users
            WHERE role <> 'bettor'
              AND ($1::uuid IS NULL OR (full_name, id) > (SELECT full_name, id FROM users WHERE id = $1 AND role <> 'bettor'))
            ORDER BY full_name, id LIMIT $2
            """,
            after,
            limit,
        )
        return tuple(_user(row) for row in rows)

    async def history(self, user_id: UserId, after: int, *, limit: int) -> tuple[Formerly, ...]:
        """At most so many earlier states of somebody's account beyond a version, oldest first."""
        rows = await self._connection.fetch(
            "SELECT * FROM user_history WHERE user_id = $1 AND version > $2 ORDER BY version LIMIT $3",
            user_id,
            after,
            limit,
        )
        return tuple(
            Formerly(row["version"], row["email"], row["full_name"], Role(row["role"]), row["replaced_at"])
            for row in rows
        )

    async def credentials(self, email: Email) -> Credentials | None:
        row = await self._connection.fetchrow("SELECT * FROM users WHERE email = $1", email.value)
        return None if row is None else Credentials(_user(row), row["password_hash"])

    async def credentials_of(self, user_id: UserId) -> Credentials | None:
        row = await self._connection.fetchrow("SELECT * FROM users WHERE id = $1", user_id)
        return None if row is None else Credentials(_user(row), row["password_hash"])

    async def set_password_hash(self, user_id: UserId, password_hash: str) -> None:
        """Another password."""
        await self._connection.execute(
            "UPDATE users SET password_hash = $2 WHERE id = $1", user_id, password_hash
        )

    async def replace_password_hash(self, known: Credentials, password_hash: str) -> None:
        """Store another hash of the same password, unless the hash was replaced since `known` was read."""
        await self._connection.execute(
            "UPDATE users SET password_hash = $3 WHERE id = $1 AND password_hash = $2",
            known.user.id,
            known.password_hash,
            password_hash,
        )

    async def spend_totp_step(self, user: User, step: int) -> bool:
        """Use up a step of the second factor. False if that one or a later one has been used."""
        spent = await self._connection.fetchval(
            """
            UPDATE users SET totp_last_step = $3
            WHERE id = $1 AND totp_generation = $2 AND totp_last_step < $3 RETURNING true
            """,
            user.id,
            user.totp_generation,
            step,
        )
        return spent is True


def _user(row: asyncpg.Record) -> User:
    return User(
        id=UserId(row["id"]),
        email=Email(row["email"]),
        full_name=FullName(row["full_name"]),
        birth_date=row["birth_date"],
        role=Role(row["role"]),
        registered_at=row["registered_at"],
        version=row["version"],
        email_verified_at=row["email_verified_at"],
        password_changed_at=row["password_changed_at"],
        closed_at=row["closed_at"],
        totp_generation=row["totp_generation"],
        proof=row["proof"],
    )
