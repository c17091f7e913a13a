-- migrate:up
-- Least privilege. The owner is NOLOGIN and no runtime role is a member of it.
--   ledger_posting   appends entries, postings, refusals and opens accounts; locks the head
--   ledger_receipts  appends verified receipts, nothing else
--   ledger_keys      manages principals and API keys, sees no money
--   ledger_reader    reads
--   ledger_relay     takes events out of the outbox
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
-- The append-only triggers run as the caller, so that the refusal names what the caller tried.
GRANT EXECUTE ON FUNCTION refuse(text, text)
    TO ledger_posting, ledger_receipts, ledger_keys, ledger_reader, ledger_relay;
GRANT USAGE ON SCHEMA public TO ledger_posting, ledger_receipts, ledger_keys, ledger_reader, ledger_relay;

GRANT SELECT ON currency, chart, account_class, kind, kind_leg, ledger, head, principal, api_key, account, balance,
    entry, posting, refusal, hold, stake, settlement, receipt, receipt_use TO ledger_posting;
GRANT UPDATE (claim) ON head TO ledger_posting;
GRANT INSERT (ledger_id, path, currency) ON account TO ledger_posting;
GRANT INSERT (ledger_id, sequence, id, kind, legs, principal, idempotency_key, fingerprint, reference, metadata, receipt,
    settlement_version, settlement_total, settlement_chunk, settlement_chunks, traceparent, effective_at)
    ON entry TO ledger_posting;
GRANT INSERT ON posting TO ledger_posting;
GRANT INSERT (id, ledger_id, kind, principal, idempotency_key, fingerprint, reference, problem, traceparent)
    ON refusal TO ledger_posting;

GRANT SELECT ON receipt, ledger TO ledger_receipts;
GRANT INSERT (id, ledger_id, rail, tracking_key, document_sha256, purpose, account, amount, currency, occurred_at, key_id,
    attestation, signature) ON receipt TO ledger_receipts;

GRANT SELECT ON ledger, principal, api_key, kind TO ledger_keys;
GRANT INSERT ON principal, api_key TO ledger_keys;
GRANT UPDATE (kinds) ON principal TO ledger_keys;
GRANT UPDATE (revoked_at) ON api_key TO ledger_keys;

GRANT SELECT ON currency, chart, account_class, kind, kind_leg, ledger, head, principal, account, balance, entry, posting,
    refusal, hold, stake, settlement, receipt, receipt_use TO ledger_reader;
GRANT SELECT ON outbox TO ledger_reader;

GRANT SELECT, DELETE ON outbox TO ledger_relay;
GRANT SELECT ON outbox_shard TO ledger_relay;
GRANT UPDATE (claim) ON outbox_shard TO ledger_relay;
GRANT SELECT ON schema_migrations TO ledger_posting, ledger_receipts, ledger_reader, ledger_relay;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ledger_posting, ledger_receipts, ledger_keys, ledger_reader, ledger_relay;
