"""The guards around badges: who decides about money is who identity says they are."""

from __future__ import annotations

from tools.mutations.guards import DatabaseGuard
from tools.stack.layout import ROOT

_MIGRATION = "services/betting/migrations/20261122160000_badges.sql"
_TESTS = "services/betting/tests/test_badges.py"


def _function(name: str) -> str:
    """As the migration makes it, whether it is there or not."""
    up, _, _ = (ROOT / _MIGRATION).read_text(encoding="utf-8").partition("-- migrate:down")
    _, _, begun = up.replace("CREATE OR REPLACE", "CREATE").partition(f"CREATE FUNCTION {name}(")
    body, _, _ = begun.partition("END $$;")
    return f"CREATE OR REPLACE FUNCTION {name}({body}END $$;"


def _without(rule: str, function: str, part: str, test: str, *, instead: str = "") -> DatabaseGuard:
    whole = _function(function)
    return DatabaseGuard(
        f"badges: {rule}", "betting", whole.replace(part, instead), whole, (f"{_TESTS}::{test}",)
    )


DATABASE = (
    DatabaseGuard(
        "badges: identity made it",
        "betting",
        "ALTER TABLE badge DISABLE TRIGGER badge_is_genuine",
        "ALTER TABLE badge ENABLE TRIGGER badge_is_genuine",
        (f"{_TESTS}::test_nobody_is_invented",),
    ),
    _without(
        "an old one is none", "badge_is_genuine", "NOT is_fresh(NEW.issued_at)", "test_nobody_is_invented",
        instead="false",
    ),
    _without(
        "who decides about money shows one", "check_impartial", "    PERFORM check_badge(official, ARRAY['official']);\n",
        "test_nobody_decides_about_money_without_a_badge",
    ),
    _without(
        "an administrator's is not an official's", "check_badge", " AND b.role = ANY (roles)",
        "test_nobody_decides_about_money_without_a_badge",
    ),
    _without(
        "each is for one person", "check_badge", "b.user_id = bearer AND ",
        "test_ones_own_badge_is_not_for_anothers_act",
    ),
    _without(
        "each is for one transaction", "check_badge", "b.transaction = pg_current_xact_id() AND b.shown_at = now()",
        "test_a_badge_is_for_the_transaction_in_which_it_is_shown", instead="true",
    ),
    _without(
        "a transaction's number that comes back brings none", "check_badge", " AND b.shown_at = now()",
        "test_a_transactions_number_that_comes_back_brings_no_badge_with_it",
    ),
    _without(
        "a transaction that stays open does not keep its own", "check_badge", " AND is_fresh(b.issued_at)",
        "test_a_transaction_that_is_kept_open_does_not_keep_its_badge",
    ),
    *(
        DatabaseGuard(
            f"badges: {rule}", "betting", f"ALTER TABLE {table} DISABLE TRIGGER {name}",
            f"ALTER TABLE {table} ENABLE TRIGGER {name}",
            (f"{_TESTS}::test_nobody_registers_without_a_badge",),
        )
        for table, name, rule in (
            ("appointment", "appointment_is_by_staff", "nobody is invented who appoints"),
            ("carril", "carril_is_by_staff", "nobody is invented who registers a carril"),
            ("event", "event_is_by_an_official", "nobody is invented who drafts an event"),
            ("market", "market_is_by_an_official", "nobody is invented who opens a market"),
            ("permit", "permit_is_by_staff", "nobody is invented who registers a permit"),
            ("race", "race_is_by_an_official", "nobody is invented who puts a race on the card"),
            ("stable", "stable_is_by_staff", "nobody is invented who registers a stable"),
            ("stable_member", "stable_member_is_by_staff", "nobody is invented who puts somebody in a stable"),
            ("suspension", "suspension_is_by_staff", "nobody is invented who suspends"),
            ("suspension", "suspension_is_lifted_by_staff", "nobody is invented who lifts a suspension"),
        )
    ),
)  # fmt: skip
