-- migrate:up
-- The rules of reversals, linked entries, closed accounts and holds that tell and end. The functions of
-- `rules` are replaced where they learn something.

-- A ledger begins with its head, and with the principal in whose name its holds expire.
CREATE FUNCTION ledger_has_head() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO head (ledger_id) SELECT id FROM added ON CONFLICT DO NOTHING;
    INSERT INTO principal (ledger_id, name, kinds)
    SELECT l.id, 'ledger', array_agg(k.name)
      FROM added l JOIN kind k ON k.chart = l.chart AND k.draws = 'expire'
     GROUP BY l.id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER ledger_has_head AFTER INSERT ON ledger
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION ledger_has_head();

CREATE FUNCTION account_currency_follows_chart() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    PERFORM refuse('account_currency_is_in_chart', format('%s is not kept in %s', a.path, a.currency))
       FROM added a JOIN ledger l ON l.id = a.ledger_id
      WHERE NOT EXISTS (SELECT FROM chart_currency c WHERE c.chart = l.chart AND c.currency = a.currency);
    RETURN NULL;
END $$;
CREATE TRIGGER account_currency_follows_chart AFTER INSERT ON account
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION account_currency_follows_chart();

ALTER TYPE journal_line ADD ATTRIBUTE reverses uuid;
ALTER TYPE journal_line ADD ATTRIBUTE mirrors boolean;
ALTER TYPE journal_line ADD ATTRIBUTE draws text;
ALTER TYPE journal_line ADD ATTRIBUTE expiring boolean;
ALTER TYPE journal_line ADD ATTRIBUTE expires_at timestamptz;
ALTER TYPE journal_line ADD ATTRIBUTE hold_events boolean;

-- A mirror draws the hold that its entry opened; it fits no template of its own, it fits its entry.
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

-- A reversal is the mirror of one earlier entry of its ledger, leg by leg, under the same reference, of a
-- kind that may be reversed and that the same principal may post. That it is the only one, a unique index
-- says.
CREATE FUNCTION check_mirrors(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Holds: opened once, drawn under the reference and on the account they were opened with, expired when they
-- are due and whole. What remains of a hold only falls.
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

-- The deadline at which a hold ends of itself: armed where the hold is opened, cancelled where it is drawn to
-- nothing. One that a worker has claimed at this moment is left to it: it finds the hold empty.
CREATE FUNCTION keep_hold_deadlines(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Events of holds whose opening kind asks for them, each with the hold as it was right after that entry.
CREATE FUNCTION tell_of_holds(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- Closing an account: under its ledger's head, at zero, by a principal that may. What is held of it would be
-- left without a home, so nothing may be; an account on which money is held is empty only without holds.
CREATE FUNCTION account_closed() RETURNS trigger
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
CREATE TRIGGER account_closed AFTER INSERT ON account_closing
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION account_closed();
CREATE TRIGGER account_closing_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON account_closing
    FOR EACH STATEMENT EXECUTE FUNCTION history_is_append_only();

REVOKE ALL ON chart_currency, account_closing, account_metadata, deadline FROM PUBLIC;
REVOKE ALL ON FUNCTION ledger_has_head(), account_currency_follows_chart(), check_mirrors(journal_line[]),
    keep_hold_deadlines(journal_line[]), tell_of_holds(journal_line[]), account_closed(), deadline_ends_once() FROM PUBLIC;
GRANT SELECT ON chart_currency, account_closing, account_metadata, deadline TO ledger_posting, ledger_reader;
GRANT SELECT ON chart, chart_currency TO ledger_keys;
GRANT INSERT (reverses, link, links, hold_expires_at) ON entry TO ledger_posting;
GRANT INSERT (account_id, principal) ON account_closing TO ledger_posting;
GRANT INSERT (account_id, metadata), UPDATE (metadata, updated_at) ON account_metadata TO ledger_posting;
-- Deadlines are armed by the journal; the posting role's worker ends them.
GRANT UPDATE (state, attempts, retry_at, last_error, ended_at) ON deadline TO ledger_posting;

-- migrate:down
DROP TRIGGER ledger_has_head ON ledger;
DROP TRIGGER account_currency_follows_chart ON account;
DROP TRIGGER account_closed ON account_closing;
DROP TRIGGER account_closing_is_append_only ON account_closing;
DROP FUNCTION ledger_has_head, account_currency_follows_chart, account_closed, check_mirrors, keep_hold_deadlines, tell_of_holds;
ALTER TYPE journal_line DROP ATTRIBUTE reverses, DROP ATTRIBUTE mirrors, DROP ATTRIBUTE draws,
    DROP ATTRIBUTE expiring, DROP ATTRIBUTE expires_at, DROP ATTRIBUTE hold_events;
CREATE OR REPLACE FUNCTION with_context(lines posting[]) RETURNS journal_line[] LANGUAGE sql STABLE AS $$
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
CREATE OR REPLACE FUNCTION check_shape_of(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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
CREATE OR REPLACE FUNCTION move_holds(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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
           bool_or(needs_receipt) AS receipts
      INTO has FROM unnest(lines);
    IF has.holds THEN PERFORM move_holds(lines); END IF;
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
