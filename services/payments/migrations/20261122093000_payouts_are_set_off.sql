-- migrate:up
-- What a settlement file's refunds exceed its captures by is owed to the provider: it stays on the provider's account, and the
-- next file opens with it. A file takes off that account what it pays out, which is never below zero, and the fees it keeps.
CREATE FUNCTION payout_settles(opening numeric, gross numeric, fees numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT greatest(opening + gross - fees, 0) + fees
$$;
GRANT EXECUTE ON FUNCTION payout_settles(numeric, numeric, numeric) TO payments_app;

-- What a file opens with is what one earlier file has left, and no other file opens with that.
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE payout_file ADD CONSTRAINT payout_file_states_its_closing UNIQUE (id, psp, closing);
ALTER TABLE payout_file ADD COLUMN carried_from uuid;
-- squawk-ignore constraint-missing-not-valid, adding-foreign-key-constraint
ALTER TABLE payout_file ADD CONSTRAINT payout_file_opens_with_what_one_left
    FOREIGN KEY (carried_from, psp, opening) REFERENCES payout_file (id, psp, closing);
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE payout_file ADD CONSTRAINT payout_file_opens_with_nothing_else
    CHECK (state = 'REJECTED' OR opening <= 0 AND (opening < 0) = (carried_from IS NOT NULL));
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX payout_file_is_set_off_once ON payout_file (carried_from) WHERE carried_from IS NOT NULL;

CREATE OR REPLACE FUNCTION proof_is_about_its_subject() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sound boolean;
BEGIN
    IF NEW.purpose IN ('card.capture', 'refund.returned') THEN
        sound := NEW.fee = 0 AND EXISTS (SELECT FROM card_operation o JOIN card_payment p ON p.id = o.payment_id
            WHERE o.id = NEW.subject_id AND (o.amount, o.currency, p.psp) = (NEW.amount, NEW.currency, NEW.rail)
              AND NEW.reference = 'cards/' || p.id
              AND CASE NEW.purpose
                  WHEN 'card.capture' THEN (o.act, o.state) = ('capture', 'CONFIRMED')
                      AND (NEW.tracking_key, NEW.account)
                          = ('CAPTURE:' || upper(o.psp_id), 'players/' || p.player || '/uncleared')
                  ELSE (o.act, o.state) = ('refund', 'REVERSING')
                      AND (NEW.tracking_key, NEW.account)
                          = ('REFUND-FAILED:' || upper(o.psp_id), 'players/' || p.player || '/' || o.stands_in)
                  END);
    ELSIF NEW.purpose = 'card.settle' THEN
        sound := EXISTS (SELECT FROM payout_file f
            WHERE f.id = NEW.subject_id AND f.state = 'MATCHED' AND (f.fees, f.psp) = (NEW.fee, NEW.rail)
              AND payout_settles(f.opening, f.gross, f.fees) = NEW.amount
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('PAYOUT:' || upper(f.name), 'psp/' || f.psp || '/receivable', 'payouts/' || f.id));
    ELSIF NEW.purpose = 'withdrawal.returned' THEN
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM withdrawal w
            WHERE w.id = NEW.subject_id AND w.state = 'RETURNING' AND (w.amount, w.currency) = (NEW.amount, NEW.currency)
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('RETURNED:' || upper(w.clave), 'players/' || w.player || '/withdrawing', 'withdrawals/' || w.id));
    ELSE
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM arrival a
            WHERE a.id = NEW.subject_id AND (a.amount, a.currency, a.tracking_key) = (NEW.amount, NEW.currency, NEW.tracking_key)
              AND NEW.reference = 'arrivals/' || a.id
              AND (NEW.purpose, a.state, NEW.account) IN (
                  ('deposit.suspense', 'NOTED', 'suspense/spei'),
                  ('suspense.assign', 'ASSIGNING', 'players/' || a.player || '/available'),
                  ('suspense.return', 'RETURNING', 'bank/spei')))
            AND (NEW.origin IS NULL OR EXISTS (SELECT FROM proof o
                WHERE o.receipt_id = NEW.origin AND (o.purpose, o.subject_id) = ('deposit.suspense', NEW.subject_id)));
    END IF;
    IF sound IS NOT TRUE THEN
        RAISE EXCEPTION 'proof %: its subject does not say so', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_about_its_subject';
    END IF;
    RETURN NEW;
END $$;

-- A capture is settled by its line of a file: once what that file takes off is booked, or where it takes off nothing.
CREATE FUNCTION card_operation_is_settled_by_its_file() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payout_line l JOIN payout_file f ON f.id = l.file_id
            WHERE (l.operation_id, l.kind, f.state) = (NEW.id, 'capture', 'MATCHED')
              AND (payout_settles(f.opening, f.gross, f.fees) = 0 OR EXISTS (SELECT FROM proof p
                    WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', f.id, 'BOOKED')))) THEN
        RAISE EXCEPTION 'card operation %: no file has settled it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_is_settled_by_its_file';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER card_operation_is_settled_by_its_file BEFORE UPDATE OF state ON card_operation
    FOR EACH ROW WHEN (NEW.state = 'SETTLED' AND OLD.state <> 'SETTLED')
    EXECUTE FUNCTION card_operation_is_settled_by_its_file();

-- migrate:down
DROP TRIGGER card_operation_is_settled_by_its_file ON card_operation;
DROP FUNCTION card_operation_is_settled_by_its_file();
CREATE OR REPLACE FUNCTION proof_is_about_its_subject() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sound boolean;
BEGIN
    IF NEW.purpose IN ('card.capture', 'refund.returned') THEN
        sound := NEW.fee = 0 AND EXISTS (SELECT FROM card_operation o JOIN card_payment p ON p.id = o.payment_id
            WHERE o.id = NEW.subject_id AND (o.amount, o.currency, p.psp) = (NEW.amount, NEW.currency, NEW.rail)
              AND NEW.reference = 'cards/' || p.id
              AND CASE NEW.purpose
                  WHEN 'card.capture' THEN (o.act, o.state) = ('capture', 'CONFIRMED')
                      AND (NEW.tracking_key, NEW.account)
                          = ('CAPTURE:' || upper(o.psp_id), 'players/' || p.player || '/uncleared')
                  ELSE (o.act, o.state) = ('refund', 'REVERSING')
                      AND (NEW.tracking_key, NEW.account)
                          = ('REFUND-FAILED:' || upper(o.psp_id), 'players/' || p.player || '/' || o.stands_in)
                  END);
    ELSIF NEW.purpose = 'card.settle' THEN
        sound := EXISTS (SELECT FROM payout_file f
            WHERE f.id = NEW.subject_id AND f.state = 'MATCHED' AND (f.gross, f.fees, f.psp) = (NEW.amount, NEW.fee, NEW.rail)
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('PAYOUT:' || upper(f.name), 'psp/' || f.psp || '/receivable', 'payouts/' || f.id));
    ELSIF NEW.purpose = 'withdrawal.returned' THEN
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM withdrawal w
            WHERE w.id = NEW.subject_id AND w.state = 'RETURNING' AND (w.amount, w.currency) = (NEW.amount, NEW.currency)
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('RETURNED:' || upper(w.clave), 'players/' || w.player || '/withdrawing', 'withdrawals/' || w.id));
    ELSE
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM arrival a
            WHERE a.id = NEW.subject_id AND (a.amount, a.currency, a.tracking_key) = (NEW.amount, NEW.currency, NEW.tracking_key)
              AND NEW.reference = 'arrivals/' || a.id
              AND (NEW.purpose, a.state, NEW.account) IN (
                  ('deposit.suspense', 'NOTED', 'suspense/spei'),
                  ('suspense.assign', 'ASSIGNING', 'players/' || a.player || '/available'),
                  ('suspense.return', 'RETURNING', 'bank/spei')))
            AND (NEW.origin IS NULL OR EXISTS (SELECT FROM proof o
                WHERE o.receipt_id = NEW.origin AND (o.purpose, o.subject_id) = ('deposit.suspense', NEW.subject_id)));
    END IF;
    IF sound IS NOT TRUE THEN
        RAISE EXCEPTION 'proof %: its subject does not say so', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_about_its_subject';
    END IF;
    RETURN NEW;
END $$;
DROP INDEX payout_file_is_set_off_once;
ALTER TABLE payout_file DROP CONSTRAINT payout_file_opens_with_nothing_else;
ALTER TABLE payout_file DROP CONSTRAINT payout_file_opens_with_what_one_left;
ALTER TABLE payout_file DROP COLUMN carried_from;
ALTER TABLE payout_file DROP CONSTRAINT payout_file_states_its_closing;
DROP FUNCTION payout_settles(numeric, numeric, numeric);
