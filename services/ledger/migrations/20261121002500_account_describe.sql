-- migrate:up
-- A principal that has `account.describe` may note things about accounts; like `account.close`, it is no entry.
INSERT INTO kind (chart, name) VALUES ('el-carril', 'account.describe'), ('generic', 'account.describe');

-- migrate:down
DELETE FROM kind WHERE name = 'account.describe';
