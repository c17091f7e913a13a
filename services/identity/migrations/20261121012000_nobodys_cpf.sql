-- migrate:up
-- One digit eleven times over has the right check digits, and is nobody's number. Rows of before are not looked at.
ALTER TABLE holder_document ADD CONSTRAINT holder_document_is_somebodys
    CHECK (kind <> 'cpf' OR value !~ '^([0-9])\1{10}$') NOT VALID;

-- migrate:down
ALTER TABLE holder_document DROP CONSTRAINT holder_document_is_somebodys;
