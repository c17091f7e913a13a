-- migrate:up
-- What is written down belongs to its own moment: a bet is matched now, a horse is scratched or changes its stable before the
-- race is off, a settlement's shares are written with it. Whoever voids bets is named and impartial, however the race came to
-- be void. The terms that were hashed are those that count, a result pays whom it names, and nothing is born further on than
-- its beginning.

CREATE OR REPLACE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM (SELECT market_id, max(matched_at) AS at FROM added GROUP BY market_id) a
       JOIN market m ON m.id = a.market_id WHERE m.status <> 'OPEN' OR m.closes_at <= a.at;
    -- Half a minute is for two clocks, and for a transaction that waits.
    PERFORM refuse('fill_is_matched_now', format('fill %s was matched at %s', a.id, a.matched_at))
       FROM added a
      WHERE a.matched_at NOT BETWEEN now() - interval '30 seconds' AND clock_timestamp() + interval '30 seconds' LIMIT 1;
    PERFORM refuse(broken.rule, format('fill %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN maker.owner = taker.owner THEN 'fill_owners_differ'
                    WHEN maker.expires_at <= a.matched_at THEN 'fill_maker_has_time'
                    WHEN taker.expires_at <= a.matched_at THEN 'fill_taker_has_time'
                    WHEN maker.challenges IS NOT NULL
                         AND (maker.challenges <> taker.user_id OR taker.answers IS DISTINCT FROM maker.id)
                        THEN 'fill_answers_its_challenge'
                    WHEN taker.challenges IS NOT NULL OR taker.answers <> maker.id THEN 'fill_answers_its_challenge'
                END AS rule
               FROM added a
               JOIN LATERAL (SELECT * FROM offer WHERE id = a.maker_offer OFFSET 0) maker ON true
               JOIN LATERAL (SELECT * FROM offer WHERE id = a.taker_offer OFFSET 0) taker ON true) broken
      WHERE broken.rule IS NOT NULL LIMIT 1;
    RETURN NULL;
END $$;

-- Afterwards it would undo bets whose result is known, or sign away an objection window.
CREATE FUNCTION runner_changes_before_the_off() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.scratched_at IS NOT NULL
       OR NOT EXISTS (SELECT FROM race r WHERE r.id = OLD.race_id AND r.status IN ('SCHEDULED', 'POSTPONED', 'AT_GATE')) THEN
        PERFORM refuse('runner_changes_before_the_off', format('runner %s has run, or is out', OLD.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER runner_changes_before_the_off BEFORE UPDATE OF stable_id, scratched_at ON runner FOR EACH ROW
    WHEN (OLD.stable_id IS DISTINCT FROM NEW.stable_id OR OLD.scratched_at IS DISTINCT FROM NEW.scratched_at)
    EXECUTE FUNCTION runner_changes_before_the_off();

CREATE OR REPLACE FUNCTION market_is_void_with_its_race() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    official uuid;
BEGIN
    SELECT r.moved_by INTO official FROM race r JOIN event e ON e.id = r.event_id
     WHERE r.id = NEW.race_id
       AND (r.status IN ('NO_CORRE', 'NO_CONTEST') OR r.status = 'POSTPONED' AND r.starts_at >= e.day_ends_at
            OR EXISTS (SELECT FROM runner h WHERE h.id IN (NEW.runner_a, NEW.runner_b)
                          AND h.scratched_at IS NOT NULL));
    IF NOT FOUND OR NEW.void_reason IS NULL
       OR coalesce(OLD.stopped_from, OLD.status) NOT IN ('DRAFT', 'OPEN', 'SUSPENDED', 'CLOSED') THEN
        PERFORM refuse('market_is_void_with_its_race', format('nothing happened to the race of market %s', OLD.id));
    END IF;
    IF official IS NULL THEN
        PERFORM refuse('market_is_void_by_somebody', format('nobody says why market %s is void', OLD.id));
    END IF;
    PERFORM check_impartial(NEW.race_id, official);
    RETURN NEW;
END $$;

CREATE FUNCTION settlement_is_written_whole() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('settlement_is_written_whole', format('version %s of market %s was written before', s.version, s.market_id))
       FROM (SELECT DISTINCT market_id, version FROM added) a
       JOIN settlement s ON s.market_id = a.market_id AND s.version = a.version
      WHERE s.xmin <> pg_current_xact_id()::xid LIMIT 1;
    RETURN NULL;
END $$;
CREATE TRIGGER settlement_share_is_written_whole AFTER INSERT ON settlement_share REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION settlement_is_written_whole();
CREATE TRIGGER settlement_chunk_is_written_whole AFTER INSERT ON settlement_chunk REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION settlement_is_written_whole();

CREATE FUNCTION market_terms_are_what_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.terms IS NULL
       OR NEW.terms::jsonb - 'closes_at' <> jsonb_build_object(
            'race', NEW.race_id, 'kind', NEW.kind, 'runners', jsonb_build_array(NEW.runner_a, NEW.runner_b),
            'giver', NEW.giver, 'line', NEW.line, 'currency', NEW.currency, 'commission_bps', NEW.commission_bps,
            'tie_rule', NEW.tie_rule, 'min_stake_minor', NEW.min_stake * 100, 'max_stake_minor', NEW.max_stake * 100,
            'max_exposure_minor', NEW.max_exposure * 100, 'close_rule', NEW.close_rule,
            'objection_seconds', NEW.objection_seconds, 'permit', NEW.permit)
       OR (NEW.terms::jsonb ->> 'closes_at')::timestamptz IS DISTINCT FROM NEW.closes_at THEN
        PERFORM refuse('market_terms_are_what_counts', format('the terms of market %s say something else', NEW.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER market_terms_are_what_counts BEFORE INSERT ON market FOR EACH ROW
    EXECUTE FUNCTION market_terms_are_what_counts();

-- What is paid follows the places; what everybody is shown is the winner.
ALTER TABLE result ADD CONSTRAINT result_winner_came_in_first CHECK (coalesce(
    CASE WHEN winner IS NULL THEN jsonb_array_length(places -> 0) > 1
         ELSE jsonb_array_length(places -> 0) = 1 AND places -> 0 ->> 0 = winner::text END, false)) NOT VALID;

CREATE FUNCTION begins_at_the_beginning() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(TG_NAME::text, format('%s %s begins as %s', TG_TABLE_NAME, NEW.id, NEW.status));
    RETURN NULL;
END $$;
CREATE TRIGGER event_begins_as_a_draft BEFORE INSERT ON event FOR EACH ROW
    WHEN (NEW.status <> 'DRAFT') EXECUTE FUNCTION begins_at_the_beginning();
CREATE TRIGGER race_begins_as_scheduled BEFORE INSERT ON race FOR EACH ROW
    WHEN (NEW.status <> 'SCHEDULED' OR NEW.result_version <> 0 OR NEW.objection_until IS NOT NULL)
    EXECUTE FUNCTION begins_at_the_beginning();

REVOKE ALL ON FUNCTION runner_changes_before_the_off(), settlement_is_written_whole(), market_terms_are_what_counts(),
    begins_at_the_beginning() FROM PUBLIC;

-- migrate:down
DROP TRIGGER race_begins_as_scheduled ON race;
DROP TRIGGER event_begins_as_a_draft ON event;
DROP FUNCTION begins_at_the_beginning();
ALTER TABLE result DROP CONSTRAINT result_winner_came_in_first;
DROP TRIGGER market_terms_are_what_counts ON market;
DROP FUNCTION market_terms_are_what_counts();
DROP TRIGGER settlement_chunk_is_written_whole ON settlement_chunk;
DROP TRIGGER settlement_share_is_written_whole ON settlement_share;
DROP FUNCTION settlement_is_written_whole();
DROP TRIGGER runner_changes_before_the_off ON runner;
DROP FUNCTION runner_changes_before_the_off();
CREATE OR REPLACE FUNCTION market_is_void_with_its_race() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE OR REPLACE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM (SELECT market_id, max(matched_at) AS at FROM added GROUP BY market_id) a
       JOIN market m ON m.id = a.market_id WHERE m.status <> 'OPEN' OR m.closes_at <= a.at;
    PERFORM refuse(broken.rule, format('fill %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN maker.owner = taker.owner THEN 'fill_owners_differ'
                    WHEN maker.expires_at <= a.matched_at THEN 'fill_maker_has_time'
                    WHEN taker.expires_at <= a.matched_at THEN 'fill_taker_has_time'
                    WHEN maker.challenges IS NOT NULL
                         AND (maker.challenges <> taker.user_id OR taker.answers IS DISTINCT FROM maker.id)
                        THEN 'fill_answers_its_challenge'
                    WHEN taker.challenges IS NOT NULL OR taker.answers <> maker.id THEN 'fill_answers_its_challenge'
                END AS rule
               FROM added a
               JOIN LATERAL (SELECT * FROM offer WHERE id = a.maker_offer OFFSET 0) maker ON true
               JOIN LATERAL (SELECT * FROM offer WHERE id = a.taker_offer OFFSET 0) taker ON true) broken
      WHERE broken.rule IS NOT NULL LIMIT 1;
    RETURN NULL;
END $$;
