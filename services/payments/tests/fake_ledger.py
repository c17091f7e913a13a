"""A small ledger over HTTP, as payments meets it: receipts verified and spent once, keys replayed, balances
that never fall below zero. It keeps the rules that payments relies on and none of the speed.

`lose` drops the connection of the next posts: "before" they take effect, or "after".
"""

import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID, uuid4, uuid5

from aiohttp import web
from aiohttp.test_utils import TestServer
from contracts.ledger import EntryCommitted, EntryRequest, EntryView, PostedLeg, Side
from contracts.receipts import Attestation, Purpose
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ENTRIES = UUID("00000000-0000-4000-8000-000000000001")
Loss = Literal["before", "after"]
NEED_RECEIPTS = frozenset(Purpose)


@dataclass
class FakeLedger:
    """Its whole state, open to the tests."""

    trusted: dict[str, Ed25519PublicKey]
    receipts: dict[UUID, Attestation] = field(default_factory=dict)
    entries: dict[str, EntryRequest] = field(default_factory=dict)
    balances: defaultdict[str, Decimal] = field(default_factory=lambda: defaultdict(Decimal))
    posted_at: dict[str, datetime] = field(default_factory=dict)
    lose: Loss | None = None
    limited: set[str] = field(default_factory=set)
    """Accounts of players whose limits leave no room for a deposit."""
    url: str = ""

    def balance(self, account: str) -> Decimal:
        return self.balances[account]

    def kinds(self) -> list[str]:
        return [entry.kind for entry in self.entries.values()]

    def post(self, key: str, wanted: EntryRequest) -> tuple[int, dict[str, object]]:
        """Post once per key. Returns the status and the body of the answer."""
        known = self.entries.get(key)
        if known is not None:
            return (201, _view(key, known)) if known == wanted else (422, _problem("idempotency-key-reused"))
        refusal = self._refusal(wanted)
        if refusal is not None:
            return 422, _problem(refusal)
        self.entries[key] = wanted
        self.posted_at[key] = datetime.now(UTC)
        for account, change in _changes(wanted):
            self.balances[account] += change
        return 201, _view(key, wanted)

    def committed(self, key: str) -> EntryCommitted:
        """The event that tells of an entry."""
        return EntryCommitted.model_validate(
            _view(key, self.entries[key]) | {"principal": "payments", "idempotency_key": key}
        )

    def _refusal(self, wanted: EntryRequest) -> str | None:
        if wanted.kind in NEED_RECEIPTS and (wanted.receipt is None or wanted.receipt not in self.receipts):
            return "receipt-mismatch"
        if wanted.receipt in {entry.receipt for entry in self.entries.values() if entry.receipt}:
            return "receipt-spent"
        if wanted.kind == "deposit" and wanted.receipt in {each.origin for each in self.receipts.values()}:
            return "receipt-spent"
        if wanted.kind == "deposit" and any(leg.account in self.limited for leg in wanted.postings):
            return "limit-exceeded"
        after = defaultdict(Decimal, self.balances)
        for account, change in _changes(wanted):
            after[account] += change
            if after[account] < 0 and not account.startswith("psp/"):
                return "insufficient-funds"
        return None

    async def post_entry(self, request: web.Request) -> web.Response:
        if self.lose == "before":
            return _hang_up(request)
        wanted = EntryRequest.model_validate_json(await request.read())
        status, body = self.post(request.headers["Idempotency-Key"], wanted)
        return _hang_up(request) if self.lose == "after" else web.json_response(body, status=status)

    async def get_balance(self, request: web.Request) -> web.Response:
        account = request.query["account"]
        if account not in self.balances:
            return web.json_response({}, status=404)
        return web.json_response({"balance": str(self.balances[account])})

    async def get_statement(self, request: web.Request) -> web.Response:
        lines = [
            {"kind": entry.kind, "reference": entry.reference, "side": leg.side, "amount": leg.amount,
             "posted_at": self.posted_at[key].isoformat()}
            for key, entry in self.entries.items() for leg in entry.postings
            if leg.account == request.query["account"]
            and self.posted_at[key] >= datetime.fromisoformat(request.query["posted_from"])
        ]  # fmt: skip
        page, size = int(request.query.get("after", "0")), 3
        more = (page + 1) * size < len(lines)
        return web.json_response(
            {"lines": lines[page * size : (page + 1) * size], "next": str(page + 1) if more else None}
        )

    async def post_receipt(self, request: web.Request) -> web.Response:
        if self.lose == "before":
            return _hang_up(request)
        attestation = Attestation.model_validate_json(await request.read())
        status, body = self.file(attestation)
        return _hang_up(request) if self.lose == "after" else web.json_response(body, status=status)

    def file(self, attestation: Attestation) -> tuple[int, dict[str, object]]:
        """Keep a receipt whose signature verifies, its tracking key and document unseen before."""
        try:
            self.trusted[attestation.key_id].verify(attestation.raw_signature(), attestation.signing_bytes())
        except (KeyError, InvalidSignature):
            return 422, _problem("bad-attestation")
        known = self.receipts.get(attestation.receipt_id)
        if known is not None:
            return (200, _filed(attestation)) if known == attestation else (409, _problem("receipt-exists"))
        for other in self.receipts.values():
            if attestation.origin is not None or other.origin is not None:
                if other.origin == attestation.origin:
                    return 409, _problem("receipt-duplicate-tracking-key")
                continue
            if (other.rail, other.tracking_key) == (attestation.rail, attestation.tracking_key):
                return 409, _problem("receipt-duplicate-tracking-key")
            if other.document_sha256 == attestation.document_sha256:
                return 409, _problem("receipt-duplicate-document")
        self.receipts[attestation.receipt_id] = attestation
        return 201, _filed(attestation)


@asynccontextmanager
async def serving(trusted: dict[str, Ed25519PublicKey]) -> AsyncIterator[FakeLedger]:
    ledger = FakeLedger(trusted)
    app = web.Application()
    app.router.add_post("/v1/entries", ledger.post_entry)
    app.router.add_post("/v1/receipts", ledger.post_receipt)
    app.router.add_get("/v1/balance", ledger.get_balance)
    app.router.add_get("/v1/statement", ledger.get_statement)
    async with TestServer(app) as server:
        ledger.url = str(server.make_url(""))
        yield ledger


def _changes(wanted: EntryRequest) -> list[tuple[str, Decimal]]:
    """By how much each account grows on its own side: what we have and what we lost by debits, what is owed by credits."""
    changes = []
    for leg in wanted.postings:
        grows = (
            Side.DEBIT
            if leg.account.startswith(("bank/", "psp/", "fees/", "disputes/", "losses/"))
            else Side.CREDIT
        )
        amount = Decimal(leg.amount)
        changes.append((leg.account, amount if leg.side is grows else -amount))
    return changes


def _view(key: str, wanted: EntryRequest) -> dict[str, object]:
    view = EntryView(
        id=uuid5(ENTRIES, key),
        sequence=1,
        kind=wanted.kind,
        posted_at=datetime.now(UTC),
        reference=wanted.reference,
        postings=tuple(
            PostedLeg(**leg.model_dump(), balance="0.00", account_sequence=1) for leg in wanted.postings
        ),
    )
    told: dict[str, object] = json.loads(view.model_dump_json())
    return told


def _filed(attestation: Attestation) -> dict[str, object]:
    return {"receipt_id": str(attestation.receipt_id)}


def _problem(slug: str) -> dict[str, object]:
    return {"type": f"/problems/{slug}", "title": slug, "detail": f"{slug} {uuid4()}", "status": 422}


def _hang_up(request: web.Request) -> web.Response:
    if request.transport:
        request.transport.abort()
    return web.Response(status=500)
