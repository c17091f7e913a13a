"""Disputes: what is contested is not refunded, what is won can be again, and what is lost is gone."""

import asyncio
import json
from uuid import uuid4

import asyncpg
import pytest
from common import pg
from contracts import payments as events
from payments.domain.cards import Act, CardPaymentId, OperationId, Standing, Told
from payments.domain.cases import Decision
from payments.service import disputes

from services.payments.tests.card_scene import captured, cases, found, hear, refund
from services.payments.tests.test_card_events import told
from services.payments.tests.test_forged_rows import refusal
from services.payments.tests.test_suspense import decide, the_case
from services.payments.tests.world import World, new_player


async def disputed(here: World) -> tuple[CardPaymentId, str]:
    """A hundred captured, forty of it refunded, and that refund's forty disputed."""
    payment_id = await captured(here, new_player(), "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(dispute_during_refund=1.0)
    (dispute,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    await here.psp.faults()
    await hear(here, dispute["id"])
    assert await held(here, payment_id) == 40
    return payment_id, dispute["id"]


async def held(here: World, payment_id: CardPaymentId) -> int:
    amount: int = await here.owner.fetchval("SELECT disputed FROM card_payment WHERE id = $1", payment_id)
    return amount


async def ended(here: World, dispute: str, *, won: bool) -> None:
    await here.psp.ask("POST", f"/control/disputes/{dispute}", {"won": won})
    for _ in range(2):
        await hear(here, dispute)


async def test_what_is_won_can_be_refunded_again(here: World) -> None:
    payment_id, dispute = await disputed(here)
    assert json.loads((await refund(here, payment_id, "20.01")).body)["type"] == "/problems/refund-impossible"
    await ended(here, dispute, won=True)
    assert await held(here, payment_id) == 0
    assert json.loads((await refund(here, payment_id, "60.01")).body)["type"] == "/problems/refund-impossible"
    assert (await refund(here, payment_id, "60.00")).status == 202
    steps = [each.step for each in await told(here, payment_id) if isinstance(each, events.CardDisputed)]
    assert steps == ["dispute", "won"]


async def test_what_is_lost_is_gone(here: World) -> None:
    payment_id, dispute = await disputed(here)
    await ended(here, dispute, won=False)
    assert await held(here, payment_id) == 40
    assert json.loads((await refund(here, payment_id, "20.01")).body)["type"] == "/problems/refund-impossible"
    assert (await refund(here, payment_id, "20.00")).status == 202


async def test_a_dispute_counts_once_though_its_case_was_closed_before_it_is_told_of_again(
    here: World,
) -> None:
    payment_id, dispute = await disputed(here)
    await decide(here, await the_case(here), Decision.CLOSE)
    for _ in range(2):
        await hear(here, dispute)
    assert await held(here, payment_id) == 40
    assert len(await cases(here)) == 1


async def test_how_it_ended_is_not_taken_back(here: World) -> None:
    payment_id, dispute = await disputed(here)
    await ended(here, dispute, won=True)
    await ended(here, dispute, won=False)
    assert await held(here, payment_id) == 0
    assert sorted(await cases(here)) == [
        ("card", f"dispute-was-won:{dispute}"),
        ("card", f"dispute:{dispute}"),
    ]


def about(payment: CardPaymentId, operation: OperationId, standing: Standing) -> Told:
    return Told(f"dp_{uuid4().hex}", str(operation), "dispute", str(payment), "100.00", "MXN", standing)


async def test_disputes_never_hold_more_than_what_is_left(here: World) -> None:
    """Several of one payment, some already over when they are heard of: each releases what it held itself."""
    payment_id = await captured(here, new_player(), "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    operations = (await found(here, payment_id))[1]
    capture, refunded = operations[Act.CAPTURE].id, operations[Act.REFUND].id
    holds = []
    for operation, standing in (
        (refunded, Standing.PROCESSING), (capture, Standing.SUCCEEDED), (capture, Standing.PROCESSING),
        (refunded, Standing.FAILED), (refunded, Standing.SUCCEEDED),
    ):  # fmt: skip
        async with pg.transaction(here.pool) as conn:
            await disputes.hear(conn, about(payment_id, operation, standing), here.clock())
        holds.append(await held(here, payment_id))
    assert holds == [40, 40, 60, 60, 60]
    assert (await refund(here, payment_id, "0.01")).status == 409


async def test_one_dispute_heard_of_by_eight_at_once_is_one(here: World) -> None:
    payment_id = await captured(here, new_player(), "100.00")
    capture = (await found(here, payment_id))[1][Act.CAPTURE].id
    news = about(payment_id, capture, Standing.PROCESSING)

    async def one() -> None:
        async with pg.transaction(here.pool) as conn:
            await disputes.hear(conn, news, here.clock())

    await asyncio.gather(*(one() for _ in range(8)))
    assert await held(here, payment_id) == 100
    assert await here.owner.fetchval("SELECT count(*) FROM card_dispute") == 1
    assert len(await cases(here)) == 1


OPEN = "INSERT INTO card_dispute (psp_id, operation_id, amount) SELECT 'x', id, {amount} FROM card_operation WHERE act = '{act}'"


async def test_the_sums_are_the_databases(here: World) -> None:
    """Whoever holds payments' own role says what is disputed, and not how much that holds back, nor again how it ended."""
    payment_id, dispute = await disputed(here)
    for statement in (
        "UPDATE card_payment SET disputed = 0",
        "UPDATE card_dispute SET held = 0",
        "UPDATE card_dispute SET amount = 1",
        "DELETE FROM card_dispute",
    ):
        async with here.pool.acquire() as conn:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(statement)
    assert await refusal(here, OPEN.format(amount="amount + 1", act="capture")) == "card_dispute_is_opened"
    assert await refusal(here, OPEN.format(amount="amount", act="capture")) is None
    await ended(here, dispute, won=False)
    for state in ("OPEN", "WON"):
        again = f"UPDATE card_dispute SET state = '{state}', ended_at = CASE WHEN '{state}' = 'WON' THEN now() END"
        assert await refusal(here, again) == "card_dispute_ends_once", state
    assert await held(here, payment_id) == 40
