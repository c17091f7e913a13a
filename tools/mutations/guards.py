"""The guards, and how each is taken away."""

from __future__ import annotations

from dataclasses import dataclass

P = "services/payments/payments"
T = "services/payments/tests"
L = "services/ledger/ledger"
LT = "services/ledger/tests"


@dataclass(frozen=True, slots=True)
class CodeGuard:
    """A guard in a file: `old` is replaced by `new`, and `tests` must fail. `whole`: they need every service, started
    from the copy that lacks the guard."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
    whole: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseGuard:
    """A guard in a service's database: `drop` takes it away, `restore` brings it back."""

    name: str
    service: str
    drop: str
    restore: str
    tests: tuple[str, ...]


CODE = (
    CodeGuard(
        "dedupe: a webhook is kept once",
        f"{P}/store/webhooks.py",
        "VALUES ($1, $2, $3, $4, $5)\n            ON CONFLICT",
        "VALUES ($1, $2 || gen_random_uuid(), $3, $4, $5)\n            ON CONFLICT",
        (f"{T}/test_webhooks.py::test_a_webhook_comes_once",),
    ),
    CodeGuard(
        "dedupe: an event of the ledger is heard once",
        f"{P}/consumers.py",
        "            if not await first_sight(conn, QUEUE, event_id):\n                return\n            match entry",
        "            match entry",
        (f"{T}/test_answers.py::test_an_event_is_heard_once_however_often_it_comes",),
    ),
    CodeGuard(
        "fetch before apply: what was sent is not believed before it was asked for",
        f"{P}/service/cards.py",
        "        await self._ask(sending)\n\n    async def _ask",
        "        believed = sending.to(OperationState.CONFIRMED, psp_id=str(sending.id))\n"
        "        await self._save(sending, believed, 'believed')\n\n    async def _ask",
        (f"{T}/test_card_answers.py::test_what_is_not_as_asked_books_nothing",),
    ),
    CodeGuard(
        "signature: a webhook needs a live secret",
        f"{P}/service/webhooks.py",
        "        if not self._verified(signed, raw):",
        "        if False:",
        (f"{T}/test_webhooks.py::test_anything_else_is_answered_401_and_leaves_nothing",),
    ),
    CodeGuard(
        "rank: late news does not take a payment back",
        f"{P}/domain/cards.py",
        "    return RANKS[after] >= RANKS[before] and before not in _ENDS",
        "    return True",
        (f"{T}/test_cards.py::test_no_payment_falls_back_in_rank",),
    ),
    CodeGuard(
        "amount: an object of another amount is a conflict",
        f"{P}/domain/cards.py",
        '    return None if amount == operation.amount else "wrong-amount"',
        "    return None",
        (f"{T}/test_card_answers.py::test_what_is_not_as_asked_books_nothing",),
    ),
    CodeGuard(
        "amount: an order of another amount decides nothing",
        f"{P}/domain/orders.py",
        "    if (told.clave, told.beneficiary_clabe, told.amount) != (order.clave, order.clabe, order.amount):",
        "    if False:",
        (f"{T}/test_withdrawals.py::test_an_order_of_another_amount_under_our_clave_decides_nothing",),
    ),
    CodeGuard(
        "amount: the attestor believes no amount it was told",
        f"{P}/service/witness.py",
        "        if (told.amount, told.currency) != (str(proof.amount), proof.amount.currency):",
        "        if False:",
        (f"{T}/test_card_proofs.py::test_the_attestor_attests_nothing_but_what_it_finds",),
    ),
    CodeGuard(
        "two sources: a receipt of another transfer backs nothing",
        f"{P}/domain/evidence.py",
        "    if {line.transfer.tracking_key, named.tracking_key} != {transfer.tracking_key}:",
        "    if False:",
        (f"{T}/test_lying_answers.py::test_a_receipt_of_something_else_puts_nothing_into_suspense",),
    ),
    CodeGuard(
        "suspense: what goes back goes where it came from",
        f"{P}/service/witness.py",
        "        if came_from is not None and came_from != order.beneficiary_clabe:",
        "        if False:",
        (f"{T}/test_forged_rows.py::test_the_attestor_attests_no_return_that_went_elsewhere",),
    ),
    CodeGuard(
        "people's word: what is under review is decided, not closed",
        f"{P}/service/cashier.py",
        "            case Decision.CLOSE if not reviewing:",
        "            case Decision.CLOSE:",
        (
            f"{T}/test_never_stuck.py::test_the_last_case_of_a_withdrawal_under_review_is_not_closed_without_a_decision",
        ),
    ),
    CodeGuard(
        "people's word: never paid is said of what nobody answers for",
        f"{P}/service/cashier.py",
        "        if operation.attention is None:",
        "        if False:",
        (
            f"{T}/test_never_stuck.py::test_nobody_says_of_a_refund_that_is_only_not_answered_yet_that_it_was_never_paid",
        ),
    ),
    CodeGuard(
        "amount: the attestor adds up a settlement file itself",
        f"{P}/domain/payout_files.py",
        "settled(file.opening, gross, fees) != amount else None",
        "False else None",
        (f"{T}/test_card_proofs.py::test_the_attestor_adds_up_a_settlement_file_itself",),
    ),
    CodeGuard(
        "files: the attestor counts no line that the file does not have",
        f"{P}/domain/payout_files.py",
        "        if lines.get(kept.number) != kept:",
        "        if False:",
        (f"{T}/test_card_proofs.py::test_the_attestor_counts_no_line_that_the_file_does_not_have",),
    ),
    CodeGuard(
        "query, not resend: an operation without an answer is asked for",
        f"{P}/service/cards.py",
        "            case OperationState.UNKNOWN | OperationState.PENDING | OperationState.BOOKED:\n"
        "                await self._ask(operation)",
        "            case OperationState.UNKNOWN | OperationState.PENDING | OperationState.BOOKED:\n"
        "                await self._send(operation)",
        (f"{T}/test_card_answers.py::test_nothing_is_sent_twice_to_a_provider_that_ignores_keys",),
    ),
    CodeGuard(
        "query, not resend: an order without an answer is asked for",
        f"{P}/service/payouts.py",
        "            case WithdrawalState.SEND_UNKNOWN | WithdrawalState.SENT:\n                await self._ask(withdrawal)",
        "            case WithdrawalState.SEND_UNKNOWN | WithdrawalState.SENT:\n                await self._send(withdrawal)",
        (f"{T}/test_withdrawals.py::test_an_answer_lost_after_the_effect_is_asked_for",),
    ),
    CodeGuard(
        "the window: absence counts only after it",
        f"{P}/domain/cards.py",
        "    if now < operation.sent_at + window:\n        return StayPut()",
        "",
        (f"{T}/test_card_answers.py::test_absence_counts_only_after_the_window",),
    ),
    CodeGuard(
        "two sources: one is not enough",
        f"{P}/domain/evidence.py",
        "    if line.status is not cep.status:\n        return Contradictory",
        "    if False:\n        return Contradictory",
        (f"{T}/test_suspense.py::test_the_central_bank_may_say_otherwise_than_the_statement",),
    ),
    CodeGuard(
        "name: another person's money is not credited",
        f"{P}/domain/evidence.py",
        "        if not is_same(holder, finding.ordering_name):",
        "        if False:",
        (f"{T}/test_suspense.py::test_another_persons_money_is_not_credited",),
    ),
    CodeGuard(
        "review: a rule that hits stops a withdrawal",
        f"{P}/service/payouts.py",
        "            state = WithdrawalState.REVIEW if hits else WithdrawalState.APPROVED",
        "            state = WithdrawalState.APPROVED\n            hits = []",
        (f"{T}/test_review.py::test_money_that_only_passes_through_is_looked_at",),
    ),
    CodeGuard(
        "lease: who lost it writes nothing",
        f"{P}/store/cards.py",
        "WHERE id = $1 AND state = $2 AND leases = $3 AND stands_in",
        "WHERE id = $1 AND ($2::text, $3::bigint) IS NOT NULL AND stands_in",
        (f"{T}/test_card_answers.py::test_sixteen_workers_with_one_lease_send_once",),
    ),
    CodeGuard(
        "files: a line counts once",
        f"{P}/domain/payout_files.py",
        "    if seen:\n        return BreakClass.DUPLICATE",
        "",
        (f"{T}/test_settlement_files.py::test_a_lying_settlement_file_leaves_a_break_and_books_the_rest",),
    ),
    CodeGuard(
        "files: they add up",
        f"{P}/domain/payout_files.py",
        "    if total != closing:",
        "    if False:",
        (f"{T}/test_settlement_files.py::test_a_file_that_does_not_add_up_is_rejected",),
    ),
    CodeGuard(
        "people's word: what they have rejected is not noticed again",
        f"{P}/store/arrivals.py",
        "(state <> 'REJECTED' OR reason = $2)",
        "(state <> 'REJECTED' OR $2 = '')",
        (f"{T}/test_suspense.py::test_sources_that_contradict_each_other_book_nothing_and_a_person_decides",),
    ),
    CodeGuard(
        "papers: another person's RFC or CURP is not the player's",
        f"{P}/domain/evidence.py",
        "contradicts(holder, cep.document.ordering_document)",
        "False",
        (f"{T}/test_suspense.py::test_what_the_cep_says_of_the_senders_papers_must_be_the_players",),
    ),
    CodeGuard(
        "review: a password changed a moment ago",
        f"{P}/domain/review.py",
        "    return changed_at is not None and now - changed_at < rule.window, changed_at",
        "    return False, changed_at",
        (f"{T}/test_review.py::test_who_has_just_changed_the_password_waits",),
    ),
    CodeGuard(
        "review: one device of several players",
        f"{P}/domain/review.py",
        "DEVICE_SHARED: _exceeds(lambda facts: facts.players_of_device)",
        "DEVICE_SHARED: _exceeds(lambda facts: 0)",
        (
            f"{T}/test_review.py::test_one_device_of_two_players_and_one_that_withdraws_too_often_are_looked_at",
        ),
    ),
    CodeGuard(
        "events: what a card operation came to is told",
        f"{P}/service/card_effects.py",
        "    await tell_operation(conn, reached, after, now)\n",
        "",
        (f"{T}/test_card_events.py::test_a_card_payment_is_told_from_the_wish_to_the_spendable_money",),
    ),
    CodeGuard(
        "events: an authorization that ran out is told",
        f"{P}/service/card_effects.py",
        "        await tell_card(conn, expired, now)\n",
        "",
        (f"{T}/test_card_events.py::test_an_expiry_is_told",),
    ),
    CodeGuard(
        "events: a part's version is its own",
        f"{P}/events.py",
        "payment.reference, operation.version, event",
        "payment.reference, payment.version, event",
        (f"{T}/test_card_events.py::test_a_card_payment_is_told_from_the_wish_to_the_spendable_money",),
    ),
    CodeGuard(
        "limits: a card is not asked for more than its player allows",
        f"{P}/service/cards.py",
        "            if forbidden is not None:",
        "            if False:",
        (f"{T}/test_card_limits.py::test_who_is_excluded_pays_by_no_card_until_it_is_over",),
    ),
    CodeGuard(
        "limits: who is excluded after the authorization is not captured from",
        f"{P}/service/cards.py",
        "operation.act in (Act.AUTHORIZE, Act.CAPTURE):",
        "operation.act is Act.AUTHORIZE:",
        (f"{T}/test_card_limits.py::test_who_is_excluded_meanwhile_is_not_captured_from",),
    ),
    CodeGuard(
        "limits: the parts of one card payment count together",
        f"{P}/store/cards.py",
        "AND o.state NOT IN ('REQUESTED', 'REFUSED', 'FAILED')",
        "AND p.state = 'SETTLED' AND o.state NOT IN ('REQUESTED', 'REFUSED', 'FAILED')",
        (f"{T}/test_card_limits.py::test_a_limit_that_was_lowered_holds_for_what_was_authorised_before",),
    ),
    CodeGuard(
        "limits: what was to be captured at once and may not be is given up",
        f"{P}/service/card_effects.py",
        "    if payment.capture_at_once and payment.state is PaymentState.AUTHORIZED and not voided:",
        "    if False:",
        (
            f"{T}/test_card_limits.py::test_what_is_captured_at_once_is_given_up_when_its_player_is_excluded_in_between",
        ),
    ),
    CodeGuard(
        "limits: of two card payments at once the second knows of the first",
        f"{P}/service/cards.py",
        "            await store.one_at_a_time(payment.player)\n",
        "",
        (f"{T}/test_card_limits.py::test_whoever_looks_at_a_player_is_waited_for",),
    ),
    CodeGuard(
        "limits: what may still be captured counts",
        f"{P}/store/cards.py",
        "THEN captured ELSE amount END",
        "THEN captured ELSE captured END",
        (f"{T}/test_card_limits.py::test_of_many_at_once_no_more_pass_than_the_limit_leaves_room_for",),
    ),
    CodeGuard(
        "clearing: who worked on a refund while its money was cleared writes nothing",
        f"{P}/store/cards.py",
        "AND leases = $3 AND stands_in = $8 RETURNING true",
        "AND leases = $3 AND $8::text IS NOT NULL RETURNING true",
        (f"{T}/test_clearing.py::test_a_refund_that_fails_after_its_payment_was_cleared_is_spendable",),
    ),
    CodeGuard(
        "clearing: it waits for the hold of a refund that was asked for",
        f"{P}/service/card_effects.py",
        "frozenset({OperationState.REQUESTED, OperationState.FAILED, OperationState.REVERSING})",
        "frozenset({OperationState.FAILED, OperationState.REVERSING})",
        (
            f"{T}/test_clearing.py::test_a_refund_whose_hold_was_not_heard_of_before_its_payment_was_cleared_goes_on",
        ),
    ),
    CodeGuard(
        "clearing: what waited for a refund is cleared once that is held or refused",
        f"{P}/service/card_effects.py",
        "    {OperationState.RESERVED, OperationState.REFUSED, OperationState.RELEASED, OperationState.REVERSED}\n",
        "    {OperationState.RESERVED, OperationState.RELEASED, OperationState.REVERSED}\n",
        (f"{T}/test_clearing.py::test_a_refund_that_is_refused_lets_its_payment_clear",),
    ),
    CodeGuard(
        "clearing: it waits for what a failed refund gives back",
        f"{P}/service/card_effects.py",
        "frozenset({OperationState.REQUESTED, OperationState.FAILED, OperationState.REVERSING})",
        "frozenset({OperationState.REQUESTED, OperationState.REVERSING})",
        (f"{T}/test_clearing.py::test_nothing_is_cleared_before_the_ledger_has_given_a_failed_refund_back",),
    ),
    CodeGuard(
        "lies: what has not been sent goes on, whatever is said of it",
        f"{P}/service/cards.py",
        "        due_at = self._due_at(operation, now)  # what has not been sent",
        "        due_at = None  # what has not been sent",
        (f"{T}/test_refunds.py::test_a_lie_about_what_was_not_sent_yet_stops_nothing",),
    ),
    CodeGuard(
        "card money first: a refund that is only asked for does not count",
        f"{P}/store/cards.py",
        "p.captured - p.refunding + asked.amount",
        "p.captured - p.refunding + 0 * asked.amount",
        (f"{T}/test_clearing.py::test_a_refund_that_is_only_asked_for_takes_no_card_money_out_of_the_way",),
    ),
    CodeGuard(
        "linked deposits: of two booked at once the second knows of the first",
        f"{P}/service/cases.py",
        "    await cases.one_sum_at_a_time(player)\n",
        "",
        (f"{T}/test_aml_races.py::test_two_deposits_booked_at_once_add_up",),
    ),
    CodeGuard(
        "limits: a transfer that is about to be booked counts",
        f"{P}/store/cards.py",
        "(state = 'ATTESTED' OR booked_at >= $2)",
        "booked_at >= $2",
        (
            f"{T}/test_aml_races.py::test_a_transfer_that_is_about_to_be_booked_leaves_that_much_less_for_a_card",
        ),
    ),
    CodeGuard(
        "limits: a transfer is not booked on top of a card that is on its way",
        f"{P}/service/booking.py",
        "            if (forbidden := await self._on_top_of_cards(deposit)) is not None:",
        "            if (forbidden := await self._on_top_of_cards(deposit) and None) is not None:",
        (f"{T}/test_card_limits.py::test_a_transfer_is_not_booked_on_top_of_a_card_that_is_on_its_way",),
    ),
    CodeGuard(
        "limits: a transfer waits for whoever looks at a card of its player",
        f"{P}/service/booking.py",
        "            await cards.one_at_a_time(deposit.player)\n",
        "",
        (f"{T}/test_card_limits.py::test_a_transfer_waits_for_whoever_looks_at_a_card_of_its_player",),
    ),
    CodeGuard(
        "four eyes: nobody approves what they have not seen",
        f"{P}/domain/cases.py",
        "    if (case.proposal, case.decision, case.target) != (seen.number, seen.decision, seen.player):",
        "    if (case.decision, case.target) != (seen.decision, seen.player):",
        (f"{T}/test_proposals.py::test_what_was_proposed_anew_is_looked_at_anew",),
    ),
    CodeGuard(
        "people: nobody says what became of an order that the rail answers for",
        f"{P}/service/cashier.py",
        "        if case.decision in OUTCOMES and before.attention is None:",
        "        if False:",
        (
            f"{T}/test_last_look.py::test_nobody_says_of_an_order_that_is_only_not_answered_yet_what_became_of_it",
        ),
    ),
    CodeGuard(
        "returns: one that came too early is read again",
        f"{P}/service/arrivals.py",
        "        if None not in noted:",
        "        if True:",
        (f"{T}/test_suspense.py::test_a_withdrawal_sent_back_before_it_was_booked_out_is_the_players_again",),
    ),
    CodeGuard(
        "bank account: an amount that differs",
        f"{P}/domain/bank_account.py",
        "    elif ours[0].amount != theirs[0].amount:",
        "    elif False:",
        (f"{T}/test_bank_account.py::test_an_amount_that_differs_and_an_entry_twice_are_found",),
    ),
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

DATABASE = (
    DatabaseGuard(
        "unique receipt: it is spent once",
        "ledger",
        "ALTER TABLE receipt_use DROP CONSTRAINT receipt_is_spent_once",
        "ALTER TABLE receipt_use ADD CONSTRAINT receipt_is_spent_once PRIMARY KEY (receipt_id)",
        ("services/ledger/tests/test_receipt_attacks.py",),
    ),
    DatabaseGuard(
        "unique receipt: a transfer is attested once",
        "ledger",
        "DROP INDEX receipt_tracking_key_is_unique",
        "CREATE UNIQUE INDEX receipt_tracking_key_is_unique ON receipt (ledger_id, rail, tracking_key) WHERE origin IS NULL",
        ("services/ledger/tests/test_receipt_attacks.py",),
    ),
    DatabaseGuard(
        "unique receipt: a document backs one deposit",
        "payments",
        "ALTER TABLE attestation DROP CONSTRAINT attestation_document_is_unique",
        "ALTER TABLE attestation ADD CONSTRAINT attestation_document_is_unique UNIQUE (rail, document_sha256)",
        (f"{T}/test_attacks.py::test_the_same_document_backs_one_deposit",),
    ),
    DatabaseGuard(
        "rank: the database takes no payment back",
        "payments",
        "ALTER TABLE card_payment DISABLE TRIGGER card_payment_keeps_its_rank",
        "ALTER TABLE card_payment ENABLE TRIGGER card_payment_keeps_its_rank",
        (f"{T}/test_cards.py::test_no_payment_falls_back_in_the_database_either",),
    ),
    DatabaseGuard(
        "states: a withdrawal takes its steps alone",
        "payments",
        "ALTER TABLE withdrawal DISABLE TRIGGER withdrawal_follows_its_states",
        "ALTER TABLE withdrawal ENABLE TRIGGER withdrawal_follows_its_states",
        (f"{T}/test_attacks.py::test_no_step_but_these_can_be_written",),
    ),
    DatabaseGuard(
        "closed loop: money goes where it came from",
        "payments",
        "ALTER TABLE withdrawal DROP CONSTRAINT withdrawal_goes_where_money_came_from",
        "ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_goes_where_money_came_from FOREIGN KEY (player, clabe) "
        "REFERENCES payout_clabe",
        (f"{T}/test_withdrawals.py::test_money_goes_only_where_it_came_from",),
    ),
    DatabaseGuard(
        "four eyes: held by the database",
        "payments",
        "ALTER TABLE review_case DROP CONSTRAINT review_case_has_four_eyes",
        "ALTER TABLE review_case ADD CONSTRAINT review_case_has_four_eyes "
        "CHECK (NOT four_eyes OR decided_by IS NULL OR decided_by <> proposed_by)",
        (f"{T}/test_suspense.py::test_one_persons_word_is_not_enough",),
    ),
    DatabaseGuard(
        "proofs: each is about its subject alone",
        "payments",
        "ALTER TABLE proof DISABLE TRIGGER proof_is_about_its_subject",
        "ALTER TABLE proof ENABLE TRIGGER proof_is_about_its_subject",
        (f"{T}/test_forged_rows.py::test_a_proof_is_about_its_subject_alone",),
    ),
    DatabaseGuard(
        "proofs: people alone have one asked for again",
        "payments",
        "ALTER TABLE proof DISABLE TRIGGER proof_is_asked_again_by_people",
        "ALTER TABLE proof ENABLE TRIGGER proof_is_asked_again_by_people",
        (f"{T}/test_forged_rows.py::test_nobody_asks_again_for_what_conflicted_by_themselves",),
    ),
    DatabaseGuard(
        "four eyes: what is decided was proposed",
        "payments",
        "ALTER TABLE review_case DISABLE TRIGGER review_case_is_decided_as_proposed",
        "ALTER TABLE review_case ENABLE TRIGGER review_case_is_decided_as_proposed",
        (f"{T}/test_forged_rows.py::test_what_is_decided_is_what_was_proposed",),
    ),
    DatabaseGuard(
        "review: people alone let a withdrawal go",
        "payments",
        "ALTER TABLE withdrawal DISABLE TRIGGER withdrawal_is_approved_by_people",
        "ALTER TABLE withdrawal ENABLE TRIGGER withdrawal_is_approved_by_people",
        (f"{T}/test_forged_rows.py::test_nothing_goes_on_that_people_have_not_decided",),
    ),
    DatabaseGuard(
        "suspense: people alone let money out",
        "payments",
        "ALTER TABLE arrival DISABLE TRIGGER arrival_is_decided_by_people",
        "ALTER TABLE arrival ENABLE TRIGGER arrival_is_decided_by_people",
        (f"{T}/test_forged_rows.py::test_nothing_goes_on_that_people_have_not_decided",),
    ),
    DatabaseGuard(
        "limits: when something was booked stays",
        "payments",
        "ALTER TABLE deposit DISABLE TRIGGER deposit_booking_stays",
        "ALTER TABLE deposit ENABLE TRIGGER deposit_booking_stays",
        (f"{T}/test_forged_rows.py::test_what_is_booked_stays_and_takes_two_people",),
    ),
    DatabaseGuard(
        "captures stay within the authorization",
        "payments",
        "ALTER TABLE card_payment DROP CONSTRAINT card_payment_captures_no_more_than_authorized",
        "ALTER TABLE card_payment ADD CONSTRAINT card_payment_captures_no_more_than_authorized CHECK (capturing <= amount)",
        (f"{T}/test_cards.py::test_captures_in_parts_never_exceed_the_authorization",),
    ),
    DatabaseGuard(
        "a refund returns to its player alone",
        "ledger",
        "ALTER TABLE entry DISABLE TRIGGER refund_returns_to_its_player",
        "ALTER TABLE entry ENABLE TRIGGER refund_returns_to_its_player",
        (
            "services/ledger/tests/test_cards_and_suspense.py::test_the_database_too_gives_a_refund_back_to_nobody_else",
        ),
    ),
)
