-- migrate:up
-- API keys in full: what each one may do, until when, how often, and whether its requests must be signed.
--   scopes           'read', 'post' (every kind its principal may post) or 'post:<kind>'
--   signing_root     names the root secret its signing secret is derived from; NULL = it need not sign.
--                    The secret itself is nowhere in the database.
--   lifetime         how long it lives from its making, and its successors from theirs; NULL = until revoked
--   rate_per_second, burst   at most; NULL = as fast as the ledger takes it
--   requests_per_day         a quota by UTC day; NULL = none
--   replaces         the key whose successor it is; both live until the older one expires
--   hint             its first characters, to recognise it by
ALTER TABLE api_key
    ADD COLUMN scopes text[] NOT NULL DEFAULT '{read,post}',
    ADD COLUMN signing_root text,
    ADD COLUMN lifetime interval,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD COLUMN rate_per_second integer,
    ADD COLUMN burst integer,
    ADD COLUMN requests_per_day bigint,
    ADD COLUMN replaces uuid,
    ADD COLUMN hint text NOT NULL DEFAULT 'lk_live_';

UPDATE api_key SET scopes = '{read}' WHERE read_only;

-- The table holds a handful of rows: checking and indexing them takes no time.
-- squawk-ignore-file constraint-missing-not-valid
-- squawk-ignore-file adding-foreign-key-constraint
-- squawk-ignore-file disallowed-unique-constraint
-- squawk-ignore-file ban-drop-column
-- squawk-ignore-file ban-drop-default
ALTER TABLE api_key
    DROP COLUMN read_only, -- the scopes say it
    ALTER COLUMN scopes DROP DEFAULT,
    ALTER COLUMN hint DROP DEFAULT,
    ADD CONSTRAINT api_key_scopes_are_known CHECK (
        array_to_string(scopes, ',', '?') ~ '^(read|post|post:[a-z][a-z._-]*)(,(read|post|post:[a-z][a-z._-]*))*$'),
    ADD CONSTRAINT api_key_rate_is_whole CHECK (
        num_nulls(rate_per_second, burst) IN (0, 2) AND (rate_per_second IS NULL OR rate_per_second > 0 AND burst > 0)),
    ADD CONSTRAINT api_key_quota_is_positive CHECK (requests_per_day > 0),
    ADD CONSTRAINT api_key_is_replaced_once UNIQUE (replaces),
    ADD CONSTRAINT api_key_replaces_fkey FOREIGN KEY (replaces) REFERENCES api_key;

-- A key only ever ends: revoked stays revoked, an end only comes nearer. Nothing else about it changes.
CREATE FUNCTION api_key_only_ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
       OR NEW.expires_at IS DISTINCT FROM OLD.expires_at
          AND (NEW.expires_at IS NULL OR NEW.expires_at > coalesce(OLD.expires_at, 'infinity')) THEN
        PERFORM refuse('api_key_only_ends', 'a key is neither revived nor prolonged: make another');
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION api_key_only_ends() FROM PUBLIC;
CREATE TRIGGER api_key_only_ends BEFORE UPDATE OF revoked_at, expires_at ON api_key
    FOR EACH ROW EXECUTE FUNCTION api_key_only_ends();

GRANT UPDATE (expires_at) ON api_key TO ledger_keys;
GRANT UPDATE (last_used_at) ON api_key TO ledger_posting;

-- migrate:down
REVOKE UPDATE (expires_at) ON api_key FROM ledger_keys;
REVOKE UPDATE (last_used_at) ON api_key FROM ledger_posting;
DROP TRIGGER api_key_only_ends ON api_key;
DROP FUNCTION api_key_only_ends;
ALTER TABLE api_key ADD COLUMN read_only boolean NOT NULL DEFAULT false;
UPDATE api_key SET read_only = NOT scopes && '{post}';
ALTER TABLE api_key
    DROP COLUMN scopes, DROP COLUMN signing_root, DROP COLUMN lifetime, DROP COLUMN expires_at, DROP COLUMN last_used_at,
    DROP COLUMN rate_per_second, DROP COLUMN burst, DROP COLUMN requests_per_day, DROP COLUMN replaces, DROP COLUMN hint;
