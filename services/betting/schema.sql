CREATE DOMAIN public.amount AS numeric
	CONSTRAINT amount_is_exact CHECK ((scale(VALUE) <= 2))
	CONSTRAINT amount_is_finite_and_not_negative CHECK (((VALUE >= (0)::numeric) AND (VALUE < '1000000000000000'::numeric)));

CREATE FUNCTION public.appointment_waits_for_offers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.official_id::text, 6));
    RETURN NEW;
END $$;

CREATE FUNCTION public.badge_is_genuine() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.begins_at_the_beginning() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse(TG_NAME::text, format('%s %s begins as %s', TG_TABLE_NAME, NEW.id, NEW.status));
    RETURN NULL;
END $$;

CREATE FUNCTION public.bets_of(of_offer uuid) RETURNS TABLE(matched numeric)
    LANGUAGE sql STABLE
    AS $$
    SELECT coalesce(sum(stake), 0)
      FROM (SELECT maker_stake AS stake FROM fill WHERE maker_offer = of_offer
            UNION ALL SELECT taker_stake FROM fill WHERE taker_offer = of_offer) bet
$$;

CREATE FUNCTION public.check_badge(bearer uuid, roles text[]) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM badge b WHERE b.transaction = pg_current_xact_id() AND b.shown_at = now()
                      AND b.user_id = bearer AND b.role = ANY (roles) AND is_fresh(b.issued_at)) THEN
        PERFORM refuse('who_acts_shows_a_badge', format('%s shows no badge of %s', bearer, array_to_string(roles, ' or ')));
    END IF;
END $$;

CREATE FUNCTION public.check_impartial(judged uuid, official uuid) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.chunk_of(of_market uuid, number integer, asked integer) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (
    SELECT jsonb_build_object(
               'idempotency_key', CASE c.kind WHEN 'PAY' THEN 'settle:' ELSE 'resettle:' END || of_market || ':' || number || ':'
                   || c.chunk || CASE WHEN c.refusals > 0 THEN ':' || c.refusals ELSE '' END,
               'kind', CASE WHEN c.kind = 'RECOVER' THEN 'bet.resettle'
                            WHEN number = 1 AND s.outcome IN ('PUSH', 'VOID') THEN 'bet.void' ELSE 'bet.settle' END,
               'reference', 'markets/' || of_market,
               'metadata', jsonb_build_object(),
               'postings', jsonb_build_array(leg(way.taken, 'markets/' || of_market || '/escrow', c.total, m.currency))
                   || moved.payouts || moved.commission || moved.withheld,
               'settlement', jsonb_build_object('market', of_market, 'version', number, 'total', round(s.total, 2)::text,
                                                'chunk', c.chunk, 'chunks', s.chunks))
      FROM market m
      JOIN settlement s ON s.market_id = m.id AND s.version = (
               SELECT version FROM settlement each WHERE each.market_id = m.id AND each.chunks > 0
                ORDER BY version OFFSET number - 1 LIMIT 1)
      JOIN settlement_chunk c ON c.market_id = m.id AND c.version = s.version AND c.chunk = asked AND c.booked_at IS NULL
      JOIN (VALUES ('PAY', 1, 'debit', 'credit'), ('RECOVER', -1, 'credit', 'debit')) AS way (kind, sign, taken, given)
           ON way.kind = c.kind
     CROSS JOIN LATERAL (
           SELECT coalesce(jsonb_agg(leg(way.given, 'players/' || d.user_id || '/available', d.payout, m.currency)
                                     ORDER BY d.user_id) FILTER (WHERE d.payout > 0), '[]') AS payouts,
                  CASE WHEN sum(d.commission) > 0
                       THEN jsonb_build_array(leg(way.given, 'house/commission', sum(d.commission), m.currency))
                       ELSE '[]' END AS commission,
                  CASE WHEN sum(d.withheld) > 0
                       THEN jsonb_build_array(leg(way.given, 'tax/' || s.tax, sum(d.withheld), m.currency))
                       ELSE '[]' END AS withheld
             FROM (SELECT x.user_id, greatest(0, way.sign * (x.payout - coalesce(o.payout, 0))) AS payout,
                          greatest(0, way.sign * (x.commission - coalesce(o.commission, 0))) AS commission,
                          greatest(0, way.sign * (x.withheld - coalesce(o.withheld, 0))) AS withheld
                     FROM (SELECT * FROM settlement_share
                            WHERE c.kind = 'PAY' AND market_id = m.id AND version = s.version AND chunk = c.chunk
                           UNION ALL
                           SELECT * FROM settlement_share
                            WHERE c.kind = 'RECOVER' AND market_id = m.id AND version = s.version AND recovery = c.chunk) x
                     LEFT JOIN settlement_share o ON o.market_id = x.market_id AND o.version = x.version - 1
                                                 AND o.user_id = x.user_id) d) moved
     WHERE m.id = of_market);
END $$;

CREATE FUNCTION public.command_is_as_written() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    asked jsonb := jsonb_strip_nulls(NEW.body::jsonb -> 'data');
    key text[] := string_to_array(asked ->> 'idempotency_key', ':');
    written jsonb;
BEGIN
    written := CASE WHEN key[1] = 'match' THEN match_of(key[2]::uuid)
                    WHEN key[1] = 'release' THEN release_of(key[2]::uuid)
                    WHEN key[1] IN ('settle', 'resettle') THEN chunk_of(key[2]::uuid, key[3]::integer, key[4]::integer) END;
    IF (NEW.exchange = 'commands' AND NEW.routing_key = 'ledger.commands.betting'
        AND NEW.aggregate = asked ->> 'reference' AND asked = written) IS NOT TRUE THEN
        PERFORM refuse('command_is_as_written', format('%s is not what is written here', asked ->> 'idempotency_key'));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.conformity_is_by_its_stable() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('conformity_is_by_its_stable', format('%s is not of stable %s', NEW.signed_by, NEW.stable_id))
      WHERE NOT EXISTS (SELECT FROM stable_member s WHERE s.stable_id = NEW.stable_id AND s.user_id = NEW.signed_by);
    RETURN NEW;
END $$;

CREATE FUNCTION public.deadline_ends_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.deadline_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state NOT IN ('DONE', 'CANCELLED') OR OLD.ended_at > clock_timestamp() - interval '90 days'
       OR EXISTS (SELECT FROM deadline armed WHERE armed.subject = OLD.subject AND armed.kind = OLD.kind
                     AND armed.generation < OLD.generation AND armed.state = 'ARMED') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_is_kept',
            MESSAGE = format('deadline %s of %s is still needed', OLD.kind, OLD.subject);
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.declaration_is_impartial() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM check_impartial(NEW.race_id, NEW.official_id);
    RETURN NEW;
END $$;

CREATE FUNCTION public.event_moves_forward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('DRAFT', 'PUBLISHED'), ('PUBLISHED', 'LIVE'), ('PUBLISHED', 'CLOSED'), ('LIVE', 'CLOSED'),
            ('DRAFT', 'CANCELLED'), ('PUBLISHED', 'CANCELLED'), ('LIVE', 'CANCELLED')) THEN
        PERFORM refuse('event_moves_forward', format('event %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status = 'PUBLISHED' AND NOT EXISTS (
            SELECT FROM permit p WHERE p.number = NEW.permit AND p.venue = NEW.venue
               AND NEW.day BETWEEN p.valid_from AND p.valid_to) THEN
        PERFORM refuse('event_has_a_permit', format('no permit covers event %s', OLD.id));
    END IF;
    IF NEW.status = 'CLOSED' AND EXISTS (SELECT FROM race r WHERE r.event_id = NEW.id
            AND r.status NOT IN ('FINAL', 'NO_CONTEST', 'NO_CORRE')) THEN
        PERFORM refuse('event_closes_after_its_races', format('event %s has races to run', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.fill_in_open_market() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM (SELECT market_id, max(matched_at) AS at FROM added GROUP BY market_id) a
       JOIN market m ON m.id = a.market_id WHERE m.status <> 'OPEN' OR m.closes_at <= a.at;
    -- Half a minute is for two clocks, and for a transaction that waits.
    PERFORM refuse('fill_is_matched_now', format('fill %s was matched at %s', a.id, a.matched_at))
       FROM added a
      WHERE a.matched_at NOT BETWEEN now() - interval '30 seconds' AND clock_timestamp() + interval '30 seconds' LIMIT 1;
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

CREATE FUNCTION public.fill_is_by_who_may() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.fill_is_in_both_offers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('fill_is_in_both_offers', format('offer %s has matched %s, its bets %s', o.id, o.matched, bets.matched))
       FROM (SELECT maker_offer AS id FROM added UNION SELECT taker_offer FROM added) met
       JOIN LATERAL (SELECT id, matched FROM offer WHERE id = met.id OFFSET 0) o ON true
       CROSS JOIN LATERAL bets_of(o.id) bets
      WHERE bets.matched <> o.matched LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION public.fill_keeps_the_queue() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.forget_deadline(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH old AS MATERIALIZED (
        SELECT subject, kind, generation FROM deadline d
         WHERE state IN ('DONE', 'CANCELLED') AND ended_at < clock_timestamp() - interval '90 days'
           AND NOT EXISTS (SELECT FROM deadline armed WHERE armed.subject = d.subject AND armed.kind = d.kind
                              AND armed.generation < d.generation AND armed.state = 'ARMED')
         ORDER BY ended_at LIMIT at_most FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        DELETE FROM deadline d USING old
         WHERE d.subject = old.subject AND d.kind = old.kind AND d.generation = old.generation RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION public.forget_inbox(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH old AS MATERIALIZED (
        SELECT consumer, event_id FROM inbox WHERE received_at < clock_timestamp() - interval '100 days'
         ORDER BY received_at LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM inbox i USING old WHERE i.consumer = old.consumer AND i.event_id = old.event_id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION public.half_of(mine numeric, theirs numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT round((div((mine + theirs) * 100, 2)
                  + CASE WHEN mod((mine + theirs) * 100, 2) = 1 AND mine > theirs THEN 1 ELSE 0 END) / 100, 2)
$$;

CREATE FUNCTION public.history_is_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('history_is_append_only', format('%s on %s: history is append-only', TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$;

CREATE FUNCTION public.hmac_sha256(secret bytea, message bytea) RETURNS bytea
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $$
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

CREATE FUNCTION public.idempotency_answers_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'idempotency_answers_once',
        MESSAGE = format('a key of %s has been used at %s', OLD.principal, OLD.created_at);
END $$;

CREATE FUNCTION public.inbox_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.received_at > clock_timestamp() - interval '100 days' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_is_kept',
            MESSAGE = format('event %s was heard only at %s', OLD.event_id, OLD.received_at);
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.is_fresh(issued_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql
    AS $$
    SELECT clock_timestamp() BETWEEN issued_at - interval '1 minute' AND issued_at + interval '2 minutes'
$$;

CREATE FUNCTION public.leg(side text, account text, amount numeric, currency text, hold uuid DEFAULT NULL::uuid) RETURNS jsonb
    LANGUAGE sql STABLE
    AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'account', account, 'side', side, 'amount', round(amount, 2)::text, 'currency', currency, 'hold', hold))
$$;

CREATE FUNCTION public.market_begins_as_a_draft() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('market_begins_as_a_draft', format('market %s begins as %s', NEW.id, NEW.status));
    RETURN NULL;
END $$;

CREATE FUNCTION public.market_counts_its_settlements() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.settlement <> OLD.settlement + 1 OR NOT EXISTS (SELECT FROM settlement s WHERE s.market_id = NEW.id
            AND s.version = NEW.settlement AND s.result_version = NEW.settled_result) THEN
        PERFORM refuse('market_counts_its_settlements', format('market %s has no such settlement %s', NEW.id, NEW.settlement));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.market_is_void_with_its_race() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    official uuid;
BEGIN
    SELECT r.moved_by INTO official FROM race r JOIN event e ON e.id = r.event_id
     WHERE r.id = NEW.race_id
       AND (r.status IN ('NO_CORRE', 'NO_CONTEST') OR r.status = 'POSTPONED' AND r.starts_at >= e.day_ends_at
            OR EXISTS (SELECT FROM runner h WHERE h.id IN (NEW.runner_a, NEW.runner_b)
                          AND h.scratched_at IS NOT NULL));
    IF NOT FOUND OR NEW.void_reason IS NULL
       OR coalesce(OLD.stopped_from, OLD.status) NOT IN ('DRAFT', 'OPEN', 'SUSPENDED', 'CLOSED') THEN
        PERFORM refuse('market_is_void_with_its_race', format('nothing happened to the race of market %s', OLD.id));
    END IF;
    IF official IS NULL THEN
        PERFORM refuse('market_is_void_by_somebody', format('nobody says why market %s is void', OLD.id));
    END IF;
    PERFORM check_impartial(NEW.race_id, official);
    RETURN NEW;
END $$;

CREATE FUNCTION public.market_moves_forward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.market_sequence_only_grows() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('market_sequence_only_grows', format('market %s is at number %s', OLD.id, OLD.sequence));
    RETURN NULL;
END $$;

CREATE FUNCTION public.market_stops_and_restarts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.market_terms_are_what_counts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.terms IS NULL
       OR NEW.terms::jsonb - 'closes_at' <> jsonb_build_object(
            'race', NEW.race_id, 'kind', NEW.kind, 'runners', jsonb_build_array(NEW.runner_a, NEW.runner_b),
            'giver', NEW.giver, 'line', NEW.line, 'currency', NEW.currency, 'commission_bps', NEW.commission_bps,
            'tie_rule', NEW.tie_rule, 'min_stake_minor', NEW.min_stake * 100, 'max_stake_minor', NEW.max_stake * 100,
            'max_exposure_minor', NEW.max_exposure * 100, 'close_rule', NEW.close_rule,
            'objection_seconds', NEW.objection_seconds, 'permit', NEW.permit)
       OR (NEW.terms::jsonb ->> 'closes_at')::timestamptz IS DISTINCT FROM NEW.closes_at THEN
        PERFORM refuse('market_terms_are_what_counts', format('the terms of market %s say something else', NEW.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.match_of(bet uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (
    SELECT jsonb_build_object(
               'idempotency_key', 'match:' || f.id, 'kind', 'bet.match', 'reference', 'markets/' || f.market_id,
               'metadata', jsonb_build_object('fill', f.id),
               'postings', jsonb_build_array(
                   leg('debit', 'players/' || f.maker_user || '/held', f.maker_stake, m.currency, f.maker_offer),
                   leg('debit', 'players/' || f.taker_user || '/held', f.taker_stake, m.currency, f.taker_offer),
                   leg('credit', 'markets/' || f.market_id || '/escrow', f.pot, m.currency)))
      FROM fill f JOIN market m ON m.id = f.market_id WHERE f.id = bet);
END $$;

CREATE FUNCTION public.note_beginnings() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO transition (noun, subject, became, actor, reason)
    SELECT TG_ARGV[0], a.id, a.status, a.moved_by, a.moved_why FROM after_it a;
    RETURN NULL;
END $$;

CREATE FUNCTION public.note_market_moves() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO transition (noun, subject, was, became, actor, reason)
    SELECT 'market', a.id, b.status, a.status, a.moved_by, a.moved_why
      FROM after_it a JOIN before_it b ON b.id = a.id
     WHERE a.status <> b.status OR (a.defect IS NULL) <> (b.defect IS NULL);
    RETURN NULL;
END $$;

CREATE FUNCTION public.note_moves() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO transition (noun, subject, was, became, actor, reason)
    SELECT TG_ARGV[0], a.id, b.status, a.status, a.moved_by, a.moved_why
      FROM after_it a JOIN before_it b ON b.id = a.id WHERE a.status <> b.status;
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_has_ended() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_has_ended', format('offer %s is %s', OLD.id, OLD.status));
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_is_by_a_stranger() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.offer_is_matched_by_its_bets() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_is_matched_by_its_bets', format('offer %s has matched %s, its bets %s', a.id, a.matched, bets.matched))
       FROM after_it a JOIN before_it b ON b.id = a.id AND b.matched <> a.matched
       CROSS JOIN LATERAL bets_of(a.id) bets
      WHERE bets.matched <> a.matched LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_joins_the_queue_last() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_joins_the_queue_last', format('number %s of market %s was passed', j.first, j.market_id))
       FROM (SELECT a.market_id, min(a.sequence) AS first, count(*) AS joined
               FROM after_it a JOIN before_it b ON b.id = a.id AND b.sequence IS NULL
              WHERE a.sequence IS NOT NULL GROUP BY a.market_id) j
      WHERE j.joined <> (SELECT count(*) FROM offer o WHERE o.market_id = j.market_id AND o.sequence >= j.first) LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_keeps_its_place() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_keeps_its_place', format('offer %s is number %s', OLD.id, OLD.sequence));
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_says_what_counts() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.outcome_by(kind text, tie_rule text, giver text, line text, place_a bigint, place_b bigint, margin text) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT CASE
        WHEN kind = 'GANA' AND place_a = place_b THEN CASE tie_rule WHEN 'SPLIT_POT' THEN 'SPLIT' ELSE 'PUSH' END
        WHEN kind = 'GANA' THEN CASE WHEN place_a < place_b THEN 'A' ELSE 'B' END
        WHEN margin IS NULL OR CASE giver WHEN 'A' THEN place_a >= place_b ELSE place_b >= place_a END
            THEN CASE giver WHEN 'A' THEN 'B' ELSE 'A' END
        ELSE (SELECT CASE sign(array_position(m, margin) - array_position(m, line))
                     WHEN 1 THEN giver WHEN 0 THEN 'PUSH' ELSE CASE giver WHEN 'A' THEN 'B' ELSE 'A' END END
                FROM (VALUES (ARRAY['media cabeza', 'cabeza', 'pescuezo', 'paleta', 'faja', 'ijar', 'pico a rabo', 'blanco']))
                     AS from_the_least (m))
    END
$$;

CREATE FUNCTION public.place_in(places jsonb, runner uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT coalesce(min(place), jsonb_array_length(places) + 1)
      FROM jsonb_array_elements(places) WITH ORDINALITY AS came_in (runners, place) WHERE runners ? runner::text
$$;

CREATE FUNCTION public.positions_in(market uuid, late_after timestamp with time zone) RETURNS TABLE(user_id uuid, staked numeric, stake_a numeric, stake_b numeric, pot_a numeric, pot_b numeric, half_a numeric, half_b numeric, late numeric)
    LANGUAGE sql STABLE
    AS $$
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

CREATE FUNCTION public.race_counts_its_results() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.result_version <> OLD.result_version AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version
               AND r.version = OLD.result_version + 1
               AND (r.source, OLD.status, NEW.status) IN (('DECLARED', 'DECLARED', 'CONFIRMED'),
                   ('RULED', 'DISPUTED', 'FINAL'), ('CORRECTED', 'FINAL', 'FINAL'))) THEN
        PERFORM refuse('race_counts_its_results', format('race %s has no such result %s', OLD.id, NEW.result_version));
    END IF;
    IF NEW.objection_until IS DISTINCT FROM OLD.objection_until AND OLD.objection_until IS NOT NULL THEN
        PERFORM refuse('objection_window_stays', format('race %s may be objected to until %s', OLD.id, OLD.objection_until));
    END IF;
    -- Half a minute is for two clocks, and for a transaction that waits.
    IF NEW.status = 'CONFIRMED' AND EXISTS (SELECT FROM event e WHERE e.id = NEW.event_id
            AND NEW.objection_until < clock_timestamp() + make_interval(secs => e.objection_seconds - 30)) THEN
        PERFORM refuse('objection_window_is_whole', format('race %s may be objected to until %s only', OLD.id, NEW.objection_until));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.race_moves_forward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('SCHEDULED', 'AT_GATE'), ('SCHEDULED', 'POSTPONED'), ('SCHEDULED', 'NO_CORRE'),
            ('POSTPONED', 'AT_GATE'), ('POSTPONED', 'NO_CORRE'),
            ('AT_GATE', 'OFF'), ('AT_GATE', 'NO_CORRE'), ('AT_GATE', 'NO_CONTEST'),
            ('OFF', 'FINISHED'), ('OFF', 'NO_CONTEST'), ('FINISHED', 'DECLARED'), ('FINISHED', 'NO_CONTEST'),
            ('DECLARED', 'CONFIRMED'), ('DECLARED', 'DISPUTED'), ('DECLARED', 'NO_CONTEST'),
            ('CONFIRMED', 'FINAL'), ('CONFIRMED', 'DISPUTED'), ('CONFIRMED', 'NO_CONTEST'),
            ('DISPUTED', 'FINAL'), ('DISPUTED', 'NO_CONTEST')) THEN
        PERFORM refuse('race_moves_forward', format('race %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status IN ('NO_CORRE', 'NO_CONTEST') AND NEW.moved_by IS NOT NULL THEN
        PERFORM check_impartial(NEW.id, NEW.moved_by);
    END IF;
    IF OLD.status = 'DECLARED' AND NEW.status IN ('CONFIRMED', 'DISPUTED')
       AND (SELECT count(*) FROM declaration d WHERE d.race_id = NEW.id) <> 2 THEN
        PERFORM refuse('race_has_two_declarations', format('race %s has not been declared twice', OLD.id));
    END IF;
    IF NEW.status = 'CONFIRMED' AND (SELECT count(DISTINCT (winner, margin, off_time, photo_sha256, places))
                                       FROM declaration d WHERE d.race_id = NEW.id) <> 1 THEN
        PERFORM refuse('race_declarations_agree', format('the declarations of race %s differ', OLD.id));
    END IF;
    IF NEW.status IN ('CONFIRMED', 'FINAL') AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version) THEN
        PERFORM refuse('race_has_a_result', format('race %s has no result %s', OLD.id, NEW.result_version));
    END IF;
    IF OLD.status = 'DISPUTED' AND NEW.status = 'FINAL' AND NOT EXISTS (
            SELECT FROM result r WHERE r.race_id = NEW.id AND r.version = NEW.result_version AND r.source = 'RULED') THEN
        PERFORM refuse('dispute_ends_by_ruling', format('nobody has ruled on race %s', OLD.id));
    END IF;
    -- The window closes by the database's clock, or when every stable has signed.
    IF OLD.status = 'CONFIRMED' AND NEW.status = 'FINAL' AND clock_timestamp() < OLD.objection_until
       AND EXISTS (SELECT FROM runner h WHERE h.race_id = NEW.id AND h.scratched_at IS NULL AND NOT EXISTS (
                SELECT FROM conformity c WHERE c.race_id = h.race_id AND c.stable_id = h.stable_id
                   AND c.result_version = NEW.result_version)) THEN
        PERFORM refuse('objection_window_is_open', format('race %s may be objected to until %s', OLD.id, OLD.objection_until));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.rate_approval_is_decided_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.status <> 'OPEN' OR NEW.status = 'OPEN' THEN
        PERFORM refuse('rate_approval_is_decided_once', format('approval %s has been decided', OLD.id));
    END IF;
    NEW.decided_at := clock_timestamp();
    IF NEW.status = 'APPROVED' AND NEW.decided_at >= OLD.ends_at THEN
        PERFORM refuse('rate_approval_is_in_time', format('approval %s ended at %s', OLD.id, OLD.ends_at));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.rate_approval_takes_effect() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO withholding_rate (state, valid_from, name, bps, added_by, approval)
    VALUES (NEW.state, NEW.valid_from, NEW.name, NEW.bps, NEW.decided_by, NEW.id);
    RETURN NULL;
END $$;

CREATE FUNCTION public.refuse(rule text, message text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = message;
END $$;

CREATE FUNCTION public.release_of(ended uuid) RETURNS jsonb
    LANGUAGE plpgsql STABLE
    AS $$
BEGIN
    RETURN (
    SELECT jsonb_build_object(
               'idempotency_key', 'release:' || o.id, 'kind', 'bet.release', 'reference', 'markets/' || o.market_id,
               'metadata', jsonb_build_object('offer', o.id),
               'postings', jsonb_build_array(
                   leg('debit', 'players/' || o.user_id || '/held', o.released, m.currency, o.id),
                   leg('credit', 'players/' || o.user_id || '/available', o.released, m.currency)))
      FROM offer o JOIN market m ON m.id = o.market_id
     WHERE o.id = ended AND o.ended_at IS NOT NULL AND o.status <> 'REJECTED' AND o.released > 0);
END $$;

CREATE FUNCTION public.restart_is_of_a_stopped_market() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.result_is_supported() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    agreeing bigint;
    stands text := (SELECT status FROM race r WHERE r.id = NEW.race_id);
BEGIN
    IF NEW.version <> 1 + (SELECT count(*) FROM result r WHERE r.race_id = NEW.race_id AND r.version < NEW.version) THEN
        PERFORM refuse('result_version_is_next', format('race %s has no result %s', NEW.race_id, NEW.version - 1));
    END IF;
    IF NEW.source = 'RULED' THEN
        PERFORM check_impartial(NEW.race_id, NEW.signed_by[1]);
        IF EXISTS (SELECT FROM declaration d WHERE d.race_id = NEW.race_id AND d.official_id = NEW.signed_by[1])
           OR EXISTS (SELECT FROM objection o WHERE o.race_id = NEW.race_id AND o.raised_by = NEW.signed_by[1]) THEN
            PERFORM refuse('ruling_by_a_third', format('official %s is a party to the dispute', NEW.signed_by[1]));
        END IF;
    ELSIF NEW.source = 'DECLARED' THEN
        SELECT count(*) INTO agreeing FROM declaration d
         WHERE d.race_id = NEW.race_id AND d.official_id = ANY (NEW.signed_by)
           AND (d.winner, d.margin, d.off_time, d.photo_sha256, d.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    ELSE
        SELECT count(*) INTO agreeing FROM correction c
         WHERE c.race_id = NEW.race_id AND c.corrects = NEW.version - 1 AND c.official_id = ANY (NEW.signed_by)
           AND (c.winner, c.margin, c.off_time, c.photo_sha256, c.places)
               IS NOT DISTINCT FROM (NEW.winner, NEW.margin, NEW.off_time, NEW.photo_sha256, NEW.places);
    END IF;
    IF NEW.source <> 'RULED' AND agreeing <> 2 THEN
        PERFORM refuse('result_has_two_signatures', format('%s of 2 signed this result of race %s', agreeing, NEW.race_id));
    END IF;
    IF (NEW.source, stands) NOT IN (('DECLARED', 'DECLARED'), ('RULED', 'DISPUTED'), ('CORRECTED', 'FINAL')) THEN
        PERFORM refuse('result_fits_its_race', format('no result of race %s is %s while it is %s', NEW.race_id, NEW.source, stands));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.runner_changes_before_the_off() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.scratched_at IS NOT NULL
       OR NOT EXISTS (SELECT FROM race r WHERE r.id = OLD.race_id AND r.status IN ('SCHEDULED', 'POSTPONED', 'AT_GATE')) THEN
        PERFORM refuse('runner_changes_before_the_off', format('runner %s has run, or is out', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.settlement_books_every_chunk() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('settlement_books_every_chunk', format('chunk %s of market %s is not booked', c.chunk, c.market_id))
       FROM settlement_chunk c
      WHERE c.market_id = NEW.market_id AND c.version = NEW.version AND c.booked_at IS NULL LIMIT 1;
    RETURN NEW;
END $$;

CREATE FUNCTION public.settlement_follows_the_result() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    m market;
    r race;
    x result;
    tax text;
    bps smallint := 0;
BEGIN
    SELECT * INTO m FROM market WHERE id = NEW.market_id;
    SELECT * INTO r FROM race WHERE id = m.race_id;
    SELECT * INTO x FROM result WHERE race_id = r.id AND version = r.result_version;
    IF m.void_reason IS NULL AND NEW.version = 1 THEN
        SELECT w.name, w.bps INTO tax, bps FROM event e
          JOIN withholding_rate w ON w.state = e.state AND w.valid_from <= e.day
         WHERE e.id = r.event_id ORDER BY w.valid_from DESC LIMIT 1;
        bps := coalesce(bps, 0);
        tax := CASE WHEN bps > 0 THEN tax END;
    ELSIF m.void_reason IS NULL THEN
        SELECT s.tax, s.withholding_bps INTO tax, bps FROM settlement s WHERE s.market_id = m.id AND s.version = 1;
    END IF;
    IF NEW.result_version <> r.result_version OR (NEW.tax, NEW.withholding_bps) IS DISTINCT FROM (tax, bps)
       OR (CASE WHEN m.void_reason IS NOT NULL THEN NEW.outcome <> 'VOID' OR NEW.late_after IS NOT NULL
                ELSE r.status <> 'FINAL' OR NEW.late_after IS DISTINCT FROM x.off_time - interval '2 seconds'
                     OR NEW.outcome IS DISTINCT FROM outcome_by(m.kind, m.tie_rule, m.giver, m.line,
                         place_in(x.places, m.runner_a), place_in(x.places, m.runner_b), x.margin) END) THEN
        PERFORM refuse('settlement_follows_the_result', format('market %s is settled on something else', m.id));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.settlement_is_exact() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.settlement_is_written_whole() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('settlement_is_written_whole', format('version %s of market %s was written before', s.version, s.market_id))
       FROM (SELECT DISTINCT market_id, version FROM added) a
       JOIN settlement s ON s.market_id = a.market_id AND s.version = a.version
      WHERE s.xmin <> pg_current_xact_id()::xid LIMIT 1;
    RETURN NULL;
END $$;

CREATE FUNCTION public.settlement_stays_booked() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('settlement_stays_booked', format('version %s of market %s was booked', OLD.version, OLD.market_id));
    RETURN NULL;
END $$;

CREATE FUNCTION public.stable_member_waits_for_offers() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.user_id::text, 6));
    RETURN NEW;
END $$;

CREATE FUNCTION public.staff_shows_a_badge() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM check_badge((to_jsonb(NEW) ->> TG_ARGV[0])::uuid, string_to_array(TG_ARGV[1], ' '));
    RETURN NEW;
END $$;

CREATE FUNCTION public.suspension_is_lifted_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('suspension_is_lifted_once', format('suspension %s was lifted by %s', OLD.id, OLD.lifted_by));
    RETURN NULL;
END $$;

CREATE TABLE public.offer (
    id uuid NOT NULL,
    market_id uuid NOT NULL,
    market_version integer NOT NULL,
    user_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    side text NOT NULL,
    risk smallint NOT NULL,
    win smallint NOT NULL,
    rank smallint NOT NULL,
    stake public.amount NOT NULL,
    matched public.amount DEFAULT 0 NOT NULL,
    remaining public.amount NOT NULL,
    released public.amount DEFAULT 0 NOT NULL,
    status text DEFAULT 'PENDING'::text NOT NULL,
    ending text,
    sequence bigint,
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    placed_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    owner uuid NOT NULL,
    fill_or_kill boolean DEFAULT false NOT NULL,
    min_fill public.amount,
    expires_at timestamp with time zone,
    challenges uuid,
    answers uuid,
    repeated boolean DEFAULT false NOT NULL,
    session text,
    record text,
    moved_by uuid,
    moved_why text DEFAULT 'placed'::text NOT NULL,
    CONSTRAINT offer_ends_with_nothing_left CHECK ((((stake)::numeric > (0)::numeric) AND ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text])) = ((remaining)::numeric > (0)::numeric)) AND ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text])) = (ended_at IS NULL)) AND (((released)::numeric > (0)::numeric) = (ending IS NOT NULL)))),
    CONSTRAINT offer_key_is_bounded CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT offer_ratio_on_ladder CHECK (((((((((((((((((((((((((((((((risk = 1) AND (win = 10) AND (rank = '-14'::integer)) OR ((risk = 1) AND (win = 5) AND (rank = '-13'::integer))) OR ((risk = 1) AND (win = 4) AND (rank = '-12'::integer))) OR ((risk = 1) AND (win = 3) AND (rank = '-11'::integer))) OR ((risk = 2) AND (win = 5) AND (rank = '-10'::integer))) OR ((risk = 1) AND (win = 2) AND (rank = '-9'::integer))) OR ((risk = 3) AND (win = 5) AND (rank = '-8'::integer))) OR ((risk = 2) AND (win = 3) AND (rank = '-7'::integer))) OR ((risk = 7) AND (win = 10) AND (rank = '-6'::integer))) OR ((risk = 3) AND (win = 4) AND (rank = '-5'::integer))) OR ((risk = 4) AND (win = 5) AND (rank = '-4'::integer))) OR ((risk = 17) AND (win = 20) AND (rank = '-3'::integer))) OR ((risk = 9) AND (win = 10) AND (rank = '-2'::integer))) OR ((risk = 19) AND (win = 20) AND (rank = '-1'::integer))) OR ((risk = 1) AND (win = 1) AND (rank = 0))) OR ((risk = 20) AND (win = 19) AND (rank = 1))) OR ((risk = 10) AND (win = 9) AND (rank = 2))) OR ((risk = 20) AND (win = 17) AND (rank = 3))) OR ((risk = 5) AND (win = 4) AND (rank = 4))) OR ((risk = 4) AND (win = 3) AND (rank = 5))) OR ((risk = 10) AND (win = 7) AND (rank = 6))) OR ((risk = 3) AND (win = 2) AND (rank = 7))) OR ((risk = 5) AND (win = 3) AND (rank = 8))) OR ((risk = 2) AND (win = 1) AND (rank = 9))) OR ((risk = 5) AND (win = 2) AND (rank = 10))) OR ((risk = 3) AND (win = 1) AND (rank = 11))) OR ((risk = 4) AND (win = 1) AND (rank = 12))) OR ((risk = 5) AND (win = 1) AND (rank = 13))) OR ((risk = 10) AND (win = 1) AND (rank = 14)))),
    CONSTRAINT offer_reason_is_bounded CHECK (((length(moved_why) >= 1) AND (length(moved_why) <= 500))),
    CONSTRAINT offer_sequence_once_held CHECK (((sequence IS NULL) = (status = ANY (ARRAY['PENDING'::text, 'REJECTED'::text])))),
    CONSTRAINT offer_session_is_bounded CHECK ((length(session) <= 200)),
    CONSTRAINT offer_side_is_known CHECK ((side = ANY (ARRAY['A'::text, 'B'::text]))),
    CONSTRAINT offer_stake_is_accounted_for CHECK (((((matched)::numeric + (remaining)::numeric) + (released)::numeric) = (stake)::numeric)),
    CONSTRAINT offer_stake_is_whole_lots CHECK ((mod(((stake)::numeric * (100)::numeric), (risk)::numeric) = (0)::numeric)),
    CONSTRAINT offer_status_fits_amounts CHECK (
CASE status
    WHEN 'PENDING'::text THEN ((matched)::numeric = (0)::numeric)
    WHEN 'OPEN'::text THEN ((matched)::numeric = (0)::numeric)
    WHEN 'PARTIAL'::text THEN ((matched)::numeric > (0)::numeric)
    WHEN 'FILLED'::text THEN ((matched)::numeric > (0)::numeric)
    WHEN 'REJECTED'::text THEN ((matched)::numeric = (0)::numeric)
    ELSE ((released)::numeric > (0)::numeric)
END)
)
WITH (fillfactor='70');

CREATE FUNCTION public.wager_record(o public.offer, currency text, event uuid, race uuid, runner uuid, terms_hash bytea) RETURNS text
    LANGUAGE sql STABLE
    AS $$
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

CREATE FUNCTION public.withholding_rate_is_for_days_to_come() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.valid_from <= (clock_timestamp() AT TIME ZONE 'UTC')::date
       OR EXISTS (SELECT FROM event e WHERE e.state = NEW.state AND e.day >= NEW.valid_from
                     AND e.starts_at <= clock_timestamp()) THEN
        PERFORM refuse('withholding_rate_is_for_days_to_come', format('%s has begun in %s', NEW.valid_from, NEW.state));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.word_is_the_later() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('word_is_the_later', format('%s: an earlier word came late', TG_TABLE_NAME));
    RETURN NULL;
END $$;

CREATE TABLE public.appointment (
    event_id uuid NOT NULL,
    official_id uuid NOT NULL,
    appointed_by uuid NOT NULL,
    appointed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.badge (
    transaction xid8 DEFAULT pg_current_xact_id() NOT NULL,
    shown_at timestamp with time zone DEFAULT now() NOT NULL,
    user_id uuid NOT NULL,
    role text NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    key_id text NOT NULL,
    mac bytea NOT NULL
);

CREATE TABLE public.badge_key (
    id text NOT NULL,
    secret bytea NOT NULL,
    CONSTRAINT badge_key_fits_a_block CHECK (((octet_length(secret) >= 32) AND (octet_length(secret) <= 64))),
    CONSTRAINT badge_key_id_is_a_name CHECK ((id ~ '^[A-Za-z0-9._-]{1,64}$'::text))
);

CREATE TABLE public.carril (
    id uuid NOT NULL,
    name text NOT NULL,
    state text NOT NULL,
    length_m smallint NOT NULL,
    margins text[] NOT NULL,
    registered_by uuid NOT NULL,
    registered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT carril_has_margins CHECK (((cardinality(margins) >= 1) AND (cardinality(margins) <= 20))),
    CONSTRAINT carril_length_in_range CHECK (((length_m >= 50) AND (length_m <= 2000))),
    CONSTRAINT carril_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT carril_state_is_a_code CHECK ((state ~ '^[A-Z]{3}$'::text))
);

CREATE TABLE public.conformity (
    race_id uuid NOT NULL,
    result_version smallint NOT NULL,
    stable_id uuid NOT NULL,
    signed_by uuid NOT NULL,
    signed_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.correction (
    race_id uuid NOT NULL,
    corrects smallint NOT NULL,
    official_id uuid NOT NULL,
    winner uuid,
    margin text,
    off_time timestamp with time zone NOT NULL,
    photo_sha256 bytea NOT NULL,
    places jsonb NOT NULL,
    reason text NOT NULL,
    signed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT correction_photo_is_sha256 CHECK ((octet_length(photo_sha256) = 32)),
    CONSTRAINT correction_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 2000)))
);

CREATE TABLE public.deadline (
    subject text NOT NULL,
    kind text NOT NULL,
    generation integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state text DEFAULT 'ARMED'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    last_error text,
    armed_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT deadline_ends_with_its_state CHECK (((state = 'ARMED'::text) = (ended_at IS NULL))),
    CONSTRAINT deadline_generation_from_one CHECK ((generation >= 1)),
    CONSTRAINT deadline_kind_is_bounded CHECK (((length(kind) >= 1) AND (length(kind) <= 64))),
    CONSTRAINT deadline_state_is_known CHECK ((state = ANY (ARRAY['ARMED'::text, 'DONE'::text, 'CANCELLED'::text, 'FAILED'::text]))),
    CONSTRAINT deadline_subject_is_bounded CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
)
WITH (fillfactor='70');

CREATE TABLE public.debt (
    user_id uuid NOT NULL,
    currency text NOT NULL,
    owed public.amount NOT NULL,
    sequence bigint NOT NULL,
    tried_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT debt_currency_is_a_code CHECK ((currency ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT debt_is_not_negative CHECK (((owed)::numeric >= (0)::numeric)),
    CONSTRAINT debt_sequence_is_positive CHECK ((sequence > 0))
);

CREATE TABLE public.declaration (
    race_id uuid NOT NULL,
    official_id uuid NOT NULL,
    ordinal smallint NOT NULL,
    winner uuid,
    margin text,
    off_time timestamp with time zone NOT NULL,
    photo_sha256 bytea NOT NULL,
    declared_at timestamp with time zone DEFAULT now() NOT NULL,
    places jsonb DEFAULT '[]'::jsonb NOT NULL,
    CONSTRAINT declaration_dead_heat_has_no_margin CHECK (((winner IS NULL) = (margin IS NULL))),
    CONSTRAINT declaration_margin_is_known CHECK ((margin = ANY (ARRAY['media cabeza'::text, 'cabeza'::text, 'pescuezo'::text, 'paleta'::text, 'faja'::text, 'ijar'::text, 'pico a rabo'::text, 'blanco'::text]))),
    CONSTRAINT declaration_ordinal_in_pair CHECK ((ordinal = ANY (ARRAY[1, 2]))),
    CONSTRAINT declaration_photo_is_sha256 CHECK ((octet_length(photo_sha256) = 32))
);

CREATE TABLE public.event (
    id uuid NOT NULL,
    name text NOT NULL,
    venue text NOT NULL,
    permit text NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    status text DEFAULT 'DRAFT'::text NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    state text DEFAULT 'SIN'::text NOT NULL,
    carril_id uuid,
    day date NOT NULL,
    objection_seconds integer DEFAULT 600 NOT NULL,
    moved_by uuid,
    moved_why text DEFAULT 'drafted'::text NOT NULL,
    day_ends_at timestamp with time zone NOT NULL,
    CONSTRAINT event_day_ends_within_a_day CHECK (((day_ends_at > starts_at) AND (day_ends_at <= (starts_at + '24:00:00'::interval)))),
    CONSTRAINT event_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT event_objection_in_range CHECK (((objection_seconds >= 0) AND (objection_seconds <= 86400))),
    CONSTRAINT event_permit_is_bounded CHECK (((length(permit) >= 1) AND (length(permit) <= 100))),
    CONSTRAINT event_reason_is_bounded CHECK (((length(moved_why) >= 1) AND (length(moved_why) <= 500))),
    CONSTRAINT event_state_is_a_code CHECK ((state ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT event_venue_is_bounded CHECK (((length(venue) >= 1) AND (length(venue) <= 200)))
);

CREATE TABLE public.exclusion (
    user_id uuid NOT NULL,
    until timestamp with time zone,
    changed_at timestamp with time zone NOT NULL
);

CREATE TABLE public.fill (
    id uuid NOT NULL,
    market_id uuid NOT NULL,
    sequence bigint NOT NULL,
    maker_offer uuid NOT NULL,
    maker_user uuid NOT NULL,
    maker_side text NOT NULL,
    maker_stake public.amount NOT NULL,
    taker_offer uuid NOT NULL,
    taker_user uuid NOT NULL,
    taker_side text NOT NULL,
    taker_stake public.amount NOT NULL,
    taker_risk smallint NOT NULL,
    taker_win smallint NOT NULL,
    risk smallint NOT NULL,
    win smallint NOT NULL,
    lots bigint NOT NULL,
    pot public.amount NOT NULL,
    matched_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT fill_bettors_differ CHECK ((maker_user <> taker_user)),
    CONSTRAINT fill_has_lots CHECK ((lots > 0)),
    CONSTRAINT fill_is_whole_lots CHECK (((((maker_stake)::numeric * (100)::numeric) = ((risk * lots))::numeric) AND (((taker_stake)::numeric * (100)::numeric) = ((win * lots))::numeric))),
    CONSTRAINT fill_pot_is_both_stakes CHECK (((pot)::numeric = ((maker_stake)::numeric + (taker_stake)::numeric))),
    CONSTRAINT fill_ratios_cross CHECK (((taker_risk * risk) >= (taker_win * win))),
    CONSTRAINT fill_sides_are_opposite CHECK ((maker_side <> taker_side))
);

CREATE TABLE public.idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    body json,
    resource text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_fingerprint_is_sha256 CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE public.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.level_change (
    market_id uuid NOT NULL,
    sequence bigint NOT NULL,
    side text NOT NULL,
    rank smallint NOT NULL,
    amount public.amount NOT NULL,
    at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT level_change_rank_on_ladder CHECK (((rank >= '-14'::integer) AND (rank <= 14))),
    CONSTRAINT level_change_side_is_known CHECK ((side = ANY (ARRAY['A'::text, 'B'::text])))
);

CREATE TABLE public.market (
    id uuid NOT NULL,
    race_id uuid NOT NULL,
    kind text NOT NULL,
    runner_a uuid NOT NULL,
    runner_b uuid NOT NULL,
    currency text NOT NULL,
    commission_bps smallint NOT NULL,
    tie_rule text NOT NULL,
    min_stake public.amount NOT NULL,
    max_stake public.amount NOT NULL,
    terms_hash bytea NOT NULL,
    status text DEFAULT 'OPEN'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    escrow public.amount DEFAULT 0 NOT NULL,
    defect text,
    opened_by uuid NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    giver text,
    line text,
    max_exposure public.amount NOT NULL,
    close_rule text DEFAULT 'GATE'::text NOT NULL,
    closes_at timestamp with time zone,
    objection_seconds integer DEFAULT 600 NOT NULL,
    permit text DEFAULT ''::text NOT NULL,
    terms text,
    void_reason text,
    settlement integer DEFAULT 0 NOT NULL,
    settled_result smallint DEFAULT 0 NOT NULL,
    suspension uuid,
    moved_by uuid,
    moved_why text DEFAULT 'opened'::text NOT NULL,
    stopped_from text,
    CONSTRAINT market_close_rule_is_known CHECK ((close_rule = ANY (ARRAY['GATE'::text, 'POST_TIME'::text]))),
    CONSTRAINT market_commission_in_range CHECK (((commission_bps >= 0) AND (commission_bps <= 2000))),
    CONSTRAINT market_currency_has_two_decimals CHECK ((currency = 'MXN'::text)),
    CONSTRAINT market_defect_suspends CHECK (((defect IS NULL) OR (status = 'SUSPENDED'::text))),
    CONSTRAINT market_giver_is_a_side CHECK ((giver = ANY (ARRAY['A'::text, 'B'::text]))),
    CONSTRAINT market_line_is_known CHECK ((line = ANY (ARRAY['media cabeza'::text, 'cabeza'::text, 'pescuezo'::text, 'paleta'::text, 'faja'::text, 'ijar'::text, 'pico a rabo'::text, 'blanco'::text]))),
    CONSTRAINT market_open_has_not_closed CHECK (((status <> 'OPEN'::text) OR (closed_at IS NULL))),
    CONSTRAINT market_reason_is_bounded CHECK (((length(moved_why) >= 1) AND (length(moved_why) <= 500))),
    CONSTRAINT market_rest_holds_a_lot CHECK ((((min_stake)::numeric >= 0.20) AND ((max_stake)::numeric >= (min_stake)::numeric))),
    CONSTRAINT market_runners_differ CHECK ((runner_a <> runner_b)),
    CONSTRAINT market_settled_result_in_range CHECK (((settled_result >= 0) AND (settled_result <= 100))),
    CONSTRAINT market_settlement_is_counted CHECK (((settlement >= 0) AND (settlement <= 100))),
    CONSTRAINT market_terms_hash_is_sha256 CHECK ((octet_length(terms_hash) = 32)),
    CONSTRAINT market_void_reason_is_bounded CHECK (((length(void_reason) >= 1) AND (length(void_reason) <= 500)))
)
WITH (fillfactor='50');

CREATE TABLE public.objection (
    id uuid NOT NULL,
    race_id uuid NOT NULL,
    result_version smallint NOT NULL,
    raised_by uuid NOT NULL,
    reason text NOT NULL,
    raised_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT objection_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 2000)))
);

CREATE TABLE public.outbox (
    shard smallint NOT NULL,
    id bigint NOT NULL,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body json NOT NULL,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outbox_sent (
    shard smallint NOT NULL,
    until bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='10');

CREATE TABLE public.outbox_shard (
    shard smallint NOT NULL,
    claim smallint DEFAULT 0 NOT NULL,
    CONSTRAINT outbox_shard_in_range CHECK (((shard >= 0) AND (shard <= 15)))
);

CREATE TABLE public.permit (
    id uuid NOT NULL,
    number text NOT NULL,
    venue text NOT NULL,
    issuer text NOT NULL,
    valid_from date NOT NULL,
    valid_to date NOT NULL,
    registered_by uuid NOT NULL,
    registered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT permit_ends_after_it_begins CHECK ((valid_to >= valid_from)),
    CONSTRAINT permit_issuer_is_bounded CHECK (((length(issuer) >= 1) AND (length(issuer) <= 200))),
    CONSTRAINT permit_number_is_bounded CHECK (((length(number) >= 1) AND (length(number) <= 100))),
    CONSTRAINT permit_venue_is_bounded CHECK (((length(venue) >= 1) AND (length(venue) <= 200)))
);

CREATE TABLE public.race (
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    number smallint NOT NULL,
    distance_m smallint NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    status text DEFAULT 'SCHEDULED'::text NOT NULL,
    scratch_reason text,
    sequence bigint DEFAULT 0 NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    conditions text,
    off_at timestamp with time zone,
    objection_until timestamp with time zone,
    result_version smallint DEFAULT 0 NOT NULL,
    moved_by uuid,
    moved_why text DEFAULT 'scheduled'::text NOT NULL,
    CONSTRAINT race_conditions_are_bounded CHECK (((length(conditions) >= 1) AND (length(conditions) <= 500))),
    CONSTRAINT race_distance_in_range CHECK (((distance_m >= 50) AND (distance_m <= 2000))),
    CONSTRAINT race_number_in_range CHECK (((number >= 1) AND (number <= 100))),
    CONSTRAINT race_reason_is_bounded CHECK (((length(moved_why) >= 1) AND (length(moved_why) <= 500))),
    CONSTRAINT race_result_version_in_range CHECK (((result_version >= 0) AND (result_version <= 100))),
    CONSTRAINT race_scratch_reason_is_bounded CHECK (((length(scratch_reason) >= 1) AND (length(scratch_reason) <= 500)))
);

CREATE TABLE public.rate_approval (
    id uuid NOT NULL,
    state text NOT NULL,
    valid_from date NOT NULL,
    name text NOT NULL,
    bps smallint NOT NULL,
    reason text NOT NULL,
    requested_by uuid NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    ends_at timestamp with time zone DEFAULT (now() + '24:00:00'::interval) NOT NULL,
    status text DEFAULT 'OPEN'::text NOT NULL,
    decided_by uuid,
    decided_at timestamp with time zone,
    CONSTRAINT rate_approval_bps_in_range CHECK (((bps >= 0) AND (bps <= 5000))),
    CONSTRAINT rate_approval_is_decided_by_somebody CHECK ((((status = 'OPEN'::text) = (decided_by IS NULL)) AND ((decided_by IS NULL) = (decided_at IS NULL)))),
    CONSTRAINT rate_approval_name_is_a_tax CHECK ((name ~ '^[a-z0-9-]{1,32}$'::text)),
    CONSTRAINT rate_approval_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT rate_approval_state_is_a_code CHECK ((state ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT rate_approval_status_is_known CHECK ((status = ANY (ARRAY['OPEN'::text, 'APPROVED'::text, 'REFUSED'::text]))),
    CONSTRAINT rate_approval_takes_four_eyes CHECK ((decided_by <> requested_by))
);

CREATE TABLE public.restart (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    official_id uuid NOT NULL,
    reason text NOT NULL,
    signed_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT restart_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 500)))
);

CREATE TABLE public.result (
    race_id uuid NOT NULL,
    version smallint NOT NULL,
    winner uuid,
    margin text,
    off_time timestamp with time zone NOT NULL,
    photo_sha256 bytea NOT NULL,
    places jsonb NOT NULL,
    source text NOT NULL,
    signed_by uuid[] NOT NULL,
    reason text NOT NULL,
    decided_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT result_dead_heat_has_no_margin CHECK (((winner IS NULL) = (margin IS NULL))),
    CONSTRAINT result_is_signed CHECK ((cardinality(signed_by) =
CASE source
    WHEN 'RULED'::text THEN 1
    ELSE 2
END)),
    CONSTRAINT result_margin_is_known CHECK ((margin = ANY (ARRAY['media cabeza'::text, 'cabeza'::text, 'pescuezo'::text, 'paleta'::text, 'faja'::text, 'ijar'::text, 'pico a rabo'::text, 'blanco'::text]))),
    CONSTRAINT result_photo_is_sha256 CHECK ((octet_length(photo_sha256) = 32)),
    CONSTRAINT result_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 2000))),
    CONSTRAINT result_signatures_differ CHECK (((source = 'RULED'::text) OR (signed_by[1] <> signed_by[2]))),
    CONSTRAINT result_source_is_known CHECK ((source = ANY (ARRAY['DECLARED'::text, 'RULED'::text, 'CORRECTED'::text]))),
    CONSTRAINT result_version_in_range CHECK (((version >= 1) AND (version <= 100)))
);

CREATE TABLE public.runner (
    id uuid NOT NULL,
    race_id uuid NOT NULL,
    "position" smallint NOT NULL,
    horse text NOT NULL,
    stable_id uuid,
    carril smallint,
    scratched_at timestamp with time zone,
    scratch_reason text,
    CONSTRAINT runner_carril_in_range CHECK (((carril >= 1) AND (carril <= 20))),
    CONSTRAINT runner_horse_is_bounded CHECK (((length(horse) >= 1) AND (length(horse) <= 100))),
    CONSTRAINT runner_scratch_has_reason CHECK (((scratched_at IS NULL) = (scratch_reason IS NULL))),
    CONSTRAINT runner_scratch_reason_is_bounded CHECK (((length(scratch_reason) >= 1) AND (length(scratch_reason) <= 500)))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.settlement (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    outcome text NOT NULL,
    total public.amount NOT NULL,
    chunks integer NOT NULL,
    settled_at timestamp with time zone DEFAULT now() NOT NULL,
    booked_at timestamp with time zone,
    late_after timestamp with time zone,
    tax text,
    withholding_bps smallint DEFAULT 0 NOT NULL,
    result_version smallint DEFAULT 0 NOT NULL,
    reason text DEFAULT 'the result is final'::text NOT NULL,
    CONSTRAINT settlement_chunks_carry_total CHECK (((chunks = 0) = ((total)::numeric = (0)::numeric))),
    CONSTRAINT settlement_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT settlement_version_is_positive CHECK ((version >= 1)),
    CONSTRAINT settlement_withholding_in_range CHECK (((withholding_bps >= 0) AND (withholding_bps <= 5000))),
    CONSTRAINT settlement_withholds_for_a_tax CHECK (((tax IS NULL) = (withholding_bps = 0)))
);

CREATE TABLE public.settlement_chunk (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    chunk integer NOT NULL,
    total public.amount NOT NULL,
    entry_sequence bigint,
    booked_at timestamp with time zone,
    kind text DEFAULT 'PAY'::text NOT NULL,
    refusals smallint DEFAULT 0 NOT NULL,
    CONSTRAINT settlement_chunk_booked_by_entry CHECK (((entry_sequence IS NULL) = (booked_at IS NULL))),
    CONSTRAINT settlement_chunk_is_numbered CHECK ((chunk >= 1)),
    CONSTRAINT settlement_chunk_kind_is_known CHECK ((kind = ANY (ARRAY['PAY'::text, 'RECOVER'::text]))),
    CONSTRAINT settlement_chunk_pays CHECK (((total)::numeric > (0)::numeric))
);

CREATE TABLE public.settlement_share (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    user_id uuid NOT NULL,
    chunk integer,
    staked public.amount NOT NULL,
    payout public.amount NOT NULL,
    commission public.amount NOT NULL,
    late public.amount DEFAULT 0 NOT NULL,
    withheld public.amount DEFAULT 0 NOT NULL,
    recovery integer,
    pays text DEFAULT 'PAY'::text NOT NULL,
    recovers text DEFAULT 'RECOVER'::text NOT NULL,
    CONSTRAINT settlement_share_pays CHECK ((pays = 'PAY'::text)),
    CONSTRAINT settlement_share_recovers CHECK ((recovers = 'RECOVER'::text))
);

CREATE TABLE public.stable (
    id uuid NOT NULL,
    name text NOT NULL,
    registered_by uuid NOT NULL,
    registered_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stable_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 200)))
);

CREATE TABLE public.stable_member (
    user_id uuid NOT NULL,
    stable_id uuid NOT NULL,
    part text NOT NULL,
    added_by uuid NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT stable_member_part_is_known CHECK ((part = ANY (ARRAY['OWNER'::text, 'TRAINER'::text, 'JOCKEY'::text, 'GROOM'::text])))
);

CREATE TABLE public.suspension (
    id uuid NOT NULL,
    scope text NOT NULL,
    subject uuid,
    reason text NOT NULL,
    imposed_by uuid NOT NULL,
    imposed_at timestamp with time zone DEFAULT now() NOT NULL,
    lifted_by uuid,
    lifted_at timestamp with time zone,
    lift_reason text,
    CONSTRAINT suspension_is_lifted_by_someone CHECK ((((lifted_at IS NULL) = (lifted_by IS NULL)) AND ((lifted_at IS NULL) = (lift_reason IS NULL)))),
    CONSTRAINT suspension_lift_reason_is_bounded CHECK (((length(lift_reason) >= 1) AND (length(lift_reason) <= 500))),
    CONSTRAINT suspension_names_its_subject CHECK (((scope = 'GLOBAL'::text) = (subject IS NULL))),
    CONSTRAINT suspension_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT suspension_scope_is_known CHECK ((scope = ANY (ARRAY['GLOBAL'::text, 'EVENT'::text, 'MARKET'::text, 'USER'::text])))
);

CREATE TABLE public.transition (
    id bigint NOT NULL,
    noun text NOT NULL,
    subject uuid NOT NULL,
    was text,
    became text NOT NULL,
    actor uuid,
    reason text NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    CONSTRAINT transition_noun_is_known CHECK ((noun = ANY (ARRAY['event'::text, 'race'::text, 'market'::text, 'offer'::text])))
);

ALTER TABLE public.transition ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.transition_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.withholding_rate (
    state text NOT NULL,
    valid_from date NOT NULL,
    name text NOT NULL,
    bps smallint NOT NULL,
    added_by uuid NOT NULL,
    added_at timestamp with time zone DEFAULT now() NOT NULL,
    approval uuid,
    CONSTRAINT withholding_bps_in_range CHECK (((bps >= 0) AND (bps <= 5000))),
    CONSTRAINT withholding_name_is_a_tax CHECK ((name ~ '^[a-z0-9-]{1,32}$'::text)),
    CONSTRAINT withholding_state_is_a_code CHECK ((state ~ '^[A-Z]{3}$'::text))
);

ALTER TABLE ONLY public.appointment
    ADD CONSTRAINT appointment_pkey PRIMARY KEY (event_id, official_id);

ALTER TABLE ONLY public.badge
    ADD CONSTRAINT badge_is_shown_once PRIMARY KEY (transaction, user_id);

ALTER TABLE ONLY public.badge_key
    ADD CONSTRAINT badge_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.carril
    ADD CONSTRAINT carril_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.conformity
    ADD CONSTRAINT conformity_is_signed_once PRIMARY KEY (race_id, result_version, stable_id);

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_is_signed_once PRIMARY KEY (race_id, corrects, official_id);

ALTER TABLE ONLY public.deadline
    ADD CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation);

ALTER TABLE ONLY public.debt
    ADD CONSTRAINT debt_pkey PRIMARY KEY (user_id, currency);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_officials_differ PRIMARY KEY (race_id, official_id);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_ordinal_is_unique UNIQUE (race_id, ordinal);

ALTER TABLE public.event
    ADD CONSTRAINT event_day_is_when_it_starts CHECK (((day >= (((starts_at AT TIME ZONE 'UTC'::text))::date - 1)) AND (day <= (((starts_at AT TIME ZONE 'UTC'::text))::date + 1)))) NOT VALID;

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

ALTER TABLE public.event
    ADD CONSTRAINT event_status_is_known CHECK ((status = ANY (ARRAY['DRAFT'::text, 'PUBLISHED'::text, 'LIVE'::text, 'CLOSED'::text, 'CANCELLED'::text]))) NOT VALID;

ALTER TABLE ONLY public.exclusion
    ADD CONSTRAINT exclusion_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_meets_once UNIQUE (taker_offer, maker_offer);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_sequence_is_unique UNIQUE (market_id, sequence);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_key_is_used_once PRIMARY KEY (principal, key);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY public.level_change
    ADD CONSTRAINT level_change_pkey PRIMARY KEY (market_id, sequence, side, rank);

ALTER TABLE public.market
    ADD CONSTRAINT market_exposure_holds_a_stake CHECK (((max_exposure)::numeric >= (max_stake)::numeric)) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_kind_is_known CHECK ((kind = ANY (ARRAY['GANA'::text, 'VENTAJA'::text]))) NOT VALID;

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_pkey PRIMARY KEY (id);

ALTER TABLE public.market
    ADD CONSTRAINT market_post_time_is_told CHECK (((close_rule = 'POST_TIME'::text) = (closes_at IS NOT NULL))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_status_is_known CHECK ((status = ANY (ARRAY['DRAFT'::text, 'OPEN'::text, 'SUSPENDED'::text, 'CLOSED'::text, 'SETTLING'::text, 'SETTLED'::text, 'VOID'::text]))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_stopped_from_somewhere CHECK (((stopped_from IS NULL) = (defect IS NULL))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_terms_are_hashed CHECK (((terms IS NULL) OR (sha256(convert_to(terms, 'UTF8'::name)) = terms_hash))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_tie_rule_is_known CHECK ((tie_rule = ANY (ARRAY['PUSH'::text, 'SPLIT_POT'::text]))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_ventaja_has_a_line CHECK ((((kind = 'VENTAJA'::text) = (giver IS NOT NULL)) AND ((kind = 'VENTAJA'::text) = (line IS NOT NULL)))) NOT VALID;

ALTER TABLE public.market
    ADD CONSTRAINT market_version_is_counted CHECK (((version >= 1) OR ((version = 0) AND (status = 'DRAFT'::text)))) NOT VALID;

ALTER TABLE ONLY public.objection
    ADD CONSTRAINT objection_pkey PRIMARY KEY (id);

ALTER TABLE public.offer
    ADD CONSTRAINT offer_challenges_another CHECK ((challenges <> user_id)) NOT VALID;

ALTER TABLE public.offer
    ADD CONSTRAINT offer_ending_is_known CHECK ((ending = ANY (ARRAY['DUST'::text, 'SELF_MATCH'::text, 'BY_OWNER'::text, 'DECLINED'::text, 'TIME_OVER'::text, 'NOT_ENOUGH'::text, 'NOT_RESTING'::text, 'BETTOR_SUSPENDED'::text, 'BETTOR_EXCLUDED'::text, 'BETTOR_BARRED'::text, 'MARKET_CLOSED'::text, 'MARKET_CHANGED'::text, 'RACE_SCRATCHED'::text, 'HOLD_REFUSED'::text]))) NOT VALID;

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_is_bound UNIQUE (id, market_id, user_id, side, risk, win);

ALTER TABLE public.offer
    ADD CONSTRAINT offer_is_ended_by_whoever_may CHECK (
CASE ending
    WHEN 'BY_OWNER'::text THEN (NOT (moved_by IS DISTINCT FROM user_id))
    WHEN 'DECLINED'::text THEN (NOT (moved_by IS DISTINCT FROM challenges))
    ELSE true
END) NOT VALID;

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_key_is_used_once UNIQUE (user_id, idempotency_key);

ALTER TABLE public.offer
    ADD CONSTRAINT offer_minimum_is_met CHECK (((min_fill IS NULL) OR ((matched)::numeric = (0)::numeric) OR ((matched)::numeric >= (min_fill)::numeric))) NOT VALID;

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_sequence_is_unique UNIQUE (market_id, sequence);

ALTER TABLE public.offer
    ADD CONSTRAINT offer_status_is_known CHECK ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text, 'FILLED'::text, 'CANCELLED'::text, 'LAPSED'::text, 'EXPIRED'::text, 'KILLED'::text, 'REJECTED'::text]))) NOT VALID;

ALTER TABLE public.offer
    ADD CONSTRAINT offer_that_kills_never_rests CHECK (((NOT (fill_or_kill OR (answers IS NOT NULL))) OR (status <> ALL (ARRAY['OPEN'::text, 'PARTIAL'::text])))) NOT VALID;

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.permit
    ADD CONSTRAINT permit_is_unique UNIQUE (number, venue, valid_from);

ALTER TABLE ONLY public.permit
    ADD CONSTRAINT permit_pkey PRIMARY KEY (id);

ALTER TABLE public.race
    ADD CONSTRAINT race_confirmed_has_a_window CHECK (((status <> ALL (ARRAY['CONFIRMED'::text, 'FINAL'::text])) OR (objection_until IS NOT NULL))) NOT VALID;

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_number_is_unique UNIQUE (event_id, number);

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_pkey PRIMARY KEY (id);

ALTER TABLE public.race
    ADD CONSTRAINT race_scratch_has_reason CHECK (((status = 'NO_CORRE'::text) = (scratch_reason IS NOT NULL))) NOT VALID;

ALTER TABLE public.race
    ADD CONSTRAINT race_status_is_known CHECK ((status = ANY (ARRAY['SCHEDULED'::text, 'POSTPONED'::text, 'AT_GATE'::text, 'OFF'::text, 'FINISHED'::text, 'DECLARED'::text, 'CONFIRMED'::text, 'DISPUTED'::text, 'FINAL'::text, 'NO_CONTEST'::text, 'NO_CORRE'::text]))) NOT VALID;

ALTER TABLE ONLY public.rate_approval
    ADD CONSTRAINT rate_approval_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.restart
    ADD CONSTRAINT restart_is_signed_once PRIMARY KEY (market_id, version, official_id);

ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_is_unique PRIMARY KEY (race_id, version);

ALTER TABLE public.result
    ADD CONSTRAINT result_winner_came_in_first CHECK (COALESCE(
CASE
    WHEN (winner IS NULL) THEN (jsonb_array_length((places -> 0)) > 1)
    ELSE ((jsonb_array_length((places -> 0)) = 1) AND (((places -> 0) ->> 0) = (winner)::text))
END, false)) NOT VALID;

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_in_race UNIQUE (race_id, id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_pkey PRIMARY KEY (id);

ALTER TABLE public.runner
    ADD CONSTRAINT runner_position_in_race CHECK ((("position" >= 1) AND ("position" <= 20))) NOT VALID;

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_position_is_unique UNIQUE (race_id, "position");

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.settlement_chunk
    ADD CONSTRAINT settlement_chunk_is_unique PRIMARY KEY (market_id, version, kind, chunk);

ALTER TABLE public.settlement_chunk
    ADD CONSTRAINT settlement_chunk_refusals_in_range CHECK (((refusals >= 0) AND (refusals <= 1000))) NOT VALID;

ALTER TABLE public.settlement
    ADD CONSTRAINT settlement_outcome_is_known CHECK ((outcome = ANY (ARRAY['A'::text, 'B'::text, 'PUSH'::text, 'SPLIT'::text, 'VOID'::text]))) NOT VALID;

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_pkey PRIMARY KEY (market_id, version);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_is_unique PRIMARY KEY (market_id, version, user_id);

ALTER TABLE public.settlement_share
    ADD CONSTRAINT settlement_share_staked CHECK ((((staked)::numeric + (late)::numeric) > (0)::numeric)) NOT VALID;

ALTER TABLE public.settlement_share
    ADD CONSTRAINT settlement_share_takes_from_profit CHECK (((((commission)::numeric + (withheld)::numeric) = (0)::numeric) OR (((payout)::numeric - (late)::numeric) >= (staked)::numeric))) NOT VALID;

ALTER TABLE ONLY public.stable_member
    ADD CONSTRAINT stable_member_is_of_one PRIMARY KEY (user_id);

ALTER TABLE ONLY public.stable
    ADD CONSTRAINT stable_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.suspension
    ADD CONSTRAINT suspension_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.transition
    ADD CONSTRAINT transition_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.withholding_rate
    ADD CONSTRAINT withholding_rate_approval_is_used_once UNIQUE (approval);

ALTER TABLE public.withholding_rate
    ADD CONSTRAINT withholding_rate_is_approved CHECK ((approval IS NOT NULL)) NOT VALID;

ALTER TABLE ONLY public.withholding_rate
    ADD CONSTRAINT withholding_rate_is_unique PRIMARY KEY (state, valid_from);

CREATE UNIQUE INDEX carril_name_is_unique ON public.carril USING btree (lower(name));

CREATE INDEX deadline_armed ON public.deadline USING btree (retry_at) WHERE (state = 'ARMED'::text);

CREATE INDEX deadline_by_end ON public.deadline USING btree (ended_at) WHERE (state = ANY (ARRAY['DONE'::text, 'CANCELLED'::text]));

CREATE INDEX debt_is_owed ON public.debt USING btree (tried_at) WHERE ((owed)::numeric > (0)::numeric);

CREATE INDEX event_by_start ON public.event USING btree (starts_at, id);

CREATE INDEX fill_of_maker_offer ON public.fill USING btree (maker_offer);

CREATE INDEX fill_of_maker_user ON public.fill USING btree (maker_user, matched_at, id);

CREATE INDEX fill_of_taker_user ON public.fill USING btree (taker_user, matched_at, id);

CREATE INDEX inbox_by_age ON public.inbox USING btree (received_at);

CREATE INDEX market_awaiting_settlement ON public.market USING btree (race_id) WHERE (status = 'CLOSED'::text);

CREATE INDEX market_closing ON public.market USING btree (closes_at) WHERE ((status = ANY (ARRAY['OPEN'::text, 'SUSPENDED'::text])) AND (closes_at IS NOT NULL));

CREATE UNIQUE INDEX market_is_unique ON public.market USING btree (race_id, kind, runner_a, runner_b, COALESCE(giver, ''::text), COALESCE(line, ''::text));

CREATE INDEX market_trading ON public.market USING btree (race_id) WHERE (status = ANY (ARRAY['OPEN'::text, 'SUSPENDED'::text]));

CREATE INDEX objection_of_race ON public.objection USING btree (race_id);

CREATE INDEX offer_book ON public.offer USING btree (market_id, side, rank DESC, sequence) INCLUDE (user_id, remaining) WHERE (status = ANY (ARRAY['OPEN'::text, 'PARTIAL'::text]));

CREATE INDEX offer_challenging ON public.offer USING btree (challenges) WHERE ((status = ANY (ARRAY['OPEN'::text, 'PARTIAL'::text])) AND (challenges IS NOT NULL));

CREATE INDEX offer_in_market_of_user ON public.offer USING btree (market_id, user_id);

CREATE INDEX offer_live_of_user ON public.offer USING btree (user_id, market_id) WHERE (status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text]));

CREATE INDEX offer_of_user ON public.offer USING btree (user_id, placed_at, id);

CREATE INDEX offer_to_expire ON public.offer USING btree (expires_at) WHERE ((status = ANY (ARRAY['OPEN'::text, 'PARTIAL'::text])) AND (expires_at IS NOT NULL));

CREATE INDEX offer_to_finish ON public.offer USING btree (next_attempt_at) WHERE (status = 'PENDING'::text);

CREATE INDEX race_window_open ON public.race USING btree (objection_until) WHERE (status = 'CONFIRMED'::text);

CREATE INDEX rate_approval_by_time ON public.rate_approval USING btree (requested_at, id);

CREATE UNIQUE INDEX runner_horse_is_unique ON public.runner USING btree (race_id, lower(horse));

CREATE INDEX runner_of_stable ON public.runner USING btree (stable_id) WHERE (stable_id IS NOT NULL);

CREATE INDEX settlement_share_of_chunk ON public.settlement_share USING btree (market_id, version, chunk);

CREATE INDEX settlement_share_of_recovery ON public.settlement_share USING btree (market_id, version, recovery) WHERE (recovery IS NOT NULL);

CREATE INDEX settlement_share_of_user ON public.settlement_share USING btree (user_id, market_id);

CREATE INDEX settlement_unbooked ON public.settlement USING btree (settled_at) WHERE (booked_at IS NULL);

CREATE INDEX stable_member_of ON public.stable_member USING btree (stable_id);

CREATE UNIQUE INDEX stable_name_is_unique ON public.stable USING btree (lower(name));

CREATE UNIQUE INDEX suspension_in_force_once ON public.suspension USING btree (scope, subject) NULLS NOT DISTINCT WHERE (lifted_at IS NULL);

CREATE INDEX transition_of ON public.transition USING btree (subject, id);

CREATE TRIGGER appointment_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.appointment FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER appointment_is_by_staff BEFORE INSERT ON public.appointment FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('appointed_by', 'official admin');

CREATE TRIGGER appointment_waits_for_offers BEFORE INSERT ON public.appointment FOR EACH ROW EXECUTE FUNCTION public.appointment_waits_for_offers();

CREATE TRIGGER badge_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.badge FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER badge_is_genuine BEFORE INSERT ON public.badge FOR EACH ROW EXECUTE FUNCTION public.badge_is_genuine();

CREATE TRIGGER carril_is_by_staff BEFORE INSERT ON public.carril FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('registered_by', 'official admin');

CREATE TRIGGER command_is_as_written BEFORE INSERT ON public.outbox FOR EACH ROW WHEN ((new.exchange <> 'events'::text)) EXECUTE FUNCTION public.command_is_as_written();

CREATE TRIGGER conformity_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.conformity FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER conformity_is_by_its_stable BEFORE INSERT ON public.conformity FOR EACH ROW EXECUTE FUNCTION public.conformity_is_by_its_stable();

CREATE TRIGGER correction_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.correction FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER correction_is_impartial BEFORE INSERT ON public.correction FOR EACH ROW EXECUTE FUNCTION public.declaration_is_impartial();

CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_ends_once();

CREATE TRIGGER deadline_is_kept BEFORE DELETE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_is_kept();

CREATE TRIGGER debt_is_the_later BEFORE UPDATE ON public.debt FOR EACH ROW WHEN ((new.sequence < old.sequence)) EXECUTE FUNCTION public.word_is_the_later();

CREATE TRIGGER declaration_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.declaration FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER declaration_is_impartial BEFORE INSERT ON public.declaration FOR EACH ROW EXECUTE FUNCTION public.declaration_is_impartial();

CREATE TRIGGER event_beginning_is_noted AFTER INSERT ON public.event REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_beginnings('event');

CREATE TRIGGER event_begins_as_a_draft BEFORE INSERT ON public.event FOR EACH ROW WHEN ((new.status <> 'DRAFT'::text)) EXECUTE FUNCTION public.begins_at_the_beginning();

CREATE TRIGGER event_is_by_an_official BEFORE INSERT ON public.event FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('created_by', 'official');

CREATE TRIGGER event_moves_are_noted AFTER UPDATE ON public.event REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_moves('event');

CREATE TRIGGER event_moves_forward BEFORE UPDATE OF status ON public.event FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.event_moves_forward();

CREATE TRIGGER exclusion_is_the_later BEFORE UPDATE ON public.exclusion FOR EACH ROW WHEN ((new.changed_at < old.changed_at)) EXECUTE FUNCTION public.word_is_the_later();

CREATE TRIGGER fill_in_open_market AFTER INSERT ON public.fill REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.fill_in_open_market();

CREATE TRIGGER fill_is_by_who_may AFTER INSERT ON public.fill REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.fill_is_by_who_may();

CREATE TRIGGER fill_is_in_both_offers AFTER INSERT ON public.fill REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.fill_is_in_both_offers();

CREATE TRIGGER fill_keeps_the_queue AFTER INSERT ON public.fill REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.fill_keeps_the_queue();

CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON public.idempotency FOR EACH ROW WHEN ((old.status IS NOT NULL)) EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER idempotency_is_kept BEFORE DELETE ON public.idempotency FOR EACH ROW EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER inbox_is_kept BEFORE DELETE ON public.inbox FOR EACH ROW EXECUTE FUNCTION public.inbox_is_kept();

CREATE TRIGGER level_change_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.level_change FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER market_beginning_is_noted AFTER INSERT ON public.market REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_beginnings('market');

CREATE TRIGGER market_begins_as_a_draft BEFORE INSERT ON public.market FOR EACH ROW WHEN ((((new.status <> 'DRAFT'::text) OR (new.version <> 0) OR (new.sequence <> 0) OR ((new.escrow)::numeric <> (0)::numeric) OR (new.settlement <> 0)) OR (new.defect IS NOT NULL) OR (new.void_reason IS NOT NULL))) EXECUTE FUNCTION public.market_begins_as_a_draft();

CREATE TRIGGER market_counts_its_settlements BEFORE UPDATE OF settlement, settled_result ON public.market FOR EACH ROW WHEN (((old.settlement <> new.settlement) OR (old.settled_result <> new.settled_result))) EXECUTE FUNCTION public.market_counts_its_settlements();

CREATE TRIGGER market_is_by_an_official BEFORE INSERT ON public.market FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('opened_by', 'official');

CREATE TRIGGER market_is_void_with_its_race BEFORE UPDATE OF void_reason ON public.market FOR EACH ROW WHEN ((old.void_reason IS DISTINCT FROM new.void_reason)) EXECUTE FUNCTION public.market_is_void_with_its_race();

CREATE TRIGGER market_moves_are_noted AFTER UPDATE ON public.market REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_market_moves();

CREATE TRIGGER market_moves_forward BEFORE UPDATE OF status ON public.market FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.market_moves_forward();

CREATE TRIGGER market_sequence_only_grows BEFORE UPDATE OF sequence ON public.market FOR EACH ROW WHEN ((new.sequence < old.sequence)) EXECUTE FUNCTION public.market_sequence_only_grows();

CREATE TRIGGER market_stops_and_restarts BEFORE UPDATE OF defect ON public.market FOR EACH ROW WHEN ((old.defect IS DISTINCT FROM new.defect)) EXECUTE FUNCTION public.market_stops_and_restarts();

CREATE TRIGGER market_terms_are_what_counts BEFORE INSERT ON public.market FOR EACH ROW EXECUTE FUNCTION public.market_terms_are_what_counts();

CREATE TRIGGER objection_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.objection FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER offer_has_ended BEFORE UPDATE ON public.offer FOR EACH ROW WHEN ((old.status = ANY (ARRAY['FILLED'::text, 'CANCELLED'::text, 'LAPSED'::text, 'EXPIRED'::text, 'KILLED'::text, 'REJECTED'::text]))) EXECUTE FUNCTION public.offer_has_ended();

CREATE TRIGGER offer_is_by_a_stranger AFTER INSERT ON public.offer REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.offer_is_by_a_stranger();

CREATE TRIGGER offer_is_matched_by_its_bets AFTER UPDATE ON public.offer REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.offer_is_matched_by_its_bets();

CREATE TRIGGER offer_joins_the_queue_last AFTER UPDATE ON public.offer REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.offer_joins_the_queue_last();

CREATE TRIGGER offer_keeps_its_place BEFORE UPDATE OF sequence ON public.offer FOR EACH ROW WHEN (((old.sequence IS DISTINCT FROM new.sequence) AND (old.sequence IS NOT NULL))) EXECUTE FUNCTION public.offer_keeps_its_place();

CREATE TRIGGER offer_moves_are_noted AFTER UPDATE ON public.offer REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_moves('offer');

CREATE TRIGGER offer_says_what_counts AFTER INSERT ON public.offer REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.offer_says_what_counts();

CREATE TRIGGER permit_is_by_staff BEFORE INSERT ON public.permit FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('registered_by', 'official admin');

CREATE TRIGGER race_beginning_is_noted AFTER INSERT ON public.race REFERENCING NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_beginnings('race');

CREATE TRIGGER race_begins_as_scheduled BEFORE INSERT ON public.race FOR EACH ROW WHEN (((new.status <> 'SCHEDULED'::text) OR (new.result_version <> 0) OR (new.objection_until IS NOT NULL))) EXECUTE FUNCTION public.begins_at_the_beginning();

CREATE TRIGGER race_counts_its_results BEFORE UPDATE ON public.race FOR EACH ROW WHEN (((old.result_version IS DISTINCT FROM new.result_version) OR (old.objection_until IS DISTINCT FROM new.objection_until))) EXECUTE FUNCTION public.race_counts_its_results();

CREATE TRIGGER race_is_by_an_official BEFORE INSERT ON public.race FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('created_by', 'official');

CREATE TRIGGER race_moves_are_noted AFTER UPDATE ON public.race REFERENCING OLD TABLE AS before_it NEW TABLE AS after_it FOR EACH STATEMENT EXECUTE FUNCTION public.note_moves('race');

CREATE TRIGGER race_moves_forward BEFORE UPDATE OF status ON public.race FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.race_moves_forward();

CREATE TRIGGER rate_approval_is_asked_by_an_administrator BEFORE INSERT ON public.rate_approval FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('requested_by', 'admin');

CREATE TRIGGER rate_approval_is_decided_by_an_administrator BEFORE UPDATE ON public.rate_approval FOR EACH ROW WHEN ((new.decided_by IS NOT NULL)) EXECUTE FUNCTION public.staff_shows_a_badge('decided_by', 'admin');

CREATE TRIGGER rate_approval_is_decided_once BEFORE UPDATE ON public.rate_approval FOR EACH ROW EXECUTE FUNCTION public.rate_approval_is_decided_once();

CREATE TRIGGER rate_approval_is_for_days_to_come BEFORE INSERT ON public.rate_approval FOR EACH ROW EXECUTE FUNCTION public.withholding_rate_is_for_days_to_come();

CREATE TRIGGER rate_approval_is_kept BEFORE DELETE OR TRUNCATE ON public.rate_approval FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER rate_approval_takes_effect AFTER UPDATE ON public.rate_approval FOR EACH ROW WHEN ((new.status = 'APPROVED'::text)) EXECUTE FUNCTION public.rate_approval_takes_effect();

CREATE TRIGGER restart_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.restart FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER restart_is_of_a_stopped_market BEFORE INSERT ON public.restart FOR EACH ROW EXECUTE FUNCTION public.restart_is_of_a_stopped_market();

CREATE TRIGGER result_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.result FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER result_is_supported BEFORE INSERT ON public.result FOR EACH ROW EXECUTE FUNCTION public.result_is_supported();

CREATE TRIGGER runner_changes_before_the_off BEFORE UPDATE OF stable_id, scratched_at ON public.runner FOR EACH ROW WHEN (((old.stable_id IS DISTINCT FROM new.stable_id) OR (old.scratched_at IS DISTINCT FROM new.scratched_at))) EXECUTE FUNCTION public.runner_changes_before_the_off();

CREATE TRIGGER settlement_books_every_chunk BEFORE UPDATE OF booked_at ON public.settlement FOR EACH ROW EXECUTE FUNCTION public.settlement_books_every_chunk();

CREATE TRIGGER settlement_chunk_is_written_whole AFTER INSERT ON public.settlement_chunk REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.settlement_is_written_whole();

CREATE TRIGGER settlement_chunk_stays_booked BEFORE UPDATE ON public.settlement_chunk FOR EACH ROW WHEN ((old.booked_at IS NOT NULL)) EXECUTE FUNCTION public.settlement_stays_booked();

CREATE TRIGGER settlement_follows_the_result AFTER INSERT ON public.settlement FOR EACH ROW EXECUTE FUNCTION public.settlement_follows_the_result();

CREATE CONSTRAINT TRIGGER settlement_is_exact AFTER INSERT ON public.settlement DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.settlement_is_exact();

CREATE TRIGGER settlement_share_is_written_whole AFTER INSERT ON public.settlement_share REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.settlement_is_written_whole();

CREATE TRIGGER settlement_stays_booked BEFORE UPDATE OF booked_at ON public.settlement FOR EACH ROW WHEN ((old.booked_at IS NOT NULL)) EXECUTE FUNCTION public.settlement_stays_booked();

CREATE TRIGGER stable_is_by_staff BEFORE INSERT ON public.stable FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('registered_by', 'official admin');

CREATE TRIGGER stable_member_is_by_staff BEFORE INSERT ON public.stable_member FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('added_by', 'official admin');

CREATE TRIGGER stable_member_waits_for_offers BEFORE INSERT ON public.stable_member FOR EACH ROW EXECUTE FUNCTION public.stable_member_waits_for_offers();

CREATE TRIGGER suspension_is_by_staff BEFORE INSERT ON public.suspension FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('imposed_by', 'official admin');

CREATE TRIGGER suspension_is_lifted_by_staff BEFORE UPDATE OF lifted_by, lifted_at ON public.suspension FOR EACH ROW EXECUTE FUNCTION public.staff_shows_a_badge('lifted_by', 'official admin');

CREATE TRIGGER suspension_is_lifted_once BEFORE UPDATE ON public.suspension FOR EACH ROW WHEN ((old.lifted_at IS NOT NULL)) EXECUTE FUNCTION public.suspension_is_lifted_once();

CREATE TRIGGER transition_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.transition FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER withholding_rate_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.withholding_rate FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER withholding_rate_is_for_days_to_come BEFORE INSERT ON public.withholding_rate FOR EACH ROW EXECUTE FUNCTION public.withholding_rate_is_for_days_to_come();

ALTER TABLE ONLY public.appointment
    ADD CONSTRAINT appointment_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.event(id);

ALTER TABLE ONLY public.conformity
    ADD CONSTRAINT conformity_race_id_result_version_fkey FOREIGN KEY (race_id, result_version) REFERENCES public.result(race_id, version);

ALTER TABLE ONLY public.conformity
    ADD CONSTRAINT conformity_stable_id_fkey FOREIGN KEY (stable_id) REFERENCES public.stable(id);

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_race_id_corrects_fkey FOREIGN KEY (race_id, corrects) REFERENCES public.result(race_id, version);

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.correction
    ADD CONSTRAINT correction_winner_ran FOREIGN KEY (race_id, winner) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_winner_ran FOREIGN KEY (race_id, winner) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_carril_id_fkey FOREIGN KEY (carril_id) REFERENCES public.carril(id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_maker_is_bound FOREIGN KEY (maker_offer, market_id, maker_user, maker_side, risk, win) REFERENCES public.offer(id, market_id, user_id, side, risk, win);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_taker_is_bound FOREIGN KEY (taker_offer, market_id, taker_user, taker_side, taker_risk, taker_win) REFERENCES public.offer(id, market_id, user_id, side, risk, win);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_runner_a_in_race FOREIGN KEY (race_id, runner_a) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_runner_b_in_race FOREIGN KEY (race_id, runner_b) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.objection
    ADD CONSTRAINT objection_once FOREIGN KEY (race_id, result_version) REFERENCES public.result(race_id, version);

ALTER TABLE ONLY public.objection
    ADD CONSTRAINT objection_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_market_id_fkey FOREIGN KEY (market_id) REFERENCES public.market(id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.event(id);

ALTER TABLE ONLY public.restart
    ADD CONSTRAINT restart_market_id_fkey FOREIGN KEY (market_id) REFERENCES public.market(id);

ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.result
    ADD CONSTRAINT result_winner_ran FOREIGN KEY (race_id, winner) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_stable_id_fkey FOREIGN KEY (stable_id) REFERENCES public.stable(id);

ALTER TABLE ONLY public.settlement_chunk
    ADD CONSTRAINT settlement_chunk_has_header FOREIGN KEY (market_id, version) REFERENCES public.settlement(market_id, version);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_market_id_fkey FOREIGN KEY (market_id) REFERENCES public.market(id);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_has_chunk FOREIGN KEY (market_id, version, pays, chunk) REFERENCES public.settlement_chunk(market_id, version, kind, chunk) NOT VALID;

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_has_header FOREIGN KEY (market_id, version) REFERENCES public.settlement(market_id, version);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_has_recovery FOREIGN KEY (market_id, version, recovers, recovery) REFERENCES public.settlement_chunk(market_id, version, kind, chunk) NOT VALID;

ALTER TABLE ONLY public.stable_member
    ADD CONSTRAINT stable_member_stable_id_fkey FOREIGN KEY (stable_id) REFERENCES public.stable(id);

ALTER TABLE ONLY public.withholding_rate
    ADD CONSTRAINT withholding_rate_approval_fkey FOREIGN KEY (approval) REFERENCES public.rate_approval(id);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO betting_owner;
GRANT USAGE ON SCHEMA public TO betting_app;
GRANT USAGE ON SCHEMA public TO betting_relay;

REVOKE ALL ON FUNCTION public.appointment_waits_for_offers() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.badge_is_genuine() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.begins_at_the_beginning() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.bets_of(of_offer uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.bets_of(of_offer uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.check_badge(bearer uuid, roles text[]) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_badge(bearer uuid, roles text[]) TO betting_app;

REVOKE ALL ON FUNCTION public.check_impartial(judged uuid, official uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.check_impartial(judged uuid, official uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.chunk_of(of_market uuid, number integer, asked integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.chunk_of(of_market uuid, number integer, asked integer) TO betting_app;

REVOKE ALL ON FUNCTION public.command_is_as_written() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.conformity_is_by_its_stable() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.deadline_is_kept() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.declaration_is_impartial() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.fill_in_open_market() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.fill_is_by_who_may() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.fill_is_in_both_offers() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.fill_keeps_the_queue() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_deadline(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_deadline(at_most integer) TO betting_relay;

REVOKE ALL ON FUNCTION public.forget_inbox(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_inbox(at_most integer) TO betting_relay;

REVOKE ALL ON FUNCTION public.half_of(mine numeric, theirs numeric) FROM PUBLIC;
GRANT ALL ON FUNCTION public.half_of(mine numeric, theirs numeric) TO betting_app;

REVOKE ALL ON FUNCTION public.hmac_sha256(secret bytea, message bytea) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.idempotency_answers_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.inbox_is_kept() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.is_fresh(issued_at timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.leg(side text, account text, amount numeric, currency text, hold uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.leg(side text, account text, amount numeric, currency text, hold uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.market_begins_as_a_draft() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_counts_its_settlements() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_is_void_with_its_race() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_moves_forward() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_sequence_only_grows() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_stops_and_restarts() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_terms_are_what_counts() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.match_of(bet uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.match_of(bet uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.note_market_moves() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_has_ended() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_is_matched_by_its_bets() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_joins_the_queue_last() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_keeps_its_place() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_says_what_counts() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.outcome_by(kind text, tie_rule text, giver text, line text, place_a bigint, place_b bigint, margin text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.outcome_by(kind text, tie_rule text, giver text, line text, place_a bigint, place_b bigint, margin text) TO betting_app;

REVOKE ALL ON FUNCTION public.place_in(places jsonb, runner uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.place_in(places jsonb, runner uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.positions_in(market uuid, late_after timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.positions_in(market uuid, late_after timestamp with time zone) TO betting_app;

REVOKE ALL ON FUNCTION public.race_counts_its_results() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.race_moves_forward() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.rate_approval_is_decided_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.rate_approval_takes_effect() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.refuse(rule text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO betting_app;

REVOKE ALL ON FUNCTION public.release_of(ended uuid) FROM PUBLIC;
GRANT ALL ON FUNCTION public.release_of(ended uuid) TO betting_app;

REVOKE ALL ON FUNCTION public.restart_is_of_a_stopped_market() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.runner_changes_before_the_off() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_books_every_chunk() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_follows_the_result() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_is_exact() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_is_written_whole() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_stays_booked() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.stable_member_waits_for_offers() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.staff_shows_a_badge() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.suspension_is_lifted_once() FROM PUBLIC;

GRANT SELECT ON TABLE public.offer TO betting_app;

GRANT INSERT(id) ON TABLE public.offer TO betting_app;

GRANT INSERT(market_id) ON TABLE public.offer TO betting_app;

GRANT INSERT(market_version) ON TABLE public.offer TO betting_app;

GRANT INSERT(user_id) ON TABLE public.offer TO betting_app;

GRANT INSERT(idempotency_key) ON TABLE public.offer TO betting_app;

GRANT INSERT(side) ON TABLE public.offer TO betting_app;

GRANT INSERT(risk) ON TABLE public.offer TO betting_app;

GRANT INSERT(win) ON TABLE public.offer TO betting_app;

GRANT INSERT(rank) ON TABLE public.offer TO betting_app;

GRANT INSERT(stake) ON TABLE public.offer TO betting_app;

GRANT UPDATE(matched) ON TABLE public.offer TO betting_app;

GRANT INSERT(remaining),UPDATE(remaining) ON TABLE public.offer TO betting_app;

GRANT UPDATE(released) ON TABLE public.offer TO betting_app;

GRANT INSERT(status),UPDATE(status) ON TABLE public.offer TO betting_app;

GRANT UPDATE(ending) ON TABLE public.offer TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.offer TO betting_app;

GRANT UPDATE(attempts) ON TABLE public.offer TO betting_app;

GRANT INSERT(next_attempt_at),UPDATE(next_attempt_at) ON TABLE public.offer TO betting_app;

GRANT INSERT(placed_at) ON TABLE public.offer TO betting_app;

GRANT UPDATE(ended_at) ON TABLE public.offer TO betting_app;

GRANT INSERT(owner) ON TABLE public.offer TO betting_app;

GRANT INSERT(fill_or_kill) ON TABLE public.offer TO betting_app;

GRANT INSERT(min_fill) ON TABLE public.offer TO betting_app;

GRANT INSERT(expires_at) ON TABLE public.offer TO betting_app;

GRANT INSERT(challenges) ON TABLE public.offer TO betting_app;

GRANT INSERT(answers) ON TABLE public.offer TO betting_app;

GRANT INSERT(repeated) ON TABLE public.offer TO betting_app;

GRANT INSERT(session) ON TABLE public.offer TO betting_app;

GRANT INSERT(record) ON TABLE public.offer TO betting_app;

GRANT INSERT(moved_by),UPDATE(moved_by) ON TABLE public.offer TO betting_app;

GRANT INSERT(moved_why),UPDATE(moved_why) ON TABLE public.offer TO betting_app;

REVOKE ALL ON FUNCTION public.wager_record(o public.offer, currency text, event uuid, race uuid, runner uuid, terms_hash bytea) FROM PUBLIC;
GRANT ALL ON FUNCTION public.wager_record(o public.offer, currency text, event uuid, race uuid, runner uuid, terms_hash bytea) TO betting_app;

REVOKE ALL ON FUNCTION public.withholding_rate_is_for_days_to_come() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.word_is_the_later() FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE public.appointment TO betting_app;

GRANT INSERT(user_id) ON TABLE public.badge TO betting_app;

GRANT INSERT(role) ON TABLE public.badge TO betting_app;

GRANT INSERT(issued_at) ON TABLE public.badge TO betting_app;

GRANT INSERT(key_id) ON TABLE public.badge TO betting_app;

GRANT INSERT(mac) ON TABLE public.badge TO betting_app;

GRANT SELECT,INSERT ON TABLE public.carril TO betting_app;

GRANT SELECT,INSERT ON TABLE public.conformity TO betting_app;

GRANT SELECT,INSERT ON TABLE public.correction TO betting_app;

GRANT SELECT,INSERT ON TABLE public.deadline TO betting_app;

GRANT UPDATE(state) ON TABLE public.deadline TO betting_app;

GRANT UPDATE(attempts) ON TABLE public.deadline TO betting_app;

GRANT UPDATE(retry_at) ON TABLE public.deadline TO betting_app;

GRANT UPDATE(last_error) ON TABLE public.deadline TO betting_app;

GRANT UPDATE(ended_at) ON TABLE public.deadline TO betting_app;

GRANT SELECT,INSERT ON TABLE public.debt TO betting_app;

GRANT UPDATE(owed) ON TABLE public.debt TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.debt TO betting_app;

GRANT UPDATE(tried_at) ON TABLE public.debt TO betting_app;

GRANT SELECT,INSERT ON TABLE public.declaration TO betting_app;

GRANT SELECT,INSERT ON TABLE public.event TO betting_app;

GRANT UPDATE(status) ON TABLE public.event TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.event TO betting_app;

GRANT UPDATE(moved_by) ON TABLE public.event TO betting_app;

GRANT UPDATE(moved_why) ON TABLE public.event TO betting_app;

GRANT SELECT,INSERT ON TABLE public.exclusion TO betting_app;

GRANT UPDATE(until) ON TABLE public.exclusion TO betting_app;

GRANT UPDATE(changed_at) ON TABLE public.exclusion TO betting_app;

GRANT SELECT,INSERT ON TABLE public.fill TO betting_app;

GRANT SELECT,INSERT ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(status) ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(body) ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(resource) ON TABLE public.idempotency TO betting_app;

GRANT SELECT,INSERT ON TABLE public.inbox TO betting_app;

GRANT SELECT,INSERT ON TABLE public.level_change TO betting_app;

GRANT SELECT,INSERT ON TABLE public.market TO betting_app;

GRANT UPDATE(status) ON TABLE public.market TO betting_app;

GRANT UPDATE(version) ON TABLE public.market TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.market TO betting_app;

GRANT UPDATE(escrow) ON TABLE public.market TO betting_app;

GRANT UPDATE(defect) ON TABLE public.market TO betting_app;

GRANT UPDATE(closed_at) ON TABLE public.market TO betting_app;

GRANT UPDATE(void_reason) ON TABLE public.market TO betting_app;

GRANT UPDATE(settlement) ON TABLE public.market TO betting_app;

GRANT UPDATE(settled_result) ON TABLE public.market TO betting_app;

GRANT UPDATE(suspension) ON TABLE public.market TO betting_app;

GRANT UPDATE(moved_by) ON TABLE public.market TO betting_app;

GRANT UPDATE(moved_why) ON TABLE public.market TO betting_app;

GRANT SELECT,INSERT ON TABLE public.objection TO betting_app;

GRANT INSERT ON TABLE public.outbox TO betting_app;
GRANT SELECT,DELETE ON TABLE public.outbox TO betting_relay;

GRANT SELECT ON TABLE public.outbox_sent TO betting_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO betting_relay;

GRANT SELECT ON TABLE public.outbox_shard TO betting_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO betting_relay;

GRANT SELECT,INSERT ON TABLE public.permit TO betting_app;

GRANT SELECT,INSERT ON TABLE public.race TO betting_app;

GRANT UPDATE(starts_at) ON TABLE public.race TO betting_app;

GRANT UPDATE(status) ON TABLE public.race TO betting_app;

GRANT UPDATE(scratch_reason) ON TABLE public.race TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.race TO betting_app;

GRANT UPDATE(off_at) ON TABLE public.race TO betting_app;

GRANT UPDATE(objection_until) ON TABLE public.race TO betting_app;

GRANT UPDATE(result_version) ON TABLE public.race TO betting_app;

GRANT UPDATE(moved_by) ON TABLE public.race TO betting_app;

GRANT UPDATE(moved_why) ON TABLE public.race TO betting_app;

GRANT SELECT ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(id) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(state) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(valid_from) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(name) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(bps) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(reason) ON TABLE public.rate_approval TO betting_app;

GRANT INSERT(requested_by) ON TABLE public.rate_approval TO betting_app;

GRANT UPDATE(status) ON TABLE public.rate_approval TO betting_app;

GRANT UPDATE(decided_by) ON TABLE public.rate_approval TO betting_app;

GRANT SELECT,INSERT ON TABLE public.restart TO betting_app;

GRANT SELECT,INSERT ON TABLE public.result TO betting_app;

GRANT SELECT,INSERT ON TABLE public.runner TO betting_app;

GRANT UPDATE(stable_id) ON TABLE public.runner TO betting_app;

GRANT UPDATE(scratched_at) ON TABLE public.runner TO betting_app;

GRANT UPDATE(scratch_reason) ON TABLE public.runner TO betting_app;

GRANT SELECT ON TABLE public.schema_migrations TO betting_app;
GRANT SELECT ON TABLE public.schema_migrations TO betting_relay;

GRANT SELECT,INSERT ON TABLE public.settlement TO betting_app;

GRANT UPDATE(booked_at) ON TABLE public.settlement TO betting_app;

GRANT SELECT,INSERT ON TABLE public.settlement_chunk TO betting_app;

GRANT UPDATE(entry_sequence) ON TABLE public.settlement_chunk TO betting_app;

GRANT UPDATE(booked_at) ON TABLE public.settlement_chunk TO betting_app;

GRANT UPDATE(refusals) ON TABLE public.settlement_chunk TO betting_app;

GRANT SELECT,INSERT ON TABLE public.settlement_share TO betting_app;

GRANT SELECT,INSERT ON TABLE public.stable TO betting_app;

GRANT SELECT,INSERT ON TABLE public.stable_member TO betting_app;

GRANT SELECT,INSERT ON TABLE public.suspension TO betting_app;

GRANT UPDATE(lifted_by) ON TABLE public.suspension TO betting_app;

GRANT UPDATE(lifted_at) ON TABLE public.suspension TO betting_app;

GRANT UPDATE(lift_reason) ON TABLE public.suspension TO betting_app;

GRANT SELECT ON TABLE public.transition TO betting_app;

GRANT SELECT ON TABLE public.withholding_rate TO betting_app;
