-- migrate:up transaction:false
-- Entries of a kind, a page at a time. Appended to at a dozen places, so it costs a post next to nothing.
CREATE INDEX CONCURRENTLY IF NOT EXISTS entry_by_kind ON entry (ledger_id, kind, sequence);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS entry_by_kind;
