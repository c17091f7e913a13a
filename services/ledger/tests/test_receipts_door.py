"""The receipts process over HTTP: only what a known attestor signed is stored, word for word, once."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.testing import Database
from contracts.receipts import Statement
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from ledger.app import receipts_app
from ledger.settings import ReceiptsSettings

from services.ledger.tests.vocabulary import connected

Json = dict[str, Any]
Client = TestClient[web.Request, web.Application]
ATTESTOR = Ed25519PrivateKey.generate()


@pytest.fixture
async def receipts(database: Database, tmp_path: Path) -> AsyncIterator[Client]:
    trusted = tmp_path / "attestors.json"
    trusted.write_text(
        json.dumps({"attestor-1": b64encode(ATTESTOR.public_key().public_bytes_raw()).decode()})
    )
    settings = ReceiptsSettings.model_validate(
        {"port": 1, "database_dsn": database.dsn("ledger_receipts"), "attestor_public_keys": trusted}
    )
    async with TestClient(TestServer(receipts_app(settings))) as client:
        yield client


def attested(key: Ed25519PrivateKey = ATTESTOR, **changes: object) -> Json:
    now = datetime.now(UTC)
    statement = Statement.model_validate(
        {
            "receipt_id": str(uuid4()), "rail": "spei", "tracking_key": f"20261121:40002:{uuid4().hex[:20].upper()}",
            "document_sha256": uuid4().hex * 2, "purpose": "deposit", "account": f"players/{uuid4()}/available",
            "amount": "100.00", "currency": "MXN", "occurred_at": now.isoformat(), "issued_at": now.isoformat(),
            "key_id": "attestor-1", **changes,
        }
    )  # fmt: skip
    whole: Json = statement.signed(key.sign).model_dump(mode="json", exclude_none=True)
    return whole


async def bring(client: Client, attestation: Json) -> tuple[int, str]:
    async with client.post("/v1/receipts", json=attestation) as answer:
        told = await answer.json(content_type=None)
        return answer.status, str(told.get("type", "")).removeprefix("/problems/")


async def stored(database: Database) -> int:
    async with connected(database, "ledger_reader") as connection:
        return int(await connection.fetchval("SELECT count(*) FROM receipt"))


async def test_what_the_attestor_signed_is_stored_once(receipts: Client, database: Database) -> None:
    attestation = attested()
    assert await bring(receipts, attestation) == (201, "")
    assert await bring(receipts, attestation) == (200, "")
    assert await stored(database) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "1000000.00"},
        {"account": f"players/{uuid4()}/available"},
        {"purpose": "house.fund", "account": "house/capital"},
        {"currency": "USD"},
        {"tracking_key": "20261121:40002:ANOTHER"},
        {"document_sha256": "00" * 32},
        {"receipt_id": str(uuid4())},
        {"rail": "codi"},
        {"signature": b64encode(bytes(64)).decode()},
        {"key_id": "attestor-2"},
    ],
    ids=lambda change: ",".join(change),
)
async def test_a_changed_attestation_is_refused(receipts: Client, database: Database, change: Json) -> None:
    assert await bring(receipts, attested() | change) == (422, "bad-attestation")
    assert await stored(database) == 0


async def test_a_strangers_signature_is_refused(receipts: Client, database: Database) -> None:
    stranger = Ed25519PrivateKey.generate()
    assert await bring(receipts, attested(stranger)) == (422, "bad-attestation")
    assert await bring(receipts, attested(stranger, key_id="stranger")) == (422, "bad-attestation")
    assert await stored(database) == 0


async def test_a_new_key_counts_without_a_restart_and_the_old_one_still_does(
    receipts: Client, tmp_path: Path
) -> None:
    successor, trusted = Ed25519PrivateKey.generate(), tmp_path / "attestors.json"
    signed = attested(successor, key_id="attestor-2")
    assert await bring(receipts, signed) == (422, "bad-attestation")
    keys = json.loads(trusted.read_text())
    keys["attestor-2"] = b64encode(successor.public_key().public_bytes_raw()).decode()
    half = tmp_path / "half"
    half.write_text(json.dumps(keys))
    half.replace(trusted)
    async with asyncio.timeout(20):
        while (await bring(receipts, signed))[0] != 201:
            await asyncio.sleep(0.1)
    assert await bring(receipts, attested()) == (201, "")


async def test_one_receipt_attests_one_thing(receipts: Client) -> None:
    first = attested()
    assert (await bring(receipts, first))[0] == 201
    assert await bring(receipts, attested(receipt_id=first["receipt_id"])) == (409, "receipt-exists")
    again = attested(tracking_key=first["tracking_key"])
    assert await bring(receipts, again) == (409, "receipt-duplicate-tracking-key")
    again = attested(document_sha256=first["document_sha256"])
    assert await bring(receipts, again) == (409, "receipt-duplicate-document")
