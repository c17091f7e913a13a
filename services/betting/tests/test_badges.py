"""Badges: whoever holds the service's own login cannot invent an official, in whatever way."""

import asyncio
import hmac
import secrets
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from uuid import UUID, uuid4

import asyncpg
import pytest
from betting.api.registry_views import SuspensionView
from betting.store.suspensions import Scope
from common.badges import Badge
from common.idempotency import Answer
from common.roles import Role
from common.signing import SigningKey
from common.testing import Database

from services.betting.tests.asking import JUDGES, call
from services.betting.tests.badges import badge_key, badge_of, shows
from services.betting.tests.floors import Floor
from services.betting.tests.second_net import as_the_service
from services.betting.tests.venue import Venue

REAL = uuid4()
"""An official whom identity knows."""
INVENTED = uuid4()


@dataclass
class Thief:
    """Somebody with the service's login, at a race that is in."""

    login: "asyncpg.Connection[asyncpg.Record]"
    floor: Floor

    def declaration(self, who: UUID, ordinal: int = 1) -> str:
        race, runner = self.floor.race, self.floor.race.runners[0].id
        return f"""
            INSERT INTO declaration (race_id, official_id, ordinal, winner, margin, off_time, photo_sha256, places)
            VALUES ('{race.id}', '{who}', {ordinal}, '{runner}', 'faja', now(), sha256('x'), '[["{runner}"]]');
        """

    async def refused(self, *statements: str) -> str | None:
        """The rule that refuses these, in one transaction; None if nothing does."""
        try:
            await self.login.execute("".join(statements))
        except asyncpg.CheckViolationError as refused:
            return refused.constraint_name
        return None


@pytest.fixture
async def thief(database: Database, venue: Venue) -> AsyncIterator[Thief]:
    floor = await venue.market()
    async with as_the_service(database) as login:
        yield Thief(login, floor)


A_KEY = SigningKey("mine", bytes(32))
PRETENCES: dict[str, tuple[str, UUID, Callable[[], Badge | None]]] = {
    "nothing is shown": ("who_acts_shows_a_badge", INVENTED, lambda: None),
    "a code that is made up": ("badge_is_genuine", REAL, lambda: replace(badge_of(REAL), mac=bytes(32))),
    "no code": ("badge_is_genuine", REAL, lambda: replace(badge_of(REAL), mac=b"")),
    "a key of the thief's own": ("badge_is_genuine", INVENTED, lambda: badge_of(INVENTED, key=A_KEY)),
    "a key of the thief's own under the real one's id": (
        "badge_is_genuine",
        INVENTED,
        lambda: badge_of(INVENTED, key=replace(A_KEY, id=badge_key().id)),
    ),
    "another role's": ("who_acts_shows_a_badge", REAL, lambda: badge_of(REAL, Role.ADMIN)),
    "another role's, said to be an official's": (
        "badge_is_genuine",
        REAL,
        lambda: replace(badge_of(REAL, Role.ADMIN), role=Role.OFFICIAL),
    ),
    "an old one": ("badge_is_fresh", REAL, lambda: badge_of(REAL, age_seconds=121)),
    "an old one, said to be new": (
        "badge_is_genuine",
        REAL,
        lambda: replace(badge_of(REAL, age_seconds=121), issued_at=badge_of(REAL).issued_at),
    ),
    "one for later": ("badge_is_fresh", REAL, lambda: badge_of(REAL, age_seconds=-90)),
    "another one's": ("badge_is_genuine", INVENTED, lambda: badge_of(REAL)),
}


@pytest.mark.parametrize("pretence", PRETENCES)
async def test_nobody_is_invented(thief: Thief, pretence: str) -> None:
    rule, who, made = PRETENCES[pretence]
    badge = made()
    shown = "" if badge is None else shows(who, badge)
    assert await thief.refused(shown, thief.declaration(who)) == rule


async def test_ones_own_badge_is_not_for_anothers_act(thief: Thief) -> None:
    assert await thief.refused(shows(REAL), thief.declaration(INVENTED)) == "who_acts_shows_a_badge"


async def test_two_real_officials_declare(thief: Thief) -> None:
    """What the others are compared with: it is the badge alone that they lack."""
    assert await thief.refused(shows(JUDGES[0]), thief.declaration(JUDGES[0])) is None
    assert await thief.refused(shows(JUDGES[1]), thief.declaration(JUDGES[1], ordinal=2)) is None


ACTS = {
    "correction": """
        INSERT INTO correction SELECT '{race}', 1, '{who}', '{runner}', 'faja', now(), sha256('x'), '[["{runner}"]]', 'r'""",
    "ruling": """
        INSERT INTO result (race_id, version, winner, margin, off_time, photo_sha256, places, source, signed_by, reason)
        VALUES ('{race}', 1, '{runner}', 'faja', now(), sha256('x'), '[["{runner}"]]', 'RULED', ARRAY['{who}'::uuid], 'r')""",
    "restart": """
        UPDATE market SET status = 'SUSPENDED', defect = 'd', version = version + 1 WHERE id = '{market}';
        INSERT INTO restart SELECT id, version, '{who}', 'r' FROM market WHERE id = '{market}'""",
    "race that is not run": """
        UPDATE race SET status = 'NO_CORRE', scratch_reason = 'r', moved_by = '{who}' WHERE id = '{race}'""",
    "race that does not count": """
        UPDATE race SET status = 'AT_GATE', moved_by = '{who}' WHERE id = '{race}';
        UPDATE race SET status = 'NO_CONTEST' WHERE id = '{race}'""",
    "race put off past the day": """
        UPDATE race SET status = 'POSTPONED', starts_at = now() + interval '3 days', moved_by = '{who}' WHERE id = '{race}';
        UPDATE market SET void_reason = 'x' WHERE id = '{market}'""",
    "horse that is out": """
        UPDATE runner SET scratched_at = now(), scratch_reason = 'r' WHERE id = '{runner}';
        UPDATE race SET moved_by = '{who}' WHERE id = '{race}';
        UPDATE market SET void_reason = 'x' WHERE id = '{market}'""",
}


@pytest.mark.parametrize("act", ACTS)
async def test_nobody_decides_about_money_without_a_badge(thief: Thief, act: str) -> None:
    floor = thief.floor
    named = {"race": floor.race.id, "market": floor.market.id, "runner": floor.race.runners[0].id}
    statement = ACTS[act].format(**named, who=INVENTED)
    assert await thief.refused(statement) == "who_acts_shows_a_badge"
    assert await thief.refused(
        shows(REAL, badge_of(REAL, Role.ADMIN)), ACTS[act].format(**named, who=REAL)
    ) == ("who_acts_shows_a_badge")


REGISTERED = {
    "appointment": "INSERT INTO appointment SELECT event_id, '{new}', '{who}' FROM race LIMIT 1",
    "carril": "INSERT INTO carril VALUES ('{new}', 'Otro', 'SIN', 300, ARRAY['faja'], '{who}')",
    "event": """
        INSERT INTO event SELECT (jsonb_populate_record(e, '{{"id": "{new}", "created_by": "{who}", "status": "DRAFT"}}')).*
          FROM event e LIMIT 1""",
    "race": """
        INSERT INTO race SELECT (jsonb_populate_record(r, '{{"id": "{new}", "created_by": "{who}", "number": 9}}')).*
          FROM race r LIMIT 1""",
    "market": """
        INSERT INTO market SELECT (jsonb_populate_record(m, '{{"id": "{new}", "opened_by": "{who}", "status": "DRAFT",
            "version": 0, "sequence": 0}}')).* FROM market m LIMIT 1""",
    "permit": "INSERT INTO permit VALUES ('{new}', 'P-9', 'Carril', 'SEGOB', '2026-01-01', '2026-01-02', '{who}')",
    "stable": "INSERT INTO stable VALUES ('{new}', 'Cuadra', '{who}')",
    "stable_member": "INSERT INTO stable_member SELECT '{new}', id, 'OWNER', '{who}' FROM stable",
    "suspension": "INSERT INTO suspension (id, scope, reason, imposed_by) VALUES ('{new}', 'GLOBAL', 'r', '{who}')",
    "suspension that ends": "UPDATE suspension SET lifted_by = '{who}', lifted_at = now(), lift_reason = 'r'",
}


@pytest.mark.parametrize("what", REGISTERED)
async def test_nobody_registers_without_a_badge(thief: Thief, venue: Venue, what: str) -> None:
    """And whoever has one that does for it, does."""
    await venue.stable("Cuadra Reyna")
    await venue.suspending.impose(
        call(JUDGES[0]), Scope.USER, uuid4(), "r", lambda each: Answer.of(SuspensionView.of(each))
    )
    statement = REGISTERED[what]
    assert await thief.refused(statement.format(new=uuid4(), who=INVENTED)) == "who_acts_shows_a_badge"
    by_real = statement.format(new=uuid4(), who=REAL)
    assert await thief.refused(shows(REAL, badge_of(REAL, Role.AUDITOR)), by_real) == "who_acts_shows_a_badge"
    if what == "market":  # there is one of the sort already, which the unique index says, and not the badge
        with pytest.raises(asyncpg.UniqueViolationError):
            await thief.refused(shows(REAL, badge_of(REAL)), by_real)
        return
    assert await thief.refused(shows(REAL, badge_of(REAL)), by_real) is None


async def test_a_badge_is_for_the_transaction_in_which_it_is_shown(thief: Thief) -> None:
    assert await thief.refused(shows(REAL)) is None
    assert await thief.refused(thief.declaration(REAL)) == "who_acts_shows_a_badge"


async def test_a_transaction_that_is_kept_open_does_not_keep_its_badge(thief: Thief) -> None:
    login = thief.login
    async with login.transaction():
        await login.execute(shows(REAL, badge_of(REAL, age_seconds=117)))
        await asyncio.sleep(4)
        assert await login.fetchval("SELECT count(*) FROM race") == 1
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            async with login.transaction():
                await login.execute(thief.declaration(REAL))
        assert refused.value.constraint_name == "who_acts_shows_a_badge"


async def test_a_transactions_number_that_comes_back_brings_no_badge_with_it(
    thief: Thief, venue: Venue
) -> None:
    """As after a restore: what was shown under the number lies there from before."""
    async with venue.owner.acquire() as owner:
        whole = owner.transaction()
        await whole.start()
        await owner.execute(shows(REAL))
        await owner.execute("ALTER TABLE badge DISABLE TRIGGER badge_is_append_only")
        await owner.execute("UPDATE badge SET shown_at = now() - interval '1 day'")
        with pytest.raises(asyncpg.CheckViolationError) as refused:
            await owner.execute(thief.declaration(REAL))
        assert refused.value.constraint_name == "who_acts_shows_a_badge"
        await whole.rollback()


async def test_two_keys_are_good_while_identity_changes_over(thief: Thief, venue: Venue) -> None:
    new = SigningKey("new", secrets.token_bytes(64))
    by_new = shows(REAL, badge_of(REAL, key=new))
    assert await thief.refused(by_new) == "badge_is_genuine"
    await venue.owner.execute("INSERT INTO badge_key VALUES ($1, $2)", new.id, new.secret)
    assert await thief.refused(by_new) is None
    assert await thief.refused(shows(REAL)) is None
    await venue.owner.execute("DELETE FROM badge_key WHERE id <> $1", new.id)
    assert await thief.refused(shows(REAL)) == "badge_is_genuine"
    assert await thief.refused(by_new) is None


async def test_the_database_works_out_what_everybody_calls_hmac_sha256(venue: Venue) -> None:
    """RFC 4231, cases 1 to 4; and keys of every length."""
    vectors = [
        (b"\x0b" * 20, b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
        (
            b"Jefe",
            b"what do ya want for nothing?",
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (b"\xaa" * 20, b"\xdd" * 50, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"),
        (
            bytes(range(1, 26)),
            b"\xcd" * 50,
            "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b",
        ),
    ]
    for length in range(32, 65):
        secret, message = secrets.token_bytes(length), secrets.token_bytes(length * 3)
        vectors.append((secret, message, hmac.digest(secret, message, "sha256").hex()))
    for secret, message, code in vectors:
        found = await venue.owner.fetchval("SELECT encode(hmac_sha256($1, $2), 'hex')", secret, message)
        assert found == code
