-- migrate:up
-- Least privilege. The owner is NOLOGIN and no runtime role is a member of it.
--   betting_app    adds rows and moves the columns that move; deletes nothing, rewrites no bet, no
--                  declaration, no terms and no share
--   betting_relay  takes messages out of the outbox, sees no bettor
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM PUBLIC;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO betting_app, betting_relay;
-- The rules run as the caller, so that a refusal names what the caller tried.
GRANT EXECUTE ON FUNCTION refuse(text, text) TO betting_app;

GRANT SELECT ON event, race, runner, declaration, market, offer, fill, market_position, settlement, settlement_chunk,
    settlement_share, inbox, idempotency TO betting_app;
GRANT INSERT ON event, race, runner, declaration, market, offer, fill, settlement, settlement_chunk,
    settlement_share, inbox, idempotency, outbox TO betting_app;
GRANT UPDATE (status, sequence) ON event TO betting_app;
GRANT UPDATE (status, sequence, scratch_reason) ON race TO betting_app;
GRANT UPDATE (status, version, sequence, escrow, defect, closed_at) ON market TO betting_app;
GRANT UPDATE (status, sequence, matched, remaining, released, ending, ended_at, attempts, next_attempt_at)
    ON offer TO betting_app;
GRANT UPDATE (booked_at) ON settlement TO betting_app;
GRANT UPDATE (entry_sequence, booked_at) ON settlement_chunk TO betting_app;
GRANT UPDATE (status, body, resource) ON idempotency TO betting_app;

GRANT SELECT, DELETE ON outbox TO betting_relay;
GRANT SELECT ON outbox_shard TO betting_relay;
GRANT UPDATE (claim) ON outbox_shard TO betting_relay;

GRANT SELECT ON schema_migrations TO betting_app, betting_relay;

-- migrate:down
REVOKE ALL ON ALL TABLES IN SCHEMA public FROM betting_app, betting_relay;
