"""Deposits, the CLABEs they go to and the attestations that back them."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from asyncpg import Record
from common.money import Money
from common.pg import Connection, translate
from contracts.receipts import Attestation, Purpose

from payments.domain.accounts import Clabe, PlayerId
from payments.domain.deposits import CURRENCY, Deposit, DepositId, DepositState, Transfer
from payments.domain.evidence import Proven
from payments.domain.holders import Holder
from payments.domain.refusals import AttestedBefore, ClabesExhausted, NoClabeYet, TransferClaimed
from payments.store.errors import LeaseLost
from payments.store.pages import Place


class DepositStore:
    """Deposits on one connection."""

    def __init__(self, conn: Connection) -> None:
        self._conn = conn

    async def clabe_of(self, player: PlayerId) -> Clabe | None:
        """The CLABE that is this player's own."""
        clabe: str | None = await self._conn.fetchval(
            "SELECT clabe FROM player_clabe WHERE player = $1", player
        )
        return None if clabe is None else Clabe(clabe)

    async def next_serial(self) -> int:
        """A serial no CLABE has yet. Raises `ClabesExhausted` after the last."""
        with translate({"clabe_serial": lambda: ClabesExhausted("every serial has been given out")}):
            serial: int = await self._conn.fetchval("SELECT nextval('clabe_serial')")
        return serial

    async def keep_clabe(self, player: PlayerId, clabe: Clabe) -> None:
        """Give the player this CLABE, unless another request was faster and gave one."""
        await self._conn.execute(
            "INSERT INTO player_clabe (player, clabe) VALUES ($1, $2) ON CONFLICT (player) DO NOTHING",
            player,
            clabe,
        )

    async def add(self, deposit: Deposit) -> None:
        """A new claim. Raises `TransferClaimed`, or `NoClabeYet` for a player without a CLABE."""
        with translate(
            {
                "deposit_is_claimed_once": lambda: TransferClaimed("you claimed this transfer before"),
                "deposit_player_fkey": lambda: NoClabeYet("there is no CLABE a transfer could have gone to"),
            }
        ):
            await self._conn.execute(
                """
                INSERT INTO deposit (id, player, clave, operation_date, institution, tracking_key, amount,
                                     currency, claimed_at, window_ends_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
                """,
                deposit.id,
                deposit.player,
                deposit.transfer.clave,
                deposit.transfer.operation_date,
                deposit.transfer.institution,
                deposit.transfer.tracking_key,
                deposit.amount.amount,
                deposit.amount.currency,
                deposit.claimed_at,
                deposit.window_ends_at,
            )

    async def add_noticed(self, deposit: Deposit) -> bool:
        """A transfer that the statement told of, as if claimed; False when there is a claim already."""
        added = await self._conn.fetchval(
            """
            INSERT INTO deposit (id, player, clave, operation_date, institution, tracking_key, amount, currency,
                                 claimed_at, window_ends_at, noticed)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, true)
            ON CONFLICT (player, tracking_key) WHERE state <> 'REJECTED' DO NOTHING RETURNING true
            """,
            deposit.id,
            deposit.player,
            deposit.transfer.clave,
            deposit.transfer.operation_date,
            deposit.transfer.institution,
            deposit.transfer.tracking_key,
            deposit.amount.amount,
            deposit.amount.currency,
            deposit.claimed_at,
            deposit.window_ends_at,
        )
        return bool(added)

    async def noticed(self, player: PlayerId, transfer: Transfer) -> Deposit | None:
        """The deposit of this player that the statement told of, if it did."""
        row = await self._conn.fetchrow(
            "SELECT * FROM deposit WHERE player = $1 AND tracking_key = $2 AND noticed AND state <> 'REJECTED'",
            player,
            transfer.tracking_key,
        )
        return None if row is None else _deposit(row)

    async def by_id(self, deposit_id: DepositId) -> Deposit | None:
        row = await self._conn.fetchrow("SELECT * FROM deposit WHERE id = $1", deposit_id)
        return None if row is None else _deposit(row)

    async def for_update(self, deposit_id: DepositId) -> Deposit | None:
        """A deposit, locked."""
        row = await self._conn.fetchrow("SELECT * FROM deposit WHERE id = $1 FOR UPDATE", deposit_id)
        return None if row is None else _deposit(row)

    async def follow_arrival(self, deposit_id: DepositId, state: DepositState) -> None:
        """The money of a quarantined deposit went to suspense, or left it."""
        await self._conn.execute("UPDATE deposit SET state = $2 WHERE id = $1", deposit_id, state)

    async def holder_of(self, player: PlayerId, since: datetime) -> Holder | None:
        """A player as identity has verified them, if it was asked since then."""
        row = await self._conn.fetchrow(
            "SELECT full_name, curp, rfc FROM holder WHERE player = $1 AND asked_at >= $2", player, since
        )
        return None if row is None else Holder(row["full_name"], row["curp"], row["rfc"])

    async def keep_holder(self, player: PlayerId, holder: Holder, asked_at: datetime) -> None:
        """Note whom identity knows a player as. What it said when it was asked earlier replaces nothing."""
        await self._conn.execute(
            """
            INSERT INTO holder (player, full_name, curp, rfc, documents_known, asked_at) VALUES ($1, $2, $3, $4, true, $5)
            ON CONFLICT (player) DO UPDATE
               SET full_name = excluded.full_name, curp = excluded.curp, rfc = excluded.rfc, documents_known = true,
                   asked_at = excluded.asked_at
             WHERE holder.asked_at <= excluded.asked_at
            """,
            player,
            holder.full_name,
            holder.curp,
            holder.rfc,
            asked_at,
        )

    async def leave_holder(self, player: PlayerId, asked_at: datetime) -> bool:
        """Identity knows nobody by that id any more: whom it knew last is who they were. False if it never knew them."""
        await self._conn.execute(
            "UPDATE holder SET asked_at = $2 WHERE player = $1 AND asked_at <= $2", player, asked_at
        )
        return bool(await self._conn.fetchval("SELECT EXISTS (SELECT FROM holder WHERE player = $1)", player))

    async def holders_wanted(
        self, since: datetime, but: Sequence[PlayerId], limit: int
    ) -> Sequence[PlayerId]:
        """Players who got their CLABE since then and who are not known yet; and those who have a claim that waits and were
        not asked about since it was made. `but` are left out."""
        rows = await self._conn.fetch(
            """
            SELECT player, min(since) FROM (
                SELECT player, issued_at AS since FROM player_clabe c
                 WHERE issued_at >= $1 AND NOT EXISTS (SELECT FROM holder h WHERE h.player = c.player AND h.documents_known)
                UNION ALL
                SELECT d.player, d.claimed_at FROM deposit d
                 WHERE d.due_at IS NOT NULL AND d.state IN ('CLAIMED', 'VERIFYING', 'NOT_FOUND_YET')
                   AND NOT EXISTS (SELECT FROM holder h WHERE h.player = d.player AND h.asked_at >= d.claimed_at)) wanted
             WHERE player <> ALL ($2::uuid[])
            GROUP BY player ORDER BY 2 LIMIT $3
            """,
            since,
            but,
            limit,
        )
        return [PlayerId(row["player"]) for row in rows]

    async def of_player(self, player: PlayerId, deposit_id: DepositId) -> Deposit | None:
        """A deposit, if it is this player's."""
        row = await self._conn.fetchrow(
            "SELECT * FROM deposit WHERE id = $1 AND player = $2", deposit_id, player
        )
        return None if row is None else _deposit(row)

    async def page(self, player: PlayerId, after: Place | None, limit: int) -> Sequence[Deposit]:
        """A player's deposits, the latest first, from after that place."""
        rows = await self._conn.fetch(
            """
            SELECT * FROM deposit
            WHERE player = $1 AND ($2::timestamptz IS NULL OR (claimed_at, id) < ($2, $3))
            ORDER BY claimed_at DESC, id DESC LIMIT $4
            """,
            player,
            after and after.at,
            after and after.id,
            limit,
        )
        return [_deposit(row) for row in rows]

    async def lease_unverified(self, now: datetime, until: datetime, limit: int) -> Sequence[Deposit]:
        """Take claims that are due, for the attestor alone until that time; they are VERIFYING now.

        While a player's name is not known there is nothing to compare the sender with: such a claim waits, until its
        window ends.
        """
        rows = await self._conn.fetch(
            """
            UPDATE deposit SET state = 'VERIFYING', due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM deposit d
                         WHERE due_at <= $1 AND state IN ('CLAIMED', 'NOT_FOUND_YET', 'VERIFYING')
                           AND (window_ends_at <= $1 OR EXISTS (
                               SELECT FROM holder h WHERE h.player = d.player AND h.asked_at >= d.claimed_at))
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
        )
        return [_deposit(row) for row in rows]

    async def lease_attested(self, now: datetime, until: datetime, limit: int) -> Sequence[Deposit]:
        """Take attested deposits that are due to be booked, for one worker until that time."""
        rows = await self._conn.fetch(
            """
            UPDATE deposit SET due_at = $2, tries = tries + 1, leases = leases + 1
            WHERE id IN (SELECT id FROM deposit WHERE due_at <= $1 AND state = 'ATTESTED'
                         ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED)
            RETURNING *
            """,
            now,
            until,
            limit,
        )
        return [_deposit(row) for row in rows]

    async def by_receipt_for_update(self, receipt_id: UUID) -> Deposit | None:
        """The deposit that receipt backs, locked."""
        row = await self._conn.fetchrow("SELECT * FROM deposit WHERE receipt_id = $1 FOR UPDATE", receipt_id)
        return None if row is None else _deposit(row)

    async def attest(self, before: Deposit, attested: Deposit, due_at: datetime) -> None:
        """The attestor's step to ATTESTED. Raises `LeaseLost`."""
        changed = await self._conn.fetchval(
            """
            UPDATE deposit SET state = $4, receipt_id = $5, version = $6, due_at = $7, tries = $8, reason = NULL
            WHERE id = $1 AND state = $2 AND leases = $3 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            attested.state,
            attested.receipt_id,
            attested.version,
            due_at,
            attested.tries,
        )
        _require(changed, before)

    async def decide(self, before: Deposit, decided: Deposit, due_at: datetime | None) -> None:
        """A verdict without a receipt, or no verdict yet: due again then, or never. Raises `LeaseLost`."""
        changed = await self._conn.fetchval(
            """
            UPDATE deposit SET state = $4, reason = $5, version = $6, due_at = $7, tries = $8
            WHERE id = $1 AND state = $2 AND leases = $3 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            decided.state,
            decided.reason,
            decided.version,
            due_at,
            decided.tries,
        )
        _require(changed, before)

    async def book(self, before: Deposit, booked: Deposit, now: datetime) -> None:
        """The step to BOOKED; the account the money came from may be paid to from now on.

        Raises `LeaseLost`.
        """
        changed = await self._conn.fetchval(
            """
            UPDATE deposit SET state = $4, entry_id = $5, version = $6, reason = NULL, due_at = NULL, tries = 0,
                               booked_at = $7
            WHERE id = $1 AND state = $2 AND leases = $3 RETURNING true
            """,
            before.id,
            before.state,
            before.leases,
            booked.state,
            booked.entry_id,
            booked.version,
            now,
        )
        _require(changed, before)
        await self._conn.execute(
            """
            INSERT INTO payout_clabe (player, clabe, deposit_id)
            SELECT player, ordering_account, deposit_id FROM attestation
            WHERE deposit_id = $1 AND clabe_is_valid(ordering_account)
            ON CONFLICT (player, clabe) DO NOTHING
            """,
            before.id,
        )

    async def keep_attestation(self, deposit: Deposit, attestation: Attestation, proof: Proven) -> None:
        """The attestor's signed word and what it rests on. Raises `AttestedBefore`."""
        with translate(
            {
                "attestation_tracking_key_is_unique": lambda: AttestedBefore("tracking-key-attested-before"),
                "attestation_document_is_unique": lambda: AttestedBefore("document-attested-before"),
                "attestation_pkey": lambda: AttestedBefore("tracking-key-attested-before"),
                "transfer_is_attested_once": lambda: AttestedBefore("tracking-key-attested-before"),
            }
        ):
            await self._conn.execute(
                """
                INSERT INTO attestation (receipt_id, deposit_id, player, rail, tracking_key, document_sha256,
                                         document, purpose, account, amount, currency, beneficiary_clabe,
                                         ordering_account, ordering_name, occurred_at, issued_at, key_id,
                                         signature)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
                """,
                attestation.receipt_id,
                deposit.id,
                deposit.player,
                attestation.rail,
                attestation.tracking_key,
                proof.document_sha256,
                proof.cadena,
                attestation.purpose,
                attestation.account,
                proof.amount.amount,
                attestation.currency,
                proof.beneficiary_clabe,
                proof.ordering_account,
                proof.ordering_name,
                attestation.occurred_at,
                attestation.issued_at,
                attestation.key_id,
                attestation.raw_signature(),
            )

    async def attestation(self, receipt_id: UUID) -> Attestation:
        """The attestation under that receipt's id, exactly as it was signed."""
        row = await self._conn.fetchrow(
            """
            SELECT receipt_id, rail, tracking_key, encode(document_sha256, 'hex') AS document_sha256, purpose,
                   account, amount, currency, occurred_at, issued_at, key_id,
                   translate(encode(signature, 'base64'), E'\\n', '') AS signature
            FROM attestation WHERE receipt_id = $1
            """,
            receipt_id,
        )
        if row is None:
            raise LookupError(f"receipt {receipt_id} has no attestation")
        return Attestation(
            receipt_id=row["receipt_id"],
            rail=row["rail"],
            tracking_key=row["tracking_key"],
            document_sha256=row["document_sha256"],
            purpose=Purpose(row["purpose"]),
            account=row["account"],
            amount=str(Money(row["amount"], row["currency"])),
            currency=row["currency"],
            occurred_at=row["occurred_at"],
            issued_at=row["issued_at"],
            key_id=row["key_id"],
            signature=row["signature"],
        )


def _require(changed: bool | None, before: Deposit) -> None:
    if changed is None:
        raise LeaseLost(f"deposit {before.id} is no longer as it was leased")


def _deposit(row: Record) -> Deposit:
    return Deposit(
        id=DepositId(row["id"]),
        player=PlayerId(row["player"]),
        transfer=Transfer(row["clave"], row["operation_date"], row["institution"]),
        amount=Money(row["amount"], CURRENCY),
        state=DepositState(row["state"]),
        claimed_at=row["claimed_at"],
        window_ends_at=row["window_ends_at"],
        reason=row["reason"],
        receipt_id=row["receipt_id"],
        entry_id=row["entry_id"],
        version=row["version"],
        tries=row["tries"],
        leases=row["leases"],
        noticed=row["noticed"],
    )
