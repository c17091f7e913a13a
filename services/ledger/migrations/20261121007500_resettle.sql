-- migrate:up
-- Settling a market again. A later version first recovers what was paid too much, from what the players have and as
-- a debt for the rest, from the house and from the tax account; then it pays that out. One header holds both, so the
-- escrow is at exactly zero again when it closes.

INSERT INTO account_class (chart, name, pattern, side, floored, owner_kind, requires_hold) VALUES
    ('el-carril', 'tax',         '^tax/[a-z0-9-]{1,32}$', 'credit', true, NULL, false),
    ('el-carril', 'player.debt', '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/debt$', 'debit', true, 'player', false)
ON CONFLICT DO NOTHING;

ALTER TABLE kind
    -- squawk-ignore ban-drop-constraint
    DROP CONSTRAINT kind_settlement_is_known,
    ADD CONSTRAINT kind_settlement_is_known CHECK (settlement IN ('settle', 'void', 'recover')) NOT VALID;

INSERT INTO kind (chart, name, receipt, players, hold, stake, settlement) VALUES
    ('el-carril', 'bet.resettle', false, NULL, NULL, false, 'recover');

INSERT INTO kind_leg (chart, kind, side, class) VALUES
    ('el-carril', 'bet.settle',   'credit', 'tax'),
    ('el-carril', 'bet.resettle', 'debit',  'player.available'),
    ('el-carril', 'bet.resettle', 'debit',  'player.debt'),
    ('el-carril', 'bet.resettle', 'debit',  'house.commission'),
    ('el-carril', 'bet.resettle', 'debit',  'tax'),
    ('el-carril', 'bet.resettle', 'credit', 'market.escrow')
ON CONFLICT DO NOTHING;

ALTER TABLE settlement
    ADD COLUMN recovered money_amount NOT NULL DEFAULT 0,
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT settlement_recovers_its_total
        CHECK (recovered >= 0 AND (version = 1 AND recovered = 0 OR version > 1 AND recovered <= total)
               AND (version = 1 OR paid = 0 OR recovered = total));

-- Settlements: the first chunk opens the header, in a first version at exactly the escrow's whole; every chunk pays
-- contributors (a void: no more than their own stake) or recovers from them; a later version pays only once all of
-- its total is back in the escrow; the last chunk must leave zero behind.
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

-- migrate:down
DELETE FROM kind_leg WHERE kind = 'bet.resettle' OR class = 'tax';
DELETE FROM kind WHERE name = 'bet.resettle';
DELETE FROM account_class WHERE name IN ('tax', 'player.debt');
ALTER TABLE settlement DROP COLUMN recovered;
CREATE OR REPLACE FUNCTION settle(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    part record;
BEGIN
    FOR part IN
        SELECT ledger_id, sequence, reference, version, total, chunks, settles,
               max(account_id) FILTER (WHERE owner_kind = 'market') AS escrow_id,
               coalesce(sum(amount) FILTER (WHERE owner_kind = 'market'), 0) AS paid
          FROM unnest(lines) WHERE settles IS NOT NULL
         GROUP BY ledger_id, sequence, reference, version, total, chunks, settles ORDER BY ledger_id, sequence
    LOOP
        PERFORM refuse('settlement_pays_contributors', format('entry %s pays a stranger to %s', part.sequence, part.reference))
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

        INSERT INTO settlement (ledger_id, reference, version, escrow_id, total, chunks)
        SELECT part.ledger_id, part.reference, part.version, part.escrow_id, part.total, part.chunks
         WHERE part.total = (SELECT sum(contributed) FROM stake
                              WHERE ledger_id = part.ledger_id AND reference = part.reference)
           AND part.version = 1 + (SELECT count(*) FROM settlement
                                    WHERE ledger_id = part.ledger_id AND reference = part.reference)
        ON CONFLICT DO NOTHING;

        UPDATE settlement s
           SET paid = s.paid + part.paid, posted = s.posted + 1,
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
