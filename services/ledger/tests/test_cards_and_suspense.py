"""The kinds for cards, refunds, suspense and returned withdrawals: what they allow, decided twice."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from uuid import UUID, uuid4

import asyncpg
import pytest
from ledger.domain.commands import Command, Leg
from ledger.domain.standings import Cap
from ledger.store.limits import set_policy

from services.ledger.tests.forgery import Line, Scene
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.vocabulary import PRINCIPAL, Bank, a_key, connected, posted, refused

BANK, SUSPENSE = "bank/spei", "suspense/spei"
RECEIPT = """
    INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency,
                         occurred_at, key_id, attestation, signature, origin)
    VALUES ($1, 1, $2, $3, sha256($3::text::bytea), $4, $5, $6, 'MXN', now(), 'k', 'x',
            decode(repeat('00', 64), 'hex'), $7)
"""


async def receipt(
    bank: Bank,
    purpose: str,
    account: str,
    amount: str,
    *,
    rail: str = "spei",
    key: str | None = None,
    origin: UUID | None = None,
) -> UUID:
    id = uuid4()
    async with connected(bank.database, "ledger_receipts") as connection:
        await connection.execute(
            RECEIPT, id, rail, key or f"K{id.hex.upper()}", purpose, account, Decimal(amount), origin
        )
    return id


def command(
    kind: str, lines: Sequence[Line], *, reference: str = "r", receipt: UUID | None = None
) -> Command:
    legs = tuple(Leg(path, "MXN", Decimal(amount), hold) for path, amount, hold in lines)
    return Command(1, PRINCIPAL, a_key(), kind, legs, reference, receipt=receipt)


async def post(bank: Bank, kind: str, lines: Sequence[Line], **more: object) -> str:
    """The slug of the refusal, or "posted"."""
    answer = await bank.engine.post(command(kind, lines, **more))  # type: ignore[arg-type] # as `command` has it
    return "posted" if posted(answer) else refused(answer)


def uncleared(player: str) -> str:
    return f"players/{player}/uncleared"


def available(player: str) -> str:
    return f"players/{player}/available"


async def captured(bank: Bank, player: str, amount: str) -> None:
    paid = await receipt(bank, "card.capture", uncleared(player), amount, rail="chaos")
    lines: list[Line] = [
        ("psp/chaos/receivable", amount, None),
        (uncleared(player), f"-{amount}", None),
    ]
    assert await post(bank, "card.capture", lines, receipt=paid) == "posted"


async def test_a_card_payment_from_capture_to_cleared(bank: Bank) -> None:
    player = str(uuid4())
    await captured(bank, player, "100.00")
    spend: list[Line] = [(uncleared(player), "60", None), (f"players/{player}/withdrawing", "-60", uuid4())]
    assert await post(bank, "withdrawal.reserve", spend) == "template-violation", (
        "uncleared is not withdrawable"
    )
    settled = await receipt(bank, "card.settle", "psp/chaos/receivable", "100.00", rail="chaos")
    payout: list[Line] = [
        ("bank/spei", "96.50", None),
        ("fees/chaos", "3.50", None),
        ("psp/chaos/receivable", "-100", None),
    ]
    assert await post(bank, "card.settle", payout, receipt=settled) == "posted"
    clear: list[Line] = [(uncleared(player), "100", None), (available(player), "-100", None)]
    assert await post(bank, "card.clear", clear) == "posted"
    balances = await bank.balances()
    assert (balances["psp/chaos/receivable"], balances["bank/spei"]) == (Decimal(0), Decimal("96.50"))
    assert balances[available(player)] == -100
    await bank.check()


async def test_a_settlement_goes_to_the_bank_and_fees_alone(bank: Bank) -> None:
    await captured(bank, str(uuid4()), "100.00")
    settled = await receipt(bank, "card.settle", "psp/chaos/receivable", "100.00", rail="chaos")
    for other in ("bank/other", "fees/other"):
        lines: list[Line] = [(other, "100", None), ("psp/chaos/receivable", "-100", None)]
        assert await post(bank, "card.settle", lines, receipt=settled) == "receipt-mismatch"


async def test_a_refund_is_held_done_or_given_back_to_its_player(bank: Bank) -> None:
    player, stranger, refund = str(uuid4()), str(uuid4()), uuid4()
    await captured(bank, player, "100.00")
    await captured(bank, stranger, "100.00")
    take: list[Line] = [(uncleared(player), "40", None), ("refunds/chaos/clearing", "-40", refund)]
    assert await post(bank, "refund.request", take, reference="cards/1") == "posted"
    wrong: list[Line] = [("refunds/chaos/clearing", "40", refund), (uncleared(stranger), "-40", None)]
    assert await post(bank, "refund.fail", wrong, reference="cards/1") == "hold-mismatch"
    back: list[Line] = [("refunds/chaos/clearing", "10", refund), (uncleared(player), "-10", None)]
    assert await post(bank, "refund.fail", back, reference="cards/2") == "hold-mismatch"
    assert await post(bank, "refund.fail", back, reference="cards/1") == "posted"
    done: list[Line] = [("refunds/chaos/clearing", "30", refund), ("psp/chaos/receivable", "-30", None)]
    assert await post(bank, "refund.done", done, reference="cards/1") == "posted"
    assert await post(bank, "refund.done", done, reference="cards/1") == "hold-exhausted"
    balances = await bank.balances()
    assert (balances["refunds/chaos/clearing"], balances["psp/chaos/receivable"]) == (
        Decimal(0),
        Decimal(170),
    )
    await bank.check()


async def test_the_database_too_gives_a_refund_back_to_nobody_else(scene: Scene) -> None:
    bank, refund = scene.bank, uuid4()
    take: list[Line] = [(available(scene.rich), "40", None), ("refunds/chaos/clearing", "-40", refund)]
    assert await post(bank, "refund.request", take, reference="cards/1") == "posted"
    wrong: list[Line] = [("refunds/chaos/clearing", "40", refund), (available(scene.poor), "-40", None)]
    assert await scene.forge("refund.fail", wrong, reference="cards/1") == "refund_returns_to_its_player"
    right: list[Line] = [("refunds/chaos/clearing", "40", refund), (available(scene.rich), "-40", None)]
    assert await scene.forge("refund.fail", right, reference="cards/1") == "posted"


async def suspended(bank: Bank, amount: str, *, key: str | None = None, book: bool = True) -> UUID:
    first = await receipt(bank, "deposit.suspense", "suspense/spei", amount, key=key)
    if book:
        lines: list[Line] = [("bank/spei", amount, None), ("suspense/spei", f"-{amount}", None)]
        assert await post(bank, "deposit.suspense", lines, receipt=first) == "posted"
    return first


async def test_money_in_suspense_is_decided_on_once(scene: Scene) -> None:
    bank, player = scene.bank, scene.poor
    first = await suspended(bank, "70.00", key="K1")
    assign = await receipt(bank, "suspense.assign", available(player), "70.00", key="K1", origin=first)
    with pytest.raises(asyncpg.UniqueViolationError) as twice:
        await receipt(bank, "suspense.return", "bank/spei", "70.00", key="K1", origin=first)
    assert twice.value.constraint_name == "receipt_origin_is_decided_once"
    lines: list[Line] = [("suspense/spei", "70", None), (available(player), "-70", None)]
    assert await post(bank, "suspense.assign", lines, receipt=assign) == "posted"
    assert await scene.forge("suspense.assign", lines, receipt=assign) == "balance_not_below_floor"
    await suspended(bank, "70.00")
    assert await scene.forge("suspense.assign", lines, receipt=assign) == "receipt_is_spent_once"


async def test_a_deposit_that_is_refused_goes_to_suspense_by_another_receipt_and_is_booked_once(
    scene: Scene,
) -> None:
    """The second receipt takes the first one's place, whatever becomes of the limit; and the money can go back."""
    bank, player = scene.bank, scene.rich
    key = "20261121:40012:LIMITED"
    first = await receipt(bank, "deposit", available(player), "70.00", key=key)
    second = await receipt(bank, "deposit.suspense", SUSPENSE, "70.00", key=key, origin=first)
    as_deposit: list[Line] = [(BANK, "70.00", None), (available(player), "-70.00", None)]
    assert await post(bank, "deposit", as_deposit, receipt=first) == "receipt-spent"
    assert await scene.forge("deposit", as_deposit, receipt=first) == "receipt_or_its_replacement_is_spent"
    put: list[Line] = [(BANK, "70.00", None), (SUSPENSE, "-70.00", None)]
    assert await post(bank, "deposit.suspense", put, receipt=second) == "posted"
    back = await receipt(bank, "suspense.return", BANK, "70.00", key=key, origin=second)
    returned: list[Line] = [(SUSPENSE, "70.00", None), (BANK, "-70.00", None)]
    assert await post(bank, "suspense.return", returned, receipt=back) == "posted"


async def test_a_deposit_that_was_booked_after_all_does_not_go_to_suspense(scene: Scene) -> None:
    bank, player = scene.bank, scene.rich
    key = "20261121:40012:BOOKED"
    first = await receipt(bank, "deposit", available(player), "70.00", key=key)
    as_deposit: list[Line] = [(BANK, "70.00", None), (available(player), "-70.00", None)]
    assert await post(bank, "deposit", as_deposit, receipt=first) == "posted"
    second = await receipt(bank, "deposit.suspense", SUSPENSE, "70.00", key=key, origin=first)
    put: list[Line] = [(BANK, "70.00", None), (SUSPENSE, "-70.00", None)]
    assert await post(bank, "deposit.suspense", put, receipt=second) == "receipt-spent"
    assert await scene.forge("deposit.suspense", put, receipt=second) == "receipt_or_its_replacement_is_spent"


async def test_money_in_suspense_waits_for_room_under_its_players_limit(scene: Scene) -> None:
    bank, player = scene.bank, scene.poor
    async with bank.pool.acquire() as connection:
        await set_policy(
            connection, 1, PRINCIPAL, player, 1, None, [Cap("deposit", "day", "MXN", Decimal("150.00"))]
        )
    put = await suspended(bank, "70.00", key="20261121:40012:WAITS")
    taken = await receipt(
        bank, "suspense.assign", available(player), "70.00", key="20261121:40012:WAITS", origin=put
    )
    lines: list[Line] = [(SUSPENSE, "70.00", None), (available(player), "-70.00", None)]
    assert await post(bank, "suspense.assign", lines, receipt=taken) == "limit-not-ready"
    assert await scene.forge("suspense.assign", lines, receipt=taken) == "player_stays_within_caps"
    async with bank.pool.acquire() as connection:
        await set_policy(
            connection, 1, PRINCIPAL, player, 2, None, [Cap("deposit", "day", "MXN", Decimal("170.00"))]
        )
    assert await post(bank, "suspense.assign", lines, receipt=taken) == "posted"


async def test_a_card_payment_counts_as_a_deposit(scene: Scene) -> None:
    """It is booked, since it has happened; what comes after it is refused."""
    bank, player = scene.bank, scene.poor
    async with bank.pool.acquire() as connection:
        await set_policy(
            connection, 1, PRINCIPAL, player, 1, None, [Cap("deposit", "day", "MXN", Decimal("150.00"))]
        )
    await captured(bank, player, "60.00")
    first = await receipt(bank, "deposit", available(player), "1.00")
    lines: list[Line] = [(BANK, "1.00", None), (available(player), "-1.00", None)]
    assert await post(bank, "deposit", lines, receipt=first) == "limit-exceeded"


async def test_a_second_receipt_says_what_the_first_said(scene: Scene) -> None:
    bank, player = scene.bank, scene.poor
    first = await suspended(bank, "70.00", key="K1")
    deposit = await bank.receipt(player, Decimal("70.00"))
    for purpose, amount, key, origin, rule in (
        ("suspense.assign", "71.00", "K1", first, "receipt_origin_is_the_same_transfer"),
        ("suspense.assign", "70.00", "K2", first, "receipt_origin_is_the_same_transfer"),
        (
            "suspense.assign",
            "70.00",
            f"K{deposit.hex.upper()}",
            deposit,
            "receipt_origin_is_the_same_transfer",
        ),
        ("suspense.assign", "70.00", "K3", None, "receipt_origin_as_purpose_says"),
        ("deposit", "70.00", "K1", first, "receipt_origin_as_purpose_says"),
    ):
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await receipt(bank, purpose, available(player), amount, key=key, origin=origin)
        assert refusal.value.constraint_name == rule


async def test_nothing_leaves_suspense_that_was_not_put_there(scene: Scene) -> None:
    bank, player = scene.bank, scene.poor
    await suspended(bank, "70.00")
    unbooked = await suspended(bank, "70.00", key="K9", book=False)
    assign = await receipt(bank, "suspense.assign", available(player), "70.00", key="K9", origin=unbooked)
    lines: list[Line] = [("suspense/spei", "70", None), (available(player), "-70", None)]
    assert await post(bank, "suspense.assign", lines, receipt=assign) == "receipt-not-ready"
    assert await scene.forge("suspense.assign", lines, receipt=assign) == "receipt_origin_is_booked"


async def test_a_withdrawal_that_came_back_is_the_players_again(bank: Bank) -> None:
    player, hold = await bank.fund(), uuid4()
    waiting = f"players/{player}/withdrawing"
    reserve: list[Line] = [(available(player), "50", None), (waiting, "-50", hold)]
    assert await post(bank, "withdrawal.reserve", reserve) == "posted"
    assert (
        await post(bank, "withdrawal.done", [(waiting, "50", hold), ("bank/spei", "-50", None)]) == "posted"
    )
    back, again = await receipt(bank, "withdrawal.returned", waiting, "50.00"), uuid4()
    returned: list[Line] = [("bank/spei", "50", None), (waiting, "-50", again)]
    assert await post(bank, "withdrawal.returned", returned, receipt=back) == "posted"
    release: list[Line] = [(waiting, "50", again), (available(player), "-50", None)]
    assert await post(bank, "withdrawal.release", release) == "posted"
    assert (await bank.balances())[available(player)] == -100
    await bank.check()


async def test_a_failed_refund_returns_only_by_a_receipt(scene: Scene) -> None:
    grant: list[Line] = [("psp/chaos/receivable", "40", None), (available(scene.poor), "-40", None)]
    for kind in ("refund.returned", "card.capture"):
        assert await scene.forge(kind, grant) in {"entry_receipt_as_kind_says", "posting_fits_template"}
    paid = await receipt(scene.bank, "refund.returned", available(scene.poor), "40.00", rail="chaos")
    assert await scene.forge("refund.returned", grant, receipt=paid) == "posted"
    other: list[Line] = [("psp/other/receivable", "40", None), (available(scene.poor), "-40", None)]
    second = await receipt(scene.bank, "refund.returned", available(scene.poor), "40.00", rail="chaos")
    assert await scene.forge("refund.returned", other, receipt=second) == "receipt_matches_bank"
