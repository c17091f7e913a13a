"""A tax rate is what two administrators say, in time, and neither the service nor its database's login makes another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import asyncpg
import pytest
from betting.api.registry_views import RateApprovalView
from betting.domain.errors import FourEyesNeeded, NoSuchApproval
from betting.domain.ids import UserId
from betting.domain.withholding import ApprovalStatus, RateApproval, RateApprovalId, TaxRate
from common.badges import Badge
from common.client import Unreachable
from common.idempotency import Answer
from common.roles import Role
from common.testing import Database

from services.betting.tests.asking import JUDGES, call, keep
from services.betting.tests.badges import badge_of, shows
from services.betting.tests.fake_ledger import FakeIdentity
from services.betting.tests.second_net import as_the_service
from services.betting.tests.venue import Venue

ASKER, DECIDER = JUDGES


@pytest.fixture
async def app(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    async with as_the_service(database) as connection:
        yield connection


def rate(venue: Venue, *, days: int = 1, bps: int = 700) -> TaxRate:
    return TaxRate("SON", venue.clock().date() + timedelta(days=days), "isr", bps)


async def asked(venue: Venue, wanted: TaxRate | None = None) -> RateApprovalId:
    found: list[RateApproval] = []
    await venue.withholding.ask(
        call(ASKER, role=Role.ADMIN),
        wanted or rate(venue),
        "the law",
        lambda each: keep(found, each, RateApprovalView.of),
    )
    return found[0].id


async def decided(venue: Venue, id: RateApprovalId, by: UserId = DECIDER, *, approve: bool = True) -> str:
    """The status of the answer, and the problem's slug."""
    answer = await venue.withholding.decide(
        call(by, role=Role.ADMIN), id, lambda each: Answer.of(RateApprovalView.of(each)), approve=approve
    )
    return "done" if answer.status == 200 else answer.body.split("/problems/")[1].split('"')[0]


async def rates(venue: Venue) -> list[tuple[int, UserId]]:
    rows = await venue.owner.fetch("SELECT bps, added_by FROM withholding_rate ORDER BY state, valid_from")
    return [(row["bps"], UserId(row["added_by"])) for row in rows]


async def showing(
    app: "asyncpg.Connection[asyncpg.Record]", badge: Badge | None, statement: str, *arguments: object
) -> None:
    """What the service writes of the last argument, who shows a badge in the same transaction."""
    async with app.transaction():
        if badge is not None:
            await app.execute(shows(str(arguments[-1]), badge))
        await app.execute(statement, *arguments)


async def meanwhile(venue: Venue, statement: str, *arguments: object) -> None:
    """What no rule lets anybody do, so that a test need not wait for it."""
    async with venue.owner.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")
        await connection.execute(statement, *arguments)


async def test_what_one_administrator_asks_for_is_the_rate_once_another_one_approves(venue: Venue) -> None:
    first = await asked(venue)
    assert await rates(venue) == []
    with pytest.raises(FourEyesNeeded):
        await decided(venue, first, ASKER)
    assert await decided(venue, first) == "done"
    assert await rates(venue) == [(700, DECIDER)]
    assert await decided(venue, first, UserId(uuid4())) == "approval-decided"
    with pytest.raises(NoSuchApproval):
        await decided(venue, RateApprovalId(uuid4()))


async def test_what_is_refused_is_no_rate_and_of_two_for_one_day_one_is(venue: Venue) -> None:
    refused, one, other = [await asked(venue, rate(venue, bps=bps)) for bps in (100, 200, 300)]
    with pytest.raises(FourEyesNeeded):
        await decided(venue, refused, ASKER, approve=False)
    assert await decided(venue, refused, approve=False) == "done"
    assert await decided(venue, refused) == "approval-decided"
    assert [await decided(venue, each) for each in (one, other)] == ["done", "rate-exists"]
    assert await rates(venue) == [(200, DECIDER)]
    assert [each.rate.bps for each in await venue.withholding.approvals(ApprovalStatus.OPEN)] == [300]
    assert [each.rate.bps for each in await venue.withholding.approvals(ApprovalStatus.REFUSED)] == [100]


@pytest.mark.parametrize("role", [None, Role.OFFICIAL, Role.CASHIER])
async def test_who_asked_must_still_be_an_administrator(
    venue: Venue, identity: FakeIdentity, role: Role | None
) -> None:
    first = await asked(venue)
    identity.staff[ASKER] = role
    assert await decided(venue, first) == "asker-may-not"
    assert await decided(venue, first, approve=False) == "done"
    assert await rates(venue) == []


async def test_while_identity_is_silent_nothing_is_approved(venue: Venue, identity: FakeIdentity) -> None:
    first = await asked(venue)
    identity.silent = True
    with pytest.raises(Unreachable):
        await decided(venue, first)
    assert await decided(venue, first, approve=False) == "done"
    assert await rates(venue) == []


async def test_a_request_ends_after_a_day(venue: Venue) -> None:
    late = await asked(venue, rate(venue, days=3))
    venue.clock.ahead += timedelta(hours=24, seconds=1)
    assert await decided(venue, late) == "approval-ended"
    assert await decided(venue, late, approve=False) == "done"


async def test_of_many_who_decide_at_once_one_does(venue: Venue) -> None:
    first = await asked(venue)
    others = [UserId(uuid4()) for _ in range(8)]
    found = await asyncio.gather(
        *(decided(venue, first, other, approve=number % 2 == 0) for number, other in enumerate(others))
    )
    assert sorted(found) == ["approval-decided"] * 7 + ["done"]
    won = found.index("done")
    assert await rates(venue) == ([(700, others[won])] if won % 2 == 0 else [])


async def test_who_approves_again_after_the_answer_was_lost_hears_it_again(venue: Venue) -> None:
    """Decision, rate and answer are one transaction: a crash leaves all of them or none."""
    first, again = await asked(venue), call(DECIDER, role=Role.ADMIN)
    with pytest.raises(ZeroDivisionError):
        await venue.withholding.decide(again, first, lambda _: Answer(200, str(1 // 0)), approve=True)
    assert await rates(venue) == []
    assert [each.id for each in await venue.withholding.approvals(ApprovalStatus.OPEN)] == [first]
    answers = [
        await venue.withholding.decide(
            again, first, lambda each: Answer.of(RateApprovalView.of(each)), approve=True
        )
        for _ in range(2)
    ]
    assert answers[1] == replace(answers[0], replayed=True)
    assert await rates(venue) == [(700, DECIDER)]


@pytest.mark.parametrize("days", [-1, 0])
async def test_a_day_that_begins_while_a_request_is_open_gets_no_rate(venue: Venue, days: int) -> None:
    first = await asked(venue)
    await meanwhile(venue, "UPDATE rate_approval SET valid_from = $1", venue.clock().date() + timedelta(days))
    assert await decided(venue, first) == "rate-too-late"


REFUSED = {
    "a rate without a request": "INSERT INTO withholding_rate (state, valid_from, name, bps, added_by)"
    " VALUES ('SON', current_date + 9, 'isr', 1, gen_random_uuid())",
    "a request that is approved already": "INSERT INTO rate_approval (id, state, valid_from, name, bps, reason, requested_by,"
    " status) VALUES (gen_random_uuid(), 'SON', current_date + 9, 'isr', 1, 'r', gen_random_uuid(), 'APPROVED')",
    "another time to end": "UPDATE rate_approval SET ends_at = now() + interval '1 year'",
    "another time of asking": "UPDATE rate_approval SET requested_at = now()",
    "something else by now": "UPDATE rate_approval SET bps = 5000",
    "somebody else who asked": "UPDATE rate_approval SET requested_by = gen_random_uuid()",
    "another time of deciding": "UPDATE rate_approval SET decided_at = now()",
    "forgotten": "DELETE FROM rate_approval",
}


async def test_the_service_may_not(venue: Venue, app: "asyncpg.Connection[asyncpg.Record]") -> None:
    await asked(venue)
    for statement in REFUSED.values():
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


@pytest.mark.parametrize(
    ("broken", "before", "by"),
    [
        ("rate_approval_takes_four_eyes", None, ASKER),
        ("rate_approval_is_decided_by_somebody", None, None),
        ("rate_approval_is_in_time", "UPDATE rate_approval SET ends_at = now()", DECIDER),
        ("rate_approval_is_decided_once", "UPDATE rate_approval SET status = 'REFUSED'", DECIDER),
        ("rate_approval_is_decided_once", "UPDATE rate_approval SET status = 'APPROVED'", DECIDER),
        (
            "withholding_rate_is_for_days_to_come",
            "UPDATE rate_approval SET valid_from = current_date",
            DECIDER,
        ),
    ],
)
async def test_the_database_approves_nothing(
    venue: Venue,
    app: "asyncpg.Connection[asyncpg.Record]",
    broken: str,
    before: str | None,
    by: UserId | None,
) -> None:
    first = await asked(venue)
    if before is not None:
        await meanwhile(
            venue,
            before + ("" if "status" not in before else f", decided_by = '{DECIDER}', decided_at = now()"),
        )
    approving = "UPDATE rate_approval SET status = 'APPROVED', decided_by = $2 WHERE id = $1"
    with pytest.raises(asyncpg.CheckViolationError) as found:
        await showing(app, None if by is None else badge_of(by, Role.ADMIN), approving, first, by)
    assert found.value.constraint_name == broken
    assert await rates(venue) == []


ASKING = """
    INSERT INTO rate_approval (id, state, valid_from, name, bps, reason, requested_by)
    VALUES (gen_random_uuid(), 'SON', current_date + 30, 'isr', 700, 'the law', $1)
"""


@pytest.mark.parametrize("role", [None, Role.OFFICIAL, Role.AUDITOR])
async def test_nobody_is_an_administrator_on_the_services_word(
    app: "asyncpg.Connection[asyncpg.Record]", role: Role | None
) -> None:
    deciding = "UPDATE rate_approval SET status = 'REFUSED', decided_by = $1"
    await showing(app, badge_of(ASKER, Role.ADMIN), ASKING, ASKER)
    for statement in (ASKING, deciding):
        with pytest.raises(asyncpg.CheckViolationError) as found:
            await showing(app, None if role is None else badge_of(DECIDER, role), statement, DECIDER)
        assert found.value.constraint_name == "who_acts_shows_a_badge"


async def test_a_decision_is_as_old_as_it_is(app: "asyncpg.Connection[asyncpg.Record]") -> None:
    async with app.transaction():
        for admin in JUDGES:
            await app.execute(shows(admin, badge_of(admin, Role.ADMIN)))
        await app.execute(ASKING, ASKER)
        await app.execute("UPDATE rate_approval SET status = 'APPROVED', decided_by = $1", DECIDER)
    row = await app.fetchrow(
        "SELECT clock_timestamp() - decided_at, ends_at - requested_at FROM rate_approval"
    )
    assert row is not None
    assert row[0] < timedelta(minutes=1)
    assert row[1] == timedelta(hours=24)
