"""A streaming replica of the private PostgreSQL, for what reads much: the ledger's reports.

Only a stack that stays up has one. In a throw-away one it would replay every write on the same two cores; the tests
that are about it make their own with `initialise` and `spec`.
"""

from __future__ import annotations

import shutil
import signal
from functools import partial
from pathlib import Path
from typing import Final

import asyncpg

from tools.stack import postgres
from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.running import output
from tools.stack.secrets import secret

NAME: Final = "postgres-replica"
ROLE: Final = "replicator"
SLOT: Final = "replica"

OPTIONS: Final = {
    **postgres.OPTIONS,
    "shared_buffers": "64MB",
    # A long report must not be cancelled because the primary has cleaned up behind it.
    "hot_standby_feedback": "on",
}


def data(layout: Layout) -> Path:
    primary = postgres.data(layout)
    return primary.with_name(f"{primary.name}-replica")


async def initialise(layout: Layout) -> None:
    """Copy the primary unless that was done before. The slot keeps the primary's log until the replica has it."""
    folder = data(layout)
    if (folder / "PG_VERSION").exists():
        return
    await _make_role(layout)
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(mode=0o700)
    postgres.give(half)
    source = f"host={layout.host('postgres')} port={layout.port('postgres')} user={ROLE}"
    command = [
        str(postgres.programs() / "pg_basebackup"), "-d", source, "-D", str(half), "-R", "-X", "stream",
        "-S", SLOT, "--checkpoint=fast",
    ]  # fmt: skip
    await output(
        *postgres.as_account(command), environment={"PGPASSWORD": secret(layout, ROLE)}, directory=Path("/")
    )
    half.rename(folder)


async def _make_role(layout: Layout) -> None:
    connection = await asyncpg.connect(postgres.superuser_dsn(layout))
    try:
        if not await connection.fetchval("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1)", ROLE):
            await connection.execute(f"CREATE ROLE {ROLE} LOGIN REPLICATION")
        await connection.execute(f"ALTER ROLE {ROLE} PASSWORD '{secret(layout, ROLE)}'")
        await connection.execute(
            "SELECT pg_create_physical_replication_slot($1) WHERE NOT EXISTS "
            "(SELECT FROM pg_replication_slots WHERE slot_name = $1)",
            SLOT,
        )
    finally:
        await connection.close()


async def forget(layout: Layout) -> None:
    """Let the primary go on without it; the replica is down."""
    connection = await asyncpg.connect(postgres.superuser_dsn(layout))
    try:
        await connection.execute(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = $1", SLOT
        )
    finally:
        await connection.close()
    shutil.rmtree(data(layout), ignore_errors=True)


def spec(layout: Layout) -> Spec:
    options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
    command = [str(postgres.programs() / "postgres"), "-D", str(data(layout)), "-p", str(layout.port(NAME))]
    return Spec(
        NAME,
        postgres.as_account([*command, *options]),
        {},
        ready=partial(postgres.answers, dsn(layout, "ledger_reader")),
        after=("replica-copy",),
        stop_signal=signal.SIGINT,
        directory=Path("/"),
    )


def dsn(layout: Layout, role: str) -> str:
    """How a login role reaches its own database's copy."""
    return postgres.dsn(layout, role).replace(layout.address("postgres"), layout.address(NAME))
