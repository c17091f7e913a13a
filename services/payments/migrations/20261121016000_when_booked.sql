-- migrate:up
-- Deposits add up by when they were booked, not by when they were asked for: a claim may wait for hours, an authorization
-- for days, and what people have looked at meanwhile did not include it.
ALTER TABLE deposit ADD COLUMN booked_at timestamptz;
UPDATE deposit SET booked_at = claimed_at WHERE state = 'BOOKED';
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE deposit ADD CONSTRAINT deposit_is_booked_at_a_moment CHECK ((state = 'BOOKED') = (booked_at IS NOT NULL));
GRANT UPDATE (booked_at) ON deposit TO payments_app;

ALTER TABLE card_operation ADD COLUMN booked_at timestamptz;
UPDATE card_operation SET booked_at = requested_at WHERE state IN ('BOOKED', 'SETTLED', 'CLEARED');
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE card_operation ADD CONSTRAINT card_operation_is_booked_at_a_moment
    CHECK (state NOT IN ('BOOKED', 'SETTLED', 'CLEARED') OR booked_at IS NOT NULL);
GRANT UPDATE (booked_at) ON card_operation TO payments_app;

-- Where an operation's money stands changes once, when it is cleared; and not while the ledger is asked to move it.
CREATE OR REPLACE FUNCTION card_operation_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM card_step AS step
            WHERE step.act = NEW.act AND step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'card operation %: a % does not go from "%" to "%"', NEW.id, NEW.act, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_follows_its_states';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.psp_id IS NOT NULL AND NEW.psp_id IS DISTINCT FROM OLD.psp_id THEN
        RAISE EXCEPTION 'card operation %: it is another object at the provider', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_psp_id_stays';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.stands_in <> OLD.stands_in
            AND (NEW.stands_in = 'uncleared' OR NEW.act = 'refund' AND NEW.state IN ('REQUESTED', 'FAILED')) THEN
        RAISE EXCEPTION 'card operation %: its money does not go from % to %', NEW.id, OLD.stands_in, NEW.stands_in
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_is_cleared_once';
    END IF;
    RETURN NEW;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION card_operation_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM card_step AS step
            WHERE step.act = NEW.act AND step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'card operation %: a % does not go from "%" to "%"', NEW.id, NEW.act, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_follows_its_states';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.psp_id IS NOT NULL AND NEW.psp_id IS DISTINCT FROM OLD.psp_id THEN
        RAISE EXCEPTION 'card operation %: it is another object at the provider', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_psp_id_stays';
    END IF;
    RETURN NEW;
END $$;
ALTER TABLE card_operation DROP COLUMN booked_at;
ALTER TABLE deposit DROP COLUMN booked_at;
