-- migrate:up
-- Who sets players' limits is a permission in the chart like any other, and the database asks for it: before, the
-- application knew one principal by its name.
INSERT INTO kind (chart, name) VALUES ('el-carril', 'player.limit');
UPDATE principal SET kinds = kinds || 'player.limit'::text WHERE name = 'identity';

-- The ledger is replaced as soon as this has run; a change of limits that fails in between is asked for again.
-- squawk-ignore ban-drop-function
DROP FUNCTION set_player_policy(smallint, text, bigint, timestamptz, jsonb);
CREATE FUNCTION set_player_policy(
    wanted_ledger smallint, wanted_by text, wanted_player text, wanted_version bigint, until timestamptz, caps jsonb
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    holds bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM principal WHERE ledger_id = wanted_ledger AND name = wanted_by
                                           AND 'player.limit' = ANY (kinds)) THEN
        PERFORM refuse('principal_may_set_limits', format('%s may not set players'' limits', wanted_by));
    END IF;
    PERFORM FROM head WHERE ledger_id = wanted_ledger FOR UPDATE;
    SELECT version INTO holds FROM player_policy WHERE ledger_id = wanted_ledger AND player = wanted_player;
    IF holds >= wanted_version THEN
        RETURN holds;
    END IF;
    INSERT INTO player_policy (ledger_id, player, version, blocked_until)
    VALUES (wanted_ledger, wanted_player, wanted_version, until)
    ON CONFLICT ON CONSTRAINT player_policy_pkey DO UPDATE SET version = wanted_version, blocked_until = until;
    DELETE FROM player_cap WHERE ledger_id = wanted_ledger AND player = wanted_player;
    INSERT INTO player_cap (ledger_id, player, measure, period, currency, cap)
    SELECT wanted_ledger, wanted_player, c.measure, c.period, c.currency, c.amount
      FROM jsonb_to_recordset(caps) AS c (measure text, period text, currency text, amount numeric);
    IF holds IS NULL THEN
        INSERT INTO player_count (ledger_id, player, currency, period, starts_at, deposited, staked, returned)
        SELECT wanted_ledger, wanted_player, c.currency, w.period, period_start(w.period, now()), c.deposited, c.staked,
               c.returned
          FROM unnest(ARRAY['day', 'week', 'month']) AS w (period),
               LATERAL counted((SELECT array_agg(p) FROM account a
                                  JOIN posting p ON p.account_id = a.id
                                  JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
                                 WHERE a.ledger_id = wanted_ledger AND counts_on(a.class)
                                   AND a.path IN ('players/' || wanted_player || '/available',
                                                  'players/' || wanted_player || '/uncleared',
                                                  'players/' || wanted_player || '/debt')
                                   AND e.posted_at >= period_start(w.period, now()))) c;
    END IF;
    RETURN wanted_version;
END $$;
REVOKE ALL ON FUNCTION set_player_policy(smallint, text, text, bigint, timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_player_policy(smallint, text, text, bigint, timestamptz, jsonb) TO ledger_posting;

-- migrate:down
DROP FUNCTION set_player_policy(smallint, text, text, bigint, timestamptz, jsonb);
CREATE FUNCTION set_player_policy(
    wanted_ledger smallint, wanted_player text, wanted_version bigint, until timestamptz, caps jsonb
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    holds bigint;
BEGIN
    PERFORM FROM head WHERE ledger_id = wanted_ledger FOR UPDATE;
    SELECT version INTO holds FROM player_policy WHERE ledger_id = wanted_ledger AND player = wanted_player;
    IF holds >= wanted_version THEN
        RETURN holds;
    END IF;
    INSERT INTO player_policy (ledger_id, player, version, blocked_until)
    VALUES (wanted_ledger, wanted_player, wanted_version, until)
    ON CONFLICT ON CONSTRAINT player_policy_pkey DO UPDATE SET version = wanted_version, blocked_until = until;
    DELETE FROM player_cap WHERE ledger_id = wanted_ledger AND player = wanted_player;
    INSERT INTO player_cap (ledger_id, player, measure, period, currency, cap)
    SELECT wanted_ledger, wanted_player, c.measure, c.period, c.currency, c.amount
      FROM jsonb_to_recordset(caps) AS c (measure text, period text, currency text, amount numeric);
    IF holds IS NULL THEN
        INSERT INTO player_count (ledger_id, player, currency, period, starts_at, deposited, staked, returned)
        SELECT wanted_ledger, wanted_player, c.currency, w.period, period_start(w.period, now()), c.deposited, c.staked,
               c.returned
          FROM unnest(ARRAY['day', 'week', 'month']) AS w (period),
               LATERAL counted((SELECT array_agg(p) FROM account a
                                  JOIN posting p ON p.account_id = a.id
                                  JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
                                 WHERE a.ledger_id = wanted_ledger AND counts_on(a.class)
                                   AND a.path IN ('players/' || wanted_player || '/available',
                                                  'players/' || wanted_player || '/uncleared',
                                                  'players/' || wanted_player || '/debt')
                                   AND e.posted_at >= period_start(w.period, now()))) c;
    END IF;
    RETURN wanted_version;
END $$;
REVOKE ALL ON FUNCTION set_player_policy(smallint, text, bigint, timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_player_policy(smallint, text, bigint, timestamptz, jsonb) TO ledger_posting;
UPDATE principal SET kinds = array_remove(kinds, 'player.limit');
DELETE FROM kind WHERE name = 'player.limit';
