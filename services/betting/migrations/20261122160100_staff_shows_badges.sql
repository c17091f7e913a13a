-- migrate:up
-- What staff registers decides about money in its turn: what is bet on and how, who may, what is withheld, what stands still.
CREATE FUNCTION staff_shows_a_badge() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM check_badge((to_jsonb(NEW) ->> TG_ARGV[0])::uuid, string_to_array(TG_ARGV[1], ' '));
    RETURN NEW;
END $$;
REVOKE ALL ON FUNCTION staff_shows_a_badge() FROM PUBLIC;
CREATE TRIGGER appointment_is_by_staff BEFORE INSERT ON appointment
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('appointed_by', 'official admin');
CREATE TRIGGER carril_is_by_staff BEFORE INSERT ON carril
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('registered_by', 'official admin');
CREATE TRIGGER event_is_by_an_official BEFORE INSERT ON event
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('created_by', 'official');
CREATE TRIGGER market_is_by_an_official BEFORE INSERT ON market
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('opened_by', 'official');
CREATE TRIGGER permit_is_by_staff BEFORE INSERT ON permit
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('registered_by', 'official admin');
CREATE TRIGGER race_is_by_an_official BEFORE INSERT ON race
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('created_by', 'official');
CREATE TRIGGER stable_is_by_staff BEFORE INSERT ON stable
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('registered_by', 'official admin');
CREATE TRIGGER stable_member_is_by_staff BEFORE INSERT ON stable_member
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('added_by', 'official admin');
CREATE TRIGGER suspension_is_by_staff BEFORE INSERT ON suspension
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('imposed_by', 'official admin');
CREATE TRIGGER suspension_is_lifted_by_staff BEFORE UPDATE OF lifted_by, lifted_at ON suspension
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('lifted_by', 'official admin');
CREATE TRIGGER withholding_rate_is_by_an_administrator BEFORE INSERT ON withholding_rate
    FOR EACH ROW EXECUTE FUNCTION staff_shows_a_badge('added_by', 'admin');

-- migrate:down
DROP TRIGGER appointment_is_by_staff ON appointment;
DROP TRIGGER carril_is_by_staff ON carril;
DROP TRIGGER event_is_by_an_official ON event;
DROP TRIGGER market_is_by_an_official ON market;
DROP TRIGGER permit_is_by_staff ON permit;
DROP TRIGGER race_is_by_an_official ON race;
DROP TRIGGER stable_is_by_staff ON stable;
DROP TRIGGER stable_member_is_by_staff ON stable_member;
DROP TRIGGER suspension_is_by_staff ON suspension;
DROP TRIGGER suspension_is_lifted_by_staff ON suspension;
DROP TRIGGER withholding_rate_is_by_an_administrator ON withholding_rate;
DROP FUNCTION staff_shows_a_badge();
