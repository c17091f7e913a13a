"""The private PostgreSQL cluster: its files, its roles and databases, its migrations."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import tempfile
from pathlib import Path
from typing import Final

import asyncpg

from tools.stack.layout import ROOT, Layout
from tools.stack.process import Spec
from tools.stack.running import DBMATE, output
from tools.stack.secrets import badge_key, secret

SERVICES: Final = ("ledger", "betting", "identity", "payments")
ROLES: Final = {
    "ledger": (
        "ledger_migrator",
        "ledger_posting",
        "ledger_receipts",
        "ledger_keys",
        "ledger_reader",
        "ledger_sealer",
        "ledger_closer",
        "ledger_relay",
    ),
    "betting": ("betting_migrator", "betting_app", "betting_relay"),
    "identity": ("identity_migrator", "identity_app", "identity_operator", "identity_relay"),
    "payments": ("payments_migrator", "payments_app", "payments_attestor", "payments_relay"),
}
"""Login roles by database."""

OPTIONS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "1GB",  # taken as it is used; the indexes of five million postings fit
    "password_encryption": "scram-sha-256",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "min_wal_size": "1GB",  # files are kept and used again: making one holds up every commit (docs/adr/0081)
    "max_wal_size": "4GB",
    "max_slot_wal_keep_size": "1GB",  # a replica that stays away must not fill the disk
    "jit": "off",  # our statements are short: compiling one takes longer than running it
}
"""fsync, synchronous_commit and full_page_writes stay on: what is measured and tested is durable."""


def programs() -> Path:
    """The folder of the newest PostgreSQL of this machine. Raises `FileNotFoundError`."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise FileNotFoundError("PostgreSQL is not installed")
    return found[-1].parent


def _account() -> pwd.struct_passwd | None:
    """PostgreSQL refuses to run as root; then it runs as the account that Debian's package made for it."""
    return pwd.getpwnam("postgres") if os.getuid() == 0 else None


def give(path: Path) -> None:
    """Let the account under which PostgreSQL runs own it."""
    account = _account()
    if account:
        os.chown(path, account.pw_uid, account.pw_gid)


def as_account(command: list[str]) -> list[str]:
    account = _account()
    change = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"] if account else []
    return ["setpriv", "--pdeathsig", "INT", *change, *command]


def data(layout: Layout) -> Path:
    """The cluster's folder: with the rest, unless that is in a place only root may enter, such as its home."""
    if _account() is None or all(parent.stat().st_mode & 0o001 for parent in layout.home.parents):
        return layout.home / "postgres"
    # Named by a secret of this stack: when the stack is forgotten, what lies there is no part of the next one.
    return Path("/var/tmp") / f"el-carril-{secret(layout, 'cluster')[:12]}"  # noqa: S108 - the name cannot be guessed


async def initialise(layout: Layout) -> None:
    """Make the cluster unless it is there."""
    folder = data(layout)
    if (folder / "PG_VERSION").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir()
    with tempfile.NamedTemporaryFile("w") as password:
        password.write(secret(layout, "postgres"))
        password.flush()
        give(half)
        give(Path(password.name))
        command = [str(programs() / "initdb"), "-D", str(half), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8",
                   "--auth=scram-sha-256", f"--pwfile={password.name}"]  # fmt: skip
        await output(*as_account(command), directory=Path("/"))
    half.rename(folder)


def remove(layout: Layout) -> None:
    """Delete the cluster, and its replica's."""
    shutil.rmtree(data(layout), ignore_errors=True)
    shutil.rmtree(data(layout).with_name(f"{data(layout).name}-replica"), ignore_errors=True)


def spec(layout: Layout) -> Spec:
    """The server in the foreground, so that the supervisor reaps it: else a killed one's lock file stays."""
    options = [f"-c{name}={value}" for name, value in OPTIONS.items()]
    command = [str(programs() / "postgres"), "-D", str(data(layout)), "-p", str(layout.port("postgres"))]
    return Spec(
        "postgres",
        as_account([*command, *options]),
        {},
        ready=lambda: answers(superuser_dsn(layout)),
        after=("cluster",),
        stop_signal=signal.SIGINT,
        directory=Path("/"),
    )


async def answers(address: str) -> bool:
    """Whether one can connect there."""
    try:
        connection = await asyncpg.connect(address, timeout=2)
    except (OSError, asyncpg.PostgresError, TimeoutError):
        return False
    await connection.close()
    return True


def superuser_dsn(layout: Layout) -> str:
    return f"postgresql://postgres:{secret(layout, 'postgres')}@{layout.address('postgres')}/postgres"


def dsn(layout: Layout, role: str) -> str:
    """How a login role reaches its own database."""
    database = role.partition("_")[0]
    return f"postgresql://{role}:{secret(layout, role)}@{layout.address('postgres')}/{database}"


def dsns(layout: Layout) -> dict[str, str]:
    return {role: dsn(layout, role) for roles in ROLES.values() for role in roles}


async def prepare(layout: Layout, *, keep_pristine: bool) -> None:
    """Roles, databases, migrations, the key of badges; then for tests a copy of each database as no service has touched
    it yet."""
    await provision(layout)
    await migrate(layout)
    await give_badge_keys(layout, badge_key(layout).read_text(encoding="ascii").strip())
    if keep_pristine:
        await _copy_pristine(layout)


async def provision(layout: Layout) -> None:
    """Roles and databases; running it again changes nothing."""
    passwords = [f"\\set {role} {secret(layout, role)}" for roles in ROLES.values() for role in roles]
    script = ROOT / "deploy" / "postgres" / "provision.sql"
    await output(
        "psql", "-qX", "-v", "ON_ERROR_STOP=1",
        environment=client(layout, "postgres", "postgres"), given="\n".join([*passwords, f"\\i '{script}'\n"]),
    )  # fmt: skip


async def give_badge_keys(layout: Layout, *keys: str) -> None:
    """Exactly these, as identity's file has them, are good for badges in betting's database from here on."""
    script = ROOT / "deploy" / "postgres" / "badge_keys.sql"
    await output(
        "psql", "-qX", "-v", "ON_ERROR_STOP=1",
        environment=client(layout, "betting_migrator", "betting"),
        given=f"\\set badge_keys '{' '.join(keys)}'\n\\i '{script}'\n",
    )  # fmt: skip


def client(layout: Layout, role: str, database: str) -> dict[str, str]:
    """The environment in which psql and pg_dump connect so."""
    return {
        "PGHOST": layout.host("postgres"),
        "PGPORT": str(layout.port("postgres")),
        "PGUSER": role,
        "PGPASSWORD": secret(layout, role),
        "PGDATABASE": database,
    }


async def migrate(layout: Layout) -> None:
    """Every service's migrations, each by its own migrator."""
    for service in SERVICES:
        folder = ROOT / "services" / service / "migrations"
        await output(
            DBMATE, "--no-dump-schema", "--migrations-dir", folder, "up", "--strict",
            environment={"DATABASE_URL": f"{dsn(layout, f'{service}_migrator')}?sslmode=disable"},
        )  # fmt: skip


async def _copy_pristine(layout: Layout) -> None:
    connection = await asyncpg.connect(superuser_dsn(layout))
    try:
        for service in SERVICES:
            await connection.execute(
                f'CREATE DATABASE "{service}_pristine" TEMPLATE "{service}" ALLOW_CONNECTIONS false'
            )
    finally:
        await connection.close()
