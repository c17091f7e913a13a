-- migrate:up
-- What the law takes is known before the race: a rate is for days to come, and for no event that has begun. Mexico's days begin
-- after UTC's do; an event that is held east of it, or says another day than its own, has begun when it begins.
CREATE FUNCTION withholding_rate_is_for_days_to_come() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.valid_from <= (clock_timestamp() AT TIME ZONE 'UTC')::date
       OR EXISTS (SELECT FROM event e WHERE e.state = NEW.state AND e.day >= NEW.valid_from
                     AND e.starts_at <= clock_timestamp()) THEN
        PERFORM refuse('withholding_rate_is_for_days_to_come', format('%s has begun in %s', NEW.valid_from, NEW.state));
    END IF;
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION withholding_rate_is_for_days_to_come() FROM PUBLIC;
CREATE TRIGGER withholding_rate_is_for_days_to_come BEFORE INSERT ON withholding_rate
    FOR EACH ROW EXECUTE FUNCTION withholding_rate_is_for_days_to_come();

-- migrate:down
DROP TRIGGER withholding_rate_is_for_days_to_come ON withholding_rate;
DROP FUNCTION withholding_rate_is_for_days_to_come();
