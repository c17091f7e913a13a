-- The tables of outbox and inbox, as every service's migrations make them. Nothing runs this file but tests:
-- a service's migrations are its own, and tools/tests/test_outboxes.py compares what they made with this.

CREATE TABLE outbox_shard (
    shard smallint PRIMARY KEY CONSTRAINT outbox_shard_in_range CHECK (shard BETWEEN 0 AND 15),
    claim smallint NOT NULL DEFAULT 0
);
INSERT INTO outbox_shard (shard) SELECT generate_series(0, 15);

CREATE TABLE outbox_sent (
    shard smallint PRIMARY KEY CONSTRAINT outbox_sent_is_of_a_shard REFERENCES outbox_shard,
    until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO outbox_sent (shard) SELECT shard FROM outbox_shard;

CREATE TABLE outbox (
    shard smallint NOT NULL,
    id bigint GENERATED ALWAYS AS IDENTITY,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body json NOT NULL,
    headers jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (shard, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);

-- For those who consume. The second one only for those who keep a copy of what events tell.
CREATE TABLE inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE TABLE inbox_version (
    consumer text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    PRIMARY KEY (consumer, aggregate)
);
