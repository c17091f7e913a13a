-- migrate:up
-- The journal and what is derived from it. Money is signed: a debit is positive, a credit negative.

-- An exact amount of money. NaN sorts above Infinity, so the upper bound refuses both. The number
-- of decimals is checked, never rounded to: a column with a scale would round silently.
CREATE DOMAIN money_amount AS numeric
    CONSTRAINT money_is_finite CHECK (VALUE > -1e18 AND VALUE < 1e18)
    CONSTRAINT money_is_exact CHECK (scale(VALUE) <= 6);

CREATE TABLE ledger (
    id smallint PRIMARY KEY,
    name text NOT NULL UNIQUE,
    chart text NOT NULL REFERENCES chart,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- The end of each ledger's total order. Every batch locks this row first, so commit order is
-- sequence order and two engines cannot deadlock. `claim` exists only so that the posting role
-- can hold an UPDATE privilege that lets it lock, and change nothing.
CREATE TABLE head (
    ledger_id smallint PRIMARY KEY REFERENCES ledger,
    sequence bigint NOT NULL DEFAULT 0,
    claim smallint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);

-- Who may post to a ledger, and which kinds.
CREATE TABLE principal (
    ledger_id smallint NOT NULL REFERENCES ledger,
    name text NOT NULL,
    kinds text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (ledger_id, name)
);

CREATE TABLE api_key (
    id uuid PRIMARY KEY,
    ledger_id smallint NOT NULL,
    principal text NOT NULL,
    digest bytea NOT NULL UNIQUE CONSTRAINT api_key_digest_is_sha256 CHECK (octet_length(digest) = 32),
    read_only boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    FOREIGN KEY (ledger_id, principal) REFERENCES principal
);

-- Accounts are opened on first posting. Everything but ledger, path and currency is derived from
-- the chart by a trigger, so an account cannot be given a class of someone's choosing.
CREATE TABLE account (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ledger_id smallint NOT NULL REFERENCES ledger,
    path text NOT NULL,
    currency text NOT NULL REFERENCES currency,
    class text NOT NULL,
    owner_kind text,
    owner text,
    side smallint NOT NULL,
    floored boolean NOT NULL,
    requires_hold boolean NOT NULL,
    exponent smallint NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_path_is_unique UNIQUE (ledger_id, path, currency)
);
CREATE INDEX account_by_path ON account (ledger_id, path text_pattern_ops);

-- One row per account; `sequence` counts its postings. Written only by the journal's triggers.
CREATE TABLE balance (
    account_id bigint PRIMARY KEY REFERENCES account,
    amount money_amount NOT NULL DEFAULT 0,
    sequence bigint NOT NULL DEFAULT 0,
    side smallint NOT NULL,
    floored boolean NOT NULL,
    CONSTRAINT balance_not_below_floor CHECK (NOT floored OR amount * side >= 0)
) WITH (fillfactor = 50);

CREATE TABLE entry (
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    legs smallint NOT NULL CONSTRAINT entry_has_two_legs CHECK (legs >= 2),
    principal text NOT NULL,
    idempotency_key text NOT NULL CONSTRAINT entry_key_is_bounded CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    fingerprint bytea NOT NULL CONSTRAINT entry_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    reference text NOT NULL CONSTRAINT entry_reference_is_bounded CHECK (length(reference) BETWEEN 1 AND 200),
    metadata jsonb NOT NULL DEFAULT '{}' CONSTRAINT entry_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    receipt uuid,
    settlement_version integer,
    settlement_total money_amount,
    settlement_chunk integer,
    settlement_chunks integer,
    traceparent text,
    effective_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    posted_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (ledger_id, sequence),
    CONSTRAINT entry_id_is_unique UNIQUE (id),
    CONSTRAINT entry_settlement_is_whole CHECK (
        num_nulls(settlement_version, settlement_total, settlement_chunk, settlement_chunks) IN (0, 4)
        AND (settlement_version IS NULL
             OR settlement_version >= 1 AND settlement_chunk BETWEEN 1 AND settlement_chunks))
);
CREATE UNIQUE INDEX entry_settlement_chunk_is_unique
    ON entry (ledger_id, reference, settlement_version, settlement_chunk) WHERE settlement_version IS NOT NULL;

CREATE TABLE posting (
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    leg smallint NOT NULL,
    account_id bigint NOT NULL,
    account_sequence bigint NOT NULL,
    amount money_amount NOT NULL CONSTRAINT posting_is_not_zero CHECK (amount <> 0),
    balance money_amount NOT NULL,
    hold uuid,
    PRIMARY KEY (ledger_id, sequence, leg),
    CONSTRAINT posting_account_sequence_is_unique UNIQUE (account_id, account_sequence)
);

-- The stored answer to a command that was refused for a business reason. A command is either
-- posted or refused, for ever: the triggers hold the two tables disjoint.
CREATE TABLE refusal (
    id uuid PRIMARY KEY,
    ledger_id smallint NOT NULL REFERENCES ledger,
    kind text NOT NULL,
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL CONSTRAINT refusal_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    reference text NOT NULL,
    problem jsonb NOT NULL,
    traceparent text,
    refused_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- Money set aside for one purpose of one owner: an offer, a withdrawal. Drawn only by entries with
-- the reference it was opened under, and only on the account it was opened on.
CREATE TABLE hold (
    ledger_id smallint NOT NULL REFERENCES ledger,
    id uuid NOT NULL,
    account_id bigint NOT NULL REFERENCES account,
    reference text NOT NULL,
    opened money_amount NOT NULL,
    remaining money_amount NOT NULL,
    PRIMARY KEY (ledger_id, id),
    CONSTRAINT hold_remaining_not_negative CHECK (remaining >= 0 AND remaining <= opened)
) WITH (fillfactor = 70);

-- What each player put into a market's escrow, and what a void gave back of it.
CREATE TABLE stake (
    ledger_id smallint NOT NULL REFERENCES ledger,
    reference text NOT NULL,
    player text NOT NULL,
    contributed money_amount NOT NULL,
    returned money_amount NOT NULL DEFAULT 0,
    PRIMARY KEY (ledger_id, reference, player),
    CONSTRAINT stake_returns_no_more_than_given CHECK (returned >= 0 AND returned <= contributed)
) WITH (fillfactor = 70);

-- The header of a settlement: opened by its first chunk, closed by its last, which must leave the
-- escrow at exactly zero. From opening on the market's escrow takes no more stakes.
CREATE TABLE settlement (
    ledger_id smallint NOT NULL REFERENCES ledger,
    reference text NOT NULL,
    version integer NOT NULL,
    escrow_id bigint NOT NULL REFERENCES account,
    total money_amount NOT NULL,
    paid money_amount NOT NULL DEFAULT 0,
    chunks integer NOT NULL,
    posted integer NOT NULL DEFAULT 0,
    state text NOT NULL DEFAULT 'OPEN' CONSTRAINT settlement_state_is_known CHECK (state IN ('OPEN', 'CLOSED')),
    PRIMARY KEY (ledger_id, reference, version),
    CONSTRAINT settlement_pays_its_total CHECK (paid <= total AND (state = 'OPEN') = (posted < chunks)
                                                AND (state = 'OPEN' OR paid = total))
);

-- Attested receipts: the only way money comes in. Written only by the receipts process, which
-- has verified the attestor's signature.
CREATE TABLE receipt (
    id uuid PRIMARY KEY,
    ledger_id smallint NOT NULL REFERENCES ledger,
    rail text NOT NULL,
    tracking_key text NOT NULL CONSTRAINT receipt_tracking_key_is_canonical CHECK (tracking_key = upper(btrim(tracking_key))),
    document_sha256 bytea NOT NULL CONSTRAINT receipt_document_is_sha256 CHECK (octet_length(document_sha256) = 32),
    purpose text NOT NULL,
    account text NOT NULL,
    amount money_amount NOT NULL CONSTRAINT receipt_amount_is_positive CHECK (amount > 0),
    currency text NOT NULL REFERENCES currency,
    occurred_at timestamptz NOT NULL,
    key_id text NOT NULL,
    attestation bytea NOT NULL,
    signature bytea NOT NULL CONSTRAINT receipt_signature_is_ed25519 CHECK (octet_length(signature) = 64),
    stored_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    CONSTRAINT receipt_tracking_key_is_unique UNIQUE (ledger_id, rail, tracking_key),
    CONSTRAINT receipt_document_is_unique UNIQUE (ledger_id, rail, document_sha256),
    CONSTRAINT receipt_is_bound UNIQUE (id, ledger_id, purpose, account, amount, currency)
);

-- A receipt spent: once, by one entry, for exactly its purpose, account and amount.
CREATE TABLE receipt_use (
    receipt_id uuid NOT NULL,
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    amount money_amount NOT NULL,
    currency text NOT NULL,
    CONSTRAINT receipt_is_spent_once PRIMARY KEY (receipt_id),
    CONSTRAINT receipt_matches_entry FOREIGN KEY (receipt_id, ledger_id, purpose, account, amount, currency)
        REFERENCES receipt (id, ledger_id, purpose, account, amount, currency),
    CONSTRAINT receipt_use_entry_exists FOREIGN KEY (ledger_id, sequence) REFERENCES entry
);

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
DROP TABLE outbox, outbox_shard, receipt_use, receipt, settlement, stake, hold, refusal, posting, entry,
    balance, account, api_key, principal, head, ledger;
DROP DOMAIN money_amount;
