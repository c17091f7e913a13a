-- migrate:up
-- Least privilege. The owner is NOLOGIN and no runtime role is a member of it.
--   identity_app     registers people, replaces a password's hash; deletes nobody and changes no role, CURP or e-mail
--   identity_relay   takes events out of the outbox, sees nobody
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO identity_app, identity_relay;

GRANT SELECT, INSERT ON users TO identity_app;
GRANT UPDATE (password_hash) ON users TO identity_app;
GRANT SELECT, INSERT ON idempotency TO identity_app;
GRANT UPDATE (status, body, resource) ON idempotency TO identity_app;
GRANT INSERT ON outbox TO identity_app;

GRANT SELECT, DELETE ON outbox TO identity_relay;
GRANT SELECT ON outbox_shard TO identity_relay;
GRANT UPDATE (claim) ON outbox_shard TO identity_relay;

GRANT SELECT ON schema_migrations TO identity_app, identity_relay;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM identity_app, identity_relay;
