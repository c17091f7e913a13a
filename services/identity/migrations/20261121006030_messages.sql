-- migrate:up
-- Codes that are sent to people, and the messages that carry them. A code is derived from its row's id and the
-- master key, so what lies here is worth nothing to a reader.
CREATE TABLE verification (
    id uuid PRIMARY KEY,
    -- Null for an address that nobody has: to an unknown address the same happens as to a known one.
    user_id uuid REFERENCES users (id),
    purpose text NOT NULL
        CONSTRAINT verification_purpose_is_known CHECK (purpose IN ('email', 'password-reset', 'staff-activation')),
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    attempts smallint NOT NULL DEFAULT 0
        CONSTRAINT verification_attempts_are_few CHECK (attempts BETWEEN 0 AND 5),
    used_at timestamptz,
    CONSTRAINT verification_is_used_in_time CHECK (used_at < expires_at)
);
CREATE INDEX verification_of_user ON verification (user_id, purpose, created_at DESC);

CREATE FUNCTION verification_is_used_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.used_at IS NOT NULL OR NEW.attempts < OLD.attempts THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'verification_is_used_once',
            MESSAGE = format('verification %s has been used', OLD.id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER verification_is_used_once BEFORE UPDATE ON verification
    FOR EACH ROW EXECUTE FUNCTION verification_is_used_once();

CREATE TABLE outbound_message (
    id uuid PRIMARY KEY,
    kind text NOT NULL CONSTRAINT outbound_message_kind_is_known CHECK (
        kind IN ('email-code', 'reset-code', 'activation-code', 'email-changed', 'password-changed', 'account-closed')),
    -- Null when there is nobody to send it to.
    recipient text CONSTRAINT outbound_message_recipient_is_bounded CHECK (length(recipient) <= 254),
    verification_id uuid REFERENCES verification (id),
    created_at timestamptz NOT NULL,
    retry_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    sent_at timestamptz,
    given_up_at timestamptz,
    CONSTRAINT outbound_message_code_has_its_verification CHECK (
        (kind IN ('email-code', 'reset-code', 'activation-code')) = (verification_id IS NOT NULL))
);
CREATE INDEX outbound_message_waiting ON outbound_message (retry_at)
    WHERE sent_at IS NULL AND given_up_at IS NULL AND recipient IS NOT NULL;

GRANT SELECT, INSERT, UPDATE (attempts, used_at) ON verification TO identity_app;
GRANT SELECT, INSERT, UPDATE (retry_at, attempts, sent_at, given_up_at) ON outbound_message TO identity_app;

-- migrate:down
DROP TABLE outbound_message, verification;
DROP FUNCTION verification_is_used_once;
