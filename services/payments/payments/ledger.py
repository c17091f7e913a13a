"""The ledger as payments meets it: the receipts process for what the attestor signed, the posting process
for entries that someone waits for. What happened as a fact goes through the outbox instead.

Every call may be repeated: the receipt's id and the idempotency keys make it harmless.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from common.client import RemoteProblem, ServiceClient
from common.money import Money
from contracts.ledger import EntryView, Side
from contracts.receipts import Attestation, ReceiptView
from pydantic import AwareDatetime, BaseModel, ConfigDict

from payments.domain.accounts import PlayerId, available
from payments.domain.cards import CardPayment, Operation
from payments.domain.deposits import Deposit
from payments.domain.disputes import Recovery, Shortfall
from payments.domain.proofs import Proof
from payments.domain.withdrawals import Withdrawal
from payments.entries import (
    deposit_entry,
    deposit_key,
    proof_entry,
    proof_key,
    recovery_entry,
    recovery_key,
    refund_key,
    refund_reserve_entry,
    reserve_entry,
    withdrawal_key,
)

NOT_FOUND = 404
PAGE = 200

# The receipts process knows a receipt by its id and takes no key of its own; naming one only tells the
# client that a repeat is harmless.


class _Line(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    kind: str
    reference: str
    side: Side
    amount: Decimal
    posted_at: AwareDatetime


class _Balance(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    balance: Decimal


class _Statement(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    lines: tuple[_Line, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class BankLine:
    """A posting on a bank account of ours: positive is money in."""

    kind: str
    reference: str
    amount: Decimal
    posted_at: datetime

    @classmethod
    def of(cls, line: _Line) -> "BankLine":
        signed = line.amount if line.side is Side.DEBIT else -line.amount
        return cls(line.kind, line.reference, signed, line.posted_at)


class Ledger:
    """Both of the ledger's processes. Each method raises `RemoteProblem` or `Unreachable`."""

    def __init__(self, posting: ServiceClient, receipts: ServiceClient) -> None:
        self._posting = posting
        self._receipts = receipts

    async def file_receipt(self, attestation: Attestation) -> None:
        """Put the receipt on file, where a deposit can spend it."""
        key = f"receipt:{attestation.receipt_id}"
        await self._receipts.post("/v1/receipts", attestation, ReceiptView, idempotency_key=key)

    async def book_deposit(self, deposit: Deposit, receipt_id: UUID) -> UUID:
        """Book it; returns the entry's id."""
        entry = await self._posting.post(
            "/v1/entries", deposit_entry(deposit), EntryView, idempotency_key=deposit_key(receipt_id)
        )
        return entry.id

    async def reserve(self, withdrawal: Withdrawal) -> None:
        """Set the amount aside."""
        key = withdrawal_key(withdrawal.id, "reserve")
        await self._posting.post("/v1/entries", reserve_entry(withdrawal), EntryView, idempotency_key=key)

    async def reserve_refund(self, payment: CardPayment, refund: Operation) -> None:
        """Take a refund's money out of the player's reach."""
        key = refund_key(refund.id, "request")
        entry = refund_reserve_entry(payment, refund)
        await self._posting.post("/v1/entries", entry, EntryView, idempotency_key=key)

    async def available(self, player: PlayerId, currency: str) -> Money:
        """What a player could spend now."""
        params = {"account": available(player), "currency": currency}
        try:
            found = await self._posting.get("/v1/balance", _Balance, params=params)
        except RemoteProblem as problem:
            if problem.status == NOT_FOUND:
                return Money.zero(currency)
            raise
        return Money(found.balance, currency)

    async def recover(self, shortfall: Shortfall, recovery: Recovery) -> None:
        """Take what a player has for what was lost by their dispute."""
        key = recovery_key(recovery)
        await self._posting.post(
            "/v1/entries", recovery_entry(shortfall, recovery), EntryView, idempotency_key=key
        )

    async def book_proof(self, proof: Proof) -> UUID:
        """Book what a proof pays for; returns the entry's id."""
        entry = await self._posting.post(
            "/v1/entries", proof_entry(proof), EntryView, idempotency_key=proof_key(proof.receipt_id)
        )
        return entry.id

    async def bank_lines(self, account: str, since: datetime) -> Sequence[BankLine]:
        """What was posted on one of our accounts since then, the oldest first."""
        lines: list[BankLine] = []
        params = {"account": account, "currency": "MXN", "posted_from": since.isoformat(), "limit": str(PAGE)}
        while True:
            page = await self._posting.get("/v1/statement", _Statement, params=params)
            lines += (BankLine.of(line) for line in page.lines)
            if page.next is None:
                return lines
            params["after"] = page.next

    async def has_played(self, player: PlayerId) -> bool:
        """Whether the player has ever had money held for a bet."""
        try:
            await self._posting.send(
                "GET", "/v1/balance", params={"account": f"players/{player}/held", "currency": "MXN"}
            )
        except RemoteProblem as problem:
            if problem.status == NOT_FOUND:
                return False
            raise
        return True
