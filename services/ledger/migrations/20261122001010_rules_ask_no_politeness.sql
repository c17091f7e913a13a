-- migrate:up
-- Rules that held because the engine is polite now hold whoever writes.
--   Every writer of a ledger waits for the one before it, in the trigger itself, before any rule looks: until now the engine's
--   statement did so, and another's could look first and write after. A transaction that looks back (repeatable read,
--   serializable) does not write the journal: it would not see a refusal or a player's policy of a moment ago.
--   A command cannot be refused while it is being posted: who refuses waits for the head as well.
--   An account's postings are numbered in the order of the entries they belong to. In one statement they could be numbered
--   otherwise: each said the truth of its account, but an earlier entry spent what a later one brought, balances as of then
--   were wrong, and `verify_journal` found the journal broken.
--   A hold is opened before it is drawn, within one statement as well.
CREATE OR REPLACE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved record;
    lines journal_line[];
    has record;
    held record;
BEGIN
    -- Whoever writes waits here for whoever writes the same ledger, and then sees what they have written: every look below
    -- is younger than that, however the statement was put together.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM refuse('journal_is_written_read_committed', 'a transaction that looks back does not see what the rules ask for');
    END IF;
    PERFORM FROM head WHERE ledger_id = ANY (ARRAY (SELECT DISTINCT ledger_id FROM added)) ORDER BY ledger_id FOR UPDATE;

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
    -- a posting decided on an older state finds no row to move. An account's postings are numbered in the order of the
    -- entries and their legs, so all of them name the same number `before` theirs. `start` is what each posting says its account had
    -- before the batch: all must say the same, and the truth. The floor holds after each posting, not only the last.
    WITH moving AS (
        UPDATE balance b SET amount = b.amount + m.amount, sequence = m.before + m.n
          FROM (SELECT account_id, sum(amount) AS amount, count(*) AS n, min(before) AS before, max(before) AS other_before,
                       min(start) AS start, max(start) AS other_start, min(balance) AS lowest, max(balance) AS highest
                  FROM (SELECT account_id, amount, balance, account_sequence - row_number() OVER so_far AS before,
                               balance - sum(amount) OVER so_far AS start
                          FROM added WINDOW so_far AS (PARTITION BY account_id ORDER BY sequence, leg)) p
                 GROUP BY account_id) m
         WHERE b.account_id = m.account_id AND b.sequence = m.before AND m.other_before = m.before AND NOT b.closed
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

CREATE OR REPLACE FUNCTION entry_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved bigint;
    here bigint;
BEGIN
    WITH moving AS (
        UPDATE head h SET sequence = m.last
          FROM (SELECT ledger_id, count(*) AS n, min(sequence) AS first, max(sequence) AS last
                  FROM added GROUP BY ledger_id) m
         WHERE h.ledger_id = m.ledger_id AND h.sequence = m.first - 1 AND m.last - m.first + 1 = m.n
        RETURNING m.n)
    SELECT coalesce(sum(n), 0) INTO moved FROM moving;
    -- The head is ours by now: nobody refuses one of these any more that we do not see.
    SELECT count(*) AS entries, count(e.link) AS linked, sum(e.legs) AS legs, min(r.id::text) AS refused INTO batch
      FROM added e LEFT JOIN LATERAL (SELECT id FROM refusal WHERE id = e.id OFFSET 0) r ON true;
    IF batch.refused IS NOT NULL THEN
        PERFORM refuse('command_has_one_outcome', format('command %s was refused before', batch.refused));
    END IF;
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

    -- Postings come with their entry, whole or not at all: `posting_added` sees to each entry that has any. So all of
    -- them are whole when together they have as many as they say.
    SELECT coalesce(sum(p.n), 0) INTO here
      FROM (SELECT ledger_id, min(sequence) AS first, max(sequence) AS last FROM added GROUP BY ledger_id) m
      JOIN LATERAL (SELECT count(*) AS n FROM posting
                     WHERE ledger_id = m.ledger_id AND sequence BETWEEN m.first AND m.last OFFSET 0) p ON true;
    IF here <> batch.legs THEN
        PERFORM refuse('entry_is_complete', 'an entry has not all of its postings');
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION refusal_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM FROM head WHERE ledger_id = ANY (ARRAY (SELECT DISTINCT ledger_id FROM added)) ORDER BY ledger_id FOR UPDATE;
    PERFORM refuse('command_has_one_outcome', format('command %s was posted before', e.id))
       FROM added r JOIN entry e ON e.id = r.id LIMIT 1;
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(r.reference, 0) & 15, r.id, 'events', 'ledger.post.refused.v1.' || r.kind,
           r.reference, h.sequence,
           cloud_event(r.id, 'ledger.post.refused.v1', r.reference, r.refused_at, h.sequence, r.traceparent,
               jsonb_build_object('idempotency_key', r.idempotency_key, 'principal', r.principal, 'kind', r.kind,
                                  'reference', r.reference, 'problem', r.problem - 'field'))
      FROM added r JOIN head h ON h.ledger_id = r.ledger_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION move_holds(lines journal_line[], OUT tells boolean, OUT ends boolean) RETURNS record LANGUAGE plpgsql AS $$
DECLARE
    openings bigint;
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
    SELECT coalesce(bool_or(o.tells), false), coalesce(bool_or(o.expires_at IS NOT NULL), false), count(*) INTO tells, ends, openings
      FROM opening o;

    SELECT count(*) INTO wanted FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw';
    IF wanted > 0 AND openings > 0 THEN
        PERFORM refuse('hold_is_drawn_once_open', format('hold %s is drawn before it is opened', h.hold))
           FROM unnest(lines) h WHERE h.hold IS NOT NULL GROUP BY h.ledger_id, h.hold
         HAVING min(h.sequence) FILTER (WHERE h.hold_effect = 'draw') <= max(h.sequence) FILTER (WHERE h.hold_effect = 'open');
    END IF;
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

CREATE OR REPLACE FUNCTION entry_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    batch record;
    moved bigint;
    here bigint;
BEGIN
    SELECT count(*) AS entries, count(e.link) AS linked, sum(e.legs) AS legs, min(r.id::text) AS refused INTO batch
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

    -- Postings come with their entry, whole or not at all: `posting_added` sees to each entry that has any. So all of
    -- them are whole when together they have as many as they say.
    SELECT coalesce(sum(p.n), 0) INTO here
      FROM (SELECT ledger_id, min(sequence) AS first, max(sequence) AS last FROM added GROUP BY ledger_id) m
      JOIN LATERAL (SELECT count(*) AS n FROM posting
                     WHERE ledger_id = m.ledger_id AND sequence BETWEEN m.first AND m.last OFFSET 0) p ON true;
    IF here <> batch.legs THEN
        PERFORM refuse('entry_is_complete', 'an entry has not all of its postings');
    END IF;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION refusal_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM refuse('command_has_one_outcome', format('command %s was posted before', e.id))
       FROM added r JOIN entry e ON e.id = r.id LIMIT 1;
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(r.reference, 0) & 15, r.id, 'events', 'ledger.post.refused.v1.' || r.kind,
           r.reference, h.sequence,
           cloud_event(r.id, 'ledger.post.refused.v1', r.reference, r.refused_at, h.sequence, r.traceparent,
               jsonb_build_object('idempotency_key', r.idempotency_key, 'principal', r.principal, 'kind', r.kind,
                                  'reference', r.reference, 'problem', r.problem - 'field'))
      FROM added r JOIN head h ON h.ledger_id = r.ledger_id;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION move_holds(lines journal_line[], OUT tells boolean, OUT ends boolean) RETURNS record LANGUAGE plpgsql AS $$
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
