-- migrate:up
-- What leaves, what arrived, and what was answered.

CREATE TABLE outbox_shard (
    shard smallint PRIMARY KEY CONSTRAINT outbox_shard_in_range CHECK (shard BETWEEN 0 AND 15),
    claim smallint NOT NULL DEFAULT 0
);
INSERT INTO outbox_shard (shard) SELECT generate_series(0, 15);

-- Events and commands to the ledger, in the order they happened to their aggregate.
CREATE TABLE outbox (
    shard smallint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body jsonb NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);

-- The answer to each mutation, under its key. `status` is null while a placement is under way.
CREATE TABLE idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL CONSTRAINT idempotency_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    status int,
    body json,
    resource text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT idempotency_key_is_used_once PRIMARY KEY (principal, key)
);

-- migrate:down
DROP TABLE idempotency, inbox, outbox, outbox_shard;
