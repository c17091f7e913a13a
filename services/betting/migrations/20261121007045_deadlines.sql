-- migrate:up
-- Durable deadlines (libs/common/common/deadlines.py). A deadline ends once, and for ever.
CREATE TABLE deadline (
    subject text NOT NULL CONSTRAINT deadline_subject_is_bounded CHECK (length(subject) BETWEEN 1 AND 200),
    kind text NOT NULL CONSTRAINT deadline_kind_is_bounded CHECK (length(kind) BETWEEN 1 AND 64),
    generation integer NOT NULL CONSTRAINT deadline_generation_from_one CHECK (generation >= 1),
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'ARMED'
        CONSTRAINT deadline_state_is_known CHECK (state IN ('ARMED', 'DONE', 'CANCELLED', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL,
    last_error text,
    armed_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation),
    CONSTRAINT deadline_ends_with_its_state CHECK ((state = 'ARMED') = (ended_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX deadline_armed ON deadline (retry_at) WHERE state = 'ARMED';

CREATE FUNCTION deadline_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON deadline
    FOR EACH ROW EXECUTE FUNCTION deadline_ends_once();

GRANT SELECT, INSERT, UPDATE (state, attempts, retry_at, last_error, ended_at) ON deadline TO betting_app;

-- migrate:down
DROP TABLE deadline;
DROP FUNCTION deadline_ends_once;
