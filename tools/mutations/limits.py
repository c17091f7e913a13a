"""The guards of what players allow themselves."""

from __future__ import annotations

import re

from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.layout import ROOT

L, LT = "services/ledger/ledger", "services/ledger/tests"
P, PT = "services/identity/identity", "services/identity/tests"

CODE = (
    CodeGuard(
        "limits: a larger one waits for a day",
        f"{P}/domain/play.py",
        "    grows = holds is not None and (amount is None or amount > holds)",
        "    grows = False",
        (f"{PT}/test_play.py::test_nothing_that_held_grows_sooner_than_a_day_after_it_was_asked_for",),
    ),
    CodeGuard(
        "limits: confirmed by the ledger's word alone",
        f"{P}/domain/play.py",
        "        return self.acknowledged == self.version",
        "        return True",
        (f"{PT}/test_play.py::test_a_silent_ledger_confirms_nothing_and_is_told_again",),
    ),
    CodeGuard(
        "limits: a new session keeps to them",
        f"{P}/service/access.py",
        "        return await self._within_own_limit(user, started)",
        "        return started",
        (f"{PT}/test_play.py::test_a_session_limit_holds_for_the_sessions_there_are_and_those_to_come",),
    ),
    CodeGuard(
        "limits: the engine refuses what goes beyond",
        f"{L}/domain/limits.py",
        "        if standing.counts[currency, cap.period].of(cap.measure) > cap.amount:",
        "        if False:",
        (
            f"{LT}/test_limits.py::test_no_order_of_moves_leads_beyond_a_cap_by_a_stake_or_a_deposit",
            f"{LT}/test_limits.py::test_a_stake_up_to_the_cap_and_not_beyond",
        ),
    ),
    CodeGuard(
        "limits: only who is permitted sets them",
        f"{L}/domain/limits.py",
        "    if LIMIT not in permitted:",
        "    if False:",
        (f"{LT}/test_limits.py::test_only_who_is_permitted_sets_policies",),
    ),
)


def _function(migration: str, name: str) -> str:
    """A function as a migration of the ledger makes it."""
    text = (ROOT / "services/ledger/migrations" / migration).read_text(encoding="utf-8")
    found = re.search(rf"CREATE (?:OR REPLACE )?FUNCTION ({name}\(.*?\nEND \$\$;)", text, re.DOTALL)
    if found is None:
        raise ValueError(f"{migration} makes no {name}")
    return f"CREATE OR REPLACE FUNCTION {found[1]}"


DATABASE = (
    DatabaseGuard(
        "limits: a day to think does not lie in the past",
        "identity",
        "ALTER TABLE play_limit DISABLE TRIGGER play_limit_grows_by_waiting",
        "ALTER TABLE play_limit ENABLE TRIGGER play_limit_grows_by_waiting",
        (f"{PT}/test_forged_rows.py::test_no_day_to_think_lies_in_the_past",),
    ),
    DatabaseGuard(
        "limits: the database lets none grow at once",
        "identity",
        "ALTER TABLE play_limit DISABLE TRIGGER play_limit_grows_by_waiting",
        "ALTER TABLE play_limit ENABLE TRIGGER play_limit_grows_by_waiting",
        (f"{PT}/test_play.py::test_the_database_lets_no_limit_grow_at_once_and_no_block_shrink",),
    ),
    DatabaseGuard(
        "limits: the database refuses what goes beyond",
        "ledger",
        "CREATE OR REPLACE FUNCTION count_play(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$ BEGIN END $$",
        _function("20261121010000_limits.sql", "count_play"),
        (
            f"{LT}/test_attacks.py::test_a_stake_beyond_its_players_limits",
            f"{LT}/test_limits.py::test_a_policy_holds_for_what_is_posted_after_it_even_by_an_engine_that_remembers",
        ),
    ),
    DatabaseGuard(
        "limits: a block is not cut short",
        "ledger",
        "ALTER TABLE player_policy DISABLE TRIGGER player_policy_moves_on",
        "ALTER TABLE player_policy ENABLE TRIGGER player_policy_moves_on",
        (f"{LT}/test_limits.py::test_who_is_blocked_stakes_and_deposits_nothing_and_gets_what_is_theirs",),
    ),
    DatabaseGuard(
        "limits: of a receipt and its replacement one is spent",
        "ledger",
        _function("20261121008100_cards_and_suspense.sql", "spend_receipts"),
        _function("20261121014100_receipts_replaced.sql", "spend_receipts"),
        (
            f"{LT}/test_cards_and_suspense.py::test_a_deposit_that_was_booked_after_all_does_not_go_to_suspense",
        ),
    ),
)
