-- migrate:up
-- What is looked for every few seconds, or at every review, is found by index however many payments there are.
-- squawk-ignore-file require-concurrent-index-creation
CREATE INDEX player_clabe_by_issue ON player_clabe (issued_at);
CREATE INDEX deposit_by_tracking_key ON deposit (tracking_key);
CREATE INDEX deposit_in_quarantine ON deposit (claimed_at) WHERE state = 'QUARANTINED';
CREATE INDEX arrival_by_deposit ON arrival (deposit_id) WHERE deposit_id IS NOT NULL;
CREATE INDEX card_operation_unsettled ON card_operation (requested_at) WHERE state = 'BOOKED' AND act IN ('capture', 'refund');
CREATE INDEX withdrawal_by_clabe ON withdrawal (clabe, requested_at);
CREATE INDEX payout_clabe_by_clabe ON payout_clabe (clabe);
CREATE INDEX review_case_by_subject ON review_case (subject_id);

-- migrate:down
DROP INDEX review_case_by_subject, payout_clabe_by_clabe, withdrawal_by_clabe, card_operation_unsettled, arrival_by_deposit,
    deposit_in_quarantine, deposit_by_tracking_key, player_clabe_by_issue;
