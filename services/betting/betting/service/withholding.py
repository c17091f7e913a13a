"""Asking for tax rates and deciding about them: no rate without two administrators."""

from uuid import uuid4

from common.client import ServiceClient
from common.idempotency import Answer
from common.pg import Connection, Pool, transaction
from common.staff import standing

from betting.domain.errors import NoSuchApproval
from betting.domain.withholding import ApprovalStatus, RateApproval, RateApprovalId, TaxRate
from betting.service.calls import Call, Clock, NewId, Show, now_utc, once_in
from betting.store.withholding import WithholdingStore


class Withholding:
    def __init__(
        self, pool: Pool, identity: ServiceClient, *, clock: Clock = now_utc, new_id: NewId = uuid4
    ) -> None:
        self._pool = pool
        self._identity = identity
        self._clock = clock
        self._new_id = new_id

    async def ask(self, call: Call, rate: TaxRate, reason: str, show: Show[RateApproval]) -> Answer:
        """Ask for what the law withholds in a state from a day on. RateExists and RateTooLate are stored answers."""

        async def work(conn: Connection) -> Answer:
            asked = RateApprovalId(self._new_id())
            return show(await WithholdingStore(conn).ask(asked, rate, reason, call.user_id))

        return await once_in(self._pool, call, work)

    async def decide(
        self, call: Call, approval_id: RateApprovalId, show: Show[RateApproval], *, approve: bool
    ) -> Answer:
        """Approve what another administrator asked for, which makes it the rate, or refuse it.

        Identity is asked what whoever asked is by now, before the transaction.
        Raises NoSuchApproval, FourEyesNeeded, Unreachable (identity); ApprovalDecided, ApprovalEnded, AskerMayNot,
        RateExists and RateTooLate are stored answers.
        """
        async with transaction(self._pool, readonly=True) as conn:
            seen = _found(await WithholdingStore(conn).approval(approval_id))
        asker = await standing(self._identity, seen.requested_by) if approve else None

        async def work(conn: Connection) -> Answer:
            store = WithholdingStore(conn)
            found = _found(await store.approval_for_update(approval_id))
            role = None if asker is None else asker.role
            found.check_decision(call.user_id, role, approve=approve, now=self._clock())
            status = ApprovalStatus.APPROVED if approve else ApprovalStatus.REFUSED
            return show(await store.decide(approval_id, status, call.user_id))

        return await once_in(self._pool, call, work)

    async def approvals(self, status: ApprovalStatus) -> list[RateApproval]:
        """What was asked for and is open, approved or refused, the newest first."""
        async with transaction(self._pool, readonly=True) as conn:
            return await WithholdingStore(conn).approvals(status)


def _found(approval: RateApproval | None) -> RateApproval:
    if approval is None:
        raise NoSuchApproval("no such request")
    return approval
