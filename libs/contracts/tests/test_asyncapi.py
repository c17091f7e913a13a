"""The committed AsyncAPI document: valid, complete, and true of what is really sent."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from contracts import topology
from contracts.betting import MarketSettled
from contracts.catalogue import EVENTS, MESSAGES
from contracts.envelope import Envelope, envelope
from contracts.ledger import PostRefused, RefusalReason
from jsonschema import Draft7Validator, ValidationError
from jsonschema.validators import validator_for
from pydantic import ValidationError as Misshapen

from libs.contracts.tests.asyncapi3 import Document

COMMITTED = Path(__file__).resolve().parents[3] / "docs" / "asyncapi.json"
NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)

Json = dict[str, Any]


def committed() -> Json:
    read: Json = json.loads(COMMITTED.read_text(encoding="utf-8"))
    return read


def test_it_is_an_asyncapi_document() -> None:
    document = Document.model_validate_json(COMMITTED.read_bytes())
    assert set(document.components.messages) == set(MESSAGES)
    for operation in document.operations.values():
        channel = operation.channel.ref.removeprefix("#/channels/")
        assert channel in document.channels
        known = {f"#/channels/{channel}/messages/{name}" for name in document.channels[channel].messages}
        assert {message.ref for message in operation.messages} <= known


def test_every_schema_in_it_is_one() -> None:
    for name, schema in committed()["components"]["schemas"].items():
        Draft7Validator.check_schema(schema)
        assert validator_for(schema, default=Draft7Validator) is Draft7Validator, name


def test_everybody_who_sends_or_reads_is_in_it() -> None:
    operations = committed()["operations"]
    assert {f"send {event.type}" for event in EVENTS} <= set(operations)
    assert {f"receive {queue.name}" for queue in topology.QUEUES} <= set(operations)


def misspell(document: Json) -> None:
    document["channels"]["betting.ledger-events"]["adress"] = "x"


def misdirect(document: Json) -> None:
    document["operations"]["receive betting.ledger-events"]["action"] = "hear"


def misbind(document: Json) -> None:
    document["channels"]["betting.ledger-events"]["bindings"]["amqp"]["is"] = "topic"


@pytest.mark.parametrize("spoil", [misspell, misdirect, misbind])
def test_a_document_that_is_not_valid_is_seen(spoil: Callable[[Json], None]) -> None:
    document = copy.deepcopy(committed())
    spoil(document)
    with pytest.raises(Misshapen):
        Document.model_validate(document)


def sent() -> list[Envelope]:
    settled = MarketSettled(
        market_id=uuid4(),
        settlement_version=1,
        total="100.00",
        commission="5.00",
        currency="MXN",
        settled_at=NOW,
    )
    refused = PostRefused(
        principal="betting",
        idempotency_key="match:1",
        kind="bet.match",
        reference="markets/1",
        problem=RefusalReason(slug="hold-exhausted", detail="nothing left"),
    )
    return [
        envelope(message, id=uuid4(), subject="markets/1", version=3, time=NOW)
        for message in (settled, refused)
    ]


def check(raw: Json) -> None:
    """As a subscriber in any language would, by the document alone."""
    document = committed()
    payload = document["components"]["messages"][raw["type"]]["payload"]
    Draft7Validator({**payload, "components": document["components"]}).validate(raw)


@pytest.mark.parametrize("event", sent(), ids=lambda event: event.type)
def test_what_is_sent_is_what_the_document_says(event: Envelope) -> None:
    raw = json.loads(event.model_dump_json(exclude_none=True))
    check(raw)
    del raw["data"][next(iter(raw["data"]))]
    with pytest.raises(ValidationError):
        check(raw)
