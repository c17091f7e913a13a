-- migrate:up
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
-- The chart is a few dozen rows that nobody writes: checking them locks nobody out.

-- Charts to their full depth: which currencies a chart keeps, which kinds may be reversed, what a draw
-- does to its hold, which holds may end of themselves. All of it is data that only a migration changes.

INSERT INTO currency (code, exponent) VALUES ('USD', 2), ('JPY', 0), ('CLF', 4), ('KWD', 3);

-- The currencies in which a chart's accounts may be kept.
CREATE TABLE chart_currency (
    chart text NOT NULL REFERENCES chart,
    currency text NOT NULL REFERENCES currency,
    PRIMARY KEY (chart, currency)
);
INSERT INTO chart_currency (chart, currency) VALUES ('el-carril', 'MXN');

-- In a generic chart an account owns itself: what is held of it stays its own.
ALTER TABLE account_class DROP CONSTRAINT account_class_owner_kind_is_known;
ALTER TABLE account_class ADD CONSTRAINT account_class_owner_kind_is_known
    CHECK (owner_kind IN ('player', 'market', 'account'));

--   players      now: exactly this many distinct owners, players or self-owned accounts, take part
--   reversible   a reversal may mirror it, once
--   mirror       it is the reversal: its postings mirror those of one reversible entry
--   draws        what drawing a hold by this kind means: its money was captured, released, or it expired
--   expiring     the hold it opens may carry a moment at which it ends of itself
--   hold_events  what becomes of a hold it opened is told by events of the hold's own
ALTER TABLE kind
    ADD COLUMN reversible boolean NOT NULL DEFAULT false,
    ADD COLUMN mirror boolean NOT NULL DEFAULT false,
    ADD COLUMN draws text,
    ADD COLUMN expiring boolean NOT NULL DEFAULT false,
    ADD COLUMN hold_events boolean NOT NULL DEFAULT false;

UPDATE kind SET draws = CASE WHEN name IN ('bet.release', 'withdrawal.release') THEN 'release' ELSE 'capture' END
 WHERE hold = 'draw';
UPDATE kind SET reversible = true WHERE name IN ('bet.hold', 'withdrawal.reserve');
UPDATE kind SET hold_events = true WHERE name = 'withdrawal.reserve';

-- A hold only ever falls, money comes in only by receipts and an escrow empties only by its settlement: so
-- no draw, no stake and nothing with a receipt or a settlement can be mirrored.
ALTER TABLE kind
    ADD CONSTRAINT kind_draws_are_known CHECK (draws IN ('capture', 'release', 'expire')),
    ADD CONSTRAINT kind_reversible_is_safe CHECK (NOT reversible OR NOT (
        receipt OR stake OR mirror OR settlement IS NOT NULL OR hold IS NOT DISTINCT FROM 'draw')),
    ADD CONSTRAINT kind_mirror_is_nothing_else CHECK (NOT mirror OR NOT (
        receipt OR stake OR settlement IS NOT NULL OR hold IS NOT NULL OR players IS NOT NULL)),
    ADD CONSTRAINT kind_expiring_opens CHECK (NOT expiring OR hold IS NOT DISTINCT FROM 'open'),
    ADD CONSTRAINT kind_hold_events_opens CHECK (NOT hold_events OR hold IS NOT DISTINCT FROM 'open');

-- `account.close` is no entry (no leg fits it): a principal that has it may close accounts.
INSERT INTO kind (chart, name, mirror) VALUES ('el-carril', 'reversal', true), ('el-carril', 'account.close', false);

-- migrate:down
DELETE FROM kind WHERE name IN ('reversal', 'account.close');
ALTER TABLE kind DROP COLUMN reversible, DROP COLUMN mirror, DROP COLUMN draws, DROP COLUMN expiring, DROP COLUMN hold_events;
ALTER TABLE account_class DROP CONSTRAINT account_class_owner_kind_is_known;
ALTER TABLE account_class ADD CONSTRAINT account_class_owner_kind_is_known CHECK (owner_kind IN ('player', 'market'));
DROP TABLE chart_currency;
DELETE FROM currency WHERE code IN ('USD', 'JPY', 'CLF', 'KWD');
