-- migrate:up
-- When the event's day is over at the venue. A race is put off past it or not whatever offset the new time is written in.
ALTER TABLE event ADD COLUMN day_ends_at timestamptz;
-- What is there was written by the clock of central Mexico, and ends within a day of its start in any case.
UPDATE event SET day_ends_at = least(starts_at + interval '24 hours',
    greatest(starts_at + interval '1 second', (day + 1) AT TIME ZONE 'America/Mexico_City'));
ALTER TABLE event
    -- squawk-ignore adding-not-nullable-field
    ALTER COLUMN day_ends_at SET NOT NULL,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT event_day_ends_within_a_day
        CHECK (day_ends_at > starts_at AND day_ends_at <= starts_at + interval '24 hours');

-- migrate:down
ALTER TABLE event DROP COLUMN day_ends_at;
