-- migrate:up
-- One row per used key: the request's fingerprint (which never covers a password) and the answer given.
CREATE TABLE idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL CONSTRAINT idempotency_fingerprint_is_sha256 CHECK (octet_length(fingerprint) = 32),
    status int,
    body json,
    resource text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, key)
);

-- migrate:down
DROP TABLE idempotency;
