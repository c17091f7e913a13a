-- migrate:up transaction:false
-- What was heard longest ago is forgotten first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS inbox_by_age ON inbox (received_at);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS inbox_by_age;
