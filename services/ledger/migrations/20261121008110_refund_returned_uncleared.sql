-- migrate:up
-- A refund that failed after all goes back to where it was taken from: money that the provider has not paid out
-- yet must not become spendable by it.
INSERT INTO kind_leg (chart, kind, side, class) VALUES ('el-carril', 'refund.returned', 'credit', 'player.uncleared');

-- migrate:down
DELETE FROM kind_leg WHERE kind = 'refund.returned' AND class = 'player.uncleared';
