-- Roles and databases of El Carril's four services, for psql. Passwords come as variables named like the
-- roles (-v ledger_posting=…). Running it again changes nothing but passwords.
--
-- Each database has a NOLOGIN owner. Its migrator acts as that owner; no runtime role is a member of it.
-- Nobody else may even CONNECT.

\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I NOLOGIN', database || '_owner')
  FROM unnest(ARRAY['ledger', 'betting', 'identity', 'payments']) database
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = database || '_owner') \gexec

CREATE TEMPORARY TABLE login (role text PRIMARY KEY, database text NOT NULL, password text NOT NULL);
INSERT INTO login (role, database, password) VALUES
    ('ledger_migrator', 'ledger', :'ledger_migrator'),
    ('ledger_posting', 'ledger', :'ledger_posting'),
    ('ledger_receipts', 'ledger', :'ledger_receipts'),
    ('ledger_keys', 'ledger', :'ledger_keys'),
    ('ledger_reader', 'ledger', :'ledger_reader'),
    ('ledger_sealer', 'ledger', :'ledger_sealer'),
    ('ledger_closer', 'ledger', :'ledger_closer'),
    ('ledger_relay', 'ledger', :'ledger_relay'),
    ('betting_migrator', 'betting', :'betting_migrator'),
    ('betting_app', 'betting', :'betting_app'),
    ('betting_relay', 'betting', :'betting_relay'),
    ('identity_migrator', 'identity', :'identity_migrator'),
    ('identity_app', 'identity', :'identity_app'),
    ('identity_operator', 'identity', :'identity_operator'),
    ('identity_relay', 'identity', :'identity_relay'),
    ('payments_migrator', 'payments', :'payments_migrator'),
    ('payments_app', 'payments', :'payments_app'),
    ('payments_attestor', 'payments', :'payments_attestor'),
    ('payments_relay', 'payments', :'payments_relay');

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', role) FROM login
 WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', role, password) FROM login \gexec
SELECT format('GRANT %I TO %I', database || '_owner', role) FROM login WHERE role LIKE '%\_migrator' \gexec

SELECT format('CREATE DATABASE %I OWNER %I', database, database || '_owner')
  FROM unnest(ARRAY['ledger', 'betting', 'identity', 'payments']) database
 WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = database) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', datname) FROM pg_database
 WHERE datname IN ('ledger', 'betting', 'identity', 'payments', 'postgres') \gexec
SELECT format('GRANT CONNECT ON DATABASE %I TO %I', database, role) FROM login \gexec
SELECT format('ALTER ROLE %I IN DATABASE %I SET role = %L', role, database, database || '_owner') FROM login
 WHERE role LIKE '%\_migrator' \gexec

-- A migration that cannot get its lock gives up, instead of making everybody queue behind it.
SELECT format('ALTER ROLE %I IN DATABASE %I SET %s', role, database, setting)
  FROM login, unnest(ARRAY['lock_timeout = ''5s''', 'statement_timeout = ''10min''']) setting
 WHERE role LIKE '%\_migrator' \gexec

-- The posting role's statements are few and must always be index probes: a plan cached while the tables
-- are empty would otherwise scan them for ever.
ALTER ROLE ledger_posting IN DATABASE ledger SET enable_seqscan = off;
ALTER ROLE ledger_posting IN DATABASE ledger SET plan_cache_mode = force_generic_plan;
ALTER ROLE ledger_posting IN DATABASE ledger SET jit = off;
-- Betting's hot statements are index probes as well; everything it reads has an index.
ALTER ROLE betting_app IN DATABASE betting SET enable_seqscan = off;
ALTER ROLE betting_app IN DATABASE betting SET jit = off;

\connect ledger
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO ledger_owner;
\connect betting
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO betting_owner;
\connect identity
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO identity_owner;
\connect payments
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO payments_owner;
