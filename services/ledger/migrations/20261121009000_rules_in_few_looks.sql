-- migrate:up
-- The same rules in fewer statements. A batch from 32 connections has some 20 entries, and what a statement costs
-- before its first row then weighs more than its rows. So: one look at all new postings with their context, one
-- statement for the balances, and everything else only for kinds that ask for it. Nothing that is checked here
-- was not checked before, and the other way round.

-- Events are text for the wire: as json they are checked and kept as written, as jsonb they were taken apart,
-- sorted, and put together again for the relay.
-- The table is empty but for what is on its way, and text fits a json reader.
-- squawk-ignore changing-column-type
ALTER TABLE outbox ALTER COLUMN body TYPE json;

-- Written only by the journal's own triggers, from accounts and ledgers that these have just read.
-- squawk-ignore ban-drop-constraint
ALTER TABLE hold DROP CONSTRAINT hold_account_id_fkey;
-- squawk-ignore ban-drop-constraint
ALTER TABLE hold DROP CONSTRAINT hold_ledger_id_fkey;

CREATE FUNCTION wire_time(moment timestamptz) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

-- In PL/pgSQL for its plan: a function in SQL is planned at every call.
-- Called by the functions below only.
-- squawk-ignore ban-drop-function
DROP FUNCTION with_context(posting[]);
CREATE FUNCTION with_context(lines posting[]) RETURNS journal_line[] LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN array_agg((
               p.ledger_id, p.sequence, p.leg, p.account_id, p.account_sequence, p.amount, p.balance, p.hold,
               e.kind, e.legs, e.reference, e.receipt,
               e.settlement_version, e.settlement_total, e.settlement_chunk, e.settlement_chunks,
               a.path, a.currency, a.exponent, a.owner_kind, a.owner, a.requires_hold,
               k.players, k.receipt, CASE WHEN k.mirror THEN 'draw' ELSE k.hold END, k.stake, k.settlement,
               true, true,
               e.reverses, k.mirror, CASE WHEN k.mirror THEN 'release' ELSE k.draws END, k.expiring,
               e.hold_expires_at, k.hold_events)::journal_line)
      FROM unnest(lines) p
      JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
      JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id AND ledger_id = p.ledger_id OFFSET 0) a ON true
      JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
      JOIN LATERAL (SELECT * FROM kind WHERE chart = l.chart AND name = e.kind OFFSET 0) k ON true;
END $$;

-- Holds: opened once, drawn under the reference and on the account they were opened with, expired when they are
-- due and whole. What remains of a hold only falls. Returns whether one of them tells of itself, or ends by itself.
-- Called by the functions below only.
-- squawk-ignore ban-drop-function
DROP FUNCTION move_holds(journal_line[]);
CREATE FUNCTION move_holds(lines journal_line[], OUT tells boolean, OUT ends boolean) LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    drawn record;
BEGIN
    WITH opening AS (
        INSERT INTO hold (ledger_id, id, account_id, reference, opened, remaining, origin_id, expires_at, tells)
        SELECT ledger_id, hold, account_id, reference, -amount, -amount,
               CASE WHEN giver = other_giver THEN giver END, expires_at, hold_events
          FROM (SELECT ledger_id, hold, account_id, reference, amount, expires_at, hold_events,
                       min(account_id) FILTER (WHERE amount > 0) OVER entry AS giver,
                       max(account_id) FILTER (WHERE amount > 0) OVER entry AS other_giver
                  FROM unnest(lines) WHERE hold_effect = 'open'
                WINDOW entry AS (PARTITION BY ledger_id, sequence, currency)) p
         WHERE hold IS NOT NULL
        RETURNING hold.tells, hold.expires_at)
    SELECT coalesce(bool_or(o.tells), false), coalesce(bool_or(o.expires_at IS NOT NULL), false) INTO tells, ends
      FROM opening o;

    SELECT count(*) INTO wanted FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw';
    IF wanted > 0 THEN
        WITH drawing AS (
            UPDATE hold h SET remaining = h.remaining - d.amount, captured = h.captured + d.captured,
                              released = h.released + d.amount - d.captured, expired = h.expired OR d.expired
              FROM (SELECT ledger_id, hold, account_id, reference, count(*) AS legs, sum(amount) AS amount,
                           coalesce(sum(amount) FILTER (WHERE draws = 'capture'), 0) AS captured,
                           bool_or(draws = 'expire') AS expired
                      FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw'
                     GROUP BY ledger_id, hold, account_id, reference) d
             WHERE h.ledger_id = d.ledger_id AND h.id = d.hold AND h.account_id = d.account_id AND h.reference = d.reference
            RETURNING d.legs, h.tells, h.expires_at, h.id,
                      d.expired AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp() OR h.remaining <> 0) AS early)
        SELECT coalesce(sum(d.legs), 0) AS legs, coalesce(bool_or(d.tells), false) AS tells,
               coalesce(bool_or(d.expires_at IS NOT NULL), false) AS ends, min(d.id::text) FILTER (WHERE d.early) AS early
          INTO drawn FROM drawing d;
        IF drawn.legs <> wanted THEN
            PERFORM refuse('hold_is_bound', 'a hold is drawn only on its own account and under its own reference');
        END IF;
        IF drawn.early IS NOT NULL THEN
            PERFORM refuse('hold_expires_when_due', format('hold %s is not due, or more of it remains', drawn.early));
        END IF;
        tells := tells OR drawn.tells;
        ends := ends OR drawn.ends;
    END IF;
END $$;

-- Each look-up is LATERAL with OFFSET 0: a join could be planned as a scan of the whole journal by a plan cached
-- while the tables were empty.
CREATE OR REPLACE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved record;
    lines journal_line[];
    has record;
    held record;
BEGIN
    SELECT min(e.rule) AS rule, min(e.sequence) FILTER (WHERE e.rule IS NOT NULL) AS sequence, sum(e.postings) AS postings,
           bool_or(e.currencies) AS currencies, bool_or(e.deep) AS deep
      INTO batch
      FROM (
        SELECT p.sequence, count(*) AS postings,
               min(a.currency) <> max(a.currency) AS currencies,
               bool_or(k.hold IS NOT NULL OR k.stake OR k.settlement IS NOT NULL OR k.receipt OR k.mirror) AS deep,
               CASE
                   WHEN bool_or(e.kind IS NULL) THEN 'posting_belongs_to_entry'
                   WHEN count(*) <> min(e.legs) OR min(p.leg) <> 1 OR max(p.leg) <> min(e.legs) THEN 'entry_is_complete'
                   WHEN bool_or(a.path IS NULL) THEN 'posting_account_is_open'
                   WHEN bool_and(k.mirror OR t.fits IS NOT NULL) IS NOT TRUE THEN 'posting_fits_template'
                   WHEN bool_or(scale(p.amount) > a.exponent) THEN 'posting_fits_currency'
                   WHEN bool_or(a.requires_hold <> (p.hold IS NOT NULL)) THEN 'posting_carries_hold'
                   WHEN min(k.players) <> count(DISTINCT a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account'))
                       THEN 'entry_binds_players'
                   WHEN bool_or(a.owner_kind = 'market' AND 'markets/' || a.owner <> e.reference) THEN 'entry_binds_market'
                   WHEN NOT bool_and(w.may IS NOT NULL) THEN 'principal_may_post_kind'
                   WHEN bool_or((e.receipt IS NOT NULL) <> k.receipt) THEN 'entry_receipt_as_kind_says'
                   WHEN bool_or((e.settlement_version IS NOT NULL) <> (k.settlement IS NOT NULL))
                       THEN 'entry_settlement_as_kind_says'
                   WHEN bool_or((e.reverses IS NOT NULL) <> k.mirror) THEN 'entry_reverses_as_kind_says'
                   WHEN bool_or(e.hold_expires_at IS NOT NULL AND NOT k.expiring) THEN 'entry_hold_expiry_as_kind_says'
                   WHEN min(a.currency) = max(a.currency) AND sum(p.amount) <> 0 THEN 'entry_balances'
               END AS rule
          FROM added p
          LEFT JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
          LEFT JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id AND ledger_id = p.ledger_id OFFSET 0) a ON true
          LEFT JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
          LEFT JOIN LATERAL (SELECT * FROM kind WHERE chart = l.chart AND name = e.kind OFFSET 0) k ON true
          LEFT JOIN LATERAL (SELECT true AS fits FROM kind_leg
                              WHERE chart = l.chart AND kind = e.kind AND class = a.class
                                AND side = CASE WHEN p.amount > 0 THEN 'debit' ELSE 'credit' END OFFSET 0) t ON true
          LEFT JOIN LATERAL (SELECT true AS may FROM principal
                              WHERE ledger_id = p.ledger_id AND name = e.principal AND e.kind = ANY (kinds) OFFSET 0) w ON true
         GROUP BY p.ledger_id, p.sequence) e;
    IF batch.postings IS NULL THEN
        RETURN NULL;
    END IF;
    IF batch.rule IS NOT NULL THEN
        PERFORM refuse(batch.rule, format('entry %s breaks %s', batch.sequence, batch.rule));
    END IF;
    IF batch.currencies THEN
        PERFORM refuse('entry_balances', format('entry %s does not balance', unbalanced.sequence))
           FROM (SELECT p.sequence FROM added p
                   JOIN LATERAL (SELECT currency FROM account WHERE id = p.account_id OFFSET 0) a ON true
                  GROUP BY p.ledger_id, p.sequence, a.currency HAVING sum(p.amount) <> 0) unbalanced;
    END IF;

    -- Balances move by the sum of the new postings, and by nothing else. The account sequence is a compare-and-swap:
    -- a posting decided on an older state finds no row to move. `start` is what each posting says its account had
    -- before the batch: all must say the same, and the truth. The floor holds after each posting, not only the last.
    WITH moving AS (
        UPDATE balance b SET amount = b.amount + m.amount, sequence = m.last
          FROM (SELECT account_id, sum(amount) AS amount, count(*) AS n, min(account_sequence) AS first,
                       max(account_sequence) AS last, min(start) AS start, max(start) AS other_start,
                       min(balance) AS lowest, max(balance) AS highest
                  FROM (SELECT account_id, account_sequence, amount, balance,
                               balance - sum(amount) OVER (PARTITION BY account_id ORDER BY account_sequence) AS start
                          FROM added) p
                 GROUP BY account_id) m
         WHERE b.account_id = m.account_id AND b.sequence = m.first - 1 AND m.last - m.first + 1 = m.n AND NOT b.closed
        RETURNING m.n, b.account_id, b.floored AND CASE WHEN b.side > 0 THEN m.lowest < 0 ELSE m.highest > 0 END AS below,
                  m.start <> m.other_start OR m.start <> b.amount - m.amount AS untrue)
    SELECT coalesce(sum(n), 0) AS postings, min(account_id) FILTER (WHERE below) AS below,
           min(account_id) FILTER (WHERE untrue) AS untrue
      INTO moved FROM moving;
    IF moved.postings <> batch.postings THEN
        -- Closed meanwhile is stale too: decided again, the command is refused for what it is.
        PERFORM refuse_stale('account_is_open', format('account %s is closed', p.account_id))
           FROM added p
           JOIN LATERAL (SELECT closed FROM balance WHERE account_id = p.account_id OFFSET 0) b ON b.closed;
        PERFORM refuse_stale('account_sequence_is_next', 'an account has moved since this batch was decided');
    END IF;
    IF moved.below IS NOT NULL THEN
        PERFORM refuse('balance_not_below_floor', format('account %s', moved.below));
    ELSIF moved.untrue IS NOT NULL THEN
        PERFORM refuse('posting_balance_is_true', format('account %s', moved.untrue));
    END IF;

    IF NOT batch.deep THEN
        RETURN NULL;
    END IF;
    SELECT with_context(array_agg(a.*::posting)) INTO lines FROM added a;
    SELECT bool_or(hold IS NOT NULL) AS holds, bool_or(stakes) AS stakes, bool_or(settles IS NOT NULL) AS settles,
           bool_or(needs_receipt) AS receipts, bool_or(mirrors) AS mirrors
      INTO has FROM unnest(lines);
    IF has.mirrors THEN PERFORM check_mirrors(lines); END IF;
    IF has.holds THEN
        held := move_holds(lines);
        IF held.ends THEN PERFORM keep_hold_deadlines(lines); END IF;
        IF held.tells THEN PERFORM tell_of_holds(lines); END IF;
    END IF;
    IF has.stakes THEN PERFORM record_stakes(lines); END IF;
    IF has.settles THEN PERFORM settle(lines); END IF;
    IF has.receipts THEN PERFORM spend_receipts(lines); END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION entry_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved bigint;
BEGIN
    SELECT count(*) AS entries, count(e.link) AS linked, min(r.id::text) AS refused INTO batch
      FROM added e LEFT JOIN LATERAL (SELECT id FROM refusal WHERE id = e.id OFFSET 0) r ON true;
    IF batch.refused IS NOT NULL THEN
        PERFORM refuse('command_has_one_outcome', format('command %s was refused before', batch.refused));
    END IF;

    WITH moving AS (
        UPDATE head h SET sequence = m.last
          FROM (SELECT ledger_id, count(*) AS n, min(sequence) AS first, max(sequence) AS last
                  FROM added GROUP BY ledger_id) m
         WHERE h.ledger_id = m.ledger_id AND h.sequence = m.first - 1 AND m.last - m.first + 1 = m.n
        RETURNING m.n)
    SELECT coalesce(sum(n), 0) INTO moved FROM moving;
    IF moved <> batch.entries THEN
        PERFORM refuse_stale('entry_sequence_is_next', 'the ledger has moved since this batch was decided');
    END IF;

    -- Linked entries are here all at once, side by side.
    IF batch.linked > 0 THEN
        PERFORM refuse('linked_entries_are_whole', format('%s of %s linked entries', part.here, part.links))
           FROM (SELECT min(links) AS links, count(*) AS here, max(links) AS most, max(sequence) - min(sequence) + 1 AS span
                   FROM added WHERE link IS NOT NULL GROUP BY ledger_id, link) part
          WHERE part.here <> part.links OR part.most <> part.links OR part.span <> part.links;
    END IF;

    -- Every entry's event, put together as text (as jsonb objects it cost three times as much). An entry without all
    -- of its postings has none, and that refuses it.
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(e.reference, 0) & 15, e.id, 'events', 'ledger.entry.committed.v1.' || e.kind,
           e.reference, e.sequence, (
           '{"specversion":"1.0","id":"' || e.id || '","source":"/ledger","type":"ledger.entry.committed.v1","subject":'
           || s.reference || ',"time":"' || s.posted_at || '","datacontenttype":"application/json",'
           '"dataschema":"urn:el-carril:schema:ledger.entry.committed.v1","partitionkey":' || s.reference
           || ',"sequence":' || e.sequence || coalesce(',"traceparent":' || to_json(e.traceparent), '')
           || ',"data":{"id":"' || e.id || '","sequence":' || e.sequence || ',"kind":' || to_json(e.kind)
           || ',"principal":' || to_json(e.principal) || ',"idempotency_key":' || to_json(e.idempotency_key)
           || ',"reference":' || s.reference || ',"metadata":' || e.metadata || ',"posted_at":"' || s.posted_at
           || '","effective_at":"' || CASE WHEN e.effective_at = e.posted_at THEN s.posted_at ELSE wire_time(e.effective_at) END
           || '","receipt":' || coalesce('"' || e.receipt || '"', 'null')
           || ',"reverses":' || coalesce('"' || e.reverses || '"', 'null') || ',"link":' || coalesce('"' || e.link || '"', 'null')
           || ',"settlement":' || CASE WHEN e.settlement_version IS NULL THEN 'null' ELSE
                  '{"market":' || to_json(substr(e.reference, 9)) || ',"version":' || e.settlement_version
                  || ',"total":"' || to_money(e.settlement_total, posted.exponent) || '","chunk":' || e.settlement_chunk
                  || ',"chunks":' || e.settlement_chunks || '}' END
           || ',"postings":[' || posted.lines || ']}}')::json
      FROM added e
     CROSS JOIN LATERAL (SELECT to_json(e.reference) AS reference, wire_time(e.posted_at) AS posted_at OFFSET 0) s
      JOIN LATERAL (
        SELECT count(*) AS n, max(a.exponent) AS exponent,
               string_agg('{"account":' || to_json(a.path) || ',"side":"' || CASE WHEN p.amount > 0 THEN 'debit' ELSE 'credit' END
                   || '","amount":"' || to_money(abs(p.amount), a.exponent) || '","currency":"' || a.currency
                   || '","balance":"' || to_money(p.balance * a.side, a.exponent)
                   || '","account_sequence":' || p.account_sequence
                   || ',"hold":' || coalesce('"' || p.hold || '"', 'null') || '}', ',' ORDER BY p.leg) AS lines
          FROM posting p
          JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id OFFSET 0) a ON true
         WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence) posted ON posted.n = e.legs
     ORDER BY e.ledger_id, e.sequence;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> batch.entries THEN
        PERFORM refuse('entry_is_complete', 'an entry has not all of its postings');
    END IF;
    RETURN NULL;
END $$;

-- What the two functions above now say themselves.
-- Called by the functions above only.
-- squawk-ignore ban-drop-function
DROP FUNCTION check_shape_of(journal_line[]), move_balances(journal_line[]);

REVOKE ALL ON FUNCTION wire_time(timestamptz), with_context(posting[]), move_holds(journal_line[]) FROM PUBLIC;

-- migrate:down
DROP FUNCTION with_context(posting[]), move_holds(journal_line[]);
CREATE OR REPLACE FUNCTION with_context(lines posting[]) RETURNS journal_line[] LANGUAGE sql STABLE AS $$
    SELECT array_agg((
               p.ledger_id, p.sequence, p.leg, p.account_id, p.account_sequence, p.amount, p.balance, p.hold,
               e.kind, e.legs, e.reference, e.receipt,
               e.settlement_version, e.settlement_total, e.settlement_chunk, e.settlement_chunks,
               a.path, a.currency, a.exponent, a.owner_kind, a.owner, a.requires_hold,
               k.players, k.receipt, CASE WHEN k.mirror THEN 'draw' ELSE k.hold END, k.stake, k.settlement,
               k.mirror OR t.fits IS NOT NULL, w.may IS NOT NULL,
               e.reverses, k.mirror, CASE WHEN k.mirror THEN 'release' ELSE k.draws END, k.expiring,
               e.hold_expires_at, k.hold_events)::journal_line)
      FROM unnest(lines) p
      LEFT JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
      LEFT JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id AND ledger_id = p.ledger_id OFFSET 0) a ON true
      LEFT JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
      LEFT JOIN LATERAL (SELECT * FROM kind WHERE chart = l.chart AND name = e.kind OFFSET 0) k ON true
      LEFT JOIN LATERAL (SELECT true AS fits FROM kind_leg
                          WHERE chart = l.chart AND kind = e.kind AND class = a.class
                            AND side = CASE WHEN p.amount > 0 THEN 'debit' ELSE 'credit' END OFFSET 0) t ON true
      LEFT JOIN LATERAL (SELECT true AS may FROM principal
                          WHERE ledger_id = p.ledger_id AND name = e.principal AND e.kind = ANY (kinds) OFFSET 0) w ON true
$$;
CREATE OR REPLACE FUNCTION check_shape_of(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(verdict.rule, format('entry %s breaks %s', verdict.sequence, verdict.rule))
       FROM (
        SELECT sequence,
               CASE
                   WHEN bool_or(kind IS NULL) THEN 'posting_belongs_to_entry'
                   WHEN count(*) <> min(legs) OR min(leg) <> 1 OR max(leg) <> min(legs) THEN 'entry_is_complete'
                   WHEN bool_or(path IS NULL) THEN 'posting_account_is_open'
                   WHEN bool_and(fits_template) IS NOT TRUE THEN 'posting_fits_template'
                   WHEN bool_or(scale(amount) > exponent) THEN 'posting_fits_currency'
                   WHEN bool_or(requires_hold <> (hold IS NOT NULL)) THEN 'posting_carries_hold'
                   WHEN min(players) <> count(DISTINCT owner) FILTER (WHERE owner_kind IN ('player', 'account'))
                       THEN 'entry_binds_players'
                   WHEN bool_or(owner_kind = 'market' AND 'markets/' || owner <> reference) THEN 'entry_binds_market'
                   WHEN NOT bool_and(permitted) THEN 'principal_may_post_kind'
                   WHEN bool_or((receipt IS NOT NULL) <> needs_receipt) THEN 'entry_receipt_as_kind_says'
                   WHEN bool_or((version IS NOT NULL) <> (settles IS NOT NULL)) THEN 'entry_settlement_as_kind_says'
                   WHEN bool_or((reverses IS NOT NULL) <> mirrors) THEN 'entry_reverses_as_kind_says'
                   WHEN bool_or(expires_at IS NOT NULL AND NOT expiring) THEN 'entry_hold_expiry_as_kind_says'
               END AS rule
          FROM unnest(lines) GROUP BY ledger_id, sequence) verdict
      WHERE verdict.rule IS NOT NULL;

    PERFORM refuse('entry_balances', format('entry %s does not balance', unbalanced.sequence))
       FROM (SELECT sequence FROM unnest(lines)
              GROUP BY ledger_id, sequence, currency HAVING sum(amount) <> 0) unbalanced;
END $$;
CREATE OR REPLACE FUNCTION move_balances(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    accounts bigint;
    moved bigint;
BEGIN
    SELECT count(DISTINCT account_id) INTO accounts FROM unnest(lines);
    UPDATE balance b SET amount = b.amount + m.amount, sequence = m.last
      FROM (SELECT account_id, sum(amount) AS amount, count(*) AS n,
                   min(account_sequence) AS first, max(account_sequence) AS last
              FROM unnest(lines) GROUP BY account_id) m
     WHERE b.account_id = m.account_id AND b.sequence = m.first - 1 AND m.last - m.first + 1 = m.n AND NOT b.closed;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> accounts THEN
        -- Closed meanwhile is stale too: decided again, the command is refused for what it is.
        PERFORM refuse_stale('account_is_open', format('account %s is closed', p.account_id))
           FROM unnest(lines) p
           JOIN LATERAL (SELECT closed FROM balance WHERE account_id = p.account_id OFFSET 0) b ON b.closed;
        PERFORM refuse_stale('account_sequence_is_next', 'an account has moved since this batch was decided');
    END IF;

    -- Each posting's own balance after it, and the floor at each step, not only at the batch's end.
    PERFORM refuse(CASE WHEN step.below THEN 'balance_not_below_floor' ELSE 'posting_balance_is_true' END,
                   format('account %s at posting %s', step.account_id, step.account_sequence))
       FROM (SELECT p.account_id, p.account_sequence, b.floored AND p.balance * b.side < 0 AS below,
                    p.balance IS DISTINCT FROM
                        b.amount - sum(p.amount) OVER whole + sum(p.amount) OVER upto AS untrue
               FROM unnest(lines) p
               JOIN LATERAL (SELECT * FROM balance WHERE account_id = p.account_id OFFSET 0) b ON true
             WINDOW whole AS (PARTITION BY p.account_id),
                    upto AS (PARTITION BY p.account_id ORDER BY p.account_sequence)) step
      WHERE step.below OR step.untrue;
END $$;
CREATE OR REPLACE FUNCTION move_holds(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    drawn bigint;
BEGIN
    INSERT INTO hold (ledger_id, id, account_id, reference, opened, remaining, origin_id, expires_at, tells)
    SELECT p.ledger_id, p.hold, p.account_id, p.reference, -p.amount, -p.amount, o.account_id, p.expires_at, p.hold_events
      FROM unnest(lines) p
      LEFT JOIN (SELECT ledger_id, sequence, currency, min(account_id) AS account_id FROM unnest(lines)
                  WHERE amount > 0 AND hold_effect = 'open'
                  GROUP BY ledger_id, sequence, currency HAVING count(DISTINCT account_id) = 1) o
             ON o.ledger_id = p.ledger_id AND o.sequence = p.sequence AND o.currency = p.currency
     WHERE p.hold IS NOT NULL AND p.hold_effect = 'open';

    SELECT count(DISTINCT (hold, account_id, reference)) INTO wanted
      FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw';
    UPDATE hold h SET remaining = h.remaining - d.amount, captured = h.captured + d.captured,
                      released = h.released + d.amount - d.captured, expired = h.expired OR d.expired
      FROM (SELECT ledger_id, hold, account_id, reference, sum(amount) AS amount,
                   coalesce(sum(amount) FILTER (WHERE draws = 'capture'), 0) AS captured,
                   bool_or(draws = 'expire') AS expired
              FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw'
             GROUP BY ledger_id, hold, account_id, reference) d
     WHERE h.ledger_id = d.ledger_id AND h.id = d.hold AND h.account_id = d.account_id AND h.reference = d.reference;
    GET DIAGNOSTICS drawn = ROW_COUNT;
    IF drawn <> wanted THEN
        PERFORM refuse('hold_is_bound', 'a hold is drawn only on its own account and under its own reference');
    END IF;

    PERFORM refuse('hold_expires_when_due', format('hold %s is not due, or more of it remains', p.hold))
       FROM unnest(lines) p
       JOIN LATERAL (SELECT * FROM hold WHERE ledger_id = p.ledger_id AND id = p.hold OFFSET 0) h ON true
      WHERE p.hold IS NOT NULL AND p.draws = 'expire'
        AND (h.expires_at IS NULL OR h.expires_at > clock_timestamp() OR h.remaining <> 0);
END $$;
CREATE OR REPLACE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    lines journal_line[];
    has record;
BEGIN
    SELECT with_context(array_agg(a.*::posting)) INTO lines FROM added a;
    IF lines IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM check_shape_of(lines);
    PERFORM move_balances(lines);
    SELECT bool_or(hold IS NOT NULL) AS holds, bool_or(stakes) AS stakes, bool_or(settles IS NOT NULL) AS settles,
           bool_or(needs_receipt) AS receipts, bool_or(mirrors) AS mirrors
      INTO has FROM unnest(lines);
    IF has.mirrors THEN PERFORM check_mirrors(lines); END IF;
    IF has.holds THEN
        PERFORM move_holds(lines);
        PERFORM keep_hold_deadlines(lines);
        PERFORM tell_of_holds(lines);
    END IF;
    IF has.stakes THEN PERFORM record_stakes(lines); END IF;
    IF has.settles THEN PERFORM settle(lines); END IF;
    IF has.receipts THEN PERFORM spend_receipts(lines); END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE FUNCTION entry_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    ledgers bigint;
    moved bigint;
BEGIN
    SELECT count(DISTINCT ledger_id) INTO ledgers FROM added;
    UPDATE head h SET sequence = m.last
      FROM (SELECT ledger_id, count(*) AS n, min(sequence) AS first, max(sequence) AS last
              FROM added GROUP BY ledger_id) m
     WHERE h.ledger_id = m.ledger_id AND h.sequence = m.first - 1 AND m.last - m.first + 1 = m.n;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> ledgers THEN
        PERFORM refuse_stale('entry_sequence_is_next', 'the ledger has moved since this batch was decided');
    END IF;

    PERFORM refuse('entry_is_complete', format('entry %s has %s of %s postings', e.sequence, e.posted, e.legs))
       FROM (SELECT e.sequence, e.legs,
                    (SELECT count(*) FROM posting p WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence) AS posted
               FROM added e) e
      WHERE e.posted <> e.legs;

    PERFORM refuse('command_has_one_outcome', format('command %s was refused before', r.id))
       FROM added e JOIN refusal r ON r.id = e.id LIMIT 1;

    -- Linked entries are here all at once, side by side.
    PERFORM refuse('linked_entries_are_whole', format('%s of %s linked entries', part.here, part.links))
       FROM (SELECT min(links) AS links, count(*) AS here, max(links) AS most, max(sequence) - min(sequence) + 1 AS span
               FROM added WHERE link IS NOT NULL GROUP BY ledger_id, link) part
      WHERE part.here <> part.links OR part.most <> part.links OR part.span <> part.links;

    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(e.reference, 0) & 15, e.id, 'events', 'ledger.entry.committed.v1.' || e.kind,
           e.reference, e.sequence,
           cloud_event(e.id, 'ledger.entry.committed.v1', e.reference, e.posted_at, e.sequence, e.traceparent,
               jsonb_build_object(
                   'id', e.id, 'sequence', e.sequence, 'kind', e.kind, 'principal', e.principal,
                   'idempotency_key', e.idempotency_key, 'reference', e.reference, 'metadata', e.metadata,
                   'posted_at', to_char(e.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'effective_at', to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'receipt', e.receipt, 'reverses', e.reverses, 'link', e.link,
                   'settlement', CASE WHEN e.settlement_version IS NOT NULL THEN jsonb_build_object(
                       'market', substr(e.reference, 9), 'version', e.settlement_version,
                       'total', to_money(e.settlement_total, posted.exponent), 'chunk', e.settlement_chunk,
                       'chunks', e.settlement_chunks) END,
                   'postings', posted.lines))
      FROM added e
      JOIN LATERAL (
        SELECT jsonb_agg(jsonb_build_object(
                   'account', a.path, 'side', CASE WHEN p.amount > 0 THEN 'debit' ELSE 'credit' END,
                   'amount', to_money(abs(p.amount), a.exponent), 'currency', a.currency,
                   'balance', to_money(p.balance * a.side, a.exponent),
                   'account_sequence', p.account_sequence, 'hold', p.hold) ORDER BY p.leg) AS lines,
               max(a.exponent) AS exponent
          FROM posting p
          JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id OFFSET 0) a ON true
         WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence) posted ON true
     ORDER BY e.ledger_id, e.sequence;
    RETURN NULL;
END $$;
DROP FUNCTION wire_time(timestamptz);
ALTER TABLE hold ADD CONSTRAINT hold_account_id_fkey FOREIGN KEY (account_id) REFERENCES account,
    ADD CONSTRAINT hold_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES ledger;
ALTER TABLE outbox ALTER COLUMN body TYPE jsonb;
REVOKE ALL ON FUNCTION with_context(posting[]), check_shape_of(journal_line[]), move_balances(journal_line[]),
    move_holds(journal_line[]) FROM PUBLIC;
