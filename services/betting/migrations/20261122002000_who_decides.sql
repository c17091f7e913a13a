-- migrate:up
-- Who decides, once more in the database: whoever ends a race without a result is impartial like a judge; a result is of the
-- kind that the race's state asks for and counts one after the other; an objection window is whole and stays; a stable's
-- conformity is signed by one of it; and a settlement is what the result, the terms and the tax table say.

CREATE OR REPLACE FUNCTION result_is_supported() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    agreeing bigint;
    stands text := (SELECT status FROM race r WHERE r.id = NEW.race_id);
BEGIN
    IF NEW.version <> 1 + (SELECT count(*) FROM result r WHERE r.race_id = NEW.race_id AND r.version < NEW.version) THEN
        PERFORM refuse('result_version_is_next', format('race %s has no result %s', NEW.race_id, NEW.version - 1));
    END IF;
    IF NEW.source = 'RULED' THEN
        PERFORM check_impartial(NEW.race_id, NEW.signed_by[1]);
        IF EXISTS (SELECT FROM declaration d WHERE d.race_id = NEW.race_id AND d.official_id = NEW.signed_by[1])
           OR EXISTS (SELECT FROM objection o WHERE o.race_id = NEW.race_id AND o.raised_by = NEW.signed_by[1]) THEN
            PERFORM refuse('ruling_by_a_third', format('official %s is a party to the dispute', NEW.signed_by[1]));
        END IF;
    ELSIF NEW.source = 'DECLARED' THEN
        SELECT count(*) INTO agreeing FROM declaration d
         WHERE d.race_id = NEW.race_id AND d.official_id = ANY (NEW.signed_by)
           AND (d.winner, d.margin, d.off_time, d.photo_sha256, d.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    ELSE
        SELECT count(*) INTO agreeing FROM correction c
         WHERE c.race_id = NEW.race_id AND c.corrects = NEW.version - 1 AND c.official_id = ANY (NEW.signed_by)
           AND (c.winner, c.margin, c.off_time, c.photo_sha256, c.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    END IF;
    IF NEW.source <> 'RULED' AND agreeing <> 2 THEN
        PERFORM refuse('result_has_two_signatures', format('%s of 2 signed this result of race %s', agreeing, NEW.race_id));
    END IF;
    IF (NEW.source, stands) NOT IN (('DECLARED', 'DECLARED'), ('RULED', 'DISPUTED'), ('CORRECTED', 'FINAL')) THEN
        PERFORM refuse('result_fits_its_race', format('no result of race %s is %s while it is %s', NEW.race_id, NEW.source, stands));
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION race_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('SCHEDULED', 'AT_GATE'), ('SCHEDULED', 'POSTPONED'), ('SCHEDULED', 'NO_CORRE'),
            ('POSTPONED', 'AT_GATE'), ('POSTPONED', 'NO_CORRE'),
            ('AT_GATE', 'OFF'), ('AT_GATE', 'NO_CORRE'), ('AT_GATE', 'NO_CONTEST'),
            ('OFF', 'FINISHED'), ('OFF', 'NO_CONTEST'), ('FINISHED', 'DECLARED'), ('FINISHED', 'NO_CONTEST'),
            ('DECLARED', 'CONFIRMED'), ('DECLARED', 'DISPUTED'), ('DECLARED', 'NO_CONTEST'),
            ('CONFIRMED', 'FINAL'), ('CONFIRMED', 'DISPUTED'), ('CONFIRMED', 'NO_CONTEST'),
            ('DISPUTED', 'FINAL'), ('DISPUTED', 'NO_CONTEST')) THEN
        PERFORM refuse('race_moves_forward', format('race %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status IN ('NO_CORRE', 'NO_CONTEST') AND NEW.moved_by IS NOT NULL THEN
        PERFORM check_impartial(NEW.id, NEW.moved_by);
    END IF;
    IF OLD.status = 'DECLARED' AND NEW.status IN ('CONFIRMED', 'DISPUTED')
       AND (SELECT count(*) FROM declaration d WHERE d.race_id = NEW.id) <> 2 THEN
        PERFORM refuse('race_has_two_declarations', format('race %s has not been declared twice', OLD.id));
    END IF;
    IF NEW.status = 'CONFIRMED' AND (SELECT count(DISTINCT (winner, margin, off_time, photo_sha256, places))
                                       FROM declaration d WHERE d.race_id = NEW.id) <> 1 THEN
        PERFORM refuse('race_declarations_agree', format('the declarations of race %s differ', OLD.id));
    END IF;
    IF NEW.status IN ('CONFIRMED', 'FINAL') AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version) THEN
        PERFORM refuse('race_has_a_result', format('race %s has no result %s', OLD.id, NEW.result_version));
    END IF;
    IF OLD.status = 'DISPUTED' AND NEW.status = 'FINAL' AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version AND r.source = 'RULED') THEN
        PERFORM refuse('dispute_ends_by_ruling', format('nobody has ruled on race %s', OLD.id));
    END IF;
    -- The window closes by the database's clock, or when every stable has signed.
    IF OLD.status = 'CONFIRMED' AND NEW.status = 'FINAL' AND clock_timestamp() < OLD.objection_until
       AND EXISTS (SELECT FROM runner h WHERE h.race_id = NEW.id AND h.scratched_at IS NULL AND NOT EXISTS (
                SELECT FROM conformity c WHERE c.race_id = h.race_id AND c.stable_id = h.stable_id
                   AND c.result_version = NEW.result_version)) THEN
        PERFORM refuse('objection_window_is_open', format('race %s may be objected to until %s', OLD.id, OLD.objection_until));
    END IF;
    RETURN NEW;
END $$;

-- What a race counts as its result, and until when it may be objected to.
CREATE FUNCTION race_counts_its_results() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.result_version <> OLD.result_version AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version
               AND r.version = OLD.result_version + 1
               AND (r.source, OLD.status, NEW.status) IN (('DECLARED', 'DECLARED', 'CONFIRMED'),
                   ('RULED', 'DISPUTED', 'FINAL'), ('CORRECTED', 'FINAL', 'FINAL'))) THEN
        PERFORM refuse('race_counts_its_results', format('race %s has no such result %s', OLD.id, NEW.result_version));
    END IF;
    IF NEW.objection_until IS DISTINCT FROM OLD.objection_until AND OLD.objection_until IS NOT NULL THEN
        PERFORM refuse('objection_window_stays', format('race %s may be objected to until %s', OLD.id, OLD.objection_until));
    END IF;
    -- Half a minute is for two clocks, and for a transaction that waits.
    IF NEW.status = 'CONFIRMED' AND EXISTS (SELECT FROM event e WHERE e.id = NEW.event_id
            AND NEW.objection_until < clock_timestamp() + make_interval(secs => e.objection_seconds - 30)) THEN
        PERFORM refuse('objection_window_is_whole', format('race %s may be objected to until %s only', OLD.id, NEW.objection_until));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER race_counts_its_results BEFORE UPDATE ON race FOR EACH ROW
    WHEN (OLD.result_version IS DISTINCT FROM NEW.result_version OR OLD.objection_until IS DISTINCT FROM NEW.objection_until)
    EXECUTE FUNCTION race_counts_its_results();

CREATE FUNCTION conformity_is_by_its_stable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('conformity_is_by_its_stable', format('%s is not of stable %s', NEW.signed_by, NEW.stable_id))
      WHERE NOT EXISTS (SELECT FROM stable_member s WHERE s.stable_id = NEW.stable_id AND s.user_id = NEW.signed_by);
    RETURN NEW;
END $$;
CREATE TRIGGER conformity_is_by_its_stable BEFORE INSERT ON conformity
    FOR EACH ROW EXECUTE FUNCTION conformity_is_by_its_stable();

-- Where a runner came in: the first of `places` is 1; whoever is in none came in after all others.
CREATE FUNCTION place_in(places jsonb, runner uuid) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT coalesce(min(place), jsonb_array_length(places) + 1)
      FROM jsonb_array_elements(places) WITH ORDINALITY AS came_in (runners, place) WHERE runners ? runner::text
$$;

-- What two runners' places and the margin mean for a market's question.
CREATE FUNCTION outcome_by(kind text, tie_rule text, giver text, line text, place_a bigint, place_b bigint, margin text)
RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN kind = 'GANA' AND place_a = place_b THEN CASE tie_rule WHEN 'SPLIT_POT' THEN 'SPLIT' ELSE 'PUSH' END
        WHEN kind = 'GANA' THEN CASE WHEN place_a < place_b THEN 'A' ELSE 'B' END
        WHEN margin IS NULL OR CASE giver WHEN 'A' THEN place_a >= place_b ELSE place_b >= place_a END
            THEN CASE giver WHEN 'A' THEN 'B' ELSE 'A' END
        ELSE (SELECT CASE sign(array_position(m, margin) - array_position(m, line))
                     WHEN 1 THEN giver WHEN 0 THEN 'PUSH' ELSE CASE giver WHEN 'A' THEN 'B' ELSE 'A' END END
                FROM (VALUES (ARRAY['media cabeza', 'cabeza', 'pescuezo', 'paleta', 'faja', 'ijar', 'pico a rabo', 'blanco']))
                     AS from_the_least (m))
    END
$$;

-- A settlement is of the race's newest result, once it is final, or void for the market's reason. The tax is the one of the
-- event's state and day, and stays what it was at first.
CREATE FUNCTION settlement_follows_the_result() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m market;
    r race;
    x result;
    tax text;
    bps smallint := 0;
BEGIN
    SELECT * INTO m FROM market WHERE id = NEW.market_id;
    SELECT * INTO r FROM race WHERE id = m.race_id;
    SELECT * INTO x FROM result WHERE race_id = r.id AND version = r.result_version;
    IF m.void_reason IS NULL AND NEW.version = 1 THEN
        SELECT w.name, w.bps INTO tax, bps FROM event e
          JOIN withholding_rate w ON w.state = e.state AND w.valid_from <= e.day
         WHERE e.id = r.event_id ORDER BY w.valid_from DESC LIMIT 1;
        bps := coalesce(bps, 0);
        tax := CASE WHEN bps > 0 THEN tax END;
    ELSIF m.void_reason IS NULL THEN
        SELECT s.tax, s.withholding_bps INTO tax, bps FROM settlement s WHERE s.market_id = m.id AND s.version = 1;
    END IF;
    IF NEW.result_version <> r.result_version OR (NEW.tax, NEW.withholding_bps) IS DISTINCT FROM (tax, bps)
       OR (CASE WHEN m.void_reason IS NOT NULL THEN NEW.outcome <> 'VOID' OR NEW.late_after IS NOT NULL
                ELSE r.status <> 'FINAL' OR NEW.late_after IS DISTINCT FROM x.off_time - interval '2 seconds'
                     OR NEW.outcome IS DISTINCT FROM outcome_by(m.kind, m.tie_rule, m.giver, m.line,
                         place_in(x.places, m.runner_a), place_in(x.places, m.runner_b), x.margin) END) THEN
        PERFORM refuse('settlement_follows_the_result', format('market %s is settled on something else', m.id));
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER settlement_follows_the_result AFTER INSERT ON settlement
    FOR EACH ROW EXECUTE FUNCTION settlement_follows_the_result();

REVOKE ALL ON FUNCTION race_counts_its_results(), conformity_is_by_its_stable(), place_in(jsonb, uuid),
    outcome_by(text, text, text, text, bigint, bigint, text), settlement_follows_the_result() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION place_in(jsonb, uuid), outcome_by(text, text, text, text, bigint, bigint, text) TO betting_app;

-- migrate:down
DROP FUNCTION race_counts_its_results, conformity_is_by_its_stable, settlement_follows_the_result CASCADE;
DROP FUNCTION outcome_by, place_in;
CREATE OR REPLACE FUNCTION result_is_supported() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    agreeing bigint;
BEGIN
    IF NEW.version <> 1 + (SELECT count(*) FROM result r WHERE r.race_id = NEW.race_id AND r.version < NEW.version) THEN
        PERFORM refuse('result_version_is_next', format('race %s has no result %s', NEW.race_id, NEW.version - 1));
    END IF;
    IF NEW.source = 'RULED' THEN
        PERFORM check_impartial(NEW.race_id, NEW.signed_by[1]);
        IF EXISTS (SELECT FROM declaration d WHERE d.race_id = NEW.race_id AND d.official_id = NEW.signed_by[1])
           OR EXISTS (SELECT FROM objection o WHERE o.race_id = NEW.race_id AND o.raised_by = NEW.signed_by[1]) THEN
            PERFORM refuse('ruling_by_a_third', format('official %s is a party to the dispute', NEW.signed_by[1]));
        END IF;
        RETURN NEW;
    END IF;
    IF NEW.source = 'DECLARED' THEN
        SELECT count(*) INTO agreeing FROM declaration d
         WHERE d.race_id = NEW.race_id AND d.official_id = ANY (NEW.signed_by)
           AND (d.winner, d.margin, d.off_time, d.photo_sha256, d.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    ELSE
        SELECT count(*) INTO agreeing FROM correction c
         WHERE c.race_id = NEW.race_id AND c.corrects = NEW.version - 1 AND c.official_id = ANY (NEW.signed_by)
           AND (c.winner, c.margin, c.off_time, c.photo_sha256, c.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    END IF;
    IF agreeing <> 2 THEN
        PERFORM refuse('result_has_two_signatures', format('%s of 2 signed this result of race %s', agreeing, NEW.race_id));
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION race_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('SCHEDULED', 'AT_GATE'), ('SCHEDULED', 'POSTPONED'), ('SCHEDULED', 'NO_CORRE'),
            ('POSTPONED', 'AT_GATE'), ('POSTPONED', 'NO_CORRE'),
            ('AT_GATE', 'OFF'), ('AT_GATE', 'NO_CORRE'), ('AT_GATE', 'NO_CONTEST'),
            ('OFF', 'FINISHED'), ('OFF', 'NO_CONTEST'), ('FINISHED', 'DECLARED'), ('FINISHED', 'NO_CONTEST'),
            ('DECLARED', 'CONFIRMED'), ('DECLARED', 'DISPUTED'), ('DECLARED', 'NO_CONTEST'),
            ('CONFIRMED', 'FINAL'), ('CONFIRMED', 'DISPUTED'), ('CONFIRMED', 'NO_CONTEST'),
            ('DISPUTED', 'FINAL'), ('DISPUTED', 'NO_CONTEST')) THEN
        PERFORM refuse('race_moves_forward', format('race %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF OLD.status = 'DECLARED' AND NEW.status IN ('CONFIRMED', 'DISPUTED')
       AND (SELECT count(*) FROM declaration d WHERE d.race_id = NEW.id) <> 2 THEN
        PERFORM refuse('race_has_two_declarations', format('race %s has not been declared twice', OLD.id));
    END IF;
    IF NEW.status = 'CONFIRMED' AND (SELECT count(DISTINCT (winner, margin, off_time, photo_sha256, places))
                                       FROM declaration d WHERE d.race_id = NEW.id) <> 1 THEN
        PERFORM refuse('race_declarations_agree', format('the declarations of race %s differ', OLD.id));
    END IF;
    IF NEW.status IN ('CONFIRMED', 'FINAL') AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version) THEN
        PERFORM refuse('race_has_a_result', format('race %s has no result %s', OLD.id, NEW.result_version));
    END IF;
    IF OLD.status = 'DISPUTED' AND NEW.status = 'FINAL' AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version AND r.source = 'RULED') THEN
        PERFORM refuse('dispute_ends_by_ruling', format('nobody has ruled on race %s', OLD.id));
    END IF;
    -- The window closes by the database's clock, or when every stable has signed.
    IF OLD.status = 'CONFIRMED' AND NEW.status = 'FINAL' AND clock_timestamp() < OLD.objection_until
       AND EXISTS (SELECT FROM runner h WHERE h.race_id = NEW.id AND h.scratched_at IS NULL AND NOT EXISTS (
                SELECT FROM conformity c WHERE c.race_id = h.race_id AND c.stable_id = h.stable_id
                   AND c.result_version = NEW.result_version)) THEN
        PERFORM refuse('objection_window_is_open', format('race %s may be objected to until %s', OLD.id, OLD.objection_until));
    END IF;
    RETURN NEW;
END $$;
