"""Opening cases, from wherever something is found that a person has to look into."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from common import pg

from payments.domain.cases import Case, Subject
from payments.domain.review import LINKED_DEPOSITS
from payments.store.cases import CaseStore
from payments.store.history import remember


async def watch_deposits(conn: pg.Connection, player: UUID, now: datetime) -> None:
    """Money has come in: tell people when a player's deposits add up to what the rules want looked at.

    One at a time for each player: of two that are booked at once, the second one knows of the first.
    """
    cases = CaseStore(conn)
    await cases.one_sum_at_a_time(player)
    rule = (await cases.rules(now.date())).get(LINKED_DEPOSITS)
    if rule is None:
        return
    deposited = await cases.deposited(player, now - rule.window)
    if deposited >= rule.threshold:
        await open_case(
            conn, Subject.PLAYER, player, LINKED_DEPOSITS, now, player=player, amount=deposited,
            evidence={"found": str(deposited), "threshold": str(rule.threshold)},
        )  # fmt: skip


async def open_case(
    conn: pg.Connection,
    subject: Subject,
    subject_id: UUID,
    reason: str,
    now: datetime,
    *,
    player: UUID | None = None,
    amount: Decimal | None = None,
    evidence: Mapping[str, str | int | None] | None = None,
    four_eyes: bool = True,
    once: bool = False,
) -> bool:
    """Open a case, in the transaction of what was found; False when one like it is open, or, with `once`, ever was: what
    is found again and again, decided on or not, is told once."""
    if once and await CaseStore(conn).was_opened(subject, subject_id, reason):
        return False
    case = Case(
        id=uuid4(),
        subject=subject,
        subject_id=subject_id,
        reason=reason,
        opened_at=now,
        four_eyes=four_eyes,
        player=player,
        amount=amount,
        evidence={name: str(value) for name, value in (evidence or {}).items()},
    )
    opened = await CaseStore(conn).open(case)
    if opened:
        await remember(conn, "case", case.id, case.state, reason, {"subject": subject, "id": str(subject_id)})
    return opened
