"""For tests: the running stack, and databases of one's own on it.

`python -m tools.stack` writes a JSON file and names it in `EL_CARRIL_STACK`; without it there is no
stack and the tests that need one fail, they are not skipped.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from pydantic import BaseModel, ConfigDict
from tenacity import AsyncRetrying, retry_if_exception_type, stop_after_delay, wait_random

VARIABLE: Final = "EL_CARRIL_STACK"
TEMPLATE_WAIT_SECONDS: Final = 20.0
"""How long to wait for others to leave the database that is copied."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class PostgresPart(_Part):
    """Where the stack's PostgreSQL is."""

    host: str
    port: int
    superuser_dsn: str


class RabbitPart(_Part):
    """Where the stack's RabbitMQ is, and its users' passwords."""

    host: str
    port: int
    management: int
    vhost: str
    users: Mapping[str, str]

    def url(self, user: str) -> str:
        """That user's AMQP URL."""
        return f"amqp://{user}:{self.users[user]}@{self.host}:{self.port}/{self.vhost}"


class Stack(_Part):
    """A running stack, as `python -m tools.stack` describes it."""

    base: int
    postgres: PostgresPart
    dsn: Mapping[str, str]
    rabbitmq: RabbitPart
    redis_url: str
    redis_cache_url: str
    urls: Mapping[str, str]
    secrets_dir: Path
    log_dir: Path
    control: str


@dataclass(frozen=True, slots=True)
class Database:
    """A throw-away copy of a service's database, with the same owner, privileges and role settings."""

    name: str
    superuser_dsn: str
    dsns: Mapping[str, str]

    def dsn(self, role: str) -> str:
        """How that login role connects to the copy."""
        return self.dsns[role]


def examples(usual: int) -> int:
    """How many examples a test of random input tries: so many, or `THOROUGH` times as many (`make thorough`)."""
    return usual * int(os.environ.get("THOROUGH", "1"))


def stack() -> Stack:
    """The stack the tests run on. Raises `LookupError` when there is none."""
    path = os.environ.get(VARIABLE)
    if path is None:
        raise LookupError(f"{VARIABLE} is not set: run the tests by `make test`, or start a stack first")
    return Stack.model_validate_json(Path(path).read_bytes())


@asynccontextmanager
async def fresh_database(service: str, *, like: Database | None = None) -> AsyncIterator[Database]:
    """As `copy_database`; dropped on exit."""
    made = _named(service)
    try:
        await _copy(made, service, like)
        yield made
    finally:
        await drop_database(made)


async def copy_database(service: str, *, like: Database | None = None) -> Database:
    """A copy of the service's migrated, still empty database, or of `like`, to which nobody may be connected.

    The caller drops it.
    """
    made = _named(service)
    await _copy(made, service, like)
    return made


async def drop_database(database: Database) -> None:
    """At once: pages that were never written need not be then. Connects anew: a test may have killed the server."""
    async with _administrator() as admin:
        await admin.execute(f'DROP DATABASE IF EXISTS "{database.name}" WITH (FORCE)')


def _named(service: str) -> Database:
    running = stack()
    name = f"{service}_test_{uuid4().hex[:12]}"
    return Database(
        name=name,
        superuser_dsn=in_database(running.postgres.superuser_dsn, name),
        dsns={role: in_database(dsn, name) for role, dsn in running.dsn.items() if _is_of(role, service)},
    )


@asynccontextmanager
async def _administrator() -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    admin = await asyncpg.connect(stack().postgres.superuser_dsn)
    try:
        yield admin
    finally:
        await admin.close()


def _is_of(role: str, service: str) -> bool:
    return role.startswith(f"{service}_")


def in_database(dsn: str, name: str) -> str:
    """The same login, in another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


async def _copy(made: Database, service: str, like: Database | None) -> None:
    """Copy tables and data by template; what belongs to the database itself needs copying by hand.

    A throw-away stack keeps pristine copies to take from, since a database cannot be copied while
    somebody is connected to it. On another stack this waits a while for the services to leave.
    """
    pristine = f"{service}_pristine"
    retrying = AsyncRetrying(
        retry=retry_if_exception_type(asyncpg.ObjectInUseError),
        stop=stop_after_delay(TEMPLATE_WAIT_SECONDS),
        wait=wait_random(0.05, 0.3),
        reraise=True,
    )
    async with _administrator() as admin:
        kept = await admin.fetchval("SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", pristine)
        template = like.name if like else pristine if kept else service
        create = f'CREATE DATABASE "{made.name}" TEMPLATE "{template}" OWNER "{service}_owner"'
        await retrying(admin.execute, create)
        statements = await admin.fetch(_PRIVILEGES_AND_SETTINGS, service, made.name)
        await admin.execute(";".join(row[0] for row in statements))  # one transaction: one wait for the disk


_PRIVILEGES_AND_SETTINGS = """
    SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', $2::text)
    UNION ALL
    SELECT format('GRANT %s ON DATABASE %I TO %s', acl.privilege_type, $2::text,
                  CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(acl.grantee)) END)
    FROM pg_database AS d, aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) AS acl
    WHERE d.datname = $1
    UNION ALL
    SELECT CASE s.setrole
           WHEN 0 THEN format('ALTER DATABASE %I SET %s = %L', $2::text, split_part(setting, '=', 1),
                              substr(setting, strpos(setting, '=') + 1))
           ELSE format('ALTER ROLE %I IN DATABASE %I SET %s = %L', pg_get_userbyid(s.setrole), $2::text,
                       split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)) END
    FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase, unnest(s.setconfig) AS setting
    WHERE d.datname = $1
"""
