-- migrate:up
-- What was sent back from suspense and is returned by the receiving bank after all is at our bank again: an arrival of its own,
-- by the key that every returned order has. One order that came back has one receipt, whatever becomes of it: `proof_word` and
-- the ledger hold that key once.
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE arrival ADD CONSTRAINT arrival_tracking_key_is_canonical CHECK (tracking_key IN (
    to_char(operation_date, 'YYYYMMDD') || ':' || institution || ':' || upper(clave), 'RETURNED:' || upper(clave)));

-- No order brings back what did not go out by it: the money of an arrival that was returned, or a part of it; or of a
-- withdrawal a part, since all of it goes to its player.
CREATE FUNCTION arrival_went_out_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.deposit_id IS NOT NULL
       OR NOT EXISTS (SELECT FROM arrival r
            WHERE (r.return_clave, r.state) = (NEW.clave, 'RETURNED') AND r.amount >= NEW.amount)
      AND NOT EXISTS (SELECT FROM withdrawal w
            WHERE (w.clave, w.state) = (NEW.clave, 'BOOKED') AND w.amount > NEW.amount) THEN
        RAISE EXCEPTION 'arrival %: nothing went out by %', NEW.id, NEW.clave
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_went_out_before';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER arrival_went_out_before BEFORE INSERT ON arrival
    FOR EACH ROW WHEN (NEW.tracking_key LIKE 'RETURNED:%') EXECUTE FUNCTION arrival_went_out_before();

-- migrate:down
DROP TRIGGER arrival_went_out_before ON arrival;
DROP FUNCTION arrival_went_out_before();
ALTER TABLE arrival DROP CONSTRAINT arrival_tracking_key_is_canonical;
