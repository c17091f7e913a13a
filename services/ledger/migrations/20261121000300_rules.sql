-- migrate:up
-- The rules of the journal, held by the database. An entry and its postings are written by ONE
-- statement; these statement-level triggers then see the whole batch at once (row-level or deferred
-- triggers cost about twice as much). A broken rule names itself as a constraint, so that the
-- service maps it like any other.

CREATE FUNCTION refuse(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = message;
END $$;

-- Another writer was faster: the batch was decided on a state that is gone. Worth a retry.
CREATE FUNCTION refuse_stale(rule text, message text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'serialization_failure', CONSTRAINT = rule, MESSAGE = message;
END $$;

-- History is never rewritten, by anyone who goes through SQL.
CREATE FUNCTION history_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('history_is_append_only', format('%s on %s: history is append-only', TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$;

-- Derived rows change only from inside the journal's own triggers.
CREATE FUNCTION derived_from_journal() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        PERFORM refuse('derived_from_journal', format('%s on %s: it is derived from the journal', TG_OP, TG_TABLE_NAME));
    END IF;
    RETURN NULL;
END $$;

-- An account's class, owner, side and floor come from the chart. SECURITY DEFINER: the posting
-- role may open an account, and nothing more.
CREATE FUNCTION account_follows_chart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    fitting account_class;
BEGIN
    SELECT c.* INTO fitting
      FROM account_class c JOIN ledger l ON l.chart = c.chart
     WHERE l.id = NEW.ledger_id AND NEW.path ~ c.pattern;
    IF NOT FOUND THEN
        PERFORM refuse('account_path_is_in_chart', format('no account class for path %s', NEW.path));
    END IF;
    NEW.class := fitting.name;
    NEW.owner_kind := fitting.owner_kind;
    NEW.owner := CASE WHEN fitting.owner_kind IS NULL THEN NULL ELSE (regexp_match(NEW.path, fitting.pattern))[1] END;
    NEW.side := CASE fitting.side WHEN 'debit' THEN 1 ELSE -1 END;
    NEW.floored := fitting.floored;
    NEW.requires_hold := fitting.requires_hold;
    SELECT exponent INTO NEW.exponent FROM currency WHERE code = NEW.currency;
    NEW.opened_at := statement_timestamp();
    RETURN NEW;
END $$;

CREATE FUNCTION account_has_balance() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO balance (account_id, side, floored) SELECT id, side, floored FROM added;
    RETURN NULL;
END $$;

-- Every rule about the shape of entries: each posting belongs to an entry written by this very
-- statement, fits its kind's template, carries a hold exactly where one is required, has no more
-- decimals than its currency; each entry balances per currency, has the players its kind asks for
-- and touches no market but the one its reference names.
CREATE FUNCTION check_shape_of(lines posting[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    bad record;
BEGIN
    SELECT * INTO bad FROM (
        SELECT line.sequence,
               CASE
                   WHEN bool_or(line.entry_kind IS NULL) THEN 'posting_belongs_to_entry'
                   WHEN count(*) <> min(line.legs) OR min(line.leg) <> 1 OR max(line.leg) <> min(line.legs)
                       THEN 'entry_is_complete'
                   WHEN bool_or(line.path IS NULL) THEN 'posting_account_is_open'
                   WHEN bool_or(line.template IS NULL) THEN 'posting_fits_template'
                   WHEN bool_or(scale(line.amount) > line.exponent) THEN 'posting_fits_currency'
                   WHEN bool_or(line.requires_hold <> (line.hold IS NOT NULL)) THEN 'posting_carries_hold'
                   WHEN count(DISTINCT line.currency) = 1 AND sum(line.amount) <> 0 THEN 'entry_balances'
                   WHEN min(line.players) <> count(DISTINCT line.owner) FILTER (WHERE line.owner_kind = 'player')
                       THEN 'entry_binds_players'
                   WHEN bool_or(line.owner_kind = 'market' AND 'markets/' || line.owner <> line.reference)
                       THEN 'entry_binds_market'
                   WHEN bool_or(line.permitted IS NULL) THEN 'principal_may_post_kind'
                   WHEN bool_or((line.receipt IS NOT NULL) <> line.needs_receipt) THEN 'entry_receipt_as_kind_says'
                   WHEN bool_or((line.settlement_version IS NOT NULL) <> (line.settlement IS NOT NULL))
                       THEN 'entry_settlement_as_kind_says'
               END AS rule
          FROM (
            SELECT p.sequence, p.leg, p.amount, p.hold, e.kind AS entry_kind, e.legs, e.reference, e.receipt,
                   e.settlement_version, a.path, a.exponent, a.requires_hold, a.currency, a.owner, a.owner_kind,
                   t.kind AS template, k.players, k.receipt AS needs_receipt, k.settlement, pr.name AS permitted
              FROM unnest(lines) p
              LEFT JOIN entry e ON e.ledger_id = p.ledger_id AND e.sequence = p.sequence
              LEFT JOIN account a ON a.id = p.account_id AND a.ledger_id = p.ledger_id
              LEFT JOIN ledger l ON l.id = p.ledger_id
              LEFT JOIN kind k ON k.chart = l.chart AND k.name = e.kind
              LEFT JOIN kind_leg t ON t.chart = l.chart AND t.kind = e.kind AND t.class = a.class
                                  AND t.side = CASE WHEN p.amount > 0 THEN 'debit' ELSE 'credit' END
              LEFT JOIN principal pr ON pr.ledger_id = p.ledger_id AND pr.name = e.principal
                                    AND e.kind = ANY (pr.kinds)
          ) line
         GROUP BY line.sequence) verdict
     WHERE rule IS NOT NULL ORDER BY sequence LIMIT 1;
    IF FOUND THEN
        PERFORM refuse(bad.rule, format('entry %s breaks %s', bad.sequence, bad.rule));
    END IF;

    SELECT p.sequence INTO bad
      FROM unnest(lines) p JOIN account a ON a.id = p.account_id
     GROUP BY p.ledger_id, p.sequence, a.currency HAVING sum(p.amount) <> 0 LIMIT 1;
    IF FOUND THEN
        PERFORM refuse('entry_balances', format('entry %s does not balance', bad.sequence));
    END IF;
END $$;

-- Balances move by the sum of the new postings, and by nothing else. The account sequence is a
-- compare-and-swap: a posting decided on an older state finds no row to move.
CREATE FUNCTION move_balances(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    accounts bigint;
    moved bigint;
BEGIN
    SELECT count(DISTINCT account_id) INTO accounts FROM unnest(lines);
    UPDATE balance b SET amount = b.amount + m.amount, sequence = m.last
      FROM (SELECT account_id, sum(amount) AS amount, count(*) AS n,
                   min(account_sequence) AS first, max(account_sequence) AS last
              FROM unnest(lines) GROUP BY account_id) m
     WHERE b.account_id = m.account_id AND b.sequence = m.first - 1 AND m.last - m.first + 1 = m.n;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved <> accounts THEN
        PERFORM refuse_stale('account_sequence_is_next', 'an account has moved since this batch was decided');
    END IF;

    -- Each posting's own balance after it, and the floor at each step, not only at the batch's end.
    PERFORM refuse(CASE WHEN step.below THEN 'balance_not_below_floor' ELSE 'posting_balance_is_true' END,
                   format('account %s at posting %s', step.account_id, step.account_sequence))
       FROM (SELECT p.account_id, p.account_sequence, b.floored AND p.balance * b.side < 0 AS below,
                    p.balance IS DISTINCT FROM
                        b.amount - sum(p.amount) OVER whole + sum(p.amount) OVER upto AS untrue
               FROM unnest(lines) p JOIN balance b ON b.account_id = p.account_id
             WINDOW whole AS (PARTITION BY p.account_id),
                    upto AS (PARTITION BY p.account_id ORDER BY p.account_sequence)) step
      WHERE step.below OR step.untrue;
END $$;

-- Holds: opened once, drawn under the reference and on the account they were opened with.
CREATE FUNCTION move_holds(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    drawn bigint;
BEGIN
    INSERT INTO hold (ledger_id, id, account_id, reference, opened, remaining)
    SELECT p.ledger_id, p.hold, p.account_id, e.reference, -p.amount, -p.amount
      FROM unnest(lines) p
      JOIN entry e USING (ledger_id, sequence) JOIN ledger l ON l.id = p.ledger_id
      JOIN kind k ON k.chart = l.chart AND k.name = e.kind
     WHERE p.hold IS NOT NULL AND k.hold = 'open';

    SELECT count(DISTINCT (d.hold, d.account_id, d.reference)) INTO wanted FROM draws(lines) d;
    UPDATE hold h SET remaining = h.remaining - d.amount
      FROM (SELECT ledger_id, hold, account_id, reference, sum(amount) AS amount
              FROM draws(lines) GROUP BY ledger_id, hold, account_id, reference) d
     WHERE h.ledger_id = d.ledger_id AND h.id = d.hold AND h.account_id = d.account_id AND h.reference = d.reference;
    GET DIAGNOSTICS drawn = ROW_COUNT;
    IF drawn <> wanted THEN
        PERFORM refuse('hold_is_bound', 'a hold is drawn only on its own account and under its own reference');
    END IF;
END $$;

-- The postings that draw a hold down, with the reference they do it under.
CREATE FUNCTION draws(lines posting[])
RETURNS TABLE (ledger_id smallint, hold uuid, account_id bigint, reference text, amount numeric)
LANGUAGE sql STABLE AS $$
    SELECT p.ledger_id, p.hold, p.account_id, e.reference, p.amount::numeric
      FROM unnest(lines) p
      JOIN entry e USING (ledger_id, sequence) JOIN ledger l ON l.id = p.ledger_id
      JOIN kind k ON k.chart = l.chart AND k.name = e.kind
     WHERE p.hold IS NOT NULL AND k.hold = 'draw'
$$;

-- Stakes: what each player put into an escrow. A market that has begun to settle takes no more.
CREATE FUNCTION record_stakes(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('escrow_is_frozen', format('%s is already settling', e.reference))
       FROM unnest(lines) p
       JOIN entry e USING (ledger_id, sequence) JOIN ledger l ON l.id = p.ledger_id
       JOIN kind k ON k.chart = l.chart AND k.name = e.kind AND k.stake
       JOIN settlement s ON s.ledger_id = e.ledger_id AND s.reference = e.reference
      LIMIT 1;
    INSERT INTO stake (ledger_id, reference, player, contributed)
    SELECT p.ledger_id, e.reference, a.owner, sum(p.amount)
      FROM unnest(lines) p
      JOIN entry e USING (ledger_id, sequence) JOIN ledger l ON l.id = p.ledger_id
      JOIN kind k ON k.chart = l.chart AND k.name = e.kind AND k.stake
      JOIN account a ON a.id = p.account_id AND a.owner_kind = 'player'
     GROUP BY p.ledger_id, e.reference, a.owner
    ON CONFLICT (ledger_id, reference, player)
        DO UPDATE SET contributed = stake.contributed + excluded.contributed;
END $$;

-- Settlements: the first chunk opens the header at exactly the escrow's whole; every chunk pays
-- contributors (a void: no more than their own stake); the last one must leave zero behind.
CREATE FUNCTION settle(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    chunk record;
BEGIN
    FOR chunk IN
        SELECT e.ledger_id, e.sequence, e.reference, e.settlement_version AS version,
               e.settlement_total AS total, e.settlement_chunks AS chunks, k.settlement,
               max(p.account_id) FILTER (WHERE a.owner_kind = 'market') AS escrow_id,
               coalesce(sum(p.amount) FILTER (WHERE a.owner_kind = 'market'), 0) AS paid
          FROM unnest(lines) p
          JOIN entry e USING (ledger_id, sequence) JOIN ledger l ON l.id = p.ledger_id
          JOIN kind k ON k.chart = l.chart AND k.name = e.kind AND k.settlement IS NOT NULL
          JOIN account a ON a.id = p.account_id
         GROUP BY e.ledger_id, e.sequence, k.settlement ORDER BY e.ledger_id, e.sequence
    LOOP
        PERFORM refuse('settlement_pays_contributors', format('entry %s pays a stranger to %s', chunk.sequence, chunk.reference))
           FROM unnest(lines) p JOIN account a ON a.id = p.account_id AND a.owner_kind = 'player'
           LEFT JOIN stake s ON s.ledger_id = chunk.ledger_id AND s.reference = chunk.reference AND s.player = a.owner
          WHERE p.ledger_id = chunk.ledger_id AND p.sequence = chunk.sequence AND s.player IS NULL;

        IF chunk.settlement = 'void' THEN
            UPDATE stake s SET returned = s.returned + back.amount
              FROM (SELECT a.owner, -sum(p.amount) AS amount
                      FROM unnest(lines) p JOIN account a ON a.id = p.account_id AND a.owner_kind = 'player'
                     WHERE p.ledger_id = chunk.ledger_id AND p.sequence = chunk.sequence GROUP BY a.owner) back
             WHERE s.ledger_id = chunk.ledger_id AND s.reference = chunk.reference AND s.player = back.owner;
        END IF;

        INSERT INTO settlement (ledger_id, reference, version, escrow_id, total, chunks)
        SELECT chunk.ledger_id, chunk.reference, chunk.version, chunk.escrow_id, chunk.total, chunk.chunks
         WHERE chunk.total = (SELECT sum(contributed) FROM stake
                               WHERE ledger_id = chunk.ledger_id AND reference = chunk.reference)
           AND chunk.version = 1 + (SELECT count(*) FROM settlement
                                     WHERE ledger_id = chunk.ledger_id AND reference = chunk.reference)
        ON CONFLICT DO NOTHING;

        UPDATE settlement s
           SET paid = s.paid + chunk.paid, posted = s.posted + 1,
               state = CASE WHEN s.posted + 1 = s.chunks THEN 'CLOSED' ELSE 'OPEN' END
         WHERE s.ledger_id = chunk.ledger_id AND s.reference = chunk.reference AND s.version = chunk.version
           AND s.total = chunk.total AND s.chunks = chunk.chunks AND s.escrow_id = chunk.escrow_id
           AND s.state = 'OPEN';
        IF NOT FOUND THEN
            PERFORM refuse('settlement_matches_header', format('chunk %s of %s fits no open settlement', chunk.sequence, chunk.reference));
        END IF;

        PERFORM refuse('settled_escrow_is_zero', format('%s would close with money left in escrow', chunk.reference))
           FROM settlement s JOIN balance b ON b.account_id = s.escrow_id
          WHERE s.ledger_id = chunk.ledger_id AND s.reference = chunk.reference AND s.version = chunk.version
            AND s.state = 'CLOSED' AND b.amount <> 0;
    END LOOP;
END $$;

-- Receipts: an entry that brings money in spends exactly one, for exactly what it attests.
CREATE FUNCTION spend_receipts(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO receipt_use (receipt_id, ledger_id, sequence, purpose, account, amount, currency)
    SELECT e.receipt, e.ledger_id, e.sequence, e.kind, a.path, -p.amount, a.currency
      FROM unnest(lines) p
      JOIN entry e USING (ledger_id, sequence)
      JOIN account a ON a.id = p.account_id
     WHERE e.receipt IS NOT NULL AND p.amount < 0;

    PERFORM refuse('receipt_matches_bank', format('entry %s books a receipt of another rail', p.sequence))
       FROM unnest(lines) p
       JOIN entry e USING (ledger_id, sequence)
       JOIN account a ON a.id = p.account_id
       JOIN receipt r ON r.id = e.receipt
      WHERE p.amount > 0 AND a.path <> 'bank/' || r.rail;
END $$;

CREATE FUNCTION posting_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    lines posting[];
    with_holds boolean;
    with_stakes boolean;
    with_settlements boolean;
    with_receipts boolean;
BEGIN
    SELECT array_agg(a.*::posting) INTO lines FROM added a;
    IF lines IS NULL THEN
        RETURN NULL;
    END IF;
    PERFORM check_shape_of(lines);
    PERFORM move_balances(lines);
    SELECT bool_or(k.hold IS NOT NULL), bool_or(k.stake), bool_or(k.settlement IS NOT NULL), bool_or(k.receipt)
      INTO with_holds, with_stakes, with_settlements, with_receipts
      FROM (SELECT DISTINCT e.ledger_id, e.kind FROM added JOIN entry e USING (ledger_id, sequence)) used
      JOIN ledger l ON l.id = used.ledger_id
      JOIN kind k ON k.chart = l.chart AND k.name = used.kind;
    IF with_holds THEN PERFORM move_holds(lines); END IF;
    IF with_stakes THEN PERFORM record_stakes(lines); END IF;
    IF with_settlements THEN PERFORM settle(lines); END IF;
    IF with_receipts THEN PERFORM spend_receipts(lines); END IF;
    RETURN NULL;
END $$;

-- An event as the wire has it (CloudEvents, structured).
CREATE FUNCTION cloud_event(id uuid, type text, subject text, happened timestamptz, sequence bigint, traceparent text, data jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'specversion', '1.0', 'id', id, 'source', '/ledger', 'type', type, 'subject', subject,
        'time', to_char(happened AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'datacontenttype', 'application/json', 'dataschema', '/schemas/' || type, 'partitionkey', subject,
        'sequence', sequence, 'data', data)
        || CASE WHEN traceparent IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('traceparent', traceparent) END
$$;

-- The head moves by exactly the new entries, each of which must have its postings by now, and an
-- event leaves for each: no caller can post and stay silent.
CREATE FUNCTION entry_added() RETURNS trigger
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

    PERFORM refuse('entry_is_complete', format('entry %s has %s of %s postings', e.sequence, count(p.leg), e.legs))
       FROM added e LEFT JOIN posting p USING (ledger_id, sequence)
      GROUP BY e.ledger_id, e.sequence, e.legs HAVING count(p.leg) <> e.legs LIMIT 1;

    PERFORM refuse('command_has_one_outcome', format('command %s was refused before', r.id))
       FROM added e JOIN refusal r ON r.id = e.id LIMIT 1;

    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(e.reference, 0) & 15, e.id, 'events', 'ledger.entry.committed.v1.' || e.kind,
           e.reference, e.sequence,
           cloud_event(e.id, 'ledger.entry.committed.v1', e.reference, e.posted_at, e.sequence, e.traceparent,
               jsonb_build_object(
                   'id', e.id, 'sequence', e.sequence, 'kind', e.kind, 'principal', e.principal,
                   'idempotency_key', e.idempotency_key, 'reference', e.reference, 'metadata', e.metadata,
                   'posted_at', to_char(e.posted_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'effective_at', to_char(e.effective_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                   'receipt', e.receipt,
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
                   'account_sequence', p.account_sequence, 'hold', p.hold) ORDER BY p.leg) AS lines, max(a.exponent) AS exponent
          FROM posting p JOIN account a ON a.id = p.account_id
         WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence) posted ON true
     ORDER BY e.ledger_id, e.sequence;
    RETURN NULL;
END $$;

-- An amount as the wire has it: exactly the currency's decimals.
CREATE FUNCTION to_money(amount numeric, exponent smallint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT round(amount, exponent)::text $$;

CREATE FUNCTION refusal_added() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM refuse('command_has_one_outcome', format('command %s was posted before', e.id))
       FROM added r JOIN entry e ON e.id = r.id LIMIT 1;
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(r.reference, 0) & 15, r.id, 'events', 'ledger.post.refused.v1.' || r.kind,
           r.reference, h.sequence,
           cloud_event(r.id, 'ledger.post.refused.v1', r.reference, r.refused_at, h.sequence, r.traceparent,
               jsonb_build_object('idempotency_key', r.idempotency_key, 'principal', r.principal, 'kind', r.kind,
                                  'reference', r.reference, 'problem', r.problem))
      FROM added r JOIN head h ON h.ledger_id = r.ledger_id;
    RETURN NULL;
END $$;

CREATE TRIGGER account_follows_chart BEFORE INSERT ON account
    FOR EACH ROW EXECUTE FUNCTION account_follows_chart();
CREATE TRIGGER account_has_balance AFTER INSERT ON account
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION account_has_balance();
CREATE TRIGGER posting_added AFTER INSERT ON posting
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION posting_added();
CREATE TRIGGER entry_added AFTER INSERT ON entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION entry_added();
CREATE TRIGGER refusal_added AFTER INSERT ON refusal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refusal_added();

DO $$
DECLARE
    room text;
BEGIN
    FOREACH room IN ARRAY ARRAY['account', 'entry', 'posting', 'refusal', 'receipt', 'receipt_use'] LOOP
        EXECUTE format('CREATE TRIGGER %I_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()', room, room);
    END LOOP;
    FOREACH room IN ARRAY ARRAY['balance', 'hold', 'stake', 'settlement'] LOOP
        EXECUTE format('CREATE TRIGGER %I_is_derived BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal()', room, room);
    END LOOP;
    EXECUTE 'CREATE TRIGGER head_is_derived BEFORE UPDATE OR DELETE OR TRUNCATE ON head '
            'FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal()';
    EXECUTE 'CREATE TRIGGER receipt_use_is_derived BEFORE INSERT ON receipt_use '
            'FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal()';
END $$;

-- migrate:down
DROP TRIGGER account_follows_chart ON account;
DROP TRIGGER account_has_balance ON account;
DROP TRIGGER posting_added ON posting;
DROP TRIGGER entry_added ON entry;
DROP TRIGGER refusal_added ON refusal;
DROP FUNCTION history_is_append_only, derived_from_journal CASCADE;
DROP FUNCTION posting_added, entry_added, refusal_added, account_has_balance, account_follows_chart,
    spend_receipts, settle, record_stakes, draws, move_holds, move_balances, check_shape_of,
    cloud_event, to_money, refuse_stale, refuse;
