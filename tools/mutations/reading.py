"""Guards of what is read: the balance cache, closes, exports, the books of a race day."""

from __future__ import annotations

from tools.mutations.guards import LT, CodeGuard, L

CODE = (
    CodeGuard(
        "books: receipts add up to the money booked by them",
        "tools/raceday/books.py",
        "WHERE booked.amount IS DISTINCT FROM told.amount",
        "WHERE booked.amount IS DISTINCT FROM booked.amount",
        (f"{LT}/test_money_inside.py::test_a_receipt_of_another_amount_is_found",),
    ),
    CodeGuard(
        "balance cache: an older balance never lands on a newer one",
        f"{L}/balance_cache.py",
        "> (tonumber(known) or -1) then",
        ">= -9 then",
        (f"{LT}/test_balance_cache.py::test_an_older_balance_never_lands_on_a_newer_one",),
    ),
    CodeGuard(
        "balance cache: what is older than two seconds is not shown, whatever Redis says",
        f"{L}/balance_cache.py",
        "not -TTL_MS <= age_ms <= TTL_MS or ",
        "",
        (f"{LT}/test_balance_cache.py::test_a_good_lie_buys_nothing_and_ends_by_itself",),
    ),
    CodeGuard(
        "closes: what would take effect in a closed day is refused before the database has to",
        f"{L}/domain/decide.py",
        "    _check_effect(command, books)",
        "    pass",
        (f"{LT}/test_closes.py::test_what_comes_late_goes_to_the_open_day",),
    ),
    CodeGuard(
        "exports: one that breaks off cannot be taken for whole",
        "libs/common/common/http/streaming.py",
        "request.transport.abort()",
        "await response.write_eof()",
        (f"{LT}/test_reading.py::test_an_export_that_breaks_off_is_seen_to",),
    ),
    CodeGuard(
        "exports: every one gives its turn back",
        f"{L}/service/exporting.py",
        "self._running[ledger] -= 1",
        "pass",
        (f"{LT}/test_reading.py::test_exports_take_turns",),
    ),
)
