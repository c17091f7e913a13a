-- migrate:up
-- squawk-ignore-file ban-drop-constraint, require-concurrent-index-creation, adding-foreign-key-constraint, constraint-missing-not-valid, ban-drop-view, adding-not-nullable-field
-- Widened in place before the first race day: the tables are empty wherever this runs in earnest.
-- Markets with an advantage or between two of many, offers with options, suspensions, the wager record and
-- the market's public history.

ALTER TABLE market
    ADD COLUMN giver text CONSTRAINT market_giver_is_a_side CHECK (giver IN ('A', 'B')),
    ADD COLUMN line text CONSTRAINT market_line_is_known CHECK (line IN (
        'media cabeza', 'cabeza', 'pescuezo', 'paleta', 'faja', 'ijar', 'pico a rabo', 'blanco')),
    ADD COLUMN max_exposure amount,
    ADD COLUMN close_rule text NOT NULL DEFAULT 'GATE'
        CONSTRAINT market_close_rule_is_known CHECK (close_rule IN ('GATE', 'POST_TIME')),
    ADD COLUMN closes_at timestamptz,
    ADD COLUMN objection_seconds integer NOT NULL DEFAULT 600,
    ADD COLUMN permit text NOT NULL DEFAULT '',
    ADD COLUMN terms text,
    ADD COLUMN void_reason text CONSTRAINT market_void_reason_is_bounded CHECK (length(void_reason) BETWEEN 1 AND 500),
    ADD COLUMN settlement integer NOT NULL DEFAULT 0
        CONSTRAINT market_settlement_is_counted CHECK (settlement BETWEEN 0 AND 100),
    ADD COLUMN settled_result smallint NOT NULL DEFAULT 0
        CONSTRAINT market_settled_result_in_range CHECK (settled_result BETWEEN 0 AND 100),
    ADD COLUMN suspension uuid,
    ADD COLUMN moved_by uuid,
    ADD COLUMN moved_why text NOT NULL DEFAULT 'opened'
        CONSTRAINT market_reason_is_bounded CHECK (length(moved_why) BETWEEN 1 AND 500),
    DROP CONSTRAINT market_kind_is_known,
    DROP CONSTRAINT market_tie_rule_is_known,
    DROP CONSTRAINT market_status_is_known,
    DROP CONSTRAINT market_version_is_positive,
    DROP CONSTRAINT market_is_unique;
UPDATE market SET max_exposure = max_stake;
ALTER TABLE market
    ALTER COLUMN max_exposure SET NOT NULL,
    ADD CONSTRAINT market_kind_is_known CHECK (kind IN ('GANA', 'VENTAJA')) NOT VALID,
    ADD CONSTRAINT market_tie_rule_is_known CHECK (tie_rule IN ('PUSH', 'SPLIT_POT')) NOT VALID,
    ADD CONSTRAINT market_status_is_known
        CHECK (status IN ('DRAFT', 'OPEN', 'SUSPENDED', 'CLOSED', 'SETTLING', 'SETTLED', 'VOID')) NOT VALID,
    ADD CONSTRAINT market_version_is_counted CHECK (version >= 1 OR version = 0 AND status = 'DRAFT') NOT VALID,
    ADD CONSTRAINT market_ventaja_has_a_line CHECK (
        (kind = 'VENTAJA') = (giver IS NOT NULL) AND (kind = 'VENTAJA') = (line IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT market_exposure_holds_a_stake CHECK (max_exposure >= max_stake) NOT VALID,
    ADD CONSTRAINT market_post_time_is_told CHECK ((close_rule = 'POST_TIME') = (closes_at IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT market_terms_are_hashed CHECK (terms IS NULL OR sha256(convert_to(terms, 'UTF8')) = terms_hash) NOT VALID;
-- One market for each question about a race.
CREATE UNIQUE INDEX market_is_unique ON market (race_id, kind, runner_a, runner_b, coalesce(giver, ''), coalesce(line, ''));
CREATE INDEX market_closing ON market (closes_at) WHERE status IN ('OPEN', 'SUSPENDED') AND closes_at IS NOT NULL;
CREATE INDEX market_trading ON market (race_id) WHERE status IN ('OPEN', 'SUSPENDED');

ALTER TABLE offer
    ADD COLUMN owner uuid,
    ADD COLUMN fill_or_kill boolean NOT NULL DEFAULT false,
    ADD COLUMN min_fill amount,
    ADD COLUMN expires_at timestamptz,
    ADD COLUMN challenges uuid,
    ADD COLUMN answers uuid,
    ADD COLUMN repeated boolean NOT NULL DEFAULT false,
    ADD COLUMN session text CONSTRAINT offer_session_is_bounded CHECK (length(session) <= 200),
    ADD COLUMN record text,
    ADD COLUMN moved_by uuid,
    ADD COLUMN moved_why text NOT NULL DEFAULT 'placed'
        CONSTRAINT offer_reason_is_bounded CHECK (length(moved_why) BETWEEN 1 AND 500),
    DROP CONSTRAINT offer_status_is_known,
    DROP CONSTRAINT offer_ending_is_known;
UPDATE offer SET owner = user_id;
ALTER TABLE offer
    ALTER COLUMN owner SET NOT NULL,
    ADD CONSTRAINT offer_status_is_known CHECK (status IN (
        'PENDING', 'OPEN', 'PARTIAL', 'FILLED', 'CANCELLED', 'LAPSED', 'EXPIRED', 'KILLED', 'REJECTED')) NOT VALID,
    ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
        'DUST', 'SELF_MATCH', 'BY_OWNER', 'DECLINED', 'TIME_OVER', 'NOT_ENOUGH', 'NOT_RESTING', 'BETTOR_SUSPENDED',
        'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')) NOT VALID,
    ADD CONSTRAINT offer_that_kills_never_rests CHECK (
        NOT (fill_or_kill OR answers IS NOT NULL) OR status NOT IN ('OPEN', 'PARTIAL')) NOT VALID,
    ADD CONSTRAINT offer_minimum_is_met CHECK (
        min_fill IS NULL OR matched = 0 OR matched >= min_fill) NOT VALID,
    ADD CONSTRAINT offer_challenges_another CHECK (challenges <> user_id) NOT VALID;
CREATE INDEX offer_to_expire ON offer (expires_at) WHERE status IN ('OPEN', 'PARTIAL') AND expires_at IS NOT NULL;
CREATE INDEX offer_live_of_user ON offer (user_id, market_id) WHERE status IN ('PENDING', 'OPEN', 'PARTIAL');
CREATE INDEX offer_challenging ON offer (challenges) WHERE status IN ('OPEN', 'PARTIAL') AND challenges IS NOT NULL;
CREATE INDEX offer_in_market_of_user ON offer (market_id, user_id);

-- What a bettor may not do anywhere, or nobody at an event, in a market, or at all. Never deleted: lifted.
CREATE TABLE suspension (
    id uuid PRIMARY KEY,
    scope text NOT NULL CONSTRAINT suspension_scope_is_known CHECK (scope IN ('GLOBAL', 'EVENT', 'MARKET', 'USER')),
    subject uuid,
    reason text NOT NULL CONSTRAINT suspension_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 500),
    imposed_by uuid NOT NULL,
    imposed_at timestamptz NOT NULL DEFAULT now(),
    lifted_by uuid,
    lifted_at timestamptz,
    lift_reason text CONSTRAINT suspension_lift_reason_is_bounded CHECK (length(lift_reason) BETWEEN 1 AND 500),
    CONSTRAINT suspension_names_its_subject CHECK ((scope = 'GLOBAL') = (subject IS NULL)),
    CONSTRAINT suspension_is_lifted_by_someone CHECK (
        (lifted_at IS NULL) = (lifted_by IS NULL) AND (lifted_at IS NULL) = (lift_reason IS NULL))
);
CREATE UNIQUE INDEX suspension_in_force_once ON suspension (scope, subject) NULLS NOT DISTINCT WHERE lifted_at IS NULL;

-- What the public saw: every change of a level, absolute, under the market's sequence number. Replayed from
-- the beginning it is the book at any moment.
CREATE TABLE level_change (
    market_id uuid NOT NULL,
    sequence bigint NOT NULL,
    side text NOT NULL CONSTRAINT level_change_side_is_known CHECK (side IN ('A', 'B')),
    rank smallint NOT NULL CONSTRAINT level_change_rank_on_ladder CHECK (rank BETWEEN -14 AND 14),
    amount amount NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (market_id, sequence, side, rank)
);

CREATE TRIGGER level_change_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON level_change
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

CREATE TRIGGER market_moves_are_noted AFTER UPDATE ON market
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_moves('market');
CREATE TRIGGER market_beginning_is_noted AFTER INSERT ON market
    REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_beginnings('market');
CREATE TRIGGER offer_moves_are_noted AFTER UPDATE ON offer
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION note_moves('offer');

-- States only move forward: a market that closed never reopens. Every move is a new version, and it is SETTLED or
-- VOID only once the ledger has booked its settlement. A defect suspends it from anywhere, and no use case leads back.
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

CREATE OR REPLACE FUNCTION offer_has_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_has_ended', format('offer %s is %s', OLD.id, OLD.status));
    RETURN NULL;
END $$;
DROP TRIGGER offer_has_ended ON offer;
CREATE TRIGGER offer_has_ended BEFORE UPDATE ON offer FOR EACH ROW
    WHEN (OLD.status IN ('FILLED', 'CANCELLED', 'LAPSED', 'EXPIRED', 'KILLED', 'REJECTED')) EXECUTE FUNCTION offer_has_ended();

-- A bet is made in an open market only, never within one owner group, never with an offer whose time was over,
-- and with a challenge only by the one it names.
CREATE OR REPLACE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM market m WHERE m.id IN (SELECT market_id FROM added) AND m.status <> 'OPEN';
    PERFORM refuse(broken.rule, format('fill %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN maker.owner = taker.owner THEN 'fill_owners_differ'
                    WHEN maker.expires_at <= a.matched_at THEN 'fill_maker_has_time'
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

-- Who officiates at an event does not bet there; a horse's people bet only on it.
CREATE FUNCTION offer_is_by_a_stranger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_by_an_official', format('bettor %s officiates', a.user_id))
       FROM added a
       JOIN LATERAL (SELECT race_id FROM market WHERE id = a.market_id OFFSET 0) m ON true
       JOIN LATERAL (SELECT event_id FROM race WHERE id = m.race_id OFFSET 0) r ON true
      WHERE EXISTS (SELECT FROM appointment p WHERE p.event_id = r.event_id AND p.official_id = a.user_id) LIMIT 1;
    PERFORM refuse('offer_by_a_connection', format('bettor %s is of a stable in the race', a.user_id))
       FROM added a
       JOIN LATERAL (SELECT stable_id FROM stable_member WHERE user_id = a.user_id OFFSET 0) s ON true
       JOIN LATERAL (SELECT * FROM market WHERE id = a.market_id OFFSET 0) m ON true
       JOIN LATERAL (SELECT id FROM runner WHERE race_id = m.race_id AND stable_id = s.stable_id OFFSET 0) own ON true
      WHERE own.id <> CASE a.side WHEN 'A' THEN m.runner_a ELSE m.runner_b END LIMIT 1;
    RETURN NULL;
END $$;
CREATE TRIGGER offer_is_by_a_stranger AFTER INSERT ON offer
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION offer_is_by_a_stranger();

-- migrate:down
DROP FUNCTION offer_is_by_a_stranger CASCADE;
DROP TRIGGER market_moves_are_noted ON market;
DROP TRIGGER market_beginning_is_noted ON market;
DROP TRIGGER offer_moves_are_noted ON offer;
CREATE OR REPLACE FUNCTION market_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (NEW.status = 'SUSPENDED' AND NEW.defect IS NOT NULL)
       AND (OLD.status, NEW.status) NOT IN (
            ('OPEN', 'CLOSED'), ('CLOSED', 'SETTLING'), ('CLOSED', 'SETTLED'), ('CLOSED', 'VOID'),
            ('SETTLING', 'SETTLED'), ('SETTLING', 'VOID')) THEN
        PERFORM refuse('market_moves_forward', format('market %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse('market_move_is_a_version', format('market %s keeps version %s', OLD.id, OLD.version));
    END IF;
    IF NEW.status IN ('SETTLED', 'VOID')
       AND NOT EXISTS (SELECT FROM settlement s WHERE s.market_id = NEW.id AND s.booked_at IS NOT NULL) THEN
        PERFORM refuse('market_ends_booked', format('market %s has no booked settlement', OLD.id));
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION offer_has_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_has_ended', format('offer %s is %s', OLD.id, OLD.status));
    RETURN NULL;
END $$;
DROP TRIGGER offer_has_ended ON offer;
CREATE TRIGGER offer_has_ended BEFORE UPDATE ON offer
    FOR EACH ROW WHEN (OLD.status IN ('FILLED', 'CANCELLED', 'LAPSED', 'REJECTED')) EXECUTE FUNCTION offer_has_ended();
CREATE OR REPLACE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM market m WHERE m.id IN (SELECT market_id FROM added) AND m.status <> 'OPEN';
    RETURN NULL;
END $$;
DROP TABLE level_change, suspension;
DROP INDEX offer_live_of_user, offer_in_market_of_user, market_trading;
ALTER TABLE offer DROP COLUMN owner, DROP COLUMN fill_or_kill, DROP COLUMN min_fill, DROP COLUMN expires_at,
    DROP COLUMN challenges, DROP COLUMN answers, DROP COLUMN repeated, DROP COLUMN session, DROP COLUMN record,
    DROP COLUMN moved_by, DROP COLUMN moved_why, DROP CONSTRAINT offer_status_is_known, DROP CONSTRAINT offer_ending_is_known;
ALTER TABLE offer
    ADD CONSTRAINT offer_status_is_known CHECK (
        status IN ('PENDING', 'OPEN', 'PARTIAL', 'FILLED', 'CANCELLED', 'LAPSED', 'REJECTED')) NOT VALID,
    ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
        'DUST', 'SELF_MATCH', 'BY_OWNER', 'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')) NOT VALID;
ALTER TABLE market DROP COLUMN giver, DROP COLUMN line, DROP COLUMN max_exposure, DROP COLUMN close_rule,
    DROP COLUMN closes_at, DROP COLUMN objection_seconds, DROP COLUMN permit, DROP COLUMN terms,
    DROP COLUMN void_reason, DROP COLUMN settlement, DROP COLUMN settled_result, DROP COLUMN suspension,
    DROP COLUMN moved_by, DROP COLUMN moved_why, DROP CONSTRAINT market_version_is_counted,
    DROP CONSTRAINT market_kind_is_known,    DROP CONSTRAINT market_tie_rule_is_known, DROP CONSTRAINT market_status_is_known;
ALTER TABLE market
    ADD CONSTRAINT market_kind_is_known CHECK (kind = 'GANA') NOT VALID,
    ADD CONSTRAINT market_tie_rule_is_known CHECK (tie_rule = 'PUSH') NOT VALID,
    ADD CONSTRAINT market_status_is_known
        CHECK (status IN ('OPEN', 'SUSPENDED', 'CLOSED', 'SETTLING', 'SETTLED', 'VOID')) NOT VALID,
    ADD CONSTRAINT market_version_is_positive CHECK (version >= 1) NOT VALID,
    ADD CONSTRAINT market_is_unique UNIQUE (race_id, kind);
