-- migrate:up
-- squawk-ignore-file constraint-missing-not-valid
-- What the kinds of cards, refunds and suspense do to holds, and which of them may be mirrored. From here on
-- every kind that draws a hold says what the draw means.
UPDATE kind SET draws = CASE name WHEN 'refund.fail' THEN 'release' ELSE 'capture' END
 WHERE name IN ('refund.done', 'refund.fail');
UPDATE kind SET reversible = true WHERE name IN ('card.clear', 'debt.repay', 'refund.request');
UPDATE kind SET hold_events = true WHERE name IN ('refund.request', 'withdrawal.returned');
ALTER TABLE kind ADD CONSTRAINT kind_draws_as_hold_says
    CHECK ((hold IS NOT DISTINCT FROM 'draw') = (draws IS NOT NULL));

-- migrate:down
ALTER TABLE kind DROP CONSTRAINT kind_draws_as_hold_says;
UPDATE kind SET hold_events = false WHERE name IN ('refund.request', 'withdrawal.returned');
UPDATE kind SET reversible = false WHERE name IN ('card.clear', 'debt.repay', 'refund.request');
UPDATE kind SET draws = NULL WHERE name IN ('refund.done', 'refund.fail');
