-- migrate:up transaction:false
-- account_in_path_order serves prefixes too.
DROP INDEX CONCURRENTLY IF EXISTS account_by_path;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS account_by_path ON account (ledger_id, path text_pattern_ops);
