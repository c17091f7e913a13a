-- migrate:up
-- Money in: a player's own CLABE, a claim that a transfer was sent to it, and the attestor's word.

CREATE SEQUENCE clabe_serial MAXVALUE 9999999;

CREATE TABLE player_clabe (
    player uuid PRIMARY KEY,
    clabe clabe NOT NULL CONSTRAINT player_clabe_is_unique UNIQUE,
    issued_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT player_clabe_belongs_to_its_player UNIQUE (clabe, player)
);

CREATE TABLE deposit (
    id uuid PRIMARY KEY,
    player uuid NOT NULL REFERENCES player_clabe,
    clave clave NOT NULL,
    operation_date date NOT NULL,
    institution text NOT NULL CONSTRAINT deposit_institution_has_its_form CHECK (institution ~ '^[0-9]{5}$'),
    tracking_key text NOT NULL CONSTRAINT deposit_tracking_key_is_canonical CHECK (
        tracking_key = to_char(operation_date, 'YYYYMMDD') || ':' || institution || ':' || upper(clave)),
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT deposit_is_in_pesos CHECK (currency = 'MXN'),
    state text NOT NULL DEFAULT 'CLAIMED' CONSTRAINT deposit_state_is_known CHECK (state IN (
        'CLAIMED', 'VERIFYING', 'NOT_FOUND_YET', 'ATTESTED', 'BOOKED', 'REJECTED', 'QUARANTINED')),
    reason text,
    receipt_id uuid,
    entry_id uuid,
    -- Counts the events told about this deposit, which orders them.
    version bigint NOT NULL DEFAULT 1,
    -- The work on it: when the next try is due (null: nothing to do), tries in this state, and how
    -- often it was leased. The last is the lease's token: who holds an older one has lost it.
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    window_ends_at timestamptz NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT deposit_end_has_a_reason CHECK ((state IN ('REJECTED', 'QUARANTINED')) <= (reason IS NOT NULL)),
    CONSTRAINT deposit_is_backed_by_a_receipt CHECK ((state IN ('ATTESTED', 'BOOKED')) <= (receipt_id IS NOT NULL)),
    CONSTRAINT deposit_is_booked_by_an_entry CHECK ((state = 'BOOKED') = (entry_id IS NOT NULL)),
    CONSTRAINT deposit_entry_is_unique UNIQUE (entry_id),
    CONSTRAINT deposit_receipt_is_unique UNIQUE (receipt_id),
    CONSTRAINT deposit_is_bound UNIQUE (id, player, tracking_key, amount, currency)
);
-- One open claim a player and transfer. Another player may claim the same transfer: only the one whose
-- CLABE it went to can have it attested, so nobody can block a transfer by naming it first.
CREATE UNIQUE INDEX deposit_is_claimed_once ON deposit (player, tracking_key) WHERE state <> 'REJECTED';
CREATE UNIQUE INDEX deposit_transfer_is_credited_once ON deposit (tracking_key) WHERE state IN ('ATTESTED', 'BOOKED');
CREATE INDEX deposit_due ON deposit (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX deposit_by_player ON deposit (player, claimed_at DESC, id DESC);

-- The attestor's signed word, and the document it rests on. Only the attestor's role can insert here,
-- and only for the deposit's own player, transfer and amount, paid into that player's own CLABE.
CREATE TABLE attestation (
    receipt_id uuid PRIMARY KEY,
    deposit_id uuid NOT NULL CONSTRAINT attestation_deposit_is_unique UNIQUE,
    player uuid NOT NULL,
    rail text NOT NULL CONSTRAINT attestation_rail_is_known CHECK (rail = 'spei'),
    tracking_key text NOT NULL,
    document_sha256 bytea NOT NULL
        CONSTRAINT attestation_document_is_sha256 CHECK (octet_length(document_sha256) = 32),
    document text NOT NULL
        CONSTRAINT attestation_document_is_the_hashed_one CHECK (sha256(convert_to(document, 'UTF8')) = document_sha256),
    purpose text NOT NULL CONSTRAINT attestation_purpose_is_known CHECK (purpose = 'deposit'),
    account text NOT NULL
        CONSTRAINT attestation_credits_the_claimant CHECK (account = 'players/' || player || '/available'),
    amount money_amount NOT NULL,
    currency text NOT NULL,
    beneficiary_clabe clabe NOT NULL,
    ordering_account text NOT NULL,
    ordering_name text NOT NULL,
    occurred_at timestamptz NOT NULL,
    issued_at timestamptz NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL CONSTRAINT attestation_signature_is_ed25519 CHECK (octet_length(signature) = 64),
    CONSTRAINT attestation_tracking_key_is_unique UNIQUE (rail, tracking_key),
    CONSTRAINT attestation_document_is_unique UNIQUE (rail, document_sha256),
    CONSTRAINT attestation_is_for_the_claim FOREIGN KEY (deposit_id, player, tracking_key, amount, currency)
        REFERENCES deposit (id, player, tracking_key, amount, currency),
    CONSTRAINT attestation_clabe_is_the_players FOREIGN KEY (beneficiary_clabe, player)
        REFERENCES player_clabe (clabe, player),
    CONSTRAINT attestation_names_its_deposit UNIQUE (receipt_id, deposit_id),
    CONSTRAINT attestation_names_its_source UNIQUE (deposit_id, player, ordering_account)
);
ALTER TABLE deposit ADD CONSTRAINT deposit_receipt_is_its_own
    FOREIGN KEY (receipt_id, id) REFERENCES attestation (receipt_id, deposit_id);

CREATE TRIGGER player_clabe_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON player_clabe
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
CREATE TRIGGER attestation_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON attestation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

-- Which state may follow which, and whose doing that is. Nothing follows BOOKED or REJECTED.
CREATE TABLE deposit_step (
    before text NOT NULL,
    after text NOT NULL,
    actor name NOT NULL,
    PRIMARY KEY (before, after, actor)
);
INSERT INTO deposit_step (before, after, actor) VALUES
    ('',              'CLAIMED',       'payments_app'),
    ('CLAIMED',       'VERIFYING',     'payments_attestor'),
    ('NOT_FOUND_YET', 'VERIFYING',     'payments_attestor'),
    ('VERIFYING',     'NOT_FOUND_YET', 'payments_attestor'),
    ('VERIFYING',     'ATTESTED',      'payments_attestor'),
    ('VERIFYING',     'REJECTED',      'payments_attestor'),
    ('VERIFYING',     'QUARANTINED',   'payments_attestor'),
    ('ATTESTED',      'BOOKED',        'payments_app'),
    ('ATTESTED',      'QUARANTINED',   'payments_app'),
    ('QUARANTINED',   'BOOKED',        'payments_app');

CREATE FUNCTION deposit_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM deposit_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'deposit %: % may not take it from "%" to "%"', NEW.id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_follows_its_states';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER deposit_follows_its_states BEFORE INSERT OR UPDATE ON deposit
    FOR EACH ROW EXECUTE FUNCTION deposit_takes_a_step();

-- migrate:down
ALTER TABLE deposit DROP CONSTRAINT deposit_receipt_is_its_own;
DROP TABLE attestation, deposit, deposit_step, player_clabe;
DROP FUNCTION deposit_takes_a_step();
DROP SEQUENCE clabe_serial;
