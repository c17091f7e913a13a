"""Verifying attestations: Ed25519 over the exact signed text, with keys the ledger was given."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from decimal import Decimal

from contracts.receipts import Attestation
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from ledger.domain import refusals
from ledger.store.receipts import ReceiptRow

PublicKeys = Mapping[str, Ed25519PublicKey]


def read_public_keys(text: str) -> PublicKeys:
    """Public keys by id, from JSON of base64. Old keys stay, so old receipts stay verifiable.

    Raises ValueError for anything else.
    """
    return {
        key_id: Ed25519PublicKey.from_public_bytes(base64.b64decode(key))
        for key_id, key in json.loads(text).items()
    }


def verified(attestation: Attestation, keys: PublicKeys, ledger: int) -> ReceiptRow:
    """The receipt an attestation proves.

    Raises:
        BadAttestation: an unknown key, or a signature that is not the attestor's over this text.
    """
    key = keys.get(attestation.key_id)
    if key is None:
        raise refusals.BadAttestation(f"no attestor key {attestation.key_id}", field="key_id")
    text = attestation.signing_bytes()
    try:
        key.verify(attestation.raw_signature(), text)
    except InvalidSignature:
        raise refusals.BadAttestation("the signature does not verify", field="signature") from None
    return ReceiptRow(
        attestation.receipt_id,
        ledger,
        attestation.rail,
        attestation.tracking_key,
        bytes.fromhex(attestation.document_sha256),
        attestation.purpose.value,
        attestation.account,
        Decimal(attestation.amount),
        attestation.currency,
        attestation.occurred_at,
        attestation.key_id,
        text,
        attestation.raw_signature(),
        attestation.origin,
    )
