"""The attestor: looks for a claimed transfer at both of the rail's sources and, if both prove it, signs.

It is the only one that decides claims. It holds the only signing key, and neither commands the ledger nor
knows its database: what it signed, others carry there.
"""

from collections.abc import Callable, Sequence
from datetime import datetime

from common import pg
from contracts.receipts import Purpose, Statement

from payments.domain.accounts import available
from payments.domain.arrivals import DOCUMENT_DIFFERS, NAME_DIFFERS
from payments.domain.deposits import Deposit, DepositState
from payments.domain.evidence import (
    Cep,
    Contradictory,
    Finding,
    Misnamed,
    NotYet,
    Proven,
    StatementLine,
    Unfounded,
    judge,
)
from payments.domain.refusals import AttestedBefore
from payments.events import tell_deposit
from payments.rail import RailSilent, Sources
from payments.service.pace import Clock, Pace
from payments.signing import Signer
from payments.store.deposits import DepositStore
from payments.store.history import Answer, remember


class Attestor:
    """Takes claims that are due and decides them one by one."""

    def __init__(
        self, pool: pg.Pool, sources: Sources, signer: Callable[[], Signer], *, pace: Pace, clock: Clock
    ) -> None:
        self._pool = pool
        self._sources = sources
        self._signer = signer
        self._pace = pace
        self._clock = clock

    async def lease(self, limit: int) -> Sequence[Deposit]:
        """Claims that are due, ours until the lease ends; whoever crashes leaves them to the next."""
        now = self._clock()
        async with pg.transaction(self._pool) as conn:
            return await DepositStore(conn).lease_unverified(now, self._pace.lease_end(now), limit)

    async def verify(self, deposit: Deposit) -> None:
        """Ask both sources, outside of any transaction, and record what they prove.

        Raises `LeaseLost` if it took longer than the lease.
        """
        try:
            line = await self._sources.statement_line(deposit.transfer)
            cep = await self._sources.cep(deposit.transfer)
        except RailSilent as silence:
            await self._look_again(deposit, "rail-silent", {"error": str(silence)})
            return
        async with pg.transaction(self._pool, readonly=True) as conn:
            own = await DepositStore(conn).clabe_of(deposit.player)
            holder = await DepositStore(conn).holder_of(deposit.player, deposit.claimed_at)
        if own is None:
            raise LookupError(f"player {deposit.player} has a deposit and no CLABE")
        finding = judge(
            transfer=deposit.transfer, claimed=deposit.amount, own=own, line=line, cep=cep, holder=holder
        )
        await self._act(deposit, finding, _told(line, cep))

    async def _act(self, deposit: Deposit, finding: Finding, told: Answer) -> None:
        match finding:
            case Proven():
                await self._attest(deposit, finding, told)
            case Unfounded(reason):
                await self._decide(deposit, DepositState.REJECTED, reason, told)
            case Contradictory(reason):
                await self._decide(deposit, DepositState.QUARANTINED, reason, told)
            case Misnamed(by="document"):
                await self._decide(deposit, DepositState.QUARANTINED, DOCUMENT_DIFFERS, told)
            case Misnamed():
                await self._decide(deposit, DepositState.QUARANTINED, NAME_DIFFERS, told)
            case NotYet("not-found") if self._clock() >= deposit.window_ends_at:
                await self._decide(deposit, DepositState.REJECTED, "not-found", told)
            case NotYet(reason):
                await self._look_again(deposit, reason, told)

    async def _attest(self, deposit: Deposit, proof: Proven, told: Answer) -> None:
        now = self._clock()
        signer = self._signer()
        attestation = signer.sign(_statement(deposit, proof, signer.key_id, now))
        attested = deposit.to(DepositState.ATTESTED, receipt_id=attestation.receipt_id)
        try:
            async with pg.transaction(self._pool) as conn:
                store = DepositStore(conn)
                await store.keep_attestation(deposit, attestation, proof)
                await store.attest(deposit, attested, now)
                await self._note(conn, attested, "attested", told, now)
        except AttestedBefore as before:
            await self._decide(deposit, DepositState.QUARANTINED, before.detail, told)

    async def _decide(self, deposit: Deposit, state: DepositState, reason: str, told: Answer) -> None:
        decided = deposit.to(state, reason=reason)
        async with pg.transaction(self._pool) as conn:
            await DepositStore(conn).decide(deposit, decided, None)
            await self._note(conn, decided, reason, told, self._clock())

    async def _look_again(self, deposit: Deposit, reason: str, told: Answer) -> None:
        now = self._clock()
        waiting = deposit.to(DepositState.NOT_FOUND_YET, reason=reason)
        async with pg.transaction(self._pool) as conn:
            await DepositStore(conn).decide(deposit, waiting, self._pace.next_try(now, deposit.tries))
            await self._note(conn, waiting, reason, told, now)

    async def _note(
        self, conn: pg.Connection, deposit: Deposit, event: str, told: Answer, now: datetime
    ) -> None:
        await remember(conn, "deposit", deposit.id, deposit.state, event, told)
        await tell_deposit(conn, deposit, now)


def _statement(deposit: Deposit, proof: Proven, key_id: str, now: datetime) -> Statement:
    return Statement(
        receipt_id=deposit.transfer.receipt_id,
        rail="spei",
        tracking_key=deposit.transfer.tracking_key,
        document_sha256=proof.document_sha256.hex(),
        purpose=Purpose.DEPOSIT,
        account=available(deposit.player),
        amount=str(proof.amount),
        currency=proof.amount.currency,
        occurred_at=proof.occurred_at,
        issued_at=now,
        key_id=key_id,
    )


def _told(line: StatementLine | None, cep: Cep | None) -> Answer:
    """What each source said, for the history. Another player's account numbers stay out of it."""
    document = cep.document if cep else None
    return {
        "statement": line.status if line else None,
        "statement_amount": str(line.amount) if line else None,
        "cep": cep.status if cep else None,
        "cep_amount": str(document.amount) if document else None,
    }
