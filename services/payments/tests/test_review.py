"""The review of withdrawals: dated rules, cases, four eyes, cancelling; and the slow rail's queue."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from common.idempotency import Answer
from payments.api.transfers import WithdrawalView
from payments.domain.accounts import Clabe, PlayerId, available, withdrawing
from payments.domain.cases import Case, Decision, Subject
from payments.domain.evidence import MEXICO_CITY
from payments.domain.orders import MAX_SENDS
from payments.domain.overview import Payment, PaymentKind, PaymentStatus
from payments.domain.refusals import DecisionImpossible
from payments.domain.review import Facts, Rule, review
from payments.domain.windows import Windows
from payments.domain.withdrawals import PayoutRail, Withdrawal, WithdrawalState
from payments.service.cashier import Verdict
from payments.service.requests import Once, Payout

from services.payments.tests.railhouse import OTHER_SENDER, SENDER
from services.payments.tests.world import World, new_player, pesos

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)
FACTS = Facts(
    amount=Decimal(100),
    withdrawals_of_player=1,
    withdrawals_to_clabe=1,
    clabe_known_since=NOW - timedelta(days=9),
    clabes_of_player=1,
    players_of_clabe=1,
    deposited=Decimal(0),
    has_played=True,
)


def rule(name: str, threshold: int, hours: int = 24) -> dict[str, Rule]:
    return {name: Rule(name, Decimal(threshold), timedelta(hours=hours))}


@pytest.mark.parametrize(
    ("rules", "passes", "hits"),
    [
        (rule("four-eyes-amount", 100), {"amount": Decimal("99.99")}, {"amount": Decimal(100)}),
        (rule("withdrawals-per-player", 3), {"withdrawals_of_player": 3}, {"withdrawals_of_player": 4}),
        (rule("withdrawals-per-clabe", 3), {"withdrawals_to_clabe": 3}, {"withdrawals_to_clabe": 4}),
        (rule("clabe-shared", 1), {"players_of_clabe": 1}, {"players_of_clabe": 2}),
        (rule("linked-deposits-sum", 500), {"deposited": Decimal("499.99")}, {"deposited": Decimal(500)}),
        (
            rule("clabe-cooling-off", 0),
            {"clabes_of_player": 2, "clabe_known_since": NOW - timedelta(hours=24)},
            {"clabes_of_player": 2, "clabe_known_since": NOW - timedelta(hours=23)},
        ),
        (rule("deposit-without-play", 100), {"has_played": True}, {"has_played": False}),
    ],
)
def test_each_rule_hits_exactly_from_its_threshold(
    rules: dict[str, Rule], passes: dict[str, object], hits: dict[str, object]
) -> None:
    values = {name: getattr(FACTS, name) for name in FACTS.__slots__}
    assert review(Facts(**values | passes), rules, NOW) == []
    assert [hit.rule for hit in review(Facts(**values | hits), rules, NOW)] == list(rules)


@pytest.fixture
async def player(here: World) -> PlayerId:
    """A player with 60,000.00 who has never played."""
    rich = new_player()
    await here.deposited(rich, "60000.00")
    return rich


async def open_cases(here: World, subject: Subject) -> list[Case]:
    return list(await here.cashier.queue(subject, None, 50))


async def reviewed(here: World, player: PlayerId, amount: str = "25000.00") -> Withdrawal:
    answer = await here.withdraw(player, amount)
    await here.pay_all()
    return await here.withdrawal(player, answer)


async def decide(here: World, case: Case, decision: Decision) -> Answer:
    verdict = Verdict(decision, "seen", None)
    await here.propose(case, verdict, "ana")
    return await here.approve(case, verdict, "beto")


async def test_money_that_only_passes_through_is_looked_at(here: World, player: PlayerId) -> None:
    withdrawal = await reviewed(here, player)
    assert withdrawal.state is WithdrawalState.REVIEW
    assert await here.rail_order(withdrawal.id) is None
    assert here.ledger.balance(withdrawing(player)) == Decimal(25000), "the money stays reserved"
    (case,) = await open_cases(here, Subject.WITHDRAWAL)
    assert (case.reason, case.four_eyes) == ("deposit-without-play", True)
    await decide(here, case, Decision.APPROVE)
    await here.pay_all()
    again = await here.requests.withdrawal(player, withdrawal.id)
    assert again.state is WithdrawalState.LIQUIDATED


async def test_every_case_must_be_decided_before_it_goes(here: World, player: PlayerId) -> None:
    withdrawal = await reviewed(here, player, "55000.00")
    first, second = await open_cases(here, Subject.WITHDRAWAL)
    assert {first.reason, second.reason} == {"deposit-without-play", "four-eyes-amount"}
    await decide(here, first, Decision.APPROVE)
    assert (await here.requests.withdrawal(player, withdrawal.id)).state is WithdrawalState.REVIEW
    await decide(here, second, Decision.APPROVE)
    assert (await here.requests.withdrawal(player, withdrawal.id)).state is WithdrawalState.APPROVED


async def test_a_rejected_one_gives_the_money_back(here: World, player: PlayerId) -> None:
    withdrawal = await reviewed(here, player)
    (case,) = await open_cases(here, Subject.WITHDRAWAL)
    await decide(here, case, Decision.REJECT)
    await here.deliver_commands()
    released = await here.requests.withdrawal(player, withdrawal.id)
    assert (released.state, released.reason) == (WithdrawalState.RELEASED, "review-rejected")
    assert here.ledger.balance(available(player)) == Decimal(60000)


async def test_linked_deposits_add_up_to_a_notice(here: World, player: PlayerId) -> None:
    assert await open_cases(here, Subject.PLAYER) == []
    await here.deposited(player, "20000.00", sender=SENDER)
    (case,) = await open_cases(here, Subject.PLAYER)
    assert (case.reason, case.subject_id, case.amount) == ("linked-deposits-sum", player, Decimal(80000))
    assert (await reviewed(here, player, "10.00")).state is WithdrawalState.REVIEW
    await decide(here, case, Decision.REPORT)
    today = here.clock().date()
    (reported,) = await here.cashier.notices(today, today)
    assert (reported.proposed_by, reported.decided_by) == ("ana", "beto")
    assert reported.evidence["found"] == "80000.00"
    here.clock.forward(timedelta(days=2))
    assert (await reviewed(here, player, "10.00")).state is WithdrawalState.LIQUIDATED, "people have looked"


async def test_a_new_threshold_counts_from_its_day_on(here: World, player: PlayerId) -> None:
    day = (here.clock() + timedelta(days=10)).date()
    await here.owner.execute(
        "INSERT INTO aml_rule (name, valid_from, threshold, window_hours, source) "
        "VALUES ('deposit-without-play', $1, 100, 0, 'test')",
        day,
    )
    try:
        assert (await reviewed(here, player, "150.00")).state is WithdrawalState.LIQUIDATED
        here.clock.forward(timedelta(days=11))
        assert (await reviewed(here, player, "150.00")).state is WithdrawalState.REVIEW
    finally:
        await here.owner.execute("DELETE FROM aml_rule WHERE source = 'test'")


async def test_a_second_clabe_rests_and_a_shared_one_is_looked_at(here: World, player: PlayerId) -> None:
    await here.deposited(player, "10.00", sender=OTHER_SENDER)
    answer = await here.withdraw(player, "5.00", clabe=OTHER_SENDER)
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.REVIEW
    other = new_player()
    await here.deposited(other, "10.00", sender=OTHER_SENDER)
    answer = await here.withdraw(other, "5.00", clabe=OTHER_SENDER)
    await here.pay_all()
    assert (await here.withdrawal(other, answer)).state is WithdrawalState.REVIEW
    reasons = {case.reason for case in await open_cases(here, Subject.WITHDRAWAL)}
    assert reasons == {"clabe-cooling-off", "clabe-shared"}


async def cancel(here: World, player: PlayerId, withdrawal: Withdrawal) -> Answer:
    def show(found: Withdrawal) -> Answer:
        return Answer.of(WithdrawalView.of(found), status=202)

    asked = Once(uuid4().hex, b"x")
    return await here.requests.cancel_withdrawal(player, withdrawal.id, asked, show)


async def test_a_player_takes_a_withdrawal_back_while_it_is_reviewed(here: World, player: PlayerId) -> None:
    withdrawal = await reviewed(here, player)
    assert (await cancel(here, player, withdrawal)).status == 202
    await here.deliver_commands()
    released = await here.requests.withdrawal(player, withdrawal.id)
    assert (released.state, released.reason) == (WithdrawalState.RELEASED, "cancelled")
    assert here.ledger.balance(available(player)) == Decimal(60000)
    (case,) = await open_cases(here, Subject.WITHDRAWAL)
    assert (await decide(here, case, Decision.APPROVE)).status == 409


async def test_one_cancelled_before_it_was_reserved_is_reserved_and_given_back(
    here: World, player: PlayerId
) -> None:
    answer = await here.withdraw(player, "10.00")
    withdrawal = await here.withdrawal(player, answer)
    (leased,) = await here.payouts.lease(4)
    assert (await cancel(here, player, withdrawal)).status == 202
    with pytest.raises(Exception, match="no longer as it was leased"):
        await here.payouts.advance(leased)
    await here.pay_all()
    await here.deliver_commands()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RELEASED
    assert here.ledger.balance(available(player)) == Decimal(60000)
    assert await here.rail_order(withdrawal.id) is None


async def test_what_the_rail_has_is_not_taken_back(here: World, player: PlayerId) -> None:
    withdrawal = await reviewed(here, player, "10.00")
    refused = await cancel(here, player, withdrawal)
    assert json.loads(refused.body)["type"] == "/problems/cancel-impossible"


async def test_an_order_nobody_answers_for_is_decided_by_people(here: World, player: PlayerId) -> None:
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "10.00")
    for _ in range(12):
        await here.pay_all()
        here.clock.forward(timedelta(seconds=60))
    (case,) = await open_cases(here, Subject.WITHDRAWAL)
    assert case.reason == "order-never-arrived"
    _, history = await here.cashier.case(case.id)
    assert [line.event for line in history if line.subject == "withdrawal"].count("sending") == MAX_SENDS
    await decide(here, case, Decision.NEVER_PAID)
    await here.deliver_commands()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RELEASED
    assert here.ledger.balance(available(player)) == Decimal(60000)


async def test_nobody_decides_that_it_was_never_paid_once_the_rail_has_it_after_all(
    here: World, player: PlayerId
) -> None:
    """It was proposed while nobody answered for the order; then it turned up at the rail."""
    await here.rail.put("/behaviour", {"lose_orders": "before"})
    answer = await here.withdraw(player, "10.00")
    for _ in range(12):
        await here.pay_all()
        here.clock.forward(timedelta(seconds=60))
    (case,) = await open_cases(here, Subject.WITHDRAWAL)
    verdict = Verdict(Decision.NEVER_PAID, "the bank knows nothing", None)
    await here.propose(case, verdict, "ana")
    await here.rail.put("/behaviour", {"delay_seconds": 1})
    lost = await here.withdrawal(player, answer)
    await here.payouts._rails[PayoutRail.SPEI].send(lost.order)
    here.clock.forward(timedelta(minutes=10))
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.SENT
    with pytest.raises(DecisionImpossible, match="has an answer by now"):
        await here.approve(case, verdict, "beto")
    await _a_moment()
    here.clock.forward(timedelta(minutes=10))
    await here.pay_all()
    await here.deliver_commands()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.BOOKED
    assert here.ledger.balance(available(player)) == Decimal("59990.00")


async def slow_payment(here: World, player: PlayerId) -> Payment:
    found = await here.requests.payments(player, None, 5)
    return next(each for each in found if each.kind is PaymentKind.TED_OUT)


async def queued(here: World, player: PlayerId) -> tuple[Answer, timedelta]:
    """A withdrawal by the slow rail that was found to be fine while the rail takes no orders; and how long that is still so."""
    local = here.clock().astimezone(MEXICO_CITY)
    opens = (local + timedelta(hours=2)).replace(minute=0, second=0, microsecond=0)
    opens = opens if opens.hour < 23 else opens + timedelta(hours=2)
    here.payouts._ted_windows = Windows.parse(f"{opens:%H:%M}-{opens:%H}:30")
    payout = Payout(Clabe(SENDER), "Ana López", pesos("10.00"), PayoutRail.TED)

    def show(found: Withdrawal) -> Answer:
        return Answer.of(WithdrawalView.of(found), status=202)

    answer = await here.requests.request_withdrawal(player, payout, Once(uuid4().hex, b"x"), show)
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RESERVED
    return answer, opens - local


async def test_what_waited_for_its_rail_is_reviewed_again_before_it_is_sent(
    here: World, player: PlayerId
) -> None:
    """Somebody asked for it at night; its player has set a new password since."""
    answer, wait = await queued(here, player)
    assert await open_cases(here, Subject.WITHDRAWAL) == []
    here.clock.forward(wait)
    here.identity.password_changed_at[str(player)] = here.clock() - timedelta(hours=1)
    await here.pay_all()
    withdrawal = await here.withdrawal(player, answer)
    assert withdrawal.state is WithdrawalState.REVIEW
    assert [each.reason for each in await open_cases(here, Subject.WITHDRAWAL)] == ["password-cooling-off"]
    assert await here.rail_order(withdrawal.id) is None


async def test_what_waits_for_its_rail_can_be_taken_back(here: World, player: PlayerId) -> None:
    answer, wait = await queued(here, player)
    id = (await here.withdrawal(player, answer)).id
    before = here.ledger.balance(available(player))
    await here.requests.cancel_withdrawal(player, id, Once(uuid4().hex, b"x"), lambda _: Answer(200, "{}"))
    await here.deliver_commands()
    here.clock.forward(wait)
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RELEASED
    assert here.ledger.balance(available(player)) == before + 10
    assert await here.rail_order(id) is None


async def test_the_slow_rail_takes_orders_in_its_windows_and_clears_later(
    here: World, player: PlayerId
) -> None:
    await here.rail.put("/behaviour", {"clears_every_seconds": 1})
    answer, wait = await queued(here, player)
    overview = await slow_payment(here, player)
    assert (overview.status, overview.completed_at) == (PaymentStatus.PENDING, None)
    here.clock.forward(wait)
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state in (WithdrawalState.SENT, WithdrawalState.LIQUIDATED)
    for _ in range(3):
        await here.rail.get("/healthz")
        here.clock.forward(timedelta(seconds=60))
        await here.pay_all()
        await here.deliver_commands()
        if (await here.withdrawal(player, answer)).state is WithdrawalState.BOOKED:
            break
        await _a_moment()
    overview = await slow_payment(here, player)
    assert overview.status is PaymentStatus.COMPLETED
    assert overview.completed_at is not None


async def _a_moment() -> None:
    await asyncio.sleep(1.1)


@pytest.mark.parametrize(
    ("now", "opens"),
    [
        ("2026-11-21T08:00", "2026-11-21T09:00"),
        ("2026-11-21T09:00", "2026-11-21T09:00"),
        ("2026-11-21T09:29", "2026-11-21T09:29"),
        ("2026-11-21T09:30", "2026-11-21T15:00"),
        ("2026-11-21T16:00", "2026-11-22T09:00"),
    ],
)
def test_a_window_opens_when_the_clock_says(now: str, opens: str) -> None:
    windows = Windows.parse("09:00-09:30,15:00-15:30")
    at = datetime.fromisoformat(now).replace(tzinfo=MEXICO_CITY)
    assert windows.opens_at(at) == datetime.fromisoformat(opens).replace(tzinfo=MEXICO_CITY)


@pytest.mark.parametrize(("hours", "state"), [(1, WithdrawalState.REVIEW), (30, WithdrawalState.BOOKED)])
async def test_who_has_just_changed_the_password_waits(
    here: World, hours: int, state: WithdrawalState
) -> None:
    """Whoever takes over an account changes its password and then takes the money."""
    player = new_player()
    await here.deposited(player, "500.00")
    here.identity.password_changed_at[str(player)] = here.clock() - timedelta(hours=hours)
    answer = await here.withdraw(player, "100.00")
    await here.pay_all()
    await here.deliver_commands()
    assert (await here.withdrawal(player, answer)).state is state
    found = await here.owner.fetch("SELECT reason FROM review_case WHERE subject = 'withdrawal'")
    assert [row["reason"] for row in found] == (["password-cooling-off"] if state == "REVIEW" else [])


async def test_nothing_is_sent_while_identity_does_not_say_when_the_password_was_changed(here: World) -> None:
    player = new_player()
    await here.deposited(player, "500.00")
    here.identity.silent = True
    answer = await here.withdraw(player, "100.00")
    await here.pay_all()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.RESERVED
    here.identity.silent = False
    here.clock.forward(timedelta(minutes=5))
    await here.pay_all()
    await here.deliver_commands()
    assert (await here.withdrawal(player, answer)).state is WithdrawalState.BOOKED


async def test_one_device_of_two_players_and_one_that_withdraws_too_often_are_looked_at(here: World) -> None:
    device, other = uuid4(), uuid4()
    one, two = new_player(), new_player()
    reasons = "SELECT reason FROM review_case WHERE subject_id = $1 ORDER BY reason"
    await here.deposited(one, "500.00")
    await here.deposited(two, "500.00", sender=OTHER_SENDER)
    first = await here.withdraw(one, "1.00", device=device)
    await here.pay_all()
    assert (await here.withdrawal(one, first)).state is not WithdrawalState.REVIEW
    shared = await here.withdraw(two, "1.00", clabe=OTHER_SENDER, device=device)
    await here.pay_all()
    found = await here.withdrawal(two, shared)
    assert found.state is WithdrawalState.REVIEW
    assert [row["reason"] for row in await here.owner.fetch(reasons, found.id)] == ["device-shared"]
    await here.owner.execute(
        """
        INSERT INTO aml_rule VALUES ('withdrawals-per-device', '2026-01-02', 2, 24, 'test'),
                                    ('device-shared', '2026-01-02', 9, 24, 'test')
        """
    )
    for number in range(3):
        last = await here.withdraw(one, f"2.0{number}", device=other)
        await here.pay_all()
        found = await here.withdrawal(one, last)
        assert (found.state is WithdrawalState.REVIEW) is (number == 2)
    assert [row["reason"] for row in await here.owner.fetch(reasons, found.id)] == ["withdrawals-per-device"]
