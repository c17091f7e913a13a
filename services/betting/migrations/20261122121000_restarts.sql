-- migrate:up
-- A market that is stopped for a defect starts again where it was, by the signatures of two different officials on this
-- very stop, neither of whom has bet at the event or has a horse in it. The stop remembers where the market was; what was
-- refused of a settlement is counted, so that it can be asked for again under another key. A market begins as a draft, with
-- nothing in it, and takes offers only while its race has not gone to the gate.

CREATE TABLE restart (
    market_id uuid NOT NULL REFERENCES market (id),
    version integer NOT NULL,
    official_id uuid NOT NULL,
    reason text NOT NULL,
    signed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT restart_is_signed_once PRIMARY KEY (market_id, version, official_id),
    CONSTRAINT restart_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 500)
);

ALTER TABLE market ADD COLUMN stopped_from text;
UPDATE market m SET stopped_from = coalesce(
    (SELECT was FROM transition t WHERE t.subject = m.id AND t.noun = 'market' AND t.became = 'SUSPENDED'
      ORDER BY t.id DESC LIMIT 1), 'OPEN') WHERE m.defect IS NOT NULL;
ALTER TABLE market ADD CONSTRAINT market_stopped_from_somewhere
    CHECK ((stopped_from IS NULL) = (defect IS NULL)) NOT VALID;
ALTER TABLE settlement_chunk ADD COLUMN refusals smallint NOT NULL DEFAULT 0;
ALTER TABLE settlement_chunk ADD CONSTRAINT settlement_chunk_refusals_in_range CHECK (refusals BETWEEN 0 AND 1000) NOT VALID;

CREATE FUNCTION restart_is_of_a_stopped_market() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    m market;
BEGIN
    SELECT * INTO m FROM market WHERE id = NEW.market_id;
    IF m.defect IS NULL OR m.version <> NEW.version THEN
        PERFORM refuse('restart_is_of_a_stopped_market', format('market %s is not stopped at version %s', m.id, NEW.version));
    END IF;
    PERFORM check_impartial(m.race_id, NEW.official_id);
    RETURN NEW;
END $$;

CREATE FUNCTION market_stops_and_restarts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse('market_move_is_a_version', format('market %s keeps version %s', OLD.id, OLD.version));
    END IF;
    IF OLD.defect IS NULL THEN
        NEW.stopped_from := OLD.status;
        RETURN NEW;
    END IF;
    IF NEW.defect IS NOT NULL THEN
        PERFORM refuse('market_defect_stays', format('market %s is stopped for: %s', OLD.id, OLD.defect));
    END IF;
    IF (SELECT count(*) FROM restart r WHERE r.market_id = OLD.id AND r.version = OLD.version) < 2
       OR NOT EXISTS (SELECT FROM restart r WHERE r.market_id = OLD.id AND r.version = OLD.version
                         AND r.official_id = NEW.moved_by) THEN
        PERFORM refuse('market_restarts_by_two', format('two officials have not signed that market %s restarts', OLD.id));
    END IF;
    IF NEW.status <> (CASE WHEN OLD.stopped_from IN ('CLOSED', 'SETTLING', 'SETTLED', 'VOID')
                           THEN OLD.stopped_from ELSE 'SUSPENDED' END) THEN
        PERFORM refuse('market_restarts_where_it_was', format('market %s was %s', OLD.id, OLD.stopped_from));
    END IF;
    NEW.stopped_from := NULL;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION market_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    -- Into a stop and out of it: market_stops_and_restarts.
    IF (OLD.defect IS NULL) = (NEW.defect IS NULL) AND (OLD.defect IS NOT NULL OR (OLD.status, NEW.status) NOT IN (
            ('DRAFT', 'OPEN'), ('DRAFT', 'CLOSED'), ('OPEN', 'SUSPENDED'), ('SUSPENDED', 'OPEN'), ('OPEN', 'CLOSED'),
            ('SUSPENDED', 'CLOSED'), ('CLOSED', 'SETTLING'), ('CLOSED', 'SETTLED'), ('CLOSED', 'VOID'),
            ('SETTLING', 'SETTLED'), ('SETTLING', 'VOID'), ('SETTLED', 'SETTLING'), ('VOID', 'SETTLING'))) THEN
        PERFORM refuse('market_moves_forward', format('market %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse('market_move_is_a_version', format('market %s keeps version %s', OLD.id, OLD.version));
    END IF;
    IF NEW.status = 'OPEN' AND NOT EXISTS (
            SELECT FROM race r WHERE r.id = NEW.race_id AND r.status IN ('SCHEDULED', 'POSTPONED')) THEN
        PERFORM refuse('market_opens_before_the_gate', format('the race of market %s has gone to the gate', OLD.id));
    END IF;
    IF NEW.status IN ('SETTLED', 'VOID') AND NOT EXISTS (
            SELECT FROM settlement s
             WHERE s.market_id = NEW.id AND s.version = NEW.settlement AND s.booked_at IS NOT NULL) THEN
        PERFORM refuse('market_ends_booked', format('market %s has no booked settlement', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION market_begins_as_a_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('market_begins_as_a_draft', format('market %s begins as %s', NEW.id, NEW.status));
    RETURN NULL;
END $$;

-- A market's version moves with its state and with a stop, also where a stop finds it suspended already.
CREATE FUNCTION note_market_moves() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO transition (noun, subject, was, became, actor, reason)
    SELECT 'market', a.id, b.status, a.status, a.moved_by, a.moved_why
      FROM after_it a JOIN before_it b ON b.id = a.id
     WHERE a.status <> b.status OR (a.defect IS NULL) <> (b.defect IS NULL);
    RETURN NULL;
END $$;

DROP TRIGGER market_moves_are_noted ON market;
CREATE TRIGGER market_moves_are_noted AFTER UPDATE ON market REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION note_market_moves();
CREATE TRIGGER market_stops_and_restarts BEFORE UPDATE OF defect ON market FOR EACH ROW
    WHEN (OLD.defect IS DISTINCT FROM NEW.defect) EXECUTE FUNCTION market_stops_and_restarts();
CREATE TRIGGER market_begins_as_a_draft BEFORE INSERT ON market FOR EACH ROW
    WHEN ((NEW.status, NEW.version, NEW.sequence, NEW.escrow::numeric, NEW.settlement) <> ('DRAFT', 0, 0, 0, 0)
          OR NEW.defect IS NOT NULL OR NEW.void_reason IS NOT NULL)
    EXECUTE FUNCTION market_begins_as_a_draft();
CREATE TRIGGER restart_is_of_a_stopped_market BEFORE INSERT ON restart
    FOR EACH ROW EXECUTE FUNCTION restart_is_of_a_stopped_market();
CREATE TRIGGER restart_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON restart
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

REVOKE ALL ON FUNCTION restart_is_of_a_stopped_market(), market_stops_and_restarts(), note_market_moves(), market_begins_as_a_draft() FROM PUBLIC;
GRANT SELECT, INSERT ON restart TO betting_app;
GRANT UPDATE (refusals) ON settlement_chunk TO betting_app;

-- migrate:down
DROP TRIGGER market_begins_as_a_draft ON market;
DROP TRIGGER market_stops_and_restarts ON market;
DROP TRIGGER market_moves_are_noted ON market;
CREATE TRIGGER market_moves_are_noted AFTER UPDATE ON market REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION note_moves('market');
CREATE OR REPLACE FUNCTION market_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.defect IS NOT NULL OR NOT (NEW.status = 'SUSPENDED' AND NEW.defect IS NOT NULL)
       AND (OLD.status, NEW.status) NOT IN (
            ('DRAFT', 'OPEN'), ('DRAFT', 'CLOSED'), ('OPEN', 'SUSPENDED'), ('SUSPENDED', 'OPEN'), ('OPEN', 'CLOSED'),
            ('SUSPENDED', 'CLOSED'), ('CLOSED', 'SETTLING'), ('CLOSED', 'SETTLED'), ('CLOSED', 'VOID'),
            ('SETTLING', 'SETTLED'), ('SETTLING', 'VOID'), ('SETTLED', 'SETTLING'), ('VOID', 'SETTLING')) THEN
        PERFORM refuse('market_moves_forward', format('market %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse('market_move_is_a_version', format('market %s keeps version %s', OLD.id, OLD.version));
    END IF;
    IF NEW.status IN ('SETTLED', 'VOID') AND NOT EXISTS (
            SELECT FROM settlement s
             WHERE s.market_id = NEW.id AND s.version = NEW.settlement AND s.booked_at IS NOT NULL) THEN
        PERFORM refuse('market_ends_booked', format('market %s has no booked settlement', OLD.id));
    END IF;
    RETURN NEW;
END $$;
DROP FUNCTION note_market_moves();
DROP FUNCTION market_begins_as_a_draft();
DROP FUNCTION market_stops_and_restarts();
DROP TABLE restart;
DROP FUNCTION restart_is_of_a_stopped_market();
ALTER TABLE settlement_chunk DROP COLUMN refusals;
ALTER TABLE market DROP COLUMN stopped_from;
