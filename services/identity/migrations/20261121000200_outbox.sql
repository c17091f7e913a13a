-- migrate:up
-- Events leave only through here, in the transaction that makes them true. A relay claims a shard by
-- locking its row; `claim` exists so that it can hold the UPDATE privilege a lock needs.
CREATE TABLE outbox_shard (
    shard smallint PRIMARY KEY CONSTRAINT outbox_shard_in_range CHECK (shard BETWEEN 0 AND 15),
    claim smallint NOT NULL DEFAULT 0
);
INSERT INTO outbox_shard (shard) SELECT generate_series(0, 15);

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

-- migrate:down
DROP TABLE outbox, outbox_shard;
