-- migrate:up
-- Moments: which entries had been posted by a given time. `posted_at` never runs backwards along the sequence,
-- so "by then" is a prefix of the journal, found by bisection without an index on time.
--   settled_at     no entry is posted at or before this moment any more. Every batch moves it to its own
--                  posted_at; asking for a later moment moves it there, so an answer once given stays true.
--                  A batch is posted at the clock's time or a microsecond after this moment, whichever is later,
--                  so a clock that is set back stops nobody.
--   closed_until   no entry takes effect before this moment any more: the end of the newest closed day.
ALTER TABLE head
    ADD COLUMN settled_at timestamptz NOT NULL DEFAULT '-infinity',
    ADD COLUMN closed_until timestamptz NOT NULL DEFAULT '-infinity';

-- The two moments move by the functions below; everything else about a head still only by the journal's triggers.
DROP TRIGGER head_is_derived ON head;
CREATE TRIGGER head_is_derived BEFORE UPDATE OF ledger_id, sequence OR DELETE OR TRUNCATE ON head
    FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal();

-- Under the head's lock: the new entries have one posting time, later than everything settled and not ahead of the
-- clock, and none takes effect in a closed day. A writer that was overtaken by a settled moment tries again.
CREATE FUNCTION head_moves_on() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    added record;
BEGIN
    SELECT min(posted_at) AS first, max(posted_at) AS last, min(effective_at) AS effective INTO added
      FROM entry WHERE ledger_id = NEW.ledger_id AND sequence > OLD.sequence AND sequence <= NEW.sequence;
    IF added.first IS NULL THEN
        PERFORM refuse('head_moves_with_entries', 'the head moves by entries alone');
    ELSIF added.first <= OLD.settled_at THEN
        PERFORM refuse_stale('entry_is_posted_after_settled', 'the batch is older than a settled moment');
    ELSIF added.first <> added.last
          OR added.last > greatest(clock_timestamp(), OLD.settled_at + interval '1 microsecond') THEN
        PERFORM refuse('entry_is_posted_now', 'a batch is posted at one moment, which has come');
    ELSIF added.effective < OLD.closed_until THEN
        PERFORM refuse('entry_effective_in_open_day',
                       format('an entry would take effect in a closed day, before %s', OLD.closed_until));
    END IF;
    NEW.settled_at := added.last;
    RETURN NEW;
END $$;

CREATE TRIGGER head_moves_on BEFORE UPDATE OF sequence ON head
    FOR EACH ROW WHEN (NEW.sequence <> OLD.sequence) EXECUTE FUNCTION head_moves_on();

-- The last sequence posted by that moment, as far as this transaction sees the journal.
CREATE FUNCTION sequence_at(ledger smallint, moment timestamptz) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    least_possible bigint := 0;
    most_possible bigint;
    middle bigint;
    posted timestamptz;
BEGIN
    SELECT sequence INTO most_possible FROM head WHERE ledger_id = ledger;
    WHILE least_possible < most_possible LOOP
        middle := (least_possible + most_possible + 1) / 2;
        SELECT e.posted_at INTO posted FROM entry e WHERE e.ledger_id = ledger AND e.sequence = middle;
        IF posted <= moment THEN
            least_possible := middle;
        ELSE
            most_possible := middle - 1;
        END IF;
    END LOOP;
    RETURN least_possible;
END $$;

-- The same, for ever: a writer already under way with an earlier moment is waited for, or has to take a later one.
-- NULL for a moment that has not come.
CREATE FUNCTION settle_moment(ledger smallint, moment timestamptz) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    settled timestamptz;
BEGIN
    IF moment > clock_timestamp() THEN
        RETURN NULL;
    END IF;
    SELECT h.settled_at INTO settled FROM head h WHERE h.ledger_id = ledger;
    IF settled < moment THEN
        UPDATE head h SET settled_at = moment WHERE h.ledger_id = ledger AND h.settled_at < moment;
    END IF;
    RETURN sequence_at(ledger, moment);
END $$;

-- How many postings an account had at that sequence. Both numbers of a posting grow together and the account's own has
-- no gaps, so bisection does without a second index on the journal's largest table.
CREATE FUNCTION account_sequence_at(account bigint, at_sequence bigint) RETURNS bigint LANGUAGE plpgsql STABLE AS $$
DECLARE
    least_possible bigint := 0;
    most_possible bigint;
    middle bigint;
    found_sequence bigint;
BEGIN
    SELECT b.sequence INTO most_possible FROM balance b WHERE b.account_id = account;
    WHILE least_possible < most_possible LOOP
        middle := (least_possible + most_possible + 1) / 2;
        SELECT p.sequence INTO found_sequence FROM posting p WHERE p.account_id = account AND p.account_sequence = middle;
        IF found_sequence <= at_sequence THEN
            least_possible := middle;
        ELSE
            most_possible := middle - 1;
        END IF;
    END LOOP;
    RETURN least_possible;
END $$;

UPDATE head h SET settled_at = newest.posted_at
  FROM (SELECT ledger_id, max(posted_at) AS posted_at FROM entry GROUP BY ledger_id) newest
 WHERE newest.ledger_id = h.ledger_id;

REVOKE ALL ON FUNCTION head_moves_on(), sequence_at(smallint, timestamptz),
    settle_moment(smallint, timestamptz), account_sequence_at(bigint, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION sequence_at(smallint, timestamptz), settle_moment(smallint, timestamptz),
    account_sequence_at(bigint, bigint) TO ledger_posting, ledger_reader;
GRANT INSERT (posted_at) ON entry TO ledger_posting;

-- migrate:down
REVOKE INSERT (posted_at) ON entry FROM ledger_posting;
DROP FUNCTION account_sequence_at, settle_moment, sequence_at;
DROP TRIGGER head_moves_on ON head;
DROP FUNCTION head_moves_on;
DROP TRIGGER head_is_derived ON head;
CREATE TRIGGER head_is_derived BEFORE UPDATE OR DELETE OR TRUNCATE ON head
    FOR EACH STATEMENT EXECUTE FUNCTION derived_from_journal();
ALTER TABLE head DROP COLUMN settled_at, DROP COLUMN closed_until;
