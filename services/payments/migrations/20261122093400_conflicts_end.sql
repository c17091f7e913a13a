-- migrate:up
-- Where two sources never come to agree, people end what was asked for: it is given up, and its subject is where it was before
-- that was asked, or ended. What the attestor has given its word for is not given up (it is asked for again), unless the ledger
-- has that money by another receipt.
-- squawk-ignore ban-drop-constraint
ALTER TABLE proof DROP CONSTRAINT proof_state_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE proof ADD CONSTRAINT proof_state_is_known
    CHECK (state IN ('ASKED', 'ATTESTED', 'BOOKED', 'CONFLICTED', 'GIVEN_UP'));
INSERT INTO proof_step (before, after, actor) VALUES
    ('CONFLICTED', 'GIVEN_UP', 'payments_app'), ('GIVEN_UP', 'ASKED', 'payments_app');
CREATE OR REPLACE FUNCTION proof_is_asked_again_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state) = ('proof', NEW.receipt_id, 'DECIDED')
              AND c.decision = CASE NEW.state WHEN 'GIVEN_UP' THEN 'close' ELSE 'ask-again' END) THEN
        RAISE EXCEPTION 'proof %: nobody has decided that', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_asked_again_by_people';
    END IF;
    IF NEW.state = 'GIVEN_UP' AND EXISTS (SELECT FROM proof_word w WHERE w.receipt_id = NEW.receipt_id)
            AND NOT (NEW.purpose = 'deposit.suspense' AND NEW.reason IN
                ('receipt-spent', 'receipt-duplicate-tracking-key', 'receipt-duplicate-document')) THEN
        RAISE EXCEPTION 'proof %: its word is given', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_with_a_word_is_not_given_up';
    END IF;
    RETURN NEW;
END $$;
-- Asked anew, as its subject stands then; and for whom people have assigned it to by now. No role writes a proof's account.
CREATE FUNCTION proof_account_follows_its_player() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT 'players/' || a.player || '/available' INTO NEW.account FROM arrival a WHERE a.id = NEW.subject_id;
    RETURN NEW;
END $$;
CREATE TRIGGER proof_account_follows_its_player BEFORE UPDATE OF state ON proof
    FOR EACH ROW WHEN (OLD.state = 'GIVEN_UP' AND NEW.state = 'ASKED' AND NEW.purpose = 'suspense.assign')
    EXECUTE FUNCTION proof_account_follows_its_player();
DROP TRIGGER proof_is_still_about_its_subject ON proof;
CREATE TRIGGER proof_is_still_about_its_subject BEFORE UPDATE OF state ON proof
    FOR EACH ROW WHEN (OLD.state IN ('CONFLICTED', 'GIVEN_UP') AND NEW.state IN ('ASKED', 'ATTESTED'))
    EXECUTE FUNCTION proof_is_about_its_subject();
-- squawk-ignore ban-drop-constraint
ALTER TABLE proof DROP CONSTRAINT proof_origin_is_decided_once;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX proof_origin_is_decided_once ON proof (origin) WHERE state <> 'GIVEN_UP';

-- Money that came in or not, by people's word: an arrival that is none ends; one that was to be assigned or returned is in
-- suspense still, to be decided on anew.
-- squawk-ignore ban-drop-constraint
ALTER TABLE arrival DROP CONSTRAINT arrival_state_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE arrival ADD CONSTRAINT arrival_state_is_known CHECK (state IN (
    'NOTED', 'SUSPENDED', 'ASSIGNING', 'ASSIGNED', 'RETURN_SENDING', 'RETURN_UNKNOWN', 'RETURN_SENT', 'RETURNING',
    'RETURNED', 'QUARANTINED', 'REJECTED'));
INSERT INTO arrival_step (before, after) VALUES
    ('QUARANTINED', 'REJECTED'), ('ASSIGNING', 'SUSPENDED'), ('RETURNING', 'SUSPENDED');
INSERT INTO withdrawal_step (before, after) VALUES ('RETURNING', 'BOOKED');
CREATE FUNCTION subject_follows_its_proof() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM proof p WHERE (p.subject_id, p.state) = (NEW.id, 'GIVEN_UP')
            AND p.purpose = CASE WHEN TG_TABLE_NAME = 'withdrawal' THEN 'withdrawal.returned'
                                 WHEN OLD.state = 'QUARANTINED' THEN 'deposit.suspense'
                                 WHEN OLD.state = 'ASSIGNING' THEN 'suspense.assign' ELSE 'suspense.return' END) THEN
        RAISE EXCEPTION '% %: its proof is not given up', TG_TABLE_NAME, NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER arrival_follows_its_proof BEFORE UPDATE OF state ON arrival
    FOR EACH ROW WHEN (NEW.state = 'REJECTED' AND OLD.state <> 'REJECTED'
        OR NEW.state = 'SUSPENDED' AND OLD.state IN ('ASSIGNING', 'RETURNING'))
    EXECUTE FUNCTION subject_follows_its_proof();
CREATE TRIGGER withdrawal_follows_its_proof BEFORE UPDATE OF state ON withdrawal
    FOR EACH ROW WHEN (NEW.state = 'BOOKED' AND OLD.state = 'RETURNING')
    EXECUTE FUNCTION subject_follows_its_proof();

-- A settlement file that nobody attests is given up as a whole: its lines count no more, and another file may have them.
ALTER TABLE payout_line ADD COLUMN given_up boolean NOT NULL DEFAULT false;
DROP TRIGGER payout_line_is_append_only ON payout_line;
CREATE TRIGGER payout_line_is_append_only BEFORE DELETE OR TRUNCATE ON payout_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
DROP TRIGGER payout_file_is_append_only ON payout_file;
CREATE TRIGGER payout_file_is_append_only BEFORE DELETE OR TRUNCATE ON payout_file
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX payout_line_settles_once;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX payout_line_settles_once ON payout_line (operation_id, kind) WHERE operation_id IS NOT NULL AND NOT given_up;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX payout_file_is_set_off_once;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX payout_file_is_set_off_once ON payout_file (carried_from) WHERE carried_from IS NOT NULL AND state = 'MATCHED';
CREATE FUNCTION payout_file_is_given_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.state, NEW.state) <> ('MATCHED', 'REJECTED')
       OR NOT EXISTS (SELECT FROM proof p WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', NEW.id, 'GIVEN_UP'))
       OR EXISTS (SELECT FROM payout_file later WHERE (later.carried_from, later.state) = (NEW.id, 'MATCHED')) THEN
        RAISE EXCEPTION 'settlement file %: it stands', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_file_is_given_up';
    END IF;
    UPDATE payout_line SET given_up = true WHERE file_id = NEW.id;
    RETURN NEW;
END $$;
CREATE TRIGGER payout_file_is_given_up BEFORE UPDATE ON payout_file
    FOR EACH ROW EXECUTE FUNCTION payout_file_is_given_up();
GRANT UPDATE (state, reason) ON payout_file TO payments_app;

-- migrate:down
REVOKE UPDATE (state, reason) ON payout_file FROM payments_app;
DROP TRIGGER payout_file_is_given_up ON payout_file;
DROP FUNCTION payout_file_is_given_up();
DROP INDEX payout_file_is_set_off_once;
CREATE UNIQUE INDEX payout_file_is_set_off_once ON payout_file (carried_from) WHERE carried_from IS NOT NULL;
DROP INDEX payout_line_settles_once;
CREATE UNIQUE INDEX payout_line_settles_once ON payout_line (operation_id, kind) WHERE operation_id IS NOT NULL;
DROP TRIGGER payout_file_is_append_only ON payout_file;
CREATE TRIGGER payout_file_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_file
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
DROP TRIGGER payout_line_is_append_only ON payout_line;
CREATE TRIGGER payout_line_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
ALTER TABLE payout_line DROP COLUMN given_up;
DROP TRIGGER withdrawal_follows_its_proof ON withdrawal;
DROP TRIGGER arrival_follows_its_proof ON arrival;
DROP FUNCTION subject_follows_its_proof();
DELETE FROM withdrawal_step WHERE before = 'RETURNING' AND after = 'BOOKED';
DELETE FROM arrival_step WHERE after = 'REJECTED' OR before IN ('ASSIGNING', 'RETURNING') AND after = 'SUSPENDED';
ALTER TABLE arrival DROP CONSTRAINT arrival_state_is_known;
ALTER TABLE arrival ADD CONSTRAINT arrival_state_is_known CHECK (state IN (
    'NOTED', 'SUSPENDED', 'ASSIGNING', 'ASSIGNED', 'RETURN_SENDING', 'RETURN_UNKNOWN', 'RETURN_SENT', 'RETURNING',
    'RETURNED', 'QUARANTINED'));
DROP INDEX proof_origin_is_decided_once;
ALTER TABLE proof ADD CONSTRAINT proof_origin_is_decided_once UNIQUE (origin);
DROP TRIGGER proof_account_follows_its_player ON proof;
DROP FUNCTION proof_account_follows_its_player();
DROP TRIGGER proof_is_still_about_its_subject ON proof;
CREATE TRIGGER proof_is_still_about_its_subject BEFORE UPDATE OF state ON proof
    FOR EACH ROW WHEN (OLD.state = 'CONFLICTED' AND NEW.state <> 'CONFLICTED')
    EXECUTE FUNCTION proof_is_about_its_subject();
CREATE OR REPLACE FUNCTION proof_is_asked_again_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('proof', NEW.receipt_id, 'DECIDED', 'ask-again')) THEN
        RAISE EXCEPTION 'proof %: nobody has decided that', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_asked_again_by_people';
    END IF;
    RETURN NEW;
END $$;
DELETE FROM proof_step WHERE 'GIVEN_UP' IN (before, after);
ALTER TABLE proof DROP CONSTRAINT proof_state_is_known;
ALTER TABLE proof ADD CONSTRAINT proof_state_is_known CHECK (state IN ('ASKED', 'ATTESTED', 'BOOKED', 'CONFLICTED'));
