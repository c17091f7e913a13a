"""Rows that cannot be, whoever holds payments' own role: proofs about something else, and what nobody has decided."""

import asyncpg
import pytest
from payments.domain.accounts import available, uncleared
from payments.domain.cards import Act
from payments.domain.cases import Decision
from payments.domain.orders import RailOrder
from payments.domain.proofs import Purpose
from payments.rail import Sources
from payments.service.cashier import Verdict

from services.payments.tests.card_scene import captured, found
from services.payments.tests.railhouse import OTHER_SENDER
from services.payments.tests.test_suspense import NOBODYS, arrivals, decide, run, the_case
from services.payments.tests.world import World, new_player


async def refusal(here: World, statement: str, *values: object) -> str | None:
    """By which constraint the database refuses this to payments' role; None if it does not. Nothing of it stays."""
    async with here.pool.acquire() as conn:
        trial = conn.transaction()
        await trial.start()
        try:
            await conn.execute(statement, *values)
        except asyncpg.IntegrityConstraintViolationError as refused:
            return str(refused.constraint_name)
        finally:
            await trial.rollback()
    return None


ASK = """
    INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, fee, reference, origin)
    SELECT gen_random_uuid(), p.purpose, {rail}, {key}, {subject}, {account}, {amount}, 'MXN', {fee}, {reference}, p.origin
      FROM proof_that_was p
"""
AS_IT_WAS = {
    "rail": "p.rail", "key": "p.tracking_key", "subject": "p.subject_id", "account": "p.account",
    "amount": "p.amount", "fee": "p.fee", "reference": "p.reference",
}  # fmt: skip
FORGED = {
    "rail": "'other'",
    "key": "p.tracking_key || 'X'",
    "subject": "gen_random_uuid()",
    "account": "'players/00000000-0000-4000-8000-000000000001/available'",
    "amount": "p.amount + 1",
    "reference": "'x'",
}


async def about(here: World, purpose: Purpose) -> str:
    """Bring money as far as a proof of that purpose is asked for. Returns what is to be read as `proof_that_was`."""
    player = new_player()
    match purpose:
        case Purpose.CARD_CAPTURE:
            await captured(here, player, "100.00")
            await here.owner.execute(
                "SET session_replication_role = replica; UPDATE card_operation SET state = 'CONFIRMED' WHERE act = 'capture';"
                "SET session_replication_role = origin"
            )
        case Purpose.CARD_SETTLE:
            await captured(here, player, "100.00")
            await here.psp.ask("POST", "/control/payout")
            await here.settlements.import_new()
        case Purpose.SUSPENSE:
            await here.rail.transfer(NOBODYS, "70.00")
            await here.arrivals.notice()
        case Purpose.SUSPENSE_ASSIGN:
            await here.rail.transfer(NOBODYS, "70.00")
            await run(here)
            await here.requests.own_clabe(player)
            await decide(here, await the_case(here), Decision.ASSIGN, player)
        case Purpose.WITHDRAWAL_RETURNED:
            _, withdrawal = await here.paid_out(player)
            await here.rail.post(f"/orders/{withdrawal.clave}/return", {})
            await here.arrivals.notice()
        case _:
            raise AssertionError(purpose)
    await here.owner.execute("CREATE TABLE IF NOT EXISTS proof_that_was AS SELECT * FROM proof WHERE false")
    await here.owner.execute("GRANT SELECT ON proof_that_was TO payments_app; TRUNCATE proof_that_was")
    await here.owner.execute("INSERT INTO proof_that_was SELECT * FROM proof WHERE purpose = $1", purpose)
    await here.owner.execute("SET session_replication_role = replica")
    for table in ("proof_word", "proof"):
        await here.owner.execute(f"DELETE FROM {table} WHERE purpose = '{purpose}'")
    await here.owner.execute("SET session_replication_role = origin")
    return "proof_that_was"


@pytest.mark.parametrize(
    "purpose",
    [Purpose.CARD_CAPTURE, Purpose.CARD_SETTLE, Purpose.SUSPENSE, Purpose.SUSPENSE_ASSIGN, Purpose.WITHDRAWAL_RETURNED],
)  # fmt: skip
async def test_a_proof_is_about_its_subject_alone(here: World, purpose: Purpose) -> None:
    """Not for another player, not for more, not for something else."""
    await about(here, purpose)
    try:
        assert await refusal(here, ASK.format(**AS_IT_WAS)) is None, "as payments asks for it"
        for what, lie in FORGED.items():
            forged = ASK.format(**AS_IT_WAS | {what: lie})
            assert await refusal(here, forged) == "proof_is_about_its_subject", what
        if purpose is Purpose.CARD_SETTLE:
            forged = ASK.format(**AS_IT_WAS | {"fee": "p.fee + 1"})
            assert await refusal(here, forged) == "proof_is_about_its_subject"
    finally:
        await here.owner.execute("DROP TABLE proof_that_was")


async def test_nothing_is_asked_for_before_its_time(here: World) -> None:
    """A capture that is not confirmed, a refund that has not failed, suspense money that nobody has assigned."""
    player = new_player()
    await here.requests.own_clabe(player)
    payment_id = await captured(here, player, "100.00")
    capture = (await found(here, payment_id))[1][Act.CAPTURE]
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    ask = """
        INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, reference, origin)
        VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, 'MXN', $7, $8)
    """
    (suspended,) = await here.owner.fetch("SELECT * FROM arrival")
    origin = await here.owner.fetchval("SELECT receipt_id FROM proof WHERE purpose = 'deposit.suspense'")
    refund_key = f"REFUND-FAILED:{(capture.psp_id or '').upper()}"
    for values in (
        ("refund.returned", "chaos", refund_key, capture.id, uncleared(player), capture.amount.amount,
         f"cards/{payment_id}", None),
        ("suspense.assign", "spei", suspended["tracking_key"], suspended["id"], available(player), suspended["amount"],
         f"arrivals/{suspended['id']}", origin),
        ("suspense.return", "spei", suspended["tracking_key"], suspended["id"], "bank/spei", suspended["amount"],
         f"arrivals/{suspended['id']}", origin),
    ):  # fmt: skip
        assert await refusal(here, ask, *values) == "proof_is_about_its_subject", values[0]


DECIDE = """
    UPDATE review_case SET state = 'DECIDED', decision = {decision}, target = {target}, proposed_by = 'ana', decided_by = 'beto',
                           decided_at = now(), confirmed_on = 1
"""


DECIDED_ABOUT_PROOFS = """
    INSERT INTO review_case (id, subject, subject_id, reason, four_eyes)
        SELECT gen_random_uuid(), 'proof', receipt_id, 'forged', true FROM proof;
    UPDATE review_case SET state = 'PROPOSED', decision = '{}', proposed_by = 'ana', proposed_on = 1 WHERE reason = 'forged';
    UPDATE review_case SET state = 'DECIDED', decided_by = 'beto', decided_at = now(), confirmed_on = 1 WHERE reason = 'forged';
"""
"""What goes before a statement in its transaction, to stand for two people's decision."""


async def test_what_is_decided_is_what_was_proposed(here: World) -> None:
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    by_itself = DECIDE.format(decision="'return'", target="NULL")
    assert await refusal(here, by_itself) == "review_case_is_decided_as_proposed", "by one write"
    await here.propose(await the_case(here), Verdict(Decision.RETURN, "seen", None), "ana")
    for otherwise in (
        {"decision": "'close'", "target": "NULL"},
        {"decision": "'return'", "target": "gen_random_uuid()"},
    ):
        assert await refusal(here, DECIDE.format(**otherwise)) == "review_case_is_decided_as_proposed"
    renamed = by_itself.replace("'ana'", "'eva'")
    assert await refusal(here, renamed) == "review_case_is_decided_as_proposed"
    assert await refusal(here, by_itself) is None


async def test_nothing_goes_on_that_people_have_not_decided(here: World) -> None:
    player = new_player()
    await here.deposited(player, "60000.00")
    await here.withdraw(player, "25000.00")
    await here.pay_all()
    await here.rail.transfer(NOBODYS, "70.00")
    await run(here)
    assert await here.owner.fetchval("SELECT state FROM withdrawal") == "REVIEW"
    assert await arrivals(here) == ["SUSPENDED"]
    approved = "UPDATE withdrawal SET state = 'APPROVED'"
    assert await refusal(here, approved) == "withdrawal_is_approved_by_people"
    assigned = f"UPDATE arrival SET state = 'ASSIGNING', player = '{player}'"
    assert await refusal(here, assigned) == "arrival_is_decided_by_people"
    returned = "UPDATE arrival SET state = 'RETURN_SENDING', return_clave = 'X'"
    assert await refusal(here, returned) == "arrival_is_decided_by_people"


async def test_an_order_that_returns_money_keeps_its_clave_and_its_player_stays(here: World) -> None:
    """Under a second clave the rail would carry it out a second time."""
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await here.rail.put("/behaviour", {"lose_orders": "after"})
    await decide(here, await the_case(here), Decision.RETURN)
    for arrival in await here.arrivals.lease(16):
        await here.arrivals.advance(arrival)
    assert await arrivals(here) == ["RETURN_UNKNOWN"]
    assert await refusal(here, "UPDATE arrival SET return_clave = 'ANOTHER'") == "arrival_return_clave_stays"


async def test_the_attestor_attests_no_return_that_went_elsewhere(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order under our clave went to another account than the money had come from."""
    await here.rail.transfer(NOBODYS, "70.00", sender=OTHER_SENDER)
    await run(here)
    await decide(here, await the_case(here), Decision.RETURN)
    honest = Sources.order_status

    async def elsewhere(sources: Sources, clave: str) -> RailOrder | None:
        told = await honest(sources, clave)
        assert told is not None
        return RailOrder(
            told.clave, "646180157000000004", told.amount, told.status, told.reason, told.operation_date
        )

    monkeypatch.setattr(Sources, "order_status", elsewhere)
    await run(here)
    (row,) = await here.owner.fetch("SELECT state, reason FROM proof WHERE purpose = 'suspense.return'")
    assert tuple(row) == ("CONFLICTED", "returned-elsewhere")


async def test_nobody_asks_again_for_what_conflicted_by_themselves(here: World) -> None:
    transfer = await here.rail.transfer(NOBODYS, "70.00")
    told = {
        "date": transfer.operation_date.isoformat(),
        "institution": transfer.institution,
        "clave": transfer.clave,
    }
    await here.rail.put("/central-bank/lies", told | {"status": "devuelto"})
    await run(here)
    again = "UPDATE proof SET state = 'ASKED', reason = NULL"
    assert await refusal(here, again) == "proof_is_asked_again_by_people"
    assert await refusal(here, "UPDATE proof SET state = 'ATTESTED'") == "proof_has_a_word"
    decided = DECIDED_ABOUT_PROOFS.format("ask-again")
    assert await refusal(here, decided + again) == "proof_is_about_its_subject", (
        "its arrival is in quarantine"
    )


ALONE = """
    INSERT INTO review_case (id, subject, subject_id, reason, four_eyes)
    VALUES (gen_random_uuid(), 'arrival', gen_random_uuid(), 'x', false)
"""


async def test_what_is_booked_stays_and_takes_two_people(here: World) -> None:
    """Limits count by when something was booked: moved into last month it would leave room that is none."""
    player = new_player()
    await here.deposited(player, "500.00")
    await captured(here, player, "100.00")
    for statement, constraint in (
        ("UPDATE deposit SET booked_at = booked_at - interval '40 days'", "deposit_booking_stays"),
        ("UPDATE deposit SET entry_id = gen_random_uuid()", "deposit_booking_stays"),
        ("UPDATE proof SET entry_id = gen_random_uuid()", "proof_booking_stays"),
        (
            "UPDATE card_operation SET booked_at = booked_at - interval '40 days'",
            "card_operation_booking_stays",
        ),
        ("UPDATE card_payment SET psp_id = 'another'", "card_payment_psp_id_stays"),
        (ALONE, "review_case_about_money_takes_two"),
    ):
        assert await refusal(here, statement) == constraint, statement
