-- migrate:up
-- Results: the finishing order two officials agree on, objections, the stables' conformity, a third official's
-- ruling, and corrections of official errors by two signatures.

ALTER TABLE declaration ADD COLUMN places jsonb NOT NULL DEFAULT '[]';

-- What counts. A race has one result per version; a later version comes of a ruling or a correction.
CREATE TABLE result (
    race_id uuid NOT NULL REFERENCES race,
    version smallint NOT NULL CONSTRAINT result_version_in_range CHECK (version BETWEEN 1 AND 100),
    winner uuid,
    margin text CONSTRAINT result_margin_is_known CHECK (margin IN (
        'media cabeza', 'cabeza', 'pescuezo', 'paleta', 'faja', 'ijar', 'pico a rabo', 'blanco')),
    off_time timestamptz NOT NULL,
    photo_sha256 bytea NOT NULL CONSTRAINT result_photo_is_sha256 CHECK (octet_length(photo_sha256) = 32),
    places jsonb NOT NULL,
    source text NOT NULL CONSTRAINT result_source_is_known CHECK (source IN ('DECLARED', 'RULED', 'CORRECTED')),
    signed_by uuid[] NOT NULL,
    reason text NOT NULL CONSTRAINT result_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 2000),
    decided_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT result_is_unique PRIMARY KEY (race_id, version),
    CONSTRAINT result_winner_ran FOREIGN KEY (race_id, winner) REFERENCES runner (race_id, id),
    CONSTRAINT result_dead_heat_has_no_margin CHECK ((winner IS NULL) = (margin IS NULL)),
    CONSTRAINT result_is_signed CHECK (cardinality(signed_by) = CASE source WHEN 'RULED' THEN 1 ELSE 2 END),
    CONSTRAINT result_signatures_differ CHECK (source = 'RULED' OR signed_by[1] <> signed_by[2])
);

CREATE TABLE objection (
    id uuid PRIMARY KEY,
    race_id uuid NOT NULL REFERENCES race,
    result_version smallint NOT NULL,
    raised_by uuid NOT NULL,
    reason text NOT NULL CONSTRAINT objection_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 2000),
    raised_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT objection_once FOREIGN KEY (race_id, result_version) REFERENCES result (race_id, version)
);
CREATE INDEX objection_of_race ON objection (race_id);

-- A stable agrees with the result: when all have, nobody needs to wait for the window to close.
CREATE TABLE conformity (
    race_id uuid NOT NULL,
    result_version smallint NOT NULL,
    stable_id uuid NOT NULL REFERENCES stable,
    signed_by uuid NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conformity_is_signed_once PRIMARY KEY (race_id, result_version, stable_id),
    FOREIGN KEY (race_id, result_version) REFERENCES result (race_id, version)
);

-- A signature under a correction of an official error. Two officials who sign the same make a new result.
CREATE TABLE correction (
    race_id uuid NOT NULL REFERENCES race,
    corrects smallint NOT NULL,
    official_id uuid NOT NULL,
    winner uuid,
    margin text,
    off_time timestamptz NOT NULL,
    photo_sha256 bytea NOT NULL CONSTRAINT correction_photo_is_sha256 CHECK (octet_length(photo_sha256) = 32),
    places jsonb NOT NULL,
    reason text NOT NULL CONSTRAINT correction_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 2000),
    signed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT correction_is_signed_once PRIMARY KEY (race_id, corrects, official_id),
    FOREIGN KEY (race_id, corrects) REFERENCES result (race_id, version),
    CONSTRAINT correction_winner_ran FOREIGN KEY (race_id, winner) REFERENCES runner (race_id, id)
);

DO $$
DECLARE
    room text;
BEGIN
    FOREACH room IN ARRAY ARRAY['declaration', 'result', 'objection', 'conformity', 'correction', 'appointment'] LOOP
        EXECUTE format('CREATE TRIGGER %I_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()', room, room);
    END LOOP;
END $$;

-- Whoever says how a race ended has no offer at the event and no horse in it.
CREATE FUNCTION check_impartial(judged uuid, official uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('declaration_is_impartial', format('official %s has bet in the event', official))
       FROM race r
       JOIN race other ON other.event_id = r.event_id
       JOIN market m ON m.race_id = other.id
       JOIN offer o ON o.market_id = m.id AND o.user_id = official
      WHERE r.id = judged LIMIT 1;
    PERFORM refuse('official_has_no_horse', format('official %s is of a stable at the event', official))
       FROM race r
       JOIN race other ON other.event_id = r.event_id
       JOIN runner h ON h.race_id = other.id
       JOIN stable_member s ON s.stable_id = h.stable_id AND s.user_id = official
      WHERE r.id = judged LIMIT 1;
END $$;

CREATE OR REPLACE FUNCTION declaration_is_impartial() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_impartial(NEW.race_id, NEW.official_id);
    RETURN NEW;
END $$;
CREATE TRIGGER correction_is_impartial BEFORE INSERT ON correction
    FOR EACH ROW EXECUTE FUNCTION declaration_is_impartial();

-- A result says what two agreeing declarations or two agreeing corrections say; a ruling is by a third official.
CREATE FUNCTION result_is_supported() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER result_is_supported BEFORE INSERT ON result FOR EACH ROW EXECUTE FUNCTION result_is_supported();

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

-- migrate:down
DROP FUNCTION result_is_supported CASCADE;
DROP TABLE correction, conformity, objection, result;
DROP TRIGGER declaration_is_append_only ON declaration;
DROP TRIGGER appointment_is_append_only ON appointment;
CREATE OR REPLACE FUNCTION declaration_is_impartial() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('declaration_is_impartial', format('official %s has bet in the event', NEW.official_id))
       FROM race judged
       JOIN race other ON other.event_id = judged.event_id
       JOIN market m ON m.race_id = other.id
       JOIN offer o ON o.market_id = m.id AND o.user_id = NEW.official_id
      WHERE judged.id = NEW.race_id LIMIT 1;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION race_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('SCHEDULED', 'AT_GATE'), ('AT_GATE', 'DECLARED'), ('DECLARED', 'FINAL'), ('DECLARED', 'DISPUTED'),
            ('SCHEDULED', 'NO_CORRE'), ('AT_GATE', 'NO_CORRE'), ('DECLARED', 'NO_CORRE'), ('DISPUTED', 'NO_CORRE')) THEN
        PERFORM refuse('race_moves_forward', format('race %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status IN ('FINAL', 'DISPUTED')
       AND (SELECT count(*) FROM declaration d WHERE d.race_id = NEW.id) <> 2 THEN
        PERFORM refuse('race_has_two_declarations', format('race %s has not been declared twice', OLD.id));
    END IF;
    IF NEW.status = 'FINAL' AND (SELECT count(DISTINCT (winner, margin, off_time, photo_sha256))
                                   FROM declaration d WHERE d.race_id = NEW.id) <> 1 THEN
        PERFORM refuse('race_declarations_agree', format('the declarations of race %s differ', OLD.id));
    END IF;
    RETURN NEW;
END $$;
DROP FUNCTION check_impartial;
ALTER TABLE declaration DROP COLUMN places;
