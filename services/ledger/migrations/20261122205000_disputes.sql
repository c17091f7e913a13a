-- migrate:up
-- Card disputes. What a provider's file has taken for one is contested, and no longer the provider's debt to us; won, it is that again; lost,
-- it is the house's loss, less what its player still has. None of it brings a player money, nor moves any at the bank.
INSERT INTO account_class (chart, name, pattern, side, floored, owner_kind, requires_hold) VALUES
    ('el-carril', 'disputes.receivable', '^disputes/[a-z0-9-]{1,32}/receivable$', 'debit', true, NULL, false),
    ('el-carril', 'losses',              '^losses/[a-z0-9-]{1,32}$',              'debit', true, NULL, false);

INSERT INTO kind (chart, name, players) VALUES
    ('el-carril', 'dispute.open',    NULL),
    ('el-carril', 'dispute.won',     NULL),
    ('el-carril', 'dispute.lost',    NULL),
    ('el-carril', 'dispute.recover', 1);

INSERT INTO kind_leg (chart, kind, side, class) VALUES
    ('el-carril', 'dispute.open',    'debit',  'disputes.receivable'),
    ('el-carril', 'dispute.open',    'credit', 'psp.receivable'),
    ('el-carril', 'dispute.won',     'debit',  'psp.receivable'),
    ('el-carril', 'dispute.won',     'credit', 'disputes.receivable'),
    ('el-carril', 'dispute.lost',    'debit',  'losses'),
    ('el-carril', 'dispute.lost',    'credit', 'disputes.receivable'),
    ('el-carril', 'dispute.recover', 'debit',  'player.available'),
    ('el-carril', 'dispute.recover', 'credit', 'losses');

-- migrate:down
DELETE FROM kind_leg WHERE chart = 'el-carril' AND kind LIKE 'dispute.%';
DELETE FROM kind WHERE chart = 'el-carril' AND name LIKE 'dispute.%';
DELETE FROM account_class WHERE chart = 'el-carril' AND name IN ('disputes.receivable', 'losses');
