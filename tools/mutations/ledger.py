"""The guards of the ledger around its engine: closes, seals, tenancy, reading, and every rule of its database.

A rule of the database is silenced by its name: the one function that all of them refuse by lets it pass.
"""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard

L, LT = "services/ledger/ledger", "services/ledger/tests"

_DOOR = f"{LT}/test_overload.py"
_TENANCY = (f"{LT}/test_tenancy.py::test_another_ledgers_thing_is_not_found",)
_CACHE = f"{LT}/test_balance_cache.py"
_REPLICA = f"{LT}/test_replica.py"

CODE = (
    CodeGuard(
        "seals: a file that two readers read differently is not sound",
        "tools/verify_journal.py",
        "    if len(value) != len(members):",
        "    if False:",
        (
            f"{LT}/test_proofs.py::test_a_proof_that_two_readers_read_differently_does_not_hold",
            f"{LT}/test_verify_journal.py::test_lines_that_can_be_read_in_two_ways_are_found",
        ),
    ),
    CodeGuard(
        "seals: sums are told to the last digit",
        "tools/verify_journal.py",
        "        with decimal.localcontext(EXACT):",
        "        with decimal.localcontext():",
        (f"{LT}/test_verify_journal.py::test_the_rules_of_money_are_verified_even_under_sound_seals",),
    ),
    CodeGuard(
        "seals: an account stays what it was opened as",
        "tools/verify_journal.py",
        "            if now != once:",
        "            if False:",
        (f"{LT}/test_verify_journal.py::test_the_rules_of_money_are_verified_even_under_sound_seals",),
    ),
    CodeGuard(
        "seals: an account has a side",
        "tools/verify_journal.py",
        "        if side not in (1, -1):",
        "        if False:",
        (f"{LT}/test_verify_journal.py::test_the_rules_of_money_are_verified_even_under_sound_seals",),
    ),
    CodeGuard(
        "seals: an amount is written in one way",
        "tools/verify_journal.py",
        "    if not isinstance(text, str) or AMOUNT.fullmatch(text) is None:",
        "    if not isinstance(text, str):",
        (f"{LT}/test_verify_journal.py::test_the_rules_of_money_are_verified_even_under_sound_seals",),
    ),
    CodeGuard(
        "seals: a trusted key is shown as it is trusted",
        "tools/verify_journal.py",
        "        if id in self._keys and self._keys[id].public_bytes_raw() != public:",
        "        if False:",
        (f"{LT}/test_verify_journal.py::test_a_changed_chain_is_found",),
    ),
    CodeGuard(
        "seals: what is shown beside a statement is what was signed",
        "tools/verify_journal.py",
        "        if name in signed and value != signed[name] and not",
        "        if False and not",
        (
            f"{LT}/test_proofs.py::test_a_changed_proof_does_not_hold",
            f"{LT}/test_verify_journal.py::test_what_a_manifest_says_besides_is_verified_too",
        ),
    ),
    CodeGuard(
        "seals: what a manifest says of its journal is verified",
        "tools/verify_journal.py",
        "            if manifest[name] != found:",
        "            if False:",
        (f"{LT}/test_verify_journal.py::test_what_a_manifest_says_besides_is_verified_too",),
    ),
    CodeGuard(
        "seals: what an export leaves out is named",
        "tools/verify_journal.py",
        "        if name not in shown:",
        "        if False:",
        (f"{LT}/test_verify_journal.py::test_whatever_an_export_leaves_out_is_named",),
    ),
    CodeGuard(
        "seals: a posting is shown under its own leg",
        "tools/verify_journal.py",
        "        if leg not in (str(number) for number in range(1, len(digests) + 1)):",
        "        if False:",
        (f"{LT}/test_proofs.py::test_a_changed_proof_does_not_hold",),
    ),
    CodeGuard(
        "seals: a head is never left out",
        "tools/verify_journal.py",
        "        if head and head.number != seal.number:",
        "        if False:",
        (f"{LT}/test_proofs.py::test_a_head_is_never_left_out",),
    ),
    CodeGuard(
        "seals: a file cannot make the verifier say what it does not",
        "tools/verify_journal.py",
        "        _say(each)\n    return 1",
        "        print(each)\n    return 1",
        (f"{LT}/test_verify_journal.py::test_a_file_cannot_make_the_verifier_say_what_it_does_not",),
    ),
    CodeGuard(
        "seals: what is believed in the house is what was signed",
        f"{L}/sealing/checking.py",
        "        elif _statement(seal, name, before).signing_bytes() != seal.statement:",
        "        elif False:",
        (
            f"{LT}/test_seals.py::test_a_changed_journal_does_not_fit_for_its_seals_having_been_changed_as_well",
        ),
    ),
    CodeGuard(
        "seals: one that is missing is missed in the house, too",
        f"{L}/sealing/checking.py",
        "        if (seal.number, seal.first) != (number + 1, last + 1):",
        "        if False:",
        (
            f"{LT}/test_seals.py::test_a_changed_journal_does_not_fit_for_its_seals_having_been_changed_as_well",
        ),
    ),
    CodeGuard(
        "reports: a page does not wait for a frozen replica",
        f"{L}/replica.py",
        "await asyncio.wait((task,), timeout=PATIENCE_SECONDS)",
        "await asyncio.wait((task,))",
        (f"{LT}/test_replica.py::test_a_frozen_replica_holds_nobody_up",),
    ),
    CodeGuard(
        "reports: a replica that owes a measurement is not asked",
        f"{L}/replica.py",
        " and not silent",
        "",
        (f"{LT}/test_replica.py::test_a_frozen_replica_holds_nobody_up",),
    ),
    CodeGuard(
        "ledger: a market takes back no more than it brought",
        f"{L}/domain/settling.py",
        '        if kind.settlement == "recover" and after[key] < 0:',
        "        if False:",
        (f"{LT}/test_resettle.py::test_a_market_takes_back_no_more_than_it_brought",),
    ),
    CodeGuard(
        "ledger: what was sent ahead sees what it waited for",
        f"{L}/store/journal.py",
        "AND sequence <= $2 FOR UPDATE",
        "AND sequence = $2 FOR UPDATE",
        (f"{LT}/test_sent_ahead.py::test_many_drafts_are_sent_before_what_they_were_decided_on_is_there",),
    ),
    CodeGuard(
        "ledger: what another engine posted is seen before deciding",
        f"{L}/store/journal.py",
        "AND sequence <= $2 FOR UPDATE\n), unmoved AS MATERIALIZED (\n    SELECT at FROM locked WHERE sequence = $2",
        "AND $2 >= 0 FOR UPDATE\n), unmoved AS MATERIALIZED (\n    SELECT at FROM locked",
        (f"{LT}/test_memory.py", f"{LT}/test_storms.py"),
    ),
    CodeGuard(
        "ledger: who comes to a full queue is refused at the door, unread",
        f"{L}/app.py",
        "        request.app[api.LEDGER].expect_room(holder.ledger)",
        "        pass",
        (_DOOR,),
    ),
    CodeGuard(
        "ledger: a key that many present at once is looked up once",
        f"{L}/keys/door.py",
        "        if looking is None:",
        "        if looking is None or hashed:",
        (f"{LT}/test_keys.py::test_a_key_that_many_present_at_once_is_looked_up_once",),
    ),
    CodeGuard(
        "ledger: of a late close's days each is closed, the months after them",
        f"{L}/service/closing.py",
        "            while (found := await self.due(ledger, period, until)) is not None:",
        "            if (found := await self.due(ledger, period, until)) is not None:",
        (f"{LT}/test_closes.py::test_four_processes_at_once_while_two_engines_post",),
    ),
    CodeGuard(
        "ledger: who misses at once reads once",
        f"{L}/balance_cache.py",
        "            flying = self._flights[key] = asyncio.ensure_future(self._fill(key, read))",
        "            flying = asyncio.ensure_future(self._fill(key, read))",
        (f"{_CACHE}::test_a_hundred_who_miss_at_once_read_once",),
    ),
    CodeGuard(
        "ledger: a cache in trouble is left alone",
        f"{L}/balance_cache.py",
        "        self._rests_until = time.monotonic() + REST_SECONDS",
        "        self._rests_until = 0.0",
        (f"{_CACHE}::test_a_redis_that_is_gone_is_not_asked_at_every_look",),
    ),
    CodeGuard(
        "ledger: a commit is written over what is cached",
        f"{L}/balance_cache.py",
        "        self._something.set()\n\n    async def run",
        "\n    async def run",
        (f"{_CACHE}::test_the_second_look_is_from_the_cache_and_a_commit_is_seen",),
    ),
    CodeGuard(
        "ledger: a replica beyond its bound answers nothing",
        f"{L}/replica.py",
        "return self.lag_seconds <= self.max_lag_seconds and",
        "return",
        (_REPLICA,),
    ),
    CodeGuard(
        "ledger: a replica answers for what it has reached",
        f"{L}/replica.py",
        "reached = needs == 0 or await head(connection, ledger) >= needs",
        "reached = True",
        (f"{_REPLICA}::test_what_must_be_shown_is_never_left_out",),
    ),
    CodeGuard(
        "reading: white space around a key is no part of it at the fast lane",
        "libs/common/common/http/lane/connection.py",
        'value.strip(b" \\t").decode',
        "value.decode",
        (f"{LT}/test_fast_lane.py::test_white_space_around_a_key_is_no_part_of_it_at_either_door",),
    ),
    CodeGuard(
        "reading: a cursor with half a character is none of ours",
        "libs/common/common/http/cursors.py",
        "            str(each).encode()  # half",
        "            pass  # half",
        (f"{LT}/test_reading.py::test_bad_input_names_its_field",),
    ),
    CodeGuard(
        "reading: a cursor with a moment beyond all moments is none of ours",
        "libs/common/common/http/cursors.py",
        "        return moment.astimezone(UTC)",
        "        return moment",
        (f"{LT}/test_reading.py::test_bad_input_names_its_field",),
    ),
    CodeGuard(
        "reading: a moment's trial balance is the same rows from either side",
        f"{L}/store/trial.py",
        "     WHERE x.amount <> 0\n",
        "",
        (f"{LT}/test_asof.py::test_a_class_that_was_opened_later_is_not_part_of_an_earlier_answer",),
    ),
    CodeGuard(
        "reading: one house's exports do not keep another's waiting",
        f"{L}/service/exporting.py",
        "        if self._running[ledger] >= MOST_AT_ONCE",
        "        if self._running.total() >= MOST_AT_ONCE",
        (f"{LT}/test_reading.py::test_exports_take_turns",),
    ),
    CodeGuard(
        "reading: an export has one header",
        f"{L}/service/exporting.py",
        '    if form == "csv" and first:',
        '    if form == "csv" and before == 0:',
        (f"{LT}/test_reading.py::test_an_export_has_one_header_whatever_its_first_page_leaves_out",),
    ),
    CodeGuard(
        "ledger: a replica does not say that something does not exist",
        f"{L}/replica.py",
        "        except (NotFound, DatabaseUnavailable):",
        "        except DatabaseUnavailable:",
        (f"{_REPLICA}::test_that_there_is_no_such_thing_is_for_the_books_to_say",),
    ),
    CodeGuard(
        "ledger: a heavy report is never read from the primary",
        f"{L}/replica.py",
        "        if heavy and self.replica is not None:",
        "        if False:",
        (f"{_REPLICA}::test_beyond_the_bound_pages_fall_back_and_heavy_reports_wait",),
    ),
    CodeGuard(
        "ledger: nothing is sealed over a hole",
        f"{L}/sealing/sealer.py",
        "        check_whole(entries, first, last)\n",
        "",
        (f"{LT}/test_seals.py::test_nothing_is_sealed_over_a_hole",),
    ),
    CodeGuard(
        "ledger: seals begin where the last one ended, whatever was committed late",
        f"{L}/sealing/sealer.py",
        "        first = before.last + 1 if before else 1\n",
        "        first = max(before.last + 1, head - 3) if before else 1\n",
        (f"{LT}/test_seals.py",),
    ),
    CodeGuard(
        "ledger: another ledger's entry is not found",
        f"{L}/store/outcomes.py",
        'f"SELECT {_COLUMNS} FROM entry WHERE ledger_id = $1 AND id = ANY ($2::uuid[])", ledger, ids',
        'f"SELECT {_COLUMNS} FROM entry WHERE $1::smallint IS NOT NULL AND id = ANY ($2::uuid[])", ledger, ids',
        _TENANCY,
    ),
    CodeGuard(
        "ledger: another ledger's hold is not found",
        f"{L}/store/holds.py",
        "WHERE h.ledger_id = $1 AND h.id = $2",
        "WHERE $1::smallint IS NOT NULL AND h.id = $2",
        _TENANCY,
    ),
    CodeGuard(
        "ledger: another ledger's account is not found",
        f"{L}/store/accounts.py",
        "FROM account WHERE ledger_id = $1 AND path = $2 AND currency = $3",
        "FROM account WHERE $1::smallint IS NOT NULL AND path = $2 AND currency = $3",
        _TENANCY,
    ),
    CodeGuard(
        "ledger: another ledger's seal is not found",
        f"{L}/store/seals.py",
        'f"SELECT {_SEAL} FROM seal WHERE ledger_id = $1 AND number = $2", ledger, number',
        'f"SELECT {_SEAL} FROM seal WHERE $1::smallint IS NOT NULL AND number = $2", ledger, number',
        _TENANCY,
    ),
    CodeGuard(
        "ledger: another ledger's entry has no proof",
        f"{L}/store/seals.py",
        "SELECT sequence FROM entry WHERE id = $2 AND ledger_id = $1",
        "SELECT sequence FROM entry WHERE id = $2 AND $1::smallint IS NOT NULL",
        _TENANCY,
    ),
    CodeGuard(
        "ledger: a key that may only read changes nothing",
        f"{L}/domain/keys.py",
        "        if mutation and self.read_only:",
        "        if False:",
        (f"{LT}/test_tenancy.py::test_a_key_that_may_only_read_changes_nothing",),
    ),
    CodeGuard(
        "ledger: a key posts the kinds of its scopes alone",
        f"{L}/domain/keys.py",
        "        if POST not in self.scopes and KIND + kind not in self.scopes:",
        "        if False:",
        (f"{LT}/test_tenancy.py::test_a_key_posts_no_kind_outside_its_scopes",),
    ),
    CodeGuard(
        "ledger: a revoked key is unknown",
        f"{L}/store/keys.py",
        "WHERE digest = $1 AND revoked_at IS NULL AND",
        "WHERE digest = $1 AND",
        (f"{LT}/test_tenancy.py::test_nobody_comes_in_without_a_live_key",),
    ),
    CodeGuard(
        "ledger: a key that signs must",
        f"{L}/keys/door.py",
        "        if holder.signing_root is not None:",
        "        if False:",
        (f"{LT}/test_keys.py::test_a_key_that_signs",),
    ),
    CodeGuard(
        "ledger: a hold is drawn no further than it goes",
        f"{L}/domain/decide.py",
        "        if known.remaining < line.amount:",
        "        if False:",
        (f"{LT}/test_holds.py::test_never_more_than_remains",),
    ),
    CodeGuard(
        "ledger: a floor holds at every step",
        f"{L}/domain/decide.py",
        "        if account.cls.floored and balance * account.cls.side < 0:",
        "        if False:",
        (f"{LT}/test_storms.py::test_two_hundred_holds_on_a_balance_for_seven",),
    ),
    CodeGuard(
        "ledger: a day that is due is closed only when it is settled",
        f"{L}/service/closing.py",
        "            await moments.settle_moment(connection, ledger, due.ends_at - TICK)",
        "            pass",
        (f"{LT}/test_closes.py",),
    ),
)

_REFUSE = """CREATE OR REPLACE FUNCTION {function}(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    {unless}RAISE EXCEPTION USING ERRCODE = '{code}', CONSTRAINT = rule, MESSAGE = message;{end}
END $$"""
_CODES = {"refuse": "check_violation", "refuse_stale": "serialization_failure"}


def _rule(name: str, *tests: str, function: str = "refuse") -> DatabaseGuard:
    code = _CODES[function]
    silent = {"unless": f"IF rule <> '{name}' THEN ", "end": " END IF;"}
    return DatabaseGuard(
        f"ledger: rule {name}",
        "ledger",
        _REFUSE.format(function=function, code=code, **silent),
        _REFUSE.format(function=function, code=code, unless="", end=""),
        tuple(f"{LT}/{test}" for test in tests),
    )


def _attack(name: str, test: str) -> DatabaseGuard:
    return _rule(name, f"test_attacks.py::{test}")


def _deep(name: str, test: str) -> DatabaseGuard:
    return _rule(name, f"test_attacks_depth.py::{test}")


def _without(name: str, function: str, guard: str, test: str, instead: str = "") -> DatabaseGuard:
    """`guard`, a piece of that function, made a comment, or something else."""
    change = (
        "DO $change$ BEGIN /* FUNCTION {function} */ EXECUTE replace(pg_get_functiondef('{function}'::regproc), "
        "$old${old}$old$, $new${new}$new$); END $change$"
    )
    silent = instead or f"/* {guard} */"
    return DatabaseGuard(
        f"ledger: {name}",
        "ledger",
        change.format(function=function, old=guard, new=silent),
        change.format(function=function, old=silent, new=guard),
        (f"{LT}/test_attacks_on_order.py::{test}",),
    )


def _order(name: str, test: str) -> DatabaseGuard:
    return _rule(name, f"test_attacks_on_order.py::{test}")


_CLOSER = "test_closes.py::test_only_the_closer_closes_and_only_what_is_over"
_WRONG_FIGURES = "test_closes_refused.py::test_a_day_whose_figures_do_not_hold_stays_open"
_OWNER = "test_attacks_of_roles.py::test_not_even_the_owner_rewrites_history_by_accident"
_CHAIN = "test_seals.py::test_the_database_holds_the_chain_whatever_the_sealer_does"

DATABASE = (
    _attack("account_path_is_in_chart", "test_an_account_takes_its_class_from_its_path"),
    _attack("balance_not_below_floor", "test_a_floor_holds_between_the_entries_of_a_batch"),
    _attack("command_has_one_outcome", "test_a_command_is_not_both_posted_and_refused"),
    _attack("entry_balances", "test_an_entry_balances_and_is_whole"),
    _attack("entry_binds_market", "test_an_escrow_pays_its_contributors_whole_once"),
    _attack("entry_binds_players", "test_one_player_cannot_match_alone"),
    _attack("entry_is_complete", "test_no_posting_is_added_to_an_old_entry"),
    _attack("entry_is_posted_now", "test_an_entry_is_posted_now"),
    _attack("entry_receipt_as_kind_says", "test_money_is_not_granted"),
    _attack("entry_settlement_as_kind_says", "test_an_escrow_pays_its_contributors_whole_once"),
    _attack("escrow_is_frozen", "test_an_escrow_pays_its_contributors_whole_once"),
    _attack("hold_is_bound", "test_a_hold_stays_with_its_owner_and_its_purpose"),
    _attack("posting_account_is_open", "test_a_posting_has_an_entry_and_an_account"),
    _attack("posting_balance_is_true", "test_a_posting_tells_the_true_balance_and_the_next_number"),
    _attack("posting_belongs_to_entry", "test_a_posting_has_an_entry_and_an_account"),
    _attack("posting_carries_hold", "test_a_hold_stays_with_its_owner_and_its_purpose"),
    _attack("posting_fits_currency", "test_an_amount_has_no_third_decimal_and_is_not_rounded"),
    _attack("posting_fits_template", "test_money_is_not_granted"),
    _attack("principal_may_post_kind", "test_a_principal_posts_only_its_kinds"),
    _attack("receipt_matches_bank", "test_a_receipt_is_spent_once"),
    _attack("settlement_matches_header", "test_an_escrow_pays_its_contributors_whole_once"),
    _attack("settlement_pays_contributors", "test_an_escrow_pays_its_contributors_whole_once"),
    _order("hold_is_drawn_once_open", "test_a_hold_is_not_drawn_before_it_is_opened"),
    _order("journal_is_written_read_committed", "test_nobody_writes_who_looks_back"),
    _without("postings are numbered in the order of their entries", "posting_added", "ORDER BY sequence, leg",
             "test_postings_are_numbered_in_the_order_of_their_entries", "ORDER BY account_sequence"),
    _without("postings are numbered without a gap", "posting_added", "AND m.other_before = m.before",
             "test_the_legs_of_an_entry_are_numbered"),
    _without("who writes waits before it looks", "posting_added", "FOR UPDATE",
             "test_a_rule_does_not_look_before_the_one_in_front_has_committed"),
    _without("who refuses waits for who posts", "refusal_added", "FOR UPDATE",
             "test_a_command_that_is_being_posted_is_not_refused"),
    _deep("account_currency_is_in_chart", "test_an_account_is_kept_in_its_charts_currencies"),
    _deep("closed_account_has_no_holds", "test_an_account_with_money_or_holds_is_not_closed"),
    _rule("closed_account_has_no_stakes", "test_resettle.py::test_an_account_is_not_closed_under_a_stake"),
    _deep("closed_account_is_empty", "test_an_account_with_money_or_holds_is_not_closed"),
    _deep("entry_hold_expiry_as_kind_says", "test_a_hold_expires_when_it_is_due_and_whole"),
    _deep("entry_reverses_as_kind_says", "test_a_reversal_is_a_true_mirror_once"),
    _deep("entry_waits_for_the_disk", "test_nothing_is_posted_that_is_not_on_disk_when_it_is_answered"),
    _deep("hold_expires_when_due", "test_a_hold_expires_when_it_is_due_and_whole"),
    _deep("linked_entries_are_whole", "test_linked_entries_come_together"),
    _deep("principal_may_close_accounts", "test_an_account_with_money_or_holds_is_not_closed"),
    _deep("reversal_keeps_reference", "test_a_reversal_is_a_true_mirror_once"),
    _deep("reversal_mirrors_entry", "test_a_reversal_is_a_true_mirror_once"),
    _deep("reversal_names_an_entry", "test_a_reversal_is_a_true_mirror_once"),
    _deep("reversal_of_reversible_kind", "test_draws_and_reversals_are_not_reversed"),
    _rule("account_is_open", "test_attacks_depth.py::test_a_closed_account_stays_closed", function="refuse_stale"),
    _rule("account_sequence_is_next", "test_attacks.py::test_a_posting_tells_the_true_balance_and_the_next_number",
          function="refuse_stale"),
    _rule("entry_sequence_is_next", "test_attacks.py::test_a_posting_tells_the_true_balance_and_the_next_number",
          function="refuse_stale"),
    _rule("entry_is_posted_after_settled", "test_asof.py::test_a_settled_moment_sends_an_older_writer_back",
          function="refuse_stale"),
    _rule("derived_from_journal", _OWNER),
    _rule("api_key_only_ends", "test_keys.py::test_a_dead_key_cannot_be_revived_in_sql"),
    _rule("close_balance_is_true", _WRONG_FIGURES),
    _rule("close_is_balanced", _WRONG_FIGURES),
    _rule("close_opens_where_last_closed", _WRONG_FIGURES),
    _rule("close_is_settled", _CLOSER),
    _rule("closes_follow_each_other", _CLOSER),
    _rule("month_has_all_days", "test_closes_refused.py::test_a_month_waits_for_its_days"),
    _rule("entry_effective_in_open_day", "test_closes.py::test_the_database_too_refuses_to_change_a_closed_day"),
    _rule("debt_only_for_what_is_missing", "test_resettle.py::test_the_database_keeps_them_too"),
    _rule("settlement_recovers_what_it_paid", "test_resettle.py::test_the_database_takes_back_no_more_either"),
    _rule("principal_may_set_limits", "test_limits.py::test_the_database_knows_who_may_set_limits"),
    _rule("receipt_origin_is_booked", "test_cards_and_suspense.py::test_nothing_leaves_suspense_that_was_not_put_there"),
    _rule("seal_covers_every_entry", _CHAIN),
    _rule("seal_key_begins_at_the_end", "test_seals.py::test_a_key_endorses_its_successor"),
    _rule("seal_key_is_current", "test_seals.py::test_a_key_endorses_its_successor"),
    _rule("seal_says_what_it_is", _CHAIN),
)  # fmt: skip
