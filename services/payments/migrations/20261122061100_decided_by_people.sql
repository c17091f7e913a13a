-- migrate:up
-- What is decided is what was proposed, by whom and for whom: never both in one write.
CREATE FUNCTION review_case_is_decided_as_proposed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.state = 'DECIDED' AND OLD.state <> 'DECIDED' AND (OLD.state <> 'PROPOSED'
            OR (OLD.decision, OLD.target, OLD.note, OLD.proposed_by)
                IS DISTINCT FROM (NEW.decision, NEW.target, NEW.note, NEW.proposed_by)) THEN
        RAISE EXCEPTION 'case %: that was not proposed', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_as_proposed';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER review_case_is_decided_as_proposed BEFORE UPDATE ON review_case
    FOR EACH ROW EXECUTE FUNCTION review_case_is_decided_as_proposed();

-- A withdrawal is sent only when no case about it waits; out of review only when people have approved it.
CREATE FUNCTION withdrawal_is_approved_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM review_case c WHERE (c.subject, c.subject_id) = ('withdrawal', NEW.id) AND c.state <> 'DECIDED')
       OR OLD.state = 'REVIEW' AND NOT EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('withdrawal', NEW.id, 'DECIDED', 'approve')) THEN
        RAISE EXCEPTION 'withdrawal %: nobody has approved it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_is_approved_by_people';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER withdrawal_is_approved_by_people BEFORE UPDATE OF state ON withdrawal
    FOR EACH ROW WHEN (NEW.state = 'APPROVED' AND OLD.state <> 'APPROVED')
    EXECUTE FUNCTION withdrawal_is_approved_by_people();

-- Money leaves suspense as people have decided, to whom they have decided. A return that the rail did not carry out comes
-- back to suspense; the next one has a clave of its own. While an order is out under a clave, that clave stays.
INSERT INTO arrival_step (before, after) VALUES
    ('RETURN_SENDING', 'SUSPENDED'), ('RETURN_UNKNOWN', 'SUSPENDED'), ('RETURN_SENT', 'SUSPENDED');
CREATE FUNCTION arrival_is_decided_by_people() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER arrival_is_decided_by_people BEFORE UPDATE ON arrival
    FOR EACH ROW EXECUTE FUNCTION arrival_is_decided_by_people();

-- migrate:down
DROP TRIGGER arrival_is_decided_by_people ON arrival;
DROP FUNCTION arrival_is_decided_by_people();
DELETE FROM arrival_step WHERE before LIKE 'RETURN%' AND after = 'SUSPENDED';
DROP TRIGGER withdrawal_is_approved_by_people ON withdrawal;
DROP FUNCTION withdrawal_is_approved_by_people();
DROP TRIGGER review_case_is_decided_as_proposed ON review_case;
DROP FUNCTION review_case_is_decided_as_proposed();
