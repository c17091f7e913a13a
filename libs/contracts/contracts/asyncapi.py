"""The AsyncAPI 3.0 document of everything that travels over the broker, made from models and topology.

`python -m contracts.asyncapi` prints it.
"""

from __future__ import annotations

import inspect
import json
import sys
from typing import Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts import topology
from contracts.catalogue import COMMANDS, EVENTS, MESSAGES
from contracts.envelope import Envelope, schema_urn
from contracts.topology import Queue
from contracts.wire import Message

JsonObject = dict[str, object]

CONTENT_TYPE: Final = "application/cloudevents+json"
DESCRIPTION: Final = (
    "Every event and command of El Carril. Messages are CloudEvents 1.0 in structured JSON; money is a "
    "decimal string. Events of one `partitionkey` arrive in order, each at least once: consumers "
    "dedupe by `id` and compare `sequence`."
)


def document() -> JsonObject:
    """The whole document, in a stable order, so that a change in it is a change of the contract."""
    return {
        "asyncapi": "3.0.0",
        "info": {"title": "El Carril", "version": "1.0.0", "description": DESCRIPTION},
        "defaultContentType": CONTENT_TYPE,
        "channels": {
            **{event.type: _event_channel(event) for event in EVENTS},
            **{queue.name: _queue_channel(queue) for queue in topology.QUEUES},
        },
        "operations": {
            **{f"send {event.type}": _send(_owner(event.type), event.type, [event.type]) for event in EVENTS},
            **{
                f"send {queue}": _send(producer, queue, [command.type for command in COMMANDS])
                for producer, queue in topology.COMMAND_QUEUES.items()
            },
            **{f"receive {queue.name}": _receive(queue) for queue in topology.QUEUES},
        },
        "components": {
            "messages": {name: _message(model) for name, model in MESSAGES.items()},
            "schemas": _schemas(),
        },
    }


def carried_by(queue: Queue) -> list[str]:
    """The types of message that can reach a queue."""
    if queue.name in topology.COMMAND_QUEUES.values():
        return [command.type for command in COMMANDS]
    return [
        event.type for event in EVENTS if any(_hears(pattern, event.type) for _, pattern in queue.bindings)
    ]


def _hears(pattern: str, event_type: str) -> bool:
    if event_type in topology.KIND_QUALIFIED:
        return pattern.startswith(f"{event_type}.")
    return topology.matches(pattern, event_type)


def _owner(message_type: str) -> str:
    return message_type.partition(".")[0]


def _event_channel(event: type[Message]) -> JsonObject:
    channel: JsonObject = {
        "address": event.type,
        "title": f"{event.__name__} on the exchange {topology.EVENTS}",
        "messages": _messages([event.type]),
        "bindings": {"amqp": {"is": "routingKey", "exchange": _exchange(topology.EVENTS)}},
    }
    if event.type in topology.KIND_QUALIFIED:
        channel["address"] = f"{event.type}.{{kind}}"
        channel["parameters"] = {"kind": {"description": "The kind of entry, such as bet.settle."}}
    return channel


def _queue_channel(queue: Queue) -> JsonObject:
    heard = ", ".join(f"{exchange}: {pattern}" for exchange, pattern in queue.bindings)
    return {
        "address": queue.name,
        "title": f"The queue {queue.name} of {queue.reader}",
        "description": f"Bound to {heard}",
        "messages": _messages(carried_by(queue)),
        "bindings": {
            "amqp": {
                "is": "queue",
                "queue": {
                    "name": queue.name,
                    "durable": True,
                    "exclusive": False,
                    "autoDelete": False,
                    "vhost": topology.VHOST,
                },
            }
        },
    }


def _exchange(name: str) -> JsonObject:
    return {"name": name, "type": "topic", "durable": True, "autoDelete": False, "vhost": topology.VHOST}


def _messages(types: list[str]) -> JsonObject:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in types}


def _send(publisher: str, channel: str, types: list[str]) -> JsonObject:
    return {"summary": f"Sent by {publisher}, through its relay.", **_operation("send", channel, types)}


def _receive(queue: Queue) -> JsonObject:
    return {
        "summary": f"Received by {queue.reader}.",
        **_operation("receive", queue.name, carried_by(queue)),
    }


def _operation(action: str, channel: str, types: list[str]) -> JsonObject:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in types],
    }


def _message(model: type[Message]) -> JsonObject:
    return {
        "name": model.type,
        "title": model.__name__,
        "summary": inspect.getdoc(model),
        "contentType": CONTENT_TYPE,
        "payload": {
            "allOf": [
                {"$ref": "#/components/schemas/Envelope"},
                {
                    "type": "object",
                    "properties": {
                        "type": {"const": model.type},
                        "dataschema": {"const": schema_urn(model.type)},
                        "data": {"$ref": f"#/components/schemas/{model.__name__}"},
                    },
                },
            ]
        },
    }


def _schemas() -> JsonObject:
    """Every model by name. As read, not as written: what has a default may be left out."""
    models: list[type[BaseModel]] = [Envelope, *MESSAGES.values()]
    _, defined = models_json_schema(
        [(model, "validation") for model in models],
        ref_template="#/components/schemas/{model}",
    )
    schemas: JsonObject = defined["$defs"]
    return schemas


if __name__ == "__main__":
    sys.stdout.write(json.dumps(document(), indent=2, ensure_ascii=False) + "\n")
