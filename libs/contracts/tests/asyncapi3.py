"""AsyncAPI 3.0.0 as far as our document uses it, strictly: a word that the specification does not have fails.

Written after https://www.asyncapi.com/docs/reference/specification/v3.0.0 and the AMQP bindings 0.3.0.
"""

# ruff: noqa: N815 - the names are the specification's

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, StringConstraints

Ref = Annotated[str, StringConstraints(pattern=r"^#/")]
ComponentName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9.\-_]+$")]


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, populate_by_name=True)


class Reference(Part):
    ref: Ref = Field(alias="$ref")


class Info(Part):
    title: str
    version: str
    description: str


class Exchange(Part):
    name: Annotated[str, StringConstraints(max_length=255)]
    type: Literal["topic", "direct", "fanout", "default", "headers"]
    durable: bool
    autoDelete: bool
    vhost: str


class QueueOf(Part):
    name: Annotated[str, StringConstraints(max_length=255)]
    durable: bool
    exclusive: bool
    autoDelete: bool
    vhost: str


class RoutingKeyBinding(Part):
    is_: Literal["routingKey"] = Field(alias="is")
    exchange: Exchange


class QueueBinding(Part):
    is_: Literal["queue"] = Field(alias="is")
    queue: QueueOf


class ChannelBindings(Part):
    amqp: RoutingKeyBinding | QueueBinding


class Parameter(Part):
    description: str


class Channel(Part):
    address: str
    title: str
    description: str | None = None
    messages: dict[str, Reference]
    parameters: dict[ComponentName, Parameter] = {}
    bindings: ChannelBindings


class Operation(Part):
    action: Literal["send", "receive"]
    channel: Reference
    summary: str
    messages: list[Reference]


class Message(Part):
    name: str
    title: str
    summary: str
    contentType: str
    payload: dict[str, JsonValue]


class Components(Part):
    messages: dict[ComponentName, Message]
    schemas: dict[ComponentName, dict[str, JsonValue]]


class Document(Part):
    asyncapi: Literal["3.0.0"]
    info: Info
    defaultContentType: str
    channels: dict[str, Channel]
    operations: dict[str, Operation]
    components: Components
