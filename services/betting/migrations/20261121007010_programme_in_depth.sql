-- migrate:up
-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-creation, adding-foreign-key-constraint, constraint-missing-not-valid, ban-drop-view, adding-not-nullable-field
-- Widened in place before the first race day: the tables are empty wherever this runs in earnest.
-- The programme in depth: carriles, permits, stables and their people, races of more than two, every state
-- an event or a race can be in, and who moved it there and why.

-- A straight track. `margins` are the words its judges use, from the least on.
CREATE TABLE carril (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT carril_name_is_bounded CHECK (length(name) BETWEEN 1 AND 200),
    state text NOT NULL CONSTRAINT carril_state_is_a_code CHECK (state ~ '^[A-Z]{3}$'),
    length_m smallint NOT NULL CONSTRAINT carril_length_in_range CHECK (length_m BETWEEN 50 AND 2000),
    margins text[] NOT NULL CONSTRAINT carril_has_margins CHECK (cardinality(margins) BETWEEN 1 AND 20),
    registered_by uuid NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX carril_name_is_unique ON carril (lower(name));

-- An authority's leave to hold races at a venue, both days included.
CREATE TABLE permit (
    id uuid PRIMARY KEY,
    number text NOT NULL CONSTRAINT permit_number_is_bounded CHECK (length(number) BETWEEN 1 AND 100),
    venue text NOT NULL CONSTRAINT permit_venue_is_bounded CHECK (length(venue) BETWEEN 1 AND 200),
    issuer text NOT NULL CONSTRAINT permit_issuer_is_bounded CHECK (length(issuer) BETWEEN 1 AND 200),
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    registered_by uuid NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT permit_is_unique UNIQUE (number, venue, valid_from),
    CONSTRAINT permit_ends_after_it_begins CHECK (valid_to >= valid_from)
);

-- A stable (*cuadra*): the people behind a horse. Whoever belongs to one is never matched with another of it,
-- and bets only on its horses where they run.
CREATE TABLE stable (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT stable_name_is_bounded CHECK (length(name) BETWEEN 1 AND 200),
    registered_by uuid NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX stable_name_is_unique ON stable (lower(name));

CREATE TABLE stable_member (
    user_id uuid NOT NULL CONSTRAINT stable_member_is_of_one PRIMARY KEY,
    stable_id uuid NOT NULL REFERENCES stable,
    part text NOT NULL CONSTRAINT stable_member_part_is_known CHECK (part IN ('OWNER', 'TRAINER', 'JOCKEY', 'GROOM')),
    added_by uuid NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX stable_member_of ON stable_member (stable_id);

-- Who officiates at an event: appointed, or by declaring or ruling there.
CREATE TABLE appointment (
    event_id uuid NOT NULL REFERENCES event,
    official_id uuid NOT NULL,
    appointed_by uuid NOT NULL,
    appointed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (event_id, official_id)
);

ALTER TABLE event
    ADD COLUMN state text NOT NULL DEFAULT 'SIN' CONSTRAINT event_state_is_a_code CHECK (state ~ '^[A-Z]{3}$'),
    ADD COLUMN carril_id uuid REFERENCES carril,
    ADD COLUMN day date,
    ADD COLUMN objection_seconds integer NOT NULL DEFAULT 600
        CONSTRAINT event_objection_in_range CHECK (objection_seconds BETWEEN 0 AND 86400),
    ADD COLUMN moved_by uuid,
    ADD COLUMN moved_why text NOT NULL DEFAULT 'drafted'
        CONSTRAINT event_reason_is_bounded CHECK (length(moved_why) BETWEEN 1 AND 500),
    DROP CONSTRAINT event_status_is_known;
UPDATE event SET day = (starts_at AT TIME ZONE 'UTC')::date;
ALTER TABLE event
    ALTER COLUMN day SET NOT NULL,
    ADD CONSTRAINT event_status_is_known
        CHECK (status IN ('DRAFT', 'PUBLISHED', 'LIVE', 'CLOSED', 'CANCELLED')) NOT VALID;

ALTER TABLE race
    ADD COLUMN conditions text CONSTRAINT race_conditions_are_bounded CHECK (length(conditions) BETWEEN 1 AND 500),
    ADD COLUMN off_at timestamptz,
    ADD COLUMN objection_until timestamptz,
    ADD COLUMN result_version smallint NOT NULL DEFAULT 0
        CONSTRAINT race_result_version_in_range CHECK (result_version BETWEEN 0 AND 100),
    ADD COLUMN moved_by uuid,
    ADD COLUMN moved_why text NOT NULL DEFAULT 'scheduled'
        CONSTRAINT race_reason_is_bounded CHECK (length(moved_why) BETWEEN 1 AND 500),
    DROP CONSTRAINT race_status_is_known,
    DROP CONSTRAINT race_scratch_has_reason;
ALTER TABLE race
    ADD CONSTRAINT race_status_is_known CHECK (status IN (
        'SCHEDULED', 'POSTPONED', 'AT_GATE', 'OFF', 'FINISHED', 'DECLARED', 'CONFIRMED', 'DISPUTED', 'FINAL',
        'NO_CONTEST', 'NO_CORRE')) NOT VALID,
    ADD CONSTRAINT race_scratch_has_reason CHECK ((status = 'NO_CORRE') = (scratch_reason IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT race_confirmed_has_a_window
        CHECK (status NOT IN ('CONFIRMED', 'FINAL') OR objection_until IS NOT NULL) NOT VALID;
CREATE INDEX race_window_open ON race (objection_until) WHERE status = 'CONFIRMED';

ALTER TABLE runner
    ADD COLUMN stable_id uuid REFERENCES stable,
    ADD COLUMN carril smallint CONSTRAINT runner_carril_in_range CHECK (carril BETWEEN 1 AND 20),
    ADD COLUMN scratched_at timestamptz,
    ADD COLUMN scratch_reason text CONSTRAINT runner_scratch_reason_is_bounded
        CHECK (length(scratch_reason) BETWEEN 1 AND 500),
    ADD CONSTRAINT runner_scratch_has_reason CHECK ((scratched_at IS NULL) = (scratch_reason IS NULL)),
    DROP CONSTRAINT runner_position_in_match_race;
ALTER TABLE runner ADD CONSTRAINT runner_position_in_race CHECK (position BETWEEN 1 AND 20) NOT VALID;
CREATE INDEX runner_of_stable ON runner (stable_id) WHERE stable_id IS NOT NULL;

-- Every move of an event, a race, a market or an offer: from where to where, by whom (null: the platform
-- itself), why and when. Written by triggers, so that no move can be forgotten, by whoever makes it.
CREATE TABLE transition (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    noun text NOT NULL CONSTRAINT transition_noun_is_known CHECK (noun IN ('event', 'race', 'market', 'offer')),
    subject uuid NOT NULL,
    was text,
    became text NOT NULL,
    actor uuid,
    reason text NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX transition_of ON transition (subject, id);

CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('history_is_append_only', format('%s on %s: history is append-only', TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$;
CREATE TRIGGER transition_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON transition
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

-- SECURITY DEFINER: nobody else may write there.
CREATE FUNCTION note_moves() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO transition (noun, subject, was, became, actor, reason)
    SELECT TG_ARGV[0], a.id, b.status, a.status, a.moved_by, a.moved_why
      FROM after_it a JOIN before_it b ON b.id = a.id WHERE a.status <> b.status;
    RETURN NULL;
END $$;
CREATE FUNCTION note_beginnings() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO transition (noun, subject, became, actor, reason)
    SELECT TG_ARGV[0], a.id, a.status, a.moved_by, a.moved_why FROM after_it a;
    RETURN NULL;
END $$;

CREATE TRIGGER event_moves_are_noted AFTER UPDATE ON event
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_moves('event');
CREATE TRIGGER event_beginning_is_noted AFTER INSERT ON event
    REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_beginnings('event');
CREATE TRIGGER race_moves_are_noted AFTER UPDATE ON race
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_moves('race');
CREATE TRIGGER race_beginning_is_noted AFTER INSERT ON race
    REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_beginnings('race');

-- An event moves as the list says, and is published only under a permit for its venue and day.
CREATE FUNCTION event_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('DRAFT', 'PUBLISHED'), ('PUBLISHED', 'LIVE'), ('PUBLISHED', 'CLOSED'), ('LIVE', 'CLOSED'),
            ('DRAFT', 'CANCELLED'), ('PUBLISHED', 'CANCELLED'), ('LIVE', 'CANCELLED')) THEN
        PERFORM refuse('event_moves_forward', format('event %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status = 'PUBLISHED' AND NOT EXISTS (
            SELECT FROM permit p WHERE p.number = NEW.permit AND p.venue = NEW.venue
               AND NEW.day BETWEEN p.valid_from AND p.valid_to) THEN
        PERFORM refuse('event_has_a_permit', format('no permit covers event %s', OLD.id));
    END IF;
    IF NEW.status = 'CLOSED' AND EXISTS (SELECT FROM race r WHERE r.event_id = NEW.id
            AND r.status NOT IN ('FINAL', 'NO_CONTEST', 'NO_CORRE')) THEN
        PERFORM refuse('event_closes_after_its_races', format('event %s has races to run', OLD.id));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER event_moves_forward BEFORE UPDATE OF status ON event
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION event_moves_forward();

-- migrate:down
DROP FUNCTION event_moves_forward, note_beginnings, note_moves, history_is_append_only CASCADE;
DROP TABLE transition, appointment, stable_member, permit;
ALTER TABLE runner DROP COLUMN stable_id, DROP COLUMN carril, DROP COLUMN scratched_at, DROP COLUMN scratch_reason,
    DROP CONSTRAINT runner_position_in_race;
ALTER TABLE runner ADD CONSTRAINT runner_position_in_match_race CHECK (position IN (1, 2)) NOT VALID;
ALTER TABLE race DROP COLUMN conditions, DROP COLUMN off_at, DROP COLUMN objection_until, DROP COLUMN result_version,
    DROP COLUMN moved_by, DROP COLUMN moved_why, DROP CONSTRAINT race_status_is_known, DROP CONSTRAINT race_scratch_has_reason;
ALTER TABLE race
    ADD CONSTRAINT race_status_is_known CHECK (status IN ('SCHEDULED', 'AT_GATE', 'DECLARED', 'DISPUTED', 'FINAL', 'NO_CORRE')) NOT VALID,
    ADD CONSTRAINT race_scratch_has_reason CHECK ((status = 'NO_CORRE') = (scratch_reason IS NOT NULL)) NOT VALID;
ALTER TABLE event DROP COLUMN state, DROP COLUMN carril_id, DROP COLUMN day, DROP COLUMN objection_seconds,
    DROP COLUMN moved_by, DROP COLUMN moved_why, DROP CONSTRAINT event_status_is_known;
ALTER TABLE event ADD CONSTRAINT event_status_is_known CHECK (status IN ('DRAFT', 'PUBLISHED')) NOT VALID;
DROP TABLE stable, carril;
