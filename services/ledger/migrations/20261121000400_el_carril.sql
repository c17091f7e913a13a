-- migrate:up
-- El Carril's chart. Paths name players and markets by UUID, so a class cannot be guessed around.
INSERT INTO currency (code, exponent) VALUES ('MXN', 2);
INSERT INTO chart (name) VALUES ('el-carril');

INSERT INTO account_class (chart, name, pattern, side, floored, owner_kind, requires_hold) VALUES
    ('el-carril', 'bank',               '^bank/[a-z0-9-]{1,32}$',                'debit',  true, NULL,     false),
    ('el-carril', 'player.available',   '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/available$',   'credit', true, 'player', false),
    ('el-carril', 'player.held',        '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/held$',        'credit', true, 'player', true),
    ('el-carril', 'player.withdrawing', '^players/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/withdrawing$', 'credit', true, 'player', true),
    ('el-carril', 'market.escrow',      '^markets/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})/escrow$',      'credit', true, 'market', false),
    ('el-carril', 'suspense',           '^suspense/[a-z0-9-]{1,32}$',            'credit', true, NULL,     false),
    ('el-carril', 'house.equity',       '^house/(?:capital|reserve)$',           'credit', true, NULL,     false),
    ('el-carril', 'house.commission',   '^house/commission$',                    'credit', true, NULL,     false);

INSERT INTO kind (chart, name, receipt, players, hold, stake, settlement) VALUES
    ('el-carril', 'deposit',            true,  1,    NULL,   false, NULL),
    ('el-carril', 'deposit.suspense',   true,  NULL, NULL,   false, NULL),
    ('el-carril', 'house.fund',         true,  NULL, NULL,   false, NULL),
    ('el-carril', 'withdrawal.reserve', false, 1,    'open', false, NULL),
    ('el-carril', 'withdrawal.release', false, 1,    'draw', false, NULL),
    ('el-carril', 'withdrawal.done',    false, 1,    'draw', false, NULL),
    ('el-carril', 'bet.hold',           false, 1,    'open', false, NULL),
    ('el-carril', 'bet.release',        false, 1,    'draw', false, NULL),
    ('el-carril', 'bet.match',          false, 2,    'draw', true,  NULL),
    ('el-carril', 'bet.settle',         false, NULL, NULL,   false, 'settle'),
    ('el-carril', 'bet.void',           false, NULL, NULL,   false, 'void');

INSERT INTO kind_leg (chart, kind, side, class) VALUES
    ('el-carril', 'deposit',            'debit',  'bank'),
    ('el-carril', 'deposit',            'credit', 'player.available'),
    ('el-carril', 'deposit.suspense',   'debit',  'bank'),
    ('el-carril', 'deposit.suspense',   'credit', 'suspense'),
    ('el-carril', 'house.fund',         'debit',  'bank'),
    ('el-carril', 'house.fund',         'credit', 'house.equity'),
    ('el-carril', 'withdrawal.reserve', 'debit',  'player.available'),
    ('el-carril', 'withdrawal.reserve', 'credit', 'player.withdrawing'),
    ('el-carril', 'withdrawal.release', 'debit',  'player.withdrawing'),
    ('el-carril', 'withdrawal.release', 'credit', 'player.available'),
    ('el-carril', 'withdrawal.done',    'debit',  'player.withdrawing'),
    ('el-carril', 'withdrawal.done',    'credit', 'bank'),
    ('el-carril', 'bet.hold',           'debit',  'player.available'),
    ('el-carril', 'bet.hold',           'credit', 'player.held'),
    ('el-carril', 'bet.release',        'debit',  'player.held'),
    ('el-carril', 'bet.release',        'credit', 'player.available'),
    ('el-carril', 'bet.match',          'debit',  'player.held'),
    ('el-carril', 'bet.match',          'credit', 'market.escrow'),
    ('el-carril', 'bet.settle',         'debit',  'market.escrow'),
    ('el-carril', 'bet.settle',         'credit', 'player.available'),
    ('el-carril', 'bet.settle',         'credit', 'house.commission'),
    ('el-carril', 'bet.void',           'debit',  'market.escrow'),
    ('el-carril', 'bet.void',           'credit', 'player.available');

INSERT INTO ledger (id, name, chart) VALUES (1, 'el-carril', 'el-carril');
INSERT INTO head (ledger_id) VALUES (1);

-- migrate:down
ALTER TABLE head DISABLE TRIGGER head_is_derived;
DELETE FROM head;
ALTER TABLE head ENABLE TRIGGER head_is_derived;
DELETE FROM ledger;
DELETE FROM kind_leg;
DELETE FROM kind;
DELETE FROM account_class;
DELETE FROM chart;
DELETE FROM currency;
