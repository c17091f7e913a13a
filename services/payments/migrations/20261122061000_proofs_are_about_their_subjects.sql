-- migrate:up
-- A proof says for whom, how much and by which key. The attestor finds out whether the money has moved; whose it is stands
-- here alone. So a proof is about its subject as that stands: not for another player, nor for more, nor before its time.
CREATE FUNCTION proof_is_about_its_subject() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER proof_is_about_its_subject BEFORE INSERT ON proof
    FOR EACH ROW EXECUTE FUNCTION proof_is_about_its_subject();

-- migrate:down
DROP TRIGGER proof_is_about_its_subject ON proof;
DROP FUNCTION proof_is_about_its_subject();
