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

-- A posting with everything the rules ask about it: its entry, its account, its kind. Read once a batch.
CREATE TYPE journal_line AS (
    ledger_id smallint, sequence bigint, leg smallint, account_id bigint, account_sequence bigint,
    amount numeric, balance numeric, hold uuid,
    kind text, legs smallint, reference text, receipt uuid,
    version integer, total numeric, chunk integer, chunks integer,
    path text, currency text, exponent smallint, owner_kind text, owner text, requires_hold boolean,
    players smallint, needs_receipt boolean, hold_effect text, stakes boolean, settles text,
    fits_template boolean, permitted boolean
);

-- Each look-up is LATERAL with OFFSET 0: a join could be planned as a scan of the whole journal by a
-- plan cached while the tables were empty.
CREATE FUNCTION with_context(lines posting[]) RETURNS journal_line[] LANGUAGE sql STABLE AS $$
    SELECT array_agg((
               p.ledger_id, p.sequence, p.leg, p.account_id, p.account_sequence, p.amount, p.balance, p.hold,
               e.kind, e.legs, e.reference, e.receipt,
               e.settlement_version, e.settlement_total, e.settlement_chunk, e.settlement_chunks,
               a.path, a.currency, a.exponent, a.owner_kind, a.owner, a.requires_hold,
               k.players, k.receipt, k.hold, k.stake, k.settlement,
               t.fits IS NOT NULL, w.may IS NOT NULL)::journal_line)
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

-- Every rule about the shape of entries: each posting belongs to an entry written by this very
-- statement, fits its kind's template, carries a hold exactly where one is required, has no more
-- decimals than its currency; each entry balances per currency, has the players its kind asks for
-- and touches no market but the one its reference names.
CREATE FUNCTION check_shape_of(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse(verdict.rule, format('entry %s breaks %s', verdict.sequence, verdict.rule))
       FROM (
        SELECT sequence,
               CASE
                   WHEN bool_or(kind IS NULL) THEN 'posting_belongs_to_entry'
                   WHEN count(*) <> min(legs) OR min(leg) <> 1 OR max(leg) <> min(legs) THEN 'entry_is_complete'
                   WHEN bool_or(path IS NULL) THEN 'posting_account_is_open'
                   WHEN NOT bool_and(fits_template) THEN 'posting_fits_template'
                   WHEN bool_or(scale(amount) > exponent) THEN 'posting_fits_currency'
                   WHEN bool_or(requires_hold <> (hold IS NOT NULL)) THEN 'posting_carries_hold'
                   WHEN min(players) <> count(DISTINCT owner) FILTER (WHERE owner_kind = 'player')
                       THEN 'entry_binds_players'
                   WHEN bool_or(owner_kind = 'market' AND 'markets/' || owner <> reference) THEN 'entry_binds_market'
                   WHEN NOT bool_and(permitted) THEN 'principal_may_post_kind'
                   WHEN bool_or((receipt IS NOT NULL) <> needs_receipt) THEN 'entry_receipt_as_kind_says'
                   WHEN bool_or((version IS NOT NULL) <> (settles IS NOT NULL)) THEN 'entry_settlement_as_kind_says'
               END AS rule
          FROM unnest(lines) GROUP BY ledger_id, sequence) verdict
      WHERE verdict.rule IS NOT NULL;

    PERFORM refuse('entry_balances', format('entry %s does not balance', unbalanced.sequence))
       FROM (SELECT sequence FROM unnest(lines)
              GROUP BY ledger_id, sequence, currency HAVING sum(amount) <> 0) unbalanced;
END $$;

-- Balances move by the sum of the new postings, and by nothing else. The account sequence is a
-- compare-and-swap: a posting decided on an older state finds no row to move.
CREATE FUNCTION move_balances(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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
               FROM unnest(lines) p
               JOIN LATERAL (SELECT * FROM balance WHERE account_id = p.account_id OFFSET 0) b ON true
             WINDOW whole AS (PARTITION BY p.account_id),
                    upto AS (PARTITION BY p.account_id ORDER BY p.account_sequence)) step
      WHERE step.below OR step.untrue;
END $$;

-- Holds: opened once, drawn under the reference and on the account they were opened with.
CREATE FUNCTION move_holds(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    wanted bigint;
    drawn bigint;
BEGIN
    INSERT INTO hold (ledger_id, id, account_id, reference, opened, remaining)
    SELECT ledger_id, hold, account_id, reference, -amount, -amount
      FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'open';

    SELECT count(DISTINCT (hold, account_id, reference)) INTO wanted
      FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw';
    UPDATE hold h SET remaining = h.remaining - d.amount
      FROM (SELECT ledger_id, hold, account_id, reference, sum(amount) AS amount
              FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'draw'
             GROUP BY ledger_id, hold, account_id, reference) d
     WHERE h.ledger_id = d.ledger_id AND h.id = d.hold AND h.account_id = d.account_id AND h.reference = d.reference;
    GET DIAGNOSTICS drawn = ROW_COUNT;
    IF drawn <> wanted THEN
        PERFORM refuse('hold_is_bound', 'a hold is drawn only on its own account and under its own reference');
    END IF;
END $$;

-- Stakes: what each player put into an escrow. A market that has begun to settle takes no more.
CREATE FUNCTION record_stakes(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('escrow_is_frozen', format('%s is already settling', p.reference))
       FROM unnest(lines) p
       JOIN settlement s ON p.stakes AND s.ledger_id = p.ledger_id AND s.reference = p.reference LIMIT 1;
    INSERT INTO stake (ledger_id, reference, player, contributed)
    SELECT ledger_id, reference, owner, sum(amount)
      FROM unnest(lines) WHERE stakes AND owner_kind = 'player'
     GROUP BY ledger_id, reference, owner
    ON CONFLICT (ledger_id, reference, player)
        DO UPDATE SET contributed = stake.contributed + excluded.contributed;
END $$;

-- Settlements: the first chunk opens the header at exactly the escrow's whole; every chunk pays
-- contributors (a void: no more than their own stake); the last one must leave zero behind.
CREATE FUNCTION settle(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Receipts: an entry that brings money in spends exactly one, for exactly what it attests.
CREATE FUNCTION spend_receipts(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO receipt_use (receipt_id, ledger_id, sequence, purpose, account, amount, currency)
    SELECT receipt, ledger_id, sequence, kind, path, -amount, currency
      FROM unnest(lines) WHERE receipt IS NOT NULL AND amount < 0;

    PERFORM refuse('receipt_matches_bank', format('entry %s books a receipt of another rail', p.sequence))
       FROM unnest(lines) p JOIN receipt r ON r.id = p.receipt
      WHERE p.amount > 0 AND p.path <> 'bank/' || r.rail;
END $$;

CREATE FUNCTION posting_added() RETURNS trigger
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
           bool_or(needs_receipt) AS receipts
      INTO has FROM unnest(lines);
    IF has.holds THEN PERFORM move_holds(lines); END IF;
    IF has.stakes THEN PERFORM record_stakes(lines); END IF;
    IF has.settles THEN PERFORM settle(lines); END IF;
    IF has.receipts THEN PERFORM spend_receipts(lines); END IF;
    RETURN NULL;
END $$;

-- An event as the wire has it (CloudEvents, structured).
CREATE FUNCTION cloud_event(id uuid, type text, subject text, happened timestamptz, sequence bigint, traceparent text, data jsonb)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object(
        'specversion', '1.0', 'id', id, 'source', '/ledger', 'type', type, 'subject', subject,
        'time', to_char(happened AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'datacontenttype', 'application/json', 'dataschema', 'urn:el-carril:schema:' || type, 'partitionkey', subject,
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

    PERFORM refuse('entry_is_complete', format('entry %s has %s of %s postings', e.sequence, e.posted, e.legs))
       FROM (SELECT e.sequence, e.legs,
                    (SELECT count(*) FROM posting p WHERE p.ledger_id = e.ledger_id AND p.sequence = e.sequence) AS posted
               FROM added e) e
      WHERE e.posted <> e.legs;

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
                   'account_sequence', p.account_sequence, 'hold', p.hold) ORDER BY p.leg) AS lines,
               max(a.exponent) AS exponent
          FROM posting p
          JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id OFFSET 0) a ON true
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
                                  'reference', r.reference, 'problem', r.problem - 'field'))
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
    spend_receipts, settle, record_stakes, move_holds, move_balances, check_shape_of, with_context,
    cloud_event, to_money, refuse_stale, refuse;
DROP TYPE journal_line;
