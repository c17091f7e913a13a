CREATE TYPE public.journal_line AS (
	ledger_id smallint,
	sequence bigint,
	leg smallint,
	account_id bigint,
	account_sequence bigint,
	amount numeric,
	balance numeric,
	hold uuid,
	kind text,
	legs smallint,
	reference text,
	receipt uuid,
	version integer,
	total numeric,
	chunk integer,
	chunks integer,
	path text,
	currency text,
	exponent smallint,
	owner_kind text,
	owner text,
	requires_hold boolean,
	players smallint,
	needs_receipt boolean,
	hold_effect text,
	stakes boolean,
	settles text,
	fits_template boolean,
	permitted boolean,
	reverses uuid,
	mirrors boolean,
	draws text,
	expiring boolean,
	expires_at timestamp with time zone,
	hold_events boolean
);

CREATE DOMAIN public.money_amount AS numeric
	CONSTRAINT money_is_exact CHECK ((scale(VALUE) <= 6))
	CONSTRAINT money_is_finite CHECK (((VALUE > '-1000000000000000000'::numeric) AND (VALUE < '1000000000000000000'::numeric)));

CREATE FUNCTION public.account_closed() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.account_currency_follows_chart() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM refuse('account_currency_is_in_chart', format('%s is not kept in %s', a.path, a.currency))
       FROM added a JOIN ledger l ON l.id = a.ledger_id
      WHERE NOT EXISTS (SELECT FROM chart_currency c WHERE c.chart = l.chart AND c.currency = a.currency);
    RETURN NULL;
END $$;

CREATE FUNCTION public.account_follows_chart() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.account_has_balance() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO balance (account_id, side, floored) SELECT id, side, floored FROM added;
    RETURN NULL;
END $$;

CREATE FUNCTION public.account_sequence_at(account bigint, at_sequence bigint) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    least_possible bigint := 0;
    most_possible bigint;
    middle bigint;
    found_sequence bigint;
BEGIN
    SELECT b.sequence INTO most_possible FROM balance b WHERE b.account_id = account;
    WHILE least_possible < most_possible LOOP
        middle := (least_possible + most_possible + 1) / 2;
        SELECT p.sequence INTO found_sequence FROM posting p WHERE p.account_id = account AND p.account_sequence = middle;
        IF found_sequence <= at_sequence THEN
            least_possible := middle;
        ELSE
            most_possible := middle - 1;
        END IF;
    END LOOP;
    RETURN least_possible;
END $$;

CREATE FUNCTION public.announce_close(ledger smallint, wanted_period text, starting date) RETURNS void
    LANGUAGE sql
    AS $$
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended(subject, 0) & 15, event_id, 'events', type, subject, c.sequence,
           cloud_event(event_id, type, subject, c.closed_at, c.sequence, NULL, jsonb_build_object(
               'ledger', l.name, 'starts_on', c.starts_on, 'sequence', c.sequence, 'entries', c.entries, 'late', c.late,
               'ends_at', to_char(c.ends_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
               'proofs', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                              'currency', p.currency, 'money', to_money(p.money, m.exponent),
                              'owed', to_money(p.owed, m.exponent), 'covered', p.covered) ORDER BY p.currency), '[]')
                            FROM close_proof p JOIN currency m ON m.code = p.currency
                           WHERE p.ledger_id = ledger AND p.period = wanted_period AND p.starts_on = starting)))
      FROM period_close c
      JOIN ledger l ON l.id = c.ledger_id,
      LATERAL (SELECT gen_random_uuid() AS event_id, 'ledgers/' || l.name AS subject,
                      'ledger.' || wanted_period || '.closed.v1' AS type) event
     WHERE c.ledger_id = ledger AND c.period = wanted_period AND c.starts_on = starting
$$;

CREATE FUNCTION public.api_key_only_ends() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at
       OR NEW.expires_at IS DISTINCT FROM OLD.expires_at
          AND (NEW.expires_at IS NULL OR NEW.expires_at > coalesce(OLD.expires_at, 'infinity')) THEN
        PERFORM refuse('api_key_only_ends', 'a key is neither revived nor prolonged: make another');
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.check_close(ledger smallint, wanted_period text, starting date, previous date) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('close_balance_is_true', format('account %s did not have %s', c.account_id, c.balance))
       FROM close_balance c
       JOIN posting p ON p.account_id = c.account_id AND p.account_sequence = c.account_sequence
      WHERE c.ledger_id = ledger AND c.period = wanted_period AND c.starts_on = starting
        AND c.balance <> p.balance LIMIT 1;
    PERFORM refuse('close_opens_where_last_closed', format('%s in %s', t.class, t.currency))
       FROM close_total t
       LEFT JOIN close_total b ON b.ledger_id = ledger AND b.period = wanted_period AND b.starts_on = previous
                              AND b.class = t.class AND b.currency = t.currency
      WHERE t.ledger_id = ledger AND t.period = wanted_period AND t.starts_on = starting
        AND t.opening <> coalesce(b.debit_balance - b.credit_balance, 0) LIMIT 1;
    PERFORM refuse('close_is_balanced', format('debits and credits differ in %s', t.currency))
       FROM close_total t
      WHERE t.ledger_id = ledger AND t.period = wanted_period AND t.starts_on = starting
      GROUP BY t.currency HAVING sum(t.debit_balance) <> sum(t.credit_balance) LIMIT 1;
END $$;

CREATE FUNCTION public.check_mirrors(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse(verdict.rule, format('entry %s breaks %s', verdict.sequence, verdict.rule))
       FROM (
        SELECT r.sequence,
               CASE
                   WHEN o.sequence IS NULL OR o.sequence >= r.sequence THEN 'reversal_names_an_entry'
                   WHEN k.reversible IS NOT TRUE THEN 'reversal_of_reversible_kind'
                   WHEN w.may IS NULL THEN 'principal_may_post_kind'
                   WHEN o.reference <> r.reference THEN 'reversal_keeps_reference'
                   WHEN o.legs <> r.legs OR r.mirrored <> r.legs THEN 'reversal_mirrors_entry'
               END AS rule
          FROM (SELECT p.ledger_id, p.sequence, p.reverses, min(p.reference) AS reference, min(p.legs) AS legs,
                       count(m.leg) AS mirrored
                  FROM unnest(lines) p
                  LEFT JOIN LATERAL (SELECT sequence FROM entry WHERE id = p.reverses AND ledger_id = p.ledger_id OFFSET 0) o ON true
                  LEFT JOIN LATERAL (SELECT leg FROM posting
                                      WHERE ledger_id = p.ledger_id AND sequence = o.sequence AND leg = p.leg
                                        AND account_id = p.account_id AND amount = -p.amount
                                        AND hold IS NOT DISTINCT FROM p.hold OFFSET 0) m ON true
                 WHERE p.reverses IS NOT NULL GROUP BY p.ledger_id, p.sequence, p.reverses) r
          LEFT JOIN LATERAL (SELECT * FROM entry WHERE id = r.reverses AND ledger_id = r.ledger_id OFFSET 0) o ON true
          LEFT JOIN LATERAL (SELECT reversible FROM kind
                              WHERE chart = (SELECT chart FROM ledger WHERE id = r.ledger_id) AND name = o.kind OFFSET 0) k ON true
          LEFT JOIN LATERAL (SELECT true AS may FROM entry e JOIN principal n ON n.ledger_id = e.ledger_id AND n.name = e.principal
                              WHERE e.ledger_id = r.ledger_id AND e.sequence = r.sequence AND o.kind = ANY (n.kinds) OFFSET 0) w ON true
       ) verdict
      WHERE verdict.rule IS NOT NULL;
END $$;

CREATE FUNCTION public.close_period(ledger smallint, wanted_period text, starting date) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    due record;
    previous record;
    last bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('close ' || wanted_period), ledger);
    IF EXISTS (SELECT FROM period_close c
                WHERE c.ledger_id = ledger AND c.period = wanted_period AND c.starts_on = starting) THEN
        RETURN false;
    END IF;
    due := next_close(ledger, wanted_period);
    IF due.starts_on IS DISTINCT FROM starting THEN
        PERFORM refuse('closes_follow_each_other', format('%s is not the next %s to close', starting, wanted_period));
    ELSIF (SELECT h.settled_at FROM head h WHERE h.ledger_id = ledger) < due.ends_at - interval '1 microsecond' THEN
        PERFORM refuse('close_is_settled', format('the %s of %s is not over or not settled', wanted_period, starting));
    ELSIF wanted_period = 'month' AND (next_close(ledger, 'day')).ends_at <= due.ends_at THEN
        PERFORM refuse('month_has_all_days', format('a day of %s is still open', starting));
    END IF;
    SELECT c.starts_on, c.sequence INTO previous FROM period_close c
     WHERE c.ledger_id = ledger AND c.period = wanted_period ORDER BY c.starts_on DESC LIMIT 1;
    last := sequence_at(ledger, due.ends_at - interval '1 microsecond');

    INSERT INTO period_close (ledger_id, period, starts_on, ends_at, sequence, entries, late)
    SELECT ledger, wanted_period, starting, due.ends_at, last, last - coalesce(previous.sequence, 0),
           (SELECT count(*) FROM entry e
             WHERE e.ledger_id = ledger AND e.sequence > coalesce(previous.sequence, 0) AND e.sequence <= last
               AND e.effective_at < starting::timestamp AT TIME ZONE l.zone)
      FROM ledger l WHERE l.id = ledger;

    INSERT INTO close_balance (ledger_id, period, starts_on, account_id, debit, credit, balance, account_sequence)
    SELECT ledger, wanted_period, starting, account_id, coalesce(t.debit, 0), coalesce(t.credit, 0),
           coalesce(o.balance, 0) + coalesce(t.debit, 0) - coalesce(t.credit, 0),
           coalesce(t.account_sequence, o.account_sequence)
      FROM period_turnover(ledger, wanted_period, starting, coalesce(previous.sequence, 0), last) t
      FULL JOIN (SELECT c.account_id, c.balance, c.account_sequence FROM close_balance c
                  WHERE c.ledger_id = ledger AND c.period = wanted_period
                    AND c.starts_on = previous.starts_on) o USING (account_id)
     WHERE t.debit > 0 OR t.credit > 0 OR o.balance <> 0;

    INSERT INTO close_total (ledger_id, period, starts_on, class, currency, opening, debit, credit,
                             debit_balance, credit_balance)
    SELECT ledger, wanted_period, starting, a.class, a.currency,
           sum(c.balance - c.debit + c.credit), sum(c.debit), sum(c.credit),
           coalesce(sum(c.balance) FILTER (WHERE c.balance > 0), 0),
           coalesce(-sum(c.balance) FILTER (WHERE c.balance < 0), 0)
      FROM close_balance c JOIN account a ON a.id = c.account_id
     WHERE c.ledger_id = ledger AND c.period = wanted_period AND c.starts_on = starting
     GROUP BY a.class, a.currency;

    INSERT INTO close_proof (ledger_id, period, starts_on, currency, money, owed)
    SELECT ledger, wanted_period, starting, t.currency,
           coalesce(sum(t.debit_balance - t.credit_balance) FILTER (WHERE k.segregation = 'money'), 0),
           coalesce(sum(t.credit_balance - t.debit_balance) FILTER (WHERE k.segregation = 'owed'), 0)
      FROM close_total t
      JOIN ledger l ON l.id = t.ledger_id
      JOIN account_class k ON k.chart = l.chart AND k.name = t.class AND k.segregation IS NOT NULL
     WHERE t.ledger_id = ledger AND t.period = wanted_period AND t.starts_on = starting
     GROUP BY t.currency;

    PERFORM check_close(ledger, wanted_period, starting, previous.starts_on);
    PERFORM announce_close(ledger, wanted_period, starting);
    UPDATE head h SET closed_until = due.ends_at WHERE h.ledger_id = ledger AND h.closed_until < due.ends_at;
    RETURN true;
END $$;

CREATE FUNCTION public.cloud_event(id uuid, type text, subject text, happened timestamp with time zone, sequence bigint, traceparent text, data jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT jsonb_build_object(
        'specversion', '1.0', 'id', id, 'source', '/ledger', 'type', type, 'subject', subject,
        'time', to_char(happened AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        'datacontenttype', 'application/json', 'dataschema', 'urn:el-carril:schema:' || type, 'partitionkey', subject,
        'sequence', sequence, 'data', data)
        || CASE WHEN traceparent IS NULL THEN '{}'::jsonb ELSE jsonb_build_object('traceparent', traceparent) END
$$;

CREATE TABLE public.posting (
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    leg smallint NOT NULL,
    account_id bigint NOT NULL,
    account_sequence bigint NOT NULL,
    amount public.money_amount NOT NULL,
    balance public.money_amount NOT NULL,
    hold uuid,
    CONSTRAINT posting_is_not_zero CHECK (((amount)::numeric <> (0)::numeric))
);

CREATE FUNCTION public.count_play(lines public.posting[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
DECLARE
    beyond record;
BEGIN
    INSERT INTO player_count AS known (ledger_id, player, currency, period, starts_at, deposited, staked, returned)
    SELECT c.ledger_id, c.player, c.currency, w.period, period_start(w.period, now()), c.deposited, c.staked, c.returned
      FROM counted(lines) c
      JOIN player_policy y ON y.ledger_id = c.ledger_id AND y.player = c.player,
           unnest(ARRAY['day', 'week', 'month']) AS w (period)
     ORDER BY c.ledger_id, c.player, c.currency, w.period
    ON CONFLICT ON CONSTRAINT player_count_pkey DO UPDATE
       SET deposited = known.deposited + excluded.deposited, staked = known.staked + excluded.staked,
           returned = known.returned + excluded.returned;
    SELECT y.player, coalesce(y.blocked_until > now(), false) AS blocked, k.measure, k.period, k.cap INTO beyond
      FROM counted(lines) c
      JOIN player_policy y ON y.ledger_id = c.ledger_id AND y.player = c.player
      LEFT JOIN (player_cap k JOIN player_count n ON n.ledger_id = k.ledger_id AND n.player = k.player
                 AND n.currency = k.currency AND n.period = k.period AND n.starts_at = period_start(k.period, now()))
             ON k.ledger_id = c.ledger_id AND k.player = c.player AND k.currency = c.currency
            AND CASE k.measure WHEN 'deposit' THEN c.deposited > 0 AND n.deposited > k.cap
                               WHEN 'stake' THEN c.staked > 0 AND n.staked > k.cap
                               ELSE c.staked > 0 AND n.staked - n.returned > k.cap END
     WHERE c.capped AND (y.blocked_until > now() OR k.cap IS NOT NULL)
     LIMIT 1;
    IF FOUND AND beyond.blocked THEN
        PERFORM refuse('player_is_not_blocked', format('player %s neither stakes nor deposits now', beyond.player));
    ELSIF FOUND THEN
        PERFORM refuse('player_stays_within_caps', format('player %s goes beyond the %s cap of the %s, %s',
                       beyond.player, beyond.measure, beyond.period, beyond.cap));
    END IF;
END $$;

CREATE FUNCTION public.counted(lines public.posting[]) RETURNS TABLE(ledger_id smallint, player text, currency text, capped boolean, deposited numeric, staked numeric, returned numeric)
    LANGUAGE sql STABLE
    AS $$
    SELECT p.ledger_id, a.owner, a.currency, bool_or(e.kind = k.name AND k.capped IS NOT NULL),
           coalesce(sum(-p.amount) FILTER (WHERE k.counts = 'deposit'), 0),
           coalesce(sum(p.amount) FILTER (WHERE k.counts = 'stake'), 0),
           coalesce(sum(-p.amount) FILTER (WHERE k.counts = 'payout'), 0)
      FROM unnest(lines) p
      JOIN LATERAL (SELECT * FROM account WHERE id = p.account_id OFFSET 0) a ON counts_on(a.class)
      JOIN LATERAL (SELECT kind, reverses FROM entry WHERE ledger_id = p.ledger_id AND sequence = p.sequence OFFSET 0) e ON true
      LEFT JOIN LATERAL (SELECT kind FROM entry WHERE id = e.reverses AND ledger_id = p.ledger_id OFFSET 0) o ON true
      JOIN LATERAL (SELECT chart FROM ledger WHERE id = p.ledger_id OFFSET 0) l ON true
      JOIN LATERAL (SELECT name, counts, kind.capped FROM kind
                     WHERE chart = l.chart AND name = coalesce(o.kind, e.kind) OFFSET 0) k ON k.counts IS NOT NULL
     GROUP BY p.ledger_id, a.owner, a.currency
$$;

CREATE FUNCTION public.counts_on(class text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT class IN ('player.available', 'player.uncleared', 'player.debt')
$$;

CREATE FUNCTION public.deadline_ends_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.deadline_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state NOT IN ('DONE', 'CANCELLED') OR OLD.ended_at > clock_timestamp() - interval '90 days'
       OR EXISTS (SELECT FROM deadline armed WHERE armed.subject = OLD.subject AND armed.kind = OLD.kind
                     AND armed.generation < OLD.generation AND armed.state = 'ARMED') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_is_kept',
            MESSAGE = format('deadline %s of %s is still needed', OLD.kind, OLD.subject);
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.derived_from_journal() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF pg_trigger_depth() < 2 THEN
        PERFORM refuse('derived_from_journal', format('%s on %s: it is derived from the journal', TG_OP, TG_TABLE_NAME));
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.entry_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.entry_tagged() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO entry_tag (ledger_id, key, value, sequence)
    SELECT e.ledger_id, tag.key, tag.value, e.sequence
      FROM added e, jsonb_each_text(e.metadata) tag WHERE e.metadata <> '{}';
    RETURN NULL;
END $$;

CREATE FUNCTION public.entry_waits_for_the_disk() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM refuse('entry_waits_for_the_disk', 'this session commits before its work is on disk');
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.forget_deadline(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH old AS MATERIALIZED (
        SELECT subject, kind, generation FROM deadline d
         WHERE state IN ('DONE', 'CANCELLED') AND ended_at < clock_timestamp() - interval '90 days'
           AND NOT EXISTS (SELECT FROM deadline armed WHERE armed.subject = d.subject AND armed.kind = d.kind
                              AND armed.generation < d.generation AND armed.state = 'ARMED')
         ORDER BY ended_at LIMIT at_most FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        DELETE FROM deadline d USING old
         WHERE d.subject = old.subject AND d.kind = old.kind AND d.generation = old.generation RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION public.head_moves_on() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    added record;
BEGIN
    SELECT min(posted_at) AS first, max(posted_at) AS last, min(effective_at) AS effective INTO added
      FROM entry WHERE ledger_id = NEW.ledger_id AND sequence > OLD.sequence AND sequence <= NEW.sequence;
    IF added.first IS NULL THEN
        PERFORM refuse('head_moves_with_entries', 'the head moves by entries alone');
    ELSIF added.first <= OLD.settled_at THEN
        PERFORM refuse_stale('entry_is_posted_after_settled', 'the batch is older than a settled moment');
    ELSIF added.first <> added.last
          OR added.last > greatest(clock_timestamp(), OLD.settled_at + interval '1 microsecond') THEN
        PERFORM refuse('entry_is_posted_now', 'a batch is posted at one moment, which has come');
    ELSIF added.effective < OLD.closed_until THEN
        PERFORM refuse('entry_effective_in_open_day',
                       format('an entry would take effect in a closed day, before %s', OLD.closed_until));
    END IF;
    NEW.settled_at := added.last;
    RETURN NEW;
END $$;

CREATE FUNCTION public.history_is_append_only() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('history_is_append_only', format('%s on %s: history is append-only', TG_OP, TG_TABLE_NAME));
    RETURN NULL;
END $$;

CREATE FUNCTION public.keep_hold_deadlines(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO deadline (subject, kind, generation, due_at, retry_at)
    SELECT 'holds/' || ledger_id || '/' || hold, 'hold.expire', 1, expires_at, expires_at
      FROM unnest(lines) WHERE hold IS NOT NULL AND hold_effect = 'open' AND expires_at IS NOT NULL;

    UPDATE deadline d SET state = 'CANCELLED', ended_at = clock_timestamp()
      FROM (SELECT armed.subject, armed.generation
              FROM unnest(lines) p
              JOIN LATERAL (SELECT * FROM hold WHERE ledger_id = p.ledger_id AND id = p.hold OFFSET 0) h
                ON h.expires_at IS NOT NULL AND h.remaining = 0
              JOIN deadline armed ON armed.subject = 'holds/' || p.ledger_id || '/' || p.hold
                                 AND armed.kind = 'hold.expire' AND armed.state = 'ARMED'
             WHERE p.hold IS NOT NULL AND p.hold_effect = 'draw' AND p.draws <> 'expire'
               FOR UPDATE OF armed SKIP LOCKED) ended
     WHERE d.subject = ended.subject AND d.kind = 'hold.expire' AND d.generation = ended.generation;
END $$;

CREATE FUNCTION public.ledger_has_head() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    INSERT INTO head (ledger_id) SELECT id FROM added ON CONFLICT DO NOTHING;
    INSERT INTO principal (ledger_id, name, kinds)
    SELECT l.id, 'ledger', array_agg(k.name)
      FROM added l JOIN kind k ON k.chart = l.chart AND k.draws = 'expire'
     GROUP BY l.id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;

CREATE FUNCTION public.move_holds(lines public.journal_line[], OUT tells boolean, OUT ends boolean) RETURNS record
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.next_close(ledger smallint, wanted_period text, OUT starts_on date, OUT ends_at timestamp with time zone) RETURNS record
    LANGUAGE plpgsql STABLE
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    ledger_zone text;
BEGIN
    SELECT l.zone INTO ledger_zone FROM ledger l WHERE l.id = ledger;
    SELECT (c.starts_on + ('1 ' || wanted_period)::interval)::date INTO starts_on FROM period_close c
     WHERE c.ledger_id = ledger AND c.period = wanted_period ORDER BY c.starts_on DESC LIMIT 1;
    IF starts_on IS NULL THEN
        SELECT date_trunc(wanted_period, e.posted_at AT TIME ZONE ledger_zone)::date INTO starts_on
          FROM entry e WHERE e.ledger_id = ledger AND e.sequence = 1;
    END IF;
    ends_at := (starts_on + ('1 ' || wanted_period)::interval) AT TIME ZONE ledger_zone;
END $$;

CREATE FUNCTION public.period_start(period text, moment timestamp with time zone) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT (date_trunc(period, moment AT TIME ZONE 'UTC' - INTERVAL '6 hours') + INTERVAL '6 hours') AT TIME ZONE 'UTC'
$$;

CREATE FUNCTION public.period_turnover(ledger smallint, wanted_period text, starting date, before bigint, last bigint) RETURNS TABLE(account_id bigint, debit numeric, credit numeric, account_sequence bigint)
    LANGUAGE sql STABLE
    AS $$
    SELECT p.account_id, coalesce(sum(p.amount) FILTER (WHERE p.amount > 0), 0),
           coalesce(-sum(p.amount) FILTER (WHERE p.amount < 0), 0), max(p.account_sequence)
      FROM posting p
     WHERE wanted_period = 'day' AND p.ledger_id = ledger AND p.sequence > before AND p.sequence <= last
     GROUP BY p.account_id
    UNION ALL
    SELECT c.account_id, sum(c.debit), sum(c.credit), max(c.account_sequence)
      FROM close_balance c
     WHERE wanted_period = 'month' AND c.ledger_id = ledger AND c.period = 'day'
       AND c.starts_on >= starting AND c.starts_on < starting + interval '1 month'
     GROUP BY c.account_id
$$;

CREATE FUNCTION public.player_policy_moves_on() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refuse('player_policy_moves_on', format('the policy of %s is at version %s', OLD.player, OLD.version));
    ELSIF OLD.blocked_until > now() AND (NEW.blocked_until IS NULL OR NEW.blocked_until < OLD.blocked_until) THEN
        PERFORM refuse('player_stays_blocked', format('%s is blocked until %s', OLD.player, OLD.blocked_until));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.posting_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.record_stakes(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.refund_returns_to_its_player() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM added WHERE kind IN ('refund.request', 'refund.fail')) THEN
        RETURN NULL;
    END IF;
    INSERT INTO refund_taken (ledger_id, hold, player)
    SELECT DISTINCT e.ledger_id, opened.hold, giver.owner
      FROM added e
      JOIN posting opened ON opened.ledger_id = e.ledger_id AND opened.sequence = e.sequence AND opened.hold IS NOT NULL
      JOIN posting given ON given.ledger_id = e.ledger_id AND given.sequence = e.sequence AND given.amount > 0
      JOIN account giver ON giver.id = given.account_id
     WHERE e.kind = 'refund.request';
    PERFORM refuse('refund_returns_to_its_player', format('entry %s credits a stranger to the refund', e.sequence))
       FROM added e
       JOIN posting drawn ON drawn.ledger_id = e.ledger_id AND drawn.sequence = e.sequence AND drawn.hold IS NOT NULL
       JOIN posting given ON given.ledger_id = e.ledger_id AND given.sequence = e.sequence AND given.amount < 0
       JOIN account taker ON taker.id = given.account_id
      WHERE e.kind = 'refund.fail' AND NOT EXISTS (
            SELECT FROM refund_taken t
             WHERE t.ledger_id = e.ledger_id AND t.hold = drawn.hold AND t.player = taker.owner);
    RETURN NULL;
END $$;

CREATE FUNCTION public.refusal_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.refuse(rule text, message text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = message;
END $$;

CREATE FUNCTION public.refuse_stale(rule text, message text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'serialization_failure', CONSTRAINT = rule, MESSAGE = message;
END $$;

CREATE FUNCTION public.seal_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    new_seal record;
    said jsonb;
BEGIN
    FOR new_seal IN SELECT a.*, l.name AS ledger FROM added a JOIN ledger l ON l.id = a.ledger_id LOOP
        said := convert_from(new_seal.statement, 'UTF8')::jsonb;
        IF said <> jsonb_build_object(
               'v', 1, 'type', 'seal', 'ledger', new_seal.ledger, 'number', new_seal.number, 'first', new_seal.first,
               'last', new_seal.last, 'entries', new_seal.last - new_seal.first + 1, 'root', encode(new_seal.root, 'hex'),
               'previous', encode(new_seal.previous, 'hex'), 'key', new_seal.key_id,
               'sealed_at', to_char(new_seal.sealed_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')) THEN
            PERFORM refuse('seal_says_what_it_is', format('seal %s says something else', new_seal.number));
        END IF;
        IF (SELECT count(*) FROM entry e WHERE e.ledger_id = new_seal.ledger_id
               AND e.sequence BETWEEN new_seal.first AND new_seal.last) <> new_seal.last - new_seal.first + 1 THEN
            PERFORM refuse('seal_covers_every_entry', format('entries are missing between %s and %s', new_seal.first, new_seal.last));
        END IF;
        IF new_seal.key_id <> (SELECT k.id FROM seal_key k
                                WHERE k.ledger_id = new_seal.ledger_id AND k.from_seal <= new_seal.number
                                ORDER BY k.from_seal DESC LIMIT 1) THEN
            PERFORM refuse('seal_key_is_current', format('key %s does not sign seal %s', new_seal.key_id, new_seal.number));
        END IF;
        INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
        SELECT hashtextextended(subject, 0) & 15, id, 'events', 'ledger.seal.made.v1', subject, new_seal.number,
               cloud_event(id, 'ledger.seal.made.v1', subject, new_seal.sealed_at, new_seal.number, NULL,
                   jsonb_build_object(
                       'ledger', new_seal.ledger, 'number', new_seal.number, 'first', new_seal.first, 'last', new_seal.last,
                       'entries', new_seal.last - new_seal.first + 1, 'hash', encode(new_seal.hash, 'hex'),
                       'statement', convert_from(new_seal.statement, 'UTF8'),
                       'signature', translate(encode(new_seal.signature, 'base64'), E'\n', '')))
          FROM (SELECT gen_random_uuid() AS id, 'seals/' || new_seal.ledger AS subject) event;
    END LOOP;
    RETURN NULL;
END $$;

CREATE FUNCTION public.seal_key_added() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM refuse('seal_key_begins_at_the_end', format('key %s would sign what is sealed', a.id))
       FROM added a
      WHERE EXISTS (SELECT FROM seal s WHERE s.ledger_id = a.ledger_id AND s.number >= a.from_seal)
         OR EXISTS (SELECT FROM seal_key k WHERE k.ledger_id = a.ledger_id AND k.from_seal > a.from_seal);
    RETURN NULL;
END $$;

CREATE FUNCTION public.sequence_at(ledger smallint, moment timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql STABLE
    AS $$
DECLARE
    least_possible bigint := 0;
    most_possible bigint;
    middle bigint;
    posted timestamptz;
BEGIN
    SELECT sequence INTO most_possible FROM head WHERE ledger_id = ledger;
    WHILE least_possible < most_possible LOOP
        middle := (least_possible + most_possible + 1) / 2;
        SELECT e.posted_at INTO posted FROM entry e WHERE e.ledger_id = ledger AND e.sequence = middle;
        IF posted <= moment THEN
            least_possible := middle;
        ELSE
            most_possible := middle - 1;
        END IF;
    END LOOP;
    RETURN least_possible;
END $$;

CREATE FUNCTION public.set_player_policy(wanted_ledger smallint, wanted_by text, wanted_player text, wanted_version bigint, until timestamp with time zone, caps jsonb) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.settle(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $_$
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
END $_$;

CREATE FUNCTION public.settle_moment(ledger smallint, moment timestamp with time zone) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    settled timestamptz;
BEGIN
    IF moment > clock_timestamp() THEN
        RETURN NULL;
    END IF;
    SELECT h.settled_at INTO settled FROM head h WHERE h.ledger_id = ledger;
    IF settled < moment THEN
        UPDATE head h SET settled_at = moment WHERE h.ledger_id = ledger AND h.settled_at < moment;
    END IF;
    RETURN sequence_at(ledger, moment);
END $$;

CREATE FUNCTION public.spend_receipts(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO receipt_use (receipt_id, ledger_id, sequence, purpose, account, amount, currency)
    SELECT receipt, ledger_id, sequence, kind, path, -amount, currency
      FROM unnest(lines) WHERE receipt IS NOT NULL AND amount < 0;

    PERFORM refuse('receipt_matches_bank', format('entry %s books a receipt against another account', p.sequence))
       FROM unnest(lines) p
       JOIN receipt r ON r.id = p.receipt
       JOIN ledger l ON l.id = p.ledger_id
       JOIN kind k ON k.chart = l.chart AND k.name = p.kind
      WHERE p.amount > 0 AND p.path <> ALL (
            SELECT replace(allowed, '{rail}', r.rail) FROM unnest(k.receipt_debits) AS allowed);

    PERFORM refuse('receipt_origin_is_booked', format('entry %s takes out what was never put in suspense', p.sequence))
       FROM unnest(lines) p
       JOIN receipt r ON r.id = p.receipt
      WHERE r.origin IS NOT NULL AND r.purpose <> 'deposit.suspense'
        AND NOT EXISTS (SELECT FROM receipt_use u WHERE u.receipt_id = r.origin);

    PERFORM refuse('receipt_or_its_replacement_is_spent', format('entry %s books a transfer twice', p.sequence))
       FROM unnest(lines) p
       JOIN receipt r ON r.id = p.receipt
      WHERE r.purpose = 'deposit' AND EXISTS (SELECT FROM receipt later WHERE later.origin = r.id)
         OR r.purpose = 'deposit.suspense' AND r.origin IS NOT NULL
            AND EXISTS (SELECT FROM receipt_use u WHERE u.receipt_id = r.origin);
END $$;

CREATE FUNCTION public.tell_of_holds(lines public.journal_line[]) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    INSERT INTO outbox (shard, event_id, exchange, routing_key, aggregate, version, body)
    SELECT hashtextextended('holds/' || t.hold, 0) & 15, md5(e.id::text || t.hold::text)::uuid, 'events',
           'ledger.hold.' || t.happened || '.v1', 'holds/' || t.hold, t.sequence,
           cloud_event(md5(e.id::text || t.hold::text)::uuid, 'ledger.hold.' || t.happened || '.v1', 'holds/' || t.hold,
               e.posted_at, t.sequence, e.traceparent,
               jsonb_build_object(
                   'hold', t.hold, 'entry', e.id, 'sequence', t.sequence, 'kind', t.kind, 'principal', e.principal,
                   'reference', t.reference, 'account', t.path, 'origin', o.path, 'currency', t.currency,
                   'amount', to_money(t.amount, t.exponent), 'opened', to_money(t.opened, t.exponent),
                   'captured', to_money(t.captured, t.exponent), 'released', to_money(t.released, t.exponent),
                   'remaining', to_money(t.opened - t.captured - t.released, t.exponent),
                   'expires_at', to_char(t.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')))
      FROM (SELECT p.ledger_id, p.sequence, p.hold, p.kind, p.reference, p.path, p.currency, p.exponent,
                   h.opened, h.origin_id, h.expires_at, abs(p.amount) AS amount,
                   h.captured - coalesce(sum(p.captures) OVER later, 0) AS captured,
                   h.released - coalesce(sum(p.releases) OVER later, 0) AS released,
                   CASE WHEN p.hold_effect = 'open' THEN 'opened' WHEN p.draws = 'capture' THEN 'captured'
                        WHEN p.draws = 'release' THEN 'released' ELSE 'expired' END AS happened
              FROM (SELECT ledger_id, sequence, hold, min(kind) AS kind, min(reference) AS reference, min(path) AS path,
                           min(currency) AS currency, min(exponent) AS exponent, min(hold_effect) AS hold_effect,
                           min(draws) AS draws, sum(amount) AS amount,
                           sum(amount) FILTER (WHERE draws = 'capture') AS captures,
                           sum(amount) FILTER (WHERE draws <> 'capture') AS releases
                      FROM unnest(lines) WHERE hold IS NOT NULL GROUP BY ledger_id, sequence, hold) p
              JOIN LATERAL (SELECT * FROM hold WHERE ledger_id = p.ledger_id AND id = p.hold OFFSET 0) h ON h.tells
            WINDOW later AS (PARTITION BY p.ledger_id, p.hold ORDER BY p.sequence DESC
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING)) t
      JOIN LATERAL (SELECT * FROM entry WHERE ledger_id = t.ledger_id AND sequence = t.sequence OFFSET 0) e ON true
      LEFT JOIN LATERAL (SELECT path FROM account WHERE id = t.origin_id OFFSET 0) o ON true
     ORDER BY t.ledger_id, t.sequence;
END $$;

CREATE FUNCTION public.to_money(amount numeric, exponent smallint) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $$ SELECT round(amount, exponent)::text $$;

CREATE FUNCTION public.wire_time(moment timestamp with time zone) RETURNS text
    LANGUAGE sql STABLE
    AS $$
    SELECT to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
$$;

CREATE FUNCTION public.with_context(lines public.posting[]) RETURNS public.journal_line[]
    LANGUAGE plpgsql STABLE
    AS $$
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

CREATE TABLE public.account (
    id bigint NOT NULL,
    ledger_id smallint NOT NULL,
    path text NOT NULL,
    currency text NOT NULL,
    class text NOT NULL,
    owner_kind text,
    owner text,
    side smallint NOT NULL,
    floored boolean NOT NULL,
    requires_hold boolean NOT NULL,
    exponent smallint NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.account_class (
    chart text NOT NULL,
    name text NOT NULL,
    pattern text NOT NULL,
    side text NOT NULL,
    floored boolean NOT NULL,
    owner_kind text,
    requires_hold boolean DEFAULT false NOT NULL,
    address text,
    segregation text GENERATED ALWAYS AS (
CASE
    WHEN (chart <> 'el-carril'::text) THEN NULL::text
    WHEN ((name = 'bank'::text) OR (name ~~ 'psp%'::text)) THEN 'money'::text
    WHEN ((side = 'credit'::text) AND (name !~~ 'house%'::text)) THEN 'owed'::text
    ELSE NULL::text
END) STORED,
    CONSTRAINT account_class_address_is_of_holds CHECK (((address IS NULL) OR (requires_hold AND (address ~~ '%{owner}%'::text)))),
    CONSTRAINT account_class_owner_kind_is_known CHECK ((owner_kind = ANY (ARRAY['player'::text, 'market'::text, 'account'::text]))),
    CONSTRAINT account_class_side_is_known CHECK ((side = ANY (ARRAY['debit'::text, 'credit'::text])))
);

CREATE TABLE public.account_closing (
    account_id bigint NOT NULL,
    principal text NOT NULL,
    closed_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL
);

ALTER TABLE public.account ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.account_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.account_metadata (
    account_id bigint NOT NULL,
    metadata jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT account_metadata_is_object CHECK ((jsonb_typeof(metadata) = 'object'::text))
);

CREATE TABLE public.api_key (
    id uuid NOT NULL,
    ledger_id smallint NOT NULL,
    principal text NOT NULL,
    digest bytea NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    revoked_at timestamp with time zone,
    scopes text[] NOT NULL,
    signing_root text,
    lifetime interval,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    rate_per_second integer,
    burst integer,
    requests_per_day bigint,
    replaces uuid,
    hint text NOT NULL,
    CONSTRAINT api_key_digest_is_sha256 CHECK ((octet_length(digest) = 32)),
    CONSTRAINT api_key_is_not_the_ledgers_own CHECK ((principal <> 'ledger'::text)),
    CONSTRAINT api_key_quota_is_positive CHECK ((requests_per_day > 0)),
    CONSTRAINT api_key_rate_is_whole CHECK (((num_nulls(rate_per_second, burst) = ANY (ARRAY[0, 2])) AND ((rate_per_second IS NULL) OR ((rate_per_second > 0) AND (burst > 0))))),
    CONSTRAINT api_key_scopes_are_known CHECK ((array_to_string(scopes, ','::text, '?'::text) ~ '^(read|post|post:[a-z][a-z._-]*)(,(read|post|post:[a-z][a-z._-]*))*$'::text))
);

CREATE TABLE public.balance (
    account_id bigint NOT NULL,
    amount public.money_amount DEFAULT 0 NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    side smallint NOT NULL,
    floored boolean NOT NULL,
    closed boolean DEFAULT false NOT NULL,
    CONSTRAINT balance_not_below_floor CHECK (((NOT floored) OR (((amount)::numeric * (side)::numeric) >= (0)::numeric)))
)
WITH (fillfactor='50');

CREATE TABLE public.chart (
    name text NOT NULL
);

CREATE TABLE public.chart_currency (
    chart text NOT NULL,
    currency text NOT NULL
);

CREATE TABLE public.close_balance (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    account_id bigint NOT NULL,
    debit numeric NOT NULL,
    credit numeric NOT NULL,
    balance public.money_amount NOT NULL,
    account_sequence bigint NOT NULL,
    CONSTRAINT close_balance_credit_not_negative CHECK ((credit >= (0)::numeric)),
    CONSTRAINT close_balance_debit_not_negative CHECK ((debit >= (0)::numeric))
);

CREATE TABLE public.close_proof (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    currency text NOT NULL,
    money numeric NOT NULL,
    owed numeric NOT NULL,
    covered boolean GENERATED ALWAYS AS ((money >= owed)) STORED NOT NULL
);

CREATE TABLE public.close_total (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    class text NOT NULL,
    currency text NOT NULL,
    opening numeric NOT NULL,
    debit numeric NOT NULL,
    credit numeric NOT NULL,
    debit_balance numeric NOT NULL,
    credit_balance numeric NOT NULL,
    CONSTRAINT close_total_adds_up CHECK ((((opening + debit) - credit) = (debit_balance - credit_balance)))
);

CREATE TABLE public.currency (
    code text NOT NULL,
    exponent smallint NOT NULL,
    CONSTRAINT currency_code_is_iso CHECK ((code ~ '^[A-Z]{3}$'::text)),
    CONSTRAINT currency_exponent_in_range CHECK (((exponent >= 0) AND (exponent <= 6)))
);

CREATE TABLE public.deadline (
    subject text NOT NULL,
    kind text NOT NULL,
    generation integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state text DEFAULT 'ARMED'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    last_error text,
    armed_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT deadline_ends_with_its_state CHECK (((state = 'ARMED'::text) = (ended_at IS NULL))),
    CONSTRAINT deadline_generation_from_one CHECK ((generation >= 1)),
    CONSTRAINT deadline_kind_is_bounded CHECK (((length(kind) >= 1) AND (length(kind) <= 64))),
    CONSTRAINT deadline_state_is_known CHECK ((state = ANY (ARRAY['ARMED'::text, 'DONE'::text, 'CANCELLED'::text, 'FAILED'::text]))),
    CONSTRAINT deadline_subject_is_bounded CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
)
WITH (fillfactor='70');

CREATE TABLE public.entry (
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    id uuid NOT NULL,
    kind text NOT NULL,
    legs smallint NOT NULL,
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    reference text NOT NULL,
    metadata jsonb DEFAULT '{}'::jsonb NOT NULL,
    receipt uuid,
    settlement_version integer,
    settlement_total public.money_amount,
    settlement_chunk integer,
    settlement_chunks integer,
    traceparent text,
    effective_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    posted_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    reverses uuid,
    link uuid,
    links smallint,
    hold_expires_at timestamp with time zone,
    CONSTRAINT entry_fingerprint_is_sha256 CHECK ((octet_length(fingerprint) = 32)),
    CONSTRAINT entry_has_two_legs CHECK ((legs >= 2)),
    CONSTRAINT entry_key_is_bounded CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT entry_link_is_whole CHECK ((((link IS NULL) = (links IS NULL)) AND ((links IS NULL) OR ((links >= 2) AND (links <= 100))))),
    CONSTRAINT entry_metadata_is_object CHECK ((jsonb_typeof(metadata) = 'object'::text)),
    CONSTRAINT entry_reference_is_bounded CHECK (((length(reference) >= 1) AND (length(reference) <= 200))),
    CONSTRAINT entry_settlement_is_whole CHECK (((num_nulls(settlement_version, settlement_total, settlement_chunk, settlement_chunks) = ANY (ARRAY[0, 4])) AND ((settlement_version IS NULL) OR ((settlement_version >= 1) AND ((settlement_chunk >= 1) AND (settlement_chunk <= settlement_chunks))))))
);

CREATE TABLE public.entry_tag (
    ledger_id smallint NOT NULL,
    key text NOT NULL,
    value text NOT NULL,
    sequence bigint NOT NULL
);

CREATE TABLE public.head (
    ledger_id smallint NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    claim smallint DEFAULT 0 NOT NULL,
    settled_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    closed_until timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='50');

CREATE TABLE public.hold (
    ledger_id smallint NOT NULL,
    id uuid NOT NULL,
    account_id bigint NOT NULL,
    reference text NOT NULL,
    opened public.money_amount NOT NULL,
    remaining public.money_amount NOT NULL,
    origin_id bigint,
    expires_at timestamp with time zone,
    captured public.money_amount DEFAULT 0 NOT NULL,
    released public.money_amount DEFAULT 0 NOT NULL,
    expired boolean DEFAULT false NOT NULL,
    tells boolean DEFAULT false NOT NULL,
    CONSTRAINT hold_adds_up CHECK ((((opened)::numeric = (((remaining)::numeric + (captured)::numeric) + (released)::numeric)) AND ((captured)::numeric >= (0)::numeric) AND ((released)::numeric >= (0)::numeric))),
    CONSTRAINT hold_remaining_not_negative CHECK ((((remaining)::numeric >= (0)::numeric) AND ((remaining)::numeric <= (opened)::numeric)))
)
WITH (fillfactor='70');

CREATE TABLE public.kind (
    chart text NOT NULL,
    name text NOT NULL,
    receipt boolean DEFAULT false NOT NULL,
    players smallint,
    hold text,
    stake boolean DEFAULT false NOT NULL,
    settlement text,
    reversible boolean DEFAULT false NOT NULL,
    mirror boolean DEFAULT false NOT NULL,
    draws text,
    expiring boolean DEFAULT false NOT NULL,
    hold_events boolean DEFAULT false NOT NULL,
    receipt_debits text[],
    counts text,
    capped text,
    CONSTRAINT kind_capped_counts CHECK (((capped IS NULL) OR ((capped = ANY (ARRAY['refuse'::text, 'wait'::text])) AND (counts IS NOT NULL) AND (counts = ANY (ARRAY['deposit'::text, 'stake'::text]))))),
    CONSTRAINT kind_counts_are_known CHECK (((counts = ANY (ARRAY['deposit'::text, 'stake'::text, 'payout'::text])) AND ((counts IS NULL) OR (NOT mirror)))),
    CONSTRAINT kind_draws_are_known CHECK ((draws = ANY (ARRAY['capture'::text, 'release'::text, 'expire'::text]))),
    CONSTRAINT kind_draws_as_hold_says CHECK (((NOT (hold IS DISTINCT FROM 'draw'::text)) = (draws IS NOT NULL))),
    CONSTRAINT kind_expiring_opens CHECK (((NOT expiring) OR (NOT (hold IS DISTINCT FROM 'open'::text)))),
    CONSTRAINT kind_hold_events_opens CHECK (((NOT hold_events) OR (NOT (hold IS DISTINCT FROM 'open'::text)))),
    CONSTRAINT kind_hold_is_known CHECK ((hold = ANY (ARRAY['open'::text, 'draw'::text]))),
    CONSTRAINT kind_mirror_is_nothing_else CHECK (((NOT mirror) OR (NOT (receipt OR stake OR (settlement IS NOT NULL) OR (hold IS NOT NULL) OR (players IS NOT NULL))))),
    CONSTRAINT kind_receipt_says_its_debits CHECK ((receipt = (receipt_debits IS NOT NULL))),
    CONSTRAINT kind_reversible_is_safe CHECK (((NOT reversible) OR (NOT (receipt OR stake OR mirror OR (settlement IS NOT NULL) OR (NOT (hold IS DISTINCT FROM 'draw'::text))))))
);

CREATE TABLE public.kind_leg (
    chart text NOT NULL,
    kind text NOT NULL,
    side text NOT NULL,
    class text NOT NULL,
    CONSTRAINT kind_leg_side_is_known CHECK ((side = ANY (ARRAY['debit'::text, 'credit'::text])))
);

CREATE TABLE public.ledger (
    id smallint NOT NULL,
    name text NOT NULL,
    chart text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    zone text DEFAULT 'UTC'::text NOT NULL
);

CREATE TABLE public.outbox (
    shard smallint NOT NULL,
    id bigint NOT NULL,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body json NOT NULL,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outbox_sent (
    shard smallint NOT NULL,
    until bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='10');

CREATE TABLE public.outbox_shard (
    shard smallint NOT NULL,
    claim smallint DEFAULT 0 NOT NULL,
    CONSTRAINT outbox_shard_in_range CHECK (((shard >= 0) AND (shard <= 15)))
);

CREATE TABLE public.period_close (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    sequence bigint NOT NULL,
    entries bigint NOT NULL,
    late bigint NOT NULL,
    closed_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT period_close_entries_not_negative CHECK ((entries >= 0)),
    CONSTRAINT period_close_late_are_entries CHECK (((late >= 0) AND (late <= entries))),
    CONSTRAINT period_close_month_begins CHECK (((period = 'day'::text) OR (EXTRACT(day FROM starts_on) = (1)::numeric))),
    CONSTRAINT period_close_period_is_known CHECK ((period = ANY (ARRAY['day'::text, 'month'::text])))
);

CREATE TABLE public.player_cap (
    ledger_id smallint NOT NULL,
    player text NOT NULL,
    measure text NOT NULL,
    period text NOT NULL,
    currency text NOT NULL,
    cap public.money_amount NOT NULL,
    CONSTRAINT player_cap_is_not_negative CHECK (((cap)::numeric >= (0)::numeric)),
    CONSTRAINT player_cap_measure_is_known CHECK ((measure = ANY (ARRAY['deposit'::text, 'stake'::text, 'loss'::text]))),
    CONSTRAINT player_cap_period_is_known CHECK ((period = ANY (ARRAY['day'::text, 'week'::text, 'month'::text])))
);

CREATE TABLE public.player_count (
    ledger_id smallint NOT NULL,
    player text NOT NULL,
    currency text NOT NULL,
    period text NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    deposited public.money_amount DEFAULT 0 NOT NULL,
    staked public.money_amount DEFAULT 0 NOT NULL,
    returned public.money_amount DEFAULT 0 NOT NULL
);

CREATE TABLE public.player_policy (
    ledger_id smallint NOT NULL,
    player text NOT NULL,
    version bigint NOT NULL,
    blocked_until timestamp with time zone,
    CONSTRAINT player_policy_player_is_bounded CHECK (((length(player) >= 1) AND (length(player) <= 64))),
    CONSTRAINT player_policy_version_from_one CHECK ((version >= 1))
);

CREATE TABLE public.principal (
    ledger_id smallint NOT NULL,
    name text NOT NULL,
    kinds text[] NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.receipt (
    id uuid NOT NULL,
    ledger_id smallint NOT NULL,
    rail text NOT NULL,
    tracking_key text NOT NULL,
    document_sha256 bytea NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    key_id text NOT NULL,
    attestation bytea NOT NULL,
    signature bytea NOT NULL,
    stored_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    origin uuid,
    origin_purpose text GENERATED ALWAYS AS (
CASE
    WHEN (origin IS NULL) THEN NULL::text
    WHEN (purpose = 'deposit.suspense'::text) THEN 'deposit'::text
    ELSE 'deposit.suspense'::text
END) STORED,
    CONSTRAINT receipt_amount_is_positive CHECK (((amount)::numeric > (0)::numeric)),
    CONSTRAINT receipt_document_is_sha256 CHECK ((octet_length(document_sha256) = 32)),
    CONSTRAINT receipt_origin_as_purpose_says CHECK (
CASE
    WHEN (purpose = ANY (ARRAY['suspense.assign'::text, 'suspense.return'::text])) THEN (origin IS NOT NULL)
    ELSE ((origin IS NULL) OR (purpose = 'deposit.suspense'::text))
END),
    CONSTRAINT receipt_signature_is_ed25519 CHECK ((octet_length(signature) = 64)),
    CONSTRAINT receipt_tracking_key_is_canonical CHECK ((tracking_key = upper(btrim(tracking_key))))
);

CREATE TABLE public.receipt_use (
    receipt_id uuid NOT NULL,
    ledger_id smallint NOT NULL,
    sequence bigint NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL
);

CREATE TABLE public.refund_taken (
    ledger_id smallint NOT NULL,
    hold uuid NOT NULL,
    player text NOT NULL
);

CREATE TABLE public.refusal (
    id uuid NOT NULL,
    ledger_id smallint NOT NULL,
    kind text NOT NULL,
    principal text NOT NULL,
    idempotency_key text NOT NULL,
    fingerprint bytea NOT NULL,
    reference text NOT NULL,
    problem jsonb NOT NULL,
    traceparent text,
    refused_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT refusal_fingerprint_is_sha256 CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.seal (
    ledger_id smallint NOT NULL,
    number bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    root bytea NOT NULL,
    previous bytea NOT NULL,
    key_id text NOT NULL,
    statement bytea NOT NULL,
    signature bytea NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    hash bytea GENERATED ALWAYS AS (sha256(('\x02'::bytea || statement))) STORED NOT NULL,
    previous_number bigint GENERATED ALWAYS AS (NULLIF((number - 1), 0)) STORED,
    previous_last bigint GENERATED ALWAYS AS (NULLIF((first - 1), 0)) STORED,
    CONSTRAINT seal_first_has_nothing_before CHECK ((((number = 1) = (first = 1)) AND ((number > 1) OR (previous = decode(repeat('00'::text, 32), 'hex'::text))))),
    CONSTRAINT seal_is_not_empty CHECK (((number >= 1) AND (first >= 1) AND (last >= first))),
    CONSTRAINT seal_previous_is_sha256 CHECK ((octet_length(previous) = 32)),
    CONSTRAINT seal_root_is_sha256 CHECK ((octet_length(root) = 32)),
    CONSTRAINT seal_signature_is_ed25519 CHECK ((octet_length(signature) = 64))
);

CREATE TABLE public.seal_key (
    ledger_id smallint NOT NULL,
    id text NOT NULL,
    public_key bytea NOT NULL,
    from_seal bigint NOT NULL,
    endorsed_by text,
    endorsement bytea,
    signature bytea,
    made_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT seal_key_from_seal_is_positive CHECK ((from_seal >= 1)),
    CONSTRAINT seal_key_id_is_bounded CHECK ((id ~ '^[a-z0-9._-]{1,64}$'::text)),
    CONSTRAINT seal_key_is_ed25519 CHECK ((octet_length(public_key) = 32)),
    CONSTRAINT seal_key_is_endorsed CHECK ((num_nulls(endorsed_by, endorsement, signature) =
CASE
    WHEN (from_seal = 1) THEN 3
    ELSE 0
END)),
    CONSTRAINT seal_key_signature_is_ed25519 CHECK ((octet_length(signature) = 64))
);

CREATE TABLE public.settlement (
    ledger_id smallint NOT NULL,
    reference text NOT NULL,
    version integer NOT NULL,
    escrow_id bigint NOT NULL,
    total public.money_amount NOT NULL,
    paid public.money_amount DEFAULT 0 NOT NULL,
    chunks integer NOT NULL,
    posted integer DEFAULT 0 NOT NULL,
    state text DEFAULT 'OPEN'::text NOT NULL,
    recovered public.money_amount DEFAULT 0 NOT NULL,
    CONSTRAINT settlement_pays_its_total CHECK ((((paid)::numeric <= (total)::numeric) AND ((state = 'OPEN'::text) = (posted < chunks)) AND ((state = 'OPEN'::text) OR ((paid)::numeric = (total)::numeric)))),
    CONSTRAINT settlement_recovers_its_total CHECK ((((recovered)::numeric >= (0)::numeric) AND (((version = 1) AND ((recovered)::numeric = (0)::numeric)) OR ((version > 1) AND ((recovered)::numeric <= (total)::numeric))) AND ((version = 1) OR ((paid)::numeric = (0)::numeric) OR ((recovered)::numeric = (total)::numeric)))),
    CONSTRAINT settlement_state_is_known CHECK ((state = ANY (ARRAY['OPEN'::text, 'CLOSED'::text])))
);

CREATE TABLE public.stake (
    ledger_id smallint NOT NULL,
    reference text NOT NULL,
    player text NOT NULL,
    contributed public.money_amount NOT NULL,
    returned public.money_amount DEFAULT 0 NOT NULL,
    CONSTRAINT stake_returns_no_more_than_given CHECK ((((returned)::numeric >= (0)::numeric) AND ((returned)::numeric <= (contributed)::numeric)))
)
WITH (fillfactor='70');

ALTER TABLE ONLY public.account_class
    ADD CONSTRAINT account_class_pkey PRIMARY KEY (chart, name);

ALTER TABLE ONLY public.account_closing
    ADD CONSTRAINT account_closing_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.account_metadata
    ADD CONSTRAINT account_metadata_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_path_is_unique UNIQUE (ledger_id, path, currency);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_digest_key UNIQUE (digest);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_is_replaced_once UNIQUE (replaces);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.balance
    ADD CONSTRAINT balance_pkey PRIMARY KEY (account_id);

ALTER TABLE ONLY public.chart_currency
    ADD CONSTRAINT chart_currency_pkey PRIMARY KEY (chart, currency);

ALTER TABLE ONLY public.chart
    ADD CONSTRAINT chart_pkey PRIMARY KEY (name);

ALTER TABLE ONLY public.close_balance
    ADD CONSTRAINT close_balance_pkey PRIMARY KEY (ledger_id, period, starts_on, account_id);

ALTER TABLE ONLY public.close_proof
    ADD CONSTRAINT close_proof_pkey PRIMARY KEY (ledger_id, period, starts_on, currency);

ALTER TABLE ONLY public.close_total
    ADD CONSTRAINT close_total_pkey PRIMARY KEY (ledger_id, period, starts_on, class, currency);

ALTER TABLE ONLY public.currency
    ADD CONSTRAINT currency_pkey PRIMARY KEY (code);

ALTER TABLE ONLY public.deadline
    ADD CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation);

ALTER TABLE public.entry
    ADD CONSTRAINT entry_effective_is_sane CHECK (((effective_at >= '2000-01-01 00:00:00+00'::timestamp with time zone) AND (effective_at <= (posted_at + '00:10:00'::interval)))) NOT VALID;

ALTER TABLE ONLY public.entry
    ADD CONSTRAINT entry_id_is_unique UNIQUE (id);

ALTER TABLE ONLY public.entry
    ADD CONSTRAINT entry_pkey PRIMARY KEY (ledger_id, sequence);

ALTER TABLE ONLY public.entry_tag
    ADD CONSTRAINT entry_tag_pkey PRIMARY KEY (ledger_id, key, value, sequence);

ALTER TABLE ONLY public.head
    ADD CONSTRAINT head_pkey PRIMARY KEY (ledger_id);

ALTER TABLE ONLY public.hold
    ADD CONSTRAINT hold_pkey PRIMARY KEY (ledger_id, id);

ALTER TABLE ONLY public.kind_leg
    ADD CONSTRAINT kind_leg_pkey PRIMARY KEY (chart, kind, side, class);

ALTER TABLE ONLY public.kind
    ADD CONSTRAINT kind_pkey PRIMARY KEY (chart, name);

ALTER TABLE public.kind
    ADD CONSTRAINT kind_settlement_is_known CHECK ((settlement = ANY (ARRAY['settle'::text, 'void'::text, 'recover'::text]))) NOT VALID;

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_name_key UNIQUE (name);

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.period_close
    ADD CONSTRAINT period_close_pkey PRIMARY KEY (ledger_id, period, starts_on);

ALTER TABLE ONLY public.player_cap
    ADD CONSTRAINT player_cap_pkey PRIMARY KEY (ledger_id, player, measure, period, currency);

ALTER TABLE ONLY public.player_count
    ADD CONSTRAINT player_count_pkey PRIMARY KEY (ledger_id, player, currency, period, starts_at);

ALTER TABLE ONLY public.player_policy
    ADD CONSTRAINT player_policy_pkey PRIMARY KEY (ledger_id, player);

ALTER TABLE ONLY public.posting
    ADD CONSTRAINT posting_account_sequence_is_unique UNIQUE (account_id, account_sequence);

ALTER TABLE ONLY public.posting
    ADD CONSTRAINT posting_pkey PRIMARY KEY (ledger_id, sequence, leg);

ALTER TABLE ONLY public.principal
    ADD CONSTRAINT principal_pkey PRIMARY KEY (ledger_id, name);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_is_bound UNIQUE (id, ledger_id, purpose, account, amount, currency);

ALTER TABLE ONLY public.receipt_use
    ADD CONSTRAINT receipt_is_spent_once PRIMARY KEY (receipt_id);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_states_its_transfer UNIQUE (id, ledger_id, rail, tracking_key, document_sha256, amount, currency, purpose);

ALTER TABLE ONLY public.refund_taken
    ADD CONSTRAINT refund_taken_pkey PRIMARY KEY (ledger_id, hold);

ALTER TABLE ONLY public.refusal
    ADD CONSTRAINT refusal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_ends_once UNIQUE (ledger_id, last);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_is_named_by_the_next UNIQUE (ledger_id, number, last, hash);

ALTER TABLE ONLY public.seal_key
    ADD CONSTRAINT seal_key_is_the_only_one_from_there UNIQUE (ledger_id, from_seal);

ALTER TABLE ONLY public.seal_key
    ADD CONSTRAINT seal_key_is_used_once UNIQUE (public_key, ledger_id);

ALTER TABLE ONLY public.seal_key
    ADD CONSTRAINT seal_key_pkey PRIMARY KEY (ledger_id, id);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_pkey PRIMARY KEY (ledger_id, number);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_pkey PRIMARY KEY (ledger_id, reference, version);

ALTER TABLE ONLY public.stake
    ADD CONSTRAINT stake_pkey PRIMARY KEY (ledger_id, reference, player);

CREATE INDEX account_in_path_order ON public.account USING btree (ledger_id, path COLLATE "C", currency COLLATE "C");

CREATE INDEX deadline_armed ON public.deadline USING btree (retry_at) WHERE (state = 'ARMED'::text);

CREATE INDEX deadline_by_end ON public.deadline USING btree (ended_at) WHERE (state = ANY (ARRAY['DONE'::text, 'CANCELLED'::text]));

CREATE INDEX entry_by_effect ON public.entry USING btree (ledger_id, effective_at, sequence);

CREATE INDEX entry_by_kind ON public.entry USING btree (ledger_id, kind, sequence);

CREATE INDEX entry_by_reference ON public.entry USING btree (ledger_id, reference, sequence);

CREATE UNIQUE INDEX entry_is_reversed_once ON public.entry USING btree (reverses) WHERE (reverses IS NOT NULL);

CREATE UNIQUE INDEX entry_settlement_chunk_is_unique ON public.entry USING btree (ledger_id, reference, settlement_version, settlement_chunk) WHERE (settlement_version IS NOT NULL);

CREATE INDEX hold_by_account ON public.hold USING btree (account_id, id);

CREATE INDEX hold_by_origin ON public.hold USING btree (origin_id);

CREATE INDEX hold_by_reference ON public.hold USING btree (ledger_id, reference, id);

CREATE UNIQUE INDEX receipt_document_is_unique ON public.receipt USING btree (ledger_id, rail, document_sha256) WHERE (origin IS NULL);

CREATE UNIQUE INDEX receipt_origin_is_decided_once ON public.receipt USING btree (origin) WHERE (origin IS NOT NULL);

CREATE UNIQUE INDEX receipt_tracking_key_is_unique ON public.receipt USING btree (ledger_id, rail, tracking_key) WHERE (origin IS NULL);

CREATE INDEX refusal_in_order ON public.refusal USING btree (ledger_id, refused_at, id);

CREATE TRIGGER account_closed AFTER INSERT ON public.account_closing REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.account_closed();

CREATE TRIGGER account_closing_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.account_closing FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER account_currency_follows_chart AFTER INSERT ON public.account REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.account_currency_follows_chart();

CREATE TRIGGER account_follows_chart BEFORE INSERT ON public.account FOR EACH ROW EXECUTE FUNCTION public.account_follows_chart();

CREATE TRIGGER account_has_balance AFTER INSERT ON public.account REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.account_has_balance();

CREATE TRIGGER account_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.account FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER api_key_only_ends BEFORE UPDATE OF revoked_at, expires_at ON public.api_key FOR EACH ROW EXECUTE FUNCTION public.api_key_only_ends();

CREATE TRIGGER balance_is_derived BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.balance FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER close_balance_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.close_balance FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER close_proof_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.close_proof FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER close_total_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.close_total FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_ends_once();

CREATE TRIGGER deadline_is_kept BEFORE DELETE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_is_kept();

CREATE TRIGGER entry_added AFTER INSERT ON public.entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.entry_added();

CREATE TRIGGER entry_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.entry FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER entry_tag_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.entry_tag FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER entry_tag_is_derived BEFORE INSERT ON public.entry_tag FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER entry_tagged AFTER INSERT ON public.entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.entry_tagged();

CREATE CONSTRAINT TRIGGER entry_waits_for_the_disk AFTER UPDATE OF sequence ON public.head DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.entry_waits_for_the_disk();

CREATE TRIGGER head_is_derived BEFORE DELETE OR UPDATE OF ledger_id, sequence OR TRUNCATE ON public.head FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER head_moves_on BEFORE UPDATE OF sequence ON public.head FOR EACH ROW WHEN ((new.sequence <> old.sequence)) EXECUTE FUNCTION public.head_moves_on();

CREATE TRIGGER hold_is_derived BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.hold FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER ledger_has_head AFTER INSERT ON public.ledger REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.ledger_has_head();

CREATE TRIGGER period_close_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.period_close FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER player_policy_moves_on BEFORE UPDATE ON public.player_policy FOR EACH ROW EXECUTE FUNCTION public.player_policy_moves_on();

CREATE TRIGGER posting_added AFTER INSERT ON public.posting REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.posting_added();

CREATE TRIGGER posting_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.posting FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER receipt_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.receipt FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER receipt_use_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.receipt_use FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER receipt_use_is_derived BEFORE INSERT ON public.receipt_use FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER refund_returns_to_its_player AFTER INSERT ON public.entry REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.refund_returns_to_its_player();

CREATE TRIGGER refund_taken_is_derived BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.refund_taken FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER refusal_added AFTER INSERT ON public.refusal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.refusal_added();

CREATE TRIGGER refusal_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.refusal FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER seal_added AFTER INSERT ON public.seal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.seal_added();

CREATE TRIGGER seal_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.seal FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER seal_key_added AFTER INSERT ON public.seal_key REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.seal_key_added();

CREATE TRIGGER seal_key_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.seal_key FOR EACH STATEMENT EXECUTE FUNCTION public.history_is_append_only();

CREATE TRIGGER settlement_is_derived BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.settlement FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

CREATE TRIGGER stake_is_derived BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE ON public.stake FOR EACH STATEMENT EXECUTE FUNCTION public.derived_from_journal();

ALTER TABLE ONLY public.account_class
    ADD CONSTRAINT account_class_chart_fkey FOREIGN KEY (chart) REFERENCES public.chart(name);

ALTER TABLE ONLY public.account_closing
    ADD CONSTRAINT account_closing_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.account
    ADD CONSTRAINT account_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.account_metadata
    ADD CONSTRAINT account_metadata_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_ledger_id_principal_fkey FOREIGN KEY (ledger_id, principal) REFERENCES public.principal(ledger_id, name);

ALTER TABLE ONLY public.api_key
    ADD CONSTRAINT api_key_replaces_fkey FOREIGN KEY (replaces) REFERENCES public.api_key(id);

ALTER TABLE ONLY public.balance
    ADD CONSTRAINT balance_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.chart_currency
    ADD CONSTRAINT chart_currency_chart_fkey FOREIGN KEY (chart) REFERENCES public.chart(name);

ALTER TABLE ONLY public.chart_currency
    ADD CONSTRAINT chart_currency_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.close_balance
    ADD CONSTRAINT close_balance_account_id_fkey FOREIGN KEY (account_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.close_balance
    ADD CONSTRAINT close_balance_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES public.period_close(ledger_id, period, starts_on);

ALTER TABLE ONLY public.close_proof
    ADD CONSTRAINT close_proof_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.close_proof
    ADD CONSTRAINT close_proof_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES public.period_close(ledger_id, period, starts_on);

ALTER TABLE ONLY public.close_total
    ADD CONSTRAINT close_total_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.close_total
    ADD CONSTRAINT close_total_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES public.period_close(ledger_id, period, starts_on);

ALTER TABLE ONLY public.entry_tag
    ADD CONSTRAINT entry_tag_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.head
    ADD CONSTRAINT head_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.kind
    ADD CONSTRAINT kind_chart_fkey FOREIGN KEY (chart) REFERENCES public.chart(name);

ALTER TABLE ONLY public.kind_leg
    ADD CONSTRAINT kind_leg_chart_class_fkey FOREIGN KEY (chart, class) REFERENCES public.account_class(chart, name);

ALTER TABLE ONLY public.kind_leg
    ADD CONSTRAINT kind_leg_chart_kind_fkey FOREIGN KEY (chart, kind) REFERENCES public.kind(chart, name);

ALTER TABLE ONLY public.ledger
    ADD CONSTRAINT ledger_chart_fkey FOREIGN KEY (chart) REFERENCES public.chart(name);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.period_close
    ADD CONSTRAINT period_close_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.player_cap
    ADD CONSTRAINT player_cap_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.player_cap
    ADD CONSTRAINT player_cap_ledger_id_player_fkey FOREIGN KEY (ledger_id, player) REFERENCES public.player_policy(ledger_id, player);

ALTER TABLE ONLY public.player_count
    ADD CONSTRAINT player_count_ledger_id_player_fkey FOREIGN KEY (ledger_id, player) REFERENCES public.player_policy(ledger_id, player);

ALTER TABLE ONLY public.player_policy
    ADD CONSTRAINT player_policy_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.principal
    ADD CONSTRAINT principal_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_currency_fkey FOREIGN KEY (currency) REFERENCES public.currency(code);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.receipt_use
    ADD CONSTRAINT receipt_matches_entry FOREIGN KEY (receipt_id, ledger_id, purpose, account, amount, currency) REFERENCES public.receipt(id, ledger_id, purpose, account, amount, currency);

ALTER TABLE ONLY public.receipt
    ADD CONSTRAINT receipt_origin_is_the_same_transfer FOREIGN KEY (origin, ledger_id, rail, tracking_key, document_sha256, amount, currency, origin_purpose) REFERENCES public.receipt(id, ledger_id, rail, tracking_key, document_sha256, amount, currency, purpose);

ALTER TABLE ONLY public.receipt_use
    ADD CONSTRAINT receipt_use_entry_exists FOREIGN KEY (ledger_id, sequence) REFERENCES public.entry(ledger_id, sequence);

ALTER TABLE ONLY public.refund_taken
    ADD CONSTRAINT refund_taken_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.refusal
    ADD CONSTRAINT refusal_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_continues FOREIGN KEY (ledger_id, previous_number, previous_last, previous) REFERENCES public.seal(ledger_id, number, last, hash);

ALTER TABLE ONLY public.seal_key
    ADD CONSTRAINT seal_key_endorsed_by_fkey FOREIGN KEY (ledger_id, endorsed_by) REFERENCES public.seal_key(ledger_id, id);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_key_is_known FOREIGN KEY (ledger_id, key_id) REFERENCES public.seal_key(ledger_id, id);

ALTER TABLE ONLY public.seal_key
    ADD CONSTRAINT seal_key_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.seal
    ADD CONSTRAINT seal_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_escrow_id_fkey FOREIGN KEY (escrow_id) REFERENCES public.account(id);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

ALTER TABLE ONLY public.stake
    ADD CONSTRAINT stake_ledger_id_fkey FOREIGN KEY (ledger_id) REFERENCES public.ledger(id);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO ledger_owner;
GRANT USAGE ON SCHEMA public TO ledger_posting;
GRANT USAGE ON SCHEMA public TO ledger_receipts;
GRANT USAGE ON SCHEMA public TO ledger_keys;
GRANT USAGE ON SCHEMA public TO ledger_reader;
GRANT USAGE ON SCHEMA public TO ledger_relay;
GRANT USAGE ON SCHEMA public TO ledger_closer;
GRANT USAGE ON SCHEMA public TO ledger_sealer;

REVOKE ALL ON FUNCTION public.account_closed() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.account_currency_follows_chart() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.account_follows_chart() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.account_has_balance() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.account_sequence_at(account bigint, at_sequence bigint) FROM PUBLIC;
GRANT ALL ON FUNCTION public.account_sequence_at(account bigint, at_sequence bigint) TO ledger_posting;
GRANT ALL ON FUNCTION public.account_sequence_at(account bigint, at_sequence bigint) TO ledger_reader;

REVOKE ALL ON FUNCTION public.announce_close(ledger smallint, wanted_period text, starting date) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.api_key_only_ends() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.check_close(ledger smallint, wanted_period text, starting date, previous date) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.check_mirrors(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.close_period(ledger smallint, wanted_period text, starting date) FROM PUBLIC;
GRANT ALL ON FUNCTION public.close_period(ledger smallint, wanted_period text, starting date) TO ledger_closer;

REVOKE ALL ON FUNCTION public.cloud_event(id uuid, type text, subject text, happened timestamp with time zone, sequence bigint, traceparent text, data jsonb) FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE public.posting TO ledger_posting;
GRANT SELECT ON TABLE public.posting TO ledger_reader;
GRANT SELECT ON TABLE public.posting TO ledger_sealer;

REVOKE ALL ON FUNCTION public.count_play(lines public.posting[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.counted(lines public.posting[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.deadline_ends_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.deadline_is_kept() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.derived_from_journal() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.entry_added() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.entry_tagged() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.entry_waits_for_the_disk() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.forget_deadline(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_deadline(at_most integer) TO ledger_relay;

REVOKE ALL ON FUNCTION public.head_moves_on() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.history_is_append_only() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.keep_hold_deadlines(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.ledger_has_head() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.move_holds(lines public.journal_line[], OUT tells boolean, OUT ends boolean) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.next_close(ledger smallint, wanted_period text, OUT starts_on date, OUT ends_at timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.next_close(ledger smallint, wanted_period text, OUT starts_on date, OUT ends_at timestamp with time zone) TO ledger_closer;
GRANT ALL ON FUNCTION public.next_close(ledger smallint, wanted_period text, OUT starts_on date, OUT ends_at timestamp with time zone) TO ledger_reader;

GRANT ALL ON FUNCTION public.period_start(period text, moment timestamp with time zone) TO ledger_posting;

REVOKE ALL ON FUNCTION public.period_turnover(ledger smallint, wanted_period text, starting date, before bigint, last bigint) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.player_policy_moves_on() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.posting_added() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.record_stakes(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.refusal_added() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.refuse(rule text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_posting;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_receipts;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_keys;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_reader;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_relay;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_closer;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO ledger_sealer;

REVOKE ALL ON FUNCTION public.refuse_stale(rule text, message text) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.seal_added() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.seal_key_added() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.sequence_at(ledger smallint, moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.sequence_at(ledger smallint, moment timestamp with time zone) TO ledger_posting;
GRANT ALL ON FUNCTION public.sequence_at(ledger smallint, moment timestamp with time zone) TO ledger_reader;

REVOKE ALL ON FUNCTION public.set_player_policy(wanted_ledger smallint, wanted_by text, wanted_player text, wanted_version bigint, until timestamp with time zone, caps jsonb) FROM PUBLIC;
GRANT ALL ON FUNCTION public.set_player_policy(wanted_ledger smallint, wanted_by text, wanted_player text, wanted_version bigint, until timestamp with time zone, caps jsonb) TO ledger_posting;

REVOKE ALL ON FUNCTION public.settle(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settle_moment(ledger smallint, moment timestamp with time zone) FROM PUBLIC;
GRANT ALL ON FUNCTION public.settle_moment(ledger smallint, moment timestamp with time zone) TO ledger_posting;
GRANT ALL ON FUNCTION public.settle_moment(ledger smallint, moment timestamp with time zone) TO ledger_reader;
GRANT ALL ON FUNCTION public.settle_moment(ledger smallint, moment timestamp with time zone) TO ledger_closer;

REVOKE ALL ON FUNCTION public.spend_receipts(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.tell_of_holds(lines public.journal_line[]) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.to_money(amount numeric, exponent smallint) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.wire_time(moment timestamp with time zone) FROM PUBLIC;

REVOKE ALL ON FUNCTION public.with_context(lines public.posting[]) FROM PUBLIC;

GRANT SELECT ON TABLE public.account TO ledger_posting;
GRANT SELECT ON TABLE public.account TO ledger_reader;
GRANT SELECT ON TABLE public.account TO ledger_closer;
GRANT SELECT ON TABLE public.account TO ledger_sealer;

GRANT INSERT(ledger_id) ON TABLE public.account TO ledger_posting;

GRANT INSERT(path) ON TABLE public.account TO ledger_posting;

GRANT INSERT(currency) ON TABLE public.account TO ledger_posting;

GRANT SELECT ON TABLE public.account_class TO ledger_posting;
GRANT SELECT ON TABLE public.account_class TO ledger_reader;
GRANT SELECT ON TABLE public.account_class TO ledger_closer;

GRANT SELECT ON TABLE public.account_closing TO ledger_posting;
GRANT SELECT ON TABLE public.account_closing TO ledger_reader;

GRANT INSERT(account_id) ON TABLE public.account_closing TO ledger_posting;

GRANT INSERT(principal) ON TABLE public.account_closing TO ledger_posting;

GRANT SELECT ON TABLE public.account_metadata TO ledger_posting;
GRANT SELECT ON TABLE public.account_metadata TO ledger_reader;

GRANT INSERT(account_id) ON TABLE public.account_metadata TO ledger_posting;

GRANT INSERT(metadata),UPDATE(metadata) ON TABLE public.account_metadata TO ledger_posting;

GRANT UPDATE(updated_at) ON TABLE public.account_metadata TO ledger_posting;

GRANT SELECT ON TABLE public.api_key TO ledger_posting;
GRANT SELECT,INSERT ON TABLE public.api_key TO ledger_keys;

GRANT UPDATE(revoked_at) ON TABLE public.api_key TO ledger_keys;

GRANT UPDATE(expires_at) ON TABLE public.api_key TO ledger_keys;

GRANT UPDATE(last_used_at) ON TABLE public.api_key TO ledger_posting;

GRANT SELECT ON TABLE public.balance TO ledger_posting;
GRANT SELECT ON TABLE public.balance TO ledger_reader;

GRANT SELECT ON TABLE public.chart TO ledger_posting;
GRANT SELECT ON TABLE public.chart TO ledger_reader;
GRANT SELECT ON TABLE public.chart TO ledger_keys;

GRANT SELECT ON TABLE public.chart_currency TO ledger_posting;
GRANT SELECT ON TABLE public.chart_currency TO ledger_reader;
GRANT SELECT ON TABLE public.chart_currency TO ledger_keys;

GRANT SELECT ON TABLE public.close_balance TO ledger_closer;
GRANT SELECT ON TABLE public.close_balance TO ledger_posting;
GRANT SELECT ON TABLE public.close_balance TO ledger_reader;

GRANT SELECT ON TABLE public.close_proof TO ledger_closer;
GRANT SELECT ON TABLE public.close_proof TO ledger_posting;
GRANT SELECT ON TABLE public.close_proof TO ledger_reader;

GRANT SELECT ON TABLE public.close_total TO ledger_closer;
GRANT SELECT ON TABLE public.close_total TO ledger_posting;
GRANT SELECT ON TABLE public.close_total TO ledger_reader;

GRANT SELECT ON TABLE public.currency TO ledger_posting;
GRANT SELECT ON TABLE public.currency TO ledger_reader;
GRANT SELECT ON TABLE public.currency TO ledger_closer;

GRANT SELECT ON TABLE public.deadline TO ledger_posting;
GRANT SELECT ON TABLE public.deadline TO ledger_reader;

GRANT UPDATE(state) ON TABLE public.deadline TO ledger_posting;

GRANT UPDATE(attempts) ON TABLE public.deadline TO ledger_posting;

GRANT UPDATE(retry_at) ON TABLE public.deadline TO ledger_posting;

GRANT UPDATE(last_error) ON TABLE public.deadline TO ledger_posting;

GRANT UPDATE(ended_at) ON TABLE public.deadline TO ledger_posting;

GRANT SELECT ON TABLE public.entry TO ledger_posting;
GRANT SELECT ON TABLE public.entry TO ledger_reader;
GRANT SELECT ON TABLE public.entry TO ledger_closer;
GRANT SELECT ON TABLE public.entry TO ledger_sealer;

GRANT INSERT(ledger_id) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(sequence) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(id) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(kind) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(legs) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(principal) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(idempotency_key) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(fingerprint) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(reference) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(metadata) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(receipt) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(settlement_version) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(settlement_total) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(settlement_chunk) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(settlement_chunks) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(traceparent) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(effective_at) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(posted_at) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(reverses) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(link) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(links) ON TABLE public.entry TO ledger_posting;

GRANT INSERT(hold_expires_at) ON TABLE public.entry TO ledger_posting;

GRANT SELECT ON TABLE public.entry_tag TO ledger_posting;
GRANT SELECT ON TABLE public.entry_tag TO ledger_reader;

GRANT SELECT ON TABLE public.head TO ledger_posting;
GRANT SELECT ON TABLE public.head TO ledger_reader;
GRANT SELECT ON TABLE public.head TO ledger_closer;
GRANT SELECT ON TABLE public.head TO ledger_sealer;

GRANT UPDATE(claim) ON TABLE public.head TO ledger_posting;

GRANT SELECT ON TABLE public.hold TO ledger_posting;
GRANT SELECT ON TABLE public.hold TO ledger_reader;

GRANT SELECT ON TABLE public.kind TO ledger_posting;
GRANT SELECT ON TABLE public.kind TO ledger_keys;
GRANT SELECT ON TABLE public.kind TO ledger_reader;

GRANT SELECT ON TABLE public.kind_leg TO ledger_posting;
GRANT SELECT ON TABLE public.kind_leg TO ledger_reader;

GRANT SELECT ON TABLE public.ledger TO ledger_posting;
GRANT SELECT ON TABLE public.ledger TO ledger_receipts;
GRANT SELECT ON TABLE public.ledger TO ledger_keys;
GRANT SELECT ON TABLE public.ledger TO ledger_reader;
GRANT SELECT ON TABLE public.ledger TO ledger_closer;
GRANT SELECT ON TABLE public.ledger TO ledger_sealer;

GRANT SELECT ON TABLE public.outbox TO ledger_reader;
GRANT SELECT,DELETE ON TABLE public.outbox TO ledger_relay;

GRANT SELECT ON TABLE public.outbox_sent TO ledger_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO ledger_relay;

GRANT SELECT ON TABLE public.outbox_shard TO ledger_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO ledger_relay;

GRANT SELECT ON TABLE public.period_close TO ledger_closer;
GRANT SELECT ON TABLE public.period_close TO ledger_posting;
GRANT SELECT ON TABLE public.period_close TO ledger_reader;

GRANT SELECT ON TABLE public.player_cap TO ledger_posting;
GRANT SELECT ON TABLE public.player_cap TO ledger_reader;

GRANT SELECT ON TABLE public.player_count TO ledger_posting;
GRANT SELECT ON TABLE public.player_count TO ledger_reader;

GRANT SELECT ON TABLE public.player_policy TO ledger_posting;
GRANT SELECT ON TABLE public.player_policy TO ledger_reader;

GRANT SELECT ON TABLE public.principal TO ledger_posting;
GRANT SELECT,INSERT ON TABLE public.principal TO ledger_keys;
GRANT SELECT ON TABLE public.principal TO ledger_reader;

GRANT UPDATE(kinds) ON TABLE public.principal TO ledger_keys;

GRANT SELECT ON TABLE public.receipt TO ledger_posting;
GRANT SELECT ON TABLE public.receipt TO ledger_receipts;
GRANT SELECT ON TABLE public.receipt TO ledger_reader;

GRANT INSERT(id) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(ledger_id) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(rail) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(tracking_key) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(document_sha256) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(purpose) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(account) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(amount) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(currency) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(occurred_at) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(key_id) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(attestation) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(signature) ON TABLE public.receipt TO ledger_receipts;

GRANT INSERT(origin) ON TABLE public.receipt TO ledger_receipts;

GRANT SELECT ON TABLE public.receipt_use TO ledger_posting;
GRANT SELECT ON TABLE public.receipt_use TO ledger_reader;

GRANT SELECT ON TABLE public.refund_taken TO ledger_posting;
GRANT SELECT ON TABLE public.refund_taken TO ledger_reader;

GRANT SELECT ON TABLE public.refusal TO ledger_posting;
GRANT SELECT ON TABLE public.refusal TO ledger_reader;

GRANT INSERT(id) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(ledger_id) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(kind) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(principal) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(idempotency_key) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(fingerprint) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(reference) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(problem) ON TABLE public.refusal TO ledger_posting;

GRANT INSERT(traceparent) ON TABLE public.refusal TO ledger_posting;

GRANT SELECT ON TABLE public.schema_migrations TO ledger_posting;
GRANT SELECT ON TABLE public.schema_migrations TO ledger_receipts;
GRANT SELECT ON TABLE public.schema_migrations TO ledger_reader;
GRANT SELECT ON TABLE public.schema_migrations TO ledger_relay;
GRANT SELECT ON TABLE public.schema_migrations TO ledger_closer;
GRANT SELECT ON TABLE public.schema_migrations TO ledger_sealer;

GRANT SELECT ON TABLE public.seal TO ledger_sealer;
GRANT SELECT ON TABLE public.seal TO ledger_posting;
GRANT SELECT ON TABLE public.seal TO ledger_reader;

GRANT INSERT(ledger_id) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(number) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(first) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(last) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(root) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(previous) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(key_id) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(statement) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(signature) ON TABLE public.seal TO ledger_sealer;

GRANT INSERT(sealed_at) ON TABLE public.seal TO ledger_sealer;

GRANT SELECT ON TABLE public.seal_key TO ledger_sealer;
GRANT SELECT ON TABLE public.seal_key TO ledger_posting;
GRANT SELECT ON TABLE public.seal_key TO ledger_reader;

GRANT INSERT(ledger_id) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(id) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(public_key) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(from_seal) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(endorsed_by) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(endorsement) ON TABLE public.seal_key TO ledger_sealer;

GRANT INSERT(signature) ON TABLE public.seal_key TO ledger_sealer;

GRANT SELECT ON TABLE public.settlement TO ledger_posting;
GRANT SELECT ON TABLE public.settlement TO ledger_reader;

GRANT SELECT ON TABLE public.stake TO ledger_posting;
GRANT SELECT ON TABLE public.stake TO ledger_reader;
