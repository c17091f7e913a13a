-- migrate:up
-- Where the money of an owner is held: `{owner}` stands for the owner. With it, whoever wants a hold names
-- only the account, the kind says the rest.
ALTER TABLE account_class ADD COLUMN address text
    CONSTRAINT account_class_address_is_of_holds CHECK (address IS NULL OR requires_hold AND address LIKE '%{owner}%');
UPDATE account_class SET address = 'players/{owner}/' || substr(name, 8)
 WHERE chart = 'el-carril' AND name IN ('player.held', 'player.withdrawing');
UPDATE account_class SET address = 'held/{owner}' WHERE chart = 'generic' AND name = 'liability.held';

-- migrate:down
ALTER TABLE account_class DROP COLUMN address;
