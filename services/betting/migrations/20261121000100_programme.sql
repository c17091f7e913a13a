-- migrate:up
-- The programme: events under a permit, their match races, the two horses of each, and what the
-- officials saw.

CREATE TABLE event (
    id uuid PRIMARY KEY,
    name text NOT NULL CONSTRAINT event_name_is_bounded CHECK (length(name) BETWEEN 1 AND 200),
    venue text NOT NULL CONSTRAINT event_venue_is_bounded CHECK (length(venue) BETWEEN 1 AND 200),
    permit text NOT NULL CONSTRAINT event_permit_is_bounded CHECK (length(permit) BETWEEN 1 AND 100),
    starts_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'DRAFT' CONSTRAINT event_status_is_known CHECK (status IN ('DRAFT', 'PUBLISHED')),
    sequence bigint NOT NULL DEFAULT 0,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX event_by_start ON event (starts_at, id);

CREATE TABLE race (
    id uuid PRIMARY KEY,
    event_id uuid NOT NULL REFERENCES event,
    number smallint NOT NULL CONSTRAINT race_number_in_range CHECK (number BETWEEN 1 AND 100),
    distance_m smallint NOT NULL CONSTRAINT race_distance_in_range CHECK (distance_m BETWEEN 50 AND 2000),
    starts_at timestamptz NOT NULL,
    status text NOT NULL DEFAULT 'SCHEDULED' CONSTRAINT race_status_is_known
        CHECK (status IN ('SCHEDULED', 'AT_GATE', 'DECLARED', 'DISPUTED', 'FINAL', 'NO_CORRE')),
    scratch_reason text CONSTRAINT race_scratch_reason_is_bounded CHECK (length(scratch_reason) BETWEEN 1 AND 500),
    sequence bigint NOT NULL DEFAULT 0,
    created_by uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT race_number_is_unique UNIQUE (event_id, number),
    CONSTRAINT race_scratch_has_reason CHECK ((status = 'NO_CORRE') = (scratch_reason IS NOT NULL))
);

-- Position 1 is side A of the race's market, position 2 its side B.
CREATE TABLE runner (
    id uuid PRIMARY KEY,
    race_id uuid NOT NULL REFERENCES race,
    position smallint NOT NULL CONSTRAINT runner_position_in_match_race CHECK (position IN (1, 2)),
    horse text NOT NULL CONSTRAINT runner_horse_is_bounded CHECK (length(horse) BETWEEN 1 AND 100),
    CONSTRAINT runner_position_is_unique UNIQUE (race_id, position),
    CONSTRAINT runner_in_race UNIQUE (race_id, id)
);
CREATE UNIQUE INDEX runner_horse_is_unique ON runner (race_id, lower(horse));

-- A declaration of one official. Two at most, of two different officials; never changed.
CREATE TABLE declaration (
    race_id uuid NOT NULL REFERENCES race,
    official_id uuid NOT NULL,
    ordinal smallint NOT NULL CONSTRAINT declaration_ordinal_in_pair CHECK (ordinal IN (1, 2)),
    winner uuid,
    margin text CONSTRAINT declaration_margin_is_known CHECK (margin IN (
        'media cabeza', 'cabeza', 'pescuezo', 'paleta', 'faja', 'ijar', 'pico a rabo', 'blanco')),
    off_time timestamptz NOT NULL,
    photo_sha256 bytea NOT NULL CONSTRAINT declaration_photo_is_sha256 CHECK (octet_length(photo_sha256) = 32),
    declared_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT declaration_officials_differ PRIMARY KEY (race_id, official_id),
    CONSTRAINT declaration_ordinal_is_unique UNIQUE (race_id, ordinal),
    CONSTRAINT declaration_winner_ran FOREIGN KEY (race_id, winner) REFERENCES runner (race_id, id),
    CONSTRAINT declaration_dead_heat_has_no_margin CHECK ((winner IS NULL) = (margin IS NULL))
);

-- migrate:down
DROP TABLE declaration, runner, race, event;
