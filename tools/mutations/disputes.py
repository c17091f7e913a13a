"""The guards of disputes in the books: what is due is booked once, and no more is taken of a player than was lost."""

from __future__ import annotations

from tools.mutations.guards import CodeGuard, DatabaseGuard, P, T

_GIVEN_UP = """
CREATE OR REPLACE FUNCTION payout_file_is_given_up() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM card_dispute d WHERE d.psp_id IN (SELECT l.dispute_id FROM payout_line l WHERE l.file_id = NEW.id)
      ORDER BY d.psp_id FOR UPDATE;
    IF (OLD.state, NEW.state) <> ('MATCHED', 'REJECTED')
       OR NOT EXISTS (SELECT FROM proof p WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', NEW.id, 'GIVEN_UP'))
       OR EXISTS (SELECT FROM payout_file later WHERE (later.carried_from, later.state) = (NEW.id, 'MATCHED'))
       OR EXISTS (SELECT FROM payout_line took JOIN payout_line back ON back.dispute_id = took.dispute_id
                   WHERE {} AND (took.file_id, took.kind, took.given_up) = (NEW.id, 'chargeback', false)
                     AND back.kind = 'chargeback_reversal' AND back.file_id <> NEW.id AND NOT back.given_up) THEN
        RAISE EXCEPTION 'settlement file %: it stands', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_file_is_given_up';
    END IF;
    UPDATE payout_line SET given_up = true WHERE file_id = NEW.id;
    RETURN NEW;
END $$
"""

CODE = (
    CodeGuard(
        "disputes: what the ledger may have booked of a recovery is asked for again, under its key",
        f"{P}/service/dispute_books.py",
        "        recovery = shortfall.asked\n",
        "        recovery = None\n",
        (f"{T}/test_dispute_books.py::test_an_answer_of_the_ledger_that_is_lost_is_asked_for_again",),
    ),
    CodeGuard(
        "disputes: no more is asked of a player than was lost",
        f"{P}/service/dispute_books.py",
        "            amount = min(shortfall.left, has)",
        "            amount = has",
        (f"{T}/test_dispute_books.py::test_lost_before_any_file_has_it_nothing_is_booked_until_one_does",),
    ),
)

DATABASE = (
    DatabaseGuard(
        "disputes: files and disputes alone say what is due",
        "payments",
        "ALTER TABLE dispute_entry DISABLE TRIGGER dispute_entry_is_due",
        "ALTER TABLE dispute_entry ENABLE TRIGGER dispute_entry_is_due",
        (f"{T}/test_dispute_books.py::test_in_the_database_too_files_and_disputes_alone_say_what_is_due",),
    ),
    DatabaseGuard(
        "disputes: no more is taken of a player than was lost",
        "payments",
        "ALTER TABLE dispute_recovery DISABLE TRIGGER dispute_recovers_no_more_than_lost",
        "ALTER TABLE dispute_recovery ENABLE TRIGGER dispute_recovers_no_more_than_lost",
        (f"{T}/test_dispute_books.py::test_in_the_database_too_files_and_disputes_alone_say_what_is_due",),
    ),
    DatabaseGuard(
        "files: one that took what a later one has given back stands",
        "payments",
        _GIVEN_UP.format("false"),
        _GIVEN_UP.format("true"),
        (f"{T}/test_conflicts.py::test_a_file_that_took_what_a_later_one_gave_back_is_not_given_up",),
    ),
)
