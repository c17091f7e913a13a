-- migrate:up
-- A settlement file takes what is disputed, and gives back what was won: lines about a dispute, each kind of them counted once. No more is
-- taken than is disputed, and no more given back than was taken.
ALTER TABLE payout_line ADD COLUMN dispute_id text;
-- squawk-ignore constraint-missing-not-valid, adding-foreign-key-constraint
ALTER TABLE payout_line ADD CONSTRAINT payout_line_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES card_dispute;
-- squawk-ignore ban-drop-constraint
ALTER TABLE payout_line DROP CONSTRAINT payout_line_is_in_one_bucket;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE payout_line ADD CONSTRAINT payout_line_is_in_one_bucket CHECK (num_nonnulls(operation_id, dispute_id, break_class) = 1);
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX payout_line_takes_once ON payout_line (dispute_id, kind) WHERE dispute_id IS NOT NULL AND NOT given_up;

CREATE FUNCTION payout_line_is_of_its_dispute() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER payout_line_is_of_its_dispute BEFORE INSERT ON payout_line
    FOR EACH ROW WHEN (NEW.dispute_id IS NOT NULL) EXECUTE FUNCTION payout_line_is_of_its_dispute();
GRANT SELECT ON card_dispute TO payments_attestor;

-- migrate:down
REVOKE SELECT ON card_dispute FROM payments_attestor;
DROP TRIGGER payout_line_is_of_its_dispute ON payout_line;
DROP FUNCTION payout_line_is_of_its_dispute();
DROP INDEX payout_line_takes_once;
ALTER TABLE payout_line DROP CONSTRAINT payout_line_is_in_one_bucket;
UPDATE payout_line SET break_class = 'MISSING_INTERNAL' WHERE dispute_id IS NOT NULL;
ALTER TABLE payout_line ADD CONSTRAINT payout_line_is_in_one_bucket CHECK ((operation_id IS NULL) = (break_class IS NOT NULL));
ALTER TABLE payout_line DROP COLUMN dispute_id;
