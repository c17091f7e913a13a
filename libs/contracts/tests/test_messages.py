"""The wire's own rules: shapes that are refused, forms that never change, a list that is complete."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID

import pytest
from contracts import betting, identity, ledger, payments
from contracts.asyncapi import document
from contracts.catalogue import COMMANDS, EVENTS, MESSAGES
from contracts.envelope import Envelope, envelope
from contracts.ledger import EntryRequest, PostRefused, PostRequested, RefusalReason
from contracts.receipts import Attestation, Purpose, Statement
from contracts.wire import Command, Event, Message, PositiveAmount
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
ID = UUID("00000000-0000-4000-8000-000000000001")
AMOUNT: TypeAdapter[str] = TypeAdapter(PositiveAmount)


def a_request(**changes: object) -> dict[str, object]:
    leg = {"account": "players/a/available", "side": "debit", "amount": "10.00", "currency": "MXN"}
    return {
        "kind": "bet.hold",
        "postings": [leg, {**leg, "account": "players/a/held", "side": "credit", "hold": str(ID)}],
        "reference": "offers/1",
        **changes,
    }


def test_a_message_survives_its_envelope() -> None:
    command = PostRequested.model_validate(a_request(idempotency_key="hold:1"))
    sent = envelope(command, id=ID, subject="offers/1", version=3, time=NOON, source="/betting")
    arrived = Envelope.model_validate_json(sent.model_dump_json(exclude_none=True))
    assert arrived.read(PostRequested) == command
    assert (arrived.source, arrived.partitionkey, arrived.sequence) == ("/betting", "offers/1", 3)
    assert arrived.dataschema == "urn:el-carril:schema:ledger.post.requested.v1"


def test_an_envelope_names_its_owner_and_its_aggregate() -> None:
    refused = PostRefused(
        principal="betting",
        idempotency_key="match:1",
        kind="bet.match",
        reference="markets/1",
        problem=RefusalReason(slug="hold-exhausted", detail="nothing left"),
    )
    sent = envelope(refused, id=ID, subject="fills/1", version=1, time=NOON, partition_key="markets/1")
    assert (sent.source, sent.subject, sent.partitionkey) == ("/ledger", "fills/1", "markets/1")


@pytest.mark.parametrize(
    "amount", ["0", "0.00", "-1", "1e3", "01", "NaN", "Infinity", "1.", ".5", "+1", "1 ", "1\n"]
)
def test_odd_amounts_are_refused(amount: str) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(amount)


@given(st.floats() | st.integers() | st.decimals() | st.booleans() | st.none())
def test_an_amount_that_is_not_text_is_refused(amount: object) -> None:
    with pytest.raises(ValidationError):
        AMOUNT.validate_python(amount)


@given(st.decimals(min_value="0.01", max_value="99999999999", places=2).map(str))
def test_an_amount_is_never_rewritten(amount: str) -> None:
    assert AMOUNT.validate_python(amount) == amount


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"kind": "BET"}, "kind"),
        ({"postings": []}, "postings"),
        ({"metadata": {"": "x"}}, "metadata"),
        ({"effective_at": "2026-05-01T12:00:00"}, "effective_at"),
        (
            {"settlement": {"market": str(ID), "version": 1, "total": "1", "chunk": 2, "chunks": 1}},
            "settlement",
        ),
        (
            {"settlement": {"market": str(ID), "version": 1, "total": "1", "chunk": 1, "chunks": 2**31}},
            "settlement",
        ),
    ],
)
def test_a_command_that_says_too_much_or_nonsense_is_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        EntryRequest.model_validate(a_request(**changes))
    assert {error["loc"][0] for error in refused.value.errors()} == {field}


def test_an_event_with_more_than_we_know_is_read() -> None:
    raw = {"user_id": str(ID), "registered_at": NOON.isoformat(), "since_version": 2}
    assert identity.UserRegistered.model_validate(raw).user_id == ID


def a_statement(**changes: object) -> Statement:
    return Statement.model_validate(
        {
            "receipt_id": ID,
            "rail": "spei",
            "tracking_key": "20260501:40012:ABC123",
            "document_sha256": "ab" * 32,
            "purpose": Purpose.DEPOSIT,
            "account": "players/a/available",
            "amount": "100.00",
            "currency": "MXN",
            "occurred_at": NOON,
            "issued_at": NOON,
            "key_id": "k1",
            **changes,
        }
    )


def test_what_is_signed_never_changes() -> None:
    """Golden bytes: signatures made years ago must still verify."""
    assert a_statement().signing_bytes() == (
        b'{"account":"players/a/available","amount":"100.00","currency":"MXN","document_sha256":"'
        + b"ab" * 32
        + b'","issued_at":"2026-05-01T12:00:00Z","key_id":"k1","occurred_at":"2026-05-01T12:00:00Z",'
        b'"purpose":"deposit","rail":"spei","receipt_id":"00000000-0000-4000-8000-000000000001",'
        b'"tracking_key":"20260501:40012:ABC123"}'
    )


def test_an_attestation_has_the_bytes_of_its_statement() -> None:
    statement = a_statement()
    attestation = statement.signed(lambda _: bytes(64))
    read_back = Attestation.model_validate_json(attestation.model_dump_json())
    assert read_back.signing_bytes() == statement.signing_bytes()
    assert read_back.raw_signature() == bytes(64)


def test_one_moment_is_signed_in_one_way() -> None:
    in_mexico = NOON.astimezone(timezone(timedelta(hours=-6)))
    assert a_statement(occurred_at=in_mexico).signing_bytes() == a_statement().signing_bytes()


@pytest.mark.parametrize(
    "key", ["20260501:40012:abc123", "20260501:40012:ABC123 ", "2026-05-01:40012:A", "A"]
)
def test_a_tracking_key_has_one_spelling(key: str) -> None:
    with pytest.raises(ValidationError):
        a_statement(tracking_key=key)


@pytest.mark.parametrize("signature", ["", "AAAA", "!" * 88])
def test_a_signature_has_its_length(signature: str) -> None:
    with pytest.raises(ValidationError):
        Attestation.model_validate({**dict(a_statement()), "signature": signature})


def test_every_message_is_in_the_catalogue_under_its_own_name() -> None:
    defined = {
        model
        for module in (ledger, betting, identity, payments)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, Event | Command) and "type" in vars(model)
    }
    assert defined == {*COMMANDS, *EVENTS}
    assert len(MESSAGES) == len(defined), "two messages have the same type"
    for model in defined:
        service, *words, version = model.type.split(".")
        assert model.__module__ == f"contracts.{service}"
        assert (len(words), version) == (2, "v1")


def test_the_asyncapi_document_refers_only_to_what_it_has() -> None:
    whole = json.loads(json.dumps(document()))

    def check(part: object) -> None:
        if isinstance(part, dict):
            if "$ref" in part:
                found = whole
                for step in part["$ref"].removeprefix("#/").split("/"):
                    found = found[step]
            for value in part.values():
                check(value)
        elif isinstance(part, list):
            for value in part:
                check(value)

    check(whole)
    assert set(whole["components"]["messages"]) == set(MESSAGES)
    received = whole["operations"]["receive betting.ledger-events"]["messages"]
    assert [each["$ref"].rpartition("/")[2] for each in received] == [
        "ledger.entry.committed.v1",
        "ledger.post.refused.v1",
    ]


def test_message_is_only_a_base() -> None:
    assert not issubclass(EntryRequest, Message)
