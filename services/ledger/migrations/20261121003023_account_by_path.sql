-- migrate:up transaction:false
-- Accounts in path order: pages and prefixes, whatever the database's collation.
CREATE INDEX CONCURRENTLY IF NOT EXISTS account_in_path_order ON account (ledger_id, path COLLATE "C", currency COLLATE "C");

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS account_in_path_order;
