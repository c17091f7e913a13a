-- migrate:up
-- What two sources contradicted may only have been a source that was late. People have it looked at again: by the attestor, or,
-- what it has given its word for, by the ledger. Its subject must still be where it was.
INSERT INTO proof_step (before, after, actor) VALUES
    ('CONFLICTED', 'ASKED', 'payments_app'), ('CONFLICTED', 'ATTESTED', 'payments_app');
INSERT INTO arrival_step (before, after) VALUES ('QUARANTINED', 'NOTED');
CREATE OR REPLACE FUNCTION proof_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM proof_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'proof %: % may not take it from "%" to "%"', NEW.receipt_id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_follows_its_states';
    END IF;
    IF coming_from <> 'ATTESTED' AND NEW.state = 'ATTESTED'
            AND NOT EXISTS (SELECT FROM proof_word WHERE receipt_id = NEW.receipt_id) THEN
        RAISE EXCEPTION 'proof %: nobody has given a word for it', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_has_a_word';
    END IF;
    RETURN NEW;
END $$;
-- By a trigger of its own: the attestor takes steps too, and may not look at cases.
CREATE FUNCTION proof_is_asked_again_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('proof', NEW.receipt_id, 'DECIDED', 'ask-again')) THEN
        RAISE EXCEPTION 'proof %: nobody has decided that', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_asked_again_by_people';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER proof_is_asked_again_by_people BEFORE UPDATE OF state ON proof
    FOR EACH ROW WHEN (OLD.state = 'CONFLICTED' AND NEW.state <> 'CONFLICTED')
    EXECUTE FUNCTION proof_is_asked_again_by_people();
CREATE TRIGGER proof_is_still_about_its_subject BEFORE UPDATE OF state ON proof
    FOR EACH ROW WHEN (OLD.state = 'CONFLICTED' AND NEW.state <> 'CONFLICTED')
    EXECUTE FUNCTION proof_is_about_its_subject();

-- migrate:down
DROP TRIGGER proof_is_still_about_its_subject ON proof;
DROP TRIGGER proof_is_asked_again_by_people ON proof;
DROP FUNCTION proof_is_asked_again_by_people();
CREATE OR REPLACE FUNCTION proof_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM proof_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'proof %: % may not take it from "%" to "%"', NEW.receipt_id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_follows_its_states';
    END IF;
    IF coming_from = 'ASKED' AND NEW.state = 'ATTESTED'
            AND NOT EXISTS (SELECT FROM proof_word WHERE receipt_id = NEW.receipt_id) THEN
        RAISE EXCEPTION 'proof %: nobody has given a word for it', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_has_a_word';
    END IF;
    RETURN NEW;
END $$;
DELETE FROM arrival_step WHERE before = 'QUARANTINED';
DELETE FROM proof_step WHERE before = 'CONFLICTED';
