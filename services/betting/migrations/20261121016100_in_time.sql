-- migrate:up
-- A bet is made in an open market before its post time, by two offers that both still have time. Whoever has not closed
-- the market yet changes nothing about that.
CREATE OR REPLACE FUNCTION fill_in_open_market() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM (SELECT market_id, max(matched_at) AS at FROM added GROUP BY market_id) a
       JOIN market m ON m.id = a.market_id WHERE m.status <> 'OPEN' OR m.closes_at <= a.at;
    PERFORM refuse(broken.rule, format('fill %s breaks %s', broken.id, broken.rule))
       FROM (SELECT a.id, CASE
                    WHEN maker.owner = taker.owner THEN 'fill_owners_differ'
                    WHEN maker.expires_at <= a.matched_at THEN 'fill_maker_has_time'
                    WHEN taker.expires_at <= a.matched_at THEN 'fill_taker_has_time'
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

-- An official's offers are looked for while nobody can be writing one down: the same lock as the desk's.
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

-- migrate:down
CREATE OR REPLACE FUNCTION check_impartial(judged uuid, official uuid) RETURNS void LANGUAGE plpgsql AS $$
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
