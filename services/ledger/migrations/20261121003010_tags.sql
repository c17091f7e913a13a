-- migrate:up
-- Metadata, findable: one row per key and value of an entry, in the entry's own order. A GIN index would give a common
-- value's entries unordered, and a page of them would first sort them all.
CREATE TABLE entry_tag (
    ledger_id smallint NOT NULL REFERENCES ledger,
    key text NOT NULL,
    value text NOT NULL,
    sequence bigint NOT NULL,
    PRIMARY KEY (ledger_id, key, value, sequence)
);

CREATE FUNCTION entry_tagged() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO entry_tag (ledger_id, key, value, sequence)
    SELECT e.ledger_id, tag.key, tag.value, e.sequence
      FROM added e, jsonb_each_text(e.metadata) tag WHERE e.metadata <> '{}';
    RETURN NULL;
END $$;

CREATE TRIGGER entry_tagged AFTER INSERT ON entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entry_tagged();
CREATE TRIGGER entry_tag_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON entry_tag
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();
CREATE TRIGGER entry_tag_is_derived BEFORE INSERT ON entry_tag
    FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal();

-- The trigger above only sees what is posted from now on. The migrator is no trigger: for once its rows may come in.
ALTER TABLE entry_tag DISABLE TRIGGER entry_tag_is_derived;
INSERT INTO entry_tag (ledger_id, key, value, sequence)
SELECT e.ledger_id, tag.key, tag.value, e.sequence FROM entry e, jsonb_each_text(e.metadata) tag WHERE e.metadata <> '{}';
ALTER TABLE entry_tag ENABLE TRIGGER entry_tag_is_derived;

REVOKE ALL ON FUNCTION entry_tagged() FROM PUBLIC;
GRANT SELECT ON entry_tag TO ledger_posting, ledger_reader;

-- migrate:down
DROP TRIGGER entry_tagged ON entry;
DROP FUNCTION entry_tagged;
DROP TABLE entry_tag;
