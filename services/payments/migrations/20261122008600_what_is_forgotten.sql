-- migrate:up
-- What was heard is forgotten after 100 days, and not before (libs/common/common/forgetting.py).
CREATE FUNCTION inbox_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.received_at > clock_timestamp() - interval '100 days' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_is_kept',
            MESSAGE = format('event %s was heard only at %s', OLD.event_id, OLD.received_at);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER inbox_is_kept BEFORE DELETE ON inbox FOR EACH ROW EXECUTE FUNCTION inbox_is_kept();
CREATE FUNCTION forget_inbox(at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH old AS MATERIALIZED (
        SELECT consumer, event_id FROM inbox WHERE received_at < clock_timestamp() - interval '100 days'
         ORDER BY received_at LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM inbox i USING old WHERE i.consumer = old.consumer AND i.event_id = old.event_id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION inbox_is_kept(), forget_inbox(integer) FROM PUBLIC;

-- The first stored answer stays, and a key is never free again (libs/common/common/idempotency.py).
CREATE FUNCTION idempotency_answers_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'idempotency_answers_once',
        MESSAGE = format('a key of %s has been used at %s', OLD.principal, OLD.created_at);
END $$;
CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON idempotency
    FOR EACH ROW WHEN (OLD.status IS NOT NULL) EXECUTE FUNCTION idempotency_answers_once();
CREATE TRIGGER idempotency_is_kept BEFORE DELETE ON idempotency
    FOR EACH ROW EXECUTE FUNCTION idempotency_answers_once();
REVOKE ALL ON FUNCTION idempotency_answers_once() FROM PUBLIC;

-- An ended deadline is forgotten after 90 days, and not before (libs/common/common/forgetting.py). One that was given
-- up stays until people have seen to it. So does a later generation, for as long as it is what overtakes an armed one.
CREATE FUNCTION deadline_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state NOT IN ('DONE', 'CANCELLED') OR OLD.ended_at > clock_timestamp() - interval '90 days'
       OR EXISTS (SELECT FROM deadline armed WHERE armed.subject = OLD.subject AND armed.kind = OLD.kind
                     AND armed.generation < OLD.generation AND armed.state = 'ARMED') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_is_kept',
            MESSAGE = format('deadline %s of %s is still needed', OLD.kind, OLD.subject);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER deadline_is_kept BEFORE DELETE ON deadline FOR EACH ROW EXECUTE FUNCTION deadline_is_kept();
CREATE FUNCTION forget_deadline(at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH old AS MATERIALIZED (
        SELECT subject, kind, generation FROM deadline d
         WHERE state IN ('DONE', 'CANCELLED') AND ended_at < clock_timestamp() - interval '90 days'
           AND NOT EXISTS (SELECT FROM deadline armed WHERE armed.subject = d.subject AND armed.kind = d.kind
                              AND armed.generation < d.generation AND armed.state = 'ARMED')
         ORDER BY ended_at LIMIT at_most FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        DELETE FROM deadline d USING old
         WHERE d.subject = old.subject AND d.kind = old.kind AND d.generation = old.generation RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION deadline_is_kept(), forget_deadline(integer) FROM PUBLIC;

-- The relay's login asks for it; the service's own deletes nothing.
GRANT EXECUTE ON FUNCTION forget_inbox(integer), forget_deadline(integer) TO payments_relay;

-- migrate:down
DROP FUNCTION forget_deadline(integer);
DROP TRIGGER deadline_is_kept ON deadline;
DROP FUNCTION deadline_is_kept();
DROP TRIGGER idempotency_is_kept ON idempotency;
DROP TRIGGER idempotency_answers_once ON idempotency;
DROP FUNCTION idempotency_answers_once();
DROP FUNCTION forget_inbox(integer);
DROP TRIGGER inbox_is_kept ON inbox;
DROP FUNCTION inbox_is_kept();
