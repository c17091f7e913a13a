-- migrate:up
-- Since when it is known whom identity knows a player as: a name that was changed since counts for no claim.
ALTER TABLE holder ADD COLUMN asked_at timestamptz NOT NULL DEFAULT '-infinity';
GRANT INSERT (asked_at), UPDATE (asked_at) ON holder TO payments_app;

-- migrate:down
ALTER TABLE holder DROP COLUMN asked_at;
