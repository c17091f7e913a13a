"""The guards of the exchange: who is matched with whom, what is held and repaid once, who judges, who is paid.

Not here are those of which the second net says the same to the user, so that one alone is never missed: that a party does
not rule (the database: `ruling_by_a_third`), and that an event about a chunk counts once (the inbox, and the market's state).
"""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard
from tools.stack.layout import ROOT

SB = "services/betting"
B, BT = "services/betting/betting", "services/betting/tests"

_HOLDS = f"{BT}/test_interruptions.py"
_FLOORS = f"{BT}/test_floors.py"
_PEOPLE = f"{BT}/test_people.py"
_TIME = f"{BT}/test_in_time.py"
_OPTIONS = f"{BT}/test_options.py"
_RESTARTS = f"{BT}/test_restarts.py"
_MATCHING = (f"{BT}/test_matching.py",)
_RESULTS = f"{BT}/test_results.py"
_REFUSED = (f"{BT}/test_second_net.py::test_the_tables_refuse",)
_TWICE = (f"{BT}/test_second_net_of_settlements.py::test_a_settlement_is_computed_twice",)

CODE = (
    CodeGuard(
        "bets: a refused offer ends once",
        f"{B}/store/exchange.py",
        "WHERE o.id = ANY ($1) AND o.status = 'PENDING' ORDER BY",
        "WHERE o.id = ANY ($1) ORDER BY",
        (f"{_HOLDS}::test_request_and_sweeper_at_once_reject_one_offer",),
    ),
    CodeGuard(
        "bets: refused offers end together",
        f"{B}/service/batching.py",
        "        size = min(len(self._waiting), MOST_AT_ONCE)",
        "        size = 1",
        (f"{_FLOORS}::test_refused_holds_of_many_markets_are_written_in_one_transaction",),
    ),
    CodeGuard(
        "bets: the day ends by the venue's clock",
        f"{B}/service/gates.py",
        "            if starts_at >= event.day_ends_at:",
        "            if starts_at.date() > event.day:",
        (f"{_RESULTS}::test_the_day_ends_by_the_venues_clock_in_whatever_offset_it_is_put_off",),
    ),
    CodeGuard(
        "bets: nobody's word counts for the books",
        f"{B}/service/restarting.py",
        "        if named:\n",
        "        if False:\n",
        (
            f"{_RESTARTS}::test_a_stopped_market_is_mended_signed_by_two_and_settled_to_the_centavo",
            f"{_RESTARTS}::test_nobody_restarts_a_market_whose_bet_somebody_else_paid",
        ),
    ),
    CodeGuard(
        "bets: a signature is for books that were compared",
        f"{B}/service/restarting.py",
        "        if market != seen:\n",
        "        if False:\n",
        (f"{_RESTARTS}::test_what_happened_meanwhile_is_compared_again",),
    ),
    CodeGuard(
        "bets: an escrow that is whole is not enough",
        f"{B}/domain/agreement.py",
        "    yield from _of_bettors(own, ledger, words)\n",
        "",
        (f"{_RESTARTS}::test_nobody_restarts_a_market_whose_bet_somebody_else_paid",),
    ),
    CodeGuard(
        "bets: a stopped market of a race that is not run is void",
        f"{B}/service/gates.py",
        "            elif market.may_be_void:",
        "            elif market.status is MarketStatus.CLOSED:",
        (f"{_RESTARTS}::test_a_market_whose_race_was_scratched_meanwhile_is_void",),
    ),
    CodeGuard(
        "bets: a refused chunk is asked for under a key of its own",
        f"{B}/service/settling.py",
        "refusals=key.refusals + 1)",
        "refusals=1)",
        (f"{_RESTARTS}::test_a_chunk_that_was_refused_is_asked_for_again",),
    ),
    CodeGuard(
        "bets: one request is to blame, and nobody else suffers",
        f"{B}/ledger.py",
        "if problem.status in _FAULTY and len(wanted) > 1:",
        "if False:",
        (f"{_HOLDS}::test_a_request_refused_as_a_whole_hurts_nobody_but_the_guilty",),
    ),
    CodeGuard(
        "bets: the ledger's answers are about what was asked",
        f"{B}/ledger.py",
        "if [each.idempotency_key for each in told] != [bookings.hold_key(each.offer.id) for each in wanted]:",
        "if False:",
        (f"{_HOLDS}::test_an_answer_about_something_else_decides_nothing",),
    ),
    CodeGuard(
        "bets: only a lasting answer decides about a hold",
        f"{B}/ledger.py",
        "    refusal = _REFUSALS.get(slug)",
        "    refusal = _REFUSALS.get(slug, HoldRefused)",
        (f"{_HOLDS}::test_a_hold_without_an_answer_is_asked_again_with_its_key",),
    ),
    CodeGuard(
        "bets: a hold that comes after the gate goes back",
        f"{B}/service/placing.py",
        "    refusal = _refusal(session, waiting)",
        "    refusal = _refusal(session, waiting) and None",
        (f"{_HOLDS}::test_a_hold_that_comes_after_the_gate_goes_back",),
    ),
    CodeGuard(
        "bets: an offer whose own time is over meets nobody",
        f"{B}/service/session.py",
        "        if offer.is_over(self.chronicle.now):",
        "        if False:",
        (f"{_TIME}::test_an_offer_whose_hold_took_longer_than_its_own_time_meets_nobody",),
    ),
    CodeGuard(
        "bets: post time is the end, whoever closes the market",
        f"{B}/domain/markets.py",
        "        if self.terms.closes_at is not None and now >= self.terms.closes_at:",
        "        if False:",
        (f"{_TIME}::test_nothing_is_placed_or_matched_after_post_time_though_nobody_has_closed_the_market",),
    ),
    CodeGuard(
        "bets: nothing of whom was suspended is on its way any more",
        f"{B}/service/suspending.py",
        "        if scope is Scope.USER and subject is not None:",
        "        if False:",
        (f"{_TIME}::test_who_is_suspended_while_the_floor_is_busy_with_their_offer_rests_nowhere",),
    ),
    CodeGuard(
        "bets: a market that opens while its event is suspended is suspended with it",
        f"{B}/service/suspending.py",
        "                    await ProgrammeStore(conn).event_for_update(EventId(subject))",
        "                    await ProgrammeStore(conn).race_numbers(EventId(subject))",
        (f"{_TIME}::test_a_market_that_opens_while_its_event_is_suspended_is_suspended_with_it",),
    ),
    CodeGuard(
        "bets: a market closes after its last bet",
        f"{B}/service/gates.py",
        "        now = self._clock()  # not before they are locked: until then offers meet\n",
        "        now = race.starts_at.replace(year=2000)\n",
        (f"{_TIME}::test_a_market_is_closed_after_its_last_bet",),
    ),
    CodeGuard(
        "bets: an offer is finished once",
        f"{B}/service/placing.py",
        "if waiting is None or offer.status is not OfferStatus.PENDING:",
        "if waiting is None:",
        (f"{_HOLDS}::test_request_and_sweeper_at_once_place_one_offer",),
    ),
    CodeGuard(
        "bets: a locked market holds nobody else up",
        f"{B}/store/exchange.py",
        "FOR NO KEY UPDATE SKIP LOCKED",
        "FOR NO KEY UPDATE",
        (f"{_FLOORS}::test_a_locked_market_holds_up_nobody_else",),
    ),
    CodeGuard(
        "bets: a key is used once, in whatever markets of a batch",
        f"{B}/service/floor.py",
        "    taken.remove(key)\n",
        "",
        (f"{_FLOORS}::test_one_key_is_used_once_in_two_markets_of_a_batch",),
    ),
    CodeGuard(
        "bets: a debtor is not asked about all the time",
        f"{B}/store/people.py",
        "AND tried_at < $2",
        "AND $2::timestamptz IS NOT NULL",
        (f"{_PEOPLE}::test_a_debt_is_repaid_out_of_what_comes_later",),
    ),
    CodeGuard(
        "bets: a refused repayment is no obstacle to the next",
        f"{B}/ledger.py",
        ":{debt.sequence}:{seen}",
        ":{debt.sequence}",
        (f"{_PEOPLE}::test_a_refused_repayment_is_no_obstacle_to_the_next",),
    ),
    CodeGuard(
        "bets: the same look repays once",
        f"{B}/ledger.py",
        'key = f"repay:{debt.user_id}:{debt.currency}:{debt.sequence}:{seen}"',
        "key = f\"repay:{debt.user_id}:{debt.currency}:{__import__('uuid').uuid4()}\"",
        (f"{_PEOPLE}::test_the_same_look_repays_once",),
    ),
    CodeGuard(
        "bets: nobody repays with what they have not got",
        f"{B}/service/collecting.py",
        "amount = min(debt.owed, purse.amount)",
        "amount = debt.owed",
        (f"{_PEOPLE}::test_a_debt_is_repaid_out_of_what_comes_later",),
    ),
    CodeGuard(
        "bets: a debt that is heard of late is not raised again",
        f"{B}/store/people.py",
        "            WHERE debt.sequence < excluded.sequence\n",
        "",
        (f"{_PEOPLE}::test_what_is_heard_late_does_not_raise_a_debt_again",),
    ),
    CodeGuard(
        "bets: an exclusion that is heard of late changes nothing",
        f"{B}/store/people.py",
        "            WHERE exclusion.changed_at < excluded.changed_at\n",
        "",
        (f"{_PEOPLE}::test_an_earlier_word_that_comes_late_changes_nothing",),
    ),
    CodeGuard(
        "bets: a stake held before the exclusion goes back",
        f"{B}/store/exchange.py",
        "OR EXISTS (SELECT FROM exclusion x WHERE x.user_id = o.user_id AND x.until > now()) AS suspended",
        "AS suspended",
        (f"{_PEOPLE}::test_a_stake_held_before_the_exclusion_goes_back",),
    ),
    CodeGuard(
        "bets: whoever is excluded places nothing",
        f"{B}/store/desk.py",
        "(SELECT 'you have excluded yourself' FROM exclusion x WHERE x.user_id = a.user_id AND x.until > now())",
        "NULL",
        (f"{_PEOPLE}::test_who_excludes_themselves_loses_open_offers_and_keeps_bets",),
    ),
    CodeGuard(
        "bets: nobody is matched with their own",
        f"{B}/domain/matching.py",
        "if slip.owner == taker.slip.owner or slip.user_id == taker.slip.user_id:",
        "if slip.user_id == taker.slip.user_id:",
        _MATCHING,
    ),
    CodeGuard(
        "bets: nobody is matched with themselves, whatever stable they have joined",
        f"{B}/domain/matching.py",
        " or slip.user_id == taker.slip.user_id:",
        ":",
        _MATCHING,
    ),
    CodeGuard(
        "bets: a challenge is answered on the other side",
        f"{B}/domain/book.py",
        " and challenge.side is not answer.side",
        "",
        (*_MATCHING, f"{_OPTIONS}::test_an_answer_on_the_challengers_own_side_is_killed"),
    ),
    CodeGuard(
        "bets: ratios that do not cross do not meet",
        f"{B}/domain/matching.py",
        "if not affordable or not mine.crosses(theirs):",
        "if not affordable:",
        _MATCHING,
    ),
    CodeGuard(
        "bets: a crumb does not trade past the best price",
        f"{B}/domain/matching.py",
        "        if affordable < offered:\n            break",
        "        if False:\n            break",
        _MATCHING,
    ),
    CodeGuard(
        "bets: fill or kill is wholly or not at all, whatever may rest",
        f"{B}/domain/matching.py",
        "wanted = taker.stake - LARGEST_PART + 1",
        "wanted = taker.stake - 5 * LARGEST_PART",
        _MATCHING,
    ),
    CodeGuard(
        "bets: a stale screen places nothing",
        f"{B}/domain/markets.py",
        "if self.version != version:",
        "if False:",
        (f"{BT}/test_exchange.py::test_a_stale_screen_places_nothing",),
    ),
    CodeGuard(
        "bets: the book is believed only as far as it was seen",
        f"{B}/service/floor.py",
        "if book is not None and sequence == market.sequence:",
        "if book is not None:",
        (f"{BT}/test_storm.py::test_the_book_is_read_again_when_somebody_else_changed_it",),
    ),
    CodeGuard(
        "bets: the same slip twice needs a word",
        f"{B}/service/desk.py",
        "if (standing.twin or twins) and not wanted.repeat:",
        "if False:",
        (f"{_OPTIONS}::test_the_same_slip_twice_needs_a_word",),
    ),
    CodeGuard(
        "bets: one official does not make a result",
        f"{B}/domain/results.py",
        "if official in earlier:",
        "if False:",
        (f"{BT}/test_rules.py::test_nobody_judges_twice_or_too_early",),
    ),
    CodeGuard(
        "bets: late bets go back on both sides",
        f"{B}/service/settling.py",
        "result.declared.off_time - LATE,",
        "result.declared.off_time + 10_000 * LATE,",
        (f"{_RESULTS}::test_a_late_bet_is_void_on_both_sides",),
    ),
    CodeGuard(
        "bets: whoever voids bets has none at the event",
        f"{B}/service/gates.py",
        "    await ResultStore(conn).check_impartial(race.id, official)\n",
        "",
        (f"{_RESULTS}::test_whoever_voids_bets_has_none_at_the_event",),
    ),
    CodeGuard(
        "bets: the ledger counts the settlements that move money",
        f"{B}/service/settling.py",
        "number = 1 + await store.booked_before(market.id, version)",
        "number = version",
        (f"{_RESULTS}::test_a_correction_that_moves_no_money_is_no_settlement_to_the_ledger",),
    ),
    CodeGuard(
        "bets: a corrected result is settled as a difference",
        f"{B}/service/settling.py",
        "before = await store.shares(market.id, market.settlement, currency) if market.settlement else None",
        "before = None",
        (f"{_RESULTS}::test_an_official_error_is_corrected_by_two_signatures",),
    ),
)


_LOOKS = "    PERFORM pg_advisory_xact_lock(hashtextextended(official::text, 6));\n"
"""How it is looked for an official's offers: while nobody can be writing one down."""


def _check_impartial() -> str:
    """The function as its newest migration makes it."""
    text = (ROOT / f"{SB}/migrations/20261122160000_badges.sql").read_text(encoding="utf-8")
    up, _, _ = text.partition("-- migrate:down")
    _, begins, body = up.partition("CREATE OR REPLACE FUNCTION check_impartial(")
    return begins + body


def _trigger(table: str, name: str, rule: str, tests: tuple[str, ...] = _REFUSED) -> DatabaseGuard:
    return DatabaseGuard(
        f"bets, in the database: {rule}",
        "betting",
        f"ALTER TABLE {table} DISABLE TRIGGER {name}",
        f"ALTER TABLE {table} ENABLE TRIGGER {name}",
        tests,
    )


DATABASE = (
    DatabaseGuard(
        "bets, in the database: whoever is betting at this moment does not judge",
        "betting",
        _check_impartial().replace(_LOOKS, ""),
        _check_impartial(),
        (f"{_TIME}::test_who_is_betting_at_this_moment_does_not_officiate",),
    ),
    _trigger(
        "exclusion", "exclusion_is_the_later", "no later word of an exclusion is undone",
        (f"{_PEOPLE}::test_an_earlier_word_that_comes_late_changes_nothing",),
    ),
    _trigger(
        "debt", "debt_is_the_later", "no later word of a debt is undone",
        (f"{_PEOPLE}::test_what_is_heard_late_does_not_raise_a_debt_again",),
    ),
    _trigger("offer", "offer_has_ended", "an offer that has ended stays so"),
    _trigger("offer", "offer_keeps_its_place", "an offer keeps its place in the queue"),
    _trigger("offer", "offer_joins_the_queue_last", "an offer joins the queue at its end"),
    _trigger("market", "market_sequence_only_grows", "the numbers of a market's queue only grow"),
    _trigger(
        "fill", "fill_keeps_the_queue", "a bet is with the first in the queue",
        (f"{BT}/test_queue.py::test_nobody_is_passed", *_REFUSED),
    ),
    _trigger("market", "market_counts_its_settlements", "a market counts the settlements that are written"),
    _trigger("suspension", "suspension_is_lifted_once", "a suspension that was lifted stays so"),
    _trigger("offer", "offer_is_by_a_stranger", "officials and connections are barred"),
    _trigger(
        "offer", "offer_says_what_counts", "an offer's record and owner group are those that count",
        (f"{BT}/test_records.py",),
    ),
    _trigger(
        "outbox", "command_is_as_written", "what the ledger is asked is what is written",
        (f"{BT}/test_commands.py",),
    ),
    _trigger("fill", "fill_in_open_market", "bets are made in open markets, between strangers, in time"),
    _trigger("market", "market_moves_forward", "a closed market never opens again"),
    _trigger("offer", "offer_is_matched_by_its_bets", "an offer has matched what its bets say"),
    _trigger("fill", "fill_is_in_both_offers", "a bet is in both its offers"),
    _trigger(
        "market", "market_stops_and_restarts", "a stopped market goes on by two signatures",
        (f"{_RESTARTS}::test_the_database_wants_two_officials",),
    ),
    _trigger("market", "market_is_void_with_its_race", "a market is void with its race and by nothing else"),
    _trigger(
        "settlement", "settlement_stays_booked", "what was booked stays booked",
        (f"{BT}/test_second_net_of_settlements.py::test_what_was_booked_stays_booked",),
    ),
    _trigger(
        "settlement_chunk", "settlement_chunk_stays_booked", "a chunk that was booked stays booked",
        (f"{BT}/test_second_net_of_settlements.py::test_what_was_booked_stays_booked",),
    ),
    _trigger("market", "market_begins_as_a_draft", "a market begins as a draft with nothing in it"),
    _trigger("market", "market_terms_are_what_counts", "the terms that were hashed are those that count"),
    _trigger("event", "event_begins_as_a_draft", "an event begins as a draft, without a permit unpublished"),
    _trigger("race", "race_begins_as_scheduled", "a race begins without a result"),
    _trigger("runner", "runner_changes_before_the_off", "a horse is out, or of another stable, before the race is off"),
    _trigger(
        "settlement_share", "settlement_share_is_written_whole", "no share is added to a settlement",
        (f"{BT}/test_second_net_of_settlements.py::test_nothing_is_added_to_a_settlement",),
    ),
    _trigger(
        "settlement_chunk", "settlement_chunk_is_written_whole", "no chunk is added to a settlement",
        (f"{BT}/test_second_net_of_settlements.py::test_nothing_is_added_to_a_settlement",),
    ),
    _trigger(
        "restart", "restart_is_of_a_stopped_market", "who has bet does not sign, and nobody for another stop",
        (f"{_RESTARTS}::test_a_signature_is_for_one_stop_and_a_stop_keeps_its_reason",),
    ),
    _trigger("race", "race_moves_forward", "a race passes its states in their order"),
    _trigger("declaration", "declaration_is_impartial", "whoever bet does not judge"),
    _trigger("result", "result_is_supported", "a result is signed by those who saw it"),
    _trigger("race", "race_counts_its_results", "a race counts its results, and its objection window is whole"),
    _trigger("conformity", "conformity_is_by_its_stable", "a stable's conformity is signed by one of it"),
    _trigger("settlement", "settlement_follows_the_result", "a settlement is what the result says", _TWICE),
    _trigger("declaration", "declaration_is_append_only", "what was declared stays"),
    _trigger("settlement", "settlement_is_exact", "every share is what the bets say", _TWICE),
    _trigger(
        "settlement", "settlement_books_every_chunk", "a settlement is booked when its chunks are",
        (f"{BT}/test_second_net_of_settlements.py::test_a_settlement_is_not_booked_before_its_chunks",),
    ),
    DatabaseGuard(
        "bets, in the database: a result pays whom it names",
        "betting",
        "ALTER TABLE result DROP CONSTRAINT result_winner_came_in_first",
        "ALTER TABLE result ADD CONSTRAINT result_winner_came_in_first CHECK (coalesce("
        "CASE WHEN winner IS NULL THEN jsonb_array_length(places -> 0) > 1 "
        "ELSE jsonb_array_length(places -> 0) = 1 AND places -> 0 ->> 0 = winner::text END, false)) NOT VALID",
        _REFUSED,
    ),
    DatabaseGuard(
        "bets, in the database: a key places once",
        "betting",
        "ALTER TABLE offer DROP CONSTRAINT offer_key_is_used_once",
        "ALTER TABLE offer ADD CONSTRAINT offer_key_is_used_once UNIQUE (user_id, idempotency_key)",
        _REFUSED,
    ),
)  # fmt: skip
