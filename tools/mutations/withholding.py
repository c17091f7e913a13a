"""The guards of what is withheld of winnings: a rate is for days to come, and two administrators' word."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard

_TESTS = "services/betting/tests/test_withholding.py"
_NOTHING = (f"{_TESTS}::test_the_database_approves_nothing",)

CODE = (
    CodeGuard(
        "taxes: who asked for a rate must still be an administrator",
        "services/betting/betting/domain/withholding.py",
        "        if approve and asker is not Role.ADMIN:",
        "        if False:",
        (f"{_TESTS}::test_who_asked_must_still_be_an_administrator",),
    ),
)

DATABASE = (
    DatabaseGuard(
        "taxes, in the database: a rate is for days to come",
        "betting",
        "ALTER TABLE withholding_rate DISABLE TRIGGER withholding_rate_is_for_days_to_come",
        "ALTER TABLE withholding_rate ENABLE TRIGGER withholding_rate_is_for_days_to_come",
        (*_NOTHING, f"{_TESTS}::test_a_day_that_begins_while_a_request_is_open_gets_no_rate"),
    ),
    DatabaseGuard(
        "taxes, in the database: whoever asked does not decide",
        "betting",
        "ALTER TABLE rate_approval DROP CONSTRAINT rate_approval_takes_four_eyes",
        "ALTER TABLE rate_approval ADD CONSTRAINT rate_approval_takes_four_eyes CHECK (decided_by <> requested_by)",
        _NOTHING,
    ),
    DatabaseGuard(
        "taxes, in the database: a request is decided once, and in its day",
        "betting",
        "ALTER TABLE rate_approval DISABLE TRIGGER rate_approval_is_decided_once",
        "ALTER TABLE rate_approval ENABLE TRIGGER rate_approval_is_decided_once",
        _NOTHING,
    ),
    DatabaseGuard(
        "taxes, in the database: what is approved is the rate",
        "betting",
        "ALTER TABLE rate_approval DISABLE TRIGGER rate_approval_takes_effect",
        "ALTER TABLE rate_approval ENABLE TRIGGER rate_approval_takes_effect",
        (f"{_TESTS}::test_what_one_administrator_asks_for_is_the_rate_once_another_one_approves",),
    ),
    *(
        DatabaseGuard(
            f"taxes, in the database: {rule}",
            "betting",
            f"ALTER TABLE rate_approval DISABLE TRIGGER {name}",
            f"ALTER TABLE rate_approval ENABLE TRIGGER {name}",
            (f"{_TESTS}::test_nobody_is_an_administrator_on_the_services_word",),
        )
        for name, rule in (
            ("rate_approval_is_asked_by_an_administrator", "who asks is an administrator"),
            ("rate_approval_is_decided_by_an_administrator", "who decides is an administrator"),
        )
    ),
)
