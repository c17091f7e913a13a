-- migrate:up
-- What one person of the staff asks for and another one decides. Who may is a rule of the database too, and
-- nobody becomes staff, or other staff, without such a decision or an operator at the command line.
CREATE TABLE approval (
    id uuid PRIMARY KEY,
    act text NOT NULL CONSTRAINT approval_act_is_known CHECK (act IN (
        'staff.appoint', 'staff.role', 'staff.dismiss', 'staff.second-factor', 'kyc.approve', 'kyc.reject')),
    -- An e-mail for an appointment, a user's id for the other acts on staff, a case's id for KYC.
    subject text NOT NULL CONSTRAINT approval_subject_is_bounded CHECK (length(subject) BETWEEN 1 AND 254),
    details jsonb NOT NULL,
    reason text NOT NULL CONSTRAINT approval_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 500),
    requested_by uuid NOT NULL REFERENCES users (id),
    requested_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'OPEN'
        CONSTRAINT approval_state_is_known CHECK (state IN ('OPEN', 'APPROVED', 'REFUSED')),
    decided_by uuid REFERENCES users (id),
    decided_at timestamptz,
    CONSTRAINT approval_takes_four_eyes CHECK (decided_by <> requested_by),
    CONSTRAINT approval_is_nobodys_own CHECK (subject NOT IN (requested_by::text, decided_by::text)),
    CONSTRAINT approval_is_decided_by_somebody CHECK (
        (state = 'OPEN') = (decided_by IS NULL) AND (decided_by IS NULL) = (decided_at IS NULL))
);
CREATE UNIQUE INDEX approval_is_open_once ON approval (act, subject) WHERE state = 'OPEN';
CREATE INDEX approval_by_time ON approval (requested_at, id);

CREATE FUNCTION approval_is_by_whom_may() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER approval_is_by_whom_may BEFORE INSERT OR UPDATE ON approval
    FOR EACH ROW EXECUTE FUNCTION approval_is_by_whom_may();

-- squawk-ignore adding-foreign-key-constraint, constraint-missing-not-valid, disallowed-unique-constraint
ALTER TABLE users ADD COLUMN approval uuid CONSTRAINT users_approval_is_used_once UNIQUE REFERENCES approval (id);

CREATE FUNCTION users_staff_takes_four_eyes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.role = OLD.role THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' AND (NEW.role = 'bettor' OR session_user = 'identity_operator') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND 'bettor' IN (OLD.role, NEW.role) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_staff_are_not_bettors',
            MESSAGE = 'a bettor does not become staff, nor staff a bettor';
    END IF;
    IF NOT EXISTS (SELECT FROM approval WHERE id = NEW.approval AND state = 'APPROVED'
                   AND details ->> 'role' = NEW.role
                   AND CASE TG_OP WHEN 'INSERT' THEN act = 'staff.appoint' AND subject = NEW.email
                       ELSE act = 'staff.role' AND subject = NEW.id::text END) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_staff_takes_four_eyes',
            MESSAGE = format('nobody has approved that %s becomes %s', NEW.id, NEW.role);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_staff_takes_four_eyes BEFORE INSERT OR UPDATE OF role ON users
    FOR EACH ROW EXECUTE FUNCTION users_staff_takes_four_eyes();

GRANT SELECT, INSERT, UPDATE (state, decided_by, decided_at) ON approval TO identity_app;
GRANT UPDATE (role, approval) ON users TO identity_app;

-- The operator's role: opens staff accounts from the command line, where there is no second person yet.
GRANT USAGE ON SCHEMA public TO identity_operator;
GRANT SELECT, INSERT ON users, holder_document TO identity_operator;
GRANT INSERT ON outbox TO identity_operator;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM identity_operator;
DROP TRIGGER users_staff_takes_four_eyes ON users;
ALTER TABLE users DROP COLUMN approval;
DROP TABLE approval;
DROP FUNCTION users_staff_takes_four_eyes, approval_is_by_whom_may;
