-- migrate:up
-- The words of this database that carry rules of their own. The domain checks all of this first;
-- these are the second net.
REVOKE CREATE ON SCHEMA public FROM PUBLIC;

-- An exact, positive amount of pesos. NaN sorts above Infinity, so the upper bound refuses both. The
-- number of decimals is checked, never rounded to: a column with a scale would round silently.
CREATE DOMAIN money_amount AS numeric
    CONSTRAINT money_is_positive_and_finite CHECK (VALUE > 0 AND VALUE < 1e15)
    CONSTRAINT money_is_exact CHECK (scale(VALUE) <= 2);

-- The check digit of a CLABE: weights 3, 7, 1, each product modulo ten.
CREATE FUNCTION clabe_is_valid(clabe text) RETURNS boolean LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT clabe ~ '^[0-9]{18}$' AND substr(clabe, 18, 1) = (
        SELECT ((10 - sum(substr(clabe, i, 1)::int * (ARRAY[3, 7, 1])[(i - 1) % 3 + 1] % 10) % 10) % 10)::text
        FROM generate_series(1, 17) AS i)
$$;

CREATE DOMAIN clabe AS text CONSTRAINT clabe_has_its_check_digit CHECK (clabe_is_valid(VALUE));

-- The clave de rastreo, as the rail knows it. Two claves that differ by case alone are one.
CREATE DOMAIN clave AS text CONSTRAINT clave_has_its_form CHECK (VALUE ~ '^[A-Za-z0-9]{1,30}$');

CREATE FUNCTION refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_is_append_only';
END $$;

-- migrate:down
DROP FUNCTION refuse_rewriting();
DROP DOMAIN clave, clabe, money_amount;
DROP FUNCTION clabe_is_valid(text);
