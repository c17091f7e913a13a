-- migrate:up
-- A proposal has a number, counted here: whoever approves names the one they have looked at. And it carries the number of what its
-- proposer's session stood on: it is approved only while identity names the same one for them, as a cashier (ADR 0053, 0092). What
-- was proposed before there were these numbers is proposed anew.
ALTER TABLE review_case ADD COLUMN proposal integer NOT NULL DEFAULT 0;
ALTER TABLE review_case ADD COLUMN proposed_on bigint;
ALTER TABLE review_case ADD COLUMN confirmed_on bigint;
ALTER TABLE review_case ADD COLUMN decided_in xid8;

CREATE FUNCTION review_case_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'PROPOSED' THEN
        NEW.proposal := OLD.proposal + 1;
    ELSIF NEW.state = 'DECIDED' THEN
        NEW.decided_in := pg_current_xact_id();
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER review_case_is_counted BEFORE UPDATE ON review_case
    FOR EACH ROW EXECUTE FUNCTION review_case_is_counted();

CREATE OR REPLACE FUNCTION review_case_is_decided_as_proposed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'DECIDED' AND OLD.state <> 'DECIDED' AND (OLD.state <> 'PROPOSED'
            OR (OLD.decision, OLD.target, OLD.note, OLD.proposed_by, OLD.proposed_on)
                IS DISTINCT FROM (NEW.decision, NEW.target, NEW.note, NEW.proposed_by, NEW.proposed_on)) THEN
        RAISE EXCEPTION 'case %: that was not proposed', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_as_proposed';
    END IF;
    IF NEW.state = 'DECIDED' AND NEW.four_eyes AND (NEW.proposed_on IS NULL OR NEW.proposed_on IS DISTINCT FROM NEW.confirmed_on) THEN
        RAISE EXCEPTION 'case %: whoever proposed it is not who they were', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_proposer_still_may';
    END IF;
    RETURN NEW;
END $$;

-- What is decided happens in the transaction that decides it, so no decision lies ready for later, nor serves a second time:
-- money that came back to suspense, what conflicts anew, is decided on anew.
CREATE FUNCTION people_decide(about text, about_id uuid, what text, whose uuid DEFAULT NULL) RETURNS boolean
    LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM review_case c
        WHERE (c.subject, c.subject_id, c.state, c.decision, c.decided_in) = (about, about_id, 'DECIDED', what, pg_current_xact_id())
          AND c.target IS NOT DISTINCT FROM whose)
$$;
GRANT EXECUTE ON FUNCTION review_case_is_counted(), people_decide(text, uuid, text, uuid) TO payments_app;

CREATE OR REPLACE FUNCTION withdrawal_is_approved_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM review_case c WHERE (c.subject, c.subject_id) = ('withdrawal', NEW.id) AND c.state <> 'DECIDED')
       OR OLD.state = 'REVIEW' AND NOT people_decide('withdrawal', NEW.id, 'approve') THEN
        RAISE EXCEPTION 'withdrawal %: nobody has approved it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_is_approved_by_people';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION arrival_is_decided_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'SUSPENDED' AND NEW.state <> 'SUSPENDED' AND NOT (
            NEW.state = 'ASSIGNING' AND people_decide('arrival', NEW.id, 'assign', NEW.player)
            OR NEW.state = 'RETURN_SENDING' AND people_decide('arrival', NEW.id, 'return')) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_decided_by_people';
    END IF;
    IF OLD.state <> 'SUSPENDED' AND (OLD.return_clave, OLD.player) IS DISTINCT FROM (NEW.return_clave, NEW.player) THEN
        RAISE EXCEPTION 'arrival %: its clave and its player stay', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_return_clave_stays';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION deposit_leaves_quarantine_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM arrival a WHERE (a.deposit_id, a.state) = (NEW.id, NEW.state))
       AND NOT (NEW.state = 'REJECTED' AND people_decide('deposit', NEW.id, 'reject')) THEN
        RAISE EXCEPTION 'deposit %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_leaves_quarantine_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION arrival_is_taken_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM deposit d
            WHERE (d.id, d.state, d.tracking_key) = (NEW.deposit_id, 'QUARANTINED', NEW.tracking_key)
              AND (d.reason IN ('name-differs', 'document-differs', 'limit-exceeded', 'player-blocked')
                   OR people_decide('deposit', d.id, 'suspend'))) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided to take it from its deposit', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_taken_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION proof_is_asked_again_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT people_decide('proof', NEW.receipt_id, CASE NEW.state WHEN 'GIVEN_UP' THEN 'close' ELSE 'ask-again' END) THEN
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

GRANT UPDATE (proposed_on, confirmed_on) ON review_case TO payments_app;

-- migrate:down
REVOKE UPDATE (proposed_on, confirmed_on) ON review_case FROM payments_app;
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

CREATE OR REPLACE FUNCTION arrival_is_taken_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM deposit d
            WHERE (d.id, d.state, d.tracking_key) = (NEW.deposit_id, 'QUARANTINED', NEW.tracking_key)
              AND (d.reason IN ('name-differs', 'document-differs', 'limit-exceeded', 'player-blocked')
                   OR EXISTS (SELECT FROM review_case c
                        WHERE (c.subject, c.subject_id, c.state, c.decision) = ('deposit', d.id, 'DECIDED', 'suspend')))) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided to take it from its deposit', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_taken_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION deposit_leaves_quarantine_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM arrival a WHERE (a.deposit_id, a.state) = (NEW.id, NEW.state))
       AND NOT (NEW.state = 'REJECTED' AND EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('deposit', NEW.id, 'DECIDED', 'reject'))) THEN
        RAISE EXCEPTION 'deposit %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_leaves_quarantine_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION arrival_is_decided_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'SUSPENDED' AND NEW.state <> 'SUSPENDED' AND NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state) = ('arrival', NEW.id, 'DECIDED')
              AND (c.decision = 'assign' AND NEW.state = 'ASSIGNING' AND c.target = NEW.player
                   OR c.decision = 'return' AND NEW.state = 'RETURN_SENDING')) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_decided_by_people';
    END IF;
    IF OLD.state <> 'SUSPENDED' AND (OLD.return_clave, OLD.player) IS DISTINCT FROM (NEW.return_clave, NEW.player) THEN
        RAISE EXCEPTION 'arrival %: its clave and its player stay', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_return_clave_stays';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION withdrawal_is_approved_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM review_case c WHERE (c.subject, c.subject_id) = ('withdrawal', NEW.id) AND c.state <> 'DECIDED')
       OR OLD.state = 'REVIEW' AND NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('withdrawal', NEW.id, 'DECIDED', 'approve')) THEN
        RAISE EXCEPTION 'withdrawal %: nobody has approved it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_is_approved_by_people';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION review_case_is_decided_as_proposed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'DECIDED' AND OLD.state <> 'DECIDED' AND (OLD.state <> 'PROPOSED'
            OR (OLD.decision, OLD.target, OLD.note, OLD.proposed_by)
                IS DISTINCT FROM (NEW.decision, NEW.target, NEW.note, NEW.proposed_by)) THEN
        RAISE EXCEPTION 'case %: that was not proposed', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_as_proposed';
    END IF;
    RETURN NEW;
END $$;
DROP FUNCTION people_decide(text, uuid, text, uuid);
DROP TRIGGER review_case_is_counted ON review_case;
DROP FUNCTION review_case_is_counted();
ALTER TABLE review_case DROP COLUMN decided_in;
ALTER TABLE review_case DROP COLUMN confirmed_on;
ALTER TABLE review_case DROP COLUMN proposed_on;
ALTER TABLE review_case DROP COLUMN proposal;
