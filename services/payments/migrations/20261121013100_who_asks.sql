-- migrate:up
-- More that a withdrawal is reviewed by: the device that signed it, a password that was changed a moment ago. And
-- more that a sender is compared with: the holder's documents, where the CEP carries any.

ALTER TABLE withdrawal ADD COLUMN device uuid;
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX withdrawal_by_device ON withdrawal (device, requested_at) WHERE device IS NOT NULL;
GRANT INSERT (device) ON withdrawal TO payments_app;

ALTER TABLE holder
    ADD COLUMN curp text CONSTRAINT holder_curp_is_bounded CHECK (length(curp) = 18),
    ADD COLUMN rfc text CONSTRAINT holder_rfc_is_bounded CHECK (length(rfc) = 13),
    -- Those learnt before there were documents are asked for once more.
    ADD COLUMN documents_known boolean NOT NULL DEFAULT false;
GRANT INSERT (curp, rfc, documents_known), UPDATE (curp, rfc, documents_known) ON holder TO payments_app;

-- squawk-ignore ban-drop-constraint
ALTER TABLE aml_rule DROP CONSTRAINT aml_rule_is_known;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE aml_rule ADD CONSTRAINT aml_rule_is_known CHECK (name IN (
    'four-eyes-amount', 'linked-deposits-sum', 'withdrawals-per-player', 'withdrawals-per-clabe', 'withdrawals-per-device',
    'clabe-cooling-off', 'password-cooling-off', 'clabe-shared', 'device-shared', 'deposit-without-play'));
INSERT INTO aml_rule (name, valid_from, threshold, window_hours, source) VALUES
    ('withdrawals-per-device', '2026-01-01', 10, 24,  'house rule: by all players together'),
    ('device-shared',          '2026-01-01', 1,  720, 'house rule: players who withdrew by one device'),
    ('password-cooling-off',   '2026-01-01', 0,  24,  'house rule: whoever has taken over an account changes its password');

-- migrate:down
DELETE FROM aml_rule WHERE name IN ('withdrawals-per-device', 'device-shared', 'password-cooling-off');
ALTER TABLE aml_rule DROP CONSTRAINT aml_rule_is_known;
ALTER TABLE aml_rule ADD CONSTRAINT aml_rule_is_known CHECK (name IN (
    'four-eyes-amount', 'linked-deposits-sum', 'withdrawals-per-player', 'withdrawals-per-clabe',
    'clabe-cooling-off', 'clabe-shared', 'deposit-without-play'));
ALTER TABLE holder DROP COLUMN documents_known, DROP COLUMN rfc, DROP COLUMN curp;
ALTER TABLE withdrawal DROP COLUMN device;
