-- migrate:up transaction:false
-- Codes are found by their address.
CREATE INDEX CONCURRENTLY IF NOT EXISTS verification_of_addressee ON verification (addressee, purpose, created_at DESC);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS verification_of_addressee;
