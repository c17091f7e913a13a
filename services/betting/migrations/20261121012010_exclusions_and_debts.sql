-- migrate:up
-- squawk-ignore-file ban-drop-constraint, constraint-missing-not-valid
-- Who has excluded themselves (identity says so), and who owes what a corrected result took back (the ledger says so).
-- Both are what others know: a later word replaces an earlier one, and an earlier one that comes late changes nothing.
CREATE TABLE exclusion (
    user_id uuid PRIMARY KEY,
    until timestamptz,
    changed_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON exclusion TO betting_app;
GRANT UPDATE (until, changed_at) ON exclusion TO betting_app;

CREATE TABLE debt (
    user_id uuid NOT NULL,
    currency text NOT NULL CONSTRAINT debt_currency_is_a_code CHECK (currency ~ '^[A-Z]{3}$'),
    owed amount NOT NULL CONSTRAINT debt_is_not_negative CHECK (owed >= 0),
    sequence bigint NOT NULL CONSTRAINT debt_sequence_is_positive CHECK (sequence > 0),
    tried_at timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (user_id, currency)
);
CREATE INDEX debt_is_owed ON debt (tried_at) WHERE owed > 0;
GRANT SELECT, INSERT ON debt TO betting_app;
GRANT UPDATE (owed, sequence, tried_at) ON debt TO betting_app;

-- A rule of its own for each: no later word is undone by an earlier one.
CREATE FUNCTION word_is_the_later() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM refuse('word_is_the_later', format('%s: an earlier word came late', TG_TABLE_NAME));
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION word_is_the_later() FROM PUBLIC;
CREATE TRIGGER exclusion_is_the_later BEFORE UPDATE ON exclusion FOR EACH ROW
    WHEN (new.changed_at < old.changed_at) EXECUTE FUNCTION word_is_the_later();
CREATE TRIGGER debt_is_the_later BEFORE UPDATE ON debt FOR EACH ROW
    WHEN (new.sequence < old.sequence) EXECUTE FUNCTION word_is_the_later();

ALTER TABLE offer DROP CONSTRAINT offer_ending_is_known;
ALTER TABLE offer ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
    'DUST', 'SELF_MATCH', 'BY_OWNER', 'DECLINED', 'TIME_OVER', 'NOT_ENOUGH', 'NOT_RESTING', 'BETTOR_SUSPENDED',
    'BETTOR_EXCLUDED', 'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED'));

-- migrate:down
ALTER TABLE offer DROP CONSTRAINT offer_ending_is_known;
ALTER TABLE offer ADD CONSTRAINT offer_ending_is_known CHECK (ending IN (
    'DUST', 'SELF_MATCH', 'BY_OWNER', 'DECLINED', 'TIME_OVER', 'NOT_ENOUGH', 'NOT_RESTING', 'BETTOR_SUSPENDED',
    'MARKET_CLOSED', 'MARKET_CHANGED', 'RACE_SCRATCHED', 'HOLD_REFUSED')) NOT VALID;
DROP TABLE debt;
DROP TABLE exclusion;
DROP FUNCTION word_is_the_later();
