-- migrate:up
-- squawk-ignore-file adding-serial-primary-key-field, ban-drop-constraint, require-concurrent-index-creation, adding-foreign-key-constraint, constraint-missing-not-valid, ban-drop-view, adding-not-nullable-field
-- Widened in place before the first race day: the tables are empty wherever this runs in earnest.
-- Settlement in depth: late bets, splits, withholding by a dated table, and later versions that recover what was
-- paid too much before they pay what was paid too little.

-- What the tax law takes of a bettor's profit in a market, by federal state, from a day on.
CREATE TABLE withholding_rate (
    state text NOT NULL CONSTRAINT withholding_state_is_a_code CHECK (state ~ '^[A-Z]{3}$'),
    valid_from date NOT NULL,
    name text NOT NULL CONSTRAINT withholding_name_is_a_tax CHECK (name ~ '^[a-z0-9-]{1,32}$'),
    bps smallint NOT NULL CONSTRAINT withholding_bps_in_range CHECK (bps BETWEEN 0 AND 5000),
    added_by uuid NOT NULL,
    added_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT withholding_rate_is_unique PRIMARY KEY (state, valid_from)
);
CREATE TRIGGER withholding_rate_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON withholding_rate
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

ALTER TABLE settlement
    ADD COLUMN late_after timestamptz,
    ADD COLUMN tax text,
    ADD COLUMN withholding_bps smallint NOT NULL DEFAULT 0
        CONSTRAINT settlement_withholding_in_range CHECK (withholding_bps BETWEEN 0 AND 5000),
    ADD COLUMN result_version smallint NOT NULL DEFAULT 0,
    ADD COLUMN reason text NOT NULL DEFAULT 'the result is final'
        CONSTRAINT settlement_reason_is_bounded CHECK (length(reason) BETWEEN 1 AND 500),
    ADD CONSTRAINT settlement_withholds_for_a_tax CHECK ((tax IS NULL) = (withholding_bps = 0)),
    DROP CONSTRAINT settlement_outcome_is_known;
ALTER TABLE settlement
    ADD CONSTRAINT settlement_outcome_is_known CHECK (outcome IN ('A', 'B', 'PUSH', 'SPLIT', 'VOID')) NOT VALID;

ALTER TABLE settlement_share
    DROP CONSTRAINT settlement_share_has_chunk,
    DROP CONSTRAINT settlement_share_is_in_a_chunk,
    DROP CONSTRAINT settlement_share_commission_on_profit,
    DROP CONSTRAINT settlement_share_staked,
    ADD COLUMN late amount NOT NULL DEFAULT 0,
    ADD COLUMN withheld amount NOT NULL DEFAULT 0,
    ADD COLUMN recovery integer,
    ADD COLUMN pays text NOT NULL DEFAULT 'PAY' CONSTRAINT settlement_share_pays CHECK (pays = 'PAY'),
    ADD COLUMN recovers text NOT NULL DEFAULT 'RECOVER' CONSTRAINT settlement_share_recovers CHECK (recovers = 'RECOVER');
ALTER TABLE settlement_chunk
    ADD COLUMN kind text NOT NULL DEFAULT 'PAY' CONSTRAINT settlement_chunk_kind_is_known CHECK (kind IN ('PAY', 'RECOVER')),
    DROP CONSTRAINT settlement_chunk_is_unique;
ALTER TABLE settlement_chunk
    ADD CONSTRAINT settlement_chunk_is_unique PRIMARY KEY (market_id, version, kind, chunk);
ALTER TABLE settlement_share
    ADD CONSTRAINT settlement_share_staked CHECK (staked + late > 0) NOT VALID,
    ADD CONSTRAINT settlement_share_takes_from_profit CHECK (commission + withheld = 0 OR payout - late >= staked) NOT VALID,
    ADD CONSTRAINT settlement_share_has_chunk FOREIGN KEY (market_id, version, pays, chunk)
        REFERENCES settlement_chunk (market_id, version, kind, chunk) NOT VALID,
    ADD CONSTRAINT settlement_share_has_recovery FOREIGN KEY (market_id, version, recovers, recovery)
        REFERENCES settlement_chunk (market_id, version, kind, chunk) NOT VALID;

-- Half of a pot in whole centavos; the odd one goes to the side that risked more.
CREATE FUNCTION half_of(mine numeric, theirs numeric) RETURNS numeric LANGUAGE sql IMMUTABLE AS $$
    SELECT round((div((mine + theirs) * 100, 2)
                  + CASE WHEN mod((mine + theirs) * 100, 2) = 1 AND mine > theirs THEN 1 ELSE 0 END) / 100, 2)
$$;

-- What each bettor has in a market: own stakes, the pots that are theirs if `side` wins, their part of them if
-- they are split. What was matched after `late_after` is no bet, and only in `late`.
CREATE FUNCTION positions_in(market uuid, late_after timestamptz)
RETURNS TABLE (user_id uuid, staked numeric, stake_a numeric, stake_b numeric, pot_a numeric, pot_b numeric,
               half_a numeric, half_b numeric, late numeric)
LANGUAGE sql STABLE AS $$
    SELECT user_id,
           coalesce(sum(stake) FILTER (WHERE NOT is_late), 0),
           coalesce(sum(stake) FILTER (WHERE side = 'A' AND NOT is_late), 0),
           coalesce(sum(stake) FILTER (WHERE side = 'B' AND NOT is_late), 0),
           coalesce(sum(pot) FILTER (WHERE side = 'A' AND NOT is_late), 0),
           coalesce(sum(pot) FILTER (WHERE side = 'B' AND NOT is_late), 0),
           coalesce(sum(half) FILTER (WHERE side = 'A' AND NOT is_late), 0),
           coalesce(sum(half) FILTER (WHERE side = 'B' AND NOT is_late), 0),
           coalesce(sum(stake) FILTER (WHERE is_late), 0)
      FROM (SELECT maker_user AS user_id, maker_side AS side, maker_stake AS stake, pot,
                   half_of(maker_stake, taker_stake) AS half, coalesce(matched_at > late_after, false) AS is_late
              FROM fill WHERE market_id = market
            UNION ALL
            SELECT taker_user, taker_side, taker_stake, pot,
                   half_of(taker_stake, maker_stake), coalesce(matched_at > late_after, false)
              FROM fill WHERE market_id = market) bet
     GROUP BY user_id
$$;

-- A settlement is computed a second time, by the database and at commit: every bettor's share from the bets alone,
-- the chunks from the shares (a later version: from their difference to the version before), and the total.
CREATE OR REPLACE FUNCTION settlement_is_exact() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('settlement_shares_are_right', format('market %s owes bettor %s another share', NEW.market_id, user_id))
       FROM (SELECT taken.user_id, taken.staked, taken.late, taken.won - taken.commission - t.withheld + taken.late AS payout,
                    taken.commission, t.withheld
               FROM (SELECT p.user_id, p.staked, p.late, w.won, g.profit,
                            floor(m.commission_bps * g.profit * 100 / 10000) / 100 AS commission
                       FROM positions_in(NEW.market_id, NEW.late_after) p
                       JOIN market m ON m.id = NEW.market_id
                       CROSS JOIN LATERAL (SELECT CASE NEW.outcome WHEN 'A' THEN p.pot_a
                                                                   WHEN 'B' THEN p.pot_b
                                                                   WHEN 'SPLIT' THEN p.half_a + p.half_b
                                                                   ELSE p.staked END AS won) w
                       CROSS JOIN LATERAL (SELECT CASE WHEN NEW.outcome IN ('A', 'B', 'SPLIT')
                                                       THEN greatest(0, w.won - p.staked) ELSE 0 END AS profit) g) taken
               CROSS JOIN LATERAL (SELECT floor(NEW.withholding_bps * (taken.profit - taken.commission) * 100 / 10000) / 100
                                          AS withheld) t) expected
       FULL JOIN (SELECT user_id, staked, late, payout, commission, withheld FROM settlement_share
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (user_id, staked, late, payout, commission, withheld)
      WHERE expected IS NULL OR written IS NULL LIMIT 1;

    PERFORM refuse('settlement_chunks_are_right', format('a chunk of market %s is not the sum of its moves', NEW.market_id))
       FROM (SELECT move.kind, move.chunk, sum(move.amount) AS total
               FROM (SELECT s.chunk, s.recovery,
                            s.payout - coalesce(o.payout, 0) AS payout,
                            s.commission - coalesce(o.commission, 0) AS commission,
                            s.withheld - coalesce(o.withheld, 0) AS withheld
                       FROM settlement_share s
                       LEFT JOIN settlement_share o ON o.market_id = s.market_id AND o.user_id = s.user_id
                                                   AND o.version = s.version - 1
                      WHERE s.market_id = NEW.market_id AND s.version = NEW.version) d
               CROSS JOIN LATERAL (VALUES
                    ('PAY', d.chunk, greatest(0, d.payout) + greatest(0, d.commission) + greatest(0, d.withheld)),
                    ('RECOVER', d.recovery, greatest(0, -d.payout) + greatest(0, -d.commission) + greatest(0, -d.withheld)))
                    AS move (kind, chunk, amount)
              WHERE move.amount > 0 OR move.chunk IS NOT NULL
              GROUP BY move.kind, move.chunk) moved
       FULL JOIN (SELECT kind, chunk, total::numeric FROM settlement_chunk
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (kind, chunk, total)
      WHERE moved IS NULL OR written IS NULL LIMIT 1;

    IF NEW.booked_at IS NOT NULL AND NEW.chunks > 0 THEN
        PERFORM refuse('settlement_books_every_chunk', format('no chunk of market %s can be booked yet', NEW.market_id));
    END IF;

    IF NEW.version > 1 AND NOT EXISTS (SELECT FROM settlement s WHERE s.market_id = NEW.market_id
            AND s.version = NEW.version - 1 AND s.booked_at IS NOT NULL) THEN
        PERFORM refuse('settlement_follows_a_booked_one', format('version %s of market %s is not booked', NEW.version - 1, NEW.market_id));
    END IF;

    PERFORM refuse('settlement_pays_the_escrow', format('market %s does not pay out what it has', NEW.market_id))
       FROM market m
       CROSS JOIN LATERAL (
            SELECT count(*) AS chunks, coalesce(sum(c.total) FILTER (WHERE c.kind = 'PAY'), 0) AS paid,
                   coalesce(sum(c.total) FILTER (WHERE c.kind = 'RECOVER'), 0) AS recovered
              FROM settlement_chunk c WHERE c.market_id = NEW.market_id AND c.version = NEW.version) c
      WHERE m.id = NEW.market_id
        AND (NEW.chunks <> c.chunks OR NEW.total <> c.paid
             OR m.escrow <> (SELECT coalesce(sum(pot), 0) FROM fill f WHERE f.market_id = m.id)
             OR CASE NEW.version WHEN 1 THEN NEW.total <> m.escrow OR c.recovered <> 0 ELSE c.paid <> c.recovered END);
    RETURN NULL;
END $$;

DROP VIEW market_position;

-- migrate:down
CREATE OR REPLACE FUNCTION settlement_is_exact() RETURNS trigger LANGUAGE plpgsql AS $$
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
DROP FUNCTION positions_in;
DROP FUNCTION half_of;
DROP TABLE withholding_rate;
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
GRANT SELECT ON market_position TO betting_app;
ALTER TABLE settlement_share
    DROP CONSTRAINT settlement_share_staked, DROP COLUMN late, DROP COLUMN withheld, DROP COLUMN recovery,
    DROP COLUMN pays, DROP COLUMN recovers;
ALTER TABLE settlement_chunk DROP COLUMN kind;
ALTER TABLE settlement_chunk ADD CONSTRAINT settlement_chunk_is_unique PRIMARY KEY (market_id, version, chunk);
ALTER TABLE settlement_share
    ADD CONSTRAINT settlement_share_staked CHECK (staked > 0) NOT VALID,
    ADD CONSTRAINT settlement_share_has_chunk FOREIGN KEY (market_id, version, chunk) REFERENCES settlement_chunk NOT VALID,
    ADD CONSTRAINT settlement_share_is_in_a_chunk CHECK ((payout + commission > 0) = (chunk IS NOT NULL)) NOT VALID,
    ADD CONSTRAINT settlement_share_commission_on_profit CHECK (commission = 0 OR payout > staked) NOT VALID;
ALTER TABLE settlement
    DROP CONSTRAINT settlement_outcome_is_known, DROP COLUMN late_after, DROP COLUMN tax, DROP COLUMN withholding_bps,
    DROP COLUMN result_version, DROP COLUMN reason;
ALTER TABLE settlement
    ADD CONSTRAINT settlement_outcome_is_known CHECK (outcome IN ('A', 'B', 'PUSH', 'VOID')) NOT VALID;
