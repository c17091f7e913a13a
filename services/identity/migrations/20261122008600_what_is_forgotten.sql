-- migrate:up
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

-- migrate:down
DROP TRIGGER idempotency_is_kept ON idempotency;
DROP TRIGGER idempotency_answers_once ON idempotency;
DROP FUNCTION idempotency_answers_once();
