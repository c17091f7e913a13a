-- migrate:up
-- How each market was paid out. A market has one settlement per version, a bettor one share of it and
-- a share one chunk: nothing can be paid twice.

CREATE TABLE settlement (
    market_id uuid NOT NULL REFERENCES market,
    version integer NOT NULL CONSTRAINT settlement_version_is_positive CHECK (version >= 1),
    outcome text NOT NULL CONSTRAINT settlement_outcome_is_known CHECK (outcome IN ('A', 'B', 'PUSH', 'VOID')),
    total amount NOT NULL,
    chunks integer NOT NULL CONSTRAINT settlement_chunks_carry_total CHECK ((chunks = 0) = (total = 0)),
    settled_at timestamptz NOT NULL DEFAULT now(),
    booked_at timestamptz,
    PRIMARY KEY (market_id, version)
);

-- One ledger entry of a settlement. `entry_sequence` is the ledger's answer.
CREATE TABLE settlement_chunk (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    chunk integer NOT NULL CONSTRAINT settlement_chunk_is_numbered CHECK (chunk >= 1),
    total amount NOT NULL CONSTRAINT settlement_chunk_pays CHECK (total > 0),
    entry_sequence bigint,
    booked_at timestamptz,
    CONSTRAINT settlement_chunk_is_unique PRIMARY KEY (market_id, version, chunk),
    CONSTRAINT settlement_chunk_has_header FOREIGN KEY (market_id, version) REFERENCES settlement,
    CONSTRAINT settlement_chunk_booked_by_entry CHECK ((entry_sequence IS NULL) = (booked_at IS NULL))
);

-- A bettor's share, losers included. Whoever receives anything, or pays commission, is in a chunk.
CREATE TABLE settlement_share (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    user_id uuid NOT NULL,
    chunk integer,
    staked amount NOT NULL CONSTRAINT settlement_share_staked CHECK (staked > 0),
    payout amount NOT NULL,
    commission amount NOT NULL,
    CONSTRAINT settlement_share_is_unique PRIMARY KEY (market_id, version, user_id),
    CONSTRAINT settlement_share_has_header FOREIGN KEY (market_id, version) REFERENCES settlement,
    CONSTRAINT settlement_share_has_chunk FOREIGN KEY (market_id, version, chunk) REFERENCES settlement_chunk,
    CONSTRAINT settlement_share_is_in_a_chunk CHECK ((payout + commission > 0) = (chunk IS NOT NULL)),
    CONSTRAINT settlement_share_commission_on_profit CHECK (commission = 0 OR payout > staked)
);
CREATE INDEX settlement_share_of_user ON settlement_share (user_id, market_id);

-- migrate:down
DROP TABLE settlement_share, settlement_chunk, settlement;
