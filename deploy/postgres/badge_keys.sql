-- The keys of badges in betting's database, for psql as betting_migrator. They come as a variable, each as identity's
-- file has it (<id>:<secret in base64>), several with blanks between them. Exactly those are good from here on: two
-- while identity changes over, the new one alone two minutes later (docs/runbooks/badges.md).

\set ON_ERROR_STOP on

BEGIN;
DELETE FROM badge_key;
INSERT INTO badge_key (id, secret)
SELECT split_part(key, ':', 1), decode(split_part(key, ':', 2), 'base64')
  FROM regexp_split_to_table(trim(:'badge_keys'), '\s+') key;
COMMIT;
