"""An attestation: payments' signed word that money arrived, without which the ledger credits nobody."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, StringConstraints

from contracts.wire import AccountPath, Currency, PositiveAmount, Request, Sha256

TrackingKey = Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9]{8}:[0-9]{5}:[A-Z0-9]{1,30}$")]
"""What makes a SPEI transfer unique: operation date, originating institution (its five-digit Banxico
key) and clave de rastreo in upper case. One transfer, one spelling, so it cannot be attested twice."""

ReceiptKey = Annotated[
    str,
    StringConstraints(
        strict=True,
        pattern=r"^([0-9]{8}:[0-9]{5}:[A-Z0-9]{1,30}|(CAPTURE|PAYOUT|REFUND-FAILED|RETURNED):[A-Z0-9_:-]{1,80})$",
    ),
]
"""What makes an arrival of money unique on its rail: a transfer's tracking key, a card provider's capture,
payout or failed refund by the provider's own id in upper case, or an order of ours that came back."""

Rail = Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9-]{1,32}$")]
"""A rail by name: `spei`, or a card provider."""

KeyId = Annotated[str, StringConstraints(strict=True, pattern=r"^[A-Za-z0-9._-]{1,64}$")]


def _in_utc(moment: datetime) -> datetime:
    return moment.astimezone(UTC)


def _ed25519_signature(text: str) -> str:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("must be base64") from error
    if len(raw) != 64:
        raise ValueError("must be 64 bytes long")
    return text


UtcMoment = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""Normalised, because it is signed: one moment must have one spelling."""


class Purpose(StrEnum):
    """The one kind of entry that an attestation may back."""

    DEPOSIT = "deposit"
    DEPOSIT_SUSPENSE = "deposit.suspense"
    SUSPENSE_ASSIGN = "suspense.assign"
    SUSPENSE_RETURN = "suspense.return"
    WITHDRAWAL_RETURNED = "withdrawal.returned"
    CARD_CAPTURE = "card.capture"
    CARD_SETTLE = "card.settle"
    REFUND_RETURNED = "refund.returned"
    HOUSE_FUND = "house.fund"


class Statement(Request):
    """What the attestor states about one arrival of money, before it signs.

    `account` is the path to credit. `document_sha256` is over the rail's own document (for SPEI the
    CEP's cadena), which catches the same document under another tracking key. `origin` is the receipt that
    put the same transfer into suspense, for the two purposes that take it out again; or the deposit's that one into
    suspense replaces.
    """

    receipt_id: UUID
    rail: Rail
    tracking_key: ReceiptKey
    document_sha256: Sha256
    purpose: Purpose
    account: AccountPath
    amount: PositiveAmount
    currency: Currency
    occurred_at: UtcMoment
    issued_at: UtcMoment
    key_id: KeyId
    origin: UUID | None = None

    def signing_bytes(self) -> bytes:
        """What is signed and verified: canonical JSON (sorted keys, no blanks, UTF-8), less the signature."""
        claims = self.model_dump(mode="json", exclude={"signature"}, exclude_none=True)
        return json.dumps(claims, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def signed(self, sign: Callable[[bytes], bytes]) -> Attestation:
        """The attestation made by `sign`, which returns the 64-byte Ed25519 signature of its argument."""
        signature = base64.b64encode(sign(self.signing_bytes())).decode()
        return Attestation(**dict(self), signature=signature)


class Attestation(Statement):
    """A signed statement, as the ledger's receipts process takes it. The signature is base64."""

    signature: Annotated[str, AfterValidator(_ed25519_signature)]

    def raw_signature(self) -> bytes:
        return base64.b64decode(self.signature)


class ReceiptView(Request):
    """The ledger's answer: the receipt is on file and may back one entry."""

    receipt_id: UUID
