-- migrate:up
-- A posting on an account that its ledger does not have was refused by accident: its event could not be written, as no
-- JSON has an empty value. An engine that meant such an account could not tell who was guilty, and gave up the whole
-- batch. Now it is `posting_account_is_open` that refuses it, as was meant.
CREATE OR REPLACE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved record;
    lines journal_line[];
    has record;
    held record;
BEGIN
    -- One look: what each entry's postings come to together, the entry itself, and what its kind says of entries of
    -- that shape, which is looked up once for all that look alike. The events are written from the same look.
    WITH told AS MATERIALIZED (
        SELECT p.ledger_id, p.sequence, count(*) AS postings, min(p.leg) AS first, max(p.leg) AS last,
               sum(p.amount) AS rest, count(a.id) AS known, min(a.currency) AS currency, max(a.currency) AS other_currency,
               max(a.exponent) AS exponent, bool_or(scale(p.amount) > a.exponent) AS too_fine,
               bool_or(a.requires_hold <> (p.hold IS NOT NULL)) AS held_wrongly,
               min(a.owner) FILTER (WHERE a.owner_kind = 'market') AS market,
               max(a.owner) FILTER (WHERE a.owner_kind = 'market') AS other_market,
               min(a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account')) AS player,
               max(a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account')) AS other_player,
               bool_or(y.player IS NOT NULL) AS limited,
               string_agg(CASE WHEN p.amount > 0 THEN 'debit ' ELSE 'credit ' END || a.class, ',') AS sides,
               string_agg(concat('{"account":', to_json(a.path), CASE WHEN p.amount > 0 THEN ',"side":"debit","amount":"'
                       ELSE ',"side":"credit","amount":"' END, to_money(abs(p.amount), a.exponent), '","currency":"', a.currency,
                   '","balance":"', to_money(p.balance * a.side, a.exponent), '","account_sequence":', p.account_sequence,
                   ',"hold":', coalesce('"' || p.hold || '"', 'null'), '}'), ',' ORDER BY p.leg) AS lines
          FROM added p
          LEFT JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id AND ledger_id = p.ledger_id OFFSET 0) a ON true
          LEFT JOIN LATERAL (SELECT player FROM player_policy
                              WHERE counts_on(a.class) AND ledger_id = p.ledger_id AND player = a.owner OFFSET 0) y ON true
         GROUP BY p.ledger_id, p.sequence
    ), whole AS MATERIALIZED (
        SELECT t.*, e.id, e.kind, e.legs, e.principal, e.idempotency_key, e.reference, e.metadata, e.receipt,
               e.settlement_version, e.settlement_total, e.settlement_chunk, e.settlement_chunks, e.traceparent,
               e.effective_at, e.posted_at, e.reverses, e.link, e.hold_expires_at
          FROM told t
          LEFT JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = t.ledger_id AND sequence = t.sequence OFFSET 0) e ON true
    ), shape AS MATERIALIZED (
        SELECT s.ledger_id, s.kind, s.principal, s.sides, k.players, k.mirror, k.receipt, k.settlement, k.expiring,
               k.counts IS NOT NULL OR k.mirror AS counts,
               k.hold IS NOT NULL OR k.stake OR k.settlement IS NOT NULL OR k.receipt OR k.mirror AS deep,
               k.mirror OR NOT EXISTS (
                   SELECT FROM unnest(string_to_array(s.sides, ',')) line
                    WHERE NOT EXISTS (SELECT FROM kind_leg t WHERE t.chart = l.chart AND t.kind = s.kind
                                         AND t.side || ' ' || t.class = line)) AS fits,
               EXISTS (SELECT FROM principal w
                        WHERE w.ledger_id = s.ledger_id AND w.name = s.principal AND s.kind = ANY (w.kinds)) AS may
          FROM (SELECT DISTINCT ledger_id, kind, principal, sides FROM whole) s
          JOIN LATERAL (SELECT chart FROM ledger WHERE id = s.ledger_id OFFSET 0) l ON true
          JOIN LATERAL (SELECT * FROM kind WHERE chart = l.chart AND name = s.kind OFFSET 0) k ON true
    ), judged AS (
        SELECT w.sequence, w.postings, w.currency <> w.other_currency AS currencies, s.deep, s.players > 1 AS several,
               s.counts AND w.limited AS counted,
               CASE
                   WHEN w.kind IS NULL THEN 'posting_belongs_to_entry'
                   WHEN w.postings <> w.legs OR w.first <> 1 OR w.last <> w.legs THEN 'entry_is_complete'
                   WHEN w.known <> w.postings THEN 'posting_account_is_open'
                   WHEN s.fits IS NOT TRUE THEN 'posting_fits_template'
                   WHEN w.too_fine THEN 'posting_fits_currency'
                   WHEN w.held_wrongly THEN 'posting_carries_hold'
                   WHEN s.players = 1 AND (w.player = w.other_player) IS NOT TRUE OR s.players = 0 AND w.player IS NOT NULL
                       THEN 'entry_binds_players'
                   WHEN 'markets/' || w.market <> w.reference OR 'markets/' || w.other_market <> w.reference
                       THEN 'entry_binds_market'
                   WHEN s.may IS NOT TRUE THEN 'principal_may_post_kind'
                   WHEN (w.receipt IS NOT NULL) <> s.receipt THEN 'entry_receipt_as_kind_says'
                   WHEN (w.settlement_version IS NOT NULL) <> (s.settlement IS NOT NULL) THEN 'entry_settlement_as_kind_says'
                   WHEN (w.reverses IS NOT NULL) <> s.mirror THEN 'entry_reverses_as_kind_says'
                   WHEN w.hold_expires_at IS NOT NULL AND NOT s.expiring THEN 'entry_hold_expiry_as_kind_says'
                   WHEN w.currency = w.other_currency AND w.rest <> 0 THEN 'entry_balances'
               END AS rule
          FROM whole w
          LEFT JOIN shape s ON s.ledger_id = w.ledger_id AND s.kind = w.kind AND s.principal = w.principal AND s.sides = w.sides
    ), telling AS (
        -- Put together as text: as jsonb objects it cost three times as much. What is no entry, or names no account of its ledger,
        -- has nothing to tell and is refused below.
        INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
        SELECT hashtextextended(w.reference, 0) & 15, w.id, 'events', 'ledger.entry.committed.v1.' || w.kind,
               w.reference, w.sequence, concat(
               '{"specversion":"1.0","id":"', w.id, '","source":"/ledger","type":"ledger.entry.committed.v1","subject":',
               s.reference, ',"time":"', s.posted_at, '","datacontenttype":"application/json",'
               '"dataschema":"urn:el-carril:schema:ledger.entry.committed.v1","partitionkey":', s.reference,
               ',"sequence":', w.sequence, ',"traceparent":' || to_json(w.traceparent),
               ',"data":{"id":"', w.id, '","sequence":', w.sequence, ',"kind":', to_json(w.kind),
               ',"principal":', to_json(w.principal), ',"idempotency_key":', to_json(w.idempotency_key),
               ',"reference":', s.reference, ',"metadata":', w.metadata, ',"posted_at":"', s.posted_at,
               '","effective_at":"', CASE WHEN w.effective_at = w.posted_at THEN s.posted_at ELSE wire_time(w.effective_at) END,
               '","receipt":', coalesce('"' || w.receipt || '"', 'null'),
               ',"reverses":', coalesce('"' || w.reverses || '"', 'null'), ',"link":', coalesce('"' || w.link || '"', 'null'),
               ',"settlement":', CASE WHEN w.settlement_version IS NULL THEN 'null' ELSE
                  concat('{"market":', to_json(substr(w.reference, 9)), ',"version":', w.settlement_version,
                  ',"total":"', to_money(w.settlement_total, w.exponent), '","chunk":', w.settlement_chunk,
                  ',"chunks":', w.settlement_chunks, '}') END,
               ',"postings":[', w.lines, ']}}')::json
          FROM whole w
         CROSS JOIN LATERAL (SELECT to_json(w.reference) AS reference, wire_time(w.posted_at) AS posted_at OFFSET 0) s
         WHERE w.id IS NOT NULL AND w.known = w.postings
         ORDER BY w.ledger_id, w.sequence)
    SELECT min(rule) AS rule, min(sequence) FILTER (WHERE rule IS NOT NULL) AS sequence, sum(postings) AS postings,
           bool_or(currencies) AS currencies, bool_or(deep) AS deep, bool_or(several) AS several,
           bool_or(counted) AS counted
      INTO batch FROM judged;
    IF batch.postings IS NULL THEN
        RETURN NULL;
    END IF;
    IF batch.rule IS NOT NULL THEN
        PERFORM refuse(batch.rule, format('entry %s breaks %s', batch.sequence, batch.rule));
    END IF;
    IF batch.several THEN
        PERFORM refuse('entry_binds_players', format('entry %s breaks entry_binds_players', owned.sequence))
           FROM (SELECT p.sequence FROM added p
                   JOIN LATERAL (SELECT kind FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
                   JOIN LATERAL (SELECT owner, owner_kind FROM account WHERE id = p.account_id OFFSET 0) a ON true
                   JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
                   JOIN LATERAL (SELECT players FROM kind WHERE chart = l.chart AND name = e.kind OFFSET 0) k ON true
                  GROUP BY p.ledger_id, p.sequence
                 HAVING min(k.players) <> count(DISTINCT a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account'))) owned;
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

    IF batch.counted THEN
        PERFORM count_play((SELECT array_agg(a.*::posting) FROM added a));
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

-- migrate:down
CREATE OR REPLACE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved record;
    lines journal_line[];
    has record;
    held record;
BEGIN
    -- One look: what each entry's postings come to together, the entry itself, and what its kind says of entries of
    -- that shape, which is looked up once for all that look alike. The events are written from the same look.
    WITH told AS MATERIALIZED (
        SELECT p.ledger_id, p.sequence, count(*) AS postings, min(p.leg) AS first, max(p.leg) AS last,
               sum(p.amount) AS rest, count(a.id) AS known, min(a.currency) AS currency, max(a.currency) AS other_currency,
               max(a.exponent) AS exponent, bool_or(scale(p.amount) > a.exponent) AS too_fine,
               bool_or(a.requires_hold <> (p.hold IS NOT NULL)) AS held_wrongly,
               min(a.owner) FILTER (WHERE a.owner_kind = 'market') AS market,
               max(a.owner) FILTER (WHERE a.owner_kind = 'market') AS other_market,
               min(a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account')) AS player,
               max(a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account')) AS other_player,
               bool_or(y.player IS NOT NULL) AS limited,
               string_agg(CASE WHEN p.amount > 0 THEN 'debit ' ELSE 'credit ' END || a.class, ',') AS sides,
               string_agg(concat('{"account":', to_json(a.path), CASE WHEN p.amount > 0 THEN ',"side":"debit","amount":"'
                       ELSE ',"side":"credit","amount":"' END, to_money(abs(p.amount), a.exponent), '","currency":"', a.currency,
                   '","balance":"', to_money(p.balance * a.side, a.exponent), '","account_sequence":', p.account_sequence,
                   ',"hold":', coalesce('"' || p.hold || '"', 'null'), '}'), ',' ORDER BY p.leg) AS lines
          FROM added p
          LEFT JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id AND ledger_id = p.ledger_id OFFSET 0) a ON true
          LEFT JOIN LATERAL (SELECT player FROM player_policy
                              WHERE counts_on(a.class) AND ledger_id = p.ledger_id AND player = a.owner OFFSET 0) y ON true
         GROUP BY p.ledger_id, p.sequence
    ), whole AS MATERIALIZED (
        SELECT t.*, e.id, e.kind, e.legs, e.principal, e.idempotency_key, e.reference, e.metadata, e.receipt,
               e.settlement_version, e.settlement_total, e.settlement_chunk, e.settlement_chunks, e.traceparent,
               e.effective_at, e.posted_at, e.reverses, e.link, e.hold_expires_at
          FROM told t
          LEFT JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = t.ledger_id AND sequence = t.sequence OFFSET 0) e ON true
    ), shape AS MATERIALIZED (
        SELECT s.ledger_id, s.kind, s.principal, s.sides, k.players, k.mirror, k.receipt, k.settlement, k.expiring,
               k.counts IS NOT NULL OR k.mirror AS counts,
               k.hold IS NOT NULL OR k.stake OR k.settlement IS NOT NULL OR k.receipt OR k.mirror AS deep,
               k.mirror OR NOT EXISTS (
                   SELECT FROM unnest(string_to_array(s.sides, ',')) line
                    WHERE NOT EXISTS (SELECT FROM kind_leg t WHERE t.chart = l.chart AND t.kind = s.kind
                                         AND t.side || ' ' || t.class = line)) AS fits,
               EXISTS (SELECT FROM principal w
                        WHERE w.ledger_id = s.ledger_id AND w.name = s.principal AND s.kind = ANY (w.kinds)) AS may
          FROM (SELECT DISTINCT ledger_id, kind, principal, sides FROM whole) s
          JOIN LATERAL (SELECT chart FROM ledger WHERE id = s.ledger_id OFFSET 0) l ON true
          JOIN LATERAL (SELECT * FROM kind WHERE chart = l.chart AND name = s.kind OFFSET 0) k ON true
    ), judged AS (
        SELECT w.sequence, w.postings, w.currency <> w.other_currency AS currencies, s.deep, s.players > 1 AS several,
               s.counts AND w.limited AS counted,
               CASE
                   WHEN w.kind IS NULL THEN 'posting_belongs_to_entry'
                   WHEN w.postings <> w.legs OR w.first <> 1 OR w.last <> w.legs THEN 'entry_is_complete'
                   WHEN w.known <> w.postings THEN 'posting_account_is_open'
                   WHEN s.fits IS NOT TRUE THEN 'posting_fits_template'
                   WHEN w.too_fine THEN 'posting_fits_currency'
                   WHEN w.held_wrongly THEN 'posting_carries_hold'
                   WHEN s.players = 1 AND (w.player = w.other_player) IS NOT TRUE OR s.players = 0 AND w.player IS NOT NULL
                       THEN 'entry_binds_players'
                   WHEN 'markets/' || w.market <> w.reference OR 'markets/' || w.other_market <> w.reference
                       THEN 'entry_binds_market'
                   WHEN s.may IS NOT TRUE THEN 'principal_may_post_kind'
                   WHEN (w.receipt IS NOT NULL) <> s.receipt THEN 'entry_receipt_as_kind_says'
                   WHEN (w.settlement_version IS NOT NULL) <> (s.settlement IS NOT NULL) THEN 'entry_settlement_as_kind_says'
                   WHEN (w.reverses IS NOT NULL) <> s.mirror THEN 'entry_reverses_as_kind_says'
                   WHEN w.hold_expires_at IS NOT NULL AND NOT s.expiring THEN 'entry_hold_expiry_as_kind_says'
                   WHEN w.currency = w.other_currency AND w.rest <> 0 THEN 'entry_balances'
               END AS rule
          FROM whole w
          LEFT JOIN shape s ON s.ledger_id = w.ledger_id AND s.kind = w.kind AND s.principal = w.principal AND s.sides = w.sides
    ), telling AS (
        -- Put together as text: as jsonb objects it cost three times as much. An entry without all of its postings is refused.
        INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
        SELECT hashtextextended(w.reference, 0) & 15, w.id, 'events', 'ledger.entry.committed.v1.' || w.kind,
               w.reference, w.sequence, concat(
               '{"specversion":"1.0","id":"', w.id, '","source":"/ledger","type":"ledger.entry.committed.v1","subject":',
               s.reference, ',"time":"', s.posted_at, '","datacontenttype":"application/json",'
               '"dataschema":"urn:el-carril:schema:ledger.entry.committed.v1","partitionkey":', s.reference,
               ',"sequence":', w.sequence, ',"traceparent":' || to_json(w.traceparent),
               ',"data":{"id":"', w.id, '","sequence":', w.sequence, ',"kind":', to_json(w.kind),
               ',"principal":', to_json(w.principal), ',"idempotency_key":', to_json(w.idempotency_key),
               ',"reference":', s.reference, ',"metadata":', w.metadata, ',"posted_at":"', s.posted_at,
               '","effective_at":"', CASE WHEN w.effective_at = w.posted_at THEN s.posted_at ELSE wire_time(w.effective_at) END,
               '","receipt":', coalesce('"' || w.receipt || '"', 'null'),
               ',"reverses":', coalesce('"' || w.reverses || '"', 'null'), ',"link":', coalesce('"' || w.link || '"', 'null'),
               ',"settlement":', CASE WHEN w.settlement_version IS NULL THEN 'null' ELSE
                  concat('{"market":', to_json(substr(w.reference, 9)), ',"version":', w.settlement_version,
                  ',"total":"', to_money(w.settlement_total, w.exponent), '","chunk":', w.settlement_chunk,
                  ',"chunks":', w.settlement_chunks, '}') END,
               ',"postings":[', w.lines, ']}}')::json
          FROM whole w
         CROSS JOIN LATERAL (SELECT to_json(w.reference) AS reference, wire_time(w.posted_at) AS posted_at OFFSET 0) s
         WHERE w.id IS NOT NULL
         ORDER BY w.ledger_id, w.sequence)
    SELECT min(rule) AS rule, min(sequence) FILTER (WHERE rule IS NOT NULL) AS sequence, sum(postings) AS postings,
           bool_or(currencies) AS currencies, bool_or(deep) AS deep, bool_or(several) AS several,
           bool_or(counted) AS counted
      INTO batch FROM judged;
    IF batch.postings IS NULL THEN
        RETURN NULL;
    END IF;
    IF batch.rule IS NOT NULL THEN
        PERFORM refuse(batch.rule, format('entry %s breaks %s', batch.sequence, batch.rule));
    END IF;
    IF batch.several THEN
        PERFORM refuse('entry_binds_players', format('entry %s breaks entry_binds_players', owned.sequence))
           FROM (SELECT p.sequence FROM added p
                   JOIN LATERAL (SELECT kind FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
                   JOIN LATERAL (SELECT owner, owner_kind FROM account WHERE id = p.account_id OFFSET 0) a ON true
                   JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
                   JOIN LATERAL (SELECT players FROM kind WHERE chart = l.chart AND name = e.kind OFFSET 0) k ON true
                  GROUP BY p.ledger_id, p.sequence
                 HAVING min(k.players) <> count(DISTINCT a.owner) FILTER (WHERE a.owner_kind IN ('player', 'account'))) owned;
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

    IF batch.counted THEN
        PERFORM count_play((SELECT array_agg(a.*::posting) FROM added a));
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
