"""Proofs and the attestor's words for them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from common.money import Money
from common.pg import Connection, translate
from contracts import receipts

from payments.domain.arrivals import LIMITED
from payments.domain.proofs import Proof, ProofState, Purpose, ReceiptId
from payments.domain.refusals import AttestedBefore
from payments.store.errors import LeaseLost


@dataclass(frozen=True, slots=True)
class Document:
    """What an attestation rests on."""

    text: str
    sha256: bytes
    occurred_at: datetime


class ProofStore:
    """Proofs on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def ask(self, proof: Proof) -> bool:
        """Have something attested, due at once; False when it was asked for before, unless people have given that up."""
        done = await self._conn.fetchval(
            """
            INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, fee,
                               reference, origin, asked_at, due_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12)
            ON CONFLICT DO NOTHING RETURNING true
            """,
            proof.receipt_id,
            proof.purpose,
            proof.rail,
            proof.tracking_key,
            proof.subject_id,
            proof.account,
            proof.amount.amount,
            proof.amount.currency,
            proof.fee.amount,
            proof.reference,
            proof.origin,
            proof.asked_at,
        )
        return bool(done) or await self._ask_anew(proof)

    async def _ask_anew(self, proof: Proof) -> bool:
        asked = await self._conn.fetchval(
            """
            UPDATE proof SET state = 'ASKED', due_at = $3, reason = NULL, tries = 0
            WHERE receipt_id = $1 AND subject_id = $2 AND state = 'GIVEN_UP' RETURNING true
            """,
            proof.receipt_id,
            proof.subject_id,
            proof.asked_at,
        )
        return bool(asked)

    async def is_given_up(self, purpose: Purpose, subject_id: UUID) -> bool:
        """Whether people have found that it is not so."""
        found: bool = await self._conn.fetchval(
            "SELECT EXISTS (SELECT FROM proof WHERE (purpose, subject_id, state) = ($1, $2, 'GIVEN_UP'))",
            purpose,
            subject_id,
        )
        return found

    async def by_id_for_update(self, receipt_id: UUID) -> Proof | None:
        """A proof, locked."""
        row = await self._conn.fetchrow("SELECT * FROM proof WHERE receipt_id = $1 FOR UPDATE", receipt_id)
        return None if row is None else _proof(row)

    async def lease(self, state: ProofState, now: datetime, until: datetime, limit: int) -> Sequence[Proof]:
        """Take proofs of that state that are due, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE proof SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE receipt_id IN (SELECT receipt_id FROM proof WHERE due_at <= $1 AND state = $4
                                 ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
            state,
        )
        return [_proof(row) for row in rows]

    async def save(
        self,
        before: Proof,
        state: ProofState,
        due_at: datetime | None,
        *,
        reason: str | None = None,
        entry_id: UUID | None = None,
    ) -> None:
        """What became of it. Raises `LeaseLost`."""
        tries = before.tries if state is before.state else 0
        if entry_id is None:
            changed = await self._conn.fetchval(
                """
                UPDATE proof SET state = $4, due_at = $5, reason = $6, tries = $7
                WHERE receipt_id = $1 AND state = $2 AND leases = $3 RETURNING true
                """,
                before.receipt_id, before.state, before.leases, state, due_at, reason, tries,
            )  # fmt: skip
        else:
            changed = await self._conn.fetchval(
                """
                UPDATE proof SET state = $4, due_at = $5, reason = NULL, tries = 0, entry_id = $6
                WHERE receipt_id = $1 AND state = $2 AND leases = $3 RETURNING true
                """,
                before.receipt_id, before.state, before.leases, state, due_at, entry_id,
            )  # fmt: skip
        if changed is None:
            raise LeaseLost(f"proof {before.receipt_id} is no longer as it was leased")

    async def keep_word(self, attestation: receipts.Attestation, document: Document) -> None:
        """The attestor's signed word. Raises `AttestedBefore`."""
        with translate(
            {
                "proof_word_tracking_key_is_unique": lambda: AttestedBefore("tracking-key-attested-before"),
                "proof_word_document_is_unique": lambda: AttestedBefore("document-attested-before"),
                "proof_word_pkey": lambda: AttestedBefore("tracking-key-attested-before"),
                "transfer_is_attested_once": lambda: AttestedBefore("tracking-key-attested-before"),
            }
        ):
            await self._conn.execute(
                """
                INSERT INTO proof_word (receipt_id, purpose, rail, tracking_key, account, amount, currency, origin,
                                        document_sha256, document, occurred_at, issued_at, key_id, signature)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
                """,
                attestation.receipt_id,
                attestation.purpose,
                attestation.rail,
                attestation.tracking_key,
                attestation.account,
                Money.parse(attestation.amount, attestation.currency).amount,
                attestation.currency,
                attestation.origin,
                document.sha256,
                document.text,
                attestation.occurred_at,
                attestation.issued_at,
                attestation.key_id,
                attestation.raw_signature(),
            )

    async def beyond_limits(self, rail: str, tracking_key: str) -> UUID | None:
        """The receipt of a deposit that the ledger has on file and does not book because of its player's limits."""
        receipt: UUID | None = await self._conn.fetchval(
            """
            SELECT a.receipt_id FROM attestation a JOIN deposit d ON d.id = a.deposit_id
             WHERE a.rail = $1 AND a.tracking_key = $2 AND d.state = 'QUARANTINED' AND d.reason = ANY ($3::text[])
            """,
            rail,
            tracking_key,
            list(LIMITED),
        )
        return receipt

    async def word(self, receipt_id: UUID) -> receipts.Attestation:
        """The attestor's word, exactly as it was signed. Raises LookupError when there is none."""
        row = await self._conn.fetchrow("SELECT * FROM proof_word WHERE receipt_id = $1", receipt_id)
        if row is None:
            raise LookupError(f"no word for proof {receipt_id}")
        return receipts.Statement(
            receipt_id=row["receipt_id"],
            rail=row["rail"],
            tracking_key=row["tracking_key"],
            document_sha256=row["document_sha256"].hex(),
            purpose=receipts.Purpose(row["purpose"]),
            account=row["account"],
            amount=str(Money(row["amount"], row["currency"])),
            currency=row["currency"],
            occurred_at=row["occurred_at"],
            issued_at=row["issued_at"],
            key_id=row["key_id"],
            origin=row["origin"],
        ).signed(lambda _: bytes(row["signature"]))

    async def has_word(self, receipt_id: ReceiptId) -> bool:
        """Whether the attestor has given its word for it."""
        found: bool = await self._conn.fetchval(
            "SELECT EXISTS (SELECT FROM proof_word WHERE receipt_id = $1)", receipt_id
        )
        return found

    async def psp_id_of(self, operation_id: UUID) -> str | None:
        """The provider's id of the operation that a proof is about."""
        psp_id: str | None = await self._conn.fetchval(
            "SELECT psp_id FROM card_operation WHERE id = $1", operation_id
        )
        return psp_id

    async def payout_of(self, file_id: UUID) -> tuple[str, bytes] | None:
        """The name and hash of the payout file that a proof is about."""
        row = await self._conn.fetchrow("SELECT name, sha256 FROM payout_file WHERE id = $1", file_id)
        return None if row is None else (row["name"], row["sha256"])

    async def return_clave_of(self, arrival_id: UUID) -> str | None:
        """Under which clave the money of an arrival was sent back."""
        clave: str | None = await self._conn.fetchval(
            "SELECT return_clave FROM arrival WHERE id = $1", arrival_id
        )
        return clave


def _proof(row: Record) -> Proof:
    return Proof(
        receipt_id=ReceiptId(row["receipt_id"]),
        purpose=Purpose(row["purpose"]),
        rail=row["rail"],
        tracking_key=row["tracking_key"],
        subject_id=row["subject_id"],
        account=row["account"],
        amount=Money(row["amount"], row["currency"]),
        reference=row["reference"],
        asked_at=row["asked_at"],
        fee=Money(row["fee"], row["currency"]),
        origin=row["origin"],
        state=ProofState(row["state"]),
        reason=row["reason"],
        entry_id=row["entry_id"],
        tries=row["tries"],
        leases=row["leases"],
    )
