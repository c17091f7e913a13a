"""The ledger's real application over HTTP, on a throw-away database; only the broker is left out."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from common.amqp import Consumer
from common.pg import Pool, create_pool
from common.testing import Database, stack
from ledger.app import ledger_app
from ledger.domain.keys import POST, READ, KeyTerms
from ledger.keys import SigningRoots, create_key
from ledger.keys.managing import MadeKey
from ledger.service import Ledger
from ledger.settings import LedgerSettings

Client = TestClient[web.Request, web.Application]
Json = dict[str, Any]
ROOTS = {"root-1": bytes(range(32))}


@dataclass
class Door:
    """A client of the application, and what makes keys for it."""

    client: Client
    keys: Pool
    roots: SigningRoots
    database: Database

    async def key(
        self,
        name: str = "tester",
        kinds: Sequence[str] | None = None,
        *,
        ledger: str = "el-carril",
        scopes: Sequence[str] = (READ, POST),
        signed: bool = False,
        lifetime: timedelta | None = None,
        rate: tuple[int, int] | None = None,
        per_day: int | None = None,
    ) -> MadeKey:
        """A fresh key."""
        rate_per_second, burst = rate or (None, None)
        terms = KeyTerms(frozenset(scopes), signed, lifetime, rate_per_second, burst, per_day)
        return await create_key(self.keys, self.roots, ledger, name, kinds, terms)

    async def ask(
        self, key: str, method: str, path: str, body: Json | None = None, **headers: str
    ) -> tuple[int, Json]:
        """The status and the body of the answer."""
        whole = {"Authorization": f"Bearer {key}", **headers}
        async with self.client.request(method, path, json=body, headers=whole) as answer:
            text = (await answer.read()).decode()
            told: Json = json.loads(text) if answer.content_type.endswith("json") else {"text": text}
            return answer.status, {**told, "headers": dict(answer.headers)}


@asynccontextmanager
async def open_door(
    database: Database, folder: Path, identity_url: str = "http://127.0.0.1:1", **more: Any
) -> AsyncIterator[Door]:
    """Start the application, with `more` settings. Its AMQP door stays shut: its queues are those of the whole stack."""

    @asynccontextmanager
    async def nobody(ledger: Ledger, amqp_url: str) -> AsyncIterator[Sequence[Consumer]]:  # noqa: ARG001 - as `consume`
        yield ()

    roots = folder / "roots.json"
    roots.write_text(json.dumps({name: b64encode(root).decode() for name, root in ROOTS.items()}))
    settings = LedgerSettings.model_validate(
        {
            "port": 1,
            "database_dsn": database.dsn("ledger_posting"),
            "amqp_url": stack().rabbitmq.url("ledger"),
            "identity_url": identity_url,
            "redis_url": stack().redis_url,
            "signing_roots": roots,
            **more,
        }
    )
    async with AsyncExitStack() as opened:
        opened.enter_context(patch("ledger.app.consume", nobody))
        client = await opened.enter_async_context(TestClient(TestServer(ledger_app(settings))))
        keys = await create_pool(database.dsn("ledger_keys"), min_size=1, max_size=2, application_name="test")
        opened.push_async_callback(keys.close)
        yield Door(client, keys, SigningRoots(ROOTS), database)


def deposit_body(player: str, receipt: str, amount: str = "100.00") -> Json:
    return {
        "kind": "deposit",
        "reference": f"deposits/{receipt}",
        "receipt": receipt,
        "postings": [
            {"account": "bank/spei", "side": "debit", "amount": amount, "currency": "MXN"},
            {"account": f"players/{player}/available", "side": "credit", "amount": amount, "currency": "MXN"},
        ],
    }
