-- migrate:up
-- What a session stands on has a number: password, second factor, role, and whether the account is open. A session carries
-- the number it was started on and is void at any other one. The number is counted here, for whoever changes one of these
-- and however far they come with ending sessions; nobody else writes it.
ALTER TABLE users ADD COLUMN proof bigint NOT NULL DEFAULT 1 CONSTRAINT users_proof_from_one CHECK (proof >= 1);

CREATE FUNCTION users_proof_is_counted() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.proof := OLD.proof + ((OLD.password_changed_at, OLD.totp_generation, OLD.role, OLD.closed_at)
        IS DISTINCT FROM (NEW.password_changed_at, NEW.totp_generation, NEW.role, NEW.closed_at))::int;
    RETURN NEW;
END $$;
CREATE TRIGGER users_proof_is_counted BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION users_proof_is_counted();
REVOKE ALL ON FUNCTION users_proof_is_counted() FROM PUBLIC;

-- migrate:down
DROP TRIGGER users_proof_is_counted ON users;
DROP FUNCTION users_proof_is_counted();
ALTER TABLE users DROP COLUMN proof;
