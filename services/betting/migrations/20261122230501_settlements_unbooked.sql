-- migrate:up transaction:false
-- The settler looks each second for how long the oldest settlement has waited for the ledger.
CREATE INDEX CONCURRENTLY IF NOT EXISTS settlement_unbooked ON settlement (settled_at) WHERE booked_at IS NULL;

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS settlement_unbooked;
