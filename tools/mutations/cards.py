"""Guards of card payments: webhooks, what is asked for, clearing, limits."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard, P, T

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
        "query, not resend: an operation without an answer is asked for",
        f"{P}/service/cards.py",
        "            case OperationState.UNKNOWN | OperationState.PENDING | OperationState.BOOKED:\n"
        "                await self._ask(operation)",
        "            case OperationState.UNKNOWN | OperationState.PENDING | OperationState.BOOKED:\n"
        "                await self._send(operation)",
        (f"{T}/test_card_answers.py::test_nothing_is_sent_twice_to_a_provider_that_ignores_keys",),
    ),
    CodeGuard(
        "the window: absence counts only after it",
        f"{P}/domain/cards.py",
        "    if now < operation.sent_at + window:\n        return StayPut()",
        "",
        (f"{T}/test_card_answers.py::test_absence_counts_only_after_the_window",),
    ),
    CodeGuard(
        "lease: who lost it writes nothing",
        f"{P}/store/cards.py",
        "WHERE id = $1 AND state = $2 AND leases = $3 AND stands_in",
        "WHERE id = $1 AND ($2::text, $3::bigint) IS NOT NULL AND stands_in",
        (f"{T}/test_card_answers.py::test_sixteen_workers_with_one_lease_send_once",),
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
        "limits: a transfer that is about to be booked counts",
        f"{P}/store/cards.py",
        "(state = 'ATTESTED' OR booked_at >= $2)",
        "booked_at >= $2",
        (
            f"{T}/test_aml_races.py::test_a_transfer_that_is_about_to_be_booked_leaves_that_much_less_for_a_card",
        ),
    ),
)

DATABASE = (
    DatabaseGuard(
        "rank: the database takes no payment back",
        "payments",
        "ALTER TABLE card_payment DISABLE TRIGGER card_payment_keeps_its_rank",
        "ALTER TABLE card_payment ENABLE TRIGGER card_payment_keeps_its_rank",
        (f"{T}/test_cards.py::test_no_payment_falls_back_in_the_database_either",),
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
