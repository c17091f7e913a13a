\set a case when :hot = 1 then 1 else random(1, 10000) end
\set b random(2, 10000)
BEGIN;
SELECT balance FROM account WHERE id IN (:a, :b) ORDER BY id FOR UPDATE;
WITH k AS (INSERT INTO idempotency (key) VALUES (gen_random_uuid()) RETURNING key) INSERT INTO entry (key) SELECT key FROM k RETURNING id AS entry \gset
INSERT INTO posting SELECT :entry, id, CASE WHEN id = :a THEN -1 ELSE 1 END FROM account WHERE id IN (:a, :b);
UPDATE account SET balance = balance - 1, version = version + 1 WHERE id = :a;
UPDATE account SET balance = balance + 1, version = version + 1 WHERE id = :b;
INSERT INTO outbox (body) VALUES (jsonb_build_object('entry', :entry::bigint));
COMMIT;
