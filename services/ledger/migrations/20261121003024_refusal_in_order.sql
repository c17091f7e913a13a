-- migrate:up transaction:false
-- Refusals in the order they were given.
CREATE INDEX CONCURRENTLY IF NOT EXISTS refusal_in_order ON refusal (ledger_id, refused_at, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS refusal_in_order;
