-- migrate:up
-- Who somebody is, shown by evidence and decided by two people of the staff.
CREATE TABLE kyc_case (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id),
    state text NOT NULL CONSTRAINT kyc_case_state_is_known CHECK (
        state IN ('DRAFT', 'SUBMITTED', 'APPROVED', 'REJECTED', 'SUPERSEDED')),
    version bigint NOT NULL DEFAULT 1,
    opened_at timestamptz NOT NULL,
    submitted_at timestamptz,
    decided_at timestamptz,
    approval uuid CONSTRAINT kyc_case_approval_is_used_once UNIQUE REFERENCES approval (id),
    CONSTRAINT kyc_case_is_submitted_first CHECK (state IN ('DRAFT', 'SUPERSEDED') OR submitted_at IS NOT NULL),
    CONSTRAINT kyc_case_is_decided_with_approval CHECK (
        (approval IS NULL) = (decided_at IS NULL) AND (state NOT IN ('APPROVED', 'REJECTED') OR approval IS NOT NULL))
);
CREATE UNIQUE INDEX kyc_case_is_open_once ON kyc_case (user_id) WHERE state IN ('DRAFT', 'SUBMITTED');
CREATE UNIQUE INDEX kyc_case_is_approved_once ON kyc_case (user_id) WHERE state = 'APPROVED';
CREATE INDEX kyc_case_by_state ON kyc_case (state, submitted_at, id);

CREATE TABLE kyc_evidence (
    case_id uuid NOT NULL REFERENCES kyc_case (id),
    kind text NOT NULL CONSTRAINT kyc_evidence_kind_is_known CHECK (
        kind IN ('id-front', 'id-back', 'selfie', 'proof-of-address')),
    media_type text NOT NULL CONSTRAINT kyc_evidence_media_type_is_known CHECK (
        media_type IN ('image/jpeg', 'image/png', 'application/pdf')),
    content bytea NOT NULL CONSTRAINT kyc_evidence_is_bounded CHECK (octet_length(content) BETWEEN 1 AND 2097152),
    sha256 bytea NOT NULL,
    added_at timestamptz NOT NULL,
    PRIMARY KEY (case_id, kind),
    CONSTRAINT kyc_evidence_is_what_its_digest_says CHECK (sha256 = sha256(content))
);

CREATE FUNCTION kyc_case_moves_on() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.version <> OLD.version + 1 OR (OLD.state, NEW.state) NOT IN (
        ('DRAFT', 'SUBMITTED'), ('SUBMITTED', 'APPROVED'), ('SUBMITTED', 'REJECTED'), ('SUBMITTED', 'SUPERSEDED'),
        ('DRAFT', 'SUPERSEDED'), ('APPROVED', 'SUPERSEDED')) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_case_moves_on',
            MESSAGE = format('case %s does not go from %s to %s', OLD.id, OLD.state, NEW.state);
    END IF;
    IF NEW.state IN ('APPROVED', 'REJECTED') AND NOT EXISTS (
        SELECT FROM approval WHERE id = NEW.approval AND state = 'APPROVED' AND subject = NEW.id::text
        AND act = CASE NEW.state WHEN 'APPROVED' THEN 'kyc.approve' ELSE 'kyc.reject' END) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_case_takes_four_eyes',
            MESSAGE = format('nobody has approved that case %s becomes %s', OLD.id, NEW.state);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kyc_case_moves_on BEFORE UPDATE ON kyc_case FOR EACH ROW EXECUTE FUNCTION kyc_case_moves_on();

CREATE FUNCTION kyc_evidence_is_of_a_draft() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM kyc_case WHERE id = NEW.case_id AND state = 'DRAFT') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_evidence_is_of_a_draft',
            MESSAGE = format('case %s has been submitted', NEW.case_id);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER kyc_evidence_is_of_a_draft BEFORE INSERT OR UPDATE ON kyc_evidence
    FOR EACH ROW EXECUTE FUNCTION kyc_evidence_is_of_a_draft();

GRANT SELECT, INSERT, UPDATE (state, version, submitted_at, decided_at, approval) ON kyc_case TO identity_app;
GRANT SELECT, INSERT, UPDATE (media_type, content, sha256, added_at) ON kyc_evidence TO identity_app;

-- migrate:down
DROP TABLE kyc_evidence, kyc_case;
DROP FUNCTION kyc_case_moves_on, kyc_evidence_is_of_a_draft;
