-- migrate:up
-- Up to which id the rows of a shard have begun to be sent. The relay commits it by itself before it sends, so
-- that whoever takes a shard over from a dead relay knows which rows consumers may see twice, and counts them.
CREATE TABLE outbox_sent (
    shard smallint PRIMARY KEY CONSTRAINT outbox_sent_is_of_a_shard REFERENCES outbox_shard,
    until bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 10);
INSERT INTO outbox_sent (shard) SELECT shard FROM outbox_shard;

GRANT SELECT, UPDATE (until) ON outbox_sent TO ledger_relay;

-- migrate:down
DROP TABLE outbox_sent;
