-- migrate:up
-- What a dispute does to the books, step by step: what a settled file took is contested ('open'), and is the provider's debt again by what a
-- settled file gives back ('won'), or the house's loss ('lost'). Each step is asked of the ledger once, and the second one when the first is
-- booked. Nobody but files and disputes themselves say what is due.
CREATE FUNCTION payout_is_settled(file uuid) RETURNS boolean LANGUAGE sql STABLE AS $$
    SELECT EXISTS (SELECT FROM payout_file f WHERE f.id = file AND f.state = 'MATCHED'
        AND (payout_settles(f.opening, f.gross, f.fees) = 0 OR EXISTS (SELECT FROM proof p
              WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', f.id, 'BOOKED'))))
$$;

CREATE TABLE dispute_entry (
    id uuid NOT NULL CONSTRAINT dispute_entry_has_its_own_id UNIQUE,
    dispute_id text NOT NULL REFERENCES card_dispute,
    step text NOT NULL CONSTRAINT dispute_entry_step_is_known CHECK (step IN ('open', 'won', 'lost')),
    amount money_amount NOT NULL CONSTRAINT dispute_entry_is_of_something CHECK (amount > 0),
    asked_at timestamptz NOT NULL DEFAULT now(),
    booked_at timestamptz,
    PRIMARY KEY (dispute_id, step)
);

CREATE VIEW dispute_entry_due AS
SELECT l.dispute_id, 'open' AS step, -l.amount AS amount
  FROM payout_line l
 WHERE l.kind = 'chargeback' AND l.dispute_id IS NOT NULL AND NOT l.given_up AND payout_is_settled(l.file_id)
   AND NOT EXISTS (SELECT FROM dispute_entry e WHERE (e.dispute_id, e.step) = (l.dispute_id, 'open'))
UNION ALL
SELECT l.dispute_id, 'won', l.amount
  FROM payout_line l JOIN dispute_entry o ON (o.dispute_id, o.step) = (l.dispute_id, 'open') AND o.booked_at IS NOT NULL
 WHERE l.kind = 'chargeback_reversal' AND NOT l.given_up AND payout_is_settled(l.file_id)
   AND NOT EXISTS (SELECT FROM dispute_entry e WHERE (e.dispute_id, e.step) = (l.dispute_id, 'won'))
UNION ALL
SELECT d.psp_id, 'lost', o.amount
  FROM card_dispute d JOIN dispute_entry o ON (o.dispute_id, o.step) = (d.psp_id, 'open') AND o.booked_at IS NOT NULL
 WHERE d.state = 'LOST' AND NOT EXISTS (SELECT FROM dispute_entry e WHERE (e.dispute_id, e.step) = (d.psp_id, 'lost'));

CREATE FUNCTION dispute_entry_is_due() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.booked_at IS NOT NULL OR NOT EXISTS (SELECT FROM dispute_entry_due d
            WHERE (d.dispute_id, d.step, d.amount) = (NEW.dispute_id, NEW.step, NEW.amount)) THEN
        RAISE EXCEPTION 'dispute %: % is not due', NEW.dispute_id, NEW.step
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'dispute_entry_is_due';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dispute_entry_is_due BEFORE INSERT ON dispute_entry FOR EACH ROW EXECUTE FUNCTION dispute_entry_is_due();
CREATE TRIGGER dispute_entry_is_booked_once BEFORE UPDATE ON dispute_entry
    FOR EACH ROW WHEN (OLD.booked_at IS NOT NULL) EXECUTE FUNCTION refuse_another();
CREATE TRIGGER dispute_entry_is_append_only BEFORE DELETE OR TRUNCATE ON dispute_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
GRANT SELECT, INSERT (id, dispute_id, step, amount, asked_at), UPDATE (booked_at) ON dispute_entry TO payments_app;
GRANT SELECT ON dispute_entry_due TO payments_app;

-- What a lost dispute's player has is taken for it, bit by bit, and never more than was lost: one bit at a time is asked of the ledger.
CREATE TABLE dispute_recovery (
    id uuid PRIMARY KEY,
    dispute_id text NOT NULL REFERENCES card_dispute,
    amount money_amount NOT NULL CONSTRAINT dispute_recovery_is_of_something CHECK (amount > 0),
    state text NOT NULL DEFAULT 'ASKED' CONSTRAINT dispute_recovery_state_is_known CHECK (state IN ('ASKED', 'BOOKED', 'REFUSED')),
    asked_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dispute_recovery_by_dispute ON dispute_recovery (dispute_id);
CREATE UNIQUE INDEX dispute_recovery_one_at_a_time ON dispute_recovery (dispute_id) WHERE state = 'ASKED';

CREATE FUNCTION dispute_recovers_no_more_than_lost() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM card_dispute WHERE psp_id = NEW.dispute_id FOR UPDATE;
    IF NEW.state <> 'ASKED' OR (NEW.amount + (SELECT coalesce(sum(r.amount), 0) FROM dispute_recovery r
                                              WHERE r.dispute_id = NEW.dispute_id AND r.state <> 'REFUSED')
            <= (SELECT e.amount FROM dispute_entry e
                 WHERE (e.dispute_id, e.step) = (NEW.dispute_id, 'lost') AND e.booked_at IS NOT NULL)) IS NOT TRUE THEN
        RAISE EXCEPTION 'dispute %: so much was not lost', NEW.dispute_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'dispute_recovers_no_more_than_lost';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER dispute_recovers_no_more_than_lost BEFORE INSERT ON dispute_recovery
    FOR EACH ROW EXECUTE FUNCTION dispute_recovers_no_more_than_lost();
CREATE TRIGGER dispute_recovery_ends_once BEFORE UPDATE ON dispute_recovery
    FOR EACH ROW WHEN (OLD.state <> 'ASKED') EXECUTE FUNCTION refuse_another();
CREATE TRIGGER dispute_recovery_is_append_only BEFORE DELETE OR TRUNCATE ON dispute_recovery
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewriting();
GRANT SELECT, INSERT (id, dispute_id, amount, asked_at), UPDATE (state) ON dispute_recovery TO payments_app;

-- migrate:down
DROP TABLE dispute_recovery;
DROP FUNCTION dispute_recovers_no_more_than_lost();
DROP VIEW dispute_entry_due;
DROP TABLE dispute_entry;
DROP FUNCTION dispute_entry_is_due(), payout_is_settled(uuid);
