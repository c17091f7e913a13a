-- migrate:up
-- Least privilege over what came since: facts are added, never changed; only what moves may be updated.
GRANT SELECT, INSERT ON carril, permit, stable, stable_member, appointment, result, objection, conformity, correction,
    suspension, level_change, withholding_rate TO betting_app;
GRANT SELECT ON transition TO betting_app;

GRANT UPDATE (moved_by, moved_why) ON event, race, market, offer TO betting_app;
GRANT UPDATE (starts_at, off_at, objection_until, result_version) ON race TO betting_app;
GRANT UPDATE (stable_id, scratched_at, scratch_reason) ON runner TO betting_app;
GRANT UPDATE (void_reason, settlement, settled_result, suspension) ON market TO betting_app;
GRANT UPDATE (lifted_by, lifted_at, lift_reason) ON suspension TO betting_app;

REVOKE ALL ON FUNCTION check_impartial(uuid, uuid), half_of(numeric, numeric), positions_in(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION check_impartial(uuid, uuid), half_of(numeric, numeric), positions_in(uuid, timestamptz)
    TO betting_app;

-- migrate:down
REVOKE ALL ON carril, permit, stable, stable_member, appointment, result, objection, conformity, correction,
    suspension, level_change, withholding_rate, transition FROM betting_app;
