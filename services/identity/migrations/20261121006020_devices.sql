-- migrate:up
-- Devices sign money calls. Their keys are derived from the service's master key and the device's id, so
-- nothing here opens anything.
CREATE TABLE device (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    name text NOT NULL CONSTRAINT device_name_is_bounded CHECK (length(name) BETWEEN 1 AND 60),
    enrolled_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT device_is_revoked_after_enrolment CHECK (revoked_at >= enrolled_at)
);
CREATE INDEX device_of_user ON device (user_id);

CREATE FUNCTION device_revoked_stays_revoked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'device_revoked_stays_revoked',
            MESSAGE = format('device %s has been revoked', OLD.id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER device_revoked_stays_revoked BEFORE UPDATE ON device
    FOR EACH ROW EXECUTE FUNCTION device_revoked_stays_revoked();

GRANT SELECT, INSERT, UPDATE (revoked_at) ON device TO identity_app;

-- migrate:down
DROP TABLE device;
DROP FUNCTION device_revoked_stays_revoked;
