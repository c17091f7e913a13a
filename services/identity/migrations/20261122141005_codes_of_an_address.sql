-- migrate:up
-- A code is of the address it was asked for, whether somebody has it or not: a wrong one is then looked up, counted and
-- refused by the same statements, and takes as long. The address is a digest: those that nobody has are not kept.
ALTER TABLE verification ADD COLUMN addressee text NOT NULL DEFAULT '';
UPDATE verification SET addressee = encode(sha256(convert_to(users.email, 'UTF8')), 'hex')
FROM users WHERE users.id = verification.user_id;
ALTER TABLE verification ALTER COLUMN addressee DROP DEFAULT,
    ADD CONSTRAINT verification_addressee_is_a_digest CHECK (addressee ~ '^[0-9a-f]{64}$') NOT VALID;
CREATE INDEX verification_of_addressee ON verification (addressee, purpose, created_at DESC);
DROP INDEX verification_of_user;

-- migrate:down
CREATE INDEX verification_of_user ON verification (user_id, purpose, created_at DESC);
ALTER TABLE verification DROP COLUMN addressee;
