-- migrate:up transaction:false
-- By person they are not looked for any more.
DROP INDEX CONCURRENTLY IF EXISTS verification_of_user;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS verification_of_user ON verification (user_id, purpose, created_at DESC);
