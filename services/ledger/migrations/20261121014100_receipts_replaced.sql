-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid, adding-field-with-default, ban-drop-column, ban-drop-constraint, adding-foreign-key-constraint
-- One row a deposit, rewritten under a lock that is held for less than a second's work.

-- A deposit that was attested and that its player's limits refuse goes to suspense: by the same transfer's receipt
-- attested again, which names the first and takes its place. The one that was replaced is never booked.
ALTER TABLE receipt DROP CONSTRAINT receipt_origin_is_the_same_transfer;
ALTER TABLE receipt DROP COLUMN origin_purpose;
ALTER TABLE receipt ADD COLUMN origin_purpose text GENERATED ALWAYS AS (
    CASE WHEN origin IS NULL THEN NULL WHEN purpose = 'deposit.suspense' THEN 'deposit' ELSE 'deposit.suspense' END) STORED;
ALTER TABLE receipt DROP CONSTRAINT receipt_origin_as_purpose_says;
ALTER TABLE receipt ADD CONSTRAINT receipt_origin_as_purpose_says
    CHECK (CASE WHEN purpose IN ('suspense.assign', 'suspense.return') THEN origin IS NOT NULL
                ELSE origin IS NULL OR purpose = 'deposit.suspense' END);
ALTER TABLE receipt ADD CONSTRAINT receipt_origin_is_the_same_transfer
    FOREIGN KEY (origin, ledger_id, rail, tracking_key, document_sha256, amount, currency, origin_purpose)
    REFERENCES receipt (id, ledger_id, rail, tracking_key, document_sha256, amount, currency, purpose);

-- As before; and of a receipt and the one that replaces it at most one is ever spent. Both are spent under the head's
-- lock, so whichever is second sees the first.
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
      WHERE r.origin IS NOT NULL AND r.purpose <> 'deposit.suspense'
        AND NOT EXISTS (SELECT FROM receipt_use u WHERE u.receipt_id = r.origin);

    PERFORM refuse('receipt_or_its_replacement_is_spent', format('entry %s books a transfer twice', p.sequence))
       FROM unnest(lines) p
       JOIN receipt r ON r.id = p.receipt
      WHERE r.purpose = 'deposit' AND EXISTS (SELECT FROM receipt later WHERE later.origin = r.id)
         OR r.purpose = 'deposit.suspense' AND r.origin IS NOT NULL
            AND EXISTS (SELECT FROM receipt_use u WHERE u.receipt_id = r.origin);
END $$;

-- migrate:down
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
ALTER TABLE receipt DROP CONSTRAINT receipt_origin_as_purpose_says;
ALTER TABLE receipt ADD CONSTRAINT receipt_origin_as_purpose_says
    CHECK ((origin IS NOT NULL) = (purpose IN ('suspense.assign', 'suspense.return')));
