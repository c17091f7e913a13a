"""The rules of deposits and withdrawals, without a fixture."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from common.money import Money
from hypothesis import given
from hypothesis import strategies as st
from payments.cursors import read_cursor, write_cursor
from payments.domain import deposits, withdrawals
from payments.domain.accounts import Clabe, PlayerId, is_clabe, issue_clabe, parse_clabe
from payments.domain.deposits import Deposit, DepositId, DepositState, IllegalStep, Transfer, name_transfer
from payments.domain.evidence import RailStatus
from payments.domain.orders import (
    MAX_SENDS,
    RailOrder,
    Resend,
    Settled,
    Wait,
    read_absence,
    read_order,
)
from payments.domain.refusals import InvalidClabe, InvalidClaim, InvalidCursor
from payments.domain.schedule import backoff
from payments.domain.withdrawals import Withdrawal, WithdrawalId, WithdrawalState, clave_of
from payments.store.pages import Place

NOW = datetime(2026, 11, 21, 18, tzinfo=UTC)
TODAY = NOW.date()
WINDOW = timedelta(seconds=20)
PESOS = Money.parse("500.00", "MXN")
CLABE = Clabe("002010077777777771")


ENDS = (WithdrawalState.REFUSED, WithdrawalState.RELEASED, WithdrawalState.RETURNED)
STATES = {
    "sent": WithdrawalState.SENT,
    "liquidated": WithdrawalState.LIQUIDATED,
    "rejected": WithdrawalState.REJECTED,
}


def withdrawal(state: WithdrawalState = WithdrawalState.REQUESTED) -> Withdrawal:
    return Withdrawal(
        id=WithdrawalId(UUID("11111111-2222-4333-8444-555555555555")),
        player=PlayerId(uuid4()),
        clabe=CLABE,
        beneficiary_name="Ana",
        amount=PESOS,
        state=state,
        requested_at=NOW,
    )


def sending(state: WithdrawalState = WithdrawalState.SENDING) -> Withdrawal:
    sent = withdrawal(WithdrawalState.APPROVED).sending(NOW)
    return sent if state is WithdrawalState.SENDING else sent.to(state)


def order(status: RailStatus, *, amount: Money = PESOS, clabe: str = CLABE) -> RailOrder:
    return RailOrder(clave_of(withdrawal().id), clabe, amount, status, None)


def deposit() -> Deposit:
    return Deposit(
        id=DepositId(uuid4()),
        player=PlayerId(uuid4()),
        transfer=Transfer("ABC", TODAY, "40002"),
        amount=PESOS,
        state=DepositState.CLAIMED,
        claimed_at=NOW,
        window_ends_at=NOW + WINDOW,
    )


class TestClabes:
    def test_the_check_digit_is_checked(self) -> None:
        assert parse_clabe("646180157000000004") == "646180157000000004"

    @pytest.mark.parametrize(
        "text",
        [
            "646180157000000005",
            "64618015700000000",
            "6461801570000000040",
            "999180157000000004",
            "",
            "٦" * 18,
        ],
    )
    def test_anything_else_is_refused_by_name(self, text: str) -> None:
        with pytest.raises(InvalidClabe) as refusal:
            parse_clabe(text)
        assert refusal.value.field == "clabe"

    @given(st.integers(0, 9_999_999))
    def test_every_serial_makes_a_clabe_of_its_own(self, serial: int) -> None:
        clabe = issue_clabe("6461801570", serial)
        assert is_clabe(clabe)
        assert int(clabe[10:17]) == serial

    @given(st.integers(0, 9_999_999), st.integers(0, 16), st.integers(1, 9))
    def test_one_wrong_digit_is_noticed(self, serial: int, place: int, off: int) -> None:
        digits = list(issue_clabe("6461801570", serial))
        digits[place] = str((int(digits[place]) + off) % 10)
        assert not is_clabe("".join(digits))

    def test_serials_end(self) -> None:
        with pytest.raises(InvalidClabe):
            issue_clabe("6461801570", 10_000_000)


class TestTransfers:
    def test_claves_that_differ_by_case_are_one_transfer(self) -> None:
        lower = name_transfer("abC9", TODAY, "40002", today=TODAY)
        upper = name_transfer("ABC9", TODAY, "40002", today=TODAY)
        assert lower.tracking_key == upper.tracking_key == "20261121:40002:ABC9"
        assert lower.receipt_id == upper.receipt_id

    def test_the_clave_alone_is_not_the_transfer(self) -> None:
        ones = {
            name_transfer("ABC9", day, institution, today=TODAY).receipt_id
            for day in (TODAY, TODAY - timedelta(days=1))
            for institution in ("40002", "40012")
        }
        assert len(ones) == 4

    @pytest.mark.parametrize(
        ("clave", "day", "institution", "field"),
        [
            ("", TODAY, "40002", "tracking_key"),
            ("A" * 31, TODAY, "40002", "tracking_key"),
            ("AB-9", TODAY, "40002", "tracking_key"),
            ("AB9\n", TODAY, "40002", "tracking_key"),
            ("AB9", TODAY, "4002", "sender_institution"),
            ("AB9", TODAY, "4000\uff12", "sender_institution"),
            ("AB9", TODAY + timedelta(days=6), "40002", "operation_date"),
            ("AB9", date(2020, 1, 1), "40002", "operation_date"),
        ],
    )
    def test_what_cannot_exist_is_refused_by_name(
        self, clave: str, day: date, institution: str, field: str
    ) -> None:
        with pytest.raises(InvalidClaim) as refusal:
            name_transfer(clave, day, institution, today=TODAY)
        assert refusal.value.field == field


class TestStates:
    @given(st.lists(st.sampled_from(DepositState), max_size=30))
    def test_a_deposit_never_regresses(self, wishes: list[DepositState]) -> None:
        """Whatever is tried in whatever order: the rank never falls, an end is an end."""
        current = deposit()
        for wish in wishes:
            before = current
            try:
                current = current.to(wish, reason="test")
            except IllegalStep:
                assert current is before
                continue
            assert before.state not in (DepositState.BOOKED, DepositState.REJECTED)
            assert deposits.RANKS[current.state] >= deposits.RANKS[before.state]
            assert current.version == before.version + (wish in deposits.TOLD)

    @given(st.lists(st.sampled_from(WithdrawalState), max_size=30))
    def test_a_withdrawal_never_regresses(self, wishes: list[WithdrawalState]) -> None:
        current = withdrawal()
        for wish in wishes:
            before = current
            try:
                current = current.to(wish, reason="test")
            except IllegalStep:
                assert current is before
                continue
            assert before.state not in ENDS
            assert withdrawals.RANKS[current.state] >= withdrawals.RANKS[before.state]

    def test_an_answer_is_never_contradicted(self) -> None:
        """Liquidated money is never released, rejected money never booked as paid."""
        assert withdrawals.STEPS[WithdrawalState.LIQUIDATED] == {WithdrawalState.BOOKED}
        assert withdrawals.STEPS[WithdrawalState.REJECTED] == {WithdrawalState.RELEASED}

    @given(
        st.lists(
            st.one_of(
                st.none(),
                st.builds(
                    order,
                    st.sampled_from(RailStatus),
                    amount=st.sampled_from([PESOS, PESOS + PESOS]),
                    clabe=st.sampled_from([CLABE, "646180157000000004"]),
                ),
            ),
            max_size=40,
        ),
        st.lists(st.integers(0, 30), min_size=40, max_size=40),
    )
    def test_whatever_the_rail_says_we_send_seldom_and_end_once(
        self, answers: list[RailOrder | None], waits: list[int]
    ) -> None:
        """A rail that answers anything at any time: few sends, each after an absence beyond the window;
        no step down; only an answer that names our very order decides."""
        now, current = NOW, sending(WithdrawalState.SEND_UNKNOWN)
        for answer, wait in zip(answers, waits, strict=False):
            if current.state in (WithdrawalState.LIQUIDATED, WithdrawalState.REJECTED):
                break
            now += timedelta(seconds=wait)
            outcome = (
                read_absence(current.order, now=now, window=WINDOW)
                if answer is None
                else read_order(current.order, answer)
            )
            match outcome:
                case Settled(outcome_word):
                    state = STATES[outcome_word]
                    assert answer is not None
                    assert (answer.amount, answer.beneficiary_clabe) == (PESOS, CLABE)
                    if state is not current.state:
                        current = current.to(state, reason="test")
                case Resend():
                    assert current.sent_at is not None
                    assert now - current.sent_at >= WINDOW
                    assert current.state is WithdrawalState.SEND_UNKNOWN
                    current = current.sending(now).to(WithdrawalState.SEND_UNKNOWN)
                case Wait():
                    pass
            assert current.sends <= MAX_SENDS
            assert current.clave == clave_of(current.id)


class TestRailAnswers:
    @pytest.mark.parametrize(
        ("status", "state"),
        [
            (RailStatus.IN_PROCESS, WithdrawalState.SENT),
            (RailStatus.LIQUIDATED, WithdrawalState.LIQUIDATED),
            (RailStatus.REJECTED, WithdrawalState.REJECTED),
            (RailStatus.CANCELLED, WithdrawalState.REJECTED),
        ],
    )
    def test_a_clear_answer_leads_on(self, status: RailStatus, state: WithdrawalState) -> None:
        outcome = read_order(sending().order, order(status))
        assert isinstance(outcome, Settled)
        assert STATES[outcome.outcome] is state

    def test_money_that_came_back_was_carried_out_before(self) -> None:
        assert read_order(sending().order, order(RailStatus.RETURNED)) == Settled("liquidated")

    def test_another_amount_or_beneficiary_decides_nothing(self) -> None:
        for lie in (
            order(RailStatus.LIQUIDATED, amount=PESOS + PESOS),
            order(RailStatus.REJECTED, clabe="646180157000000004"),
        ):
            assert read_order(sending().order, lie) == Wait("order-differs")

    def test_absence_counts_only_after_the_window(self) -> None:
        unknown = sending(WithdrawalState.SEND_UNKNOWN)
        assert (
            read_absence(unknown.order, now=NOW + WINDOW - timedelta(microseconds=1), window=WINDOW) == Wait()
        )
        assert read_absence(unknown.order, now=NOW + WINDOW, window=WINDOW) == Resend()

    def test_an_order_the_rail_has_had_is_never_sent_again(self) -> None:
        sent = sending(WithdrawalState.SENT)
        assert read_absence(sent.order, now=NOW + WINDOW * 10, window=WINDOW) == Wait("order-vanished")


class TestSchedule:
    @given(st.integers(1, 1000), st.floats(0, 1))
    def test_waiting_is_bounded(self, tries: int, spread: float) -> None:
        wait = backoff(tries, first_seconds=0.25, longest_seconds=30, spread=spread)
        assert timedelta(seconds=0.125) <= wait <= timedelta(seconds=30)

    def test_waiting_doubles(self) -> None:
        waits = [backoff(tries, first_seconds=1, longest_seconds=8, spread=0) for tries in range(1, 6)]
        assert [wait.total_seconds() for wait in waits] == [1, 2, 4, 8, 8]


class TestCursors:
    @given(st.datetimes(timezones=st.just(UTC)), st.uuids())
    def test_a_cursor_comes_back_as_it_was(self, at: datetime, identity: UUID) -> None:
        place = Place(at, identity)
        assert read_cursor(write_cursor(place)) == place

    @pytest.mark.parametrize("text", ["", "x", "ñ", "====", "MjAyNi0wMS0wMQ", "A" * 200])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(InvalidCursor):
            read_cursor(text)
