"""The guards of payments that its files, cases and conflicts end as they must."""

from __future__ import annotations

from tools.mutations.disputes import CODE as DISPUTES_CODE
from tools.mutations.disputes import DATABASE as DISPUTES
from tools.mutations.guards import CodeGuard, DatabaseGuard, P, T

_PEOPLE_DECIDE = """
CREATE OR REPLACE FUNCTION people_decide(about text, about_id uuid, what text, whose uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM review_case c
        WHERE (c.subject, c.subject_id, c.state, c.decision) = (about, about_id, 'DECIDED', what) AND {}
          AND c.target IS NOT DISTINCT FROM whose)
$$
"""

CODE = (
    *DISPUTES_CODE,
    CodeGuard(
        "decisions: what an order's rail knows by now is asked before people's word counts",
        f"{P}/service/cashier.py",
        "        await self._last_look.at(found, seen.decision)",
        "        pass",
        (f"{T}/test_last_look.py::test_an_order_that_turned_up_is_not_given_back_by_who_did_not_know",),
    ),
    CodeGuard(
        "withdrawals: what waited for its rail is reviewed again before it is sent",
        f"{P}/service/payouts.py",
        "            case WithdrawalState.RESERVED:\n                await self._review(withdrawal)",
        "            case WithdrawalState.RESERVED if withdrawal.tries:\n"
        "                approved = withdrawal.to(WithdrawalState.APPROVED)\n"
        '                await self._send(await self._save(withdrawal, approved, "approved"))\n'
        "            case WithdrawalState.RESERVED:\n                await self._review(withdrawal)",
        (f"{T}/test_review.py::test_what_waited_for_its_rail_is_reviewed_again_before_it_is_sent",),
    ),
    CodeGuard(
        "files: a dispute's line is counted once",
        f"{P}/domain/payout_files.py",
        "    if line.kind in counted:\n        return BreakClass.DUPLICATE",
        "    if False:\n        return BreakClass.DUPLICATE",
        (f"{T}/test_settlement_disputes.py::test_a_line_fits_its_dispute_or_is_a_break",),
    ),
    CodeGuard(
        "files: a dispute that a file alone tells of is known",
        f"{P}/service/settlements.py",
        "            await self._disputes.learn(dispute)",
        "            pass",
        (
            f"{T}/test_settlement_disputes.py::test_what_is_disputed_is_taken_and_given_back_once_whoever_tells",
        ),
    ),
    CodeGuard(
        "four eyes: identity is asked who may still",
        f"{P}/service/cashier.py",
        "            return {each: await self._people.cashier(each) for each in people}",
        "            return {by.id: by.proof} | ({} if case is None else {case.proposed_by or '': case.proposed_on})",
        (f"{T}/test_proposals.py::test_a_proposal_falls_with_who_made_it",),
    ),
    CodeGuard(
        "files: nothing is paid out below zero",
        f"{P}/domain/payout_files.py",
        "    return max(opening + gross - fees, ZERO) + fees",
        "    return opening + gross",
        (f"{T}/test_set_off.py::test_a_file_below_zero_is_booked_and_set_off_by_the_next",),
    ),
    CodeGuard(
        "files: one that opens with what no file left waits",
        f"{P}/service/settlements.py",
        "            if file.opening < ZERO and carried_from is None:",
        "            if False:",
        (f"{T}/test_set_off.py::test_a_file_that_opens_with_what_no_file_left_waits_for_that_one",),
    ),
    CodeGuard(
        "files: what is set off with nothing to book is settled",
        f"{P}/service/settlements.py",
        "            await card_effects.settle(conn, file_id, now)",
        "            pass",
        (f"{T}/test_set_off.py::test_what_is_set_off_to_the_last_centavo_needs_no_entry_and_is_spendable",),
    ),
    CodeGuard(
        "statement: a line that cannot be read takes no other with it",
        f"{P}/rail.py",
        "        except ValidationError as error:\n            bad.append",
        "        except ZeroDivisionError as error:\n            bad.append",
        (f"{T}/test_unreadable.py::test_a_line_that_cannot_be_read_is_told_of_once_and_holds_up_no_other",),
    ),
    CodeGuard(
        "statement: what cannot be read is read again until it can be",
        f"{P}/service/arrivals.py",
        "        waits = undecided or abonos.unreadable",
        "        waits = undecided",
        (f"{T}/test_unreadable.py::test_a_line_that_is_corrected_is_taken_however_late",),
    ),
    CodeGuard(
        "bank account: a statement with a line that cannot be read is not compared",
        f"{P}/rail.py",
        "        if lines.unreadable:\n            raise",
        "        if False:\n            raise",
        (
            f"{T}/test_unreadable.py::test_a_statement_that_cannot_be_read_is_not_reconciled_and_says_which_line_it_is",
        ),
    ),
    CodeGuard(
        "conflicts: closing the case of one ends what it is about",
        f"{P}/service/conflicts.py",
        "    await _end(conn, proof, now, person)",
        "    pass",
        (f"{T}/test_conflicts.py::test_a_transfer_on_which_the_sources_never_agree_is_rejected",),
    ),
    CodeGuard(
        "conflicts: what the attestor has given its word for is not given up",
        f"{P}/service/conflicts.py",
        "    if await store.has_word(receipt_id) and not known:",
        "    if False:",
        (f"{T}/test_conflicts.py::test_what_the_attestor_has_given_its_word_for_is_not_given_up",),
    ),
    CodeGuard(
        "conflicts: what people say has not come back is not noticed again",
        f"{P}/service/arrivals.py",
        "            if withdrawal.state is not WithdrawalState.BOOKED or await",
        "            if withdrawal.state is not WithdrawalState.BOOKED or False and await",
        (f"{T}/test_conflicts.py::test_a_withdrawal_that_did_not_come_back_is_paid_out",),
    ),
    CodeGuard(
        "name: the one that counts is the one identity knows at the claim",
        f"{P}/store/deposits.py",
        "FROM holder WHERE player = $1 AND asked_at >= $2",
        "FROM holder WHERE player = $1 AND ($2::timestamptz IS NOT NULL)",
        (f"{T}/test_holders.py::test_the_end_of_its_window_makes_no_old_name_count",),
    ),
    CodeGuard(
        "name: no claim is looked at before it is known",
        f"{P}/store/deposits.py",
        "h.player = d.player AND h.asked_at >= d.claimed_at))\n                         ORDER",
        "h.player = d.player OR h.asked_at >= d.claimed_at))\n                         ORDER",
        (f"{T}/test_holders.py::test_a_claim_is_not_looked_at_before_its_players_name_is_known",),
    ),
    CodeGuard(
        "name: one whom identity fails for is left alone",
        f"{P}/service/holders.py",
        "            self._left_alone[player] = self._clock() + REST",
        "            self._left_alone.pop(player)",
        (f"{T}/test_holders.py::test_one_whom_identity_fails_for_holds_up_nobody",),
    ),
    CodeGuard(
        "name: who has left is who they were",
        f"{P}/service/holders.py",
        "                known = await DepositStore(conn).leave_holder(player, now)",
        "                known = True",
        (f"{T}/test_holders.py::test_who_has_left_is_who_they_were",),
    ),
    CodeGuard(
        "disputes: one is opened once, however often it is told of",
        f"{P}/service/disputes.py",
        "    if known is None:",
        "    if True:",
        (
            f"{T}/test_disputes.py::test_a_dispute_counts_once_though_its_case_was_closed_before_it_is_told_of_again",
        ),
    ),
    CodeGuard(
        "disputes: the list is read to its end",
        f"{P}/service/disputes.py",
        "            after = ids[-1]",
        "            break",
        (
            f"{T}/test_disputes_listed.py::test_one_that_cannot_be_had_holds_up_no_other_and_is_asked_for_again",
        ),
    ),
    CodeGuard(
        "disputes: one that could not be had is asked for again",
        f"{P}/service/disputes.py",
        "            raise silence\n",
        "            log.info(str(silence))\n",
        (
            f"{T}/test_disputes_listed.py::test_one_that_cannot_be_had_holds_up_no_other_and_is_asked_for_again",
        ),
    ),
    CodeGuard(
        "disputes: one whose webhook never comes is known all the same",
        f"{P}/service/disputes.py",
        '        await self.hear(told, by="list")',
        "        log.info(told.psp_id)",
        (f"{T}/test_disputes_listed.py::test_one_whose_webhook_never_comes_is_known_all_the_same",),
    ),
    CodeGuard(
        "disputes: what the provider takes back is a case once",
        f"{P}/service/disputes.py",
        "now, once=True,",
        "now,",
        (f"{T}/test_disputes_listed.py::test_what_the_provider_takes_back_is_a_case_once",),
    ),
    CodeGuard(
        "disputes: how one has ended is not taken back by what is told later",
        f"{P}/service/disputes.py",
        "    if known is DisputeState.OPEN:",
        "    if True:",
        (f"{T}/test_disputes.py::test_how_it_ended_is_not_taken_back",),
    ),
    CodeGuard(
        "suspense: what comes back after its return was booked is in suspense again",
        f"{P}/service/arrivals.py",
        "        return await self._to_suspense(conn, again)",
        "        return bool(again)",
        (f"{T}/test_came_back.py::test_what_comes_back_after_its_return_was_booked_is_in_suspense_again",),
    ),
    CodeGuard(
        "suspense: what comes back is looked up at both sources",
        f"{P}/service/witness.py",
        "        agreed = order.status is cep.status and order.status in wanted",
        "        agreed = True",
        (f"{T}/test_came_back.py::test_what_comes_back_needs_both_sources",),
    ),
)

DATABASE = (
    *DISPUTES,
    DatabaseGuard(
        "files: a dispute gives back no more than it took, and once it is won",
        "payments",
        "ALTER TABLE payout_line DISABLE TRIGGER payout_line_is_of_its_dispute",
        "ALTER TABLE payout_line ENABLE TRIGGER payout_line_is_of_its_dispute",
        (f"{T}/test_settlement_disputes.py::test_in_the_database_too_no_more_is_given_back_than_was_taken",),
    ),
    DatabaseGuard(
        "four eyes: a decision serves once",
        "payments",
        _PEOPLE_DECIDE.format("true"),
        _PEOPLE_DECIDE.format("c.decided_in = pg_current_xact_id()"),
        (f"{T}/test_proposals.py::test_a_decision_serves_once",),
    ),
    DatabaseGuard(
        "four eyes: whose proposer is not confirmed is not decided",
        "payments",
        "ALTER TABLE review_case DISABLE TRIGGER review_case_is_decided_as_proposed",
        "ALTER TABLE review_case ENABLE TRIGGER review_case_is_decided_as_proposed",
        (f"{T}/test_proposals.py::test_the_database_decides_nothing_of_who_is_not_confirmed",),
    ),
    DatabaseGuard(
        "files: one opens with what another has left",
        "payments",
        "ALTER TABLE payout_file DROP CONSTRAINT payout_file_opens_with_what_one_left",
        "ALTER TABLE payout_file ADD CONSTRAINT payout_file_opens_with_what_one_left "
        "FOREIGN KEY (carried_from, psp, opening) REFERENCES payout_file (id, psp, closing)",
        (f"{T}/test_set_off.py::test_in_the_database_too_a_file_opens_with_what_one_file_has_left",),
    ),
    DatabaseGuard(
        "files: what one has left is set off once",
        "payments",
        "DROP INDEX payout_file_is_set_off_once",
        "CREATE UNIQUE INDEX payout_file_is_set_off_once ON payout_file (carried_from) "
        "WHERE carried_from IS NOT NULL AND state = 'MATCHED'",
        (f"{T}/test_set_off.py::test_in_the_database_too_a_file_opens_with_what_one_file_has_left",),
    ),
    DatabaseGuard(
        "suspense: nothing comes back that did not go out",
        "payments",
        "ALTER TABLE arrival DISABLE TRIGGER arrival_went_out_before",
        "ALTER TABLE arrival ENABLE TRIGGER arrival_went_out_before",
        (f"{T}/test_came_back.py::test_in_the_database_too_nothing_comes_back_that_did_not_go_out",),
    ),
    DatabaseGuard(
        "conflicts: what a proof is about moves back only when that is given up",
        "payments",
        "ALTER TABLE arrival DISABLE TRIGGER arrival_follows_its_proof",
        "ALTER TABLE arrival ENABLE TRIGGER arrival_follows_its_proof",
        (f"{T}/test_conflicts.py::test_nothing_goes_back_that_nobody_has_given_up",),
    ),
    DatabaseGuard(
        "conflicts: a withdrawal is paid out again only when its return is given up",
        "payments",
        "ALTER TABLE withdrawal DISABLE TRIGGER withdrawal_follows_its_proof",
        "ALTER TABLE withdrawal ENABLE TRIGGER withdrawal_follows_its_proof",
        (f"{T}/test_conflicts.py::test_nothing_goes_back_that_nobody_has_given_up",),
    ),
    DatabaseGuard(
        "conflicts: a settlement file stands until it is given up",
        "payments",
        "ALTER TABLE payout_file DISABLE TRIGGER payout_file_is_given_up",
        "ALTER TABLE payout_file ENABLE TRIGGER payout_file_is_given_up",
        (f"{T}/test_conflicts.py::test_nothing_goes_back_that_nobody_has_given_up",),
    ),
    DatabaseGuard(
        "quarantine: people alone reject a deposit",
        "payments",
        "ALTER TABLE deposit DISABLE TRIGGER deposit_leaves_quarantine_as_decided",
        "ALTER TABLE deposit ENABLE TRIGGER deposit_leaves_quarantine_as_decided",
        (f"{T}/test_quarantine.py::test_a_deposit_leaves_quarantine_only_as_people_have_decided",),
    ),
    DatabaseGuard(
        "quarantine: why it is there stays",
        "payments",
        "ALTER TABLE deposit DISABLE TRIGGER deposit_quarantine_reason_stays",
        "ALTER TABLE deposit ENABLE TRIGGER deposit_quarantine_reason_stays",
        (f"{T}/test_quarantine.py::test_a_deposit_goes_to_suspense_only_as_people_have_decided",),
    ),
    DatabaseGuard(
        "quarantine: people alone send a deposit to suspense",
        "payments",
        "ALTER TABLE arrival DISABLE TRIGGER arrival_is_taken_as_decided",
        "ALTER TABLE arrival ENABLE TRIGGER arrival_is_taken_as_decided",
        (f"{T}/test_quarantine.py::test_a_deposit_goes_to_suspense_only_as_people_have_decided",),
    ),
    DatabaseGuard(
        "disputes: what is disputed is the sum of the disputes that are not won",
        "payments",
        "ALTER TABLE card_dispute DISABLE TRIGGER card_payment_disputes_add_up",
        "ALTER TABLE card_dispute ENABLE TRIGGER card_payment_disputes_add_up",
        (f"{T}/test_disputes.py::test_what_is_won_can_be_refunded_again",),
    ),
    DatabaseGuard(
        "disputes: each holds what is left, and is about its operation",
        "payments",
        "ALTER TABLE card_dispute DISABLE TRIGGER card_dispute_is_opened",
        "ALTER TABLE card_dispute ENABLE TRIGGER card_dispute_is_opened",
        (f"{T}/test_disputes.py::test_disputes_never_hold_more_than_what_is_left",),
    ),
    DatabaseGuard(
        "disputes: how one has ended stays",
        "payments",
        "ALTER TABLE card_dispute DISABLE TRIGGER card_dispute_ends_once",
        "ALTER TABLE card_dispute ENABLE TRIGGER card_dispute_ends_once",
        (f"{T}/test_disputes.py::test_the_sums_are_the_databases",),
    ),
    DatabaseGuard(
        "files: a capture is settled by its file",
        "payments",
        "ALTER TABLE card_operation DISABLE TRIGGER card_operation_is_settled_by_its_file",
        "ALTER TABLE card_operation ENABLE TRIGGER card_operation_is_settled_by_its_file",
        (f"{T}/test_set_off.py::test_in_the_database_too_a_capture_is_settled_by_a_file_alone",),
    ),
)
