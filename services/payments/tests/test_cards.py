"""Card payments on the real database and the real (simulated) provider, honest and lying."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from uuid import UUID, uuid4

import asyncpg
import pytest
from common import deadlines
from common.idempotency import Answer
from payments.domain import cards
from payments.domain.accounts import PlayerId, available, uncleared
from payments.domain.cards import Act, CardPayment, CardPaymentId, Operation, OperationState, PaymentState
from payments.domain.payout_files import parse_payout
from payments.domain.refusals import BadPayoutFile
from payments.service.cards import card_deadlines
from payments.service.requests import Once

from services.payments.tests.world import PACE, WINDOW, World, new_player, pesos
from tools.chaos_psp.faults import Faults

PATIENCE = max(WINDOW, timedelta(seconds=PACE.longest_seconds))
RECEIVABLE = "psp/chaos/receivable"


def shown(payment: CardPayment, _: Sequence[Operation]) -> Answer:
    return Answer(202, json.dumps({"id": str(payment.id)}))


def once(key: str | None = None) -> Once:
    return Once(key or uuid4().hex, b"x")


async def pay(
    here: World, player: PlayerId, amount: str, *, token: str | None = None, capture: bool = True
) -> CardPaymentId:
    """A card payment, asked for. Each has a token of its own, so that the provider's faults can tell them apart."""
    answer = await here.card_requests.pay(
        player, pesos(amount), f"tok_{uuid4().hex}_{token or 'ok'}", once(), shown, capture_at_once=capture
    )
    return CardPaymentId(UUID(json.loads(answer.body)["id"]))


async def settle_down(here: World) -> None:
    """Everything that waits is due again, a few times over, and the provider's window is over."""
    await here.run_cards()
    for _ in range(3):
        here.clock.forward(PATIENCE)
        await here.run_cards()


async def found(here: World, payment_id: CardPaymentId) -> tuple[CardPayment, dict[Act, Operation]]:
    payment, operations = await here.card_requests.payment(None, payment_id)
    return payment, {each.act: each for each in operations}


async def state_of(here: World, payment_id: CardPaymentId) -> PaymentState:
    return (await found(here, payment_id))[0].state


async def cases(here: World) -> list[tuple[str, str]]:
    rows = await here.owner.fetch("SELECT subject, reason FROM review_case ORDER BY opened_at")
    return [(row["subject"], row["reason"]) for row in rows]


async def truth(here: World, payment: CardPayment) -> list[dict[str, str]]:
    told = await here.psp.ask("GET", "/control/truth")
    return [each for each in told["things"] if each["label"].startswith(f"{payment.card_token}:")]


async def test_a_payment_is_captured_booked_settled_and_cleared(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    assert (payment.state, operations[Act.CAPTURE].state) == (PaymentState.CAPTURED, OperationState.BOOKED)
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.balance(available(player)) == 0
    await here.psp.ask("POST", "/control/payout")
    assert await here.settlements.import_new() == 1
    await here.run_cards()
    payment, operations = await found(here, payment_id)
    assert (payment.state, operations[Act.CAPTURE].state) == (PaymentState.SETTLED, OperationState.CLEARED)
    assert here.ledger.balance(uncleared(player)) == 0
    assert here.ledger.balance(available(player)) == Decimal("100.00")
    assert here.ledger.balance(RECEIVABLE) == 0
    assert (here.ledger.balance("bank/spei"), here.ledger.balance("fees/chaos")) == (
        Decimal("96.40"),
        Decimal("3.60"),
    )
    assert await here.settlements.import_new() == 0


async def test_an_authorization_posts_nothing(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert payment.state is PaymentState.AUTHORIZED
    assert here.ledger.entries == {}
    armed = await here.owner.fetchval("SELECT due_at FROM deadline WHERE subject = $1", payment.reference)
    assert armed == payment.expires_at


async def test_captures_in_parts_never_exceed_the_authorization(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    for amount in ("60.00", "30.00"):
        assert (await here.card_requests.capture("c", payment_id, pesos(amount), once(), shown)).status == 202
    refused = await here.card_requests.capture("c", payment_id, pesos("10.01"), once(), shown)
    assert json.loads(refused.body)["type"] == "/problems/capture-impossible"
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert (payment.state, payment.captured) == (PaymentState.CAPTURED, pesos("90.00"))
    assert here.ledger.kinds().count("card.capture") == 2


async def test_a_declined_card_pays_nothing(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", token="declined")
    await here.run_cards()
    payment, _ = await found(here, payment_id)
    assert (payment.state, payment.reason) == (PaymentState.DECLINED, "card_declined")
    assert here.ledger.entries == {}


async def test_a_void_gives_up_what_was_not_captured(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    assert (await here.card_requests.void("c", payment_id, once(), shown)).status == 202
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.VOIDED
    refused = await here.card_requests.capture("c", payment_id, pesos("1.00"), once(), shown)
    assert json.loads(refused.body)["type"] == "/problems/capture-impossible"


async def test_an_authorization_expires_by_its_deadline(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    worker = deadlines.DeadlineWorker(here.pool, card_deadlines(here.clock), clock=here.clock)
    await worker.turn()
    assert await state_of(here, payment_id) is PaymentState.AUTHORIZED, "not early"
    here.clock.forward(timedelta(days=8))
    assert await worker.turn() == 1
    assert await state_of(here, payment_id) is PaymentState.EXPIRED
    assert await worker.turn() == 0, "not twice"


@pytest.mark.parametrize(
    "fault",
    [
        "timeout_before",
        "timeout_after",
        "reset_mid_body",
        "ok_with_error_body",
        "error_after_success",
        "html_502",
        "conflict_in_progress",
        "query_timeout",
        "query_reset",
        "query_html_502",
        "query_error_body",
        "not_found_after_success",
    ],
)
async def test_whatever_an_answer_looks_like_the_money_moves_once(here: World, fault: str) -> None:
    await here.psp.faults(**{fault: 1.0})
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    await settle_down(here)
    for _ in range(2):  # the provider's lag is over, first for the authorization, then for the capture
        await asyncio.sleep(0.35)
        await settle_down(here)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.kinds() == ["card.capture"]
    moved = [each for each in await truth(here, payment) if each["act"] == "capture"]
    assert [each["moved"] for each in moved] == ["100.00"]


@pytest.mark.parametrize(
    ("lie", "reason"),
    [
        ("wrong_amount", "wrong-amount"),
        ("partial_capture", "wrong-amount"),
        ("wrong_currency", "wrong-currency"),
    ],
)
async def test_what_is_not_as_asked_books_nothing(here: World, lie: str, reason: str) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(**{lie: 1.0})
    await here.card_requests.capture("c", payment_id, pesos("80.00"), once(), shown)
    await settle_down(here)
    _, operations = await found(here, payment_id)
    assert (operations[Act.CAPTURE].state, operations[Act.CAPTURE].reason) == (
        OperationState.CONFLICTED,
        reason,
    )
    assert here.ledger.entries == {}
    assert ("card", reason) in await cases(here)


async def test_an_amount_lie_about_the_authorization_is_no_authorization(here: World) -> None:
    await here.psp.faults(wrong_amount=1.0)
    payment_id = await pay(here, new_player(), "100.00")
    await settle_down(here)
    assert await state_of(here, payment_id) is PaymentState.CONFLICTED
    assert here.ledger.entries == {}


async def captured(here: World, player: PlayerId, amount: str, kind: str = "ok") -> CardPaymentId:
    payment_id = await pay(here, player, amount, token=kind)
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.CAPTURED
    return payment_id


async def refund(here: World, payment_id: CardPaymentId, amount: str) -> Answer:
    return await here.card_requests.refund("c", None, payment_id, pesos(amount), once(), shown)


async def test_a_refund_is_held_then_done(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    assert (await refund(here, payment_id, "40.00")).status == 202
    await here.run_cards()
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("60.00")
    assert here.ledger.balance(RECEIVABLE) == Decimal("60.00")
    assert here.ledger.balance("refunds/chaos/clearing") == 0
    too_much = await refund(here, payment_id, "60.01")
    assert json.loads(too_much.body)["type"] == "/problems/refund-impossible"
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await here.run_cards()
    assert here.ledger.balance(available(player)) == Decimal("60.00")
    assert here.ledger.balance(uncleared(player)) == 0
    assert here.ledger.balance(RECEIVABLE) == 0


async def test_a_refund_that_fails_gives_the_money_back(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00", kind="refundfails")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.RELEASED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")


async def hear(here: World, psp_id: str) -> None:
    """A webhook, taken in as the door takes it in."""
    raw = json.dumps({"type": "x", "data": {"id": psp_id}}).encode()
    await here.owner.execute(
        "INSERT INTO webhook (source, webhook_id, sent_at, raw, object_id) VALUES ('chaos', $1, now(), $2, $3)",
        uuid4().hex,
        raw,
        psp_id,
    )
    await here.run_cards()


async def test_a_refund_that_fails_after_it_succeeded_is_booked_back(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(refund_fails_after_success=1.0)
    (changed,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    await hear(here, changed["id"])
    _, operations = await found(here, payment_id)
    assert operations[Act.REFUND].state is OperationState.REVERSED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert here.ledger.balance(RECEIVABLE) == Decimal("100.00")
    await hear(here, changed["id"])
    assert here.ledger.kinds().count("refund.returned") == 1
    assert (await refund(here, payment_id, "100.00")).status == 202, "it can be refunded again"


async def test_a_capture_reversed_after_it_was_booked_is_for_a_person(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await here.psp.faults(reversal_after_success=1.0)
    (changed,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    await hear(here, changed["id"])
    _, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.BOOKED, "a terminal state does not go back"
    assert ("card", "failed-after-success") in await cases(here)


async def test_a_second_capture_under_one_key_is_for_a_person(here: World) -> None:
    await here.psp.faults(double_capture=1.0)
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    payment, _ = await found(here, payment_id)
    twice = [each for each in await truth(here, payment) if each["act"] == "capture"]
    for each in twice:
        await hear(here, each["id"])
    assert len(twice) == 2
    assert here.ledger.kinds() == ["card.capture"]
    assert ("card", "second-object") in await cases(here)


async def test_news_of_a_second_object_does_not_stop_a_capture_that_is_being_booked(here: World) -> None:
    """Found by chaos: the conflict came between the confirmation and the booking, and the booking never ended."""
    await here.psp.faults(double_capture=1.0)
    player = new_player()
    payment_id = await pay(here, player, "100.00")
    while not (await found(here, payment_id))[1].get(Act.CAPTURE):
        for operation in await here.cards.lease(1):
            await here.cards.advance(operation)
    (capture,) = await here.cards.lease(1)
    await here.cards.advance(capture)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].state is OperationState.CONFIRMED
    for each in await truth(here, payment):
        await hear(here, each["id"])
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.BOOKED
    assert here.ledger.balance(uncleared(player)) == Decimal("100.00")
    assert ("card", "second-object") in await cases(here)


async def test_what_is_disputed_is_not_refunded(here: World) -> None:
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    await refund(here, payment_id, "40.00")
    await here.run_cards()
    await here.psp.faults(dispute_during_refund=1.0)
    (dispute,) = (await here.psp.ask("POST", "/control/late"))["changed"]
    for _ in range(2):
        await hear(here, dispute["id"])
    assert ("card", f"dispute:{dispute['id']}") in await cases(here)
    assert (await found(here, payment_id))[1][Act.REFUND].state is OperationState.BOOKED
    assert await here.owner.fetchval("SELECT disputed FROM card_payment WHERE id = $1", payment_id) == 40
    refused = await refund(here, payment_id, "20.01")
    assert json.loads(refused.body)["type"] == "/problems/refund-impossible"
    assert (await refund(here, payment_id, "20.00")).status == 202


async def test_a_capture_that_arrives_after_our_void_is_booked_and_refunded(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(timeout_before=1.0)
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    await here.run_cards()  # it is on its way, for all we know
    await here.psp.faults()
    await here.card_requests.void("c", payment_id, once(), shown)
    await here.run_cards()
    assert await state_of(here, payment_id) is PaymentState.VOIDED
    _, operations = await found(here, payment_id)
    capture = operations[Act.CAPTURE]
    told = cards.Told(
        "op_late", str(capture.id), "capture", (await found(here, payment_id))[0].psp_id, "100.00", "MXN",
        cards.Standing.SUCCEEDED,
    )  # fmt: skip
    assert await here.cards.hear(told, capture.id)
    async with here.pool.acquire() as conn:
        asked = await conn.fetchval("SELECT count(*) FROM proof WHERE subject_id = $1", capture.id)
    assert asked == 1
    assert await state_of(here, payment_id) is PaymentState.CAPTURED


async def test_uncleared_money_is_not_withdrawn_and_card_money_goes_back_to_the_card(here: World) -> None:
    player = new_player()
    await here.deposited(player, "10.00")
    await captured(here, player, "100.00")
    refused = await here.withdraw(player, "5.00")
    assert json.loads(refused.body)["type"] == "/problems/card-money-returns-to-card"


async def test_domain_and_database_know_the_same_steps(owner: asyncpg.Connection) -> None:
    rows = await owner.fetch("SELECT act, before, after FROM card_step WHERE before <> ''")
    known = {(Act(row["act"]), OperationState(row["before"]), OperationState(row["after"])) for row in rows}
    assert known == {step for step in product(Act, OperationState, OperationState) if cards.may_step(*step)}
    ranks = await owner.fetch("SELECT state, rank FROM card_rank")
    assert {PaymentState(row["state"]): row["rank"] for row in ranks} == dict(cards.RANKS)


async def test_no_payment_falls_back_in_the_database_either(here: World) -> None:
    payment_id = await captured(here, new_player(), "100.00")
    async with here.pool.acquire() as conn:
        for state in ("AUTHORIZED", "CREATED", "AUTHORIZING"):
            with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
                await conn.execute("UPDATE card_payment SET state = $2 WHERE id = $1", payment_id, state)
            assert refusal.value.constraint_name == "card_payment_keeps_its_rank"
        for column in ("captured", "capturing", "refunding"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await conn.execute(f"UPDATE card_payment SET {column} = 0")


@pytest.mark.parametrize(
    "fault", ["file_line_missing", "file_line_duplicated", "file_line_altered", "file_line_shifted"]
)
async def test_a_lying_settlement_file_leaves_a_break_and_books_the_rest(here: World, fault: str) -> None:
    player = new_player()
    honest, lied = await captured(here, player, "70.00"), await captured(here, player, "30.00")
    # The fate of each is drawn from the seed: this one strikes the second alone.
    other = (await found(here, honest))[0].card_token
    target = (await found(here, lied))[0].card_token
    seed, rate = _seed_that_strikes(fault, f"{target}:capture:30.00", f"{other}:capture:70.00")
    await here.psp.ask("PUT", "/control/faults", {"seed": seed, "rates": {fault: rate}})
    await here.psp.ask("POST", "/control/payout")
    await here.settlements.import_new()
    await here.run_cards()
    assert (await found(here, honest))[1][Act.CAPTURE].state is OperationState.CLEARED
    lied_state = (await found(here, lied))[1][Act.CAPTURE].state
    breaks = {reason for subject, reason in await cases(here) if subject == "payout_line"}
    match fault:
        case "file_line_missing" | "file_line_shifted":
            assert (lied_state, breaks) == (OperationState.BOOKED, set())
        case "file_line_duplicated":
            assert (lied_state, breaks) == (OperationState.CLEARED, {"DUPLICATE"})
        case _:
            assert (lied_state, breaks) == (OperationState.BOOKED, {"AMOUNT_MISMATCH"})


def _seed_that_strikes(fault: str, target: str, other: str) -> tuple[int, float]:

    for seed in range(1000):
        faults = Faults(seed, {fault: 0.5})
        if faults.strikes(fault, target) and not faults.strikes(fault, other):
            return seed, 0.5
    raise AssertionError("no such seed")


def test_no_payment_falls_back_in_rank() -> None:
    """But from an attempt that failed, or because a capture turns out to have happened."""
    allowed = {
        (PaymentState.VOIDING, PaymentState.AUTHORIZED),
        (PaymentState.CAPTURING, PaymentState.AUTHORIZED),
        *product((PaymentState.VOIDED, PaymentState.EXPIRED), (PaymentState.CAPTURED, PaymentState.SETTLED)),
    }
    for before, after in product(PaymentState, PaymentState):
        if (before, after) not in allowed and cards.RANKS[after] < cards.RANKS[before]:
            assert not cards.may_become(before, after), (before, after)
    for end in (PaymentState.DECLINED, PaymentState.CONFLICTED):
        assert not any(cards.may_become(end, after) for after in PaymentState)


def test_absence_counts_only_after_the_window() -> None:
    now = datetime(2026, 11, 21, tzinfo=UTC)
    operation = Operation(
        cards.OperationId(uuid4()),
        CardPaymentId(uuid4()),
        Act.CAPTURE,
        pesos("1.00"),
        OperationState.REQUESTED,
        now,
    )
    unknown = operation.sending(now).to(OperationState.UNKNOWN)
    just_before = now + WINDOW - timedelta(microseconds=1)
    assert cards.read_nothing(unknown, now=just_before, window=WINDOW) == cards.StayPut()
    assert cards.read_nothing(unknown, now=now + WINDOW, window=WINDOW) == cards.SendAgain()


async def test_nothing_is_sent_twice_to_a_provider_that_ignores_keys(here: World) -> None:
    player = new_player()
    payment_id = await pay(here, player, "100.00", capture=False)
    await here.run_cards()
    await here.psp.faults(timeout_after=1.0, key_ignored=1.0)
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    await settle_down(here)
    payment, operations = await found(here, payment_id)
    assert operations[Act.CAPTURE].sends == 1
    assert [each["moved"] for each in await truth(here, payment) if each["act"] == "capture"] == ["100.00"]
    assert here.ledger.kinds() == ["card.capture"]


async def test_sixteen_workers_with_one_lease_send_once(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00", capture=False)
    await here.run_cards()
    await here.card_requests.capture("c", payment_id, pesos("100.00"), once(), shown)
    (leased,) = await here.cards.lease(4)
    ended = await asyncio.gather(*(here.cards.advance(leased) for _ in range(16)), return_exceptions=True)
    assert ended.count(None) == 1
    await settle_down(here)
    assert (await found(here, payment_id))[1][Act.CAPTURE].sends == 1


async def test_the_attestor_attests_nothing_but_what_it_finds(here: World) -> None:
    """Whoever holds payments' own role asks for twice the amount of a real capture, for another player, and for an
    object that does not exist."""
    player = new_player()
    payment_id = await captured(here, player, "100.00")
    _, operations = await found(here, payment_id)
    capture = operations[Act.CAPTURE]
    await here.owner.execute(
        "SET session_replication_role = replica; DELETE FROM proof_word; DELETE FROM proof;"
    )
    ask = """
        INSERT INTO proof (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, reference, asked_at,
                           due_at) VALUES ($1, 'card.capture', 'chaos', $2, $3, $4, $5, 'MXN', 'x', now(), now())
    """
    key = f"CAPTURE:{(capture.psp_id or '').upper()}"
    async with here.pool.acquire() as conn:
        for subject, tracking_key, amount in (
            (capture.id, key, Decimal("200.00")),
            (uuid4(), key, Decimal("100.00")),
            (operations[Act.AUTHORIZE].id, "CAPTURE:OP_NOWHERE", Decimal("100.00")),
        ):
            await conn.execute(ask, uuid4(), tracking_key, subject, uncleared(player), amount)
    for proof in await here.witness.lease(16):
        await here.witness.attest(proof)
    states = await here.owner.fetch("SELECT state, reason FROM proof")
    assert {row["state"] for row in states} == {"CONFLICTED"}, [tuple(row) for row in states]
    assert sorted(row["reason"] for row in states) == ["amount-differs", "another-object", "another-object"]
    assert await here.owner.fetchval("SELECT count(*) FROM proof_word") == 0


async def test_payments_itself_cannot_attest_and_the_attestor_cannot_book(here: World) -> None:
    payment_id = await pay(here, new_player(), "100.00")
    while not await here.owner.fetchval("SELECT count(*) FROM proof"):
        for operation in await here.cards.lease(4):
            await here.cards.advance(operation)
    assert (await found(here, payment_id))[1][Act.CAPTURE].state is OperationState.CONFIRMED
    for role, state in (
        ("payments_app", "ATTESTED"), ("payments_app", "BOOKED"), ("payments_attestor", "BOOKED"),
        ("payments_attestor", "ATTESTED"),
    ):  # fmt: skip
        connection = await asyncpg.connect(here.database.dsn(role))
        try:
            with pytest.raises(asyncpg.PostgresError) as refusal:
                await connection.execute("UPDATE proof SET state = $1", state)
            assert isinstance(refusal.value, asyncpg.IntegrityConstraintViolationError), refusal.value
        finally:
            await connection.close()


async def test_a_file_that_does_not_add_up_is_rejected(here: World) -> None:
    await captured(here, new_player(), "70.00")
    lines = "H,PO-1,MXN,0.00\nL,op_1,capture,70.00,2.52\nT,67.49\n"
    with pytest.raises(BadPayoutFile):
        parse_payout(lines)
    assert parse_payout(lines.replace("67.49", "67.48")).closing == Decimal("67.48")
    for broken in (
        "",
        "H,x\nT,0",
        lines.replace("MXN", "USD"),
        lines.replace("70.00", "NaN"),
        lines.replace("L,", "X,"),
    ):
        with pytest.raises(BadPayoutFile):
            parse_payout(broken)
