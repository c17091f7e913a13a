-- migrate:up transaction:false
-- The holds of one business object.
CREATE INDEX CONCURRENTLY IF NOT EXISTS hold_by_reference ON hold (ledger_id, reference, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS hold_by_reference;
