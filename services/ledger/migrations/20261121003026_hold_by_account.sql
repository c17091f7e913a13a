-- migrate:up transaction:false
-- The holds on one account.
CREATE INDEX CONCURRENTLY IF NOT EXISTS hold_by_account ON hold (account_id, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS hold_by_account;
