-- migrate:up
-- Disputes, each by the provider's own id: what it holds back from refunds is released when it ends in our favour, and stays held
-- when it is lost, since that money is gone. What a payment has disputed is the sum of that, kept by trigger: no role writes it.
CREATE TABLE card_dispute (
    psp_id text PRIMARY KEY CONSTRAINT card_dispute_psp_id_is_bounded CHECK (length(psp_id) BETWEEN 1 AND 128),
    operation_id uuid NOT NULL REFERENCES card_operation,
    amount money_amount NOT NULL,
    -- So much of it as was not being refunded, nor disputed, when it was opened.
    held numeric NOT NULL CONSTRAINT card_dispute_holds_a_part CHECK (held >= 0 AND held <= amount),
    state text NOT NULL DEFAULT 'OPEN' CONSTRAINT card_dispute_state_is_known CHECK (state IN ('OPEN', 'WON', 'LOST')),
    opened_at timestamptz NOT NULL DEFAULT now(),
    ended_at timestamptz,
    CONSTRAINT card_dispute_ends_at_a_moment CHECK ((state = 'OPEN') = (ended_at IS NULL))
);
CREATE INDEX card_dispute_by_operation ON card_dispute (operation_id);

CREATE FUNCTION card_dispute_is_opened() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    disputed card_operation;
BEGIN
    SELECT * INTO disputed FROM card_operation WHERE id = NEW.operation_id;
    SELECT greatest(least(NEW.amount, p.captured - p.refunding - p.disputed), 0) INTO NEW.held
      FROM card_payment p WHERE p.id = disputed.payment_id FOR UPDATE;
    IF NEW.state <> 'OPEN' OR NEW.amount > disputed.amount THEN
        RAISE EXCEPTION 'dispute %: it is not about that', NEW.psp_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_dispute_is_opened';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER card_dispute_is_opened BEFORE INSERT ON card_dispute
    FOR EACH ROW EXECUTE FUNCTION card_dispute_is_opened();

CREATE TRIGGER card_dispute_ends_once BEFORE UPDATE ON card_dispute
    FOR EACH ROW WHEN (OLD.state <> 'OPEN') EXECUTE FUNCTION refuse_another();

CREATE FUNCTION card_payment_disputes_add_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE card_payment p
       SET disputed = (SELECT coalesce(sum(d.held) FILTER (WHERE d.state <> 'WON'), 0)
                         FROM card_dispute d JOIN card_operation o ON o.id = d.operation_id WHERE o.payment_id = p.id)
     WHERE p.id = (SELECT payment_id FROM card_operation WHERE id = NEW.operation_id);
    RETURN NULL;
END $$;
CREATE TRIGGER card_payment_disputes_add_up AFTER INSERT OR UPDATE OF state ON card_dispute
    FOR EACH ROW EXECUTE FUNCTION card_payment_disputes_add_up();

-- Those that people were told of before: open, as far as anybody here knows.
DO $$
DECLARE
    told record;
BEGIN
    UPDATE card_payment SET disputed = 0 WHERE disputed > 0;
    FOR told IN SELECT substr(c.reason, position(':' in c.reason) + 1) AS psp_id, o.id, o.amount, min(c.opened_at) AS opened_at
                  FROM review_case c JOIN card_operation o ON o.id = c.subject_id
                 WHERE c.subject = 'card' AND position(':' in c.reason) > 0 GROUP BY 1, 2, 3 ORDER BY 4 LOOP
        INSERT INTO card_dispute (psp_id, operation_id, amount, opened_at) VALUES (told.psp_id, told.id, told.amount, told.opened_at)
        ON CONFLICT DO NOTHING;
    END LOOP;
END $$;

GRANT SELECT, INSERT (psp_id, operation_id, amount, opened_at), UPDATE (state, ended_at) ON card_dispute TO payments_app;
REVOKE UPDATE (disputed) ON card_payment FROM payments_app;

-- migrate:down
GRANT UPDATE (disputed) ON card_payment TO payments_app;
DROP TABLE card_dispute;
DROP FUNCTION card_payment_disputes_add_up(), card_dispute_is_opened();
