-- The usual ledger on row locks, for comparison: balances locked in order, key, entry, postings, outbox.
CREATE TABLE account (id int PRIMARY KEY, balance numeric NOT NULL CHECK (balance >= 0), version bigint NOT NULL DEFAULT 0)
    WITH (fillfactor = 50);
INSERT INTO account (id, balance) SELECT g, 1e12 FROM generate_series(1, 10000) g;
CREATE TABLE idempotency (key uuid PRIMARY KEY, created_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE entry (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, key uuid NOT NULL REFERENCES idempotency,
    posted_at timestamptz NOT NULL DEFAULT now());
CREATE TABLE posting (entry bigint NOT NULL REFERENCES entry, account int NOT NULL REFERENCES account, amount numeric NOT NULL,
    PRIMARY KEY (entry, account));
CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, body jsonb NOT NULL);
ANALYZE account;
