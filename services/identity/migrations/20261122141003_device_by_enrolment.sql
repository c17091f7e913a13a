-- migrate:up transaction:false
-- Somebody's devices are listed a page at a time, the newest first.
CREATE INDEX CONCURRENTLY IF NOT EXISTS device_by_enrolment ON device (user_id, enrolled_at, id);

-- migrate:down transaction:false
DROP INDEX CONCURRENTLY IF EXISTS device_by_enrolment;
