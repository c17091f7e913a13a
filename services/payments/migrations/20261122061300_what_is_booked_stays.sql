-- migrate:up
-- When and by which entry something was booked does not change: limits and sums count by it. Nor does the authorization that
-- a card payment's captures belong to, nor whether a case about money takes two people.
CREATE FUNCTION refuse_another() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% does not change', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END $$;
CREATE TRIGGER deposit_booking_stays BEFORE UPDATE ON deposit
    FOR EACH ROW WHEN (OLD.entry_id IS NOT NULL
        AND (OLD.entry_id, OLD.booked_at) IS DISTINCT FROM (NEW.entry_id, NEW.booked_at))
    EXECUTE FUNCTION refuse_another();
CREATE TRIGGER proof_booking_stays BEFORE UPDATE ON proof
    FOR EACH ROW WHEN (OLD.entry_id IS NOT NULL AND OLD.entry_id IS DISTINCT FROM NEW.entry_id)
    EXECUTE FUNCTION refuse_another();
CREATE TRIGGER card_operation_booking_stays BEFORE UPDATE ON card_operation
    FOR EACH ROW WHEN (OLD.booked_at IS NOT NULL AND OLD.booked_at IS DISTINCT FROM NEW.booked_at)
    EXECUTE FUNCTION refuse_another();
CREATE TRIGGER card_payment_psp_id_stays BEFORE UPDATE ON card_payment
    FOR EACH ROW WHEN (OLD.psp_id IS NOT NULL AND OLD.psp_id IS DISTINCT FROM NEW.psp_id)
    EXECUTE FUNCTION refuse_another();
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE review_case ADD CONSTRAINT review_case_about_money_takes_two
    CHECK (four_eyes OR subject IN ('payout_line', 'player'));

-- migrate:down
ALTER TABLE review_case DROP CONSTRAINT review_case_about_money_takes_two;
DROP TRIGGER card_payment_psp_id_stays ON card_payment;
DROP TRIGGER card_operation_booking_stays ON card_operation;
DROP TRIGGER proof_booking_stays ON proof;
DROP TRIGGER deposit_booking_stays ON deposit;
DROP FUNCTION refuse_another();
