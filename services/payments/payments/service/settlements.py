"""Settlement files: fetched, kept as they came, matched line by line, and then attested and booked as a whole."""

import logging
from datetime import timedelta
from decimal import Decimal
from typing import Final
from uuid import UUID, uuid5

from common import pg
from common.money import Money

from payments.domain.accounts import receivable
from payments.domain.cards import Operation
from payments.domain.cases import Subject
from payments.domain.disputes import DisputeState
from payments.domain.payout_files import (
    CHARGEBACK,
    CURRENCY,
    OF_DISPUTES,
    UNDER_WAY,
    ZERO,
    BreakClass,
    PayoutFile,
    PayoutLine,
    match,
    match_dispute,
    parse_payout,
    settled,
)
from payments.domain.proofs import Purpose, ask
from payments.domain.refusals import BadPayoutFile
from payments.psp import CardProvider
from payments.rail import RailSilent
from payments.service import card_effects
from payments.service.cards import Cards
from payments.service.cases import open_case
from payments.service.disputes import Disputes
from payments.service.pace import Clock
from payments.store.cards import CardStore
from payments.store.disputes import DisputeStore
from payments.store.payout_files import MatchedLine, PayoutFileStore
from payments.store.proofs import ProofStore

log = logging.getLogger(__name__)

FILES: Final = UUID("3e1c2e55-8f0a-5f6c-8d3b-0b6a3b4e5c77")
"""The namespace of the ids of files: one name of one provider is one file."""


class Settlements:
    """Imports what the provider has published."""

    def __init__(
        self,
        pool: pg.Pool,
        provider: CardProvider,
        cards: Cards,
        disputes: Disputes,
        *,
        patience: timedelta,
        overdue: timedelta,
        clock: Clock,
    ) -> None:
        """A file waits at most `patience` for operations of ours that are still under way; what no file has
        `overdue` after it was asked for is asked about again."""
        self._cards = cards
        self._disputes = disputes
        self._overdue = overdue
        self._pool = pool
        self._provider = provider
        self._patience = patience
        self._clock = clock
        self._first_seen: dict[str, float] = {}

    async def import_new(self) -> int:
        """Import the files that are new; returns how many. One that cannot be had holds up no other.

        Raises `RailSilent` after the others.
        """
        names = await self._provider.payouts()
        async with pg.transaction(self._pool, readonly=True) as conn:
            known = await PayoutFileStore(conn).known(self._provider.name)
        imported, silence = 0, None
        for name in (each for each in names if each not in known):
            try:
                imported += await self._import(name)
            except RailSilent as silent:
                silence = silent
        if silence is not None:
            raise silence
        return imported

    async def look_overdue(self) -> int:
        """Ask again about what a settlement file should have had by now; returns how many were looked at.

        What the provider has changed its mind about is applied; what it still says it did, and does not pay out, is
        a break. Raises `RailSilent`.
        """
        before = self._clock() - self._overdue
        async with pg.transaction(self._pool, readonly=True) as conn:
            overdue = await PayoutFileStore(conn).overdue(before, 50)
        for operation in overdue:
            told = await self._provider.find(operation)
            if told is not None:
                await self._cards.hear(told, operation.id)
            async with pg.transaction(self._pool) as conn:
                await open_case(
                    conn, Subject.CARD, operation.id, BreakClass.MISSING_EXTERNAL, self._clock(),
                    amount=operation.amount.amount, evidence={"object": operation.psp_id, "act": operation.act},
                )  # fmt: skip
        return len(overdue)

    async def _import(self, name: str) -> bool:
        text = await self._provider.payout(name)
        if text is None:
            return False
        file_id = uuid5(FILES, f"{self._provider.name}:{name}")
        try:
            file = parse_payout(text)
        except BadPayoutFile as bad:
            return await self._reject(file_id, name, text, bad.detail)
        for dispute in sorted({line.psp_id for line in file.lines if line.kind in OF_DISPUTES}):
            await self._disputes.learn(dispute)
        async with pg.transaction(self._pool) as conn:
            lines, waits = await self._match(conn, file)
            if waits and not self._out_of_patience(name):
                return False
            owed = await PayoutFileStore(conn).owed(self._provider.name)
            carried_from = next((each for each, closing in owed if closing == file.opening), None)
            if file.opening < ZERO and carried_from is None:
                # The file that left it may be yet to come; without it nobody knows what is set off here.
                if self._out_of_patience(name):
                    await self._tell(conn, file_id, name, "opens-with-what-no-file-left", -file.opening)
                return False
            for left_by, closing in owed if carried_from is None else ():
                await self._tell(conn, left_by, name, "not-set-off", -closing)
            return await self._keep(conn, file_id, name, text, file, lines, carried_from)

    def _out_of_patience(self, name: str) -> bool:
        now = self._clock().timestamp()
        return now - self._first_seen.setdefault(name, now) >= self._patience.total_seconds()

    async def _match(self, conn: pg.Connection, file: PayoutFile) -> tuple[list[MatchedLine], bool]:
        """Every line in its one bucket, and whether some line may still find its operation in time."""
        matched, waits = await self._match_disputes(conn, file)
        seen: set[tuple[UUID, str]] = set()
        for line in (each for each in file.lines if each.kind not in OF_DISPUTES):
            operation = await CardStore(conn).by_psp_id(line.psp_id)
            broken = await self._broken(conn, line, operation, seen)
            waits = waits or (
                broken is BreakClass.TIMING_OR_STATE
                and operation is not None
                and operation.state in UNDER_WAY
            )
            if operation is not None and broken is None:
                seen.add((operation.id, line.kind))
            matched.append(MatchedLine(line, operation.id if operation and not broken else None, broken))
        return matched, waits

    async def _match_disputes(self, conn: pg.Connection, file: PayoutFile) -> tuple[list[MatchedLine], bool]:
        """The same for the lines about disputes, what is taken before what is given back."""
        matched: list[MatchedLine] = []
        counted: dict[str, dict[str, Decimal]] = {}
        waits = False
        about = [each for each in file.lines if each.kind in OF_DISPUTES]
        for line in sorted(about, key=lambda each: each.kind != CHARGEBACK):
            dispute = await DisputeStore(conn).by_id(line.psp_id)
            if line.psp_id not in counted:
                counted[line.psp_id] = dict(await PayoutFileStore(conn).counted_of(line.psp_id))
            broken = match_dispute(line, dispute, counted[line.psp_id])
            if broken is None:
                counted[line.psp_id][line.kind] = line.amount
            elif dispute is not None and dispute.state is DisputeState.OPEN:
                waits = waits or broken is BreakClass.TIMING_OR_STATE
            dispute_id = None if broken else line.psp_id
            matched.append(MatchedLine(line, None, broken, dispute_id))
        return matched, waits

    async def _broken(
        self, conn: pg.Connection, line: PayoutLine, operation: Operation | None, seen: set[tuple[UUID, str]]
    ) -> BreakClass | None:
        again = operation is not None and (
            (operation.id, line.kind) in seen
            or await PayoutFileStore(conn).lines_seen(operation.id, line.kind)
        )
        return match(line, operation, seen=again)

    async def _keep(
        self,
        conn: pg.Connection,
        file_id: UUID,
        name: str,
        text: str,
        file: PayoutFile,
        lines: list[MatchedLine],
        carried_from: UUID | None,
    ) -> bool:
        """Keep the file and its lines, open a case for each break, and have the rest attested."""
        now = self._clock()
        ours = [each for each in lines if each.break_class is None]
        gross = sum((each.line.amount for each in ours), ZERO)
        fees = sum((each.line.fee for each in ours), ZERO)
        store = PayoutFileStore(conn)
        if not await store.add(
            file_id, self._provider.name, name, text, file, gross=gross, fees=fees, carried_from=carried_from
        ):
            return False
        await store.add_lines(file_id, lines)
        for each in lines:
            if each.break_class is not None:
                await open_case(
                    conn, Subject.PAYOUT_LINE, uuid5(file_id, str(each.line.number)), each.break_class, now,
                    amount=each.line.amount,
                    evidence={"file": name, "line": each.line.number, "object": each.line.psp_id},
                )  # fmt: skip
        if file.closing < ZERO:
            await self._tell(conn, file_id, name, "owed-to-the-provider", -file.closing)
        amount = settled(file.opening, gross, fees)
        if amount > ZERO:
            await self._ask(conn, file_id, name, amount, fees)
        else:  # all of it is set off: there is nothing for the ledger to book
            await card_effects.settle(conn, file_id, now)
        return True

    async def _tell(
        self, conn: pg.Connection, file_id: UUID, name: str, reason: str, amount: Decimal
    ) -> None:
        await open_case(
            conn, Subject.PAYOUT_LINE, file_id, reason, self._clock(), amount=amount, evidence={"file": name}
        )

    async def _ask(
        self, conn: pg.Connection, file_id: UUID, name: str, amount: Decimal, fees: Decimal
    ) -> None:
        proof = ask(
            Purpose.CARD_SETTLE,
            rail=self._provider.name,
            tracking_key=f"PAYOUT:{name.upper()}",
            subject_id=file_id,
            account=receivable(self._provider.name),
            amount=Money(amount, CURRENCY),
            fee=Money(fees, CURRENCY),
            reference=f"payouts/{file_id}",
            now=self._clock(),
        )
        if not await ProofStore(conn).ask(proof):
            # A name that differs from an earlier one's by its case alone.
            await self._tell(conn, file_id, name, "settled-before", amount)

    async def _reject(self, file_id: UUID, name: str, text: str, reason: str) -> bool:
        log.error("a settlement file is rejected", extra={"file": name, "reason": reason})
        async with pg.transaction(self._pool) as conn:
            kept = await PayoutFileStore(conn).add(
                file_id, self._provider.name, name, text, None, reason=reason
            )
            if kept:
                await open_case(
                    conn, Subject.PAYOUT_LINE, file_id, "file-does-not-add-up", self._clock(),
                    evidence={"file": name, "reason": reason},
                )  # fmt: skip
        return kept
