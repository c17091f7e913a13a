"""Four eyes of which two are gone: who asked, or approved, is dismissed or moved."""

import asyncio

import asyncpg
import pytest
from common.testing import Database

from services.identity.tests.conftest import Appointed
from services.identity.tests.people import Client, Owner
from services.identity.tests.staff import REASON, asked, decide, told

ASK = """
    INSERT INTO approval (id, act, subject, details, reason, requested_by, requested_at)
    VALUES (gen_random_uuid(), '{act}', '{subject}', '{{"role": "auditor"}}', 'r', '{by}', now()) RETURNING id
"""
APPROVE = "UPDATE approval SET state = 'APPROVED', decided_by = '{by}', decided_at = now() WHERE id = '{id}'"
WAITS_FOR_US = """
    SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid)))
"""


async def dismiss(owner: Owner, who: str) -> None:
    """Somebody goes, written past every rule, in the transaction of whoever writes it."""
    await owner.execute("SET LOCAL session_replication_role = replica")
    await owner.execute("UPDATE users SET closed_at = now() WHERE id = $1::uuid", who)


async def blocked(owner: Owner) -> None:
    async with asyncio.timeout(10):
        while not await owner.fetchval(WAITS_FOR_US):
            await asyncio.sleep(0.01)


async def test_what_somebody_asked_who_was_dismissed_or_moved_is_not_approved(
    client: Client, member: Appointed, owner: Owner
) -> None:
    """An administrator asks for a friend to be made one, and goes; a colleague looks through what is open."""
    first, second = await member(1, "admin"), await member(2, "admin")
    acts = {"dismissal": REASON, "role": {"role": "auditor", **REASON}}
    for number, (act, body) in enumerate(acts.items(), 3):
        gone, friend = await member(number, "admin"), await member(number + 10, "official")
        wish = {"role": "admin", **REASON}
        approval = await asked(client, gone, f"/v1/staff/{friend.id}/role", {**wish})
        leaving = await asked(client, first, f"/v1/staff/{gone.id}/{act}", {**body})
        assert (await decide(client, second, leaving)).status == 200
        assert await told(await decide(client, second, approval)) == (409, "asker-may-not"), act
        role = "SELECT role FROM users WHERE id = $1::uuid"
        assert await owner.fetchval(role, friend.id) == "official"
        assert (await decide(client, second, approval, "refuse")).status == 200
        anew = await asked(client, first, f"/v1/staff/{friend.id}/role", {**wish})
        assert (await decide(client, second, anew)).status == 200


async def test_who_is_dismissed_at_this_moment_has_asked_for_nothing(
    client: Client, member: Appointed, owner: Owner
) -> None:
    second, gone, moved = await member(2, "admin"), await member(3, "admin"), await member(4, "official")
    approval = await asked(client, gone, f"/v1/staff/{moved.id}/role", {"role": "auditor", **REASON})
    async with owner.transaction():
        await dismiss(owner, gone.id)
        deciding = asyncio.create_task(decide(client, second, approval))
        await blocked(owner)
    assert await told(await deciding) == (409, "asker-may-not")


async def test_the_database_approves_nothing_of_who_is_gone(
    member: Appointed, database: Database, owner: Owner
) -> None:
    """Also when they go while it looks."""
    second, auditor = await member(2, "admin"), await member(4, "auditor")
    app = await asyncpg.connect(database.dsn("identity_app"))
    for number, at_once in ((5, False), (6, True)):
        gone = await member(number, "admin")
        approval = await app.fetchval(ASK.format(act="staff.role", subject=auditor.id, by=gone.id))
        approve = APPROVE.format(by=second.id, id=approval)
        async with owner.transaction():
            await dismiss(owner, gone.id)
            approving = asyncio.create_task(app.execute(approve)) if at_once else None
            if at_once:
                await blocked(owner)
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await (approving or app.execute(approve))
        assert refusal.value.constraint_name == "approval_is_asked_by_whom_still_may"
        await app.execute(APPROVE.format(by=second.id, id=approval).replace("APPROVED", "REFUSED"))
    await app.close()


async def test_no_approval_lies_ready_for_when_those_who_gave_it_are_gone(
    member: Appointed, database: Database
) -> None:
    first, second, third = await member(1, "admin"), await member(2, "admin"), await member(3, "official")
    app = await asyncpg.connect(database.dsn("identity_app"))
    subjects = {
        "staff.appoint": "somebody@example.mx",
        "staff.role": third.id,
        "staff.dismiss": third.id,
        "kyc.approve": third.id,
        "kyc.reject": third.id,
    }
    for act, subject in subjects.items():
        approval = await app.fetchval(ASK.format(act=act, subject=subject, by=first.id))
        with pytest.raises(asyncpg.CheckViolationError) as refusal:
            await app.execute(APPROVE.format(by=second.id, id=approval))
        assert refusal.value.constraint_name == "approval_takes_effect_at_once", act
    await app.close()
