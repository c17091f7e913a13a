-- migrate:up
-- Cards: a payment is authorised once, captured in parts, voided or refunded. Each of these is an operation
-- with a key of its own at the provider, persisted before the provider hears of it.

CREATE TABLE card_payment (
    id uuid PRIMARY KEY,
    player uuid NOT NULL,
    psp text NOT NULL CONSTRAINT card_payment_psp_has_its_form CHECK (psp ~ '^[a-z0-9-]{1,32}$'),
    card_token text NOT NULL CONSTRAINT card_payment_token_is_bounded CHECK (length(card_token) BETWEEN 1 AND 200),
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT card_payment_is_in_pesos CHECK (currency = 'MXN'),
    capture_at_once boolean NOT NULL,
    state text NOT NULL DEFAULT 'CREATED' CONSTRAINT card_payment_state_is_known CHECK (state IN (
        'CREATED', 'AUTHORIZING', 'REQUIRES_ACTION', 'AUTHORIZED', 'CAPTURING', 'CAPTURED', 'SETTLED',
        'VOIDING', 'VOIDED', 'EXPIRED', 'DECLINED', 'CONFLICTED')),
    reason text,
    -- The provider's id of the authorization, and until when it says that it stands.
    psp_id text CONSTRAINT card_payment_psp_id_is_unique UNIQUE,
    expires_at timestamptz,
    -- What is asked for and what is confirmed, in pesos. Kept by the trigger below, never written by a role.
    capturing numeric NOT NULL DEFAULT 0,
    captured numeric NOT NULL DEFAULT 0,
    refunding numeric NOT NULL DEFAULT 0,
    disputed numeric NOT NULL DEFAULT 0 CONSTRAINT card_payment_disputed_is_not_negative CHECK (disputed >= 0),
    version bigint NOT NULL DEFAULT 1,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT card_payment_captures_no_more_than_authorized CHECK (capturing <= amount),
    CONSTRAINT card_payment_refunds_no_more_than_captured CHECK (refunding <= 0 OR refunding + disputed <= captured)
);
CREATE INDEX card_payment_by_player ON card_payment (player, created_at DESC, id DESC);

CREATE TABLE card_operation (
    id uuid PRIMARY KEY,
    payment_id uuid NOT NULL REFERENCES card_payment,
    act text NOT NULL CONSTRAINT card_operation_act_is_known CHECK (act IN ('authorize', 'capture', 'void', 'refund')),
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT card_operation_is_in_pesos CHECK (currency = 'MXN'),
    state text NOT NULL DEFAULT 'REQUESTED' CONSTRAINT card_operation_state_is_known CHECK (state IN (
        'REQUESTED', 'RESERVED', 'REFUSED', 'SENDING', 'UNKNOWN', 'PENDING', 'CONFIRMED', 'BOOKED', 'SETTLED',
        'CLEARED', 'FAILED', 'RELEASED', 'REVERSING', 'REVERSED', 'CONFLICTED')),
    reason text,
    attention text,
    -- The provider's id; one object there is one operation here.
    psp_id text CONSTRAINT card_operation_psp_id_is_unique UNIQUE,
    -- Where a capture's money stands in the ledger and where a refund's was taken from: `uncleared` until the
    -- provider has paid it out, then `available`.
    stands_in text NOT NULL DEFAULT 'uncleared'
        CONSTRAINT card_operation_stands_in_is_known CHECK (stands_in IN ('uncleared', 'available')),
    sends integer NOT NULL DEFAULT 0 CONSTRAINT card_operation_sends_are_counted CHECK (sends BETWEEN 0 AND 5),
    sent_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT card_operation_sends_have_a_time CHECK ((sent_at IS NULL) = (sends = 0)),
    CONSTRAINT card_operation_confirmed_has_an_object
        CHECK (state NOT IN ('CONFIRMED', 'BOOKED', 'SETTLED', 'CLEARED', 'REVERSING', 'REVERSED') OR psp_id IS NOT NULL),
    CONSTRAINT card_operation_end_has_a_reason
        CHECK (state NOT IN ('REFUSED', 'FAILED', 'RELEASED', 'CONFLICTED') OR reason IS NOT NULL)
);
CREATE UNIQUE INDEX card_operation_authorizes_once ON card_operation (payment_id) WHERE act = 'authorize';
CREATE UNIQUE INDEX card_operation_voids_one_at_a_time ON card_operation (payment_id)
    WHERE act = 'void' AND state NOT IN ('FAILED', 'REFUSED', 'CONFLICTED');
CREATE INDEX card_operation_due ON card_operation (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX card_operation_by_payment ON card_operation (payment_id, requested_at);

-- Which state may follow which, for each act. SENDING and UNKNOWN are twins: what the provider has not got, by
-- its own word and after its window, is sent again under the same key.
CREATE TABLE card_step (
    act text NOT NULL,
    before text NOT NULL,
    after text NOT NULL,
    PRIMARY KEY (act, before, after)
);
INSERT INTO card_step (act, before, after)
SELECT act, before, after
  FROM unnest(ARRAY['authorize', 'capture', 'void', 'refund']) AS act,
       (VALUES ('', 'REQUESTED'), ('REQUESTED', 'REFUSED'),
               ('SENDING', 'UNKNOWN'), ('UNKNOWN', 'SENDING'),
               ('SENDING', 'PENDING'), ('UNKNOWN', 'PENDING'),
               ('SENDING', 'CONFIRMED'), ('UNKNOWN', 'CONFIRMED'), ('PENDING', 'CONFIRMED'),
               ('SENDING', 'FAILED'), ('UNKNOWN', 'FAILED'), ('PENDING', 'FAILED'),
               ('SENDING', 'CONFLICTED'), ('UNKNOWN', 'CONFLICTED'), ('PENDING', 'CONFLICTED')) AS step (before, after)
UNION ALL
SELECT act, 'REQUESTED', 'SENDING' FROM unnest(ARRAY['authorize', 'capture', 'void']) AS act
UNION ALL
VALUES ('capture', 'CONFIRMED', 'BOOKED'), ('capture', 'CONFIRMED', 'CONFLICTED'), ('capture', 'BOOKED', 'SETTLED'),
       ('capture', 'SETTLED', 'CLEARED'),
       ('refund', 'REQUESTED', 'RESERVED'), ('refund', 'RESERVED', 'SENDING'), ('refund', 'CONFIRMED', 'BOOKED'),
       ('refund', 'FAILED', 'RELEASED'), ('refund', 'BOOKED', 'REVERSING'), ('refund', 'REVERSING', 'REVERSED'),
       ('refund', 'REVERSING', 'CONFLICTED');

CREATE FUNCTION card_operation_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM card_step AS step
            WHERE step.act = NEW.act AND step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'card operation %: a % does not go from "%" to "%"', NEW.id, NEW.act, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_follows_its_states';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.psp_id IS NOT NULL AND NEW.psp_id IS DISTINCT FROM OLD.psp_id THEN
        RAISE EXCEPTION 'card operation %: it is another object at the provider', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_psp_id_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER card_operation_follows_its_states BEFORE INSERT OR UPDATE ON card_operation
    FOR EACH ROW EXECUTE FUNCTION card_operation_takes_a_step();

-- What the operations of a payment add up to. SECURITY DEFINER: no role may write the sums itself.
CREATE FUNCTION card_payment_adds_up() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.act IN ('capture', 'refund') THEN
        PERFORM FROM card_payment WHERE id = NEW.payment_id FOR UPDATE;
        UPDATE card_payment p
           SET capturing = s.capturing, captured = s.captured, refunding = s.refunding
          FROM (SELECT coalesce(sum(amount) FILTER (WHERE act = 'capture'
                                    AND state NOT IN ('REFUSED', 'FAILED')), 0) AS capturing,
                       coalesce(sum(amount) FILTER (WHERE act = 'capture'
                                    AND state IN ('CONFIRMED', 'BOOKED', 'SETTLED', 'CLEARED')), 0) AS captured,
                       coalesce(sum(amount) FILTER (WHERE act = 'refund'
                                    AND state NOT IN ('REFUSED', 'FAILED', 'RELEASED', 'REVERSED')), 0) AS refunding
                  FROM card_operation WHERE payment_id = NEW.payment_id) s
         WHERE p.id = NEW.payment_id
           AND (p.capturing, p.captured, p.refunding) IS DISTINCT FROM (s.capturing, s.captured, s.refunding);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER card_payment_adds_up AFTER INSERT OR UPDATE OF state ON card_operation
    FOR EACH ROW EXECUTE FUNCTION card_payment_adds_up();

-- A payment's state never falls back in rank: a late, lower-ranked event changes nothing.
CREATE TABLE card_rank (
    state text PRIMARY KEY,
    rank smallint NOT NULL CONSTRAINT card_rank_is_small CHECK (rank BETWEEN 0 AND 9)
);
INSERT INTO card_rank (state, rank) VALUES
    ('CREATED', 0), ('AUTHORIZING', 1), ('REQUIRES_ACTION', 2), ('AUTHORIZED', 3), ('CAPTURING', 4), ('VOIDING', 4),
    ('CAPTURED', 5), ('SETTLED', 6), ('VOIDED', 7), ('EXPIRED', 7), ('DECLINED', 7), ('CONFLICTED', 7);

CREATE FUNCTION card_payment_keeps_its_rank() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT rank FROM card_rank WHERE state = NEW.state) < (SELECT rank FROM card_rank WHERE state = OLD.state)
            AND NOT (OLD.state = 'VOIDING' AND NEW.state = 'AUTHORIZED')
            AND NOT (OLD.state = 'CAPTURING' AND NEW.state = 'AUTHORIZED')
            AND NOT (OLD.state IN ('VOIDED', 'EXPIRED') AND NEW.state IN ('CAPTURED', 'SETTLED')) THEN
        RAISE EXCEPTION 'card payment %: % is behind %', NEW.id, NEW.state, OLD.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_payment_keeps_its_rank';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER card_payment_keeps_its_rank BEFORE UPDATE OF state ON card_payment
    FOR EACH ROW EXECUTE FUNCTION card_payment_keeps_its_rank();

-- Every webhook with the bytes it came as. A webhook is a hint: applied means that the object it names was
-- fetched, and that what was fetched was applied.
CREATE TABLE webhook (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    source text NOT NULL CONSTRAINT webhook_source_has_its_form CHECK (source ~ '^[a-z0-9-]{1,32}$'),
    webhook_id text NOT NULL CONSTRAINT webhook_id_is_bounded CHECK (length(webhook_id) BETWEEN 1 AND 128),
    sent_at timestamptz NOT NULL,
    raw bytea NOT NULL CONSTRAINT webhook_is_bounded CHECK (octet_length(raw) <= 65536),
    object_id text,
    state text NOT NULL DEFAULT 'RECEIVED' CONSTRAINT webhook_state_is_known CHECK (state IN ('RECEIVED', 'APPLIED', 'IGNORED')),
    outcome text,
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    received_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT webhook_comes_once UNIQUE (source, webhook_id)
);
CREATE INDEX webhook_due ON webhook (due_at) WHERE due_at IS NOT NULL;

-- The provider's settlement files, as they came, and what became of each of their lines.
CREATE TABLE payout_file (
    id uuid PRIMARY KEY,
    psp text NOT NULL,
    name text NOT NULL CONSTRAINT payout_file_name_is_bounded CHECK (length(name) BETWEEN 1 AND 120),
    sha256 bytea NOT NULL CONSTRAINT payout_file_is_unique UNIQUE,
    raw text NOT NULL CONSTRAINT payout_file_is_the_hashed_one CHECK (sha256(convert_to(raw, 'UTF8')) = sha256),
    opening numeric,
    closing numeric,
    gross numeric,
    fees numeric,
    state text NOT NULL CONSTRAINT payout_file_state_is_known CHECK (state IN ('MATCHED', 'REJECTED')),
    reason text,
    imported_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payout_file_name_comes_once UNIQUE (psp, name)
);
CREATE TABLE payout_line (
    file_id uuid NOT NULL REFERENCES payout_file,
    line integer NOT NULL CONSTRAINT payout_line_from_one CHECK (line >= 1),
    psp_id text NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    fee numeric NOT NULL,
    operation_id uuid REFERENCES card_operation,
    break_class text CONSTRAINT payout_line_break_is_known CHECK (break_class IN (
        'MISSING_INTERNAL', 'MISSING_EXTERNAL', 'AMOUNT_MISMATCH', 'DUPLICATE', 'TIMING_OR_STATE')),
    PRIMARY KEY (file_id, line),
    CONSTRAINT payout_line_is_in_one_bucket CHECK ((operation_id IS NULL) = (break_class IS NOT NULL))
);
-- A matched line is reserved: no second line can settle the same operation.
CREATE UNIQUE INDEX payout_line_settles_once ON payout_line (operation_id, kind) WHERE operation_id IS NOT NULL;

CREATE TRIGGER payout_file_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_file
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER payout_line_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

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
GRANT EXECUTE ON FUNCTION card_operation_takes_a_step(), card_payment_keeps_its_rank(), deadline_ends_once() TO payments_app, payments_attestor;
GRANT SELECT ON card_payment, card_operation, card_step, card_rank, webhook, payout_file, payout_line, deadline TO payments_app;
GRANT INSERT (id, player, psp, card_token, amount, currency, capture_at_once, created_at) ON card_payment TO payments_app;
GRANT UPDATE (state, reason, psp_id, expires_at, disputed, version) ON card_payment TO payments_app;
GRANT INSERT (id, payment_id, act, amount, currency, stands_in, requested_at, due_at) ON card_operation TO payments_app;
GRANT UPDATE (state, reason, attention, psp_id, stands_in, sends, sent_at, version, due_at, tries, leases) ON card_operation TO payments_app;
GRANT INSERT (source, webhook_id, sent_at, raw, object_id) ON webhook TO payments_app;
GRANT UPDATE (state, outcome, due_at, tries, leases) ON webhook TO payments_app;
GRANT INSERT ON payout_file, payout_line TO payments_app;
GRANT INSERT ON deadline TO payments_app;
GRANT UPDATE (state, attempts, retry_at, last_error, ended_at) ON deadline TO payments_app;
GRANT SELECT ON card_payment, card_operation, payout_file TO payments_attestor;

-- migrate:down
DROP TABLE payout_line, payout_file, webhook, deadline, card_rank, card_step, card_operation, card_payment;
DROP FUNCTION card_operation_takes_a_step(), card_payment_adds_up(), card_payment_keeps_its_rank(), deadline_ends_once();
