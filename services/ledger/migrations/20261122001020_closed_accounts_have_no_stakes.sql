-- migrate:up
-- A player's account with nothing on it and nothing held of it could be closed, for ever, while what was held of it had
-- become a stake: the market could not be settled any more, for nobody in the same chunk.
CREATE OR REPLACE FUNCTION account_closed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM head WHERE ledger_id IN (SELECT a.ledger_id FROM added c JOIN account a ON a.id = c.account_id)
      ORDER BY ledger_id FOR UPDATE;
    PERFORM refuse('principal_may_close_accounts', format('%s may not close accounts', c.principal))
       FROM added c JOIN account a ON a.id = c.account_id
      WHERE NOT EXISTS (SELECT FROM principal p WHERE p.ledger_id = a.ledger_id AND p.name = c.principal
                                                 AND 'account.close' = ANY (p.kinds));
    PERFORM refuse('closed_account_is_empty', format('account %s holds %s', b.account_id, b.amount))
       FROM added c JOIN balance b ON b.account_id = c.account_id WHERE b.amount <> 0;
    PERFORM refuse('closed_account_has_no_holds', format('hold %s is open', h.id))
       FROM added c JOIN hold h ON h.origin_id = c.account_id AND h.remaining > 0;
    PERFORM refuse('closed_account_has_no_stakes', format('a stake in %s is not settled', h.reference))
       FROM added c
       JOIN account a ON a.id = c.account_id
       JOIN hold h ON h.origin_id = c.account_id AND h.captured > 0
       JOIN stake s ON s.ledger_id = h.ledger_id AND s.reference = h.reference AND s.player = a.owner
      WHERE coalesce((SELECT t.state FROM settlement t WHERE t.ledger_id = s.ledger_id AND t.reference = s.reference
                       ORDER BY t.version DESC LIMIT 1), 'OPEN') = 'OPEN' LIMIT 1;
    UPDATE balance SET closed = true WHERE account_id IN (SELECT account_id FROM added);
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(a.path, 0) & 15, md5('closed' || a.id)::uuid, 'events', 'ledger.account.closed.v1', a.path,
           b.sequence,
           cloud_event(md5('closed' || a.id)::uuid, 'ledger.account.closed.v1', a.path, c.closed_at, b.sequence, NULL,
               jsonb_build_object('account', a.path, 'currency', a.currency, 'account_sequence', b.sequence,
                                  'principal', c.principal,
                                  'closed_at', to_char(c.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
      FROM added c JOIN account a ON a.id = c.account_id JOIN balance b ON b.account_id = a.id;
    RETURN NULL;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION account_closed() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM head WHERE ledger_id IN (SELECT a.ledger_id FROM added c JOIN account a ON a.id = c.account_id)
      ORDER BY ledger_id FOR UPDATE;
    PERFORM refuse('principal_may_close_accounts', format('%s may not close accounts', c.principal))
       FROM added c JOIN account a ON a.id = c.account_id
      WHERE NOT EXISTS (SELECT FROM principal p WHERE p.ledger_id = a.ledger_id AND p.name = c.principal
                                                 AND 'account.close' = ANY (p.kinds));
    PERFORM refuse('closed_account_is_empty', format('account %s holds %s', b.account_id, b.amount))
       FROM added c JOIN balance b ON b.account_id = c.account_id WHERE b.amount <> 0;
    PERFORM refuse('closed_account_has_no_holds', format('hold %s is open', h.id))
       FROM added c JOIN hold h ON h.origin_id = c.account_id AND h.remaining > 0;
    UPDATE balance SET closed = true WHERE account_id IN (SELECT account_id FROM added);
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(a.path, 0) & 15, md5('closed' || a.id)::uuid, 'events', 'ledger.account.closed.v1', a.path,
           b.sequence,
           cloud_event(md5('closed' || a.id)::uuid, 'ledger.account.closed.v1', a.path, c.closed_at, b.sequence, NULL,
               jsonb_build_object('account', a.path, 'currency', a.currency, 'account_sequence', b.sequence,
                                  'principal', c.principal,
                                  'closed_at', to_char(c.closed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
      FROM added c JOIN account a ON a.id = c.account_id JOIN balance b ON b.account_id = a.id;
    RETURN NULL;
END $$;
