-- migrate:up
-- The second net: what no single row can check. A broken rule names itself as a constraint, so that
-- the service maps it like any other.

CREATE FUNCTION refuse(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = message;
END $$;

-- States only move forward: a market that closed never reopens. Every move of a market is a new
-- version, and it is SETTLED or VOID only once the ledger has booked its settlement. A defect suspends
-- it from anywhere, and no use case leads back.
CREATE FUNCTION market_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER market_moves_forward BEFORE UPDATE OF status ON market
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION market_moves_forward();

CREATE FUNCTION race_moves_forward() RETURNS trigger LANGUAGE plpgsql AS $$
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
CREATE TRIGGER race_moves_forward BEFORE UPDATE OF status ON race
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status) EXECUTE FUNCTION race_moves_forward();

-- An official who has an offer in any market of the event does not judge it.
CREATE FUNCTION declaration_is_impartial() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('declaration_is_impartial', format('official %s has bet in the event', NEW.official_id))
       FROM race judged
       JOIN race other ON other.event_id = judged.event_id
       JOIN market m ON m.race_id = other.id
       JOIN offer o ON o.market_id = m.id AND o.user_id = NEW.official_id
      WHERE judged.id = NEW.race_id LIMIT 1;
    RETURN NEW;
END $$;
CREATE TRIGGER declaration_is_impartial BEFORE INSERT ON declaration
    FOR EACH ROW EXECUTE FUNCTION declaration_is_impartial();

-- What has ended stays as it ended.
CREATE FUNCTION offer_has_ended() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_has_ended', format('offer %s is %s', OLD.id, OLD.status));
    RETURN NULL;
END $$;
CREATE TRIGGER offer_has_ended BEFORE UPDATE ON offer
    FOR EACH ROW WHEN (OLD.status IN ('FILLED', 'CANCELLED', 'LAPSED', 'REJECTED')) EXECUTE FUNCTION offer_has_ended();

-- Priority is given once: nobody is moved forward or back in time.
CREATE FUNCTION offer_keeps_its_place() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_keeps_its_place', format('offer %s is number %s', OLD.id, OLD.sequence));
    RETURN NULL;
END $$;
CREATE TRIGGER offer_keeps_its_place BEFORE UPDATE OF sequence ON offer
    FOR EACH ROW WHEN (OLD.sequence IS DISTINCT FROM NEW.sequence AND OLD.sequence IS NOT NULL)
    EXECUTE FUNCTION offer_keeps_its_place();

-- A bet is made in an open market only, whatever the service believes.
CREATE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM market m WHERE m.id IN (SELECT market_id FROM added) AND m.status <> 'OPEN';
    RETURN NULL;
END $$;
CREATE TRIGGER fill_in_open_market AFTER INSERT ON fill
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION fill_in_open_market();

-- What each bettor has in a market: own stakes, and the pots that are theirs if `side` wins.
CREATE VIEW market_position AS
    SELECT market_id, user_id, sum(stake) AS staked,
           coalesce(sum(stake) FILTER (WHERE side = 'A'), 0) AS stake_a,
           coalesce(sum(stake) FILTER (WHERE side = 'B'), 0) AS stake_b,
           coalesce(sum(pot) FILTER (WHERE side = 'A'), 0) AS pot_a,
           coalesce(sum(pot) FILTER (WHERE side = 'B'), 0) AS pot_b
      FROM (SELECT market_id, maker_user AS user_id, maker_side AS side, maker_stake AS stake, pot FROM fill
            UNION ALL
            SELECT market_id, taker_user, taker_side, taker_stake, pot FROM fill) bet
     GROUP BY market_id, user_id;

-- A settlement is computed a second time, by the database and at commit: every bettor's share from
-- the bets alone, the chunks from the shares, and the total from the market's escrow.
CREATE FUNCTION settlement_is_exact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('settlement_shares_are_right', format('market %s owes bettor %s another share', NEW.market_id, user_id))
       FROM (SELECT due.user_id, due.staked, due.won - due.commission AS payout, due.commission
               FROM (SELECT p.user_id, p.staked, w.won,
                            CASE WHEN NEW.outcome IN ('A', 'B')
                                 THEN floor(m.commission_bps * greatest(0, w.won - p.staked) * 100 / 10000) / 100
                                 ELSE 0 END AS commission
                       FROM market_position p
                       JOIN market m ON m.id = p.market_id
                       CROSS JOIN LATERAL (SELECT CASE NEW.outcome WHEN 'A' THEN p.pot_a
                                                                   WHEN 'B' THEN p.pot_b
                                                                   ELSE p.staked END AS won) w
                      WHERE p.market_id = NEW.market_id) due) expected
       FULL JOIN (SELECT user_id, staked, payout, commission FROM settlement_share
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (user_id, staked, payout, commission)
      WHERE expected IS NULL OR written IS NULL LIMIT 1;

    PERFORM refuse('settlement_chunks_are_right', format('a chunk of market %s is not the sum of its shares', NEW.market_id))
       FROM (SELECT chunk, sum(payout + commission) AS total FROM settlement_share
              WHERE market_id = NEW.market_id AND version = NEW.version AND chunk IS NOT NULL GROUP BY chunk) shared
       FULL JOIN (SELECT chunk, total::numeric FROM settlement_chunk
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (chunk, total)
      WHERE shared IS NULL OR written IS NULL LIMIT 1;

    IF NEW.booked_at IS NOT NULL AND NEW.chunks > 0 THEN
        PERFORM refuse('settlement_books_every_chunk', format('no chunk of market %s can be booked yet', NEW.market_id));
    END IF;

    PERFORM refuse('settlement_pays_the_escrow', format('market %s does not pay out its escrow', NEW.market_id))
       FROM market m
      WHERE m.id = NEW.market_id
        AND (NEW.total <> m.escrow
             OR NEW.total <> (SELECT coalesce(sum(pot), 0) FROM fill f WHERE f.market_id = m.id)
             OR NOT EXISTS (SELECT FROM settlement_chunk c
                             WHERE c.market_id = NEW.market_id AND c.version = NEW.version
                            HAVING count(*) = NEW.chunks AND coalesce(sum(c.total), 0) = NEW.total));
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER settlement_is_exact AFTER INSERT ON settlement DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION settlement_is_exact();

-- A settlement is booked once every chunk of it is.
CREATE FUNCTION settlement_books_every_chunk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('settlement_books_every_chunk', format('chunk %s of market %s is not booked', c.chunk, c.market_id))
       FROM settlement_chunk c
      WHERE c.market_id = NEW.market_id AND c.version = NEW.version AND c.booked_at IS NULL LIMIT 1;
    RETURN NEW;
END $$;
CREATE TRIGGER settlement_books_every_chunk BEFORE UPDATE OF booked_at ON settlement
    FOR EACH ROW EXECUTE FUNCTION settlement_books_every_chunk();

-- migrate:down
DROP FUNCTION settlement_books_every_chunk, settlement_is_exact, fill_in_open_market, offer_keeps_its_place, offer_has_ended,
    declaration_is_impartial, race_moves_forward, market_moves_forward CASCADE;
DROP VIEW market_position;
DROP FUNCTION refuse;
