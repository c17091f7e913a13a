-- migrate:up
-- Price-time priority, in the database: an offer is placed now and joins its market's queue behind whoever is in it; a bet is made
-- at the ratio of who was there first, and with the first in the queue: who has a better price, or the same and an earlier number,
-- and was there when the taker came, has nothing left.

-- As before, and an offer is placed now, with a stake that its market takes. Half a minute is for two clocks, and for a
-- transaction that waits.
CREATE OR REPLACE FUNCTION offer_says_what_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(broken.rule, format('offer %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN a.placed_at NOT BETWEEN now() - interval '30 seconds' AND clock_timestamp() + interval '30 seconds'
                        THEN 'offer_is_placed_now'
                    WHEN a.stake NOT BETWEEN m.min_stake AND m.max_stake THEN 'offer_stake_is_in_bounds'
                    WHEN a.record IS DISTINCT FROM wager_record(ROW(a.*)::offer, m.currency, r.event_id, m.race_id,
                            CASE a.side WHEN 'A' THEN m.runner_a ELSE m.runner_b END, m.terms_hash)
                        THEN 'offer_record_says_what_counts'
                    WHEN a.owner <> coalesce((SELECT stable_id FROM stable_member WHERE user_id = a.user_id), a.user_id)
                        THEN 'offer_owner_is_of_its_bettor'
                END AS rule
               FROM added a
               JOIN LATERAL (SELECT currency, race_id, runner_a, runner_b, terms_hash, min_stake, max_stake
                               FROM market WHERE id = a.market_id OFFSET 0) m ON true
               JOIN LATERAL (SELECT event_id FROM race WHERE id = m.race_id OFFSET 0) r ON true) broken
      WHERE broken.rule IS NOT NULL LIMIT 1;
    RETURN NULL;
END $$;

-- Those that join at once have the highest numbers of their market.
CREATE FUNCTION offer_joins_the_queue_last() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_joins_the_queue_last', format('number %s of market %s was passed', j.first, j.market_id))
       FROM (SELECT a.market_id, min(a.sequence) AS first, count(*) AS joined
               FROM after_it a JOIN before_it b ON b.id = a.id AND b.sequence IS NULL
              WHERE a.sequence IS NOT NULL GROUP BY a.market_id) j
      WHERE j.joined <> (SELECT count(*) FROM offer o WHERE o.market_id = j.market_id AND o.sequence >= j.first) LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION fill_keeps_the_queue() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_keeps_the_queue', format('bet %s is out of turn', a.id))
       FROM added a
       JOIN LATERAL (SELECT side, rank, sequence FROM offer WHERE id = a.maker_offer OFFSET 0) maker ON true
       JOIN LATERAL (SELECT sequence, answers FROM offer WHERE id = a.taker_offer OFFSET 0) taker ON true
      WHERE maker.sequence >= taker.sequence
         OR taker.answers IS NULL
            AND (EXISTS (SELECT FROM offer o WHERE o.market_id = a.market_id AND o.side = maker.side
                            AND o.rank > maker.rank AND o.sequence < taker.sequence
                            AND o.status IN ('OPEN', 'PARTIAL') AND o.challenges IS NULL)
                 OR EXISTS (SELECT FROM offer o WHERE o.market_id = a.market_id AND o.side = maker.side
                               AND o.rank = maker.rank AND o.sequence < maker.sequence
                               AND o.status IN ('OPEN', 'PARTIAL') AND o.challenges IS NULL))
      LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION market_sequence_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('market_sequence_only_grows', format('market %s is at number %s', OLD.id, OLD.sequence));
    RETURN NULL;
END $$;

CREATE TRIGGER offer_joins_the_queue_last AFTER UPDATE ON offer REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION offer_joins_the_queue_last();
CREATE TRIGGER fill_keeps_the_queue AFTER INSERT ON fill REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION fill_keeps_the_queue();
CREATE TRIGGER market_sequence_only_grows BEFORE UPDATE OF sequence ON market FOR EACH ROW
    WHEN (NEW.sequence < OLD.sequence) EXECUTE FUNCTION market_sequence_only_grows();
REVOKE ALL ON FUNCTION offer_joins_the_queue_last(), fill_keeps_the_queue(), market_sequence_only_grows() FROM PUBLIC;

-- migrate:down
DROP TRIGGER offer_joins_the_queue_last ON offer;
DROP TRIGGER fill_keeps_the_queue ON fill;
DROP TRIGGER market_sequence_only_grows ON market;
DROP FUNCTION offer_joins_the_queue_last, fill_keeps_the_queue, market_sequence_only_grows;
CREATE OR REPLACE FUNCTION offer_says_what_counts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(broken.rule, format('offer %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN a.record IS DISTINCT FROM wager_record(ROW(a.*)::offer, m.currency, r.event_id, m.race_id,
                            CASE a.side WHEN 'A' THEN m.runner_a ELSE m.runner_b END, m.terms_hash)
                        THEN 'offer_record_says_what_counts'
                    WHEN a.owner <> coalesce((SELECT stable_id FROM stable_member WHERE user_id = a.user_id), a.user_id)
                        THEN 'offer_owner_is_of_its_bettor'
                END AS rule
               FROM added a
               JOIN LATERAL (SELECT currency, race_id, runner_a, runner_b, terms_hash FROM market WHERE id = a.market_id OFFSET 0) m
                    ON true
               JOIN LATERAL (SELECT event_id FROM race WHERE id = m.race_id OFFSET 0) r ON true) broken
      WHERE broken.rule IS NOT NULL LIMIT 1;
    RETURN NULL;
END $$;
