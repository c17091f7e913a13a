"""What no runtime role can do in SQL, whatever the service's code looks like.

Every attack runs against a ledger in use and must end in a refusal that names its rule, with the
books sound afterwards.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import uuid4

import asyncpg
import pytest
from ledger.domain.standings import Cap
from ledger.engine.memory import Memory
from ledger.store.limits import set_policy

from services.ledger.tests.forgery import Line, Scene, available, held
from services.ledger.tests.forgery import scene as scene
from services.ledger.tests.vocabulary import (
    PRINCIPAL,
    hold,
    match,
    one_row,
    posted,
    refused,
    release,
    settle,
)


async def test_the_forger_itself_can_write_a_sound_entry(scene: Scene) -> None:
    """Else every attack below would be refused for the wrong reason."""
    lines: list[Line] = [(held(scene.rich), "40", scene.offer), (available(scene.rich), "-40", None)]
    assert await scene.forge("bet.release", lines) == "posted"


async def test_money_is_not_granted(scene: Scene) -> None:
    grant: list[Line] = [("bank/spei", "1000", None), (available(scene.poor), "-1000", None)]
    assert await scene.forge("deposit", grant) == "entry_receipt_as_kind_says"
    assert await scene.forge("deposit", grant, receipt=uuid4()) == "receipt_matches_entry"
    assert await scene.forge("bet.release", grant) == "posting_fits_template"
    assert await scene.forge("grant", grant) in {"posting_fits_template", "principal_may_post_kind"}
    house: list[Line] = [("house/commission", "10", None), (available(scene.poor), "-10", None)]
    assert await scene.forge("bet.settle", house) == "posting_fits_template"


async def test_the_posting_role_cannot_invent_a_receipt(scene: Scene) -> None:
    for role in ("ledger_posting", "ledger_reader", "ledger_relay", "ledger_keys"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scene.at[role].execute("INSERT INTO receipt DEFAULT VALUES")


async def test_the_receipts_role_can_do_nothing_but_store_receipts(scene: Scene) -> None:
    for table in ("entry", "posting", "account", "balance", "hold", "outbox", "receipt_use", "refusal"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await scene.at["ledger_receipts"].execute(f"INSERT INTO {table} DEFAULT VALUES")


@pytest.mark.parametrize(
    ("amount", "to"),
    [("150", "owner"), ("50", "owner"), ("100", "stranger")],
    ids=["more than it attests", "a part, to split it", "another player"],
)
async def test_a_receipt_pays_exactly_what_and_whom_it_names(scene: Scene, amount: str, to: str) -> None:
    receipt = await scene.bank.receipt(scene.poor, Decimal(100))
    credited = scene.poor if to == "owner" else scene.rich
    lines: list[Line] = [("bank/spei", amount, None), (available(credited), f"-{amount}", None)]
    assert await scene.forge("deposit", lines, receipt=receipt) == "receipt_matches_entry"


async def test_a_receipt_is_spent_once(scene: Scene) -> None:
    receipt = await scene.bank.receipt(scene.poor, Decimal(100))
    lines: list[Line] = [("bank/spei", "100", None), (available(scene.poor), "-100", None)]
    assert await scene.forge("deposit", lines, receipt=receipt) == "posted"
    assert await scene.forge("deposit", lines, receipt=receipt) == "receipt_is_spent_once"
    assert await scene.forge("deposit", [("bank/other", "100", None), (available(scene.poor), "-100", None)],
                             receipt=await scene.bank.receipt(scene.poor, Decimal(100))) == "receipt_matches_bank"  # fmt: skip


async def test_the_same_transfer_is_not_attested_twice(scene: Scene) -> None:
    await scene.bank.receipt(scene.poor, Decimal(100))
    copy = (
        "INSERT INTO receipt (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency, "
        "occurred_at, key_id, attestation, signature) SELECT gen_random_uuid(), ledger_id, rail, {key}, {document}, purpose, "
        "account, amount, currency, occurred_at, key_id, attestation, signature FROM receipt LIMIT 1"
    )
    attempts = {
        ("tracking_key", "sha256('other')"): "receipt_tracking_key_is_unique",
        ("lower(tracking_key)", "sha256('other')"): "receipt_tracking_key_is_canonical",
        ("' ' || tracking_key", "sha256('other')"): "receipt_tracking_key_is_canonical",
        ("'ANOTHER'", "document_sha256"): "receipt_document_is_unique",
    }
    for (key, document), rule in attempts.items():
        with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refusal:
            await scene.at["ledger_receipts"].execute(copy.format(key=key, document=document))
        assert refusal.value.constraint_name == rule


async def test_a_hold_stays_with_its_owner_and_its_purpose(scene: Scene) -> None:
    steal: list[Line] = [(held(scene.rich), "40", scene.offer), (available(scene.poor), "-40", None)]
    assert await scene.forge("bet.release", steal) == "entry_binds_players"
    other_account: list[Line] = [(held(scene.poor), "40", scene.offer), (available(scene.poor), "-40", None)]
    assert await scene.forge("bet.release", other_account) in {"balance_not_below_floor", "hold_is_bound"}
    back: list[Line] = [(held(scene.rich), "40", scene.offer), (available(scene.rich), "-40", None)]
    assert await scene.forge("bet.release", back, reference=f"markets/{uuid4()}") == "hold_is_bound"
    unnamed: list[Line] = [(held(scene.rich), "40", None), (available(scene.rich), "-40", None)]
    assert await scene.forge("bet.release", unnamed) == "posting_carries_hold"
    withdrawn: list[Line] = [(held(scene.rich), "40", scene.offer), ("bank/spei", "-40", None)]
    assert await scene.forge("withdrawal.done", withdrawn) == "posting_fits_template"


async def test_a_hold_is_drawn_no_further_than_it_goes(scene: Scene) -> None:
    assert posted(await scene.bank.engine.post(hold(scene.rich, Decimal(30), scene.market, uuid4())))
    over: list[Line] = [(held(scene.rich), "41", scene.offer), (available(scene.rich), "-41", None)]
    assert await scene.forge("bet.release", over) == "hold_remaining_not_negative"
    again: list[Line] = [(available(scene.rich), "1", None), (held(scene.rich), "-1", scene.offer)]
    assert await scene.forge("bet.hold", again) == "hold_pkey"


async def test_an_entry_balances_and_is_whole(scene: Scene) -> None:
    lines: list[Line] = [(available(scene.rich), "10", None), (held(scene.rich), "-11", uuid4())]
    assert await scene.forge("bet.hold", lines) == "entry_balances"
    sound: list[Line] = [(available(scene.rich), "10", None), (held(scene.rich), "-10", uuid4())]
    assert await scene.forge("bet.hold", sound, legs=3) == "entry_is_complete"
    assert await scene.forge("bet.hold", sound[:1]) == "entry_has_two_legs"
    posting = scene.at["ledger_posting"]
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await posting.execute(
            "INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference) "
            "VALUES (1, $1, gen_random_uuid(), 'bet.hold', 2, $2, 'k', sha256('x'), 'r')",
            await scene.next_sequence(),
            PRINCIPAL,
        )
    assert refusal.value.constraint_name == "entry_is_complete"


async def test_no_posting_is_added_to_an_old_entry(scene: Scene) -> None:
    posting = scene.at["ledger_posting"]
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await posting.execute(
            """
            INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance)
            SELECT 1, 1, 2 + row_number() OVER (), a.id, b.sequence + 1, side * 5, b.amount + side * 5
              FROM (VALUES ('bank/spei', 1), ($1, -1)) AS wanted (path, side)
              JOIN account a USING (path) JOIN balance b ON b.account_id = a.id
            """.replace("side * 5", "wanted.side * 5"),
            available(scene.poor),
        )
    assert refusal.value.constraint_name == "entry_is_complete"


async def test_a_posting_has_an_entry_and_an_account(scene: Scene) -> None:
    posting = scene.at["ledger_posting"]
    write = "INSERT INTO posting (ledger_id, sequence, leg, account_id, account_sequence, amount, balance) VALUES "
    account = await posting.fetchval("SELECT id FROM account WHERE path = $1", available(scene.rich))
    with pytest.raises(asyncpg.CheckViolationError) as alone:
        await posting.execute(write + f"(1, 999, 1, {account}, 9, 5, 5), (1, 999, 2, {account}, 10, -5, 0)")
    assert alone.value.constraint_name == "posting_belongs_to_entry"
    entry = (
        "WITH e AS (INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference) "
        "VALUES (1, $1, gen_random_uuid(), 'bet.hold', 2, $2, 'k', sha256('x'), 'r')) "
    )
    with pytest.raises(asyncpg.CheckViolationError) as nowhere:
        await posting.execute(
            f"{entry}{write}(1, $1, 1, {account}, 9, 5, 5), (1, $1, 2, 987654321, 1, -5, -5)",
            await scene.next_sequence(),
            PRINCIPAL,
        )
    assert nowhere.value.constraint_name == "posting_account_is_open"


async def test_an_entry_is_posted_now(scene: Scene) -> None:
    lines: list[Line] = [(available(scene.rich), "1", None), (held(scene.rich), "-1", uuid4())]
    ahead = datetime.now(UTC) + timedelta(minutes=5)
    assert await scene.forge("bet.hold", lines, posted_at=ahead) == "entry_is_posted_now"
    before = datetime.now(UTC) - timedelta(minutes=5)
    assert await scene.forge("bet.hold", lines, posted_at=before) == "entry_is_posted_after_settled"


@pytest.mark.parametrize("amount", ["NaN", "Infinity", "-Infinity", "1e18", "0.0000001"])
async def test_an_amount_is_a_finite_exact_number(scene: Scene, amount: str) -> None:
    lines: list[Line] = [(available(scene.rich), amount, None), (held(scene.rich), amount, uuid4())]
    assert await scene.forge("bet.hold", lines) in {"money_is_finite", "money_is_exact"}


async def test_an_amount_has_no_third_decimal_and_is_not_rounded(scene: Scene) -> None:
    lines: list[Line] = [(available(scene.rich), "0.005", None), (held(scene.rich), "-0.005", uuid4())]
    assert await scene.forge("bet.hold", lines) == "posting_fits_currency"


async def test_a_floor_holds_at_every_step(scene: Scene) -> None:
    lines: list[Line] = [(available(scene.rich), "61", None), (held(scene.rich), "-61", uuid4())]
    assert await scene.forge("bet.hold", lines) == "balance_not_below_floor"


async def test_a_floor_holds_between_the_entries_of_a_batch(scene: Scene) -> None:
    """An engine that knows no floor holds 61 of 60 and gets 40 back in the same breath: in the end all would be well."""
    engine = scene.bank.engine
    lax = replace(engine.chart, classes=tuple(replace(each, floored=False) for each in engine.chart.classes))
    engine._memory = Memory(1, lax)
    answers = await engine.post_groups(
        [
            (hold(scene.rich, Decimal(61), scene.market, uuid4()),),
            (release(scene.rich, Decimal(40), scene.market, scene.offer),),
        ]
    )
    assert [refused(answer) for (answer,) in answers] == ["refused-by-database", "posted"]


async def test_a_posting_tells_the_true_balance_and_the_next_number(scene: Scene) -> None:
    posting = scene.at["ledger_posting"]
    account, balance, sequence = await one_row(
        posting,
        "SELECT id, amount, sequence FROM account JOIN balance ON account_id = id WHERE path = $1",
        available(scene.rich),
    )
    other = await one_row(
        posting,
        "SELECT id, amount, sequence FROM account JOIN balance ON account_id = id WHERE path = $1",
        held(scene.rich),
    )
    write = (
        "WITH e AS (INSERT INTO entry (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference) "
        "VALUES (1, $1, gen_random_uuid(), 'bet.hold', 2, $2, 'k', sha256('x'), $3)) "
        "INSERT INTO posting VALUES (1, $1, 1, $4, $5, 10, $6, NULL), (1, $1, 2, $7, $8, -10, $9, gen_random_uuid())"
    )
    top, market = await scene.next_sequence(), f"markets/{scene.market}"
    lie = (top, PRINCIPAL, market, account, sequence + 1, balance + 20, other[0], other[2] + 1, other[1] - 10)
    with pytest.raises(asyncpg.CheckViolationError) as untrue:
        await posting.execute(write, *lie)
    assert untrue.value.constraint_name == "posting_balance_is_true"
    stale = (
        top,
        PRINCIPAL,
        market,
        account,
        sequence + 2,
        balance + 10,
        other[0],
        other[2] + 1,
        other[1] - 10,
    )
    with pytest.raises(asyncpg.SerializationError) as behind:
        await posting.execute(write, *stale)
    assert behind.value.constraint_name == "account_sequence_is_next"
    gap = (
        top + 1,
        PRINCIPAL,
        market,
        account,
        sequence + 1,
        balance + 10,
        other[0],
        other[2] + 1,
        other[1] - 10,
    )
    with pytest.raises(asyncpg.SerializationError):
        await posting.execute(write, *gap)


async def test_an_escrow_pays_its_contributors_whole_once(scene: Scene) -> None:
    bank, offer = scene.bank, uuid4()
    assert posted(await bank.engine.post(hold(scene.poor, Decimal(50), scene.market, offer)))
    stakes = match(scene.market, (scene.rich, scene.offer, Decimal(40)), (scene.poor, offer, Decimal(50)))
    assert posted(await bank.engine.post(stakes))
    escrow, stranger = f"markets/{scene.market}/escrow", await bank.fund()
    part = {
        "settlement_version": 1,
        "settlement_total": Decimal(90),
        "settlement_chunk": 1,
        "settlement_chunks": 1,
    }

    assert await scene.forge("bet.settle", [(escrow, "90", None), (available(scene.rich), "-90", None)]) == (
        "entry_settlement_as_kind_says"
    )
    to_stranger: list[Line] = [(escrow, "90", None), (available(stranger), "-90", None)]
    assert await scene.forge("bet.settle", to_stranger, **part) == "settlement_pays_contributors"
    half: list[Line] = [(escrow, "45", None), (available(scene.rich), "-45", None)]
    assert await scene.forge("bet.settle", half, **part) == "settlement_pays_its_total"
    assert (
        await scene.forge("bet.settle", half, **part | {"settlement_total": Decimal(45)})
        == "settlement_matches_header"
    )
    void_too_much: list[Line] = [(escrow, "90", None), (available(scene.rich), "-90", None)]
    assert await scene.forge("bet.void", void_too_much, **part) == "stake_returns_no_more_than_given"
    other_market = f"markets/{uuid4()}"
    whole: list[Line] = [(escrow, "90", None), (available(scene.rich), "-90", None)]
    assert await scene.forge("bet.settle", whole, reference=other_market, **part) == "entry_binds_market"

    assert await scene.forge("bet.settle", whole, **part) == "posted"
    assert await scene.forge("bet.settle", whole, **part) == "entry_settlement_chunk_is_unique"
    late = uuid4()
    assert posted(await bank.engine.post(hold(scene.rich, Decimal(5), scene.market, late)))
    late2 = uuid4()
    assert posted(await bank.engine.post(hold(scene.poor, Decimal(5), scene.market, late2)))
    more: list[Line] = [(held(scene.rich), "5", late), (held(scene.poor), "5", late2), (escrow, "-10", None)]
    assert await scene.forge("bet.match", more) == "escrow_is_frozen"


async def test_one_player_cannot_match_alone(scene: Scene) -> None:
    lines: list[Line] = [
        (held(scene.rich), "40", scene.offer),
        (f"markets/{scene.market}/escrow", "-40", None),
    ]
    assert await scene.forge("bet.match", lines) == "entry_binds_players"


async def test_a_principal_posts_only_its_kinds(scene: Scene) -> None:
    lines: list[Line] = [(held(scene.rich), "40", scene.offer), (available(scene.rich), "-40", None)]
    assert await scene.forge("bet.release", lines, principal="nobody") == "principal_may_post_kind"


async def test_an_account_takes_its_class_from_its_path(scene: Scene) -> None:
    posting = scene.at["ledger_posting"]
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await posting.execute(
            "INSERT INTO account (ledger_id, path, currency) VALUES (1, 'house/secret', 'MXN')"
        )
    assert refusal.value.constraint_name == "account_path_is_in_chart"
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await posting.execute(
            "INSERT INTO account (ledger_id, path, currency, floored) VALUES (1, 'bank/x', 'MXN', false)"
        )
    with pytest.raises(asyncpg.PostgresError):
        await posting.execute("INSERT INTO account (ledger_id, path, currency) VALUES (1, 'bank/x', 'EUR')")


async def test_a_command_is_not_both_posted_and_refused(scene: Scene) -> None:
    posting = scene.at["ledger_posting"]
    id = await posting.fetchval("SELECT id FROM entry LIMIT 1")
    with pytest.raises(asyncpg.CheckViolationError) as refusal:
        await posting.execute(
            "INSERT INTO refusal (id, ledger_id, kind, principal, idempotency_key, fingerprint, reference, problem) "
            "VALUES ($1, 1, 'bet.hold', $2, 'k', sha256('x'), 'r', '{}')",
            id,
            PRINCIPAL,
        )
    assert refusal.value.constraint_name == "command_has_one_outcome"


async def test_every_entry_leaves_exactly_one_event(scene: Scene) -> None:
    reader = scene.at["ledger_reader"]
    assert not await reader.fetch(
        "SELECT e.id FROM entry e LEFT JOIN outbox o ON o.event_id = e.id GROUP BY e.id HAVING count(o.id) <> 1"
    )
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scene.at["ledger_posting"].execute("DELETE FROM outbox")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await scene.at["ledger_relay"].execute("SELECT * FROM entry")


async def test_settling_twice_is_impossible(scene: Scene) -> None:
    bank, offer = scene.bank, uuid4()
    assert posted(await bank.engine.post(hold(scene.poor, Decimal(50), scene.market, offer)))
    pair = match(scene.market, (scene.rich, scene.offer, Decimal(40)), (scene.poor, offer, Decimal(50)))
    assert posted(await bank.engine.post(pair))
    assert posted(await bank.engine.post(settle(scene.market, {available(scene.rich): Decimal(90)})))
    again = await bank.engine.post(settle(scene.market, {available(scene.rich): Decimal(90)}))
    assert not posted(again)


@pytest.mark.parametrize(
    ("caps", "blocked", "rule"),
    [
        ((("stake", "week"),), False, "player_stays_within_caps"),
        ((("loss", "month"),), False, "player_stays_within_caps"),
        ((), True, "player_is_not_blocked"),
        ((("deposit", "day"),), False, "posted"),
    ],
)
async def test_a_stake_beyond_its_players_limits(
    scene: Scene, caps: tuple[tuple[str, str], ...], blocked: bool, rule: str
) -> None:
    """Of the forty that are held already, and these sixty, no more than ninety-nine are allowed."""
    told = [Cap(measure, period, "MXN", Decimal("99.99")) for measure, period in caps]
    until = datetime.now(UTC) + timedelta(days=1) if blocked else None
    await set_policy(scene.at["ledger_posting"], 1, PRINCIPAL, scene.rich, 1, until, told)
    lines: list[Line] = [(available(scene.rich), "60", None), (held(scene.rich), "-60", uuid4())]
    assert await scene.forge("bet.hold", lines) == rule
