-- migrate:up
-- squawk-ignore-file adding-foreign-key-constraint, constraint-missing-not-valid, disallowed-unique-constraint
-- What the law takes of everybody's winnings is not one person's word: one administrator asks for a rate, another one decides
-- within a day, and the rate comes about by the decision and in no other way. Identity's `approval` is the same for its acts.
CREATE TABLE rate_approval (
    id uuid PRIMARY KEY,
    state text NOT NULL CONSTRAINT rate_approval_state_is_a_code CHECK (state ~ '^[A-Z]{3}$'),
    valid_from date NOT NULL,
    name text NOT NULL CONSTRAINT rate_approval_name_is_a_tax CHECK (name ~ '^[a-z0-9-]{1,32}$'),
    bps smallint NOT NULL CONSTRAINT rate_approval_bps_in_range CHECK (bps BETWEEN 0 AND 5000),
    reason text NOT NULL CONSTRAINT rate_approval_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by uuid NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    ends_at timestamptz NOT NULL DEFAULT now() + interval '24 hours',
    status text NOT NULL DEFAULT 'OPEN'
        CONSTRAINT rate_approval_status_is_known CHECK (status IN ('OPEN', 'APPROVED', 'REFUSED')),
    decided_by uuid,
    decided_at timestamptz,
    CONSTRAINT rate_approval_takes_four_eyes CHECK (decided_by <> requested_by),
    CONSTRAINT rate_approval_is_decided_by_somebody CHECK (
        (status = 'OPEN') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL))
);
CREATE INDEX rate_approval_by_time ON rate_approval (requested_at, id);

CREATE FUNCTION rate_approval_is_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.status <> 'OPEN' OR NEW.status = 'OPEN' THEN
        PERFORM refuse('rate_approval_is_decided_once', format('approval %s has been decided', OLD.id));
    END IF;
    NEW.decided_at := clock_timestamp();
    IF NEW.status = 'APPROVED' AND NEW.decided_at >= OLD.ends_at THEN
        PERFORM refuse('rate_approval_is_in_time', format('approval %s ended at %s', OLD.id, OLD.ends_at));
    END IF;
    RETURN NEW;
END $$;

-- squawk-ignore adding-field-with-default
ALTER TABLE withholding_rate ADD COLUMN approval uuid
    CONSTRAINT withholding_rate_approval_is_used_once UNIQUE REFERENCES rate_approval (id);
-- Those of before were one administrator's.
ALTER TABLE withholding_rate ADD CONSTRAINT withholding_rate_is_approved CHECK (approval IS NOT NULL) NOT VALID;

CREATE FUNCTION rate_approval_takes_effect() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO withholding_rate (state, valid_from, name, bps, added_by, approval)
    VALUES (NEW.state, NEW.valid_from, NEW.name, NEW.bps, NEW.decided_by, NEW.id);
    RETURN NULL;
END $$;

CREATE TRIGGER rate_approval_is_for_days_to_come BEFORE INSERT ON rate_approval
    FOR EACH ROW EXECUTE FUNCTION withholding_rate_is_for_days_to_come();
CREATE TRIGGER rate_approval_is_decided_once BEFORE UPDATE ON rate_approval
    FOR EACH ROW EXECUTE FUNCTION rate_approval_is_decided_once();
CREATE TRIGGER rate_approval_takes_effect AFTER UPDATE ON rate_approval
    FOR EACH ROW WHEN (NEW.status = 'APPROVED') EXECUTE FUNCTION rate_approval_takes_effect();
CREATE TRIGGER rate_approval_is_kept BEFORE DELETE OR TRUNCATE ON rate_approval
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

REVOKE ALL ON FUNCTION rate_approval_is_decided_once(), rate_approval_takes_effect() FROM PUBLIC;
REVOKE INSERT ON withholding_rate FROM betting_app;
-- When it was asked for, when that ends and when it was decided are not the service's to say.
GRANT SELECT, INSERT (id, state, valid_from, name, bps, reason, requested_by), UPDATE (status, decided_by)
    ON rate_approval TO betting_app;

-- migrate:down
GRANT INSERT ON withholding_rate TO betting_app;
ALTER TABLE withholding_rate DROP CONSTRAINT withholding_rate_is_approved, DROP COLUMN approval;
DROP TABLE rate_approval;
DROP FUNCTION rate_approval_is_decided_once, rate_approval_takes_effect;
