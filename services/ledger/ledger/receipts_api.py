"""The receipts process over HTTP: attestations in, receipts stored. It can write nothing else."""

from __future__ import annotations

from aiohttp import web
from common.http import Route, read, reply
from common.watched import WatchedFile
from contracts.receipts import Attestation, ReceiptView

from ledger.attestation import PublicKeys, verified
from ledger.domain import refusals
from ledger.keys import READING
from ledger.service import accept_receipt

PUBLIC_KEYS = web.AppKey("public_keys", WatchedFile[PublicKeys])
"""The attestor's keys, read again when their file changes: a new key needs no restart."""

EL_CARRIL = 1


async def post_receipt(request: web.Request) -> web.Response:
    """Store a receipt whose attestation verifies.

    The signature is the authentication: whoever brings it, only the attestor can have made it. Sent
    again, it is answered 200.
    """
    attestation = await read(request, Attestation)
    keys = request.app[PUBLIC_KEYS].current
    receipt = verified(attestation, keys, EL_CARRIL)
    fresh = await accept_receipt(request.app[READING], receipt)
    return reply(ReceiptView(receipt_id=attestation.receipt_id), status=201 if fresh else 200)


ROUTES = (
    Route("POST", "/v1/receipts", post_receipt, body=Attestation, returns=ReceiptView, status=201, auth="none",
          refusals=(refusals.BadAttestation, refusals.ReceiptMismatch, refusals.DuplicateTrackingKey,
                    refusals.DuplicateDocument, refusals.ReceiptExists, refusals.OriginUnknown)),
)  # fmt: skip
