-- migrate:up
-- Everyone with an account. One CURP is one person and one person is one account, so an official
-- cannot also be a bettor. The domain checks all of this first; these are the second net.
CREATE TABLE users (
    id uuid PRIMARY KEY,
    email text NOT NULL
        CONSTRAINT users_email_is_unique UNIQUE
        CONSTRAINT users_email_is_canonical CHECK (email ~ '^[!-~]+@[!-~]+$' AND email = lower(email))
        CONSTRAINT users_email_is_bounded CHECK (length(email) <= 254),
    full_name text NOT NULL
        CONSTRAINT users_full_name_is_bounded CHECK (length(full_name) BETWEEN 2 AND 120),
    curp text NOT NULL
        CONSTRAINT users_curp_is_unique UNIQUE
        CONSTRAINT users_curp_has_its_form CHECK (curp ~ '^[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]$'),
    birth_date date NOT NULL,
    role text NOT NULL
        CONSTRAINT users_role_is_known CHECK (role IN ('bettor', 'official', 'cashier', 'auditor', 'admin')),
    -- A PHC string; never a plain password, never a weaker scheme.
    password_hash text NOT NULL CONSTRAINT users_password_is_argon2id CHECK (password_hash LIKE '$argon2id$%'),
    registered_at timestamptz NOT NULL,
    -- The 17th character tells the century: a digit before 2000, a letter since.
    CONSTRAINT users_birth_date_is_the_curps CHECK (
        substr(curp, 5, 6) = to_char(birth_date, 'YYMMDD')
        AND (substr(curp, 17, 1) ~ '[0-9]') = (birth_date < DATE '2000-01-01')
    ),
    -- The day in central Mexico, which keeps UTC-6. Born on 29 February: of age on 1 March.
    CONSTRAINT users_are_adults CHECK (
        birth_date <= ((registered_at AT TIME ZONE 'UTC') - INTERVAL '6 hours')::date - INTERVAL '18 years'
    )
);

-- migrate:down
DROP TABLE users;
