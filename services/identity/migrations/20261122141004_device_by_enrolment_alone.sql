-- migrate:up transaction:false
-- The index by enrolment finds somebody's devices as well.
DROP INDEX CONCURRENTLY IF EXISTS device_of_user;

-- migrate:down transaction:false
CREATE INDEX CONCURRENTLY IF NOT EXISTS device_of_user ON device (user_id);
