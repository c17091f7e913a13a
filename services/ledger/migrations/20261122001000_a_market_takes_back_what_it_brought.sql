-- migrate:up
-- A market takes back no more than it brought. What a later version of a settlement recovers had no bound but the total it
-- named itself: whoever may post `bet.resettle` could empty any player who ever had a stake in some market, and the house's
-- commission with it, put the rest down as a debt without end, and pay it all to another contributor: money from nothing.
-- Now each player (what is there and what is owed together) and each account that is nobody's gives back at most what the
-- market's settlements have brought it so far.
CREATE OR REPLACE FUNCTION settle(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT ledger_id, sequence, reference, version, total, chunks, settles,
               max(account_id) FILTER (WHERE owner_kind = 'market') AS escrow_id,
               coalesce(sum(amount) FILTER (WHERE owner_kind = 'market'), 0) AS moved
          FROM unnest(lines) WHERE settles IS NOT NULL
         GROUP BY ledger_id, sequence, reference, version, total, chunks, settles ORDER BY ledger_id, sequence
    LOOP
        PERFORM refuse('settlement_pays_contributors', format('entry %s touches a stranger to %s', part.sequence, part.reference))
           FROM unnest(lines) p
           LEFT JOIN stake s ON s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.player = p.owner
          WHERE p.owner_kind = 'player' AND p.ledger_id = part.ledger_id AND p.sequence = part.sequence
            AND s.player IS NULL;

        IF part.settles = 'void' THEN
            UPDATE stake s SET returned = s.returned + back.amount
              FROM (SELECT owner, -sum(amount) AS amount FROM unnest(lines)
                     WHERE owner_kind = 'player' AND ledger_id = part.ledger_id AND sequence = part.sequence
                     GROUP BY owner) back
             WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.player = back.owner;
        END IF;

        IF part.settles = 'recover' THEN
            PERFORM refuse('debt_only_for_what_is_missing', format('%s still has money', p.path))
               FROM unnest(lines) p
               JOIN account a ON a.ledger_id = p.ledger_id AND a.currency = p.currency
                             AND a.path = regexp_replace(p.path, '/debt$', '/available')
               JOIN balance b ON b.account_id = a.id
              WHERE p.ledger_id = part.ledger_id AND p.sequence = part.sequence AND p.path LIKE 'players/%/debt'
                AND b.amount <> 0;
            PERFORM refuse('settlement_recovers_what_it_paid', format('%s gives back more than %s brought', got.whom, part.reference))
               FROM (SELECT coalesce(a.owner, a.path) AS whom
                       FROM entry e
                       JOIN LATERAL (SELECT account_id, amount FROM posting
                                      WHERE ledger_id = e.ledger_id AND sequence = e.sequence OFFSET 0) p ON true
                       JOIN LATERAL (SELECT owner_kind, owner, path FROM account WHERE id = p.account_id OFFSET 0) a
                            ON a.owner_kind IS DISTINCT FROM 'market'
                      WHERE e.ledger_id = part.ledger_id AND e.reference = part.reference
                        AND e.settlement_version IS NOT NULL AND e.sequence <= part.sequence
                      GROUP BY coalesce(a.owner, a.path) HAVING sum(p.amount) > 0) got;
        END IF;

        INSERT INTO settlement (ledger_id, reference, version, escrow_id, total, chunks)
        SELECT part.ledger_id, part.reference, part.version, part.escrow_id, part.total, part.chunks
         WHERE CASE part.settles
               WHEN 'recover' THEN part.version > 1 AND EXISTS (
                    SELECT FROM settlement WHERE ledger_id = part.ledger_id AND reference = part.reference
                       AND version = part.version - 1 AND state = 'CLOSED')
               ELSE part.version = 1 AND part.total = (SELECT sum(contributed) FROM stake
                              WHERE ledger_id = part.ledger_id AND reference = part.reference) END
           AND part.version = 1 + (SELECT count(*) FROM settlement
                                    WHERE ledger_id = part.ledger_id AND reference = part.reference)
        ON CONFLICT DO NOTHING;

        UPDATE settlement s
           SET paid = s.paid + CASE part.settles WHEN 'recover' THEN 0 ELSE part.moved END,
               recovered = s.recovered - CASE part.settles WHEN 'recover' THEN part.moved ELSE 0 END,
               posted = s.posted + 1,
               state = CASE WHEN s.posted + 1 = s.chunks THEN 'CLOSED' ELSE 'OPEN' END
         WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.version = part.version
           AND s.total = part.total AND s.chunks = part.chunks AND s.escrow_id = part.escrow_id
           AND s.state = 'OPEN';
        IF NOT FOUND THEN
            PERFORM refuse('settlement_matches_header', format('entry %s fits no open settlement of %s', part.sequence, part.reference));
        END IF;

        PERFORM refuse('settled_escrow_is_zero', format('%s would close with money left in escrow', part.reference))
           FROM settlement s JOIN balance b ON b.account_id = s.escrow_id
          WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.version = part.version
            AND s.state = 'CLOSED' AND b.amount <> 0;
    END LOOP;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION settle(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT ledger_id, sequence, reference, version, total, chunks, settles,
               max(account_id) FILTER (WHERE owner_kind = 'market') AS escrow_id,
               coalesce(sum(amount) FILTER (WHERE owner_kind = 'market'), 0) AS moved
          FROM unnest(lines) WHERE settles IS NOT NULL
         GROUP BY ledger_id, sequence, reference, version, total, chunks, settles ORDER BY ledger_id, sequence
    LOOP
        PERFORM refuse('settlement_pays_contributors', format('entry %s touches a stranger to %s', part.sequence, part.reference))
           FROM unnest(lines) p
           LEFT JOIN stake s ON s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.player = p.owner
          WHERE p.owner_kind = 'player' AND p.ledger_id = part.ledger_id AND p.sequence = part.sequence
            AND s.player IS NULL;

        IF part.settles = 'void' THEN
            UPDATE stake s SET returned = s.returned + back.amount
              FROM (SELECT owner, -sum(amount) AS amount FROM unnest(lines)
                     WHERE owner_kind = 'player' AND ledger_id = part.ledger_id AND sequence = part.sequence
                     GROUP BY owner) back
             WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.player = back.owner;
        END IF;

        IF part.settles = 'recover' THEN
            PERFORM refuse('debt_only_for_what_is_missing', format('%s still has money', p.path))
               FROM unnest(lines) p
               JOIN account a ON a.ledger_id = p.ledger_id AND a.currency = p.currency
                             AND a.path = regexp_replace(p.path, '/debt$', '/available')
               JOIN balance b ON b.account_id = a.id
              WHERE p.ledger_id = part.ledger_id AND p.sequence = part.sequence AND p.path LIKE 'players/%/debt'
                AND b.amount <> 0;
        END IF;

        INSERT INTO settlement (ledger_id, reference, version, escrow_id, total, chunks)
        SELECT part.ledger_id, part.reference, part.version, part.escrow_id, part.total, part.chunks
         WHERE CASE part.settles
               WHEN 'recover' THEN part.version > 1 AND EXISTS (
                    SELECT FROM settlement WHERE ledger_id = part.ledger_id AND reference = part.reference
                       AND version = part.version - 1 AND state = 'CLOSED')
               ELSE part.version = 1 AND part.total = (SELECT sum(contributed) FROM stake
                              WHERE ledger_id = part.ledger_id AND reference = part.reference) END
           AND part.version = 1 + (SELECT count(*) FROM settlement
                                    WHERE ledger_id = part.ledger_id AND reference = part.reference)
        ON CONFLICT DO NOTHING;

        UPDATE settlement s
           SET paid = s.paid + CASE part.settles WHEN 'recover' THEN 0 ELSE part.moved END,
               recovered = s.recovered - CASE part.settles WHEN 'recover' THEN part.moved ELSE 0 END,
               posted = s.posted + 1,
               state = CASE WHEN s.posted + 1 = s.chunks THEN 'CLOSED' ELSE 'OPEN' END
         WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.version = part.version
           AND s.total = part.total AND s.chunks = part.chunks AND s.escrow_id = part.escrow_id
           AND s.state = 'OPEN';
        IF NOT FOUND THEN
            PERFORM refuse('settlement_matches_header', format('entry %s fits no open settlement of %s', part.sequence, part.reference));
        END IF;

        PERFORM refuse('settled_escrow_is_zero', format('%s would close with money left in escrow', part.reference))
           FROM settlement s JOIN balance b ON b.account_id = s.escrow_id
          WHERE s.ledger_id = part.ledger_id AND s.reference = part.reference AND s.version = part.version
            AND s.state = 'CLOSED' AND b.amount <> 0;
    END LOOP;
END $$;
