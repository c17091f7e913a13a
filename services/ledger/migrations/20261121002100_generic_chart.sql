-- migrate:up
-- The chart for whoever keeps books that are not El Carril's. An asset or a liability never crosses zero;
-- equity, income and expenses may. Money owed to somebody can be held: `held/liabilities/ana` holds what is
-- set aside of `liabilities/ana`.
INSERT INTO chart (name) VALUES ('generic');
INSERT INTO chart_currency (chart, currency) SELECT 'generic', code FROM currency WHERE code IN ('MXN', 'USD', 'JPY', 'CLF', 'KWD');

INSERT INTO account_class (chart, name, pattern, side, floored, owner_kind, requires_hold) VALUES
    ('generic', 'asset',          '^assets(?:/[a-z0-9._-]+)+$',             'debit',  true,  NULL,      false),
    ('generic', 'liability',      '^(liabilities(?:/[a-z0-9._-]+)+)$',      'credit', true,  'account', false),
    ('generic', 'liability.held', '^held/(liabilities(?:/[a-z0-9._-]+)+)$', 'credit', true,  'account', true),
    ('generic', 'equity',         '^equity(?:/[a-z0-9._-]+)+$',             'credit', false, NULL,      false),
    ('generic', 'income',         '^income(?:/[a-z0-9._-]+)+$',             'credit', false, NULL,      false),
    ('generic', 'expense',        '^expenses(?:/[a-z0-9._-]+)+$',           'debit',  false, NULL,      false);

INSERT INTO kind (chart, name, players, hold, draws, reversible, mirror, expiring, hold_events) VALUES
    ('generic', 'transfer',      NULL, NULL,   NULL,      true,  false, false, false),
    ('generic', 'reversal',      NULL, NULL,   NULL,      false, true,  false, false),
    ('generic', 'hold.open',     1,    'open', NULL,      true,  false, true,  true),
    ('generic', 'hold.capture',  NULL, 'draw', 'capture', false, false, false, false),
    ('generic', 'hold.release',  1,    'draw', 'release', false, false, false, false),
    ('generic', 'hold.expire',   1,    'draw', 'expire',  false, false, false, false),
    ('generic', 'account.close', NULL, NULL,   NULL,      false, false, false, false);

INSERT INTO kind_leg (chart, kind, side, class)
SELECT 'generic', 'transfer', side, class
  FROM unnest(ARRAY['debit', 'credit']) AS side,
       unnest(ARRAY['asset', 'liability', 'equity', 'income', 'expense']) AS class;
INSERT INTO kind_leg (chart, kind, side, class)
SELECT 'generic', 'hold.capture', 'credit', unnest(ARRAY['asset', 'liability', 'equity', 'income', 'expense']);
INSERT INTO kind_leg (chart, kind, side, class) VALUES
    ('generic', 'hold.open',    'debit',  'liability'),
    ('generic', 'hold.open',    'credit', 'liability.held'),
    ('generic', 'hold.capture', 'debit',  'liability.held'),
    ('generic', 'hold.release', 'debit',  'liability.held'),
    ('generic', 'hold.release', 'credit', 'liability'),
    ('generic', 'hold.expire',  'debit',  'liability.held'),
    ('generic', 'hold.expire',  'credit', 'liability');

-- migrate:down
DELETE FROM kind_leg WHERE chart = 'generic';
DELETE FROM kind WHERE chart = 'generic';
DELETE FROM account_class WHERE chart = 'generic';
DELETE FROM chart_currency WHERE chart = 'generic';
DELETE FROM chart WHERE name = 'generic';
