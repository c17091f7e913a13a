-- migrate:up
-- Who asks for a rate and who decides about it are administrators by identity's word, not by the service's (docs/adr/0096-badges.md). The
-- rate itself comes about by their decision alone.
DROP TRIGGER withholding_rate_is_by_an_administrator ON withholding_rate;
CREATE TRIGGER rate_approval_is_asked_by_an_administrator BEFORE INSERT ON rate_approval
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('requested_by', 'admin');
CREATE TRIGGER rate_approval_is_decided_by_an_administrator BEFORE UPDATE ON rate_approval
    FOR EACH ROW WHEN (NEW.decided_by IS NOT NULL) EXECUTE FUNCTION staff_shows_a_badge('decided_by', 'admin');

-- migrate:down
DROP TRIGGER rate_approval_is_decided_by_an_administrator ON rate_approval;
DROP TRIGGER rate_approval_is_asked_by_an_administrator ON rate_approval;
CREATE TRIGGER withholding_rate_is_by_an_administrator BEFORE INSERT ON withholding_rate
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('added_by', 'admin');
