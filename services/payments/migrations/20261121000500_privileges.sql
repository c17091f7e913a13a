-- migrate:up
-- Least privilege. The owner is NOLOGIN and no runtime role is a member of it.
--   payments_app       takes claims and requests, books what is attested, pays out; cannot attest
--   payments_attestor  decides claims and signs; cannot book, pay, change an amount or order the ledger
--   payments_relay     takes events out of the outbox
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO payments_app, payments_attestor, payments_relay;
-- Triggers and checks run as the caller, so that a refusal can depend on who tried.
GRANT EXECUTE ON FUNCTION clabe_is_valid(text), refuse_rewriting(), deposit_takes_a_step(), withdrawal_takes_a_step()
    TO payments_app, payments_attestor;

GRANT SELECT ON player_clabe, deposit, deposit_step, attestation, payout_clabe, withdrawal, withdrawal_step, history,
    idempotency TO payments_app;
GRANT USAGE ON SEQUENCE clabe_serial TO payments_app;
GRANT INSERT (player, clabe) ON player_clabe TO payments_app;
GRANT INSERT (id, player, clave, operation_date, institution, tracking_key, amount, currency, window_ends_at, claimed_at)
    ON deposit TO payments_app;
GRANT UPDATE (state, reason, entry_id, version, due_at, tries, leases) ON deposit TO payments_app;
GRANT INSERT (player, clabe, deposit_id) ON payout_clabe TO payments_app;
GRANT INSERT (id, player, clabe, beneficiary_name, amount, currency, requested_at) ON withdrawal TO payments_app;
GRANT UPDATE (state, reason, detail, attention, clave, sends, sent_at, version, due_at, tries, leases)
    ON withdrawal TO payments_app;
GRANT INSERT (principal, key, fingerprint, resource) ON idempotency TO payments_app;
GRANT UPDATE (status, body, resource) ON idempotency TO payments_app;
GRANT INSERT ON inbox TO payments_app;

GRANT SELECT ON player_clabe, deposit, deposit_step, attestation TO payments_attestor;
GRANT UPDATE (state, reason, receipt_id, version, due_at, tries, leases) ON deposit TO payments_attestor;
GRANT INSERT ON attestation TO payments_attestor;

GRANT INSERT (subject, subject_id, state, event, answer) ON history TO payments_app, payments_attestor;

-- The attestor tells events; a command to the ledger is not its to give.
GRANT INSERT ON outbox TO payments_app, payments_attestor;
ALTER TABLE outbox ENABLE ROW LEVEL SECURITY;
CREATE POLICY app_tells_anything ON outbox FOR INSERT TO payments_app WITH CHECK (true);
CREATE POLICY attestor_tells_events ON outbox FOR INSERT TO payments_attestor WITH CHECK (exchange = 'events');
CREATE POLICY relay_takes_all ON outbox TO payments_relay USING (true);
GRANT SELECT, DELETE ON outbox TO payments_relay;
GRANT SELECT ON outbox_shard TO payments_relay;
GRANT UPDATE (claim) ON outbox_shard TO payments_relay;
GRANT SELECT ON schema_migrations TO payments_app, payments_attestor, payments_relay;

-- migrate:down
DROP POLICY app_tells_anything ON outbox;
DROP POLICY attestor_tells_events ON outbox;
DROP POLICY relay_takes_all ON outbox;
ALTER TABLE outbox DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM payments_app, payments_attestor, payments_relay;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM payments_app, payments_attestor, payments_relay;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM payments_app, payments_attestor, payments_relay;
REVOKE USAGE ON SCHEMA public FROM payments_app, payments_attestor, payments_relay;
