-- migrate:up
-- Seals: runs of entries become the root of a Merkle tree; each seal names the one before it and is signed. Whoever
-- knows a seal's number and hash from elsewhere can tell, offline, whether anything before it was changed, dropped,
-- reordered or cut off. Encoding and trees are described in docs/adr/0030.

-- The public halves of the keys that sign. The first is trusted from elsewhere; every later one is endorsed by the
-- one before it, and signs from the seal on that the endorsement names.
CREATE TABLE seal_key (
    ledger_id smallint NOT NULL REFERENCES ledger,
    id text NOT NULL CONSTRAINT seal_key_id_is_bounded CHECK (id ~ '^[a-z0-9._-]{1,64}$'),
    public_key bytea NOT NULL CONSTRAINT seal_key_is_ed25519 CHECK (octet_length(public_key) = 32),
    from_seal bigint NOT NULL CONSTRAINT seal_key_from_seal_is_positive CHECK (from_seal >= 1),
    endorsed_by text,
    endorsement bytea,
    signature bytea CONSTRAINT seal_key_signature_is_ed25519 CHECK (octet_length(signature) = 64),
    made_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT seal_key_is_the_only_one_from_there UNIQUE (ledger_id, from_seal),
    CONSTRAINT seal_key_is_used_once UNIQUE (public_key, ledger_id),
    CONSTRAINT seal_key_is_endorsed CHECK (num_nulls(endorsed_by, endorsement, signature) = CASE WHEN from_seal = 1 THEN 3 ELSE 0 END),
    CONSTRAINT seal_key_endorsed_by_fkey FOREIGN KEY (ledger_id, endorsed_by) REFERENCES seal_key
);

-- One seal: the entries from `first` to `last`, all of them.
--   previous   the hash of the seal before it; of the first: 32 zeros
--   statement  what was signed, to the letter; hash = SHA-256 of 0x02 and the statement
-- That runs join without a gap or an overlap, and that each seal names the one before it, is the foreign key
-- seal_continues; there is nothing before the first.
CREATE TABLE seal (
    ledger_id smallint NOT NULL REFERENCES ledger,
    number bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    root bytea NOT NULL CONSTRAINT seal_root_is_sha256 CHECK (octet_length(root) = 32),
    previous bytea NOT NULL CONSTRAINT seal_previous_is_sha256 CHECK (octet_length(previous) = 32),
    key_id text NOT NULL,
    statement bytea NOT NULL,
    signature bytea NOT NULL CONSTRAINT seal_signature_is_ed25519 CHECK (octet_length(signature) = 64),
    sealed_at timestamptz NOT NULL,
    hash bytea NOT NULL GENERATED ALWAYS AS (sha256('\x02'::bytea || statement)) STORED,
    previous_number bigint GENERATED ALWAYS AS (nullif(number - 1, 0)) STORED,
    previous_last bigint GENERATED ALWAYS AS (nullif(first - 1, 0)) STORED,
    PRIMARY KEY (ledger_id, number),
    CONSTRAINT seal_ends_once UNIQUE (ledger_id, last),
    CONSTRAINT seal_is_named_by_the_next UNIQUE (ledger_id, number, last, hash),
    CONSTRAINT seal_is_not_empty CHECK (number >= 1 AND first >= 1 AND last >= first),
    CONSTRAINT seal_first_has_nothing_before CHECK (
        (number = 1) = (first = 1) AND (number > 1 OR previous = decode(repeat('00', 32), 'hex'))),
    CONSTRAINT seal_continues FOREIGN KEY (ledger_id, previous_number, previous_last, previous)
        REFERENCES seal (ledger_id, number, last, hash),
    CONSTRAINT seal_key_is_known FOREIGN KEY (ledger_id, key_id) REFERENCES seal_key
);

-- A seal says what its columns say, covers every entry of its run, and is signed in the name of the key of the day.
-- Then its event leaves. (That the signature is right, PostgreSQL cannot tell: every reader checks it.)
CREATE FUNCTION seal_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    new_seal record;
    said jsonb;
BEGIN
    FOR new_seal IN SELECT a.*, l.name AS ledger FROM added a JOIN ledger l ON l.id = a.ledger_id LOOP
        said := convert_from(new_seal.statement, 'UTF8')::jsonb;
        IF said <> jsonb_build_object(
               'v', 1, 'type', 'seal', 'ledger', new_seal.ledger, 'number', new_seal.number, 'first', new_seal.first,
               'last', new_seal.last, 'entries', new_seal.last - new_seal.first + 1, 'root', encode(new_seal.root, 'hex'),
               'previous', encode(new_seal.previous, 'hex'), 'key', new_seal.key_id,
               'sealed_at', to_char(new_seal.sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) THEN
            PERFORM refuse('seal_says_what_it_is', format('seal %s says something else', new_seal.number));
        END IF;
        IF (SELECT count(*) FROM entry e WHERE e.ledger_id = new_seal.ledger_id
               AND e.sequence BETWEEN new_seal.first AND new_seal.last) <> new_seal.last - new_seal.first + 1 THEN
            PERFORM refuse('seal_covers_every_entry', format('entries are missing between %s and %s', new_seal.first, new_seal.last));
        END IF;
        IF new_seal.key_id <> (SELECT k.id FROM seal_key k
                                WHERE k.ledger_id = new_seal.ledger_id AND k.from_seal <= new_seal.number
                                ORDER BY k.from_seal DESC LIMIT 1) THEN
            PERFORM refuse('seal_key_is_current', format('key %s does not sign seal %s', new_seal.key_id, new_seal.number));
        END IF;
        INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
        SELECT hashtextextended(subject, 0) & 15, id, 'events', 'ledger.seal.made.v1', subject, new_seal.number,
               cloud_event(id, 'ledger.seal.made.v1', subject, new_seal.sealed_at, new_seal.number, NULL,
                   jsonb_build_object(
                       'ledger', new_seal.ledger, 'number', new_seal.number, 'first', new_seal.first, 'last', new_seal.last,
                       'entries', new_seal.last - new_seal.first + 1, 'hash', encode(new_seal.hash, 'hex'),
                       'statement', convert_from(new_seal.statement, 'UTF8'),
                       'signature', translate(encode(new_seal.signature, 'base64'), E'\n', '')))
          FROM (SELECT gen_random_uuid() AS id, 'seals/' || new_seal.ledger AS subject) event;
    END LOOP;
    RETURN NULL;
END $$;

-- A key begins where no seal has been made yet, and not before an older key.
CREATE FUNCTION seal_key_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM refuse('seal_key_begins_at_the_end', format('key %s would sign what is sealed', a.id))
       FROM added a
      WHERE EXISTS (SELECT FROM seal s WHERE s.ledger_id = a.ledger_id AND s.number >= a.from_seal)
         OR EXISTS (SELECT FROM seal_key k WHERE k.ledger_id = a.ledger_id AND k.from_seal > a.from_seal);
    RETURN NULL;
END $$;

CREATE TRIGGER seal_added AFTER INSERT ON seal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION seal_added();
CREATE TRIGGER seal_key_added AFTER INSERT ON seal_key
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION seal_key_added();
CREATE TRIGGER seal_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seal
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();
CREATE TRIGGER seal_key_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON seal_key
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

REVOKE ALL ON FUNCTION seal_added(), seal_key_added() FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ledger_sealer;
GRANT EXECUTE ON FUNCTION refuse(text, text) TO ledger_sealer;
GRANT SELECT ON ledger, head, entry, posting, account, seal, seal_key TO ledger_sealer;
GRANT SELECT ON schema_migrations TO ledger_sealer;
GRANT INSERT (ledger_id, number, first, last, root, previous, key_id, statement, signature, sealed_at) ON seal TO ledger_sealer;
GRANT INSERT (ledger_id, id, public_key, from_seal, endorsed_by, endorsement, signature) ON seal_key TO ledger_sealer;
GRANT SELECT ON seal, seal_key TO ledger_posting, ledger_reader;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ledger_sealer;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM ledger_sealer;
REVOKE USAGE ON SCHEMA public FROM ledger_sealer;
DROP TABLE seal, seal_key;
DROP FUNCTION seal_added, seal_key_added;
