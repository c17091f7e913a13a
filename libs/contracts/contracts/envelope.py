"""The envelope every message travels in: CloudEvents 1.0 in structured JSON.

Beside the standard attributes it carries `partitionkey` (messages of one key stay in order),
`sequence` (the aggregate's version, by which consumers see gaps and late arrivals) and
`traceparent` (W3C Trace Context).
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, JsonValue, StringConstraints

from contracts.wire import Count, Message, Moment

M = TypeVar("M", bound=BaseModel)
Payload = type[M]

MessageType = Annotated[
    str, StringConstraints(strict=True, max_length=100, pattern=r"^[a-z]+(\.[a-z]+){2}\.v[0-9]+$")
]
Key = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=200)]


class Envelope(BaseModel):
    """One message as it is stored in an outbox and sent to the broker.

    `model_dump_json()` is its wire form and `model_validate_json()` its reader. Unknown attributes
    are ignored: CloudEvents lets anyone on the way add extensions.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: UUID
    source: Key
    type: MessageType
    subject: Key
    time: Moment
    datacontenttype: Literal["application/json"] = "application/json"
    dataschema: Key
    partitionkey: Key
    sequence: Count
    traceparent: str | None = None
    data: dict[str, JsonValue]

    def read(self, model: Payload[M]) -> M:
        """The payload as `model`. Raises pydantic's `ValidationError` when it does not fit."""
        return model.model_validate(self.data)


def envelope(
    message: Message,
    *,
    id: UUID,
    subject: str,
    version: int,
    time: datetime,
    traceparent: str | None = None,
    partition_key: str | None = None,
    source: str | None = None,
) -> Envelope:
    """Wrap `message`, an event about `subject` at its aggregate's `version`.

    `partition_key` is the aggregate when it is not the subject itself (an offer's events are ordered
    by its market). `source` defaults to the service that owns the type; a command's sender is
    another service than its owner, so it must say who it is.
    """
    owner = message.type.partition(".")[0]
    return Envelope(
        id=id,
        source=source if source is not None else f"/{owner}",
        type=message.type,
        subject=subject,
        time=time,
        dataschema=schema_urn(message.type),
        partitionkey=partition_key if partition_key is not None else subject,
        sequence=version,
        traceparent=traceparent,
        data=message.model_dump(mode="json"),
    )


def schema_urn(message_type: str) -> str:
    """The name of a payload's schema; the schema itself is in the AsyncAPI document under this type."""
    return f"urn:el-carril:schema:{message_type}"
