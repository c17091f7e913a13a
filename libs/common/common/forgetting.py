"""What was kept so that nothing happens twice, and may be forgotten once it cannot.

`inbox` grows with every event heard and `deadline` with everything that has an end. Each service that has one of them
copies its text from here into a migration, word for word (a test compares). A text makes

- the rule: a row cannot be deleted before its time, by anybody, its owner included;
- `forget_<table>(at_most)`: deletes so many of the oldest rows whose time has come, passing over what somebody has
  locked, and returns how many. The relay alone may execute it; no runtime role may delete a row in any other way.

How long each is kept and why that is enough, and why `idempotency` is kept for ever, is in docs/adr/0086.
"""

from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Final

OLDEST_EVENT: Final = timedelta(days=90)
"""What a consumer still handles. The inbox remembers ten days longer, more than clocks are apart: whatever it has
forgotten is too old to be handled."""

INBOX: Final = """\
-- What was heard is forgotten after 100 days, and not before (libs/common/common/forgetting.py).
CREATE FUNCTION inbox_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.received_at > clock_timestamp() - interval '100 days' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_is_kept',
            MESSAGE = format('event %s was heard only at %s', OLD.event_id, OLD.received_at);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER inbox_is_kept BEFORE DELETE ON inbox FOR EACH ROW EXECUTE FUNCTION inbox_is_kept();
CREATE FUNCTION forget_inbox(at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH old AS MATERIALIZED (
        SELECT consumer, event_id FROM inbox WHERE received_at < clock_timestamp() - interval '100 days'
         ORDER BY received_at LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM inbox i USING old WHERE i.consumer = old.consumer AND i.event_id = old.event_id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION inbox_is_kept(), forget_inbox(integer) FROM PUBLIC;
"""

DEADLINE: Final = """\
-- An ended deadline is forgotten after 90 days, and not before (libs/common/common/forgetting.py). One that was given
-- up stays until people have seen to it. So does a later generation, for as long as it is what overtakes an armed one.
CREATE FUNCTION deadline_is_kept() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.state NOT IN ('DONE', 'CANCELLED') OR OLD.ended_at > clock_timestamp() - interval '90 days'
       OR EXISTS (SELECT FROM deadline armed WHERE armed.subject = OLD.subject AND armed.kind = OLD.kind
                     AND armed.generation < OLD.generation AND armed.state = 'ARMED') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_is_kept',
            MESSAGE = format('deadline %s of %s is still needed', OLD.kind, OLD.subject);
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER deadline_is_kept BEFORE DELETE ON deadline FOR EACH ROW EXECUTE FUNCTION deadline_is_kept();
CREATE FUNCTION forget_deadline(at_most integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH old AS MATERIALIZED (
        SELECT subject, kind, generation FROM deadline d
         WHERE state IN ('DONE', 'CANCELLED') AND ended_at < clock_timestamp() - interval '90 days'
           AND NOT EXISTS (SELECT FROM deadline armed WHERE armed.subject = d.subject AND armed.kind = d.kind
                              AND armed.generation < d.generation AND armed.state = 'ARMED')
         ORDER BY ended_at LIMIT at_most FOR UPDATE OF d SKIP LOCKED
    ), gone AS (
        DELETE FROM deadline d USING old
         WHERE d.subject = old.subject AND d.kind = old.kind AND d.generation = old.generation RETURNING 1
    )
    SELECT count(*) FROM gone
$$;
REVOKE ALL ON FUNCTION deadline_is_kept(), forget_deadline(integer) FROM PUBLIC;
"""

TABLES: Final[Mapping[str, str]] = MappingProxyType({"inbox": INBOX, "deadline": DEADLINE})
"""What a migration copies, by table."""

INDEXES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "inbox": "inbox_by_age ON inbox (received_at)",
        "deadline": "deadline_by_end ON deadline (ended_at) WHERE state IN ('DONE', 'CANCELLED')",
    }
)
"""By what the oldest are found: each is a migration of its own before that, which holds nobody up (CONCURRENTLY)."""
