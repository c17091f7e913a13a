"""The private RabbitMQ node: started without the distribution's wrapper, which forces a user and a home."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import aiohttp
from contracts import topology
from contracts.topology import VHOST, BrokerUser

from tools import topology as topology_tool
from tools.stack.layout import Layout
from tools.stack.process import Spec
from tools.stack.secrets import secret, write

ADMIN = "admin"


def server() -> Path:
    """The program itself. Raises `FileNotFoundError`."""
    found = sorted(Path("/usr/lib/rabbitmq/lib").glob("rabbitmq_server-*/sbin/rabbitmq-server"))
    if not found:
        raise FileNotFoundError("rabbitmq-server is not installed")
    return found[-1]


async def initialise(layout: Layout) -> None:
    """Write the node's configuration and its users."""
    home = layout.home / "rabbitmq"
    (home / "generated").mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    (home / "enabled_plugins").write_text("[rabbitmq_management].\n", encoding="utf-8")
    write(home / "definitions.json", json.dumps(access(layout)))
    (home / "rabbitmq.conf").write_text(
        f"listeners.tcp.default = 127.0.0.1:{layout.port('rabbitmq')}\n"
        "management.tcp.ip = 127.0.0.1\n"
        f"management.tcp.port = {layout.port('rabbitmq-management')}\n"
        f"definitions.import_backend = local_filesystem\ndefinitions.local.path = {home / 'definitions.json'}\n"
        "log.console = true\nlog.console.level = warning\nlog.file = false\n"
        "vm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 200MB\n",
        encoding="utf-8",
    )


def passwords(layout: Layout) -> dict[str, str]:
    """Every broker user's password, the operator's included."""
    return {
        name: secret(layout, f"rabbitmq-{name}") for name in (ADMIN, *(user.name for user in topology.USERS))
    }


def access(layout: Layout) -> dict[str, object]:
    """The vhost, the users and what each may do, and an operator for the management pages."""
    everyone = BrokerUser(ADMIN, configure=".*", write=".*", read=".*", topics={}, tags=("administrator",))
    return topology_tool.definitions(passwords(layout), (*topology.USERS, everyone))


def epmd(layout: Layout) -> Spec:
    """Erlang's port mapper, of this stack's own."""
    port = str(layout.port("epmd"))
    return Spec(
        "epmd",
        ["setpriv", "--pdeathsig", "TERM", "epmd", "-address", "127.0.0.1", "-port", port],
        {},
        ready=lambda: _listens(int(port)),
    )


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def node(home: Path, name: str, *, distribution_port: int, epmd_port: int) -> dict[str, str]:
    """The environment of a node of that name that keeps everything in its own folder."""
    return {
        "HOME": str(home),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_NODENAME": f"{name}@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_PID_FILE": str(home / "pid"),
        "RABBITMQ_DIST_PORT": str(distribution_port),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def spec(layout: Layout) -> Spec:
    environment = node(
        layout.home / "rabbitmq",
        layout.name,
        distribution_port=layout.port("rabbitmq-distribution"),
        epmd_port=layout.port("epmd"),
    )
    return Spec(
        "rabbitmq",
        ["setpriv", "--pdeathsig", "TERM", str(server())],
        environment,
        ready=lambda: _healthy(layout),
        after=("epmd", "broker-configuration"),
        own_group=True,
    )


async def _healthy(layout: Layout) -> bool:
    """Whether clients can connect. The virtual host is up some time before its listener is."""
    auth = aiohttp.BasicAuth(ADMIN, passwords(layout)[ADMIN])
    checks = f"{layout.url('rabbitmq-management')}/api/health/checks"
    url = f"{checks}/port-listener/{layout.port('rabbitmq')}"
    try:
        async with (
            aiohttp.ClientSession(auth=auth) as http,
            http.get(url, timeout=aiohttp.ClientTimeout(total=2)) as answer,
        ):
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def url(layout: Layout, user: str) -> str:
    return f"amqp://{user}:{passwords(layout)[user]}@{layout.address('rabbitmq')}/{VHOST}"


async def declare(layout: Layout) -> None:
    """Exchanges, queues and bindings; running it again changes nothing."""
    await topology_tool.declare(url(layout, "topology"))
