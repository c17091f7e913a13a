-- migrate:up
-- A market is void only because of its race: it is not run or does not count, one of the two horses does not start, or it was
-- put off past the event's day; never once it is being settled, and for good. And what the ledger has booked stays booked.

CREATE FUNCTION market_is_void_with_its_race() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.void_reason IS NULL OR coalesce(OLD.stopped_from, OLD.status) NOT IN ('DRAFT', 'OPEN', 'SUSPENDED', 'CLOSED')
       OR NOT EXISTS (
            SELECT FROM race r JOIN event e ON e.id = r.event_id
             WHERE r.id = NEW.race_id
               AND (r.status IN ('NO_CORRE', 'NO_CONTEST') OR r.status = 'POSTPONED' AND r.starts_at >= e.day_ends_at
                    OR EXISTS (SELECT FROM runner h WHERE h.id IN (NEW.runner_a, NEW.runner_b)
                                  AND h.scratched_at IS NOT NULL))) THEN
        PERFORM refuse('market_is_void_with_its_race', format('nothing happened to the race of market %s', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION settlement_stays_booked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('settlement_stays_booked', format('version %s of market %s was booked', OLD.version, OLD.market_id));
    RETURN NULL;
END $$;

CREATE TRIGGER market_is_void_with_its_race BEFORE UPDATE OF void_reason ON market FOR EACH ROW
    WHEN (OLD.void_reason IS DISTINCT FROM NEW.void_reason) EXECUTE FUNCTION market_is_void_with_its_race();
CREATE TRIGGER settlement_stays_booked BEFORE UPDATE OF booked_at ON settlement FOR EACH ROW
    WHEN (OLD.booked_at IS NOT NULL) EXECUTE FUNCTION settlement_stays_booked();
CREATE TRIGGER settlement_chunk_stays_booked BEFORE UPDATE ON settlement_chunk FOR EACH ROW
    WHEN (OLD.booked_at IS NOT NULL) EXECUTE FUNCTION settlement_stays_booked();

REVOKE ALL ON FUNCTION market_is_void_with_its_race(), settlement_stays_booked() FROM PUBLIC;

-- migrate:down
DROP TRIGGER settlement_chunk_stays_booked ON settlement_chunk;
DROP TRIGGER settlement_stays_booked ON settlement;
DROP TRIGGER market_is_void_with_its_race ON market;
DROP FUNCTION settlement_stays_booked();
DROP FUNCTION market_is_void_with_its_race();
