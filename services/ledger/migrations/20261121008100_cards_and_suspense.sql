-- migrate:up
-- Money that comes by card, goes back by refund, waits in suspense or comes back from a bank: the chart's
-- classes and kinds for them. Every kind that brings money in still needs a receipt.

-- A kind's receipt says what it credits; these are the accounts that may be debited for it. `{rail}` stands
-- for the receipt's rail.
ALTER TABLE kind ADD COLUMN receipt_debits text[];

INSERT INTO account_class (chart, name, pattern, side, floored, owner_kind, requires_hold) VALUES
    ('el-carril', 'psp.receivable',   '^psp/[a-z0-9-]{1,32}/receivable$',     'debit',  false, NULL,     false),
    ('el-carril', 'player.uncleared', '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/uncleared$', 'credit', true, 'player', false),
    ('el-carril', 'player.debt',      '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/debt$',      'debit',  true, 'player', false),
    ('el-carril', 'refund.clearing',  '^refunds/[a-z0-9-]{1,32}/clearing$',   'credit', true,  NULL,     true),
    ('el-carril', 'fees',             '^fees/[a-z0-9-]{1,32}$',               'debit',  true,  NULL,     false)
ON CONFLICT DO NOTHING;

INSERT INTO kind (chart, name, receipt, players, hold, stake, settlement, receipt_debits) VALUES
    ('el-carril', 'suspense.assign',     true,  1,    NULL,   false, NULL, ARRAY['suspense/{rail}']),
    ('el-carril', 'suspense.return',     true,  NULL, NULL,   false, NULL, ARRAY['suspense/{rail}']),
    ('el-carril', 'withdrawal.returned', true,  1,    'open', false, NULL, ARRAY['bank/{rail}']),
    ('el-carril', 'card.capture',        true,  1,    NULL,   false, NULL, ARRAY['psp/{rail}/receivable']),
    ('el-carril', 'card.settle',         true,  NULL, NULL,   false, NULL, ARRAY['bank/spei', 'fees/{rail}']),
    ('el-carril', 'card.clear',          false, 1,    NULL,   false, NULL, NULL),
    ('el-carril', 'refund.request',      false, 1,    'open', false, NULL, NULL),
    ('el-carril', 'refund.done',         false, NULL, 'draw', false, NULL, NULL),
    ('el-carril', 'refund.fail',         false, 1,    'draw', false, NULL, NULL),
    ('el-carril', 'refund.returned',     true,  1,    NULL,   false, NULL, ARRAY['psp/{rail}/receivable']),
    ('el-carril', 'debt.repay',          false, 1,    NULL,   false, NULL, NULL);
UPDATE kind SET receipt_debits = ARRAY['bank/{rail}'] WHERE name IN ('deposit', 'deposit.suspense', 'house.fund');
-- squawk-ignore constraint-missing-not-valid -- the chart is a few dozen rows
ALTER TABLE kind ADD CONSTRAINT kind_receipt_says_its_debits CHECK (receipt = (receipt_debits IS NOT NULL));

INSERT INTO kind_leg (chart, kind, side, class) VALUES
    ('el-carril', 'suspense.assign',     'debit',  'suspense'),
    ('el-carril', 'suspense.assign',     'credit', 'player.available'),
    ('el-carril', 'suspense.return',     'debit',  'suspense'),
    ('el-carril', 'suspense.return',     'credit', 'bank'),
    ('el-carril', 'withdrawal.returned', 'debit',  'bank'),
    ('el-carril', 'withdrawal.returned', 'credit', 'player.withdrawing'),
    ('el-carril', 'card.capture',        'debit',  'psp.receivable'),
    ('el-carril', 'card.capture',        'credit', 'player.uncleared'),
    ('el-carril', 'card.settle',         'debit',  'bank'),
    ('el-carril', 'card.settle',         'debit',  'fees'),
    ('el-carril', 'card.settle',         'credit', 'psp.receivable'),
    ('el-carril', 'card.clear',          'debit',  'player.uncleared'),
    ('el-carril', 'card.clear',          'credit', 'player.available'),
    ('el-carril', 'refund.request',      'debit',  'player.uncleared'),
    ('el-carril', 'refund.request',      'debit',  'player.available'),
    ('el-carril', 'refund.request',      'credit', 'refund.clearing'),
    ('el-carril', 'refund.done',         'debit',  'refund.clearing'),
    ('el-carril', 'refund.done',         'credit', 'psp.receivable'),
    ('el-carril', 'refund.fail',         'debit',  'refund.clearing'),
    ('el-carril', 'refund.fail',         'credit', 'player.uncleared'),
    ('el-carril', 'refund.fail',         'credit', 'player.available'),
    ('el-carril', 'refund.returned',     'debit',  'psp.receivable'),
    ('el-carril', 'refund.returned',     'credit', 'player.available'),
    ('el-carril', 'debt.repay',          'debit',  'player.available'),
    ('el-carril', 'debt.repay',          'credit', 'player.debt');

-- Money in suspense is decided on once: assigned to its player or returned, by the same transfer's receipt
-- attested again. The second receipt names the first and says the same about the transfer; the uniqueness of
-- transfer and document is a rule among first receipts. The rules below rewrite and scan the receipts once,
-- under a lock: one row a deposit is a second's work, and nothing may be booked beside it.
ALTER TABLE receipt ADD COLUMN origin uuid;
ALTER TABLE receipt
    -- squawk-ignore adding-field-with-default
    ADD COLUMN origin_purpose text GENERATED ALWAYS AS (CASE WHEN origin IS NOT NULL THEN 'deposit.suspense' END) STORED;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE receipt ADD CONSTRAINT receipt_origin_as_purpose_says
    CHECK ((origin IS NOT NULL) = (purpose IN ('suspense.assign', 'suspense.return')));
-- squawk-ignore ban-drop-constraint
ALTER TABLE receipt DROP CONSTRAINT receipt_tracking_key_is_unique;
-- squawk-ignore ban-drop-constraint
ALTER TABLE receipt DROP CONSTRAINT receipt_document_is_unique;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX receipt_tracking_key_is_unique ON receipt (ledger_id, rail, tracking_key) WHERE origin IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX receipt_document_is_unique ON receipt (ledger_id, rail, document_sha256) WHERE origin IS NULL;
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX receipt_origin_is_decided_once ON receipt (origin) WHERE origin IS NOT NULL;
-- squawk-ignore disallowed-unique-constraint, constraint-missing-not-valid
ALTER TABLE receipt ADD CONSTRAINT receipt_states_its_transfer
    UNIQUE (id, ledger_id, rail, tracking_key, document_sha256, amount, currency, purpose);
-- squawk-ignore constraint-missing-not-valid, adding-foreign-key-constraint
ALTER TABLE receipt ADD CONSTRAINT receipt_origin_is_the_same_transfer
    FOREIGN KEY (origin, ledger_id, rail, tracking_key, document_sha256, amount, currency, origin_purpose)
    REFERENCES receipt (id, ledger_id, rail, tracking_key, document_sha256, amount, currency, purpose);
GRANT INSERT (origin) ON receipt TO ledger_receipts;

-- Receipts: an entry that brings money in spends exactly one, for exactly what it attests, and debits no
-- account but those its kind allows for that receipt. What is taken out of suspense must have been put there
-- by the same transfer.
CREATE OR REPLACE FUNCTION spend_receipts(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
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
      WHERE r.origin IS NOT NULL AND NOT EXISTS (SELECT FROM receipt_use u WHERE u.receipt_id = r.origin);
END $$;

-- A refund that failed goes back to the player it was taken from: its hold is on an account that is nobody's,
-- so whom it was taken from is kept here. Any other entry pays one comparison for this rule.
CREATE TABLE refund_taken (
    ledger_id smallint NOT NULL REFERENCES ledger,
    hold uuid NOT NULL,
    player text NOT NULL,
    PRIMARY KEY (ledger_id, hold)
);
CREATE TRIGGER refund_taken_is_derived BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON refund_taken
    FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal();
REVOKE ALL ON refund_taken FROM PUBLIC;
GRANT SELECT ON refund_taken TO ledger_posting, ledger_reader;

CREATE FUNCTION refund_returns_to_its_player() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
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
CREATE TRIGGER refund_returns_to_its_player AFTER INSERT ON entry
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION refund_returns_to_its_player();

-- migrate:down
DELETE FROM kind_leg WHERE kind LIKE 'suspense.%' OR kind LIKE 'card.%' OR kind LIKE 'refund.%'
    OR kind IN ('withdrawal.returned', 'debt.repay');
DELETE FROM kind WHERE name LIKE 'suspense.%' OR name LIKE 'card.%' OR name LIKE 'refund.%'
    OR name IN ('withdrawal.returned', 'debt.repay');
DELETE FROM account_class WHERE name IN ('psp.receivable', 'player.uncleared', 'refund.clearing', 'fees');
DROP TRIGGER refund_returns_to_its_player ON entry;
DROP FUNCTION refund_returns_to_its_player();
DROP TABLE refund_taken;
ALTER TABLE receipt DROP CONSTRAINT receipt_origin_is_the_same_transfer;
ALTER TABLE receipt DROP CONSTRAINT receipt_states_its_transfer;
DROP INDEX receipt_origin_is_decided_once, receipt_document_is_unique, receipt_tracking_key_is_unique;
ALTER TABLE receipt DROP COLUMN origin_purpose, DROP COLUMN origin;
ALTER TABLE receipt ADD CONSTRAINT receipt_tracking_key_is_unique UNIQUE (ledger_id, rail, tracking_key);
ALTER TABLE receipt ADD CONSTRAINT receipt_document_is_unique UNIQUE (ledger_id, rail, document_sha256);
ALTER TABLE kind DROP COLUMN receipt_debits CASCADE;
CREATE OR REPLACE FUNCTION spend_receipts(lines journal_line[]) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO receipt_use (receipt_id, ledger_id, sequence, purpose, account, amount, currency)
    SELECT receipt, ledger_id, sequence, kind, path, -amount, currency
      FROM unnest(lines) WHERE receipt IS NOT NULL AND amount < 0;

    PERFORM refuse('receipt_matches_bank', format('entry %s books a receipt of another rail', p.sequence))
       FROM unnest(lines) p JOIN receipt r ON r.id = p.receipt
      WHERE p.amount > 0 AND p.path <> 'bank/' || r.rail;
END $$;
