-- migrate:up
-- A deposit in quarantine is rejected as people have decided; else it stands as its arrival does, in suspense, assigned or returned.
CREATE FUNCTION deposit_leaves_quarantine_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM arrival a WHERE (a.deposit_id, a.state) = (NEW.id, NEW.state))
       AND NOT (NEW.state = 'REJECTED' AND EXISTS (SELECT FROM review_case c
            WHERE (c.subject, c.subject_id, c.state, c.decision) = ('deposit', NEW.id, 'DECIDED', 'reject'))) THEN
        RAISE EXCEPTION 'deposit %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_leaves_quarantine_as_decided';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deposit_leaves_quarantine_as_decided BEFORE UPDATE OF state ON deposit
    FOR EACH ROW WHEN (OLD.state IN ('QUARANTINED', 'SUSPENDED') AND NEW.state IN ('REJECTED', 'SUSPENDED', 'ASSIGNED', 'RETURNED')
        AND OLD.state <> NEW.state)
    EXECUTE FUNCTION deposit_leaves_quarantine_as_decided();
CREATE TRIGGER deposit_quarantine_reason_stays BEFORE UPDATE ON deposit
    FOR EACH ROW WHEN (OLD.state = 'QUARANTINED' AND NEW.state = 'QUARANTINED' AND OLD.reason IS DISTINCT FROM NEW.reason)
    EXECUTE FUNCTION refuse_another();

-- And it goes to suspense as people have decided; or because another has sent it, or its player's limits leave no room.
CREATE FUNCTION arrival_is_taken_as_decided() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER arrival_is_taken_as_decided BEFORE INSERT ON arrival
    FOR EACH ROW WHEN (NEW.deposit_id IS NOT NULL) EXECUTE FUNCTION arrival_is_taken_as_decided();

-- migrate:down
DROP TRIGGER arrival_is_taken_as_decided ON arrival;
DROP FUNCTION arrival_is_taken_as_decided();
DROP TRIGGER deposit_quarantine_reason_stays ON deposit;
DROP TRIGGER deposit_leaves_quarantine_as_decided ON deposit;
DROP FUNCTION deposit_leaves_quarantine_as_decided();
