-- migrate:up
-- Responsible gaming in the money path. Identity owns a player's policy and tells it here; caps, counters and the
-- check are the ledger's, in the transaction that posts: a stake or a deposit beyond a cap cannot be booked,
-- whoever asks. Only players with a policy are counted, so that the others cost next to nothing.

--   counts    what an entry of this kind adds to, of what its player is limited in
--   capped    what happens to it beyond a cap, and while its player is blocked: it is refused, or it waits. What is
--             under way goes to its end whatever the caps say: matches, releases, settlements, withdrawals
ALTER TABLE kind
    ADD COLUMN counts text,
    ADD COLUMN capped text;
UPDATE kind SET counts = CASE WHEN name IN ('bet.hold', 'bet.release') THEN 'stake'
                              WHEN name IN ('bet.settle', 'bet.void', 'bet.resettle') THEN 'payout' ELSE 'deposit' END
 WHERE chart = 'el-carril' AND name IN ('deposit', 'suspense.assign', 'card.capture', 'bet.hold', 'bet.release',
                                        'bet.settle', 'bet.void', 'bet.resettle');
UPDATE kind SET capped = CASE name WHEN 'suspense.assign' THEN 'wait' ELSE 'refuse' END
 WHERE chart = 'el-carril' AND name IN ('deposit', 'suspense.assign', 'bet.hold');
-- squawk-ignore constraint-missing-not-valid -- the chart is a few dozen rows
ALTER TABLE kind ADD CONSTRAINT kind_counts_are_known CHECK (counts IN ('deposit', 'stake', 'payout') AND (counts IS NULL OR NOT mirror)),
    -- squawk-ignore constraint-missing-not-valid
    ADD CONSTRAINT kind_capped_counts CHECK (
        capped IS NULL OR capped IN ('refuse', 'wait') AND counts IS NOT NULL AND counts IN ('deposit', 'stake'));

CREATE TABLE player_policy (
    ledger_id smallint NOT NULL REFERENCES ledger (id),
    player text NOT NULL CONSTRAINT player_policy_player_is_bounded CHECK (length(player) BETWEEN 1 AND 64),
    version bigint NOT NULL CONSTRAINT player_policy_version_from_one CHECK (version >= 1),
    -- Until then neither stakes nor deposits. Winnings, releases and withdrawals go on.
    blocked_until timestamptz,
    PRIMARY KEY (ledger_id, player)
);
CREATE TABLE player_cap (
    ledger_id smallint NOT NULL,
    player text NOT NULL,
    measure text NOT NULL CONSTRAINT player_cap_measure_is_known CHECK (measure IN ('deposit', 'stake', 'loss')),
    period text NOT NULL CONSTRAINT player_cap_period_is_known CHECK (period IN ('day', 'week', 'month')),
    currency text NOT NULL REFERENCES currency (code),
    cap money_amount NOT NULL CONSTRAINT player_cap_is_not_negative CHECK (cap >= 0),
    PRIMARY KEY (ledger_id, player, measure, period, currency),
    FOREIGN KEY (ledger_id, player) REFERENCES player_policy (ledger_id, player)
);
CREATE TABLE player_count (
    ledger_id smallint NOT NULL,
    player text NOT NULL,
    currency text NOT NULL,
    period text NOT NULL,
    starts_at timestamptz NOT NULL,
    deposited money_amount NOT NULL DEFAULT 0,
    -- Put on offers less what came back unmatched.
    staked money_amount NOT NULL DEFAULT 0,
    -- Paid out by settlements and voids, less what was recovered. What is staked and not yet settled counts as lost.
    returned money_amount NOT NULL DEFAULT 0,
    PRIMARY KEY (ledger_id, player, currency, period, starts_at),
    FOREIGN KEY (ledger_id, player) REFERENCES player_policy (ledger_id, player)
);
REVOKE ALL ON player_policy, player_cap, player_count FROM PUBLIC;
GRANT SELECT ON player_policy, player_cap, player_count TO ledger_posting, ledger_reader;

-- When the day, week or month of a moment began in central Mexico, which keeps UTC-6.
CREATE FUNCTION period_start(period text, moment timestamptz) RETURNS timestamptz LANGUAGE sql IMMUTABLE AS $$
    SELECT (date_trunc(period, moment AT TIME ZONE 'UTC' - INTERVAL '6 hours') + INTERVAL '6 hours') AT TIME ZONE 'UTC'
$$;

-- The classes of accounts on which a player's own money comes, goes and is owed. What is held is counted where it
-- was taken from.
CREATE FUNCTION counts_on(class text) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
    SELECT class IN ('player.available', 'player.uncleared', 'player.debt')
$$;

-- What postings add to what their players are limited in. A mirror takes back what its original counted.
CREATE FUNCTION counted(lines posting[])
RETURNS TABLE (ledger_id smallint, player text, currency text, capped boolean,
               deposited numeric, staked numeric, returned numeric)
LANGUAGE sql STABLE AS $$
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

-- Counts what was posted, and refuses what goes beyond a cap or is its player's while they are blocked.
CREATE FUNCTION count_play(lines posting[]) RETURNS void LANGUAGE plpgsql AS $$
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

-- As before; and the postings of players with a policy are counted.
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
           bool_or(e.currencies) AS currencies, bool_or(e.deep) AS deep, bool_or(e.counted) AS counted
      INTO batch
      FROM (
        SELECT p.sequence, count(*) AS postings,
               min(a.currency) <> max(a.currency) AS currencies,
               bool_or(k.hold IS NOT NULL OR k.stake OR k.settlement IS NOT NULL OR k.receipt OR k.mirror) AS deep,
               bool_or(y.player IS NOT NULL) AS counted,
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
          LEFT JOIN LATERAL (SELECT player FROM player_policy
                              WHERE (k.counts IS NOT NULL OR k.mirror) AND counts_on(a.class)
                                AND ledger_id = p.ledger_id AND player = a.owner OFFSET 0) y ON true
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

-- A policy goes on by versions, and a block that runs is not cut short.
CREATE FUNCTION player_policy_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <= OLD.version THEN
        PERFORM refuse('player_policy_moves_on', format('the policy of %s is at version %s', OLD.player, OLD.version));
    ELSIF OLD.blocked_until > now() AND (NEW.blocked_until IS NULL OR NEW.blocked_until < OLD.blocked_until) THEN
        PERFORM refuse('player_stays_blocked', format('%s is blocked until %s', OLD.player, OLD.blocked_until));
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER player_policy_moves_on BEFORE UPDATE ON player_policy
    FOR EACH ROW EXECUTE FUNCTION player_policy_moves_on();

-- A player's policy as identity tells it, at a sharp edge of the ledger: nothing is posted meanwhile. One that is not
-- newer changes nothing. Gives the version that holds now. The counters of the running day, week and month
-- are taken from the journal when the first policy comes.
CREATE FUNCTION set_player_policy(
    wanted_ledger smallint, wanted_player text, wanted_version bigint, until timestamptz, caps jsonb
) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    holds bigint;
BEGIN
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

REVOKE ALL ON FUNCTION counted(posting[]), count_play(posting[]), player_policy_moves_on(),
    set_player_policy(smallint, text, bigint, timestamptz, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION set_player_policy(smallint, text, bigint, timestamptz, jsonb), period_start(text, timestamptz)
    TO ledger_posting;

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
DROP FUNCTION count_play(posting[]), counted(posting[]), counts_on(text),
    set_player_policy(smallint, text, bigint, timestamptz, jsonb);
DROP TABLE player_count, player_cap, player_policy;
DROP FUNCTION player_policy_moves_on(), period_start(text, timestamptz);
ALTER TABLE kind DROP COLUMN counts, DROP COLUMN capped;
