"""The witness: the half of the attestor that attests proofs. What it is asked is only where to look.

It asks the rail or the provider itself, at two sources where there are two, and signs what both say; where they
say otherwise than was asked, nothing is signed and a person decides.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from common import pg
from common.money import Money, MoneyError
from contracts import receipts

from payments.domain.accounts import receivable
from payments.domain.arrivals import CAME_BACK
from payments.domain.cards import Standing, Told
from payments.domain.deposits import Transfer
from payments.domain.evidence import MEXICO_CITY, Contradictory, Proven, RailStatus, agree
from payments.domain.orders import OWN_INSTITUTION, RailOrder
from payments.domain.payout_files import CURRENCY, contradicts, parse_payout
from payments.domain.proofs import Proof, ProofState, Purpose
from payments.domain.refusals import AttestedBefore, BadPayoutFile
from payments.psp import CardProvider, ReportLine
from payments.rail import RailSilent, Sources
from payments.service.pace import Clock, Pace
from payments.signing import Signer
from payments.store.history import remember
from payments.store.payout_files import PayoutFileStore
from payments.store.proofs import Document, ProofStore


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing to decide on yet."""

    reason: str


@dataclass(frozen=True, slots=True)
class Otherwise:
    """The sources do not say what was asked."""

    reason: str


Found = Document | Later | Otherwise


class Witness:
    """Takes proofs that are asked for and attests them one by one."""

    def __init__(
        self,
        pool: pg.Pool,
        sources: Sources,
        provider: CardProvider,
        signer: Callable[[], Signer],
        *,
        pace: Pace,
        clock: Clock,
    ) -> None:
        self._pool = pool
        self._sources = sources
        self._provider = provider
        self._signer = signer
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Proof]:
        """Proofs that are asked for and due, ours until the lease ends."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await ProofStore(conn).lease(ProofState.ASKED, now, self._pace.lease_end(now), limit)

    async def attest(self, proof: Proof) -> None:
        """Look for it, outside of any transaction, and record what is found.

        Raises `LeaseLost` if it took longer than the lease.
        """
        try:
            found = await self._look(proof)
        except RailSilent as silence:
            found = Later(f"silent: {silence}"[:200])
        match found:
            case Document():
                await self._sign(proof, found)
            case Later(reason):
                due_at = self._pace.next_try(self._clock(), proof.tries)
                await self._save(proof, ProofState.ASKED, reason, due_at)
            case Otherwise(reason):
                # Due at once: the other half has to draw the consequences.
                await self._save(proof, ProofState.CONFLICTED, reason, self._clock())

    async def _look(self, proof: Proof) -> Found:
        match proof.purpose:
            case Purpose.CARD_CAPTURE:
                return await self._look_for_card(proof, "capture", Standing.SUCCEEDED, proof.amount)
            case Purpose.REFUND_RETURNED:
                nothing = Money.zero(proof.amount.currency)
                return await self._look_for_card(proof, "refund", Standing.FAILED, nothing)
            case Purpose.CARD_SETTLE:
                return await self._look_for_payout(proof)
            case Purpose.SUSPENSE | Purpose.SUSPENSE_ASSIGN:
                return await self._look_for_arrival(proof)
            case Purpose.SUSPENSE_RETURN:
                return await self._look_for_return(proof)
            case Purpose.WITHDRAWAL_RETURNED:
                return await self._look_for_returned_order(proof)

    async def _look_for_card(self, proof: Proof, act: str, standing: Standing, net: Money) -> Found:
        async with pg.transaction(self._pool, readonly=True) as conn:
            psp_id = await ProofStore(conn).psp_id_of(proof.subject_id)
        if psp_id is None or psp_id.upper() != proof.tracking_key.partition(":")[2]:
            return Otherwise("another-object")
        told = await self._provider.fetch(psp_id)
        line = await self._provider.report(psp_id)
        if told is None or line is None:
            return Later("not-found")
        if (told.act, told.key, told.standing) != (act, str(proof.subject_id), standing):
            return Otherwise("object-differs")
        if (told.amount, told.currency) != (str(proof.amount), proof.amount.currency):
            return Otherwise("amount-differs")
        if (line.act, line.currency) != (act, told.currency) or not _says(line.amount, net):
            return Otherwise("report-differs")
        return _document({"object": _plain(told), "report": _plain_line(line)}, line.occurred_at)

    async def _look_for_payout(self, proof: Proof) -> Found:
        """The file as the provider has it makes the amount and the fee, by the lines that were counted."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            filed = await ProofStore(conn).payout_of(proof.subject_id)
            counted = await PayoutFileStore(conn).counted(proof.subject_id)
        if filed is None:
            return Otherwise("no-file")
        name, digest = filed
        if (proof.tracking_key, proof.account) != (f"PAYOUT:{name.upper()}", receivable(self._provider.name)):
            return Otherwise("another-file")
        text = await self._provider.payout(name)
        if text is None:
            return Later("not-found")
        if hashlib.sha256(text.encode()).digest() != digest:
            return Otherwise("file-differs")
        try:
            file = parse_payout(text)
        except BadPayoutFile:
            return Otherwise("file-does-not-add-up")
        if proof.amount.currency != CURRENCY:
            return Otherwise("currency-differs")
        differs = contradicts(file, counted, amount=proof.amount.amount, fees=proof.fee.amount)
        return Otherwise(differs) if differs is not None else Document(text, digest, self._clock())

    async def _look_for_arrival(self, proof: Proof) -> Found:
        """What it came by: a transfer, or an order of ours that was sent back."""
        if proof.tracking_key.startswith(CAME_BACK):
            return await self._look_for_returned_order(proof)
        agreed = await self._agreed(proof)
        if not isinstance(agreed, Proven):
            return agreed
        return Document(agreed.cadena, agreed.document_sha256, agreed.occurred_at)

    async def _agreed(self, proof: Proof) -> Proven | Later | Otherwise:
        """What both sources say of the transfer that the money came by."""
        transfer = _transfer_of(proof.tracking_key)
        line = await self._sources.statement_line(transfer)
        cep = await self._sources.cep(transfer)
        if line is None or cep is None or RailStatus.IN_PROCESS in (line.status, cep.status):
            return Later("not-found")
        if cep.document is None or {line.status, cep.status} != {RailStatus.LIQUIDATED}:
            return Otherwise("status-differs")
        agreed = agree(transfer, line, cep.document)
        if isinstance(agreed, Contradictory):
            return Otherwise(agreed.reason)
        return agreed if agreed.amount == proof.amount else Otherwise("amount-differs")

    async def _look_for_return(self, proof: Proof) -> Found:
        """The money in suspense has been sent back to where it came from. The receipt names the transfer it came by, and
        rests on its document; that it has left again is looked up at both sources."""
        async with pg.transaction(self._pool, readonly=True) as conn:
            clave = await ProofStore(conn).return_clave_of(proof.subject_id)
        if clave is None:
            return Otherwise("never-sent")
        order = await self._sources.order_status(clave)
        found = await self._status_of_order(proof, order, RailStatus.LIQUIDATED, RailStatus.RETURNED)
        if found is not None or order is None:
            return found or Later("not-found")
        came_from = await self._came_from(proof)
        if came_from is not None and came_from != order.beneficiary_clabe:
            return Otherwise("returned-elsewhere")
        return await self._look_for_arrival(proof)

    async def _came_from(self, proof: Proof) -> str | None:
        """The account that the money came from, if its sources agree."""
        if proof.tracking_key.startswith(CAME_BACK):
            order = await self._sources.order_status(proof.tracking_key.removeprefix(CAME_BACK))
            return None if order is None else order.beneficiary_clabe
        agreed = await self._agreed(proof)
        return agreed.ordering_account if isinstance(agreed, Proven) else None

    async def _look_for_returned_order(self, proof: Proof) -> Found:
        clave = proof.tracking_key.removeprefix(CAME_BACK)
        order = await self._sources.order_status(clave)
        found = await self._status_of_order(proof, order, RailStatus.RETURNED)
        if found is not None or order is None:
            return found or Later("not-found")
        return _document(
            {"clave": order.clave, "status": str(order.status), "amount": str(order.amount)}, self._clock()
        )

    async def _status_of_order(
        self, proof: Proof, order: RailOrder | None, *wanted: RailStatus
    ) -> Found | None:
        """None when participant and central bank both say the same of the order, and it is one of those wanted."""
        if order is None:
            return Later("not-found")
        if order.amount != proof.amount:
            return Otherwise("amount-differs")
        today = self._clock().astimezone(MEXICO_CITY).date()
        cep = await self._sources.cep(Transfer(order.clave, order.operation_date or today, OWN_INSTITUTION))
        if cep is None or RailStatus.IN_PROCESS in (order.status, cep.status):
            return Later("not-found")
        agreed = order.status is cep.status and order.status in wanted
        return None if agreed else Otherwise("status-differs")

    async def _sign(self, proof: Proof, document: Document) -> None:
        now = self._clock()
        origin: UUID | None = proof.origin
        if proof.purpose is Purpose.SUSPENSE:
            # Attested for its player first: this word replaces that one, and the ledger books one of them at most.
            async with pg.transaction(self._pool, readonly=True) as conn:
                origin = await ProofStore(conn).beyond_limits(proof.rail, proof.tracking_key)
        signer = self._signer()
        attestation = signer.sign(
            receipts.Statement(
                receipt_id=proof.receipt_id,
                rail=proof.rail,
                tracking_key=proof.tracking_key,
                document_sha256=document.sha256.hex(),
                purpose=receipts.Purpose(proof.purpose),
                account=proof.account,
                amount=str(proof.amount),
                currency=proof.amount.currency,
                occurred_at=document.occurred_at,
                issued_at=now,
                key_id=signer.key_id,
                origin=origin,
            )
        )
        try:
            async with pg.transaction(self._pool) as conn:
                store = ProofStore(conn)
                await store.keep_word(attestation, document)
                await store.save(proof, ProofState.ATTESTED, now)
                await remember(conn, "proof", proof.receipt_id, ProofState.ATTESTED, "attested")
        except AttestedBefore as before:
            await self._save(proof, ProofState.CONFLICTED, before.detail, now)

    async def _save(self, proof: Proof, state: ProofState, reason: str, due_at: datetime) -> None:
        async with pg.transaction(self._pool) as conn:
            await ProofStore(conn).save(proof, state, due_at, reason=reason)
            await remember(conn, "proof", proof.receipt_id, state, reason)


def _transfer_of(tracking_key: str) -> Transfer:
    day, institution, clave = tracking_key.split(":")
    return Transfer(clave, date(int(day[:4]), int(day[4:6]), int(day[6:])), institution)


def _says(amount: str, wanted: Money) -> bool:
    try:
        return Money.parse(amount, wanted.currency) == wanted
    except MoneyError:
        return False


def _document(content: object, occurred_at: datetime) -> Document:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Document(text, hashlib.sha256(text.encode()).digest(), occurred_at)


def _plain(told: Told) -> dict[str, str | None]:
    return {
        "id": told.psp_id,
        "key": told.key,
        "act": told.act,
        "amount": told.amount,
        "currency": told.currency,
        "status": str(told.standing),
    }


def _plain_line(line: ReportLine) -> dict[str, str]:
    return {"id": line.id, "act": line.act, "amount": line.amount, "at": line.occurred_at.isoformat()}
