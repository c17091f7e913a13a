-- migrate:up
-- To switch a setting for a function costs more at every batch than it saves: 20 us a post in batches of thirty. The
-- look-ups are LATERAL with OFFSET 0 and go by index without it.
ALTER FUNCTION posting_added() RESET enable_seqscan;
ALTER FUNCTION entry_added() RESET enable_seqscan;

-- migrate:down
ALTER FUNCTION posting_added() SET enable_seqscan = off;
ALTER FUNCTION entry_added() SET enable_seqscan = off;
