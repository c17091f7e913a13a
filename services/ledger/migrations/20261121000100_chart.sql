-- migrate:up
-- Charts of accounts are data: which accounts may exist, which way each one grows, and which
-- kinds of entry may move money between which classes. Data changed only by migration: no
-- runtime role may write any table of this file.

CREATE TABLE currency (
    code text PRIMARY KEY CONSTRAINT currency_code_is_iso CHECK (code ~ '^[A-Z]{3}$'),
    exponent smallint NOT NULL CONSTRAINT currency_exponent_in_range CHECK (exponent BETWEEN 0 AND 6)
);

CREATE TABLE chart (
    name text PRIMARY KEY
);

-- A class of accounts. `pattern` is matched against the whole path; its first group, if any,
-- is the owner (a player's or a market's id).
CREATE TABLE account_class (
    chart text NOT NULL REFERENCES chart,
    name text NOT NULL,
    pattern text NOT NULL,
    side text NOT NULL CONSTRAINT account_class_side_is_known CHECK (side IN ('debit', 'credit')),
    floored boolean NOT NULL,
    owner_kind text CONSTRAINT account_class_owner_kind_is_known CHECK (owner_kind IN ('player', 'market')),
    requires_hold boolean NOT NULL DEFAULT false,
    PRIMARY KEY (chart, name)
);

-- A kind of entry.
--   receipt     an attested receipt pays for it, once
--   players     exactly this many distinct players take part
--   hold        'open' = the leg on a holding account opens the hold, 'draw' = it draws one down
--   stake       its player legs are stakes that enter the escrow of the entry's market
--   settlement  'settle' pays contributors out of an escrow, 'void' gives stakes back
--   referenced  the entry's reference names the market whose escrow it touches
CREATE TABLE kind (
    chart text NOT NULL REFERENCES chart,
    name text NOT NULL,
    receipt boolean NOT NULL DEFAULT false,
    players smallint,
    hold text CONSTRAINT kind_hold_is_known CHECK (hold IN ('open', 'draw')),
    stake boolean NOT NULL DEFAULT false,
    settlement text CONSTRAINT kind_settlement_is_known CHECK (settlement IN ('settle', 'void')),
    PRIMARY KEY (chart, name)
);

-- The template of a kind: which classes it may debit and which it may credit.
CREATE TABLE kind_leg (
    chart text NOT NULL,
    kind text NOT NULL,
    side text NOT NULL CONSTRAINT kind_leg_side_is_known CHECK (side IN ('debit', 'credit')),
    class text NOT NULL,
    PRIMARY KEY (chart, kind, side, class),
    FOREIGN KEY (chart, kind) REFERENCES kind,
    FOREIGN KEY (chart, class) REFERENCES account_class
);

-- migrate:down
DROP TABLE kind_leg, kind, account_class, chart, currency;
