-- migrate:up
-- What the service's own role could still write past its code: a day to think that lies in the past, an approval
-- that is there decided, one that serves again, a case that begins in the middle, a second factor that comes back.

-- When a limit was set is only what its row says; to grow takes a day from now. A minute is for the clocks of two hosts.
CREATE OR REPLACE FUNCTION play_limit_grows_by_waiting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.pending_from < now() + INTERVAL '24 hours' - INTERVAL '1 minute'
       AND (TG_OP = 'INSERT' OR (NEW.pending, NEW.pending_from) IS DISTINCT FROM (OLD.pending, OLD.pending_from))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_limit_grows_after_a_day',
            MESSAGE = format('the %s limit of %s grows after a day', NEW.measure, NEW.user_id);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.amount IS NOT NULL AND (NEW.amount IS NULL OR NEW.amount > OLD.amount)
       AND NOT (coalesce(OLD.pending_from <= now(), false) AND NEW.amount IS NOT DISTINCT FROM OLD.pending AND NEW.pending_from IS NULL)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_limit_grows_by_waiting',
            MESSAGE = format('the %s limit of %s does not grow at once', OLD.measure, OLD.user_id);
    END IF;
    RETURN NEW;
END $$;
DROP TRIGGER play_limit_grows_by_waiting ON play_limit;
CREATE TRIGGER play_limit_grows_by_waiting BEFORE INSERT OR UPDATE ON play_limit
    FOR EACH ROW EXECUTE FUNCTION play_limit_grows_by_waiting();

-- Who decides is looked at when it is decided, so nothing is there decided.
CREATE FUNCTION approval_begins_as_a_question() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_begins_as_a_question',
        MESSAGE = format('approval %s is there decided', NEW.id);
END $$;
CREATE TRIGGER approval_begins_as_a_question BEFORE INSERT ON approval
    FOR EACH ROW WHEN (NEW.state <> 'OPEN') EXECUTE FUNCTION approval_begins_as_a_question();

-- The requests by which somebody became staff, or other staff. Each serves once, whoever has which one now.
CREATE TABLE approval_use (
    approval uuid NOT NULL CONSTRAINT approval_is_used_once PRIMARY KEY REFERENCES approval (id)
);
INSERT INTO approval_use (approval)
SELECT id FROM approval WHERE state = 'APPROVED' AND act IN ('staff.appoint', 'staff.role');

CREATE OR REPLACE FUNCTION users_staff_takes_four_eyes() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
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
    INSERT INTO approval_use (approval) VALUES (NEW.approval);
    RETURN NEW;
END $$;

-- A case begins without evidence, so it is neither submitted nor decided.
CREATE FUNCTION kyc_case_begins_as_a_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_case_begins_as_a_draft',
        MESSAGE = format('case %s does not begin as %s', NEW.id, NEW.state);
END $$;
CREATE TRIGGER kyc_case_begins_as_a_draft BEFORE INSERT ON kyc_case
    FOR EACH ROW WHEN (NEW.state <> 'DRAFT' OR NEW.version <> 1) EXECUTE FUNCTION kyc_case_begins_as_a_draft();

-- An older generation is the secret of the authenticator that was lost.
CREATE FUNCTION users_second_factor_is_not_taken_back() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_second_factor_is_not_taken_back',
        MESSAGE = format('user %s has a later second factor', OLD.id);
END $$;
CREATE TRIGGER users_second_factor_is_not_taken_back BEFORE UPDATE OF totp_generation ON users
    FOR EACH ROW WHEN (NEW.totp_generation < OLD.totp_generation)
    EXECUTE FUNCTION users_second_factor_is_not_taken_back();

-- A mail program reads what looks like an encoded word (RFC 2047) as something else: another address, or none.
ALTER TABLE users ADD CONSTRAINT users_email_is_read_in_one_way CHECK (position('=?' IN email) = 0) NOT VALID;

REVOKE ALL ON FUNCTION approval_begins_as_a_question(), kyc_case_begins_as_a_draft(),
    users_second_factor_is_not_taken_back() FROM PUBLIC;

-- migrate:down
ALTER TABLE users DROP CONSTRAINT users_email_is_read_in_one_way;
DROP TRIGGER users_second_factor_is_not_taken_back ON users;
DROP TRIGGER kyc_case_begins_as_a_draft ON kyc_case;
DROP TRIGGER approval_begins_as_a_question ON approval;
DROP FUNCTION users_second_factor_is_not_taken_back(), kyc_case_begins_as_a_draft(), approval_begins_as_a_question();
CREATE OR REPLACE FUNCTION users_staff_takes_four_eyes() RETURNS trigger LANGUAGE plpgsql SECURITY INVOKER AS $$
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
DROP TABLE approval_use;
DROP TRIGGER play_limit_grows_by_waiting ON play_limit;
CREATE OR REPLACE FUNCTION play_limit_grows_by_waiting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.amount IS NOT NULL AND (NEW.amount IS NULL OR NEW.amount > OLD.amount)
       AND NOT (coalesce(OLD.pending_from <= now(), false) AND NEW.amount IS NOT DISTINCT FROM OLD.pending AND NEW.pending_from IS NULL)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_limit_grows_by_waiting',
            MESSAGE = format('the %s limit of %s does not grow at once', OLD.measure, OLD.user_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER play_limit_grows_by_waiting BEFORE UPDATE ON play_limit
    FOR EACH ROW EXECUTE FUNCTION play_limit_grows_by_waiting();
