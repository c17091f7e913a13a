"""The pages about messages: the broker's picture, and who tells what to whom with how to listen."""

from __future__ import annotations

import inspect
from collections.abc import Set
from pathlib import Path
from typing import Final

from common.amqp.declare import DELIVERY_LIMIT
from contracts import topology
from contracts.asyncapi import carried_by
from contracts.catalogue import COMMANDS, EVENTS
from contracts.wire import Message

from examples.results_board import FILES
from tools.topology import diagram

BROKER: Final = """\
# The broker

Who publishes where, which queue hears what, and who reads it. Generated from `contracts/topology.py` by
`make docs`; do not edit. The messages themselves, and how to subscribe: [events.md](events.md).

```mermaid
{diagram}
```
"""

EVENTS_PAGE: Final = Path(__file__).with_suffix(".md")
"""The page, with the places for what comes from code in braces."""


def broker() -> str:
    """docs/broker.md"""
    return BROKER.format(diagram=diagram())


def events(published: Set[str]) -> str:
    """docs/events.md, once the messages of these types are published."""
    return EVENTS_PAGE.read_text(encoding="utf-8").format(
        events=topology.EVENTS,
        commands=topology.COMMANDS,
        vhost=topology.VHOST,
        ring=topology.TEAM_RING,
        delivery_limit=DELIVERY_LIMIT,
        event_rows="\n".join(_event_row(event, published) for event in EVENTS),
        command_rows="\n".join(_command_row(command, published) for command in COMMANDS),
        queue_rows="\n".join(_queue_row(queue) for queue in topology.QUEUES),
        permission_rows="\n".join(_permissions(topology.RESULTS_BOARD)),
        example_lines=_example_lines(),
    )


def _event_row(event: type[Message], published: Set[str]) -> str:
    heard = [queue.name for queue in topology.QUEUES if event.type in carried_by(queue)]
    readers = ", ".join(f"{name.partition('.')[0]} (`{name}`)" for name in heard) or "nobody yet"
    return f"| {_linked(event, published)} | {_owner(event)} | {readers} | {_said(event)} |"


def _command_row(command: type[Message], published: Set[str]) -> str:
    senders = ", ".join(topology.COMMAND_QUEUES)
    return f"| {_linked(command, published)} | {senders} | {_owner(command)} | {_said(command)} |"


def _linked(message: type[Message], published: Set[str]) -> str:
    """Its name, with its schema behind it once it is published."""
    name = f"`{message.type}`"
    if message.type not in published:
        return f"{name} (not published yet)"
    return f"[{name}](contracts/{message.type}.json)"


def _queue_row(queue: topology.Queue) -> str:
    heard = ", ".join(f"`{exchange}: {pattern}`" for exchange, pattern in queue.bindings)
    return f"| `{queue.name}` | {queue.reader} | {heard} |"


def _permissions(team: str) -> list[str]:
    user = topology.consumer_user(team)
    topics = [f"`{pattern}` on `{exchange}`" for exchange, pattern in user.topics.items()]
    return [
        f"   | configure | `{user.configure}` (nothing) |",
        f"   | read | `{user.read}` |",
        f"   | write | `{user.write.replace('|', chr(92) + '|')}`, with routing keys {' and '.join(topics)} |",
    ]


def _owner(message: type[Message]) -> str:
    return message.type.partition(".")[0]


def _said(message: type[Message]) -> str:
    return (inspect.getdoc(message) or "").split("\n\n")[0].replace("\n", " ").replace("|", r"\|")


def _example_lines() -> int:
    return sum(len(path.read_text(encoding="utf-8").splitlines()) for path in FILES)
