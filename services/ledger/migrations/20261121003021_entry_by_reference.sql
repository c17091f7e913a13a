-- migrate:up transaction:false
-- Everything about one business object, in order.
CREATE INDEX CONCURRENTLY IF NOT EXISTS entry_by_reference ON entry (ledger_id, reference, sequence);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS entry_by_reference;
