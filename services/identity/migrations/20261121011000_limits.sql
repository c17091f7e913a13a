-- migrate:up
-- Responsible gaming: what people allow themselves. Identity owns the policy; the ledger keeps caps and counters and
-- checks them where it posts. A smaller limit holds at once, a larger one after a day to think.
CREATE TABLE play_policy (
    user_id uuid PRIMARY KEY REFERENCES users (id),
    version bigint NOT NULL CONSTRAINT play_policy_version_from_one CHECK (version >= 1),
    -- What the ledger has acknowledged. Behind `version` the newest change is not confirmed.
    acknowledged bigint NOT NULL DEFAULT 0,
    blocked_until timestamptz,
    changed_at timestamptz NOT NULL,
    push_at timestamptz NOT NULL,
    CONSTRAINT play_policy_is_acknowledged_in_order CHECK (acknowledged BETWEEN 0 AND version)
);
CREATE INDEX play_policy_unacknowledged ON play_policy (push_at) WHERE acknowledged < version;

CREATE TABLE play_limit (
    user_id uuid NOT NULL REFERENCES play_policy (user_id),
    measure text NOT NULL CONSTRAINT play_limit_measure_is_known CHECK (measure IN ('deposit', 'stake', 'loss', 'session')),
    period text NOT NULL CONSTRAINT play_limit_period_is_known CHECK (
        period IN ('day', 'week', 'month', 'session') AND (measure = 'session') = (period = 'session')),
    -- In pesos; a session's in minutes. Null: none holds yet, one is waiting to be taken away or to begin.
    amount numeric CONSTRAINT play_limit_is_exact CHECK (amount >= 0 AND amount < 1000000000000 AND scale(amount) <= 2),
    -- What will hold from `pending_from` on; null with a moment means none.
    pending numeric CONSTRAINT play_limit_pending_is_exact CHECK (
        pending >= 0 AND pending < 1000000000000 AND scale(pending) <= 2),
    pending_from timestamptz,
    set_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, measure, period),
    CONSTRAINT play_limit_grows_after_a_day CHECK (pending_from IS NULL OR pending_from >= set_at + INTERVAL '24 hours'),
    CONSTRAINT play_limit_waits_only_to_grow CHECK (
        pending_from IS NULL OR (amount IS NOT NULL AND (pending IS NULL OR pending > amount)))
);
CREATE INDEX play_limit_pending ON play_limit (pending_from) WHERE pending_from IS NOT NULL;

-- A limit never grows but by a pending one whose day has passed, and a block never gets shorter.
CREATE FUNCTION play_limit_grows_by_waiting() RETURNS trigger LANGUAGE plpgsql AS $$
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

CREATE FUNCTION play_policy_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) OR NEW.acknowledged < OLD.acknowledged THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_policy_moves_on',
            MESSAGE = format('the policy of %s goes on by one', OLD.user_id);
    END IF;
    IF OLD.blocked_until > now() AND (NEW.blocked_until IS NULL OR NEW.blocked_until < OLD.blocked_until) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_policy_block_is_kept',
            MESSAGE = format('%s is excluded until %s', OLD.user_id, OLD.blocked_until);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER play_policy_moves_on BEFORE UPDATE ON play_policy
    FOR EACH ROW EXECUTE FUNCTION play_policy_moves_on();

GRANT SELECT, INSERT, UPDATE (version, acknowledged, blocked_until, changed_at, push_at)
    ON play_policy TO identity_app;
GRANT SELECT, INSERT, UPDATE (amount, pending, pending_from, set_at) ON play_limit TO identity_app;

-- migrate:down
DROP TABLE play_limit, play_policy;
DROP FUNCTION play_limit_grows_by_waiting, play_policy_moves_on;
