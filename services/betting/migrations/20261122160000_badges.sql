-- migrate:up
-- Whoever decides about money is who identity says they are, by the database's own look: what the service writes as an official's
-- act is written together with a badge of theirs, an HMAC of identity's under a key that the service does not have
-- (docs/adr/0096-badges.md).
CREATE TABLE badge_key (
    id text PRIMARY KEY CONSTRAINT badge_key_id_is_a_name CHECK (id ~ '^[A-Za-z0-9._-]{1,64}$'),
    secret bytea NOT NULL CONSTRAINT badge_key_fits_a_block CHECK (octet_length(secret) BETWEEN 32 AND 64)
);
CREATE TABLE badge (
    transaction xid8 DEFAULT pg_current_xact_id(),
    shown_at timestamptz NOT NULL DEFAULT now(),
    user_id uuid,
    role text NOT NULL,
    issued_at timestamptz NOT NULL,
    key_id text NOT NULL,
    mac bytea NOT NULL,
    CONSTRAINT badge_is_shown_once PRIMARY KEY (transaction, user_id)
);
-- Nobody of the service's reads a badge back: within its minute or two it is as good as its bearer.
GRANT INSERT (user_id, role, issued_at, key_id, mac) ON badge TO betting_app;

-- RFC 2104, for secrets of no more than a block; set_byte and # are all that PostgreSQL has of XOR.
CREATE FUNCTION hmac_sha256(secret bytea, message bytea) RETURNS bytea LANGUAGE plpgsql IMMUTABLE STRICT AS $$
DECLARE
    inside bytea := secret || decode(repeat('00', 64 - octet_length(secret)), 'hex');
    outside bytea := inside;
BEGIN
    FOR i IN 0..63 LOOP
        outside := set_byte(outside, i, get_byte(inside, i) # 92);
        inside := set_byte(inside, i, get_byte(inside, i) # 54);
    END LOOP;
    RETURN sha256(outside || sha256(inside || message));
END $$;

-- A token lives a minute; the other minute is for two clocks, and for whoever waits with it.
CREATE FUNCTION is_fresh(issued_at timestamptz) RETURNS boolean LANGUAGE sql AS $$
    SELECT clock_timestamp() BETWEEN issued_at - interval '1 minute' AND issued_at + interval '2 minutes'
$$;

-- Hashes of codes are compared, so that how long it takes tells nothing about the right one.
CREATE FUNCTION badge_is_genuine() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
            SELECT FROM badge_key k
             WHERE k.id = NEW.key_id
               AND sha256(NEW.mac) = sha256(hmac_sha256(k.secret, convert_to(concat_ws(E'\n', 'el-carril badge v1', k.id,
                       NEW.user_id, NEW.role, extract(epoch FROM NEW.issued_at)::bigint), 'UTF8')))) THEN
        PERFORM refuse('badge_is_genuine', format('identity gave %s no such badge', NEW.user_id));
    END IF;
    IF NOT is_fresh(NEW.issued_at) THEN
        PERFORM refuse('badge_is_fresh', format('the badge of %s is of %s', NEW.user_id, NEW.issued_at));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER badge_is_genuine BEFORE INSERT ON badge FOR EACH ROW EXECUTE FUNCTION badge_is_genuine();
CREATE TRIGGER badge_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON badge
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

-- In this very transaction: a number may come back after a restore, its moment does not. And now, not when the transaction was
-- younger, or one that is kept open would keep its badge.
CREATE FUNCTION check_badge(bearer uuid, roles text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM badge b WHERE b.transaction = pg_current_xact_id() AND b.shown_at = now()
                      AND b.user_id = bearer AND b.role = ANY (roles) AND is_fresh(b.issued_at)) THEN
        PERFORM refuse('who_acts_shows_a_badge', format('%s shows no badge of %s', bearer, array_to_string(roles, ' or ')));
    END IF;
END $$;
REVOKE ALL ON FUNCTION hmac_sha256(bytea, bytea), is_fresh(timestamptz), badge_is_genuine(), check_badge(uuid, text[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION check_badge(uuid, text[]) TO betting_app;

-- Declarations, corrections, rulings, restarts and what voids bets all ask this.
CREATE OR REPLACE FUNCTION check_impartial(judged uuid, official uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_badge(official, ARRAY['official']);
    PERFORM pg_advisory_xact_lock(hashtextextended(official::text, 6));
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

-- migrate:down
CREATE OR REPLACE FUNCTION check_impartial(judged uuid, official uuid) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(official::text, 6));
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
DROP FUNCTION check_badge(uuid, text[]);
DROP TABLE badge, badge_key;
DROP FUNCTION badge_is_genuine(), is_fresh(timestamptz), hmac_sha256(bytea, bytea);
