-- migrate:up
-- People change: every change is counted, told to others, and remembered. A person may be known by several
-- documents, each of which is one person's alone.
ALTER TABLE users
    ADD COLUMN version bigint NOT NULL DEFAULT 1 CONSTRAINT users_version_from_one CHECK (version >= 1),
    ADD COLUMN email_verified_at timestamptz,
    ADD COLUMN password_changed_at timestamptz,
    ADD COLUMN closed_at timestamptz,
    -- 0: no second factor. Another generation is another secret.
    ADD COLUMN totp_generation smallint NOT NULL DEFAULT 0
        CONSTRAINT users_totp_generation_is_counted CHECK (totp_generation >= 0),
    ADD COLUMN totp_last_step bigint NOT NULL DEFAULT 0;

CREATE TABLE holder_document (
    user_id uuid NOT NULL REFERENCES users (id),
    kind text NOT NULL
        CONSTRAINT holder_document_kind_is_known CHECK (kind IN ('curp', 'rfc', 'cpf', 'cnpj')),
    value text NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, kind),
    CONSTRAINT holder_document_is_unique UNIQUE (kind, value),
    -- The check digits are for the domain to compute; this is the second net under the form.
    CONSTRAINT holder_document_has_its_form CHECK (
        CASE kind
            WHEN 'curp' THEN value ~ '^[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]$'
            WHEN 'rfc' THEN value ~ '^[A-Z&Ñ]{3,4}[0-9]{6}[0-9A-Z]{2}[0-9A]$'
            WHEN 'cpf' THEN value ~ '^[0-9]{11}$'
            WHEN 'cnpj' THEN value ~ '^[0-9A-Z]{12}[0-9]{2}$'
        END)
);
INSERT INTO holder_document (user_id, kind, value, added_at)
SELECT id, 'curp', curp, registered_at FROM users;

-- The CURP has moved; a copy of it here would be a second truth.
-- squawk-ignore ban-drop-column
ALTER TABLE users DROP COLUMN curp;

-- A document that carries a birth date carries this person's. A company has none (an RFC of 12, a CNPJ).
CREATE FUNCTION holder_document_is_the_persons() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    born date := (SELECT birth_date FROM users WHERE id = NEW.user_id);
BEGIN
    IF (NEW.kind = 'curp' AND (substr(NEW.value, 5, 6) <> to_char(born, 'YYMMDD')
            -- The 17th character tells the century: a digit before 2000, a letter since.
            OR (substr(NEW.value, 17, 1) ~ '[0-9]') <> (born < DATE '2000-01-01')))
       OR (NEW.kind = 'rfc' AND length(NEW.value) = 13 AND substr(NEW.value, 5, 6) <> to_char(born, 'YYMMDD'))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'holder_document_is_the_persons',
            MESSAGE = 'the document carries another birth date';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER holder_document_is_the_persons BEFORE INSERT ON holder_document
    FOR EACH ROW EXECUTE FUNCTION holder_document_is_the_persons();

-- What somebody was called, and who they were to us, before each change. Written by the database itself.
CREATE TABLE user_history (
    user_id uuid NOT NULL REFERENCES users (id),
    version bigint NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    role text NOT NULL,
    email_verified_at timestamptz,
    closed_at timestamptz,
    replaced_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_id, version)
);

-- A new hash of the same password and a used one-time code are no changes of identity.
CREATE FUNCTION users_change_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) OR (NEW.version = OLD.version
        AND (NEW.email, NEW.full_name, NEW.birth_date, NEW.role, NEW.email_verified_at, NEW.password_changed_at,
             NEW.closed_at, NEW.totp_generation)
        IS DISTINCT FROM (OLD.email, OLD.full_name, OLD.birth_date, OLD.role, OLD.email_verified_at,
             OLD.password_changed_at, OLD.closed_at, OLD.totp_generation))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_change_is_counted',
            MESSAGE = format('a change of user %s needs the next version', OLD.id);
    END IF;
    IF OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_closed_stays_closed',
            MESSAGE = format('user %s has closed their account', OLD.id);
    END IF;
    IF NEW.totp_generation = OLD.totp_generation AND NEW.totp_last_step < OLD.totp_last_step THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_totp_code_is_used_once',
            MESSAGE = format('user %s has used a later code', OLD.id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER users_change_is_counted BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION users_change_is_counted();

CREATE FUNCTION users_past_is_kept() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
BEGIN
    INSERT INTO user_history (user_id, version, email, full_name, role, email_verified_at, closed_at)
    VALUES (OLD.id, OLD.version, OLD.email, OLD.full_name, OLD.role, OLD.email_verified_at, OLD.closed_at);
    RETURN NULL;
END $$;
CREATE TRIGGER users_past_is_kept AFTER UPDATE ON users
    FOR EACH ROW WHEN (NEW.version > OLD.version) EXECUTE FUNCTION users_past_is_kept();

-- Every version of a user leaves as an event, or the change does not happen.
CREATE FUNCTION users_change_is_told() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, public AS $$
DECLARE
    told text := 'users/' || NEW.id;
BEGIN
    IF NOT EXISTS (SELECT FROM outbox WHERE shard = (hashtextextended(told, 0) & 15)::smallint
                   AND aggregate = told AND version = NEW.version) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_change_is_told',
            MESSAGE = format('version %s of user %s has no event', NEW.version, NEW.id);
    END IF;
    IF NOT EXISTS (SELECT FROM holder_document WHERE user_id = NEW.id) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_have_a_document',
            MESSAGE = format('user %s has no document', NEW.id);
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER users_change_is_told AFTER INSERT OR UPDATE OF version ON users
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION users_change_is_told();

GRANT SELECT, INSERT ON holder_document TO identity_app;
GRANT SELECT ON user_history TO identity_app;
GRANT UPDATE (email, full_name, version, email_verified_at, password_changed_at, closed_at,
              totp_generation, totp_last_step) ON users TO identity_app;

-- migrate:down
ALTER TABLE users ADD COLUMN curp text UNIQUE;
UPDATE users SET curp = d.value FROM holder_document AS d WHERE d.user_id = users.id AND d.kind = 'curp';
DROP TABLE holder_document, user_history;
DROP TRIGGER users_change_is_counted ON users;
DROP TRIGGER users_past_is_kept ON users;
DROP TRIGGER users_change_is_told ON users;
DROP FUNCTION users_change_is_counted, users_past_is_kept, users_change_is_told, holder_document_is_the_persons;
ALTER TABLE users DROP COLUMN version, DROP COLUMN email_verified_at, DROP COLUMN password_changed_at,
    DROP COLUMN closed_at, DROP COLUMN totp_generation, DROP COLUMN totp_last_step;
