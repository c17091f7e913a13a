-- migrate:up
-- Who is of a stable, and who officiates, may change while offers rest: what counts for a bet is what they are when it is made.

-- One ending more: whatever was written before fits the longer list.
-- squawk-ignore ban-drop-constraint
ALTER TABLE offer DROP CONSTRAINT offer_ending_is_known;
ALTER TABLE offer ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
    'DUST', 'SELF_MATCH', 'BY_OWNER', 'DECLINED', 'TIME_OVER', 'NOT_ENOUGH', 'NOT_RESTING', 'BETTOR_SUSPENDED',
    'BETTOR_EXCLUDED', 'BETTOR_BARRED', 'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')) NOT VALID;

CREATE FUNCTION fill_is_by_who_may() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('fill_within_a_stable', format('both of bet %s are of one stable', a.id))
       FROM added a
       JOIN LATERAL (SELECT stable_id FROM stable_member WHERE user_id = a.maker_user OFFSET 0) maker ON true
       JOIN LATERAL (SELECT stable_id FROM stable_member WHERE user_id = a.taker_user OFFSET 0) taker ON true
      WHERE maker.stable_id = taker.stable_id LIMIT 1;
    PERFORM refuse('fill_by_a_connection', format('bettor %s of bet %s is of a stable in the race', each.user_id, a.id))
       FROM added a
       CROSS JOIN LATERAL (VALUES (a.maker_user, a.maker_side), (a.taker_user, a.taker_side)) AS each (user_id, side)
       JOIN LATERAL (SELECT stable_id FROM stable_member WHERE user_id = each.user_id OFFSET 0) s ON true
       JOIN LATERAL (SELECT race_id, runner_a, runner_b FROM market WHERE id = a.market_id OFFSET 0) m ON true
       JOIN LATERAL (SELECT id FROM runner WHERE race_id = m.race_id AND stable_id = s.stable_id OFFSET 0) own ON true
      WHERE own.id <> CASE each.side WHEN 'A' THEN m.runner_a ELSE m.runner_b END LIMIT 1;
    PERFORM refuse('fill_by_an_official', format('of bet %s one officiates', a.id))
       FROM added a
       JOIN LATERAL (SELECT race_id FROM market WHERE id = a.market_id OFFSET 0) m ON true
       JOIN LATERAL (SELECT event_id FROM race WHERE id = m.race_id OFFSET 0) r ON true
      WHERE EXISTS (SELECT FROM appointment p
                     WHERE p.event_id = r.event_id AND p.official_id IN (a.maker_user, a.taker_user)) LIMIT 1;
    RETURN NULL;
END $$;
CREATE TRIGGER fill_is_by_who_may AFTER INSERT ON fill REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION fill_is_by_who_may();

-- Like who joins a stable: nobody is appointed between the moment that their appointments are looked for and their offer.
CREATE FUNCTION appointment_waits_for_offers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.official_id::text, 6));
    RETURN NEW;
END $$;
CREATE TRIGGER appointment_waits_for_offers BEFORE INSERT ON appointment
    FOR EACH ROW EXECUTE FUNCTION appointment_waits_for_offers();
REVOKE ALL ON FUNCTION fill_is_by_who_may(), appointment_waits_for_offers() FROM PUBLIC;

-- migrate:down
DROP TRIGGER appointment_waits_for_offers ON appointment;
DROP TRIGGER fill_is_by_who_may ON fill;
DROP FUNCTION appointment_waits_for_offers, fill_is_by_who_may;
ALTER TABLE offer DROP CONSTRAINT offer_ending_is_known;
ALTER TABLE offer ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
    'DUST', 'SELF_MATCH', 'BY_OWNER', 'DECLINED', 'TIME_OVER', 'NOT_ENOUGH', 'NOT_RESTING', 'BETTOR_SUSPENDED',
    'BETTOR_EXCLUDED', 'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')) NOT VALID;
