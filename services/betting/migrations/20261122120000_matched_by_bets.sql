-- migrate:up
-- What an offer has matched is the sum of its bets, at the end of every statement: neither can be written without the
-- other. Of new offers nothing is matched: the service may not write those columns. The other half of the same
-- rule is the ledger's, whose hold is drawn down by every match.

CREATE FUNCTION bets_of(of_offer uuid) RETURNS TABLE (matched numeric) LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(stake), 0)
      FROM (SELECT maker_stake AS stake FROM fill WHERE maker_offer = of_offer
            UNION ALL SELECT taker_stake FROM fill WHERE taker_offer = of_offer) bet
$$;

CREATE FUNCTION offer_is_matched_by_its_bets() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('offer_is_matched_by_its_bets', format('offer %s has matched %s, its bets %s', a.id, a.matched, bets.matched))
       FROM after_it a JOIN before_it b ON b.id = a.id AND b.matched <> a.matched
       CROSS JOIN LATERAL bets_of(a.id) bets
      WHERE bets.matched <> a.matched LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION fill_is_in_both_offers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_is_in_both_offers', format('offer %s has matched %s, its bets %s', o.id, o.matched, bets.matched))
       FROM (SELECT maker_offer AS id FROM added UNION SELECT taker_offer FROM added) met
       JOIN LATERAL (SELECT id, matched FROM offer WHERE id = met.id OFFSET 0) o ON true
       CROSS JOIN LATERAL bets_of(o.id) bets
      WHERE bets.matched <> o.matched LIMIT 1;
    RETURN NULL;
END $$;

CREATE TRIGGER offer_is_matched_by_its_bets AFTER UPDATE ON offer
    REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it
    FOR EACH STATEMENT EXECUTE FUNCTION offer_is_matched_by_its_bets();
CREATE TRIGGER fill_is_in_both_offers AFTER INSERT ON fill REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION fill_is_in_both_offers();

REVOKE ALL ON FUNCTION bets_of(uuid), offer_is_matched_by_its_bets(), fill_is_in_both_offers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bets_of(uuid) TO betting_app;
REVOKE INSERT ON offer FROM betting_app;
GRANT INSERT (id, market_id, market_version, user_id, owner, idempotency_key, side, risk, win, rank, stake, remaining,
    status, next_attempt_at, placed_at, fill_or_kill, min_fill, expires_at, challenges, answers, repeated, session, record,
    moved_by, moved_why) ON offer TO betting_app;

-- migrate:down
GRANT INSERT ON offer TO betting_app;
DROP TRIGGER fill_is_in_both_offers ON fill;
DROP TRIGGER offer_is_matched_by_its_bets ON offer;
DROP FUNCTION fill_is_in_both_offers();
DROP FUNCTION offer_is_matched_by_its_bets();
DROP FUNCTION bets_of(uuid);
