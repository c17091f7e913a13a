-- migrate:up
-- An answer must be on disk before it is given. PostgreSQL waits for that unless a session, a role or a database is told
-- not to (synchronous_commit = off), and what a crash then takes away is milliseconds that no test would miss for sure. So
-- no such session posts. It is looked at when the transaction commits, once a batch, since the setting may change until then.
CREATE FUNCTION entry_waits_for_the_disk() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM refuse('entry_waits_for_the_disk', 'this session commits before its work is on disk');
    END IF;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION entry_waits_for_the_disk() FROM PUBLIC;

CREATE CONSTRAINT TRIGGER entry_waits_for_the_disk AFTER UPDATE OF sequence ON head DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION entry_waits_for_the_disk();

-- migrate:down
DROP TRIGGER entry_waits_for_the_disk ON head;
DROP FUNCTION entry_waits_for_the_disk();
