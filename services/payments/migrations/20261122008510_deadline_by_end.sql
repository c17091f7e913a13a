-- migrate:up transaction:false
-- What ended longest ago is forgotten first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS deadline_by_end ON deadline (ended_at) WHERE state IN ('DONE', 'CANCELLED');

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS deadline_by_end;
