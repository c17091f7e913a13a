"""The second net: what the database refuses, whatever the service believes."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest
from betting.domain.ratios import LADDER
from common.testing import Database

from services.betting.tests.asking import JUDGES
from services.betting.tests.badges import shows
from services.betting.tests.second_net import Scene, a_fill, an_offer, as_the_service, set_scene
from services.betting.tests.venue import Venue


@pytest.fixture
async def scene(venue: Venue) -> Scene:
    return await set_scene(venue)


@pytest.fixture
async def app(database: Database) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    async with as_the_service(database) as connection:
        yield connection


def literals(scene: Scene) -> dict[str, str]:
    return {
        "market": f"'{scene.floor.market.id}'",
        "other": f"'{scene.other.market.id}'",
        "race": f"'{scene.floor.race.id}'",
        "made": f"'{scene.made}'",
        "taken": f"'{scene.taken}'",
        "resting": f"'{scene.resting}'",
        "also": f"'{scene.also}'",
        "runner": f"'{scene.floor.race.runners[0].id}'",
        "stranger": f"'{scene.other.race.runners[0].id}'",
        "new": f"'{uuid4()}'",
        "newer": f"'{uuid4()}'",
        "third": f"'{uuid4()}'",
    }


FORBIDDEN = {
    "rewrite a bet": "UPDATE fill SET pot = pot + 1",
    "delete a bet": "DELETE FROM fill",
    "delete an offer": "DELETE FROM offer",
    "write an offer down as matched": "INSERT INTO offer (id, matched) VALUES ({new}, 1)",
    "write an offer down in its place": "INSERT INTO offer (id, sequence) VALUES ({new}, 1)",
    "raise a stake": "UPDATE offer SET stake = stake + 1",
    "change a ratio": "UPDATE offer SET risk = 1, win = 1",
    "give an offer to another": "UPDATE offer SET user_id = {new}",
    "change the terms": "UPDATE market SET commission_bps = 2000",
    "change the runners": "UPDATE market SET runner_a = runner_b, runner_b = runner_a",
    "change a declaration": "UPDATE declaration SET winner = NULL, margin = NULL",
    "delete a declaration": "DELETE FROM declaration",
    "change a share": "UPDATE settlement_share SET payout = payout + 1",
    "change an outcome": "UPDATE settlement SET outcome = 'A'",
    "forget an event": "DELETE FROM inbox",
    "forget a key": "DELETE FROM idempotency",
    "take from the outbox": "DELETE FROM outbox",
    "read the outbox": "SELECT * FROM outbox",
    "rewrite a transition": "UPDATE transition SET reason = 'x'",
    "forge a transition": "INSERT INTO transition (noun, subject, became, reason) VALUES ('race', {new}, 'FINAL', 'x')",
    "rewrite a record": "UPDATE offer SET record = '{{}}'",
    "change an option": "UPDATE offer SET challenges = NULL",
    "move an owner group": "UPDATE offer SET owner = {new}",
    "rewrite a result": "UPDATE result SET winner = NULL, margin = NULL",
    "unsign a conformity": "DELETE FROM conformity",
    "shorten the window": "UPDATE event SET objection_seconds = 0",
    "rewrite what was seen": "UPDATE level_change SET amount = 0",
    "forget a suspension": "DELETE FROM suspension",
    "change a tax": "UPDATE withholding_rate SET bps = 0",
    "release an official": "DELETE FROM appointment",
    "leave a stable": "DELETE FROM stable_member",
    "rename a horse": "UPDATE runner SET horse = 'El Otro'",
    "empty a table": "TRUNCATE fill",
    "switch a rule off": "ALTER TABLE market DISABLE TRIGGER market_moves_forward",
    "switch all rules off": "SET session_replication_role = replica",
    "drop a table": "DROP TABLE fill",
    "make a table": "CREATE TABLE mine (id int)",
    "make a function": "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "become the owner": "SET ROLE betting_owner",
    "read the keys of badges": "SELECT * FROM badge_key",
    "make a key of badges": "INSERT INTO badge_key VALUES ('mine', sha256('x'))",
    "read what others showed": "SELECT * FROM badge",
    "show a badge for another transaction": "INSERT INTO badge (transaction) VALUES ('1')",
    "show a badge for another moment": "INSERT INTO badge (shown_at) VALUES (now())",
    "forget a badge": "DELETE FROM badge",
}


async def test_the_service_may_not(app: "asyncpg.Connection[asyncpg.Record]", scene: Scene) -> None:
    allowed = []
    for act, statement in FORBIDDEN.items():
        try:
            async with app.transaction():
                await app.execute(statement.format(**literals(scene)))
        except asyncpg.InsufficientPrivilegeError:
            continue
        allowed.append(act)
    assert not allowed


@pytest.mark.usefixtures("scene")
async def test_the_relay_sees_no_bettor(database: Database) -> None:
    relay = await asyncpg.connect(database.dsn("betting_relay"))
    try:
        assert await relay.fetchval("SELECT count(*) FROM outbox") > 0
        for table in ("offer", "fill", "market", "settlement_share", "idempotency", "inbox"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await relay.execute(f"SELECT * FROM {table}")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await relay.execute("UPDATE outbox SET body = '{}'")
    finally:
        await relay.close()


CLOSE = "UPDATE market SET status = 'CLOSED', version = 2 WHERE id = {market};"
RACE_TO = "UPDATE race SET status = '{}' WHERE id = {{race}};"
DECLARED = "".join(RACE_TO.format(status) for status in ("AT_GATE", "OFF", "FINISHED", "DECLARED"))
SEEN = "'faja', now(), sha256('x')"
DECLARE = """
    INSERT INTO declaration (race_id, official_id, ordinal, winner, margin, off_time, photo_sha256, places)
    SELECT {race}, official, ordinal, {runner}, 'faja', '2026-01-01Z', sha256('x'),
           jsonb_build_array(jsonb_build_array({runner}::text))
      FROM (VALUES ({new}::uuid, 1), ({newer}, 2)) AS o (official, ordinal);
"""
A_RESULT = """
    INSERT INTO result (race_id, version, winner, margin, off_time, photo_sha256, places, source, signed_by, reason)
    VALUES ({race}, %s, {runner}, 'faja', '2026-01-01Z', sha256(%s), jsonb_build_array(jsonb_build_array({runner}::text)),
            '%s', ARRAY[%s]::uuid[], 'r');
"""
LIFTED = """
    INSERT INTO suspension (id, scope, subject, reason, imposed_by, lifted_by, lifted_at, lift_reason)
    VALUES ({new}, 'USER', {newer}, 'r', {new}, {new}, now(), 'r');"""

RESULT = DECLARE + A_RESULT % (1, "'x'", "DECLARED", "{new}, {newer}")
CONFIRMED = (
    DECLARED
    + RESULT
    + "UPDATE race SET status = 'CONFIRMED', result_version = 1, objection_until = now() + interval '1 hour' WHERE id = {race};"
)
DISPUTED = DECLARED + DECLARE + RACE_TO.format("DISPUTED")
RULED = A_RESULT % (1, "'x'", "RULED", "{third}")
FINAL = "UPDATE race SET status = 'FINAL' WHERE id = {race};"

A_HORSE_OF_THEIRS = """
    INSERT INTO stable VALUES ({newer}, 'Cuadra', {new});
    UPDATE runner SET stable_id = {newer} WHERE id = {runner};
    INSERT INTO stable_member SELECT user_id, {newer}::uuid, 'OWNER', {new}::uuid FROM offer """
OUT_OF_TURN = """
    ALTER TABLE fill DISABLE TRIGGER fill_is_in_both_offers;
    ALTER TABLE offer DISABLE TRIGGER offer_is_matched_by_its_bets;
    ALTER TABLE offer DISABLE TRIGGER offer_has_ended;
"""
A_MARKET = """
    INSERT INTO market SELECT (jsonb_populate_record(m, jsonb_build_object(
        'id', {new}, 'status', 'DRAFT', 'version', 0, 'sequence', 0, 'escrow', 0 %s))).* FROM market m WHERE m.id = {market}
"""

BROKEN = {
    "offer_ratio_on_ladder": an_offer(ratio="6, 5, 4"),
    "offer_ratio_on_ladder (rank)": an_offer(ratio="5, 4, 5"),
    "offer_stake_is_whole_lots": an_offer(stake="5.01"),
    "amount_is_exact": an_offer(stake="5.000"),
    "amount_is_finite_and_not_negative": an_offer(stake="'NaN'"),
    "amount_is_finite_and_not_negative (infinity)": an_offer(stake="'Infinity'"),
    "amount_is_finite_and_not_negative (negative)": an_offer(stake="-5.00"),
    "offer_stake_is_accounted_for": an_offer(remaining="4.00"),
    "offer_key_is_used_once": an_offer() + ";" + an_offer(id="{newer}"),
    "offer_has_ended": "UPDATE offer SET ending = NULL WHERE id = {taken}",
    "offer_ends_with_nothing_left": "UPDATE offer SET status = 'CANCELLED', ending = 'BY_OWNER' WHERE id = {resting}",
    "offer_status_fits_amounts": "UPDATE offer SET status = 'PARTIAL' WHERE id = {resting}",
    "offer_keeps_its_place": "UPDATE offer SET sequence = sequence + 100 WHERE id = {resting}",
    "offer_sequence_once_held": an_offer() + "; UPDATE offer SET status = 'OPEN' WHERE id = {new}",
    "offer_sequence_is_unique": an_offer()
    + """;
        UPDATE offer SET status = 'OPEN', sequence = (SELECT sequence FROM offer WHERE id = {made}) WHERE id = {new}""",
    "offer_is_ended_by_whoever_may": """
        UPDATE offer SET status = 'CANCELLED', remaining = 0, released = remaining, ending = 'BY_OWNER', ended_at = now(),
            moved_by = {new} WHERE id = {resting}""",
    "offer_is_ended_by_whoever_may (declined)": """
        UPDATE offer SET status = 'CANCELLED', remaining = 0, released = remaining, ending = 'DECLINED', ended_at = now(),
            moved_by = user_id WHERE id = {resting}""",
    "offer_stake_is_in_bounds (too little)": an_offer(ratio="1, 1, 0", stake="0.99"),
    "offer_stake_is_in_bounds (too much)": an_offer(stake="1000000.05"),
    "market_counts_its_settlements": "UPDATE market SET settled_result = 1 WHERE id = {market}",
    "market_counts_its_settlements (unwritten)": "UPDATE market SET settlement = 1 WHERE id = {market}",
    "suspension_is_lifted_once": LIFTED + "UPDATE suspension SET lift_reason = 'q' WHERE id = {new}",
    "suspension_is_lifted_once (by somebody else)": LIFTED
    + "UPDATE suspension SET lifted_by = {newer} WHERE id = {new}",
    "who_acts_shows_a_badge (lifted by nobody)": LIFTED
    + "UPDATE suspension SET lifted_by = NULL, lifted_at = NULL, lift_reason = NULL WHERE id = {new}",
    "offer_is_placed_now (before)": an_offer().replace("now()", "now() - interval '31 seconds'"),
    "offer_is_placed_now (after)": an_offer().replace("now()", "clock_timestamp() + interval '31 seconds'"),
    "offer_joins_the_queue_last": an_offer()
    + """;
        UPDATE offer SET status = 'OPEN', sequence = (SELECT min(sequence) FROM fill WHERE market_id = {market})
         WHERE id = {new}""",
    "offer_joins_the_queue_last (before everybody)": an_offer()
    + "; UPDATE offer SET status = 'OPEN', sequence = -1 WHERE id = {new}",
    "market_sequence_only_grows": "UPDATE market SET sequence = sequence - 1 WHERE id = {market}",
    "fill_keeps_the_queue (the taker was first)": OUT_OF_TURN
    + """UPDATE offer SET status = 'CANCELLED', remaining = 0, released = remaining, ending = 'BY_OWNER', ended_at = now(),
            moved_by = user_id WHERE id = {made};"""
    + a_fill(maker="{also}"),
    "fill_keeps_the_queue (at one ratio)": OUT_OF_TURN
    + "ALTER TABLE offer DISABLE TRIGGER offer_keeps_its_place; UPDATE offer SET sequence = 9999 WHERE id = {taken};"
    + a_fill(maker="{also}"),
    "fill_meets_once": a_fill(),
    "fill_sides_are_opposite": a_fill(taker="{also}"),
    "fill_ratios_cross": a_fill(taker="{resting}"),
    "fill_is_whole_lots": a_fill(stakes="5.00, 4.01", pot="9.01"),
    "fill_pot_is_both_stakes": a_fill(pot="9.50"),
    "fill_has_lots": a_fill(lots=0, stakes="0.00, 0.00", pot="0.00"),
    "offer_is_matched_by_its_bets": "UPDATE offer SET matched = matched - 5, remaining = remaining + 5 WHERE id = {made}",
    "offer_is_matched_by_its_bets (none)": """
        UPDATE offer SET matched = 100, remaining = 0, status = 'FILLED', ended_at = now() WHERE id = {resting}""",
    "fill_is_in_both_offers": a_fill(maker="{also}"),
    "fill_is_in_both_offers (the taker's)": "ALTER TABLE offer DISABLE TRIGGER offer_is_matched_by_its_bets;"
    "UPDATE offer SET matched = 5, remaining = 95, status = 'PARTIAL' WHERE id = {also};"
    + a_fill(maker="{also}"),
    "fill_in_open_market": CLOSE + a_fill(maker="{also}"),
    "market_moves_forward": "UPDATE market SET status = 'SETTLED', version = 2 WHERE id = {market}",
    "market_moves_forward (reopen)": CLOSE
    + "UPDATE market SET status = 'OPEN', version = 3 WHERE id = {market}",
    "market_move_is_a_version": "UPDATE market SET status = 'CLOSED' WHERE id = {market}",
    "market_ends_booked": CLOSE + "UPDATE market SET status = 'VOID', version = 3 WHERE id = {market}",
    "market_defect_suspends": "UPDATE market SET defect = 'x', version = 2 WHERE id = {market}",
    "market_is_unique": A_MARKET % "",
    "market_terms_are_what_counts": A_MARKET % ", 'commission_bps', 2000",
    "market_terms_are_what_counts (the other way round)": A_MARKET
    % ", 'runner_a', m.runner_b, 'runner_b', m.runner_a",
    "market_terms_are_what_counts (unwritten)": A_MARKET % ", 'terms', NULL",
    "market_terms_are_what_counts (hashed again)": A_MARKET
    % """, 'terms', replace(m.terms, ':300,', ':0,'),
        'terms_hash', sha256(convert_to(replace(m.terms, ':300,', ':0,'), 'UTF8'))""",
    "market_is_void_with_its_race": "UPDATE market SET void_reason = 'x' WHERE id = {market}",
    "market_is_void_with_its_race (for good)": """
        UPDATE race SET status = 'NO_CORRE', scratch_reason = 'r' WHERE id = {race};
        UPDATE market SET void_reason = 'x' WHERE id = {market};
        UPDATE market SET void_reason = NULL WHERE id = {market}""",
    "market_begins_as_a_draft": A_MARKET % ", 'status', 'OPEN', 'version', 1",
    "market_opens_before_the_gate": "UPDATE market SET status = 'SUSPENDED', version = 2 WHERE id = {market};"
    + RACE_TO.format("AT_GATE")
    + "UPDATE market SET status = 'OPEN', version = 3 WHERE id = {market}",
    "market_runner_a_in_race": "UPDATE market SET runner_a = {stranger} WHERE id = {market}",
    "race_moves_forward": "UPDATE race SET status = 'FINAL' WHERE id = {race}",
    "race_has_two_declarations": DECLARED + "UPDATE race SET status = 'CONFIRMED' WHERE id = {race}",
    "race_has_a_result": DECLARED + DECLARE + "UPDATE race SET status = 'CONFIRMED' WHERE id = {race}",
    "objection_window_is_open": CONFIRMED + FINAL,
    "dispute_ends_by_ruling": CONFIRMED + RACE_TO.format("DISPUTED") + FINAL,
    "result_has_two_signatures": DECLARE + A_RESULT % (1, "'y'", "DECLARED", "{new}, {newer}"),
    "result_has_two_signatures (corrected)": DECLARED
    + RESULT
    + A_RESULT % (2, "'x'", "CORRECTED", "{new}, {newer}"),
    "result_fits_its_race (declared)": RESULT,
    "result_fits_its_race (ruled)": CONFIRMED + A_RESULT % (2, "'y'", "RULED", "{third}"),
    "race_counts_its_results": CONFIRMED + "UPDATE race SET result_version = 2 WHERE id = {race}",
    "race_counts_its_results (back)": CONFIRMED + "UPDATE race SET result_version = 0 WHERE id = {race}",
    "objection_window_stays": CONFIRMED + "UPDATE race SET objection_until = now() WHERE id = {race}",
    "objection_window_is_whole": "UPDATE event SET objection_seconds = 600;"
    + CONFIRMED.replace("interval '1 hour'", "interval '1 minute'"),
    "conformity_is_by_its_stable": CONFIRMED
    + """INSERT INTO stable VALUES ({newer}, 'Cuadra', {new});
        INSERT INTO conformity VALUES ({race}, 1, {newer}, {new})""",
    "declaration_is_impartial (no contest)": """
        UPDATE race SET status = 'NO_CORRE', scratch_reason = 'r',
            moved_by = (SELECT user_id FROM offer WHERE id = {made}) WHERE id = {race}""",
    "result_winner_came_in_first": DISPUTED + RULED.replace("{runner}::text", "{stranger}::text"),
    "result_winner_came_in_first (nobody did)": DISPUTED
    + RULED.replace("jsonb_build_array({runner}::text)", ""),
    "result_winner_came_in_first (alone)": DISPUTED + RULED.replace("{runner}, 'faja'", "NULL, NULL"),
    "event_begins_as_a_draft": """
        INSERT INTO event SELECT (jsonb_populate_record(e, '{{"id": "00000000-0000-0000-0000-000000000001"}}')).* FROM event e
         LIMIT 1""",
    "race_begins_as_scheduled": """
        INSERT INTO race SELECT (jsonb_populate_record(r, '{{"id": "00000000-0000-0000-0000-000000000001", "number": 9,
            "status": "AT_GATE"}}')).* FROM race r WHERE id = {race}""",
    "race_begins_as_scheduled (decided)": """
        INSERT INTO race SELECT (jsonb_populate_record(r, '{{"id": "00000000-0000-0000-0000-000000000001", "number": 9,
            "result_version": 1}}')).* FROM race r WHERE id = {race}""",
    "result_version_is_next": DECLARE + A_RESULT % (2, "'x'", "DECLARED", "{new}, {newer}"),
    "result_is_signed": DECLARED
    + DECLARE
    + RACE_TO.format("DISPUTED")
    + A_RESULT % (1, "'x'", "RULED", "{third}, {new}"),
    "ruling_by_a_third": DECLARE + A_RESULT % (1, "'x'", "RULED", "{new}"),
    "event_has_a_permit": """
        INSERT INTO event (id, name, venue, permit, starts_at, day, day_ends_at, created_by)
        VALUES ({new}, 'n', 'Carril La Herradura', 'P-9', now(), current_date, now() + interval '1 hour', {new});
        UPDATE event SET status = 'PUBLISHED' WHERE id = {new}""",
    "event_day_is_when_it_starts": """
        INSERT INTO event (id, name, venue, permit, starts_at, day, day_ends_at, created_by)
        VALUES ({new}, 'n', 'v', 'P-1', now(), (now() AT TIME ZONE 'UTC')::date - 2, now() + interval '1 hour', {new})""",
    "event_closes_after_its_races": "UPDATE event SET status = 'CLOSED'",
    "event_moves_forward": "UPDATE event SET status = 'DRAFT'",
    "history_is_append_only": "UPDATE transition SET reason = 'another'",
    "history_is_append_only (declaration)": DECLARE + "UPDATE declaration SET margin = 'cabeza'",
    "history_is_append_only (levels)": "DELETE FROM level_change",
    "market_terms_are_hashed": "UPDATE market SET terms = '{{}}' WHERE id = {market}",
    "market_ventaja_has_a_line": "UPDATE market SET giver = 'A' WHERE id = {market}",
    "market_post_time_is_told": "UPDATE market SET closes_at = now() WHERE id = {market}",
    "fill_owners_differ": "ALTER TABLE offer DISABLE TRIGGER offer_has_ended; UPDATE offer SET owner = {new};"
    + a_fill(maker="{also}"),
    "fill_within_a_stable": """
        INSERT INTO stable VALUES ({newer}, 'Cuadra', {new});
        INSERT INTO stable_member
            SELECT user_id, {newer}::uuid, 'OWNER', {new}::uuid FROM offer WHERE id IN ({also}, {taken});"""
    + a_fill(maker="{also}"),
    "fill_by_a_connection": A_HORSE_OF_THEIRS + "WHERE id = {taken};" + a_fill(maker="{also}"),
    "fill_by_a_connection (the maker)": A_HORSE_OF_THEIRS.replace(
        "WHERE id = {runner}", "WHERE race_id = {race} AND id <> {runner}"
    )
    + "WHERE id = {also};"
    + a_fill(maker="{also}"),
    "fill_by_an_official": "INSERT INTO appointment SELECT event_id, user_id, {new} FROM race r, offer o "
    "WHERE r.id = {race} AND o.id = {taken};" + a_fill(maker="{also}"),
    "fill_maker_has_time": "UPDATE offer SET expires_at = '2026-01-01Z' WHERE id = {also};"
    + a_fill(maker="{also}"),
    "fill_taker_has_time": "ALTER TABLE offer DISABLE TRIGGER offer_has_ended; "
    "UPDATE offer SET expires_at = '2026-01-01Z' WHERE id = {taken};" + a_fill(maker="{also}"),
    "fill_in_open_market (post time)": "UPDATE market SET close_rule = 'POST_TIME', closes_at = '2026-01-01Z' "
    "WHERE id = {market};" + a_fill(maker="{also}"),
    "fill_is_matched_now (before)": a_fill(maker="{also}", matched_at="now() - interval '31 seconds'"),
    "fill_is_matched_now (after)": a_fill(
        maker="{also}", matched_at="clock_timestamp() + interval '31 seconds'"
    ),
    "runner_changes_before_the_off": RACE_TO.format("AT_GATE")
    + RACE_TO.format("OFF")
    + "UPDATE runner SET scratched_at = now(), scratch_reason = 'r' WHERE id = {runner}",
    "runner_changes_before_the_off (another stable)": DECLARED
    + "INSERT INTO stable VALUES ({newer}, 'Cuadra', {new}); UPDATE runner SET stable_id = {newer} WHERE id = {runner}",
    "runner_changes_before_the_off (in again)": """
        UPDATE runner SET scratched_at = now(), scratch_reason = 'r' WHERE id = {runner};
        UPDATE runner SET scratched_at = NULL, scratch_reason = NULL WHERE id = {runner}""",
    "market_is_void_by_somebody": """
        UPDATE race SET status = 'NO_CORRE', scratch_reason = 'r', moved_by = NULL WHERE id = {race};
        UPDATE market SET void_reason = 'x' WHERE id = {market}""",
    "declaration_is_impartial (put off past the day)": """
        UPDATE race SET status = 'POSTPONED', starts_at = now() + interval '3 days',
            moved_by = (SELECT user_id FROM offer WHERE id = {made}) WHERE id = {race};
        UPDATE market SET void_reason = 'x' WHERE id = {market}""",
    "declaration_is_impartial (a horse is out)": """
        UPDATE runner SET scratched_at = now(), scratch_reason = 'r' WHERE id = {runner};
        UPDATE race SET moved_by = (SELECT user_id FROM offer WHERE id = {made}) WHERE id = {race};
        UPDATE market SET void_reason = 'x' WHERE id = {market}""",
    "fill_answers_its_challenge": "UPDATE offer SET challenges = {new} WHERE id = {also};"
    + a_fill(maker="{also}"),
    "offer_that_kills_never_rests": "UPDATE offer SET fill_or_kill = true WHERE id = {resting}",
    "offer_minimum_is_met": "UPDATE offer SET min_fill = 450.00 WHERE id = {made}",
    "offer_by_an_official": "INSERT INTO appointment SELECT event_id, {new}, {new} FROM race WHERE id = {race};"
    + an_offer(),
    "offer_by_a_connection": """
        INSERT INTO stable VALUES ({newer}, 'Cuadra', {new});
        INSERT INTO stable_member VALUES ({new}, {newer}, 'OWNER', {new});
        UPDATE runner SET stable_id = {newer} WHERE race_id = {race} AND id <> {runner};"""
    + an_offer(),
    "suspension_in_force_once": """
        INSERT INTO suspension (id, scope, reason, imposed_by) VALUES
            ({new}, 'GLOBAL', 'r', {new}), ({newer}, 'GLOBAL', 'r', {new})""",
    "race_scratch_has_reason": "UPDATE race SET status = 'NO_CORRE' WHERE id = {race}",
    "declaration_is_impartial": f"""
        INSERT INTO declaration SELECT {{race}}, user_id, 1, {{runner}}, {SEEN} FROM offer WHERE id = {{made}}""",
    "official_has_no_horse": f"""
        INSERT INTO stable VALUES ({{newer}}, 'Cuadra', {{new}});
        INSERT INTO stable_member VALUES ({{new}}, {{newer}}, 'OWNER', {{new}});
        UPDATE runner SET stable_id = {{newer}} WHERE id = {{runner}};
        INSERT INTO declaration VALUES ({{race}}, {{new}}, 1, {{runner}}, {SEEN})""",
    "declaration_winner_ran": f"INSERT INTO declaration VALUES ({{race}}, {{new}}, 1, {{stranger}}, {SEEN})",
    "declaration_dead_heat_has_no_margin": f"INSERT INTO declaration VALUES ({{race}}, {{new}}, 1, NULL, {SEEN})",
    "declaration_officials_differ": f"""
        INSERT INTO declaration VALUES ({{race}}, {{new}}, 1, {{runner}}, {SEEN}), ({{race}}, {{new}}, 2, {{runner}}, {SEEN})""",
    "declaration_ordinal_in_pair": f"INSERT INTO declaration VALUES ({{race}}, {{new}}, 3, {{runner}}, {SEEN})",
    "runner_position_in_race": "INSERT INTO runner VALUES ({new}, {race}, 21, 'El Tercero')",
    "settlement_chunks_carry_total": "INSERT INTO settlement VALUES ({market}, 1, 'A', 9, 0)",
}


async def test_the_tables_refuse(venue: Venue, scene: Scene) -> None:
    """As the superuser, and everybody with a badge, so that nothing but the rule is in the way."""
    found = {}
    async with venue.owner.acquire() as connection:
        bettor = await connection.fetchval("SELECT user_id FROM offer WHERE id = $1", scene.made)
        for rule, statement in BROKEN.items():
            try:
                named = literals(scene)
                officials = (
                    *(named[each].strip("'") for each in ("new", "newer", "third")),
                    JUDGES[0],
                    bettor,
                )
                async with connection.transaction():
                    await connection.execute("".join(shows(each) for each in officials))
                    await connection.execute(statement.format(**named))
            except asyncpg.IntegrityConstraintViolationError as refused:
                found[rule] = refused.constraint_name
    assert found == {rule: rule.partition(" ")[0] for rule in BROKEN}


async def test_a_race_whose_declarations_differ_is_never_final(venue: Venue, scene: Scene) -> None:
    await scene.floor.close()
    await scene.floor.declare(0, judge=JUDGES[0])
    await scene.floor.declare(1, judge=JUDGES[1])
    with pytest.raises(asyncpg.CheckViolationError):
        await venue.owner.execute("UPDATE race SET status = 'FINAL' WHERE id = $1", scene.floor.race.id)


async def test_the_ladder_is_the_same_in_both_nets(venue: Venue, scene: Scene) -> None:
    market = scene.floor.market.id
    for ratio in LADDER:
        await venue.owner.execute(
            an_offer(ratio=f"{ratio.risk}, {ratio.win}, {ratio.rank}", stake=str(ratio.risk)).format(
                new=f"'{uuid4()}'", market=f"'{market}'"
            )
        )  # fmt: skip
    named = await venue.owner.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'offer_ratio_on_ladder'"
    )
    assert named.count("ROW(") - 1 == len(LADDER) or named.count("risk =") == len(LADDER)
