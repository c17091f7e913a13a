"""`python -m tools.compose secrets | prepare`: the one-time jobs of `docker-compose.yml`.

`secrets` makes every password and key at random, and gives each container its own in a volume that nobody else
mounts. `prepare` makes roles, databases, tables, queues and API keys. Both may be repeated and change nothing then.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tools.stack import postgres, rabbitmq, redis, services
from tools.stack.description import describe
from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import make_keys, secret

VOLUMES: Final = Path("/run/el-carril")
"""In the jobs: a folder for each container's volume. In a container: its own."""
OURS: Final = "setup"
"""The volume of the jobs themselves, which hold every secret."""

PORTS: Final = {
    "postgres": 5432,
    "rabbitmq": 5672,
    "rabbitmq-management": 15672,
    "redis": 6379,
    "redis-cache": 6379,
}
SERVICE_PORT: Final = 8080

SECRET: Final = frozenset({"DATABASE_DSN", "AMQP_URL", "REDIS_URL", "BALANCE_CACHE_URL"})
"""Settings with a password in them: a container gets the name of a file instead."""


class ComposeLayout(Layout):
    """A stack in which every process has a host of its own, named like it."""

    @property
    def home(self) -> Path:
        return VOLUMES / OURS

    def host(self, process: str) -> str:
        return "rabbitmq" if process == "rabbitmq-management" else process

    def port(self, process: str) -> int:
        return PORTS.get(process, SERVICE_PORT)


def settings(spec: Spec) -> dict[str, str]:
    """A process's environment in its container: what is secret, or a file, lies in its own volume."""
    environment = {"SERVICE": spec.name, "HOST": "0.0.0.0", "PORT": str(SERVICE_PORT)}  # noqa: S104 - a container's own
    for name, value in spec.environment.items():
        if name in SECRET:
            environment[f"{name}_FILE"] = str(VOLUMES / name.lower())
        elif value.startswith("/"):
            environment[name] = str(VOLUMES / Path(value).name)
        else:
            environment.setdefault(name, value)
    return environment


def files(spec: Spec) -> dict[str, str]:
    """The files of a process's volume, by name, as far as they exist yet."""
    found = {name.lower(): value for name, value in spec.environment.items() if name in SECRET}
    paths = (Path(value) for value in spec.environment.values() if value.startswith("/"))
    return found | {path.name: path.read_text(encoding="utf-8") for path in paths if path.is_file()}


async def make_secrets(layout: Layout) -> None:
    """Fill every volume with what can be known before the servers run."""
    layout.make()
    await make_keys(layout)
    await describe(layout)
    _hand_out("postgres", {"password": secret(layout, "postgres")})
    for name in (redis.SESSIONS, redis.CACHE):
        _hand_out(name, {"redis.conf": redis.configuration(layout, name, Path("/data"), bind="* -::*")})
    _hand_out("rabbitmq", {"definitions.json": json.dumps(rabbitmq.access(layout)), "rabbitmq.conf": BROKER})
    for spec in services.specs(layout):
        _hand_out(spec.name, files(spec))


BROKER: Final = f"""\
definitions.import_backend = local_filesystem
definitions.local.path = {VOLUMES}/definitions.json
vm_memory_high_watermark.relative = 0.4
disk_free_limit.absolute = 200MB
"""


def _hand_out(container: str, texts: Mapping[str, str]) -> None:
    """Only that container mounts the folder, under whatever user its image runs: so any user may read it there."""
    for name, text in texts.items():
        path = VOLUMES / container / name
        path.write_text(text, encoding="utf-8")
        path.chmod(0o444)
    if container in ("rail", "psp"):
        shutil.chown(VOLUMES / container, 10001)  # it keeps its own log there


async def prepare(layout: Layout) -> None:
    """Make everything that the services find when they start."""
    await postgres.prepare(layout, keep_pristine=False)
    await rabbitmq.declare(layout)
    await services.make_ledger_keys(layout)
    for spec in services.specs(layout):
        _hand_out(spec.name, files(spec))


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.compose")
    parser.add_argument("job", choices=("secrets", "prepare"))
    layout = ComposeLayout("compose", 0)
    asyncio.run(make_secrets(layout) if parser.parse_args().job == "secrets" else prepare(layout))
    return 0


if __name__ == "__main__":
    sys.exit(main())
