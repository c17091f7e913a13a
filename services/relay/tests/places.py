"""The brokers that rows are carried to in these tests, each a real server, behind the same few questions."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

import nats
from aio_pika.abc import AbstractIncomingMessage
from common.amqp import Link
from common.amqp.declare import declare_exchange
from common.testing import stack
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, DiscardPolicy, StreamConfig
from relay.transports.amqp import AmqpBroker
from relay.transports.interface import Broker
from relay.transports.nats import NatsBroker

from services.relay.tests.outbox import Listener, eventually
from tools.proxy import Proxy
from tools.topology import stream_config

NATS_USER, NATS_PASSWORD = "relay", "relay-test"


class Place(Protocol):
    """Somewhere to publish. An exchange has one listener, for the key `heard`; any other key has none."""

    def broker(self) -> Broker:
        """What the relay would use."""

    def environment(self, through: Proxy | None = None) -> Mapping[str, str]:
        """A relay process's settings, optionally through a proxy."""

    def address(self) -> tuple[str, int]:
        """Where the server is."""

    def listening(self, exchange: str) -> AbstractAsyncContextManager[Listener]:
        """A context: an exchange of that name, and who listens to it."""

    async def bind(self, exchange: str, key: str) -> None:
        """Let the listener hear another key as well."""

    async def make_full(self, exchange: str) -> None:
        """Take one message under the key `full` and refuse the next."""

    async def make_room(self, exchange: str) -> None:
        """Forget what came under the key `full`."""


class Rabbit:
    """The stack's RabbitMQ, as the user that may declare."""

    def __init__(self) -> None:
        self._url = stack().rabbitmq.url("topology")
        self.link = Link(self._url, name="relay-test")

    def broker(self) -> Broker:
        return AmqpBroker(self._url, name="relay-test")

    def environment(self, through: Proxy | None = None) -> Mapping[str, str]:
        there = stack().rabbitmq.port
        url = self._url if through is None else self._url.replace(f":{there}/", f":{through.port}/")
        return {"AMQP_URL": url}

    def address(self) -> tuple[str, int]:
        return stack().rabbitmq.host, stack().rabbitmq.port

    @asynccontextmanager
    async def listening(self, exchange: str) -> AsyncIterator[Listener]:
        channel = await self.link.channel(confirms=False)
        await declare_exchange(channel, exchange)
        queue = await channel.declare_queue(
            f"{exchange}.heard", durable=True, arguments={"x-queue-type": "quorum"}
        )
        await queue.bind(exchange, "heard")
        await channel.set_qos(prefetch_count=500)
        listener = Listener()

        async def note(message: AbstractIncomingMessage) -> None:
            listener.note(message.body, message.headers)
            await message.ack()

        await queue.consume(note)
        try:
            yield listener
        finally:
            clean = await self.link.channel(confirms=False)
            for each in (f"{exchange}.heard", f"{exchange}.full"):
                await clean.queue_delete(each)
            await clean.exchange_delete(exchange)
            await self.link.close()

    async def bind(self, exchange: str, key: str) -> None:
        channel = await self.link.channel(confirms=False)
        await (await channel.get_queue(f"{exchange}.heard")).bind(exchange, key)

    async def make_full(self, exchange: str) -> None:
        channel = await self.link.channel(confirms=False)
        queue = await channel.declare_queue(
            f"{exchange}.full", arguments={"x-max-length": 1, "x-overflow": "reject-publish"}
        )
        await queue.bind(exchange, "full")

    async def make_room(self, exchange: str) -> None:
        channel = await self.link.channel(confirms=False)
        await (await channel.get_queue(f"{exchange}.full")).purge()


class NatsServer:
    """A private nats-server with JetStream; killed and started again at will, keeping its files."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        return f"nats://{NATS_USER}:{NATS_PASSWORD}@127.0.0.1:{self.port}"

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            "/usr/sbin/nats-server", "--addr", "127.0.0.1", "--port", str(self.port), "--jetstream",
            "--store_dir", str(self._directory), "--user", NATS_USER, "--pass", NATS_PASSWORD,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

        async def it_listens() -> bool:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                return False
            writer.close()
            return True

        await eventually(it_listens)

    async def kill(self) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


class Nats:
    """A private NATS server. An exchange is a stream; its subjects are the keys."""

    def __init__(self, server: NatsServer) -> None:
        self.server = server

    def broker(self) -> Broker:
        return NatsBroker(self.server.url, name="relay-test")

    def environment(self, through: Proxy | None = None) -> Mapping[str, str]:
        there = self.server.port
        url = self.server.url if through is None else self.server.url.replace(f":{there}", f":{through.port}")
        return {"TRANSPORT": "nats", "NATS_URL": url}

    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.server.port

    @asynccontextmanager
    async def listening(self, exchange: str) -> AsyncIterator[Listener]:
        listener = Listener()
        # A listener that reconnects: the tests kill the server too.
        client = await nats.connect(self.server.url, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
        context = client.jetstream()
        config = stream_config(exchange)
        config.subjects = [f"{exchange}.heard"]
        await context.add_stream(config)

        async def note(message: Msg) -> None:
            listener.note(message.data, message.headers or {})
            await message.ack()

        await context.subscribe(
            f"{exchange}.>",
            stream=config.name,
            cb=note,
            manual_ack=True,
            config=ConsumerConfig(max_ack_pending=500),
        )
        try:
            yield listener
        finally:
            await client.close()

    async def bind(self, exchange: str, key: str) -> None:
        client = await nats.connect(self.server.url)
        config = stream_config(exchange)
        config.subjects = [f"{exchange}.heard", f"{exchange}.{key}"]
        await client.jetstream().update_stream(config)
        await client.close()

    async def make_full(self, exchange: str) -> None:
        client = await nats.connect(self.server.url)
        config = StreamConfig(
            name=f"{stream_config(exchange).name}_FULL", subjects=[f"{exchange}.full"], max_msgs=1,
            discard=DiscardPolicy.NEW,
        )  # fmt: skip
        await client.jetstream().add_stream(config)
        await client.close()

    async def make_room(self, exchange: str) -> None:
        client = await nats.connect(self.server.url)
        await client.jetstream().purge_stream(f"{stream_config(exchange).name}_FULL")
        await client.close()
