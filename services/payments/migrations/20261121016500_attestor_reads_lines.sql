-- migrate:up
-- Whoever attests a settlement file adds it up again, by the lines that were counted.
GRANT SELECT ON payout_line TO payments_attestor;

-- migrate:down
REVOKE SELECT ON payout_line FROM payments_attestor;
