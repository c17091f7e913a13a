-- migrate:up
-- Daily and monthly closes. A close is a cut in the journal: everything posted before the period's end, in the
-- ledger's own time zone. What comes later belongs to the open day, whatever time it takes effect at, and nothing takes
-- effect in a closed day any more. Written by close_period() alone, never changed.
ALTER TABLE ledger ADD COLUMN zone text NOT NULL DEFAULT 'UTC';
UPDATE ledger SET zone = 'America/Mexico_City' WHERE name = 'el-carril';

-- What the segregated-funds proof counts: money that is there, and what is owed to clients and third parties. Generated,
-- so that a class added later cannot be forgotten: what grows on the credit side is owed unless it is the house's own.
-- squawk-ignore adding-field-with-default -- the chart is a few dozen rows
ALTER TABLE account_class ADD COLUMN segregation text GENERATED ALWAYS AS (
    CASE WHEN chart <> 'el-carril' THEN NULL
         WHEN name = 'bank' OR name LIKE 'psp%' THEN 'money'
         WHEN side = 'credit' AND name NOT LIKE 'house%' THEN 'owed' END) STORED;

--   sequence   the last entry of the period; the first is the one after the period before
--   entries    how many it has; `late` of them take effect before the period began
CREATE TABLE period_close (
    ledger_id smallint NOT NULL REFERENCES ledger,
    period text NOT NULL CONSTRAINT period_close_period_is_known CHECK (period IN ('day', 'month')),
    starts_on date NOT NULL,
    ends_at timestamptz NOT NULL,
    sequence bigint NOT NULL,
    entries bigint NOT NULL CONSTRAINT period_close_entries_not_negative CHECK (entries >= 0),
    late bigint NOT NULL CONSTRAINT period_close_late_are_entries CHECK (late BETWEEN 0 AND entries),
    closed_at timestamptz NOT NULL DEFAULT statement_timestamp(),
    PRIMARY KEY (ledger_id, period, starts_on),
    CONSTRAINT period_close_month_begins CHECK (period = 'day' OR extract(day FROM starts_on) = 1)
);

-- Each account's turnover in the period and its balance at the end of it, debit positive. An account without a row
-- had a balance of zero and no posting in the period.
CREATE TABLE close_balance (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    account_id bigint NOT NULL REFERENCES account,
    debit numeric NOT NULL CONSTRAINT close_balance_debit_not_negative CHECK (debit >= 0),
    credit numeric NOT NULL CONSTRAINT close_balance_credit_not_negative CHECK (credit >= 0),
    balance money_amount NOT NULL,
    account_sequence bigint NOT NULL,
    PRIMARY KEY (ledger_id, period, starts_on, account_id),
    CONSTRAINT close_balance_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES period_close
);

-- The trial balance of the close.
CREATE TABLE close_total (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    class text NOT NULL,
    currency text NOT NULL REFERENCES currency,
    opening numeric NOT NULL,
    debit numeric NOT NULL,
    credit numeric NOT NULL,
    debit_balance numeric NOT NULL,
    credit_balance numeric NOT NULL,
    PRIMARY KEY (ledger_id, period, starts_on, class, currency),
    CONSTRAINT close_total_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES period_close,
    CONSTRAINT close_total_adds_up CHECK (opening + debit - credit = debit_balance - credit_balance)
);

-- Segregated funds: the money at banks and payment providers against everything owed to players, markets and others.
CREATE TABLE close_proof (
    ledger_id smallint NOT NULL,
    period text NOT NULL,
    starts_on date NOT NULL,
    currency text NOT NULL REFERENCES currency,
    money numeric NOT NULL,
    owed numeric NOT NULL,
    covered boolean NOT NULL GENERATED ALWAYS AS (money >= owed) STORED,
    PRIMARY KEY (ledger_id, period, starts_on, currency),
    CONSTRAINT close_proof_is_of_close FOREIGN KEY (ledger_id, period, starts_on) REFERENCES period_close
);

DO $$
DECLARE
    room text;
BEGIN
    FOREACH room IN ARRAY ARRAY['period_close', 'close_balance', 'close_total', 'close_proof'] LOOP
        EXECUTE format('CREATE TRIGGER %I_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON %I '
                       'FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only()', room, room);
    END LOOP;
END $$;

-- The period to close next: its first day and the moment it ends. NULL while the ledger has no entry.
CREATE FUNCTION next_close(ledger smallint, wanted_period text, OUT starts_on date, OUT ends_at timestamptz)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
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

-- Each account's turnover: of a day from its postings, of a month from its days.
CREATE FUNCTION period_turnover(ledger smallint, wanted_period text, starting date, before bigint, last bigint)
RETURNS TABLE (account_id bigint, debit numeric, credit numeric, account_sequence bigint) LANGUAGE sql STABLE AS $$
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

-- The close, checked: every balance is what the account's own posting says, the class totals open where the last
-- close left them and add up to zero in every currency.
CREATE FUNCTION check_close(ledger smallint, wanted_period text, starting date, previous date) RETURNS void
LANGUAGE plpgsql AS $$
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

CREATE FUNCTION announce_close(ledger smallint, wanted_period text, starting date) RETURNS void
LANGUAGE sql AS $$
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

-- Close one period: the next one, when it is over and settled. False when somebody else has closed it; whoever
-- comes at the same time waits for the first. Posting goes on meanwhile: its lock is taken last, for an instant.
CREATE FUNCTION close_period(ledger smallint, wanted_period text, starting date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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

REVOKE ALL ON FUNCTION next_close(smallint, text), period_turnover(smallint, text, date, bigint, bigint),
    check_close(smallint, text, date, date), announce_close(smallint, text, date), close_period(smallint, text, date)
    FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO ledger_closer;
GRANT SELECT ON ledger, currency, head, period_close, close_balance, close_total, close_proof, account, account_class,
    schema_migrations TO ledger_closer;
GRANT SELECT ON entry TO ledger_closer;
GRANT EXECUTE ON FUNCTION next_close(smallint, text), close_period(smallint, text, date),
    settle_moment(smallint, timestamptz), refuse(text, text) TO ledger_closer;
GRANT SELECT ON period_close, close_balance, close_total, close_proof TO ledger_posting, ledger_reader;
GRANT EXECUTE ON FUNCTION next_close(smallint, text) TO ledger_reader;

-- migrate:down
DROP FUNCTION close_period, announce_close, check_close, period_turnover, next_close;
REVOKE ALL ON FUNCTION settle_moment(smallint, timestamptz), refuse(text, text) FROM ledger_closer;
DROP TABLE close_proof, close_total, close_balance, period_close;
ALTER TABLE account_class DROP COLUMN segregation;
ALTER TABLE ledger DROP COLUMN zone;
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM ledger_closer;
REVOKE ALL ON SCHEMA public FROM ledger_closer;
