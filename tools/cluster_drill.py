"""`python -m tools.cluster_drill`: three RabbitMQ nodes on loopback, one killed while a relay publishes.

Run it on a throw-away stack's servers (`tools.stack with --infra-only -- …`): the outbox is in that PostgreSQL,
the cluster is this script's own. The relay is a process behind `tools.proxy`, which plays the load balancer: when
its node is killed, it leads to a survivor. Exit status 0 when every committed event has arrived, in order.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from uuid import uuid4

import aio_pika
import aiohttp
import asyncpg
from aio_pika.abc import AbstractIncomingMessage
from common.amqp import Link
from common.amqp.declare import declare_exchange, declare_work_queue
from common.testing import fresh_database

from tools.proxy import Proxy
from tools.stack.layout import BLOCK, DEFAULT_BASE, claimed_base
from tools.stack.rabbitmq import node, server

NODES: Final = ("one", "two", "three")
EPMD, AMQP, DISTRIBUTION, RELAY = 0, 10, 20, 30
"""Offsets of the ports within a block."""
FORMING_SECONDS: Final = 120.0
AGGREGATES: Final = 50
Metrics = Callable[[], Awaitable[dict[str, float]]]

USER, PASSWORD = "guest", "guest"

WRITE = """
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT (hashtextextended(aggregate, 0) & 15)::smallint, gen_random_uuid(), $1, 'it', aggregate, number,
           jsonb_build_object('number', number, 'aggregate', aggregate)
    FROM (SELECT number, 'markets/' || number % $2 AS aggregate FROM generate_series($3::bigint, $4::bigint) AS number) AS n
    ORDER BY number
"""


@dataclass(slots=True)
class Cluster:
    """Three nodes, each with its folder, and their common port mapper."""

    base: int
    home: Path
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)

    def port(self, name: str) -> int:
        return self.base + AMQP + NODES.index(name)

    def url(self, name: str) -> str:
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port(name)}/"

    async def form(self) -> None:
        """Start all and wait until each has seen the two others. Raises `TimeoutError`."""
        for name in NODES:
            self._configure(name)
            await self._start(name)
            await self._listens(name)
        async with asyncio.timeout(FORMING_SECONDS):
            while len(await self._running()) < len(NODES):
                await asyncio.sleep(1)

    async def kill(self, name: str) -> None:
        """At once, with everything it started."""
        process = self.processes.pop(name)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()

    async def end(self) -> None:
        for name in tuple(self.processes):
            await self.kill(name)

    def _environment(self, name: str) -> dict[str, str]:
        distribution = self.base + DISTRIBUTION + NODES.index(name)
        home = self.home / name
        return {
            **os.environ,
            **node(home, f"{name}-{self.base}", distribution_port=distribution, epmd_port=self.base + EPMD),
        }

    def _configure(self, name: str) -> None:
        home = self.home / name
        (home / "generated").mkdir(parents=True)
        (home / "enabled_plugins").write_text("[].\n", encoding="utf-8")
        cookie = home / ".erlang.cookie"
        cookie.write_text(f"DRILL{self.base}", encoding="utf-8")
        cookie.chmod(0o400)
        known = "".join(
            f"cluster_formation.classic_config.nodes.{number} = {each}-{self.base}@localhost\n"
            for number, each in enumerate(NODES, 1)
        )
        (home / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port(name)}\n"
            f"cluster_formation.peer_discovery_backend = classic_config\n{known}"
            "cluster_partition_handling = pause_minority\n"
            "log.console = true\nlog.console.level = warning\nlog.file = false\n"
            "vm_memory_high_watermark.relative = 0.4\ndisk_free_limit.absolute = 200MB\n",
            encoding="utf-8",
        )

    async def _start(self, name: str) -> None:
        with (self.home / f"{name}.log").open("ab") as log:
            self.processes[name] = await asyncio.create_subprocess_exec(
                "setpriv", "--pdeathsig", "KILL", str(server()),
                env=self._environment(name), cwd=self.home, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    async def start_port_mapper(self) -> None:
        self.processes["epmd"] = await asyncio.create_subprocess_exec(
            "setpriv", "--pdeathsig", "KILL", "epmd", "-address", "127.0.0.1", "-port", str(self.base + EPMD),
            start_new_session=True,
        )  # fmt: skip
        await _until_open(self.base + EPMD)

    async def _listens(self, name: str) -> None:
        await _until_open(self.port(name))

    async def _running(self) -> list[str]:
        asked = await asyncio.create_subprocess_exec(
            str(server().with_name("rabbitmqctl")), "-q", "cluster_status", "--formatter", "json",
            env=self._environment(NODES[0]), cwd=self.home,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        told, _ = await asked.communicate()
        with contextlib.suppress(ValueError):
            return list(json.loads(told)["running_nodes"])
        return []


async def _until_open(port: int) -> None:
    async with asyncio.timeout(FORMING_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.2)


@asynccontextmanager
async def cluster() -> AsyncIterator[Cluster]:
    """Up for as long as the context lasts."""
    home = Path(tempfile.mkdtemp(prefix="el-carril-cluster-"))
    with claimed_base(DEFAULT_BASE + 60 * BLOCK) as base:
        made = Cluster(base, home)
        try:
            await made.start_port_mapper()
            await made.form()
            yield made
        except BaseException:
            _tell_logs(home)
            raise
        finally:
            await made.end()
            shutil.rmtree(home, ignore_errors=True)


def _tell_logs(home: Path) -> None:
    for log in sorted(home.glob("*.log")):
        end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        print(f"--- {log.name}\n{end}", file=sys.stderr)


@dataclass(slots=True)
class Heard:
    """What arrived, when, and whether in order."""

    numbers: set[int] = field(default_factory=set)
    latest: dict[str, int] = field(default_factory=dict)
    twice: int = 0
    out_of_order: int = 0
    arrivals: list[float] = field(default_factory=list)

    async def note(self, message: AbstractIncomingMessage) -> None:
        event = json.loads(message.body)
        if event["number"] in self.numbers:
            self.twice += 1
        else:
            self.numbers.add(event["number"])
            self.out_of_order += self.latest.get(event["aggregate"], 0) > event["number"]
            self.latest[event["aggregate"]] = event["number"]
            self.arrivals.append(time.monotonic())
        await message.ack()

    def longest_silence(self) -> float:
        """Seconds between two arrivals."""
        return max((b - a for a, b in zip(self.arrivals, self.arrivals[1:], strict=False)), default=0.0)


async def drill(events: int, seconds: float) -> bool:
    """Write so many events over so many seconds, kill the relay's node after a third. True if all is well."""
    exchange, heard = f"drill.{uuid4().hex[:8]}", Heard()
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(cluster())
        print(f"three nodes: {', '.join(NODES)}", flush=True)
        database = await stack.enter_async_context(fresh_database("identity"))
        writer = await asyncpg.connect(database.superuser_dsn)
        stack.push_async_callback(writer.close)
        await _declare(nodes.url("one"), exchange)
        listener = await stack.enter_async_context(await aio_pika.connect(nodes.url("three")))
        channel = await listener.channel()
        await channel.set_qos(prefetch_count=500)
        await (await channel.get_queue(exchange)).consume(heard.note)
        proxy = await stack.enter_async_context(Proxy("127.0.0.1", nodes.port("one")).listening())
        metrics = await stack.enter_async_context(
            _relay(database.dsn("identity_relay"), proxy, nodes.base + RELAY)
        )
        batch, killed_at = max(1, events // 200), 0.0
        for first in range(1, events + 1, batch):
            await writer.execute(WRITE, exchange, AGGREGATES, first, min(first + batch - 1, events))
            if not killed_at and first > events // 3:
                await nodes.kill("one")
                proxy.lead_to("127.0.0.1", nodes.port("two"))
                killed_at = time.monotonic()
                print(f"killed node one, the relay's, after {len(heard.numbers)} arrivals", flush=True)
            await asyncio.sleep(seconds * batch / events)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(60):
                while len(heard.numbers) < events or await writer.fetchval("SELECT count(*) FROM outbox"):
                    await asyncio.sleep(0.05)
        resumed = next((at - killed_at for at in heard.arrivals if at > killed_at), -1.0)
        found = await metrics()
        print(
            f"{len(heard.numbers)} of {events} confirmed events arrived, {heard.out_of_order} out of order, "
            f"{heard.twice} twice; the first one {resumed:.2f} s after the kill, longest silence "
            f"{heard.longest_silence():.2f} s; nacked {found.get('nacked', 0):.0f}, "
            f"unconfirmed {found.get('unconfirmed', 0):.0f}, sent again {found.get('sent_again', 0):.0f}"
        )
        well = len(heard.numbers) == events and not heard.out_of_order
        if not well:
            _tell_logs(nodes.home)
    return well


async def _declare(url: str, exchange: str) -> None:
    """A quorum queue with a replica on each node, whose leader is on the node that will be killed."""
    link = Link(url, name="cluster-drill")
    channel = await link.channel(confirms=False)
    await declare_exchange(channel, "dead")
    await declare_exchange(channel, "retry")
    await declare_exchange(channel, exchange)
    await declare_work_queue(channel, exchange, [(exchange, "it")])
    await link.close()


@asynccontextmanager
async def _relay(dsn: str, proxy: Proxy, port: int) -> AsyncIterator[Metrics]:
    """A relay process; what it yields tells its counters."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "relay", stdout=asyncio.subprocess.DEVNULL,
        env=os.environ | {
            "SERVICE": "relay-drill", "PORT": str(port), "DATABASE_DSN": dsn, "DRAIN_SECONDS": "0",
            "AMQP_URL": f"amqp://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}/",
        },
    )  # fmt: skip

    async def metrics() -> dict[str, float]:
        async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}/metrics") as answer:
            text = await answer.text()
        names = {
            "nacked": r'relay_refused_total\{reason="nacked"\}',
            "unconfirmed": "relay_unconfirmed_total",
        }
        names["sent_again"] = "relay_sent_again_total"
        found = {
            name: re.search(rf"^{pattern} (\S+)$", text, re.MULTILINE) for name, pattern in names.items()
        }
        return {name: float(match[1]) for name, match in found.items() if match}

    try:
        yield metrics
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m tools.cluster_drill")
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=20.0)
    wanted = parser.parse_args()
    return 0 if asyncio.run(drill(wanted.events, wanted.seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
