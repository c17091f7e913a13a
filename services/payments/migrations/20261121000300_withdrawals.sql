-- migrate:up
-- Money out: only to a CLABE that money of the same player came from.

CREATE TABLE payout_clabe (
    player uuid NOT NULL,
    clabe clabe NOT NULL,
    deposit_id uuid NOT NULL,
    known_since timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (player, clabe),
    CONSTRAINT payout_clabe_has_deposited FOREIGN KEY (deposit_id, player, clabe)
        REFERENCES attestation (deposit_id, player, ordering_account)
);
CREATE TRIGGER payout_clabe_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON payout_clabe
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();

CREATE TABLE withdrawal (
    id uuid PRIMARY KEY,
    player uuid NOT NULL,
    clabe clabe NOT NULL,
    beneficiary_name text NOT NULL
        CONSTRAINT withdrawal_name_is_bounded CHECK (length(beneficiary_name) BETWEEN 1 AND 120),
    amount money_amount NOT NULL,
    currency text NOT NULL CONSTRAINT withdrawal_is_in_pesos CHECK (currency = 'MXN'),
    state text NOT NULL DEFAULT 'REQUESTED' CONSTRAINT withdrawal_state_is_known CHECK (state IN (
        'REQUESTED', 'REFUSED', 'RESERVED', 'SENDING', 'SEND_UNKNOWN', 'SENT', 'LIQUIDATED', 'REJECTED',
        'BOOKED', 'RELEASED')),
    -- Why it was refused or rejected: `reason` for machines, `detail` for people.
    reason text,
    detail text,
    -- What a person has to look into; the reserved money stays where it is meanwhile.
    attention text,
    -- Our own clave de rastreo, written before the rail hears of the order.
    clave clave CONSTRAINT withdrawal_clave_is_unique UNIQUE,
    sends integer NOT NULL DEFAULT 0 CONSTRAINT withdrawal_sends_are_counted CHECK (sends BETWEEN 0 AND 3),
    sent_at timestamptz,
    version bigint NOT NULL DEFAULT 1,
    due_at timestamptz DEFAULT now(),
    tries integer NOT NULL DEFAULT 0,
    leases bigint NOT NULL DEFAULT 0,
    requested_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT withdrawal_goes_where_money_came_from FOREIGN KEY (player, clabe) REFERENCES payout_clabe,
    CONSTRAINT withdrawal_end_has_a_reason
        CHECK ((state IN ('REFUSED', 'REJECTED', 'RELEASED')) = (reason IS NOT NULL)),
    CONSTRAINT withdrawal_is_sent_under_a_clave
        CHECK ((state IN ('REQUESTED', 'REFUSED', 'RESERVED')) = (clave IS NULL)),
    CONSTRAINT withdrawal_sends_have_a_time
        CHECK ((clave IS NULL) = (sent_at IS NULL) AND (clave IS NULL) = (sends = 0))
);
CREATE INDEX withdrawal_due ON withdrawal (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX withdrawal_by_player ON withdrawal (player, requested_at DESC, id DESC);

-- Which state may follow which. SENDING and SEND_UNKNOWN are twins: an order that the rail has not got,
-- by its own word and after its window, is sent again under the same clave.
CREATE TABLE withdrawal_step (
    before text NOT NULL,
    after text NOT NULL,
    PRIMARY KEY (before, after)
);
INSERT INTO withdrawal_step (before, after) VALUES
    ('',             'REQUESTED'),
    ('REQUESTED',    'RESERVED'),
    ('REQUESTED',    'REFUSED'),
    ('RESERVED',     'SENDING'),
    ('SENDING',      'SEND_UNKNOWN'),
    ('SENDING',      'SENT'),
    ('SENDING',      'LIQUIDATED'),
    ('SENDING',      'REJECTED'),
    ('SEND_UNKNOWN', 'SENDING'),
    ('SEND_UNKNOWN', 'SENT'),
    ('SEND_UNKNOWN', 'LIQUIDATED'),
    ('SEND_UNKNOWN', 'REJECTED'),
    ('SENT',         'LIQUIDATED'),
    ('SENT',         'REJECTED'),
    ('LIQUIDATED',   'BOOKED'),
    ('REJECTED',     'RELEASED');

CREATE FUNCTION withdrawal_takes_a_step() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM withdrawal_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'withdrawal %: "%" does not lead to "%"', NEW.id, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_follows_its_states';
    END IF;
    -- An order is known to the rail by its clave for ever.
    IF TG_OP = 'UPDATE' AND OLD.clave IS NOT NULL AND NEW.clave IS DISTINCT FROM OLD.clave THEN
        RAISE EXCEPTION 'withdrawal %: the clave does not change', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_clave_stays';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER withdrawal_follows_its_states BEFORE INSERT OR UPDATE ON withdrawal
    FOR EACH ROW EXECUTE FUNCTION withdrawal_takes_a_step();

-- migrate:down
DROP TABLE withdrawal, withdrawal_step, payout_clabe;
DROP FUNCTION withdrawal_takes_a_step();
