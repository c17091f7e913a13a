"""Rows that the service's own role could write past its code, and what the database says to them."""

from collections.abc import Mapping

import asyncpg
import pytest
from common.testing import Database

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, Owner, as_user, keyed, login, papers, register
from services.identity.tests.staff import REASON, Member, asked, decide

ASK = """
    INSERT INTO approval (id, act, subject, details, reason, requested_by, requested_at, state, decided_by, decided_at)
    VALUES (gen_random_uuid(), 'staff.role', '{subject}', '{{"role": "admin"}}', 'r', '{by}', now(), {decided})
"""
CASE = """
    INSERT INTO kyc_case (id, user_id, state, version, opened_at, submitted_at, decided_at, approval)
    VALUES (gen_random_uuid(), '{user}', '{state}', {version}, now(), now(), {decided_at}, {approval})
"""


async def refused(database: Database, attacks: Mapping[str, tuple[str, str]]) -> None:
    """Each attack, by the service's role and undone again, ends at its constraint."""
    found: dict[str, str | None] = {}
    app = await asyncpg.connect(database.dsn("identity_app"))
    for what, (statements, _) in attacks.items():
        transaction = app.transaction()
        await transaction.start()
        try:
            await app.execute(statements)
            found[what] = "accepted"
        except asyncpg.IntegrityConstraintViolationError as refusal:
            found[what] = refusal.constraint_name
        await transaction.rollback()
    await app.close()
    assert found == {what: constraint for what, (_, constraint) in attacks.items()}


async def limited(client: Client) -> dict[str, str]:
    """Somebody who stakes at most 200 a day."""
    await register(client, papers().body)
    me = await as_user(client, await login(client, papers()))
    body = {"measure": "stake", "period": "day", "amount": "200.00"}
    assert (await client.put("/v1/play/limits", json=body, headers=keyed(me))).status == 202
    return me


async def test_no_day_to_think_lies_in_the_past(client: Client, database: Database) -> None:
    """When a limit was set is only what the row says: to grow takes a day from now."""
    await limited(client)
    past = "set_at = now() - INTERVAL '2 days', pending_from = now() - INTERVAL '1 day'"
    another = """
        INSERT INTO play_limit (user_id, measure, period, amount, set_at, pending, pending_from)
        SELECT user_id, 'loss', 'day', 1, now() - INTERVAL '2 days', 900, now() - INTERVAL '1 day' FROM play_policy
    """
    grows = "amount = 900, pending = NULL, pending_from = NULL"
    sooner = "set_at = set_at - INTERVAL '2 h', pending_from = pending_from - INTERVAL '2 h'"
    wait = "UPDATE play_limit SET pending = 900, pending_from = now() + INTERVAL '24 h', set_at = now()"
    rule = "play_limit_grows_after_a_day"
    attacks = {
        "a day that is over": (
            f"UPDATE play_limit SET pending = 900, {past}; UPDATE play_limit SET {grows}",
            rule,
        ),
        "none, after a day that is over": (f"UPDATE play_limit SET pending = NULL, {past}", rule),
        "a limit that begins with such a day": (another, rule),
        "a day made shorter": (f"{wait}; UPDATE play_limit SET {sooner}", rule),
        "more than was asked for": (f"{wait}; UPDATE play_limit SET pending = 901, {past}", rule),
        "grown before its day": (f"{wait}; UPDATE play_limit SET {grows}", "play_limit_grows_by_waiting"),
    }
    await refused(database, attacks)


async def test_an_approval_begins_as_a_question(member: Appointed, database: Database) -> None:
    """Who decides it is looked at when it is decided, so none is there decided."""
    first, second, auditor = await member(1, "admin"), await member(2, "admin"), await member(3, "auditor")
    decided = "'APPROVED', '{}', now()"
    rule = "approval_begins_as_a_question"
    attacks = {
        f"decided by {who.id}": (
            ASK.format(subject=subject.id, by=first.id, decided=decided.format(who.id)),
            rule,
        )
        for who, subject in ((auditor, second), (second, auditor))
    }
    attacks["refused"] = (
        ASK.format(subject=auditor.id, by=first.id, decided=f"'REFUSED', '{second.id}', now()"),
        rule,
    )
    await refused(database, attacks)


async def given(client: Client, who: Member, by: tuple[Member, Member], role: str) -> str:
    """Another role for somebody; gives the request by which they have it."""
    approval = await asked(client, by[0], f"/v1/staff/{who.id}/role", {"role": role, **REASON})
    assert (await decide(client, by[1], approval)).status == 200
    return approval


async def test_an_approval_serves_once(
    client: Client, member: Appointed, database: Database, owner: Owner
) -> None:
    """Who was made administrator and then auditor is not made administrator by the first request again."""
    first, second, moved = await member(1, "admin"), await member(2, "admin"), await member(3, "official")
    old = await given(client, moved, (first, second), "admin")
    await given(client, moved, (first, second), "auditor")
    role = "UPDATE users SET role = 'admin', version = version + 1, approval = '{old}' WHERE id = '{user}'"
    again = role.format(old=old, user=moved.id)
    attacks = {
        "again": (again, "approval_is_used_once"),
        "again, after another": (
            f"UPDATE users SET approval = NULL WHERE id = '{moved.id}'; {again}",
            "approval_is_used_once",
        ),
    }
    await refused(database, attacks)
    assert await owner.fetchval("SELECT role FROM users WHERE id = $1::uuid", moved.id) == "auditor"
    app = await asyncpg.connect(database.dsn("identity_app"))
    for statement in ("DELETE FROM approval_use", "UPDATE approval_use SET approval = approval"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)
    await app.close()


async def test_a_case_begins_as_a_draft(
    client: Client, member: Appointed, database: Database, owner: Owner
) -> None:
    first, second, moved = await member(1, "admin"), await member(2, "admin"), await member(3, "official")
    approval = await given(client, moved, (first, second), "auditor")
    await register(client, papers(5).body)
    user = await owner.fetchval("SELECT id FROM users WHERE role = 'bettor'")
    undecided = {"user": user, "decided_at": "NULL", "approval": "NULL"}
    attacks = {
        "approved by a request for something else": (
            CASE.format(user=user, state="APPROVED", version=1, decided_at="now()", approval=f"'{approval}'"),
            "kyc_case_begins_as_a_draft",
        ),
        "submitted without evidence": (
            CASE.format(state="SUBMITTED", version=1, **undecided),
            "kyc_case_begins_as_a_draft",
        ),
        "in the middle": (CASE.format(state="DRAFT", version=7, **undecided), "kyc_case_begins_as_a_draft"),
    }
    await refused(database, attacks)


async def test_a_lost_second_factor_does_not_come_back(member: Appointed, database: Database) -> None:
    """An older generation is the secret of the authenticator that was lost."""
    who = await member(1, "admin")
    change = "UPDATE users SET totp_generation = {}, version = version + 1 WHERE id = '{}'"
    rule = "users_second_factor_is_not_taken_back"
    attacks = {
        "none any more": (change.format(0, who.id), rule),
        "the one before": (f"{change.format(2, who.id)}; {change.format(1, who.id)}", rule),
    }
    await refused(database, attacks)
