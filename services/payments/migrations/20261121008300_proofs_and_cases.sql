-- migrate:up
-- Everything else that needs the attestor's word (captures, refunds that came back, the provider's payouts, money
-- in suspense, withdrawals that came back), what waits for a person, and the rules by which it does.

ALTER TABLE history ADD COLUMN person text CONSTRAINT history_person_is_bounded CHECK (length(person) <= 64);
-- squawk-ignore ban-drop-constraint
ALTER TABLE history DROP CONSTRAINT history_subject_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE history ADD CONSTRAINT history_subject_is_known
    CHECK (subject IN ('deposit', 'withdrawal', 'card', 'proof', 'arrival', 'case'));

-- What the attestor is asked to attest. Whoever asks states the claim; the attestor looks for it itself.
CREATE TABLE proof (
    receipt_id uuid PRIMARY KEY,
    purpose text NOT NULL CONSTRAINT proof_purpose_is_known CHECK (purpose IN (
        'deposit.suspense', 'suspense.assign', 'suspense.return', 'withdrawal.returned', 'card.capture', 'card.settle',
        'refund.returned')),
    rail text NOT NULL,
    tracking_key text NOT NULL CONSTRAINT proof_tracking_key_is_canonical CHECK (tracking_key = upper(tracking_key)),
    subject_id uuid NOT NULL,
    account text NOT NULL,
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT proof_is_in_pesos CHECK (currency = 'MXN'),
    -- The part of a payout's gross amount that the provider kept.
    fee numeric NOT NULL DEFAULT 0 CONSTRAINT proof_fee_is_a_part CHECK (fee >= 0 AND fee <= amount AND scale(fee) <= 2),
    reference text NOT NULL,
    origin uuid REFERENCES proof,
    state text NOT NULL DEFAULT 'ASKED'
        CONSTRAINT proof_state_is_known CHECK (state IN ('ASKED', 'ATTESTED', 'BOOKED', 'CONFLICTED')),
    reason text,
    entry_id uuid CONSTRAINT proof_entry_is_unique UNIQUE,
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    asked_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT proof_is_asked_once UNIQUE (purpose, subject_id),
    CONSTRAINT proof_origin_is_decided_once UNIQUE (origin),
    CONSTRAINT proof_origin_as_purpose_says CHECK ((origin IS NOT NULL) = (purpose IN ('suspense.assign', 'suspense.return'))),
    CONSTRAINT proof_is_booked_by_an_entry CHECK ((state = 'BOOKED') = (entry_id IS NOT NULL)),
    CONSTRAINT proof_conflict_has_a_reason CHECK (state <> 'CONFLICTED' OR reason IS NOT NULL),
    CONSTRAINT proof_is_bound UNIQUE (receipt_id, purpose, rail, tracking_key, account, amount, currency)
);
CREATE INDEX proof_due ON proof (due_at) WHERE due_at IS NOT NULL;

-- The attestor's signed word for a proof, and the document it rests on. Only the attestor's role inserts here.
CREATE TABLE proof_word (
    receipt_id uuid PRIMARY KEY,
    purpose text NOT NULL,
    rail text NOT NULL,
    tracking_key text NOT NULL,
    account text NOT NULL,
    amount money_amount NOT NULL,
    currency text NOT NULL,
    origin uuid,
    document_sha256 bytea NOT NULL CONSTRAINT proof_word_document_is_sha256 CHECK (octet_length(document_sha256) = 32),
    document text NOT NULL
        CONSTRAINT proof_word_document_is_the_hashed_one CHECK (sha256(convert_to(document, 'UTF8')) = document_sha256),
    occurred_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL CONSTRAINT proof_word_signature_is_ed25519 CHECK (octet_length(signature) = 64),
    CONSTRAINT proof_word_is_what_was_asked FOREIGN KEY (receipt_id, purpose, rail, tracking_key, account, amount, currency)
        REFERENCES proof (receipt_id, purpose, rail, tracking_key, account, amount, currency)
);
CREATE UNIQUE INDEX proof_word_tracking_key_is_unique ON proof_word (rail, tracking_key) WHERE origin IS NULL;
CREATE UNIQUE INDEX proof_word_document_is_unique ON proof_word (rail, document_sha256) WHERE origin IS NULL;
CREATE TRIGGER proof_word_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON proof_word
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- One transfer is credited to a player or put into suspense, never both.
CREATE FUNCTION transfer_is_attested_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.rail || NEW.tracking_key, 0));
    IF TG_TABLE_NAME = 'attestation' AND EXISTS (SELECT FROM proof_word w WHERE w.rail = NEW.rail AND w.origin IS NULL
            AND (w.tracking_key = NEW.tracking_key OR w.document_sha256 = NEW.document_sha256))
       OR TG_TABLE_NAME = 'proof_word' AND EXISTS (SELECT FROM attestation a WHERE a.rail = NEW.rail
            AND (a.tracking_key = NEW.tracking_key OR a.document_sha256 = NEW.document_sha256)) THEN
        RAISE EXCEPTION 'transfer % was attested before', NEW.tracking_key
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_is_attested_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER transfer_is_attested_once BEFORE INSERT ON attestation
    FOR EACH ROW EXECUTE FUNCTION transfer_is_attested_once();
CREATE TRIGGER transfer_is_attested_once BEFORE INSERT ON proof_word
    FOR EACH ROW EXECUTE FUNCTION transfer_is_attested_once();

CREATE TABLE proof_step (
    before text NOT NULL,
    after text NOT NULL,
    actor name NOT NULL,
    PRIMARY KEY (before, after, actor)
);
INSERT INTO proof_step (before, after, actor) VALUES
    ('',         'ASKED',      'payments_app'),
    ('ASKED',    'ATTESTED',   'payments_attestor'),
    ('ASKED',    'CONFLICTED', 'payments_attestor'),
    ('ATTESTED', 'BOOKED',     'payments_app'),
    ('ATTESTED', 'CONFLICTED', 'payments_app');
CREATE FUNCTION proof_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM proof_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'proof %: % may not take it from "%" to "%"', NEW.receipt_id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_follows_its_states';
    END IF;
    IF coming_from = 'ASKED' AND NEW.state = 'ATTESTED'
            AND NOT EXISTS (SELECT FROM proof_word WHERE receipt_id = NEW.receipt_id) THEN
        RAISE EXCEPTION 'proof %: nobody has given a word for it', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_has_a_word';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER proof_follows_its_states BEFORE INSERT OR UPDATE ON proof
    FOR EACH ROW EXECUTE FUNCTION proof_takes_a_step();

-- Money that arrived and is nobody's yet: an unknown CLABE, another's name, sources that contradicted each other.
CREATE TABLE arrival (
    id uuid PRIMARY KEY,
    tracking_key text NOT NULL CONSTRAINT arrival_is_noted_once UNIQUE,
    clave clave NOT NULL,
    operation_date date NOT NULL,
    institution text NOT NULL,
    beneficiary_clabe text NOT NULL,
    ordering_account text NOT NULL,
    ordering_name text NOT NULL,
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT arrival_is_in_pesos CHECK (currency = 'MXN'),
    reason text NOT NULL,
    deposit_id uuid REFERENCES deposit,
    state text NOT NULL DEFAULT 'NOTED' CONSTRAINT arrival_state_is_known CHECK (state IN (
        'NOTED', 'SUSPENDED', 'ASSIGNING', 'ASSIGNED', 'RETURN_SENDING', 'RETURN_UNKNOWN', 'RETURN_SENT', 'RETURNING',
        'RETURNED', 'QUARANTINED')),
    attention text,
    player uuid REFERENCES player_clabe,
    return_clave clave CONSTRAINT arrival_return_clave_is_unique UNIQUE,
    sends integer NOT NULL DEFAULT 0 CONSTRAINT arrival_sends_are_counted CHECK (sends BETWEEN 0 AND 5),
    sent_at timestamptz,
    due_at timestamptz,
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    noted_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT arrival_is_assigned_to_somebody CHECK ((state IN ('ASSIGNING', 'ASSIGNED')) <= (player IS NOT NULL)),
    CONSTRAINT arrival_is_returned_under_a_clave
        CHECK (return_clave IS NOT NULL OR state NOT IN ('RETURN_SENDING', 'RETURN_UNKNOWN', 'RETURN_SENT', 'RETURNING', 'RETURNED'))
);
CREATE INDEX arrival_due ON arrival (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE arrival_step (
    before text NOT NULL,
    after text NOT NULL,
    PRIMARY KEY (before, after)
);
INSERT INTO arrival_step (before, after) VALUES
    ('', 'NOTED'), ('NOTED', 'SUSPENDED'), ('NOTED', 'QUARANTINED'), ('SUSPENDED', 'ASSIGNING'), ('ASSIGNING', 'ASSIGNED'),
    ('SUSPENDED', 'RETURN_SENDING'), ('RETURN_SENDING', 'RETURN_UNKNOWN'), ('RETURN_UNKNOWN', 'RETURN_SENDING'),
    ('RETURN_SENDING', 'RETURN_SENT'), ('RETURN_UNKNOWN', 'RETURN_SENT'), ('RETURN_SENDING', 'RETURNING'),
    ('RETURN_UNKNOWN', 'RETURNING'), ('RETURN_SENT', 'RETURNING'), ('RETURNING', 'RETURNED');
CREATE FUNCTION arrival_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM arrival_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'arrival %: "%" does not lead to "%"', NEW.id, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_follows_its_states';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER arrival_follows_its_states BEFORE INSERT OR UPDATE ON arrival
    FOR EACH ROW EXECUTE FUNCTION arrival_takes_a_step();

-- Deposits that went to suspense, and deposits that the statement told of before anyone claimed them.
ALTER TABLE deposit ADD COLUMN noticed boolean NOT NULL DEFAULT false;
-- squawk-ignore ban-drop-constraint
ALTER TABLE deposit DROP CONSTRAINT deposit_state_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE deposit ADD CONSTRAINT deposit_state_is_known CHECK (state IN (
    'CLAIMED', 'VERIFYING', 'NOT_FOUND_YET', 'ATTESTED', 'BOOKED', 'REJECTED', 'QUARANTINED', 'SUSPENDED', 'ASSIGNED',
    'RETURNED'));
INSERT INTO deposit_step (before, after, actor) VALUES
    ('QUARANTINED', 'SUSPENDED', 'payments_app'),
    ('QUARANTINED', 'REJECTED',  'payments_app'),
    ('SUSPENDED',   'ASSIGNED',  'payments_app'),
    ('SUSPENDED',   'RETURNED',  'payments_app');

-- Whom the platform knows a player as: the name that identity keeps.
CREATE TABLE holder (
    player uuid PRIMARY KEY,
    full_name text NOT NULL CONSTRAINT holder_name_is_bounded CHECK (length(full_name) BETWEEN 1 AND 200),
    known_since timestamptz NOT NULL DEFAULT now()
);

-- Withdrawals: reviewed before they are sent, by a slow rail if so wished, and back again if the bank returns them.
ALTER TABLE withdrawal ADD COLUMN rail text NOT NULL DEFAULT 'spei';
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_rail_is_known CHECK (rail IN ('spei', 'ted'));
ALTER TABLE withdrawal ADD COLUMN ended_at timestamptz;
-- squawk-ignore ban-drop-constraint
ALTER TABLE withdrawal DROP CONSTRAINT withdrawal_state_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_state_is_known CHECK (state IN (
    'REQUESTED', 'REFUSED', 'RESERVED', 'REVIEW', 'APPROVED', 'SENDING', 'SEND_UNKNOWN', 'SENT', 'LIQUIDATED', 'REJECTED',
    'BOOKED', 'RELEASED', 'RETURNING', 'RETURNED'));
-- squawk-ignore ban-drop-constraint
ALTER TABLE withdrawal DROP CONSTRAINT withdrawal_is_sent_under_a_clave;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_is_sent_under_a_clave CHECK (CASE
    WHEN state IN ('REQUESTED', 'REFUSED', 'RESERVED', 'REVIEW', 'APPROVED') THEN clave IS NULL
    WHEN state IN ('REJECTED', 'RELEASED') THEN true
    ELSE clave IS NOT NULL END);
-- squawk-ignore ban-drop-constraint
ALTER TABLE withdrawal DROP CONSTRAINT withdrawal_end_has_a_reason;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_end_has_a_reason
    CHECK ((state IN ('REFUSED', 'REJECTED', 'RELEASED')) <= (reason IS NOT NULL));
-- A sender that dies between writing down that it sends and sending has used up a send.
-- squawk-ignore ban-drop-constraint
ALTER TABLE withdrawal DROP CONSTRAINT withdrawal_sends_are_counted;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE withdrawal ADD CONSTRAINT withdrawal_sends_are_counted CHECK (sends BETWEEN 0 AND 5);
DELETE FROM withdrawal_step WHERE before = 'RESERVED' AND after = 'SENDING';
INSERT INTO withdrawal_step (before, after) VALUES
    ('RESERVED', 'REVIEW'), ('RESERVED', 'APPROVED'), ('RESERVED', 'REJECTED'), ('REVIEW', 'APPROVED'), ('REVIEW', 'REJECTED'),
    ('APPROVED', 'SENDING'), ('APPROVED', 'REJECTED'), ('BOOKED', 'RETURNING'), ('RETURNING', 'RETURNED');

-- What waits for a person. A decision is proposed by one and, where four eyes are asked for, made by another.
CREATE TABLE review_case (
    id uuid PRIMARY KEY,
    subject text NOT NULL CONSTRAINT review_case_subject_is_known CHECK (subject IN (
        'withdrawal', 'deposit', 'arrival', 'card', 'proof', 'payout_line', 'player')),
    subject_id uuid NOT NULL,
    reason text NOT NULL,
    player uuid,
    amount numeric,
    evidence jsonb NOT NULL DEFAULT '{}',
    four_eyes boolean NOT NULL,
    state text NOT NULL DEFAULT 'OPEN' CONSTRAINT review_case_state_is_known CHECK (state IN ('OPEN', 'PROPOSED', 'DECIDED')),
    decision text,
    note text CONSTRAINT review_case_note_is_bounded CHECK (length(note) <= 2000),
    target uuid,
    proposed_by text,
    decided_by text,
    opened_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    CONSTRAINT review_case_proposal_is_somebodys
        CHECK ((state = 'OPEN') = (proposed_by IS NULL) AND (state = 'OPEN') = (decision IS NULL)),
    CONSTRAINT review_case_decision_is_somebodys
        CHECK ((state = 'DECIDED') = (decided_by IS NOT NULL) AND (state = 'DECIDED') = (decided_at IS NOT NULL)),
    CONSTRAINT review_case_has_four_eyes CHECK (NOT four_eyes OR decided_by IS NULL OR decided_by <> proposed_by)
);
CREATE UNIQUE INDEX review_case_is_open_once ON review_case (subject, subject_id, reason) WHERE state <> 'DECIDED';
CREATE INDEX review_case_queue ON review_case (opened_at, id) WHERE state <> 'DECIDED';
CREATE FUNCTION review_case_is_decided_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state = 'DECIDED' THEN
        RAISE EXCEPTION 'case % is decided', OLD.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_once';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER review_case_is_decided_once BEFORE UPDATE ON review_case
    FOR EACH ROW EXECUTE FUNCTION review_case_is_decided_once();

-- The rules of money laundering and of caution, dated: the newest that is in force counts.
CREATE TABLE aml_rule (
    name text NOT NULL CONSTRAINT aml_rule_is_known CHECK (name IN (
        'four-eyes-amount', 'linked-deposits-sum', 'withdrawals-per-player', 'withdrawals-per-clabe',
        'clabe-cooling-off', 'clabe-shared', 'deposit-without-play')),
    valid_from date NOT NULL,
    threshold numeric NOT NULL CONSTRAINT aml_rule_threshold_is_not_negative CHECK (threshold >= 0),
    window_hours integer NOT NULL CONSTRAINT aml_rule_window_is_bounded CHECK (window_hours BETWEEN 0 AND 87600),
    source text NOT NULL,
    PRIMARY KEY (name, valid_from)
);
INSERT INTO aml_rule (name, valid_from, threshold, window_hours, source) VALUES
    ('four-eyes-amount',       '2026-01-01', 50000.00,  0,    'house rule'),
    ('linked-deposits-sum',    '2026-01-01', 75664.95,  4380, 'LFPIORPI art. 17 I: 645 UMA within six months; UMA 2026 117.31; to be confirmed by counsel'),
    ('withdrawals-per-player', '2026-01-01', 10,        24,   'house rule'),
    ('withdrawals-per-clabe',  '2026-01-01', 10,        24,   'house rule'),
    ('clabe-cooling-off',      '2026-01-01', 0,         24,   'house rule: a second CLABE rests before money goes there'),
    ('clabe-shared',           '2026-01-01', 1,         0,    'house rule: players that share one CLABE'),
    ('deposit-without-play',   '2026-01-01', 20000.00,  0,    'house rule: money that only passes through');

GRANT EXECUTE ON FUNCTION transfer_is_attested_once(), proof_takes_a_step(), arrival_takes_a_step(), review_case_is_decided_once()
    TO payments_app, payments_attestor;
GRANT SELECT ON proof, proof_word, proof_step, arrival, arrival_step, holder, review_case, aml_rule, withdrawal
    TO payments_app;
GRANT INSERT (receipt_id, purpose, rail, tracking_key, subject_id, account, amount, currency, fee, reference, origin, due_at, asked_at)
    ON proof TO payments_app;
GRANT UPDATE (state, reason, entry_id, due_at, tries, leases) ON proof TO payments_app;
GRANT INSERT (id, tracking_key, clave, operation_date, institution, beneficiary_clabe, ordering_account, ordering_name, amount,
    currency, reason, deposit_id, noted_at) ON arrival TO payments_app;
GRANT UPDATE (state, attention, player, return_clave, sends, sent_at, due_at, tries, leases) ON arrival TO payments_app;
GRANT INSERT (noticed) ON deposit TO payments_app;
GRANT INSERT (player, full_name) ON holder TO payments_app;
GRANT UPDATE (full_name) ON holder TO payments_app;
GRANT INSERT (rail) ON withdrawal TO payments_app;
GRANT UPDATE (ended_at) ON withdrawal TO payments_app;
GRANT INSERT (id, subject, subject_id, reason, player, amount, evidence, four_eyes, opened_at) ON review_case TO payments_app;
GRANT UPDATE (state, decision, note, target, proposed_by, decided_by, decided_at) ON review_case TO payments_app;
GRANT INSERT (person) ON history TO payments_app;
GRANT SELECT ON proof, proof_word, proof_step, holder, arrival TO payments_attestor;
GRANT UPDATE (state, reason, due_at, tries, leases) ON proof TO payments_attestor;
GRANT INSERT ON proof_word TO payments_attestor;

-- migrate:down
DROP TABLE aml_rule, review_case, holder, arrival_step, arrival, proof_step, proof_word, proof CASCADE;
DROP TRIGGER transfer_is_attested_once ON attestation;
DROP FUNCTION transfer_is_attested_once(), proof_takes_a_step(), arrival_takes_a_step(), review_case_is_decided_once();
ALTER TABLE withdrawal DROP COLUMN ended_at, DROP COLUMN rail;
ALTER TABLE deposit DROP COLUMN noticed;
DELETE FROM deposit_step WHERE before = 'SUSPENDED' OR before = 'QUARANTINED' AND after IN ('SUSPENDED', 'REJECTED');
DELETE FROM withdrawal_step WHERE before IN ('REVIEW', 'APPROVED', 'BOOKED', 'RETURNING')
    OR before = 'RESERVED' AND after IN ('REVIEW', 'APPROVED', 'REJECTED');
INSERT INTO withdrawal_step (before, after) VALUES ('RESERVED', 'SENDING');
ALTER TABLE history DROP COLUMN person;
