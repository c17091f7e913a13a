-- migrate:up
-- Two pairs of eyes count on the day of the decision: whoever asked may still ask then, or it is not approved (it can be
-- refused, and somebody else asks anew). Both are held while it is decided, in the order of their ids, so that nobody is
-- dismissed or moved meanwhile.
CREATE OR REPLACE FUNCTION approval_is_by_whom_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.requested_by ELSE NEW.decided_by END;
    allowed text[] := CASE WHEN NEW.act LIKE 'kyc.%' THEN ARRAY['cashier', 'admin'] ELSE ARRAY['admin'] END;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state <> 'OPEN' OR NEW.state = 'OPEN') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_decided_once',
            MESSAGE = format('approval %s has been decided', OLD.id);
    END IF;
    PERFORM FROM users WHERE id IN (NEW.requested_by, NEW.decided_by) ORDER BY id FOR SHARE;
    IF NOT EXISTS (SELECT FROM users WHERE id = who AND role = ANY (allowed) AND closed_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_by_whom_may',
            MESSAGE = format('user %s may not decide on %s', who, NEW.act);
    END IF;
    IF NEW.state = 'APPROVED' AND NOT EXISTS (
        SELECT FROM users WHERE id = NEW.requested_by AND role = ANY (allowed) AND closed_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_asked_by_whom_still_may',
            MESSAGE = format('user %s may not ask for %s any more', NEW.requested_by, NEW.act);
    END IF;
    RETURN NEW;
END $$;

-- What is approved happens in the transaction that approves it, so no approval lies ready for later, when those who gave it
-- may be gone.
CREATE FUNCTION approval_takes_effect_at_once() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
BEGIN
    IF NOT (CASE
        WHEN NEW.act IN ('staff.appoint', 'staff.role') THEN EXISTS (SELECT FROM approval_use WHERE approval = NEW.id)
        WHEN NEW.act = 'staff.dismiss'
            THEN EXISTS (SELECT FROM users WHERE id = NEW.subject::uuid AND closed_at IS NOT NULL)
        WHEN NEW.act LIKE 'kyc.%' THEN EXISTS (SELECT FROM kyc_case WHERE approval = NEW.id)
        ELSE true  -- a second factor: no rule here lets anything happen by having been approved
    END) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_takes_effect_at_once',
            MESSAGE = format('approval %s has done nothing', NEW.id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER approval_takes_effect_at_once AFTER UPDATE OF state ON approval
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.state = 'APPROVED')
    EXECUTE FUNCTION approval_takes_effect_at_once();
REVOKE ALL ON FUNCTION approval_takes_effect_at_once() FROM PUBLIC;

-- migrate:down
DROP TRIGGER approval_takes_effect_at_once ON approval;
DROP FUNCTION approval_takes_effect_at_once();
CREATE OR REPLACE FUNCTION approval_is_by_whom_may() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.requested_by ELSE NEW.decided_by END;
    allowed text[] := CASE WHEN NEW.act LIKE 'kyc.%' THEN ARRAY['cashier', 'admin'] ELSE ARRAY['admin'] END;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state <> 'OPEN' OR NEW.state = 'OPEN') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_decided_once',
            MESSAGE = format('approval %s has been decided', OLD.id);
    END IF;
    IF NOT EXISTS (SELECT FROM users WHERE id = who AND role = ANY (allowed) AND closed_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_by_whom_may',
            MESSAGE = format('user %s may not decide on %s', who, NEW.act);
    END IF;
    RETURN NEW;
END $$;
