"""The guards of who may still bet: whoever becomes one of a stable or an official while their offers rest."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard

_B, _T = "services/betting/betting", "services/betting/tests"
_TESTS = f"{_T}/test_barring.py"
_ON_ITS_WAY = f"{_TESTS}::test_what_is_on_its_way_then_is_given_back"

CODE = (
    CodeGuard(
        "bets: who joins a stable has nothing resting from before",
        f"{_B}/service/registry.py",
        "            await self._end_forbidden(conn, user)\n",
        "",
        (f"{_TESTS}::test_who_joins_a_stable_meets_none_of_it_with_what_they_offered_before",),
    ),
    CodeGuard(
        "bets: who is appointed has nothing resting at the event",
        f"{_B}/service/registry.py",
        "            await self._end_forbidden(conn, official)\n",
        "",
        (f"{_TESTS}::test_who_is_appointed_has_nothing_resting_at_the_event",),
    ),
    CodeGuard(
        "bets: nobody's offer rests against a horse that has become their stable's",
        f"{_B}/service/programme.py",
        "            await end_forbidden(conn, markets, self._clock())\n",
        "",
        (f"{_TESTS}::test_a_stables_people_are_not_matched_against_a_horse_that_has_become_theirs",),
    ),
    CodeGuard(
        "bets: what is on its way for somebody who was barred is given back",
        f"{_B}/service/placing.py",
        "    if waiting.forbidden:",
        "    if False:",
        (_ON_ITS_WAY,),
    ),
    CodeGuard(
        "bets: where something of theirs is on its way the market is waited for",
        f"{_B}/store/exchange.py",
        "            WHERE user_id = $1 AND status IN ('PENDING', 'OPEN', 'PARTIAL') ORDER BY market_id\n",
        "            WHERE user_id = $1 AND status IN ('OPEN', 'PARTIAL') ORDER BY market_id\n",
        (f"{_TESTS}::test_who_is_barred_while_the_floor_is_busy_with_their_offer_rests_nowhere",),
    ),
)

DATABASE = (
    DatabaseGuard(
        "bets, in the database: a bet is by who may when it is made",
        "betting",
        "ALTER TABLE fill DISABLE TRIGGER fill_is_by_who_may",
        "ALTER TABLE fill ENABLE TRIGGER fill_is_by_who_may",
        (f"{_T}/test_second_net.py::test_the_tables_refuse",),
    ),
    *(
        DatabaseGuard(
            f"bets, in the database: {rule}",
            "betting",
            f"ALTER TABLE {table} DISABLE TRIGGER {name}",
            f"ALTER TABLE {table} ENABLE TRIGGER {name}",
            (f"{_T}/test_records.py::test_who_joins_a_stable_while_an_offer_is_written_down_waits",),
        )
        for table, name, rule in (
            ("stable_member", "stable_member_waits_for_offers", "who joins a stable waits for their offers"),
            ("appointment", "appointment_waits_for_offers", "who is appointed waits for their offers"),
        )
    ),
)
