-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid, require-concurrent-index-creation
-- The new columns are NULL everywhere, so these checks and indexes have nothing to read but one quick scan.

-- What the journal can say beyond a plain entry: that it mirrors another, that it stands or falls with its
-- neighbours, when the hold it opens ends. And what is derived from that.

ALTER TABLE entry
    ADD COLUMN reverses uuid,
    ADD COLUMN link uuid,
    ADD COLUMN links smallint,
    ADD COLUMN hold_expires_at timestamptz;
-- No foreign keys: they cost every entry a row trigger. The statement triggers look (rules_depth).
ALTER TABLE entry
    ADD CONSTRAINT entry_link_is_whole CHECK ((link IS NULL) = (links IS NULL) AND (links IS NULL OR links BETWEEN 2 AND 100));
-- What was booked before this rule stays as it is.
ALTER TABLE entry
    ADD CONSTRAINT entry_effective_is_sane CHECK (
        effective_at >= '2000-01-01T00:00:00Z' AND effective_at <= posted_at + interval '10 minutes') NOT VALID;
CREATE UNIQUE INDEX entry_is_reversed_once ON entry (reverses) WHERE reverses IS NOT NULL;

-- `origin_id` is the account whose money it is: what is released or expires goes back there.
ALTER TABLE hold
    ADD COLUMN origin_id bigint,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN captured money_amount NOT NULL DEFAULT 0,
    ADD COLUMN released money_amount NOT NULL DEFAULT 0,
    ADD COLUMN expired boolean NOT NULL DEFAULT false,
    ADD COLUMN tells boolean NOT NULL DEFAULT false;
ALTER TABLE hold DISABLE TRIGGER hold_is_derived;
UPDATE hold h SET origin_id = o.account_id
  FROM (SELECT opening.ledger_id, opening.hold, min(debit.account_id) AS account_id
          FROM posting opening
          JOIN entry e ON e.ledger_id = opening.ledger_id AND e.sequence = opening.sequence
          JOIN kind k ON k.name = e.kind AND k.hold = 'open'
          JOIN posting debit ON debit.ledger_id = e.ledger_id AND debit.sequence = e.sequence AND debit.amount > 0
         WHERE opening.hold IS NOT NULL GROUP BY opening.ledger_id, opening.hold
        HAVING count(DISTINCT debit.account_id) = 1) o
 WHERE h.ledger_id = o.ledger_id AND h.id = o.hold;
UPDATE hold h SET captured = d.captured, released = d.released
  FROM (SELECT p.ledger_id, p.hold,
               coalesce(sum(p.amount) FILTER (WHERE k.draws = 'capture'), 0) AS captured,
               coalesce(sum(p.amount) FILTER (WHERE k.draws <> 'capture'), 0) AS released
          FROM posting p
          JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
          JOIN ledger l ON l.id = e.ledger_id
          JOIN kind k ON k.chart = l.chart AND k.name = e.kind AND k.hold = 'draw'
         WHERE p.hold IS NOT NULL GROUP BY p.ledger_id, p.hold) d
 WHERE h.ledger_id = d.ledger_id AND h.id = d.hold;
ALTER TABLE hold ENABLE TRIGGER hold_is_derived;
ALTER TABLE hold
    ADD CONSTRAINT hold_adds_up CHECK (opened = remaining + captured + released AND captured >= 0 AND released >= 0);
-- Closing an account asks for the open holds of its money.
CREATE INDEX hold_by_origin ON hold (origin_id);

-- An account that is closed takes no posting any more. Closing is for ever.
CREATE TABLE account_closing (
    account_id bigint PRIMARY KEY REFERENCES account,
    principal text NOT NULL,
    closed_at timestamptz NOT NULL DEFAULT statement_timestamp()
);
ALTER TABLE balance ADD COLUMN closed boolean NOT NULL DEFAULT false;

-- Holds expire in the name of the principal `ledger`; nobody else speaks in it.
ALTER TABLE api_key ADD CONSTRAINT api_key_is_not_the_ledgers_own CHECK (principal <> 'ledger');

-- What the tenant wants to know about an account. No rule reads it.
CREATE TABLE account_metadata (
    account_id bigint PRIMARY KEY REFERENCES account,
    metadata jsonb NOT NULL CONSTRAINT account_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    updated_at timestamptz NOT NULL DEFAULT statement_timestamp()
);

-- Durable deadlines (libs/common/common/deadlines.py). A deadline ends once, and for ever.
CREATE TABLE deadline (
    subject text NOT NULL CONSTRAINT deadline_subject_is_bounded CHECK (length(subject) BETWEEN 1 AND 200),
    kind text NOT NULL CONSTRAINT deadline_kind_is_bounded CHECK (length(kind) BETWEEN 1 AND 64),
    generation integer NOT NULL CONSTRAINT deadline_generation_from_one CHECK (generation >= 1),
    due_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'ARMED'
        CONSTRAINT deadline_state_is_known CHECK (state IN ('ARMED', 'DONE', 'CANCELLED', 'FAILED')),
    attempts integer NOT NULL DEFAULT 0,
    retry_at timestamptz NOT NULL,
    last_error text,
    armed_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation),
    CONSTRAINT deadline_ends_with_its_state CHECK ((state = 'ARMED') = (ended_at IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX deadline_armed ON deadline (retry_at) WHERE state = 'ARMED';

CREATE FUNCTION deadline_ends_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON deadline
    FOR EACH ROW EXECUTE FUNCTION deadline_ends_once();

-- migrate:down
DROP TABLE deadline, account_metadata, account_closing;
DROP FUNCTION deadline_ends_once;
ALTER TABLE api_key DROP CONSTRAINT api_key_is_not_the_ledgers_own;
ALTER TABLE balance DROP COLUMN closed;
ALTER TABLE hold DROP COLUMN origin_id, DROP COLUMN expires_at, DROP COLUMN captured, DROP COLUMN released,
    DROP COLUMN expired, DROP COLUMN tells;
ALTER TABLE entry DROP CONSTRAINT entry_effective_is_sane;
ALTER TABLE entry DROP COLUMN reverses, DROP COLUMN link, DROP COLUMN links, DROP COLUMN hold_expires_at;
