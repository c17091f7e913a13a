"""The private PostgreSQL cluster: its files, its roles and databases, its migrations."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
from pathlib import Path

import asyncpg

from tools.stack.layout import ROOT, Layout
from tools.stack.process import Spec
from tools.stack.secrets import secret

BIN = Path("/usr/lib/postgresql/15/bin")
SERVICES = ("ledger", "betting", "identity", "payments")
ROLES = {
    "ledger": (
        "ledger_migrator",
        "ledger_posting",
        "ledger_receipts",
        "ledger_keys",
        "ledger_reader",
        "ledger_relay",
    ),
    "betting": ("betting_migrator", "betting_app", "betting_relay"),
    "identity": ("identity_migrator", "identity_app", "identity_relay"),
    "payments": ("payments_migrator", "payments_app", "payments_attestor", "payments_relay"),
}
"""Login roles by database."""

OPTIONS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
}
"""fsync, synchronous_commit and full_page_writes stay on: what is measured and tested is durable."""


def as_unprivileged(command: list[str]) -> list[str]:
    """PostgreSQL refuses to run as root; then it runs as nobody."""
    if os.getuid() != 0:
        return ["setpriv", "--pdeathsig", "INT", *command]
    return ["setpriv", "--pdeathsig", "INT", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *command]


def data(layout: Layout) -> Path:
    """The cluster's folder. As root it lies where nobody may go: a checkout may be in root's home."""
    if os.getuid() == 0:
        return Path("/var/tmp") / f"el-carril-{layout.name}" / "postgres"  # noqa: S108
    return layout.home / "postgres"


def initialise(layout: Layout) -> None:
    """Make the cluster unless it is there."""
    folder = data(layout)
    if (folder / "PG_VERSION").exists():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    if os.getuid() == 0:
        folder.parent.chmod(0o755)
        folder.mkdir(exist_ok=True)
        shutil.chown(folder, "nobody", "nogroup")
    password = folder.parent / "superuser.password"
    password.write_text(secret(layout, "postgres"), encoding="utf-8")
    if os.getuid() == 0:
        shutil.chown(password, "nobody", "nogroup")
    command = [str(BIN / "initdb"), "-D", str(folder), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
               "--auth=scram-sha-256", f"--pwfile={password}"]  # fmt: skip
    subprocess.run(as_unprivileged(command), check=True, stdout=subprocess.DEVNULL, cwd="/")
    password.unlink()


def remove(layout: Layout) -> None:
    """Delete the cluster."""
    shutil.rmtree(data(layout), ignore_errors=True)


def spec(layout: Layout) -> Spec:
    """The server in the foreground, so that the supervisor reaps it."""
    options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
    command = [str(BIN / "postgres"), "-D", str(data(layout)), "-p", str(layout.port("postgres")), *options]
    return Spec(
        "postgres",
        as_unprivileged(command),
        {},
        ready=lambda: _answers(layout),
        stop_signal=signal.SIGINT,
        directory=Path("/"),
    )


async def _answers(layout: Layout) -> bool:
    try:
        connection = await asyncpg.connect(superuser_dsn(layout), timeout=2)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True


def superuser_dsn(layout: Layout) -> str:
    return f"postgresql://postgres:{secret(layout, 'postgres')}@127.0.0.1:{layout.port('postgres')}/postgres"


def dsn(layout: Layout, role: str) -> str:
    """How a login role reaches its own database."""
    database = role.partition("_")[0]
    return f"postgresql://{role}:{secret(layout, role)}@127.0.0.1:{layout.port('postgres')}/{database}"


def dsns(layout: Layout) -> dict[str, str]:
    return {role: dsn(layout, role) for roles in ROLES.values() for role in roles}


async def provision(layout: Layout) -> None:
    """Roles and databases; running it again changes nothing."""
    variables = [f"-v{role}={secret(layout, role)}" for roles in ROLES.values() for role in roles]
    await _checked(
        "psql", "-qX", "-v", "ON_ERROR_STOP=1", *variables, "-f", str(ROOT / "deploy/postgres/provision.sql"),
        superuser_dsn(layout),
    )  # fmt: skip


async def migrate(layout: Layout) -> None:
    """Every service's migrations, each by its own migrator."""
    for service in SERVICES:
        folder = ROOT / "services" / service / "migrations"
        if folder.is_dir():
            await _checked(
                str(ROOT / ".venv/bin/dbmate"), "--no-dump-schema", "--migrations-dir", str(folder), "--url",
                f"{dsn(layout, f'{service}_migrator')}?sslmode=disable", "up", "--strict",
            )  # fmt: skip


async def keep_pristine(layout: Layout) -> None:
    """Copy every migrated, still empty database before a service touches it: tests take theirs from the copies."""
    connection = await asyncpg.connect(superuser_dsn(layout))
    try:
        for service in SERVICES:
            await connection.execute(
                f'CREATE DATABASE "{service}_pristine" TEMPLATE "{service}" ALLOW_CONNECTIONS false'
            )
    finally:
        await connection.close()


async def _checked(*command: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    told, _ = await process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"{Path(command[0]).name} failed:\n{told.decode()[-3000:]}")
