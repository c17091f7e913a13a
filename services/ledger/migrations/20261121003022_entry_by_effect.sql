-- migrate:up transaction:false
-- Entries by the time they take effect, which may be before they were posted.
CREATE INDEX CONCURRENTLY IF NOT EXISTS entry_by_effect ON entry (ledger_id, effective_at, sequence);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS entry_by_effect;
