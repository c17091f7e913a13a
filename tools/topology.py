"""The broker's topology, made real: exchanges, queues and bindings declared, users described.

    AMQP_URL=amqp://topology:…@… python -m tools.topology declare
    python -m tools.topology definitions --passwords passwords.json
    python -m tools.topology diagram
    NATS_URL=nats://… python -m tools.topology streams

`declare` may be repeated at any time. `definitions` prints what RabbitMQ's `load_definitions` takes:
the vhost, users and permissions; `passwords.json` maps each user to a password. `streams` is what `declare` is for
where relays carry to NATS JetStream.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import nats
from common.amqp import Link
from common.amqp.declare import (
    declare_exchange,
    declare_listening_queue,
    declare_ring_queue,
    declare_stream,
    declare_work_queue,
)
from contracts import topology
from contracts.topology import BrokerUser, Queue
from nats.js.api import DiscardPolicy, StorageType, StreamConfig

STREAM_AGE: Final = "1h"
"""Readers begin at the end; the rest is for people who look."""

JsonObject = dict[str, object]

STREAM_LIMIT: Final = 10_000_000
"""Messages. Beyond it the stream refuses, and the backlog waits in the publisher's outbox."""
STREAM_DAYS: Final = 14
"""A consumer that was away longer than that must be rebuilt from the services."""
DUPLICATE_SECONDS: Final = 120
"""Longer than a relay needs to be replaced. It spares the consumers most duplicates, not all."""


async def declare(amqp_url: str) -> None:
    """Declare every exchange, queue and binding. Raises `BrokerUnavailable`, also when an existing queue
    differs from what is wanted: changing a queue that may hold messages is a person's decision."""
    link = Link(amqp_url, name="topology")
    try:
        channel = await link.channel(confirms=False)
        # The alternate exchange first: an exchange that names a missing one drops what it cannot route.
        await declare_exchange(channel, topology.UNHEARD)
        await declare_ring_queue(
            channel, topology.UNHEARD_QUEUE, limit=topology.UNHEARD_LIMIT, bindings=[(topology.UNHEARD, "#")]
        )
        await declare_exchange(channel, topology.EVENTS, alternate=topology.UNHEARD)
        for exchange in (topology.COMMANDS, topology.RETRY, topology.DEAD):
            await declare_exchange(channel, exchange)
        for queue in topology.QUEUES:
            if queue.ring is None:
                await declare_work_queue(channel, queue.name, queue.bindings, retired=queue.retired)
            else:
                await declare_listening_queue(channel, queue.name, queue.bindings, limit=queue.ring)
        for stream in topology.STREAMS:
            await declare_stream(channel, stream.name, max_age=STREAM_AGE, bindings=stream.bindings)
    finally:
        await link.close()


async def declare_streams(nats_url: str) -> None:
    """Declare a JetStream stream for each exchange that relays publish on; again changes nothing."""
    client = await nats.connect(nats_url, name="topology", allow_reconnect=False)
    try:
        context = client.jetstream()
        for exchange in (topology.EVENTS, topology.COMMANDS):
            await context.add_stream(stream_config(exchange))
    finally:
        await client.close()


def stream_config(exchange: str) -> StreamConfig:
    """One exchange as a stream: on disk, refusing when full, and knowing an event id again for two minutes."""
    return StreamConfig(
        name=exchange.upper().replace(".", "_"),
        subjects=[f"{exchange}.>"],
        storage=StorageType.FILE,
        discard=DiscardPolicy.NEW,
        max_msgs=STREAM_LIMIT,
        max_age=STREAM_DAYS * 86_400,
        duplicate_window=DUPLICATE_SECONDS,
    )


def definitions(passwords: Mapping[str, str], users: Sequence[BrokerUser] = topology.USERS) -> JsonObject:
    """Vhost, users and permissions in RabbitMQ's own format. Raises `KeyError` for a user without a password."""
    return {
        "vhosts": [{"name": topology.VHOST}],
        "users": [_user(user, passwords[user.name]) for user in users],
        "permissions": [_permission(user) for user in users],
        "topic_permissions": [
            _topic_permission(user, exchange) for user in users for exchange in user.topics
        ],
    }


def _user(user: BrokerUser, password: str) -> JsonObject:
    salt = secrets.token_bytes(4)  # the length RabbitMQ's format has
    digest = hashlib.sha256(salt + password.encode()).digest()
    return {
        "name": user.name,
        "password_hash": base64.b64encode(salt + digest).decode(),
        "hashing_algorithm": "rabbit_password_hashing_sha256",
        "tags": list(user.tags),
    }


def _permission(user: BrokerUser) -> JsonObject:
    return {
        "user": user.name,
        "vhost": topology.VHOST,
        "configure": user.configure,
        "write": user.write,
        "read": user.read,
    }


def _topic_permission(user: BrokerUser, exchange: str) -> JsonObject:
    return {
        "user": user.name,
        "vhost": topology.VHOST,
        "exchange": exchange,
        "write": user.topics[exchange],
        "read": topology.NOTHING,
    }


def diagram() -> str:
    """The topology as a Mermaid flow chart: relays, exchanges, queues, consumers."""
    return "\n".join(
        [
            "flowchart LR",
            *_publishers(),
            *(line for queue in (*topology.QUEUES, *topology.STREAMS) for line in _flow(queue)),
        ]
    )


def _publishers() -> list[str]:
    return [
        f"  relay_{service}([relay-{service}]) --> {exchange}{{{{{exchange}}}}}"
        for service in topology.SERVICES
        for exchange in topology.relay_user(service).topics
    ] + [f"  {topology.EVENTS} -. nobody listens .-> unheard[({topology.UNHEARD_QUEUE})]"]


def _flow(queue: Queue) -> list[str]:
    node = queue.name.replace(".", "_").replace("-", "_")
    patterns: dict[str, list[str]] = {}
    for exchange, pattern in queue.bindings:
        patterns.setdefault(exchange, []).append(pattern)
    return [
        *(
            f'  {exchange} -- "{"<br/>".join(heard)}" --> {node}[({queue.name})]'
            for exchange, heard in patterns.items()
        ),
        f"  {node} --> {queue.reader.replace('-', '_')}([{queue.reader}])",
        f"  {node} -. gives up .-> {node}_dead[({queue.name}.dead)]",
    ]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.topology", description="The broker's topology.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("declare", help="declare exchanges, queues and bindings at AMQP_URL")
    commands.add_parser("streams", help="declare the JetStream streams at NATS_URL")
    commands.add_parser("diagram", help="print the topology as a Mermaid flow chart")
    users = commands.add_parser("definitions", help="print vhost, users and permissions for load_definitions")
    users.add_argument("--passwords", type=Path, required=True, help="JSON file: user to password")
    chosen = parser.parse_args(arguments)
    match chosen.command:
        case "declare":
            asyncio.run(declare(os.environ["AMQP_URL"]))
        case "streams":
            asyncio.run(declare_streams(os.environ["NATS_URL"]))
        case "diagram":
            print(diagram())
        case _:
            print(json.dumps(definitions(json.loads(chosen.passwords.read_text())), indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
