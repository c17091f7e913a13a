-- migrate:up
-- What an offer says of itself is what counts. Its record, whose SHA-256 is the bettor's receipt, is worked out a second time of
-- the offer's own columns and its market's; its owner group is the stable that the bettor is of, or the bettor.

-- Canonical JSON: the names in their order, no spaces. When it expires is told as the bettor told it, with the offset.
CREATE FUNCTION wager_record(o offer, currency text, event uuid, race uuid, runner uuid, terms_hash bytea) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT format('{"answers":%s,"bettor":"%s","challenges":%s,"currency":"%s","event":"%s","expires_at":%s,'
                  '"fill_or_kill":%s,"market":"%s","market_version":%s,"min_fill_minor":%s,"offer":"%s","placed_at":"%s",'
                  '"potential_win_minor":%s,"race":"%s","risk":%s,"runner":"%s","session":%s,"side":"%s",'
                  '"stake_minor":%s,"terms_sha256":"%s","win":%s}',
                  coalesce('"' || o.answers || '"', 'null'),
                  o.user_id,
                  coalesce('"' || o.challenges || '"', 'null'),
                  currency,
                  event,
                  CASE WHEN o.expires_at IS NULL THEN 'null'
                       WHEN (o.record::json ->> 'expires_at')::timestamptz = o.expires_at
                           THEN to_json(o.record::json ->> 'expires_at')::text END,
                  o.fill_or_kill::text,
                  o.market_id,
                  o.market_version,
                  coalesce(trunc(o.min_fill * 100)::text, 'null'),
                  o.id,
                  replace(to_char(o.placed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US'), '.000000', '') || '+00:00',
                  div(o.stake * 100, o.risk) * o.win,
                  race,
                  o.risk,
                  runner,
                  coalesce(to_json(o.session)::text, 'null'),
                  o.side,
                  trunc(o.stake * 100),
                  encode(terms_hash, 'hex'),
                  o.win)
$$;
REVOKE ALL ON FUNCTION wager_record(offer, text, uuid, uuid, uuid, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION wager_record(offer, text, uuid, uuid, uuid, bytea) TO betting_app;

CREATE FUNCTION offer_says_what_counts() RETURNS trigger LANGUAGE plpgsql AS $$
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
REVOKE ALL ON FUNCTION offer_says_what_counts() FROM PUBLIC;
CREATE TRIGGER offer_says_what_counts AFTER INSERT ON offer REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION offer_says_what_counts();

-- Nobody joins a stable between the moment that an offer's owner group is looked for and the offer.
CREATE FUNCTION stable_member_waits_for_offers() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.user_id::text, 6));
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION stable_member_waits_for_offers() FROM PUBLIC;
CREATE TRIGGER stable_member_waits_for_offers BEFORE INSERT ON stable_member
    FOR EACH ROW EXECUTE FUNCTION stable_member_waits_for_offers();

-- migrate:down
DROP TRIGGER stable_member_waits_for_offers ON stable_member;
DROP FUNCTION stable_member_waits_for_offers();
DROP TRIGGER offer_says_what_counts ON offer;
DROP FUNCTION offer_says_what_counts();
DROP FUNCTION wager_record(offer, text, uuid, uuid, uuid, bytea);
