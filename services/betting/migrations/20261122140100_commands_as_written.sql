-- migrate:up
-- squawk-ignore-file require-concurrent-index-creation
-- The two indexes are of settlements: while they are made no bet waits, and one that does is settled a moment later.
-- What leaves for the ledger is what is written here. A command is worked out a second time from the bet, the offer or the
-- settlement that its key names, and one that says anything else does not leave: no stake that nobody agreed to goes into an
-- escrow, and none of it comes out to anybody but those whom the result pays.

CREATE INDEX settlement_share_of_chunk ON settlement_share (market_id, version, chunk);
CREATE INDEX settlement_share_of_recovery ON settlement_share (market_id, version, recovery) WHERE recovery IS NOT NULL;

CREATE FUNCTION leg(side text, account text, amount numeric, currency text, hold uuid DEFAULT NULL) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_strip_nulls(jsonb_build_object(
        'account', account, 'side', side, 'amount', round(amount, 2)::text, 'currency', currency, 'hold', hold))
$$;

-- In PL/pgSQL, which keeps their plans.
CREATE FUNCTION match_of(bet uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
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

CREATE FUNCTION release_of(ended uuid) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
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

-- `number` counts the market's settlements that move money: it is the ledger's version.
CREATE FUNCTION chunk_of(of_market uuid, number integer, asked integer) RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
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

CREATE FUNCTION command_is_as_written() RETURNS trigger LANGUAGE plpgsql AS $$
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
REVOKE ALL ON FUNCTION leg(text, text, numeric, text, uuid), match_of(uuid), release_of(uuid), chunk_of(uuid, integer, integer),
    command_is_as_written() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION leg(text, text, numeric, text, uuid), match_of(uuid), release_of(uuid),
    chunk_of(uuid, integer, integer) TO betting_app;

CREATE TRIGGER command_is_as_written BEFORE INSERT ON outbox FOR EACH ROW WHEN (NEW.exchange <> 'events')
    EXECUTE FUNCTION command_is_as_written();

-- migrate:down
DROP TRIGGER command_is_as_written ON outbox;
DROP FUNCTION command_is_as_written();
DROP FUNCTION chunk_of(uuid, integer, integer);
DROP FUNCTION release_of(uuid);
DROP FUNCTION match_of(uuid);
DROP FUNCTION leg(text, text, numeric, text, uuid);
DROP INDEX settlement_share_of_recovery;
DROP INDEX settlement_share_of_chunk;
