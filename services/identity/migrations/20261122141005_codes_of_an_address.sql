-- migrate:up
-- A code is of the address it was asked for, whether somebody has it or not: a wrong one is then looked up, counted and
-- refused by the same statements, and takes as long. The address is a digest: those that nobody has are not kept.
ALTER TABLE verification ADD COLUMN addressee text;
UPDATE verification SET addressee = encode(sha256(convert_to(users.email, 'UTF8')), 'hex')
FROM users WHERE users.id = verification.user_id AND verification.used_at IS NULL
    -- One that was used does not change any more, and those before it are not to become the newest one again.
    AND NOT EXISTS (SELECT FROM verification AS used WHERE used.user_id = verification.user_id
                    AND used.purpose = verification.purpose AND used.used_at IS NOT NULL
                    AND used.created_at >= verification.created_at);
ALTER TABLE verification ADD CONSTRAINT verification_is_of_an_address
    CHECK (addressee IS NOT NULL AND addressee ~ '^[0-9a-f]{64}$') NOT VALID;

-- migrate:down
ALTER TABLE verification DROP COLUMN addressee;
