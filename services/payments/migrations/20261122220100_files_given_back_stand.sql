-- migrate:up
-- A file that took what a later one has given back stands: without it the later one would have given back what nobody took.
CREATE OR REPLACE FUNCTION payout_file_is_given_up() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM card_dispute d WHERE d.psp_id IN (SELECT l.dispute_id FROM payout_line l WHERE l.file_id = NEW.id)
      ORDER BY d.psp_id FOR UPDATE;
    IF (OLD.state, NEW.state) <> ('MATCHED', 'REJECTED')
       OR NOT EXISTS (SELECT FROM proof p WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', NEW.id, 'GIVEN_UP'))
       OR EXISTS (SELECT FROM payout_file later WHERE (later.carried_from, later.state) = (NEW.id, 'MATCHED'))
       OR EXISTS (SELECT FROM payout_line took JOIN payout_line back ON back.dispute_id = took.dispute_id
                   WHERE (took.file_id, took.kind, took.given_up) = (NEW.id, 'chargeback', false)
                     AND back.kind = 'chargeback_reversal' AND back.file_id <> NEW.id AND NOT back.given_up) THEN
        RAISE EXCEPTION 'settlement file %: it stands', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_file_is_given_up';
    END IF;
    UPDATE payout_line SET given_up = true WHERE file_id = NEW.id;
    RETURN NEW;
END $$;

-- As before, and under the dispute's lock: of a file that is given up and a line that gives back what it took, one is first.
CREATE OR REPLACE FUNCTION payout_line_is_of_its_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    contested card_dispute;
    took numeric;
BEGIN
    SELECT * INTO contested FROM card_dispute WHERE psp_id = NEW.dispute_id FOR UPDATE;
    SELECT -amount INTO took FROM payout_line
     WHERE (dispute_id, kind) = (NEW.dispute_id, 'chargeback') AND NOT given_up;
    IF (NEW.psp_id = contested.psp_id AND CASE NEW.kind
            WHEN 'chargeback' THEN NEW.amount < 0 AND -NEW.amount <= contested.amount
            WHEN 'chargeback_reversal' THEN contested.state = 'WON' AND NEW.amount > 0 AND NEW.amount <= took
            ELSE false END) IS NOT TRUE THEN
        RAISE EXCEPTION 'line % of file %: its dispute does not say so', NEW.line, NEW.file_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_line_is_of_its_dispute';
    END IF;
    RETURN NEW;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION payout_line_is_of_its_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    contested card_dispute;
    took numeric;
BEGIN
    SELECT * INTO contested FROM card_dispute WHERE psp_id = NEW.dispute_id;
    SELECT -amount INTO took FROM payout_line
     WHERE (dispute_id, kind) = (NEW.dispute_id, 'chargeback') AND NOT given_up;
    IF (NEW.psp_id = contested.psp_id AND CASE NEW.kind
            WHEN 'chargeback' THEN NEW.amount < 0 AND -NEW.amount <= contested.amount
            WHEN 'chargeback_reversal' THEN contested.state = 'WON' AND NEW.amount > 0 AND NEW.amount <= took
            ELSE false END) IS NOT TRUE THEN
        RAISE EXCEPTION 'line % of file %: its dispute does not say so', NEW.line, NEW.file_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_line_is_of_its_dispute';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION payout_file_is_given_up() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF (OLD.state, NEW.state) <> ('MATCHED', 'REJECTED')
       OR NOT EXISTS (SELECT FROM proof p WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', NEW.id, 'GIVEN_UP'))
       OR EXISTS (SELECT FROM payout_file later WHERE (later.carried_from, later.state) = (NEW.id, 'MATCHED')) THEN
        RAISE EXCEPTION 'settlement file %: it stands', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_file_is_given_up';
    END IF;
    UPDATE payout_line SET given_up = true WHERE file_id = NEW.id;
    RETURN NEW;
END $$;
