-- migrate:up
-- What no rule held to anything, where a false value moves money or hides who acted: an event's day says which tax is withheld; a
-- market is settled by the settlements that are written; who took an offer back or declined it is who may; a suspension
-- that was lifted stays so, by whoever lifted it.

-- A day at the venue is UTC's, the one before or the one after.
ALTER TABLE event ADD CONSTRAINT event_day_is_when_it_starts CHECK (
    day BETWEEN (starts_at AT TIME ZONE 'UTC')::date - 1 AND (starts_at AT TIME ZONE 'UTC')::date + 1) NOT VALID;

ALTER TABLE offer ADD CONSTRAINT offer_is_ended_by_whoever_may CHECK (CASE ending
    WHEN 'BY_OWNER' THEN moved_by IS NOT DISTINCT FROM user_id
    WHEN 'DECLINED' THEN moved_by IS NOT DISTINCT FROM challenges
    ELSE true END) NOT VALID;

CREATE FUNCTION market_counts_its_settlements() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.settlement <> OLD.settlement + 1 OR NOT EXISTS (SELECT FROM settlement s WHERE s.market_id = NEW.id
            AND s.version = NEW.settlement AND s.result_version = NEW.settled_result) THEN
        PERFORM refuse('market_counts_its_settlements', format('market %s has no such settlement %s', NEW.id, NEW.settlement));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION suspension_is_lifted_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('suspension_is_lifted_once', format('suspension %s was lifted by %s', OLD.id, OLD.lifted_by));
    RETURN NULL;
END $$;

CREATE TRIGGER market_counts_its_settlements BEFORE UPDATE OF settlement, settled_result ON market FOR EACH ROW
    WHEN (OLD.settlement <> NEW.settlement OR OLD.settled_result <> NEW.settled_result)
    EXECUTE FUNCTION market_counts_its_settlements();
CREATE TRIGGER suspension_is_lifted_once BEFORE UPDATE ON suspension FOR EACH ROW
    WHEN (OLD.lifted_at IS NOT NULL) EXECUTE FUNCTION suspension_is_lifted_once();
REVOKE ALL ON FUNCTION market_counts_its_settlements(), suspension_is_lifted_once() FROM PUBLIC;

-- migrate:down
DROP TRIGGER market_counts_its_settlements ON market;
DROP TRIGGER suspension_is_lifted_once ON suspension;
DROP FUNCTION market_counts_its_settlements, suspension_is_lifted_once;
ALTER TABLE offer DROP CONSTRAINT offer_is_ended_by_whoever_may;
ALTER TABLE event DROP CONSTRAINT event_day_is_when_it_starts;
