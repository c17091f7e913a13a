-- migrate:up
-- A deposit that the ledger does not take because of its player's limits goes to suspense: the attestor gives its word
-- for the same transfer again, naming the first as the origin. The ledger books one of the two at most.
CREATE OR REPLACE FUNCTION transfer_is_attested_once() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    before boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.rail || NEW.tracking_key, 0));
    IF TG_TABLE_NAME = 'attestation' THEN
        before := EXISTS (SELECT FROM proof_word w WHERE w.rail = NEW.rail AND w.origin IS NULL
            AND (w.tracking_key = NEW.tracking_key OR w.document_sha256 = NEW.document_sha256));
    ELSE
        before := EXISTS (SELECT FROM attestation a WHERE a.rail = NEW.rail
            AND (a.tracking_key = NEW.tracking_key OR a.document_sha256 = NEW.document_sha256)
            AND a.receipt_id IS DISTINCT FROM NEW.origin
            AND NOT EXISTS (SELECT FROM proof_word w WHERE w.origin = a.receipt_id AND w.receipt_id = NEW.origin));
    END IF;
    IF before THEN
        RAISE EXCEPTION 'transfer % was attested before', NEW.tracking_key
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_is_attested_once';
    END IF;
    RETURN NEW;
END $$;

-- migrate:down
CREATE OR REPLACE FUNCTION transfer_is_attested_once() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(NEW.rail || NEW.tracking_key, 0));
    IF TG_TABLE_NAME = 'attestation' AND EXISTS (SELECT FROM proof_word w WHERE w.rail = NEW.rail AND w.origin IS NULL
            AND (w.tracking_key = NEW.tracking_key OR w.document_sha256 = NEW.document_sha256))
       OR TG_TABLE_NAME = 'proof_word' AND EXISTS (SELECT FROM attestation a WHERE a.rail = NEW.rail
            AND (a.tracking_key = NEW.tracking_key OR a.document_sha256 = NEW.document_sha256)) THEN
        RAISE EXCEPTION 'transfer % was attested before', NEW.tracking_key
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'transfer_is_attested_once';
    END IF;
    RETURN NEW;
END $$;
