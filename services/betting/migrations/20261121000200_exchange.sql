-- migrate:up
-- The exchange: markets, offers and the bets they make. Betting knows prices and stakes, never
-- balances; every amount here is repeated, and enforced, by the ledger.

-- An exact amount that is not negative. NaN sorts above every number, so the upper bound refuses it
-- and Infinity; decimals are checked, never rounded to.
CREATE DOMAIN amount AS numeric
    CONSTRAINT amount_is_finite_and_not_negative CHECK (VALUE >= 0 AND VALUE < 1e15)
    CONSTRAINT amount_is_exact CHECK (scale(VALUE) <= 2);

-- `version` is what a bettor has seen and moves with the status; `sequence` counts everything that
-- happened in the market: it orders its offers in time and versions its events. Every change of a
-- market, its offers and its bets is made while holding this row's lock.
CREATE TABLE market (
    id uuid PRIMARY KEY,
    race_id uuid NOT NULL REFERENCES race,
    kind text NOT NULL CONSTRAINT market_kind_is_known CHECK (kind = 'GANA'),
    runner_a uuid NOT NULL,
    runner_b uuid NOT NULL,
    currency text NOT NULL CONSTRAINT market_currency_has_two_decimals CHECK (currency = 'MXN'),
    commission_bps smallint NOT NULL CONSTRAINT market_commission_in_range CHECK (commission_bps BETWEEN 0 AND 2000),
    tie_rule text NOT NULL CONSTRAINT market_tie_rule_is_known CHECK (tie_rule = 'PUSH'),
    min_stake amount NOT NULL,
    max_stake amount NOT NULL,
    terms_hash bytea NOT NULL CONSTRAINT market_terms_hash_is_sha256 CHECK (octet_length(terms_hash) = 32),
    status text NOT NULL DEFAULT 'OPEN' CONSTRAINT market_status_is_known
        CHECK (status IN ('OPEN', 'SUSPENDED', 'CLOSED', 'SETTLING', 'SETTLED', 'VOID')),
    version integer NOT NULL DEFAULT 1 CONSTRAINT market_version_is_positive CHECK (version >= 1),
    sequence bigint NOT NULL DEFAULT 0,
    escrow amount NOT NULL DEFAULT 0,
    defect text CONSTRAINT market_defect_suspends CHECK (defect IS NULL OR status = 'SUSPENDED'),
    opened_by uuid NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    closed_at timestamptz,
    CONSTRAINT market_is_unique UNIQUE (race_id, kind),
    CONSTRAINT market_runners_differ CHECK (runner_a <> runner_b),
    CONSTRAINT market_runner_a_in_race FOREIGN KEY (race_id, runner_a) REFERENCES runner (race_id, id),
    CONSTRAINT market_runner_b_in_race FOREIGN KEY (race_id, runner_b) REFERENCES runner (race_id, id),
    CONSTRAINT market_rest_holds_a_lot CHECK (min_stake >= 0.20 AND max_stake >= min_stake),
    CONSTRAINT market_open_has_not_closed CHECK (status <> 'OPEN' OR closed_at IS NULL)
) WITH (fillfactor = 50);
CREATE INDEX market_awaiting_settlement ON market (race_id) WHERE status = 'CLOSED';

-- `rank` is the ratio's place on the ladder counted from evens; two opposite offers cross exactly if
-- their ranks do not sum below zero, so that the book can be read in order from an index.
CREATE TABLE offer (
    id uuid PRIMARY KEY,
    market_id uuid NOT NULL REFERENCES market,
    market_version integer NOT NULL,
    user_id uuid NOT NULL,
    idempotency_key text NOT NULL CONSTRAINT offer_key_is_bounded CHECK (length(idempotency_key) BETWEEN 1 AND 255),
    side text NOT NULL CONSTRAINT offer_side_is_known CHECK (side IN ('A', 'B')),
    risk smallint NOT NULL,
    win smallint NOT NULL,
    rank smallint NOT NULL,
    stake amount NOT NULL,
    matched amount NOT NULL DEFAULT 0,
    remaining amount NOT NULL,
    released amount NOT NULL DEFAULT 0,
    status text NOT NULL DEFAULT 'PENDING' CONSTRAINT offer_status_is_known CHECK (
        status IN ('PENDING', 'OPEN', 'PARTIAL', 'FILLED', 'CANCELLED', 'LAPSED', 'REJECTED')),
    ending text CONSTRAINT offer_ending_is_known CHECK (
        ending IN ('DUST', 'SELF_MATCH', 'BY_OWNER', 'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')),
    sequence bigint,
    attempts smallint NOT NULL DEFAULT 0,
    next_attempt_at timestamptz NOT NULL,
    placed_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT offer_key_is_used_once UNIQUE (user_id, idempotency_key),
    CONSTRAINT offer_is_bound UNIQUE (id, market_id, user_id, side, risk, win),
    CONSTRAINT offer_sequence_is_unique UNIQUE (market_id, sequence),
    CONSTRAINT offer_ratio_on_ladder CHECK ((risk, win, rank) IN (
        (1, 10, -14), (1, 5, -13), (1, 4, -12), (1, 3, -11), (2, 5, -10), (1, 2, -9), (3, 5, -8), (2, 3, -7),
        (7, 10, -6), (3, 4, -5), (4, 5, -4), (17, 20, -3), (9, 10, -2), (19, 20, -1), (1, 1, 0), (20, 19, 1),
        (10, 9, 2), (20, 17, 3), (5, 4, 4), (4, 3, 5), (10, 7, 6), (3, 2, 7), (5, 3, 8), (2, 1, 9), (5, 2, 10),
        (3, 1, 11), (4, 1, 12), (5, 1, 13), (10, 1, 14))),
    CONSTRAINT offer_stake_is_whole_lots CHECK (mod(stake * 100, risk) = 0),
    CONSTRAINT offer_stake_is_accounted_for CHECK (matched + remaining + released = stake),
    CONSTRAINT offer_ends_with_nothing_left CHECK (
        stake > 0
        AND (status IN ('PENDING', 'OPEN', 'PARTIAL')) = (remaining > 0)
        AND (status IN ('PENDING', 'OPEN', 'PARTIAL')) = (ended_at IS NULL)
        AND (released > 0) = (ending IS NOT NULL)),
    CONSTRAINT offer_status_fits_amounts CHECK (
        CASE status WHEN 'PENDING' THEN matched = 0
                    WHEN 'OPEN' THEN matched = 0
                    WHEN 'PARTIAL' THEN matched > 0
                    WHEN 'FILLED' THEN matched > 0
                    WHEN 'REJECTED' THEN matched = 0
                    ELSE released > 0 END),
    CONSTRAINT offer_sequence_once_held CHECK ((sequence IS NULL) = (status IN ('PENDING', 'REJECTED')))
) WITH (fillfactor = 70);
CREATE INDEX offer_book ON offer (market_id, side, rank DESC, sequence) INCLUDE (user_id, remaining)
    WHERE status IN ('OPEN', 'PARTIAL');
CREATE INDEX offer_to_finish ON offer (next_attempt_at) WHERE status = 'PENDING';
CREATE INDEX offer_of_user ON offer (user_id, placed_at, id);

-- A bet: two offers on opposite sides of one market, of two different bettors, at the maker's ratio.
-- The foreign keys bind every copied column to its offer.
CREATE TABLE fill (
    id uuid PRIMARY KEY,
    market_id uuid NOT NULL,
    sequence bigint NOT NULL,
    maker_offer uuid NOT NULL,
    maker_user uuid NOT NULL,
    maker_side text NOT NULL,
    maker_stake amount NOT NULL,
    taker_offer uuid NOT NULL,
    taker_user uuid NOT NULL,
    taker_side text NOT NULL,
    taker_stake amount NOT NULL,
    taker_risk smallint NOT NULL,
    taker_win smallint NOT NULL,
    risk smallint NOT NULL,
    win smallint NOT NULL,
    lots bigint NOT NULL CONSTRAINT fill_has_lots CHECK (lots > 0),
    pot amount NOT NULL,
    matched_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT fill_meets_once UNIQUE (taker_offer, maker_offer),
    CONSTRAINT fill_sequence_is_unique UNIQUE (market_id, sequence),
    CONSTRAINT fill_maker_is_bound FOREIGN KEY (maker_offer, market_id, maker_user, maker_side, risk, win)
        REFERENCES offer (id, market_id, user_id, side, risk, win),
    CONSTRAINT fill_taker_is_bound FOREIGN KEY (taker_offer, market_id, taker_user, taker_side, taker_risk, taker_win)
        REFERENCES offer (id, market_id, user_id, side, risk, win),
    CONSTRAINT fill_sides_are_opposite CHECK (maker_side <> taker_side),
    CONSTRAINT fill_bettors_differ CHECK (maker_user <> taker_user),
    CONSTRAINT fill_ratios_cross CHECK (taker_risk * risk >= taker_win * win),
    CONSTRAINT fill_is_whole_lots CHECK (maker_stake * 100 = risk * lots AND taker_stake * 100 = win * lots),
    CONSTRAINT fill_pot_is_both_stakes CHECK (pot = maker_stake + taker_stake)
);
CREATE INDEX fill_of_maker_offer ON fill (maker_offer);
CREATE INDEX fill_of_maker_user ON fill (maker_user, matched_at, id);
CREATE INDEX fill_of_taker_user ON fill (taker_user, matched_at, id);

-- migrate:down
DROP TABLE fill, offer, market;
DROP DOMAIN amount;
