CREATE FUNCTION public.clabe_is_valid(clabe text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT
    AS $_$
    SELECT clabe ~ '^[0-9]{18}$' AND substr(clabe, 18, 1) = (
        SELECT ((10 - sum(substr(clabe, i, 1)::int * (ARRAY[3, 7, 1])[(i - 1) % 3 + 1] % 10) % 10) % 10)::text
        FROM generate_series(1, 17) AS i)
$_$;

CREATE DOMAIN public.clabe AS text
	CONSTRAINT clabe_has_its_check_digit CHECK (public.clabe_is_valid(VALUE));

CREATE DOMAIN public.clave AS text
	CONSTRAINT clave_has_its_form CHECK ((VALUE ~ '^[A-Za-z0-9]{1,30}$'::text));

CREATE DOMAIN public.money_amount AS numeric
	CONSTRAINT money_is_exact CHECK ((scale(VALUE) <= 2))
	CONSTRAINT money_is_positive_and_finite CHECK (((VALUE > (0)::numeric) AND (VALUE < '1000000000000000'::numeric)));

CREATE FUNCTION public.arrival_is_decided_by_people() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state = 'SUSPENDED' AND NEW.state <> 'SUSPENDED' AND NOT (
            NEW.state = 'ASSIGNING' AND people_decide('arrival', NEW.id, 'assign', NEW.player)
            OR NEW.state = 'RETURN_SENDING' AND people_decide('arrival', NEW.id, 'return')) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_decided_by_people';
    END IF;
    IF OLD.state <> 'SUSPENDED' AND (OLD.return_clave, OLD.player) IS DISTINCT FROM (NEW.return_clave, NEW.player) THEN
        RAISE EXCEPTION 'arrival %: its clave and its player stay', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_return_clave_stays';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.arrival_is_taken_as_decided() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM deposit d
            WHERE (d.id, d.state, d.tracking_key) = (NEW.deposit_id, 'QUARANTINED', NEW.tracking_key)
              AND (d.reason IN ('name-differs', 'document-differs', 'limit-exceeded', 'player-blocked')
                   OR people_decide('deposit', d.id, 'suspend'))) THEN
        RAISE EXCEPTION 'arrival %: nobody has decided to take it from its deposit', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_is_taken_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.arrival_takes_a_step() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM arrival_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'arrival %: "%" does not lead to "%"', NEW.id, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_follows_its_states';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.arrival_went_out_before() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.deposit_id IS NOT NULL
       OR NOT EXISTS (SELECT FROM arrival r
            WHERE (r.return_clave, r.state) = (NEW.clave, 'RETURNED') AND r.amount >= NEW.amount)
      AND NOT EXISTS (SELECT FROM withdrawal w
            WHERE (w.clave, w.state) = (NEW.clave, 'BOOKED') AND w.amount > NEW.amount) THEN
        RAISE EXCEPTION 'arrival %: nothing went out by %', NEW.id, NEW.clave
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'arrival_went_out_before';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.card_dispute_is_opened() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
DECLARE
    disputed card_operation;
BEGIN
    SELECT * INTO disputed FROM card_operation WHERE id = NEW.operation_id;
    SELECT greatest(least(NEW.amount, p.captured - p.refunding - p.disputed), 0) INTO NEW.held
      FROM card_payment p WHERE p.id = disputed.payment_id FOR UPDATE;
    IF NEW.state <> 'OPEN' OR NEW.amount > disputed.amount THEN
        RAISE EXCEPTION 'dispute %: it is not about that', NEW.psp_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_dispute_is_opened';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.card_operation_is_settled_by_its_file() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM payout_line l JOIN payout_file f ON f.id = l.file_id
            WHERE (l.operation_id, l.kind, f.state) = (NEW.id, 'capture', 'MATCHED')
              AND (payout_settles(f.opening, f.gross, f.fees) = 0 OR EXISTS (SELECT FROM proof p
                    WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', f.id, 'BOOKED')))) THEN
        RAISE EXCEPTION 'card operation %: no file has settled it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_is_settled_by_its_file';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.card_operation_takes_a_step() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM card_step AS step
            WHERE step.act = NEW.act AND step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'card operation %: a % does not go from "%" to "%"', NEW.id, NEW.act, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_follows_its_states';
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.psp_id IS NOT NULL AND NEW.psp_id IS DISTINCT FROM OLD.psp_id THEN
        RAISE EXCEPTION 'card operation %: it is another object at the provider', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_psp_id_stays';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.stands_in <> OLD.stands_in
            AND (NEW.stands_in = 'uncleared' OR NEW.act = 'refund' AND NEW.state IN ('REQUESTED', 'FAILED')) THEN
        RAISE EXCEPTION 'card operation %: its money does not go from % to %', NEW.id, OLD.stands_in, NEW.stands_in
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_operation_is_cleared_once';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.card_payment_adds_up() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NEW.act IN ('capture', 'refund') THEN
        PERFORM FROM card_payment WHERE id = NEW.payment_id FOR UPDATE;
        UPDATE card_payment p
           SET capturing = s.capturing, captured = s.captured, refunding = s.refunding
          FROM (SELECT coalesce(sum(amount) FILTER (WHERE act = 'capture'
                                    AND state NOT IN ('REFUSED', 'FAILED')), 0) AS capturing,
                       coalesce(sum(amount) FILTER (WHERE act = 'capture'
                                    AND state IN ('CONFIRMED', 'BOOKED', 'SETTLED', 'CLEARED')), 0) AS captured,
                       coalesce(sum(amount) FILTER (WHERE act = 'refund'
                                    AND state NOT IN ('REFUSED', 'FAILED', 'RELEASED', 'REVERSED')), 0) AS refunding
                  FROM card_operation WHERE payment_id = NEW.payment_id) s
         WHERE p.id = NEW.payment_id
           AND (p.capturing, p.captured, p.refunding) IS DISTINCT FROM (s.capturing, s.captured, s.refunding);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.card_payment_disputes_add_up() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    UPDATE card_payment p
       SET disputed = (SELECT coalesce(sum(d.held) FILTER (WHERE d.state <> 'WON'), 0)
                         FROM card_dispute d JOIN card_operation o ON o.id = d.operation_id WHERE o.payment_id = p.id)
     WHERE p.id = (SELECT payment_id FROM card_operation WHERE id = NEW.operation_id);
    RETURN NULL;
END $$;

CREATE FUNCTION public.card_payment_keeps_its_rank() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (SELECT rank FROM card_rank WHERE state = NEW.state) < (SELECT rank FROM card_rank WHERE state = OLD.state)
            AND NOT (OLD.state = 'VOIDING' AND NEW.state = 'AUTHORIZED')
            AND NOT (OLD.state = 'CAPTURING' AND NEW.state = 'AUTHORIZED')
            AND NOT (OLD.state IN ('VOIDED', 'EXPIRED') AND NEW.state IN ('CAPTURED', 'SETTLED')) THEN
        RAISE EXCEPTION 'card payment %: % is behind %', NEW.id, NEW.state, OLD.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'card_payment_keeps_its_rank';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.deadline_ends_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state <> 'ARMED' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_ends_once',
            MESSAGE = format('deadline %s of %s has ended', OLD.kind, OLD.subject);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.deadline_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state NOT IN ('DONE', 'CANCELLED') OR OLD.ended_at > clock_timestamp() - interval '90 days'
       OR EXISTS (SELECT FROM deadline armed WHERE armed.subject = OLD.subject AND armed.kind = OLD.kind
                     AND armed.generation < OLD.generation AND armed.state = 'ARMED') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'deadline_is_kept',
            MESSAGE = format('deadline %s of %s is still needed', OLD.kind, OLD.subject);
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.deposit_leaves_quarantine_as_decided() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM arrival a WHERE (a.deposit_id, a.state) = (NEW.id, NEW.state))
       AND NOT (NEW.state = 'REJECTED' AND people_decide('deposit', NEW.id, 'reject')) THEN
        RAISE EXCEPTION 'deposit %: nobody has decided that', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_leaves_quarantine_as_decided';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.deposit_takes_a_step() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM deposit_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'deposit %: % may not take it from "%" to "%"', NEW.id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'deposit_follows_its_states';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.dispute_entry_is_due() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    IF NEW.booked_at IS NOT NULL OR NOT EXISTS (SELECT FROM dispute_entry_due d
            WHERE (d.dispute_id, d.step, d.amount) = (NEW.dispute_id, NEW.step, NEW.amount)) THEN
        RAISE EXCEPTION 'dispute %: % is not due', NEW.dispute_id, NEW.step
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'dispute_entry_is_due';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.dispute_recovers_no_more_than_lost() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM card_dispute WHERE psp_id = NEW.dispute_id FOR UPDATE;
    IF NEW.state <> 'ASKED' OR (NEW.amount + (SELECT coalesce(sum(r.amount), 0) FROM dispute_recovery r
                                              WHERE r.dispute_id = NEW.dispute_id AND r.state <> 'REFUSED')
            <= (SELECT e.amount FROM dispute_entry e
                 WHERE (e.dispute_id, e.step) = (NEW.dispute_id, 'lost') AND e.booked_at IS NOT NULL)) IS NOT TRUE THEN
        RAISE EXCEPTION 'dispute %: so much was not lost', NEW.dispute_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'dispute_recovers_no_more_than_lost';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.forget_deadline(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
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

CREATE FUNCTION public.forget_inbox(at_most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
    WITH old AS MATERIALIZED (
        SELECT consumer, event_id FROM inbox WHERE received_at < clock_timestamp() - interval '100 days'
         ORDER BY received_at LIMIT at_most FOR UPDATE SKIP LOCKED
    ), gone AS (
        DELETE FROM inbox i USING old WHERE i.consumer = old.consumer AND i.event_id = old.event_id RETURNING 1
    )
    SELECT count(*) FROM gone
$$;

CREATE FUNCTION public.idempotency_answers_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'idempotency_answers_once',
        MESSAGE = format('a key of %s has been used at %s', OLD.principal, OLD.created_at);
END $$;

CREATE FUNCTION public.inbox_is_kept() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.received_at > clock_timestamp() - interval '100 days' THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'inbox_is_kept',
            MESSAGE = format('event %s was heard only at %s', OLD.event_id, OLD.received_at);
    END IF;
    RETURN OLD;
END $$;

CREATE FUNCTION public.payout_file_is_given_up() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'public', 'pg_temp'
    AS $$
BEGIN
    PERFORM FROM card_dispute d WHERE d.psp_id IN (SELECT l.dispute_id FROM payout_line l WHERE l.file_id = NEW.id)
      ORDER BY d.psp_id FOR UPDATE;
    IF (OLD.state, NEW.state) <> ('MATCHED', 'REJECTED')
       OR NOT EXISTS (SELECT FROM proof p WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', NEW.id, 'GIVEN_UP'))
       OR EXISTS (SELECT FROM payout_file later WHERE (later.carried_from, later.state) = (NEW.id, 'MATCHED'))
       OR EXISTS (SELECT FROM payout_line took JOIN payout_line back ON back.dispute_id = took.dispute_id
                   WHERE (took.file_id, took.kind, took.given_up) = (NEW.id, 'chargeback', false)
                     AND back.kind = 'chargeback_reversal' AND back.file_id <> NEW.id AND NOT back.given_up) THEN
        RAISE EXCEPTION 'settlement file %: it stands', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_file_is_given_up';
    END IF;
    UPDATE payout_line SET given_up = true WHERE file_id = NEW.id;
    RETURN NEW;
END $$;

CREATE FUNCTION public.payout_is_settled(file uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM payout_file f WHERE f.id = file AND f.state = 'MATCHED'
        AND (payout_settles(f.opening, f.gross, f.fees) = 0 OR EXISTS (SELECT FROM proof p
              WHERE (p.purpose, p.subject_id, p.state) = ('card.settle', f.id, 'BOOKED'))))
$$;

CREATE FUNCTION public.payout_line_is_of_its_dispute() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    contested card_dispute;
    took numeric;
BEGIN
    SELECT * INTO contested FROM card_dispute WHERE psp_id = NEW.dispute_id FOR UPDATE;
    SELECT -amount INTO took FROM payout_line
     WHERE (dispute_id, kind) = (NEW.dispute_id, 'chargeback') AND NOT given_up;
    IF (NEW.psp_id = contested.psp_id AND CASE NEW.kind
            WHEN 'chargeback' THEN NEW.amount < 0 AND -NEW.amount <= contested.amount
            WHEN 'chargeback_reversal' THEN contested.state = 'WON' AND NEW.amount > 0 AND NEW.amount <= took
            ELSE false END) IS NOT TRUE THEN
        RAISE EXCEPTION 'line % of file %: its dispute does not say so', NEW.line, NEW.file_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'payout_line_is_of_its_dispute';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.payout_settles(opening numeric, gross numeric, fees numeric) RETURNS numeric
    LANGUAGE sql IMMUTABLE
    AS $$
    SELECT greatest(opening + gross - fees, 0) + fees
$$;

CREATE FUNCTION public.people_decide(about text, about_id uuid, what text, whose uuid DEFAULT NULL::uuid) RETURNS boolean
    LANGUAGE sql STABLE
    AS $$
    SELECT EXISTS (SELECT FROM review_case c
        WHERE (c.subject, c.subject_id, c.state, c.decision, c.decided_in) = (about, about_id, 'DECIDED', what, pg_current_xact_id())
          AND c.target IS NOT DISTINCT FROM whose)
$$;

CREATE FUNCTION public.proof_account_follows_its_player() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    SELECT 'players/' || a.player || '/available' INTO NEW.account FROM arrival a WHERE a.id = NEW.subject_id;
    RETURN NEW;
END $$;

CREATE FUNCTION public.proof_is_about_its_subject() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    sound boolean;
BEGIN
    IF NEW.purpose IN ('card.capture', 'refund.returned') THEN
        sound := NEW.fee = 0 AND EXISTS (SELECT FROM card_operation o JOIN card_payment p ON p.id = o.payment_id
            WHERE o.id = NEW.subject_id AND (o.amount, o.currency, p.psp) = (NEW.amount, NEW.currency, NEW.rail)
              AND NEW.reference = 'cards/' || p.id
              AND CASE NEW.purpose
                  WHEN 'card.capture' THEN (o.act, o.state) = ('capture', 'CONFIRMED')
                      AND (NEW.tracking_key, NEW.account)
                          = ('CAPTURE:' || upper(o.psp_id), 'players/' || p.player || '/uncleared')
                  ELSE (o.act, o.state) = ('refund', 'REVERSING')
                      AND (NEW.tracking_key, NEW.account)
                          = ('REFUND-FAILED:' || upper(o.psp_id), 'players/' || p.player || '/' || o.stands_in)
                  END);
    ELSIF NEW.purpose = 'card.settle' THEN
        sound := EXISTS (SELECT FROM payout_file f
            WHERE f.id = NEW.subject_id AND f.state = 'MATCHED' AND (f.fees, f.psp) = (NEW.fee, NEW.rail)
              AND payout_settles(f.opening, f.gross, f.fees) = NEW.amount
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('PAYOUT:' || upper(f.name), 'psp/' || f.psp || '/receivable', 'payouts/' || f.id));
    ELSIF NEW.purpose = 'withdrawal.returned' THEN
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM withdrawal w
            WHERE w.id = NEW.subject_id AND w.state = 'RETURNING' AND (w.amount, w.currency) = (NEW.amount, NEW.currency)
              AND (NEW.tracking_key, NEW.account, NEW.reference)
                  = ('RETURNED:' || upper(w.clave), 'players/' || w.player || '/withdrawing', 'withdrawals/' || w.id));
    ELSE
        sound := (NEW.rail, NEW.fee) = ('spei', 0) AND EXISTS (SELECT FROM arrival a
            WHERE a.id = NEW.subject_id AND (a.amount, a.currency, a.tracking_key) = (NEW.amount, NEW.currency, NEW.tracking_key)
              AND NEW.reference = 'arrivals/' || a.id
              AND (NEW.purpose, a.state, NEW.account) IN (
                  ('deposit.suspense', 'NOTED', 'suspense/spei'),
                  ('suspense.assign', 'ASSIGNING', 'players/' || a.player || '/available'),
                  ('suspense.return', 'RETURNING', 'bank/spei')))
            AND (NEW.origin IS NULL OR EXISTS (SELECT FROM proof o
                WHERE o.receipt_id = NEW.origin AND (o.purpose, o.subject_id) = ('deposit.suspense', NEW.subject_id)));
    END IF;
    IF sound IS NOT TRUE THEN
        RAISE EXCEPTION 'proof %: its subject does not say so', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_about_its_subject';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.proof_is_asked_again_by_people() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT people_decide('proof', NEW.receipt_id, CASE NEW.state WHEN 'GIVEN_UP' THEN 'close' ELSE 'ask-again' END) THEN
        RAISE EXCEPTION 'proof %: nobody has decided that', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_is_asked_again_by_people';
    END IF;
    IF NEW.state = 'GIVEN_UP' AND EXISTS (SELECT FROM proof_word w WHERE w.receipt_id = NEW.receipt_id)
            AND NOT (NEW.purpose = 'deposit.suspense' AND NEW.reason IN
                ('receipt-spent', 'receipt-duplicate-tracking-key', 'receipt-duplicate-document')) THEN
        RAISE EXCEPTION 'proof %: its word is given', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_with_a_word_is_not_given_up';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.proof_takes_a_step() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM proof_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state AND step.actor = current_user) THEN
        RAISE EXCEPTION 'proof %: % may not take it from "%" to "%"', NEW.receipt_id, current_user, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_follows_its_states';
    END IF;
    IF coming_from <> 'ATTESTED' AND NEW.state = 'ATTESTED'
            AND NOT EXISTS (SELECT FROM proof_word WHERE receipt_id = NEW.receipt_id) THEN
        RAISE EXCEPTION 'proof %: nobody has given a word for it', NEW.receipt_id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'proof_has_a_word';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.refuse_another() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% does not change', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
END $$;

CREATE FUNCTION public.refuse_rewriting() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_is_append_only';
END $$;

CREATE FUNCTION public.review_case_is_counted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state = 'PROPOSED' THEN
        NEW.proposal := OLD.proposal + 1;
    ELSIF NEW.state = 'DECIDED' THEN
        NEW.decided_in := pg_current_xact_id();
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.review_case_is_decided_as_proposed() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.state = 'DECIDED' AND OLD.state <> 'DECIDED' AND (OLD.state <> 'PROPOSED'
            OR (OLD.decision, OLD.target, OLD.note, OLD.proposed_by, OLD.proposed_on)
                IS DISTINCT FROM (NEW.decision, NEW.target, NEW.note, NEW.proposed_by, NEW.proposed_on)) THEN
        RAISE EXCEPTION 'case %: that was not proposed', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_as_proposed';
    END IF;
    IF NEW.state = 'DECIDED' AND NEW.four_eyes AND (NEW.proposed_on IS NULL OR NEW.proposed_on IS DISTINCT FROM NEW.confirmed_on) THEN
        RAISE EXCEPTION 'case %: whoever proposed it is not who they were', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_proposer_still_may';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.review_case_is_decided_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.state = 'DECIDED' THEN
        RAISE EXCEPTION 'case % is decided', OLD.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'review_case_is_decided_once';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.subject_follows_its_proof() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM proof p WHERE (p.subject_id, p.state) = (NEW.id, 'GIVEN_UP')
            AND p.purpose = CASE WHEN TG_TABLE_NAME = 'withdrawal' THEN 'withdrawal.returned'
                                 WHEN OLD.state = 'QUARANTINED' THEN 'deposit.suspense'
                                 WHEN OLD.state = 'ASSIGNING' THEN 'suspense.assign' ELSE 'suspense.return' END) THEN
        RAISE EXCEPTION '% %: its proof is not given up', TG_TABLE_NAME, NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.transfer_is_attested_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.withdrawal_is_approved_by_people() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF EXISTS (SELECT FROM review_case c WHERE (c.subject, c.subject_id) = ('withdrawal', NEW.id) AND c.state <> 'DECIDED')
       OR OLD.state = 'REVIEW' AND NOT people_decide('withdrawal', NEW.id, 'approve') THEN
        RAISE EXCEPTION 'withdrawal %: nobody has approved it', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_is_approved_by_people';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.withdrawal_takes_a_step() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    coming_from text := CASE WHEN TG_OP = 'INSERT' THEN '' ELSE OLD.state END;
BEGIN
    IF coming_from <> NEW.state AND NOT EXISTS (SELECT FROM withdrawal_step AS step
            WHERE step.before = coming_from AND step.after = NEW.state) THEN
        RAISE EXCEPTION 'withdrawal %: "%" does not lead to "%"', NEW.id, coming_from, NEW.state
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_follows_its_states';
    END IF;
    -- An order is known to the rail by its clave for ever.
    IF TG_OP = 'UPDATE' AND OLD.clave IS NOT NULL AND NEW.clave IS DISTINCT FROM OLD.clave THEN
        RAISE EXCEPTION 'withdrawal %: the clave does not change', NEW.id
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'withdrawal_clave_stays';
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE public.aml_rule (
    name text NOT NULL,
    valid_from date NOT NULL,
    threshold numeric NOT NULL,
    window_hours integer NOT NULL,
    source text NOT NULL,
    CONSTRAINT aml_rule_is_known CHECK ((name = ANY (ARRAY['four-eyes-amount'::text, 'linked-deposits-sum'::text, 'withdrawals-per-player'::text, 'withdrawals-per-clabe'::text, 'withdrawals-per-device'::text, 'clabe-cooling-off'::text, 'password-cooling-off'::text, 'clabe-shared'::text, 'device-shared'::text, 'deposit-without-play'::text]))),
    CONSTRAINT aml_rule_threshold_is_not_negative CHECK ((threshold >= (0)::numeric)),
    CONSTRAINT aml_rule_window_is_bounded CHECK (((window_hours >= 0) AND (window_hours <= 87600)))
);

CREATE TABLE public.arrival (
    id uuid NOT NULL,
    tracking_key text NOT NULL,
    clave public.clave NOT NULL,
    operation_date date NOT NULL,
    institution text NOT NULL,
    beneficiary_clabe text NOT NULL,
    ordering_account text NOT NULL,
    ordering_name text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    reason text NOT NULL,
    deposit_id uuid,
    state text DEFAULT 'NOTED'::text NOT NULL,
    attention text,
    player uuid,
    return_clave public.clave,
    sends integer DEFAULT 0 NOT NULL,
    sent_at timestamp with time zone,
    due_at timestamp with time zone,
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    noted_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT arrival_is_assigned_to_somebody CHECK (((state = ANY (ARRAY['ASSIGNING'::text, 'ASSIGNED'::text])) <= (player IS NOT NULL))),
    CONSTRAINT arrival_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT arrival_is_returned_under_a_clave CHECK (((return_clave IS NOT NULL) OR (state <> ALL (ARRAY['RETURN_SENDING'::text, 'RETURN_UNKNOWN'::text, 'RETURN_SENT'::text, 'RETURNING'::text, 'RETURNED'::text])))),
    CONSTRAINT arrival_sends_are_counted CHECK (((sends >= 0) AND (sends <= 5))),
    CONSTRAINT arrival_state_is_known CHECK ((state = ANY (ARRAY['NOTED'::text, 'SUSPENDED'::text, 'ASSIGNING'::text, 'ASSIGNED'::text, 'RETURN_SENDING'::text, 'RETURN_UNKNOWN'::text, 'RETURN_SENT'::text, 'RETURNING'::text, 'RETURNED'::text, 'QUARANTINED'::text, 'REJECTED'::text]))),
    CONSTRAINT arrival_tracking_key_is_canonical CHECK (((tracking_key = ((((to_char((operation_date)::timestamp with time zone, 'YYYYMMDD'::text) || ':'::text) || institution) || ':'::text) || upper((clave)::text))) OR (tracking_key = ('RETURNED:'::text || upper((clave)::text)))))
);

CREATE TABLE public.arrival_step (
    before text NOT NULL,
    after text NOT NULL
);

CREATE TABLE public.attestation (
    receipt_id uuid NOT NULL,
    deposit_id uuid NOT NULL,
    player uuid NOT NULL,
    rail text NOT NULL,
    tracking_key text NOT NULL,
    document_sha256 bytea NOT NULL,
    document text NOT NULL,
    purpose text NOT NULL,
    account text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    beneficiary_clabe public.clabe NOT NULL,
    ordering_account text NOT NULL,
    ordering_name text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT attestation_credits_the_claimant CHECK ((account = (('players/'::text || player) || '/available'::text))),
    CONSTRAINT attestation_document_is_sha256 CHECK ((octet_length(document_sha256) = 32)),
    CONSTRAINT attestation_document_is_the_hashed_one CHECK ((sha256(convert_to(document, 'UTF8'::name)) = document_sha256)),
    CONSTRAINT attestation_purpose_is_known CHECK ((purpose = 'deposit'::text)),
    CONSTRAINT attestation_rail_is_known CHECK ((rail = 'spei'::text)),
    CONSTRAINT attestation_signature_is_ed25519 CHECK ((octet_length(signature) = 64))
);

CREATE TABLE public.card_dispute (
    psp_id text NOT NULL,
    operation_id uuid NOT NULL,
    amount public.money_amount NOT NULL,
    held numeric NOT NULL,
    state text DEFAULT 'OPEN'::text NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT card_dispute_ends_at_a_moment CHECK (((state = 'OPEN'::text) = (ended_at IS NULL))),
    CONSTRAINT card_dispute_holds_a_part CHECK (((held >= (0)::numeric) AND (held <= (amount)::numeric))),
    CONSTRAINT card_dispute_psp_id_is_bounded CHECK (((length(psp_id) >= 1) AND (length(psp_id) <= 128))),
    CONSTRAINT card_dispute_state_is_known CHECK ((state = ANY (ARRAY['OPEN'::text, 'WON'::text, 'LOST'::text])))
);

CREATE TABLE public.card_operation (
    id uuid NOT NULL,
    payment_id uuid NOT NULL,
    act text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    state text DEFAULT 'REQUESTED'::text NOT NULL,
    reason text,
    attention text,
    psp_id text,
    stands_in text DEFAULT 'uncleared'::text NOT NULL,
    sends integer DEFAULT 0 NOT NULL,
    sent_at timestamp with time zone,
    version bigint DEFAULT 1 NOT NULL,
    due_at timestamp with time zone DEFAULT now(),
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT card_operation_act_is_known CHECK ((act = ANY (ARRAY['authorize'::text, 'capture'::text, 'void'::text, 'refund'::text]))),
    CONSTRAINT card_operation_confirmed_has_an_object CHECK (((state <> ALL (ARRAY['CONFIRMED'::text, 'BOOKED'::text, 'SETTLED'::text, 'CLEARED'::text, 'REVERSING'::text, 'REVERSED'::text])) OR (psp_id IS NOT NULL))),
    CONSTRAINT card_operation_end_has_a_reason CHECK (((state <> ALL (ARRAY['REFUSED'::text, 'FAILED'::text, 'RELEASED'::text, 'CONFLICTED'::text])) OR (reason IS NOT NULL))),
    CONSTRAINT card_operation_is_booked_at_a_moment CHECK (((state <> ALL (ARRAY['BOOKED'::text, 'SETTLED'::text, 'CLEARED'::text])) OR (booked_at IS NOT NULL))),
    CONSTRAINT card_operation_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT card_operation_sends_are_counted CHECK (((sends >= 0) AND (sends <= 5))),
    CONSTRAINT card_operation_sends_have_a_time CHECK (((sent_at IS NULL) = (sends = 0))),
    CONSTRAINT card_operation_stands_in_is_known CHECK ((stands_in = ANY (ARRAY['uncleared'::text, 'available'::text]))),
    CONSTRAINT card_operation_state_is_known CHECK ((state = ANY (ARRAY['REQUESTED'::text, 'RESERVED'::text, 'REFUSED'::text, 'SENDING'::text, 'UNKNOWN'::text, 'PENDING'::text, 'CONFIRMED'::text, 'BOOKED'::text, 'SETTLED'::text, 'CLEARED'::text, 'FAILED'::text, 'RELEASED'::text, 'REVERSING'::text, 'REVERSED'::text, 'CONFLICTED'::text])))
);

CREATE TABLE public.card_payment (
    id uuid NOT NULL,
    player uuid NOT NULL,
    psp text NOT NULL,
    card_token text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    capture_at_once boolean NOT NULL,
    state text DEFAULT 'CREATED'::text NOT NULL,
    reason text,
    psp_id text,
    expires_at timestamp with time zone,
    capturing numeric DEFAULT 0 NOT NULL,
    captured numeric DEFAULT 0 NOT NULL,
    refunding numeric DEFAULT 0 NOT NULL,
    disputed numeric DEFAULT 0 NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT card_payment_captures_no_more_than_authorized CHECK ((capturing <= (amount)::numeric)),
    CONSTRAINT card_payment_disputed_is_not_negative CHECK ((disputed >= (0)::numeric)),
    CONSTRAINT card_payment_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT card_payment_psp_has_its_form CHECK ((psp ~ '^[a-z0-9-]{1,32}$'::text)),
    CONSTRAINT card_payment_refunds_no_more_than_captured CHECK (((refunding <= (0)::numeric) OR ((refunding + disputed) <= captured))),
    CONSTRAINT card_payment_state_is_known CHECK ((state = ANY (ARRAY['CREATED'::text, 'AUTHORIZING'::text, 'REQUIRES_ACTION'::text, 'AUTHORIZED'::text, 'CAPTURING'::text, 'CAPTURED'::text, 'SETTLED'::text, 'VOIDING'::text, 'VOIDED'::text, 'EXPIRED'::text, 'DECLINED'::text, 'CONFLICTED'::text]))),
    CONSTRAINT card_payment_token_is_bounded CHECK (((length(card_token) >= 1) AND (length(card_token) <= 200)))
);

CREATE TABLE public.card_rank (
    state text NOT NULL,
    rank smallint NOT NULL,
    CONSTRAINT card_rank_is_small CHECK (((rank >= 0) AND (rank <= 9)))
);

CREATE TABLE public.card_step (
    act text NOT NULL,
    before text NOT NULL,
    after text NOT NULL
);

CREATE SEQUENCE public.clabe_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 9999999
    CACHE 1;

CREATE TABLE public.deadline (
    subject text NOT NULL,
    kind text NOT NULL,
    generation integer NOT NULL,
    due_at timestamp with time zone NOT NULL,
    state text DEFAULT 'ARMED'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    last_error text,
    armed_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT deadline_ends_with_its_state CHECK (((state = 'ARMED'::text) = (ended_at IS NULL))),
    CONSTRAINT deadline_generation_from_one CHECK ((generation >= 1)),
    CONSTRAINT deadline_kind_is_bounded CHECK (((length(kind) >= 1) AND (length(kind) <= 64))),
    CONSTRAINT deadline_state_is_known CHECK ((state = ANY (ARRAY['ARMED'::text, 'DONE'::text, 'CANCELLED'::text, 'FAILED'::text]))),
    CONSTRAINT deadline_subject_is_bounded CHECK (((length(subject) >= 1) AND (length(subject) <= 200)))
)
WITH (fillfactor='70');

CREATE TABLE public.deposit (
    id uuid NOT NULL,
    player uuid NOT NULL,
    clave public.clave NOT NULL,
    operation_date date NOT NULL,
    institution text NOT NULL,
    tracking_key text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    state text DEFAULT 'CLAIMED'::text NOT NULL,
    reason text,
    receipt_id uuid,
    entry_id uuid,
    version bigint DEFAULT 1 NOT NULL,
    due_at timestamp with time zone DEFAULT now(),
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    window_ends_at timestamp with time zone NOT NULL,
    claimed_at timestamp with time zone DEFAULT now() NOT NULL,
    noticed boolean DEFAULT false NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT deposit_end_has_a_reason CHECK (((state = ANY (ARRAY['REJECTED'::text, 'QUARANTINED'::text])) <= (reason IS NOT NULL))),
    CONSTRAINT deposit_institution_has_its_form CHECK ((institution ~ '^[0-9]{5}$'::text)),
    CONSTRAINT deposit_is_backed_by_a_receipt CHECK (((state = ANY (ARRAY['ATTESTED'::text, 'BOOKED'::text])) <= (receipt_id IS NOT NULL))),
    CONSTRAINT deposit_is_booked_at_a_moment CHECK (((state = 'BOOKED'::text) = (booked_at IS NOT NULL))),
    CONSTRAINT deposit_is_booked_by_an_entry CHECK (((state = 'BOOKED'::text) = (entry_id IS NOT NULL))),
    CONSTRAINT deposit_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT deposit_state_is_known CHECK ((state = ANY (ARRAY['CLAIMED'::text, 'VERIFYING'::text, 'NOT_FOUND_YET'::text, 'ATTESTED'::text, 'BOOKED'::text, 'REJECTED'::text, 'QUARANTINED'::text, 'SUSPENDED'::text, 'ASSIGNED'::text, 'RETURNED'::text]))),
    CONSTRAINT deposit_tracking_key_is_canonical CHECK ((tracking_key = ((((to_char((operation_date)::timestamp with time zone, 'YYYYMMDD'::text) || ':'::text) || institution) || ':'::text) || upper((clave)::text))))
);

CREATE TABLE public.deposit_step (
    before text NOT NULL,
    after text NOT NULL,
    actor name NOT NULL
);

CREATE TABLE public.dispute_entry (
    id uuid NOT NULL,
    dispute_id text NOT NULL,
    step text NOT NULL,
    amount public.money_amount NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT dispute_entry_is_of_something CHECK (((amount)::numeric > (0)::numeric)),
    CONSTRAINT dispute_entry_step_is_known CHECK ((step = ANY (ARRAY['open'::text, 'won'::text, 'lost'::text])))
);

CREATE TABLE public.payout_line (
    file_id uuid NOT NULL,
    line integer NOT NULL,
    psp_id text NOT NULL,
    kind text NOT NULL,
    amount numeric NOT NULL,
    fee numeric NOT NULL,
    operation_id uuid,
    break_class text,
    given_up boolean DEFAULT false NOT NULL,
    dispute_id text,
    CONSTRAINT payout_line_break_is_known CHECK ((break_class = ANY (ARRAY['MISSING_INTERNAL'::text, 'MISSING_EXTERNAL'::text, 'AMOUNT_MISMATCH'::text, 'DUPLICATE'::text, 'TIMING_OR_STATE'::text]))),
    CONSTRAINT payout_line_from_one CHECK ((line >= 1)),
    CONSTRAINT payout_line_is_in_one_bucket CHECK ((num_nonnulls(operation_id, dispute_id, break_class) = 1))
);

CREATE VIEW public.dispute_entry_due AS
 SELECT l.dispute_id,
    'open'::text AS step,
    (- l.amount) AS amount
   FROM public.payout_line l
  WHERE ((l.kind = 'chargeback'::text) AND (l.dispute_id IS NOT NULL) AND (NOT l.given_up) AND public.payout_is_settled(l.file_id) AND (NOT (EXISTS ( SELECT
           FROM public.dispute_entry e
          WHERE ((e.dispute_id = l.dispute_id) AND (e.step = 'open'::text))))))
UNION ALL
 SELECT l.dispute_id,
    'won'::text AS step,
    l.amount
   FROM (public.payout_line l
     JOIN public.dispute_entry o ON ((((o.dispute_id = l.dispute_id) AND (o.step = 'open'::text)) AND (o.booked_at IS NOT NULL))))
  WHERE ((l.kind = 'chargeback_reversal'::text) AND (NOT l.given_up) AND public.payout_is_settled(l.file_id) AND (NOT (EXISTS ( SELECT
           FROM public.dispute_entry e
          WHERE ((e.dispute_id = l.dispute_id) AND (e.step = 'won'::text))))))
UNION ALL
 SELECT d.psp_id AS dispute_id,
    'lost'::text AS step,
    o.amount
   FROM (public.card_dispute d
     JOIN public.dispute_entry o ON ((((o.dispute_id = d.psp_id) AND (o.step = 'open'::text)) AND (o.booked_at IS NOT NULL))))
  WHERE ((d.state = 'LOST'::text) AND (NOT (EXISTS ( SELECT
           FROM public.dispute_entry e
          WHERE ((e.dispute_id = d.psp_id) AND (e.step = 'lost'::text))))));

CREATE TABLE public.dispute_recovery (
    id uuid NOT NULL,
    dispute_id text NOT NULL,
    amount public.money_amount NOT NULL,
    state text DEFAULT 'ASKED'::text NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT dispute_recovery_is_of_something CHECK (((amount)::numeric > (0)::numeric)),
    CONSTRAINT dispute_recovery_state_is_known CHECK ((state = ANY (ARRAY['ASKED'::text, 'BOOKED'::text, 'REFUSED'::text])))
);

CREATE TABLE public.history (
    id bigint NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    actor name DEFAULT CURRENT_USER NOT NULL,
    state text NOT NULL,
    event text NOT NULL,
    answer jsonb,
    person text,
    CONSTRAINT history_person_is_bounded CHECK ((length(person) <= 64)),
    CONSTRAINT history_subject_is_known CHECK ((subject = ANY (ARRAY['deposit'::text, 'withdrawal'::text, 'card'::text, 'proof'::text, 'arrival'::text, 'case'::text])))
);

ALTER TABLE public.history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.holder (
    player uuid NOT NULL,
    full_name text NOT NULL,
    known_since timestamp with time zone DEFAULT now() NOT NULL,
    curp text,
    rfc text,
    documents_known boolean DEFAULT false NOT NULL,
    asked_at timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    CONSTRAINT holder_curp_is_bounded CHECK ((length(curp) = 18)),
    CONSTRAINT holder_name_is_bounded CHECK (((length(full_name) >= 1) AND (length(full_name) <= 200))),
    CONSTRAINT holder_rfc_is_bounded CHECK ((length(rfc) = 13))
);

CREATE TABLE public.idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    body json,
    resource text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.outbox (
    shard smallint NOT NULL,
    id bigint NOT NULL,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body json NOT NULL,
    headers jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
)
WITH (autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='1000', autovacuum_vacuum_insert_scale_factor='0', autovacuum_vacuum_insert_threshold='10000', autovacuum_vacuum_cost_delay='0');

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.outbox_sent (
    shard smallint NOT NULL,
    until bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='10');

CREATE TABLE public.outbox_shard (
    shard smallint NOT NULL,
    claim smallint DEFAULT 0 NOT NULL,
    CONSTRAINT outbox_shard_in_range CHECK (((shard >= 0) AND (shard <= 15)))
);

CREATE TABLE public.payout_clabe (
    player uuid NOT NULL,
    clabe public.clabe NOT NULL,
    deposit_id uuid NOT NULL,
    known_since timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.payout_file (
    id uuid NOT NULL,
    psp text NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    raw text NOT NULL,
    opening numeric,
    closing numeric,
    gross numeric,
    fees numeric,
    state text NOT NULL,
    reason text,
    imported_at timestamp with time zone DEFAULT now() NOT NULL,
    carried_from uuid,
    CONSTRAINT payout_file_is_the_hashed_one CHECK ((sha256(convert_to(raw, 'UTF8'::name)) = sha256)),
    CONSTRAINT payout_file_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 120))),
    CONSTRAINT payout_file_opens_with_nothing_else CHECK (((state = 'REJECTED'::text) OR ((opening <= (0)::numeric) AND ((opening < (0)::numeric) = (carried_from IS NOT NULL))))),
    CONSTRAINT payout_file_state_is_known CHECK ((state = ANY (ARRAY['MATCHED'::text, 'REJECTED'::text])))
);

CREATE TABLE public.player_clabe (
    player uuid NOT NULL,
    clabe public.clabe NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.proof (
    receipt_id uuid NOT NULL,
    purpose text NOT NULL,
    rail text NOT NULL,
    tracking_key text NOT NULL,
    subject_id uuid NOT NULL,
    account text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    fee numeric DEFAULT 0 NOT NULL,
    reference text NOT NULL,
    origin uuid,
    state text DEFAULT 'ASKED'::text NOT NULL,
    reason text,
    entry_id uuid,
    due_at timestamp with time zone DEFAULT now(),
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    asked_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT proof_conflict_has_a_reason CHECK (((state <> 'CONFLICTED'::text) OR (reason IS NOT NULL))),
    CONSTRAINT proof_fee_is_a_part CHECK (((fee >= (0)::numeric) AND (fee <= (amount)::numeric) AND (scale(fee) <= 2))),
    CONSTRAINT proof_is_booked_by_an_entry CHECK (((state = 'BOOKED'::text) = (entry_id IS NOT NULL))),
    CONSTRAINT proof_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT proof_origin_as_purpose_says CHECK (((origin IS NOT NULL) = (purpose = ANY (ARRAY['suspense.assign'::text, 'suspense.return'::text])))),
    CONSTRAINT proof_purpose_is_known CHECK ((purpose = ANY (ARRAY['deposit.suspense'::text, 'suspense.assign'::text, 'suspense.return'::text, 'withdrawal.returned'::text, 'card.capture'::text, 'card.settle'::text, 'refund.returned'::text]))),
    CONSTRAINT proof_state_is_known CHECK ((state = ANY (ARRAY['ASKED'::text, 'ATTESTED'::text, 'BOOKED'::text, 'CONFLICTED'::text, 'GIVEN_UP'::text]))),
    CONSTRAINT proof_tracking_key_is_canonical CHECK ((tracking_key = upper(tracking_key)))
);

CREATE TABLE public.proof_step (
    before text NOT NULL,
    after text NOT NULL,
    actor name NOT NULL
);

CREATE TABLE public.proof_word (
    receipt_id uuid NOT NULL,
    purpose text NOT NULL,
    rail text NOT NULL,
    tracking_key text NOT NULL,
    account text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    origin uuid,
    document_sha256 bytea NOT NULL,
    document text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    issued_at timestamp with time zone NOT NULL,
    key_id text NOT NULL,
    signature bytea NOT NULL,
    CONSTRAINT proof_word_document_is_sha256 CHECK ((octet_length(document_sha256) = 32)),
    CONSTRAINT proof_word_document_is_the_hashed_one CHECK ((sha256(convert_to(document, 'UTF8'::name)) = document_sha256)),
    CONSTRAINT proof_word_signature_is_ed25519 CHECK ((octet_length(signature) = 64))
);

CREATE TABLE public.review_case (
    id uuid NOT NULL,
    subject text NOT NULL,
    subject_id uuid NOT NULL,
    reason text NOT NULL,
    player uuid,
    amount numeric,
    evidence jsonb DEFAULT '{}'::jsonb NOT NULL,
    four_eyes boolean NOT NULL,
    state text DEFAULT 'OPEN'::text NOT NULL,
    decision text,
    note text,
    target uuid,
    proposed_by text,
    decided_by text,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    decided_at timestamp with time zone,
    proposal integer DEFAULT 0 NOT NULL,
    proposed_on bigint,
    confirmed_on bigint,
    decided_in xid8,
    CONSTRAINT review_case_about_money_takes_two CHECK ((four_eyes OR (subject = ANY (ARRAY['payout_line'::text, 'player'::text])))),
    CONSTRAINT review_case_decision_is_somebodys CHECK ((((state = 'DECIDED'::text) = (decided_by IS NOT NULL)) AND ((state = 'DECIDED'::text) = (decided_at IS NOT NULL)))),
    CONSTRAINT review_case_has_four_eyes CHECK (((NOT four_eyes) OR (decided_by IS NULL) OR (decided_by <> proposed_by))),
    CONSTRAINT review_case_note_is_bounded CHECK ((length(note) <= 2000)),
    CONSTRAINT review_case_proposal_is_somebodys CHECK ((((state = 'OPEN'::text) = (proposed_by IS NULL)) AND ((state = 'OPEN'::text) = (decision IS NULL)))),
    CONSTRAINT review_case_state_is_known CHECK ((state = ANY (ARRAY['OPEN'::text, 'PROPOSED'::text, 'DECIDED'::text]))),
    CONSTRAINT review_case_subject_is_known CHECK ((subject = ANY (ARRAY['withdrawal'::text, 'deposit'::text, 'arrival'::text, 'card'::text, 'proof'::text, 'payout_line'::text, 'player'::text])))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.webhook (
    id bigint NOT NULL,
    source text NOT NULL,
    webhook_id text NOT NULL,
    sent_at timestamp with time zone NOT NULL,
    raw bytea NOT NULL,
    object_id text,
    state text DEFAULT 'RECEIVED'::text NOT NULL,
    outcome text,
    due_at timestamp with time zone DEFAULT now(),
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT webhook_id_is_bounded CHECK (((length(webhook_id) >= 1) AND (length(webhook_id) <= 128))),
    CONSTRAINT webhook_is_bounded CHECK ((octet_length(raw) <= 65536)),
    CONSTRAINT webhook_source_has_its_form CHECK ((source ~ '^[a-z0-9-]{1,32}$'::text)),
    CONSTRAINT webhook_state_is_known CHECK ((state = ANY (ARRAY['RECEIVED'::text, 'APPLIED'::text, 'IGNORED'::text])))
);

ALTER TABLE public.webhook ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.webhook_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE public.withdrawal (
    id uuid NOT NULL,
    player uuid NOT NULL,
    clabe public.clabe NOT NULL,
    beneficiary_name text NOT NULL,
    amount public.money_amount NOT NULL,
    currency text NOT NULL,
    state text DEFAULT 'REQUESTED'::text NOT NULL,
    reason text,
    detail text,
    attention text,
    clave public.clave,
    sends integer DEFAULT 0 NOT NULL,
    sent_at timestamp with time zone,
    version bigint DEFAULT 1 NOT NULL,
    due_at timestamp with time zone DEFAULT now(),
    tries integer DEFAULT 0 NOT NULL,
    leases bigint DEFAULT 0 NOT NULL,
    requested_at timestamp with time zone DEFAULT now() NOT NULL,
    rail text DEFAULT 'spei'::text NOT NULL,
    ended_at timestamp with time zone,
    device uuid,
    CONSTRAINT withdrawal_end_has_a_reason CHECK (((state = ANY (ARRAY['REFUSED'::text, 'REJECTED'::text, 'RELEASED'::text])) <= (reason IS NOT NULL))),
    CONSTRAINT withdrawal_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT withdrawal_is_sent_under_a_clave CHECK (
CASE
    WHEN (state = ANY (ARRAY['REQUESTED'::text, 'REFUSED'::text, 'RESERVED'::text, 'REVIEW'::text, 'APPROVED'::text])) THEN (clave IS NULL)
    WHEN (state = ANY (ARRAY['REJECTED'::text, 'RELEASED'::text])) THEN true
    ELSE (clave IS NOT NULL)
END),
    CONSTRAINT withdrawal_name_is_bounded CHECK (((length(beneficiary_name) >= 1) AND (length(beneficiary_name) <= 120))),
    CONSTRAINT withdrawal_rail_is_known CHECK ((rail = ANY (ARRAY['spei'::text, 'ted'::text]))),
    CONSTRAINT withdrawal_sends_are_counted CHECK (((sends >= 0) AND (sends <= 5))),
    CONSTRAINT withdrawal_sends_have_a_time CHECK ((((clave IS NULL) = (sent_at IS NULL)) AND ((clave IS NULL) = (sends = 0)))),
    CONSTRAINT withdrawal_state_is_known CHECK ((state = ANY (ARRAY['REQUESTED'::text, 'REFUSED'::text, 'RESERVED'::text, 'REVIEW'::text, 'APPROVED'::text, 'SENDING'::text, 'SEND_UNKNOWN'::text, 'SENT'::text, 'LIQUIDATED'::text, 'REJECTED'::text, 'BOOKED'::text, 'RELEASED'::text, 'RETURNING'::text, 'RETURNED'::text])))
);

CREATE TABLE public.withdrawal_step (
    before text NOT NULL,
    after text NOT NULL
);

ALTER TABLE ONLY public.aml_rule
    ADD CONSTRAINT aml_rule_pkey PRIMARY KEY (name, valid_from);

ALTER TABLE ONLY public.arrival
    ADD CONSTRAINT arrival_is_noted_once UNIQUE (tracking_key);

ALTER TABLE ONLY public.arrival
    ADD CONSTRAINT arrival_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.arrival
    ADD CONSTRAINT arrival_return_clave_is_unique UNIQUE (return_clave);

ALTER TABLE ONLY public.arrival_step
    ADD CONSTRAINT arrival_step_pkey PRIMARY KEY (before, after);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_deposit_is_unique UNIQUE (deposit_id);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_document_is_unique UNIQUE (rail, document_sha256);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_names_its_deposit UNIQUE (receipt_id, deposit_id);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_names_its_source UNIQUE (deposit_id, player, ordering_account);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_pkey PRIMARY KEY (receipt_id);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_tracking_key_is_unique UNIQUE (rail, tracking_key);

ALTER TABLE ONLY public.card_dispute
    ADD CONSTRAINT card_dispute_pkey PRIMARY KEY (psp_id);

ALTER TABLE ONLY public.card_operation
    ADD CONSTRAINT card_operation_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.card_operation
    ADD CONSTRAINT card_operation_psp_id_is_unique UNIQUE (psp_id);

ALTER TABLE ONLY public.card_payment
    ADD CONSTRAINT card_payment_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.card_payment
    ADD CONSTRAINT card_payment_psp_id_is_unique UNIQUE (psp_id);

ALTER TABLE ONLY public.card_rank
    ADD CONSTRAINT card_rank_pkey PRIMARY KEY (state);

ALTER TABLE ONLY public.card_step
    ADD CONSTRAINT card_step_pkey PRIMARY KEY (act, before, after);

ALTER TABLE ONLY public.deadline
    ADD CONSTRAINT deadline_generation_is_unique PRIMARY KEY (subject, kind, generation);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_entry_is_unique UNIQUE (entry_id);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_is_bound UNIQUE (id, player, tracking_key, amount, currency);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_receipt_is_unique UNIQUE (receipt_id);

ALTER TABLE ONLY public.deposit_step
    ADD CONSTRAINT deposit_step_pkey PRIMARY KEY (before, after, actor);

ALTER TABLE ONLY public.dispute_entry
    ADD CONSTRAINT dispute_entry_has_its_own_id UNIQUE (id);

ALTER TABLE ONLY public.dispute_entry
    ADD CONSTRAINT dispute_entry_pkey PRIMARY KEY (dispute_id, step);

ALTER TABLE ONLY public.dispute_recovery
    ADD CONSTRAINT dispute_recovery_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.holder
    ADD CONSTRAINT holder_pkey PRIMARY KEY (player);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (principal, key);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.payout_clabe
    ADD CONSTRAINT payout_clabe_pkey PRIMARY KEY (player, clabe);

ALTER TABLE ONLY public.payout_file
    ADD CONSTRAINT payout_file_is_unique UNIQUE (sha256);

ALTER TABLE ONLY public.payout_file
    ADD CONSTRAINT payout_file_name_comes_once UNIQUE (psp, name);

ALTER TABLE ONLY public.payout_file
    ADD CONSTRAINT payout_file_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.payout_file
    ADD CONSTRAINT payout_file_states_its_closing UNIQUE (id, psp, closing);

ALTER TABLE ONLY public.payout_line
    ADD CONSTRAINT payout_line_pkey PRIMARY KEY (file_id, line);

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_belongs_to_its_player UNIQUE (clabe, player);

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_is_unique UNIQUE (clabe);

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_pkey PRIMARY KEY (player);

ALTER TABLE ONLY public.proof
    ADD CONSTRAINT proof_entry_is_unique UNIQUE (entry_id);

ALTER TABLE ONLY public.proof
    ADD CONSTRAINT proof_is_asked_once UNIQUE (purpose, subject_id);

ALTER TABLE ONLY public.proof
    ADD CONSTRAINT proof_is_bound UNIQUE (receipt_id, purpose, rail, tracking_key, account, amount, currency);

ALTER TABLE ONLY public.proof
    ADD CONSTRAINT proof_pkey PRIMARY KEY (receipt_id);

ALTER TABLE ONLY public.proof_step
    ADD CONSTRAINT proof_step_pkey PRIMARY KEY (before, after, actor);

ALTER TABLE ONLY public.proof_word
    ADD CONSTRAINT proof_word_pkey PRIMARY KEY (receipt_id);

ALTER TABLE ONLY public.review_case
    ADD CONSTRAINT review_case_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_comes_once UNIQUE (source, webhook_id);

ALTER TABLE ONLY public.webhook
    ADD CONSTRAINT webhook_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.withdrawal
    ADD CONSTRAINT withdrawal_clave_is_unique UNIQUE (clave);

ALTER TABLE ONLY public.withdrawal
    ADD CONSTRAINT withdrawal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.withdrawal_step
    ADD CONSTRAINT withdrawal_step_pkey PRIMARY KEY (before, after);

CREATE INDEX arrival_by_deposit ON public.arrival USING btree (deposit_id) WHERE (deposit_id IS NOT NULL);

CREATE INDEX arrival_due ON public.arrival USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX card_dispute_by_operation ON public.card_dispute USING btree (operation_id);

CREATE UNIQUE INDEX card_operation_authorizes_once ON public.card_operation USING btree (payment_id) WHERE (act = 'authorize'::text);

CREATE INDEX card_operation_by_payment ON public.card_operation USING btree (payment_id, requested_at);

CREATE INDEX card_operation_due ON public.card_operation USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX card_operation_unsettled ON public.card_operation USING btree (requested_at) WHERE ((state = 'BOOKED'::text) AND (act = ANY (ARRAY['capture'::text, 'refund'::text])));

CREATE UNIQUE INDEX card_operation_voids_one_at_a_time ON public.card_operation USING btree (payment_id) WHERE ((act = 'void'::text) AND (state <> ALL (ARRAY['FAILED'::text, 'REFUSED'::text, 'CONFLICTED'::text])));

CREATE INDEX card_payment_by_player ON public.card_payment USING btree (player, created_at DESC, id DESC);

CREATE INDEX deadline_armed ON public.deadline USING btree (retry_at) WHERE (state = 'ARMED'::text);

CREATE INDEX deadline_by_end ON public.deadline USING btree (ended_at) WHERE (state = ANY (ARRAY['DONE'::text, 'CANCELLED'::text]));

CREATE INDEX deposit_by_player ON public.deposit USING btree (player, claimed_at DESC, id DESC);

CREATE INDEX deposit_by_tracking_key ON public.deposit USING btree (tracking_key);

CREATE INDEX deposit_due ON public.deposit USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX deposit_in_quarantine ON public.deposit USING btree (claimed_at) WHERE (state = 'QUARANTINED'::text);

CREATE UNIQUE INDEX deposit_is_claimed_once ON public.deposit USING btree (player, tracking_key) WHERE (state <> 'REJECTED'::text);

CREATE UNIQUE INDEX deposit_transfer_is_credited_once ON public.deposit USING btree (tracking_key) WHERE (state = ANY (ARRAY['ATTESTED'::text, 'BOOKED'::text]));

CREATE INDEX dispute_recovery_by_dispute ON public.dispute_recovery USING btree (dispute_id);

CREATE UNIQUE INDEX dispute_recovery_one_at_a_time ON public.dispute_recovery USING btree (dispute_id) WHERE (state = 'ASKED'::text);

CREATE INDEX history_by_subject ON public.history USING btree (subject_id, id);

CREATE INDEX inbox_by_age ON public.inbox USING btree (received_at);

CREATE INDEX payout_clabe_by_clabe ON public.payout_clabe USING btree (clabe);

CREATE UNIQUE INDEX payout_file_is_set_off_once ON public.payout_file USING btree (carried_from) WHERE ((carried_from IS NOT NULL) AND (state = 'MATCHED'::text));

CREATE UNIQUE INDEX payout_line_settles_once ON public.payout_line USING btree (operation_id, kind) WHERE ((operation_id IS NOT NULL) AND (NOT given_up));

CREATE UNIQUE INDEX payout_line_takes_once ON public.payout_line USING btree (dispute_id, kind) WHERE ((dispute_id IS NOT NULL) AND (NOT given_up));

CREATE INDEX player_clabe_by_issue ON public.player_clabe USING btree (issued_at);

CREATE INDEX proof_due ON public.proof USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE UNIQUE INDEX proof_origin_is_decided_once ON public.proof USING btree (origin) WHERE (state <> 'GIVEN_UP'::text);

CREATE UNIQUE INDEX proof_word_document_is_unique ON public.proof_word USING btree (rail, document_sha256) WHERE (origin IS NULL);

CREATE UNIQUE INDEX proof_word_tracking_key_is_unique ON public.proof_word USING btree (rail, tracking_key) WHERE (origin IS NULL);

CREATE INDEX review_case_by_subject ON public.review_case USING btree (subject_id);

CREATE UNIQUE INDEX review_case_is_open_once ON public.review_case USING btree (subject, subject_id, reason) WHERE (state <> 'DECIDED'::text);

CREATE INDEX review_case_queue ON public.review_case USING btree (opened_at, id) WHERE (state <> 'DECIDED'::text);

CREATE INDEX webhook_due ON public.webhook USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE INDEX withdrawal_by_clabe ON public.withdrawal USING btree (clabe, requested_at);

CREATE INDEX withdrawal_by_device ON public.withdrawal USING btree (device, requested_at) WHERE (device IS NOT NULL);

CREATE INDEX withdrawal_by_player ON public.withdrawal USING btree (player, requested_at DESC, id DESC);

CREATE INDEX withdrawal_due ON public.withdrawal USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE TRIGGER arrival_follows_its_proof BEFORE UPDATE OF state ON public.arrival FOR EACH ROW WHEN ((((new.state = 'REJECTED'::text) AND (old.state <> 'REJECTED'::text)) OR ((new.state = 'SUSPENDED'::text) AND (old.state = ANY (ARRAY['ASSIGNING'::text, 'RETURNING'::text]))))) EXECUTE FUNCTION public.subject_follows_its_proof();

CREATE TRIGGER arrival_follows_its_states BEFORE INSERT OR UPDATE ON public.arrival FOR EACH ROW EXECUTE FUNCTION public.arrival_takes_a_step();

CREATE TRIGGER arrival_is_decided_by_people BEFORE UPDATE ON public.arrival FOR EACH ROW EXECUTE FUNCTION public.arrival_is_decided_by_people();

CREATE TRIGGER arrival_is_taken_as_decided BEFORE INSERT ON public.arrival FOR EACH ROW WHEN ((new.deposit_id IS NOT NULL)) EXECUTE FUNCTION public.arrival_is_taken_as_decided();

CREATE TRIGGER arrival_went_out_before BEFORE INSERT ON public.arrival FOR EACH ROW WHEN ((new.tracking_key ~~ 'RETURNED:%'::text)) EXECUTE FUNCTION public.arrival_went_out_before();

CREATE TRIGGER attestation_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.attestation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER card_dispute_ends_once BEFORE UPDATE ON public.card_dispute FOR EACH ROW WHEN ((old.state <> 'OPEN'::text)) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER card_dispute_is_opened BEFORE INSERT ON public.card_dispute FOR EACH ROW EXECUTE FUNCTION public.card_dispute_is_opened();

CREATE TRIGGER card_operation_booking_stays BEFORE UPDATE ON public.card_operation FOR EACH ROW WHEN (((old.booked_at IS NOT NULL) AND (old.booked_at IS DISTINCT FROM new.booked_at))) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER card_operation_follows_its_states BEFORE INSERT OR UPDATE ON public.card_operation FOR EACH ROW EXECUTE FUNCTION public.card_operation_takes_a_step();

CREATE TRIGGER card_operation_is_settled_by_its_file BEFORE UPDATE OF state ON public.card_operation FOR EACH ROW WHEN (((new.state = 'SETTLED'::text) AND (old.state <> 'SETTLED'::text))) EXECUTE FUNCTION public.card_operation_is_settled_by_its_file();

CREATE TRIGGER card_payment_adds_up AFTER INSERT OR UPDATE OF state ON public.card_operation FOR EACH ROW EXECUTE FUNCTION public.card_payment_adds_up();

CREATE TRIGGER card_payment_disputes_add_up AFTER INSERT OR UPDATE OF state ON public.card_dispute FOR EACH ROW EXECUTE FUNCTION public.card_payment_disputes_add_up();

CREATE TRIGGER card_payment_keeps_its_rank BEFORE UPDATE OF state ON public.card_payment FOR EACH ROW EXECUTE FUNCTION public.card_payment_keeps_its_rank();

CREATE TRIGGER card_payment_psp_id_stays BEFORE UPDATE ON public.card_payment FOR EACH ROW WHEN (((old.psp_id IS NOT NULL) AND (old.psp_id IS DISTINCT FROM new.psp_id))) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER deadline_ends_once BEFORE UPDATE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_ends_once();

CREATE TRIGGER deadline_is_kept BEFORE DELETE ON public.deadline FOR EACH ROW EXECUTE FUNCTION public.deadline_is_kept();

CREATE TRIGGER deposit_booking_stays BEFORE UPDATE ON public.deposit FOR EACH ROW WHEN (((old.entry_id IS NOT NULL) AND ((old.entry_id IS DISTINCT FROM new.entry_id) OR (old.booked_at IS DISTINCT FROM new.booked_at)))) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER deposit_follows_its_states BEFORE INSERT OR UPDATE ON public.deposit FOR EACH ROW EXECUTE FUNCTION public.deposit_takes_a_step();

CREATE TRIGGER deposit_leaves_quarantine_as_decided BEFORE UPDATE OF state ON public.deposit FOR EACH ROW WHEN (((old.state = ANY (ARRAY['QUARANTINED'::text, 'SUSPENDED'::text])) AND (new.state = ANY (ARRAY['REJECTED'::text, 'SUSPENDED'::text, 'ASSIGNED'::text, 'RETURNED'::text])) AND (old.state <> new.state))) EXECUTE FUNCTION public.deposit_leaves_quarantine_as_decided();

CREATE TRIGGER deposit_quarantine_reason_stays BEFORE UPDATE ON public.deposit FOR EACH ROW WHEN (((old.state = 'QUARANTINED'::text) AND (new.state = 'QUARANTINED'::text) AND (old.reason IS DISTINCT FROM new.reason))) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER dispute_entry_is_append_only BEFORE DELETE OR TRUNCATE ON public.dispute_entry FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER dispute_entry_is_booked_once BEFORE UPDATE ON public.dispute_entry FOR EACH ROW WHEN ((old.booked_at IS NOT NULL)) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER dispute_entry_is_due BEFORE INSERT ON public.dispute_entry FOR EACH ROW EXECUTE FUNCTION public.dispute_entry_is_due();

CREATE TRIGGER dispute_recovers_no_more_than_lost BEFORE INSERT ON public.dispute_recovery FOR EACH ROW EXECUTE FUNCTION public.dispute_recovers_no_more_than_lost();

CREATE TRIGGER dispute_recovery_ends_once BEFORE UPDATE ON public.dispute_recovery FOR EACH ROW WHEN ((old.state <> 'ASKED'::text)) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER dispute_recovery_is_append_only BEFORE DELETE OR TRUNCATE ON public.dispute_recovery FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER history_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.history FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON public.idempotency FOR EACH ROW WHEN ((old.status IS NOT NULL)) EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER idempotency_is_kept BEFORE DELETE ON public.idempotency FOR EACH ROW EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER inbox_is_kept BEFORE DELETE ON public.inbox FOR EACH ROW EXECUTE FUNCTION public.inbox_is_kept();

CREATE TRIGGER payout_clabe_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.payout_clabe FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER payout_file_is_append_only BEFORE DELETE OR TRUNCATE ON public.payout_file FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER payout_file_is_given_up BEFORE UPDATE ON public.payout_file FOR EACH ROW EXECUTE FUNCTION public.payout_file_is_given_up();

CREATE TRIGGER payout_line_is_append_only BEFORE DELETE OR TRUNCATE ON public.payout_line FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER payout_line_is_of_its_dispute BEFORE INSERT ON public.payout_line FOR EACH ROW WHEN ((new.dispute_id IS NOT NULL)) EXECUTE FUNCTION public.payout_line_is_of_its_dispute();

CREATE TRIGGER player_clabe_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.player_clabe FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER proof_account_follows_its_player BEFORE UPDATE OF state ON public.proof FOR EACH ROW WHEN (((old.state = 'GIVEN_UP'::text) AND (new.state = 'ASKED'::text) AND (new.purpose = 'suspense.assign'::text))) EXECUTE FUNCTION public.proof_account_follows_its_player();

CREATE TRIGGER proof_booking_stays BEFORE UPDATE ON public.proof FOR EACH ROW WHEN (((old.entry_id IS NOT NULL) AND (old.entry_id IS DISTINCT FROM new.entry_id))) EXECUTE FUNCTION public.refuse_another();

CREATE TRIGGER proof_follows_its_states BEFORE INSERT OR UPDATE ON public.proof FOR EACH ROW EXECUTE FUNCTION public.proof_takes_a_step();

CREATE TRIGGER proof_is_about_its_subject BEFORE INSERT ON public.proof FOR EACH ROW EXECUTE FUNCTION public.proof_is_about_its_subject();

CREATE TRIGGER proof_is_asked_again_by_people BEFORE UPDATE OF state ON public.proof FOR EACH ROW WHEN (((old.state = 'CONFLICTED'::text) AND (new.state <> 'CONFLICTED'::text))) EXECUTE FUNCTION public.proof_is_asked_again_by_people();

CREATE TRIGGER proof_is_still_about_its_subject BEFORE UPDATE OF state ON public.proof FOR EACH ROW WHEN (((old.state = ANY (ARRAY['CONFLICTED'::text, 'GIVEN_UP'::text])) AND (new.state = ANY (ARRAY['ASKED'::text, 'ATTESTED'::text])))) EXECUTE FUNCTION public.proof_is_about_its_subject();

CREATE TRIGGER proof_word_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.proof_word FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER review_case_is_counted BEFORE UPDATE ON public.review_case FOR EACH ROW EXECUTE FUNCTION public.review_case_is_counted();

CREATE TRIGGER review_case_is_decided_as_proposed BEFORE UPDATE ON public.review_case FOR EACH ROW EXECUTE FUNCTION public.review_case_is_decided_as_proposed();

CREATE TRIGGER review_case_is_decided_once BEFORE UPDATE ON public.review_case FOR EACH ROW EXECUTE FUNCTION public.review_case_is_decided_once();

CREATE TRIGGER transfer_is_attested_once BEFORE INSERT ON public.attestation FOR EACH ROW EXECUTE FUNCTION public.transfer_is_attested_once();

CREATE TRIGGER transfer_is_attested_once BEFORE INSERT ON public.proof_word FOR EACH ROW EXECUTE FUNCTION public.transfer_is_attested_once();

CREATE TRIGGER withdrawal_follows_its_proof BEFORE UPDATE OF state ON public.withdrawal FOR EACH ROW WHEN (((new.state = 'BOOKED'::text) AND (old.state = 'RETURNING'::text))) EXECUTE FUNCTION public.subject_follows_its_proof();

CREATE TRIGGER withdrawal_follows_its_states BEFORE INSERT OR UPDATE ON public.withdrawal FOR EACH ROW EXECUTE FUNCTION public.withdrawal_takes_a_step();

CREATE TRIGGER withdrawal_is_approved_by_people BEFORE UPDATE OF state ON public.withdrawal FOR EACH ROW WHEN (((new.state = 'APPROVED'::text) AND (old.state <> 'APPROVED'::text))) EXECUTE FUNCTION public.withdrawal_is_approved_by_people();

ALTER TABLE ONLY public.arrival
    ADD CONSTRAINT arrival_deposit_id_fkey FOREIGN KEY (deposit_id) REFERENCES public.deposit(id);

ALTER TABLE ONLY public.arrival
    ADD CONSTRAINT arrival_player_fkey FOREIGN KEY (player) REFERENCES public.player_clabe(player);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_clabe_is_the_players FOREIGN KEY (beneficiary_clabe, player) REFERENCES public.player_clabe(clabe, player);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_is_for_the_claim FOREIGN KEY (deposit_id, player, tracking_key, amount, currency) REFERENCES public.deposit(id, player, tracking_key, amount, currency);

ALTER TABLE ONLY public.card_dispute
    ADD CONSTRAINT card_dispute_operation_id_fkey FOREIGN KEY (operation_id) REFERENCES public.card_operation(id);

ALTER TABLE ONLY public.card_operation
    ADD CONSTRAINT card_operation_payment_id_fkey FOREIGN KEY (payment_id) REFERENCES public.card_payment(id);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_player_fkey FOREIGN KEY (player) REFERENCES public.player_clabe(player);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_receipt_is_its_own FOREIGN KEY (receipt_id, id) REFERENCES public.attestation(receipt_id, deposit_id);

ALTER TABLE ONLY public.dispute_entry
    ADD CONSTRAINT dispute_entry_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES public.card_dispute(psp_id);

ALTER TABLE ONLY public.dispute_recovery
    ADD CONSTRAINT dispute_recovery_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES public.card_dispute(psp_id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.payout_clabe
    ADD CONSTRAINT payout_clabe_has_deposited FOREIGN KEY (deposit_id, player, clabe) REFERENCES public.attestation(deposit_id, player, ordering_account);

ALTER TABLE ONLY public.payout_file
    ADD CONSTRAINT payout_file_opens_with_what_one_left FOREIGN KEY (carried_from, psp, opening) REFERENCES public.payout_file(id, psp, closing);

ALTER TABLE ONLY public.payout_line
    ADD CONSTRAINT payout_line_dispute_id_fkey FOREIGN KEY (dispute_id) REFERENCES public.card_dispute(psp_id);

ALTER TABLE ONLY public.payout_line
    ADD CONSTRAINT payout_line_file_id_fkey FOREIGN KEY (file_id) REFERENCES public.payout_file(id);

ALTER TABLE ONLY public.payout_line
    ADD CONSTRAINT payout_line_operation_id_fkey FOREIGN KEY (operation_id) REFERENCES public.card_operation(id);

ALTER TABLE ONLY public.proof
    ADD CONSTRAINT proof_origin_fkey FOREIGN KEY (origin) REFERENCES public.proof(receipt_id);

ALTER TABLE ONLY public.proof_word
    ADD CONSTRAINT proof_word_is_what_was_asked FOREIGN KEY (receipt_id, purpose, rail, tracking_key, account, amount, currency) REFERENCES public.proof(receipt_id, purpose, rail, tracking_key, account, amount, currency);

ALTER TABLE ONLY public.withdrawal
    ADD CONSTRAINT withdrawal_goes_where_money_came_from FOREIGN KEY (player, clabe) REFERENCES public.payout_clabe(player, clabe);

CREATE POLICY app_tells_anything ON public.outbox FOR INSERT TO payments_app WITH CHECK (true);

CREATE POLICY attestor_tells_events ON public.outbox FOR INSERT TO payments_attestor WITH CHECK ((exchange = 'events'::text));

ALTER TABLE public.outbox ENABLE ROW LEVEL SECURITY;

CREATE POLICY relay_takes_all ON public.outbox TO payments_relay USING (true);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO payments_owner;
GRANT USAGE ON SCHEMA public TO payments_app;
GRANT USAGE ON SCHEMA public TO payments_attestor;
GRANT USAGE ON SCHEMA public TO payments_relay;

REVOKE ALL ON FUNCTION public.clabe_is_valid(clabe text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.clabe_is_valid(clabe text) TO payments_app;
GRANT ALL ON FUNCTION public.clabe_is_valid(clabe text) TO payments_attestor;

GRANT ALL ON FUNCTION public.arrival_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.arrival_takes_a_step() TO payments_attestor;

GRANT ALL ON FUNCTION public.card_operation_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.card_operation_takes_a_step() TO payments_attestor;

GRANT ALL ON FUNCTION public.card_payment_keeps_its_rank() TO payments_app;
GRANT ALL ON FUNCTION public.card_payment_keeps_its_rank() TO payments_attestor;

GRANT ALL ON FUNCTION public.deadline_ends_once() TO payments_app;
GRANT ALL ON FUNCTION public.deadline_ends_once() TO payments_attestor;

REVOKE ALL ON FUNCTION public.deadline_is_kept() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.deposit_takes_a_step() FROM PUBLIC;
GRANT ALL ON FUNCTION public.deposit_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.deposit_takes_a_step() TO payments_attestor;

REVOKE ALL ON FUNCTION public.forget_deadline(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_deadline(at_most integer) TO payments_relay;

REVOKE ALL ON FUNCTION public.forget_inbox(at_most integer) FROM PUBLIC;
GRANT ALL ON FUNCTION public.forget_inbox(at_most integer) TO payments_relay;

REVOKE ALL ON FUNCTION public.idempotency_answers_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.inbox_is_kept() FROM PUBLIC;

GRANT ALL ON FUNCTION public.payout_settles(opening numeric, gross numeric, fees numeric) TO payments_app;

GRANT ALL ON FUNCTION public.people_decide(about text, about_id uuid, what text, whose uuid) TO payments_app;

GRANT ALL ON FUNCTION public.proof_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.proof_takes_a_step() TO payments_attestor;

REVOKE ALL ON FUNCTION public.refuse_rewriting() FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse_rewriting() TO payments_app;
GRANT ALL ON FUNCTION public.refuse_rewriting() TO payments_attestor;

GRANT ALL ON FUNCTION public.review_case_is_counted() TO payments_app;

GRANT ALL ON FUNCTION public.review_case_is_decided_once() TO payments_app;
GRANT ALL ON FUNCTION public.review_case_is_decided_once() TO payments_attestor;

GRANT ALL ON FUNCTION public.transfer_is_attested_once() TO payments_app;
GRANT ALL ON FUNCTION public.transfer_is_attested_once() TO payments_attestor;

REVOKE ALL ON FUNCTION public.withdrawal_takes_a_step() FROM PUBLIC;
GRANT ALL ON FUNCTION public.withdrawal_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.withdrawal_takes_a_step() TO payments_attestor;

GRANT SELECT ON TABLE public.aml_rule TO payments_app;

GRANT SELECT ON TABLE public.arrival TO payments_app;
GRANT SELECT ON TABLE public.arrival TO payments_attestor;

GRANT INSERT(id) ON TABLE public.arrival TO payments_app;

GRANT INSERT(tracking_key) ON TABLE public.arrival TO payments_app;

GRANT INSERT(clave) ON TABLE public.arrival TO payments_app;

GRANT INSERT(operation_date) ON TABLE public.arrival TO payments_app;

GRANT INSERT(institution) ON TABLE public.arrival TO payments_app;

GRANT INSERT(beneficiary_clabe) ON TABLE public.arrival TO payments_app;

GRANT INSERT(ordering_account) ON TABLE public.arrival TO payments_app;

GRANT INSERT(ordering_name) ON TABLE public.arrival TO payments_app;

GRANT INSERT(amount) ON TABLE public.arrival TO payments_app;

GRANT INSERT(currency) ON TABLE public.arrival TO payments_app;

GRANT INSERT(reason) ON TABLE public.arrival TO payments_app;

GRANT INSERT(deposit_id) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(state) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(attention) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(player) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(return_clave) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(sends) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(sent_at) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(due_at) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(tries) ON TABLE public.arrival TO payments_app;

GRANT UPDATE(leases) ON TABLE public.arrival TO payments_app;

GRANT INSERT(noted_at) ON TABLE public.arrival TO payments_app;

GRANT SELECT ON TABLE public.arrival_step TO payments_app;

GRANT SELECT ON TABLE public.attestation TO payments_app;
GRANT SELECT,INSERT ON TABLE public.attestation TO payments_attestor;

GRANT SELECT ON TABLE public.card_dispute TO payments_app;
GRANT SELECT ON TABLE public.card_dispute TO payments_attestor;

GRANT INSERT(psp_id) ON TABLE public.card_dispute TO payments_app;

GRANT INSERT(operation_id) ON TABLE public.card_dispute TO payments_app;

GRANT INSERT(amount) ON TABLE public.card_dispute TO payments_app;

GRANT UPDATE(state) ON TABLE public.card_dispute TO payments_app;

GRANT INSERT(opened_at) ON TABLE public.card_dispute TO payments_app;

GRANT UPDATE(ended_at) ON TABLE public.card_dispute TO payments_app;

GRANT SELECT ON TABLE public.card_operation TO payments_app;
GRANT SELECT ON TABLE public.card_operation TO payments_attestor;

GRANT INSERT(id) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(payment_id) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(act) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(amount) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(currency) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(state) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(reason) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(attention) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(psp_id) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(stands_in),UPDATE(stands_in) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(sends) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(sent_at) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(version) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(due_at),UPDATE(due_at) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(tries) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(leases) ON TABLE public.card_operation TO payments_app;

GRANT INSERT(requested_at) ON TABLE public.card_operation TO payments_app;

GRANT UPDATE(booked_at) ON TABLE public.card_operation TO payments_app;

GRANT SELECT ON TABLE public.card_payment TO payments_app;
GRANT SELECT ON TABLE public.card_payment TO payments_attestor;

GRANT INSERT(id) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(player) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(psp) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(card_token) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(amount) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(currency) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(capture_at_once) ON TABLE public.card_payment TO payments_app;

GRANT UPDATE(state) ON TABLE public.card_payment TO payments_app;

GRANT UPDATE(reason) ON TABLE public.card_payment TO payments_app;

GRANT UPDATE(psp_id) ON TABLE public.card_payment TO payments_app;

GRANT UPDATE(expires_at) ON TABLE public.card_payment TO payments_app;

GRANT UPDATE(version) ON TABLE public.card_payment TO payments_app;

GRANT INSERT(created_at) ON TABLE public.card_payment TO payments_app;

GRANT SELECT ON TABLE public.card_rank TO payments_app;

GRANT SELECT ON TABLE public.card_step TO payments_app;

GRANT USAGE ON SEQUENCE public.clabe_serial TO payments_app;

GRANT SELECT,INSERT ON TABLE public.deadline TO payments_app;

GRANT UPDATE(state) ON TABLE public.deadline TO payments_app;

GRANT UPDATE(attempts) ON TABLE public.deadline TO payments_app;

GRANT UPDATE(retry_at) ON TABLE public.deadline TO payments_app;

GRANT UPDATE(last_error) ON TABLE public.deadline TO payments_app;

GRANT UPDATE(ended_at) ON TABLE public.deadline TO payments_app;

GRANT SELECT ON TABLE public.deposit TO payments_app;
GRANT SELECT ON TABLE public.deposit TO payments_attestor;

GRANT INSERT(id) ON TABLE public.deposit TO payments_app;

GRANT INSERT(player) ON TABLE public.deposit TO payments_app;

GRANT INSERT(clave) ON TABLE public.deposit TO payments_app;

GRANT INSERT(operation_date) ON TABLE public.deposit TO payments_app;

GRANT INSERT(institution) ON TABLE public.deposit TO payments_app;

GRANT INSERT(tracking_key) ON TABLE public.deposit TO payments_app;

GRANT INSERT(amount) ON TABLE public.deposit TO payments_app;

GRANT INSERT(currency) ON TABLE public.deposit TO payments_app;

GRANT UPDATE(state) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(state) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(reason) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(reason) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(receipt_id) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(entry_id) ON TABLE public.deposit TO payments_app;

GRANT UPDATE(version) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(version) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(due_at) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(due_at) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(tries) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(tries) ON TABLE public.deposit TO payments_attestor;

GRANT UPDATE(leases) ON TABLE public.deposit TO payments_app;
GRANT UPDATE(leases) ON TABLE public.deposit TO payments_attestor;

GRANT INSERT(window_ends_at) ON TABLE public.deposit TO payments_app;

GRANT INSERT(claimed_at) ON TABLE public.deposit TO payments_app;

GRANT INSERT(noticed) ON TABLE public.deposit TO payments_app;

GRANT UPDATE(booked_at) ON TABLE public.deposit TO payments_app;

GRANT SELECT ON TABLE public.deposit_step TO payments_app;
GRANT SELECT ON TABLE public.deposit_step TO payments_attestor;

GRANT SELECT ON TABLE public.dispute_entry TO payments_app;

GRANT INSERT(id) ON TABLE public.dispute_entry TO payments_app;

GRANT INSERT(dispute_id) ON TABLE public.dispute_entry TO payments_app;

GRANT INSERT(step) ON TABLE public.dispute_entry TO payments_app;

GRANT INSERT(amount) ON TABLE public.dispute_entry TO payments_app;

GRANT INSERT(asked_at) ON TABLE public.dispute_entry TO payments_app;

GRANT UPDATE(booked_at) ON TABLE public.dispute_entry TO payments_app;

GRANT SELECT,INSERT ON TABLE public.payout_line TO payments_app;
GRANT SELECT ON TABLE public.payout_line TO payments_attestor;

GRANT SELECT ON TABLE public.dispute_entry_due TO payments_app;

GRANT SELECT ON TABLE public.dispute_recovery TO payments_app;

GRANT INSERT(id) ON TABLE public.dispute_recovery TO payments_app;

GRANT INSERT(dispute_id) ON TABLE public.dispute_recovery TO payments_app;

GRANT INSERT(amount) ON TABLE public.dispute_recovery TO payments_app;

GRANT UPDATE(state) ON TABLE public.dispute_recovery TO payments_app;

GRANT INSERT(asked_at) ON TABLE public.dispute_recovery TO payments_app;

GRANT SELECT ON TABLE public.history TO payments_app;

GRANT INSERT(subject) ON TABLE public.history TO payments_app;
GRANT INSERT(subject) ON TABLE public.history TO payments_attestor;

GRANT INSERT(subject_id) ON TABLE public.history TO payments_app;
GRANT INSERT(subject_id) ON TABLE public.history TO payments_attestor;

GRANT INSERT(state) ON TABLE public.history TO payments_app;
GRANT INSERT(state) ON TABLE public.history TO payments_attestor;

GRANT INSERT(event) ON TABLE public.history TO payments_app;
GRANT INSERT(event) ON TABLE public.history TO payments_attestor;

GRANT INSERT(answer) ON TABLE public.history TO payments_app;
GRANT INSERT(answer) ON TABLE public.history TO payments_attestor;

GRANT INSERT(person) ON TABLE public.history TO payments_app;

GRANT SELECT ON TABLE public.holder TO payments_app;
GRANT SELECT ON TABLE public.holder TO payments_attestor;

GRANT INSERT(player) ON TABLE public.holder TO payments_app;

GRANT INSERT(full_name),UPDATE(full_name) ON TABLE public.holder TO payments_app;

GRANT INSERT(curp),UPDATE(curp) ON TABLE public.holder TO payments_app;

GRANT INSERT(rfc),UPDATE(rfc) ON TABLE public.holder TO payments_app;

GRANT INSERT(documents_known),UPDATE(documents_known) ON TABLE public.holder TO payments_app;

GRANT INSERT(asked_at),UPDATE(asked_at) ON TABLE public.holder TO payments_app;

GRANT SELECT ON TABLE public.idempotency TO payments_app;

GRANT INSERT(principal) ON TABLE public.idempotency TO payments_app;

GRANT INSERT(key) ON TABLE public.idempotency TO payments_app;

GRANT INSERT(fingerprint) ON TABLE public.idempotency TO payments_app;

GRANT UPDATE(status) ON TABLE public.idempotency TO payments_app;

GRANT UPDATE(body) ON TABLE public.idempotency TO payments_app;

GRANT INSERT(resource),UPDATE(resource) ON TABLE public.idempotency TO payments_app;

GRANT INSERT ON TABLE public.inbox TO payments_app;

GRANT INSERT ON TABLE public.outbox TO payments_app;
GRANT INSERT ON TABLE public.outbox TO payments_attestor;
GRANT SELECT,DELETE ON TABLE public.outbox TO payments_relay;

GRANT SELECT ON TABLE public.outbox_sent TO payments_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO payments_relay;

GRANT SELECT ON TABLE public.outbox_shard TO payments_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO payments_relay;

GRANT SELECT ON TABLE public.payout_clabe TO payments_app;

GRANT INSERT(player) ON TABLE public.payout_clabe TO payments_app;

GRANT INSERT(clabe) ON TABLE public.payout_clabe TO payments_app;

GRANT INSERT(deposit_id) ON TABLE public.payout_clabe TO payments_app;

GRANT SELECT,INSERT ON TABLE public.payout_file TO payments_app;
GRANT SELECT ON TABLE public.payout_file TO payments_attestor;

GRANT UPDATE(state) ON TABLE public.payout_file TO payments_app;

GRANT UPDATE(reason) ON TABLE public.payout_file TO payments_app;

GRANT SELECT ON TABLE public.player_clabe TO payments_app;
GRANT SELECT ON TABLE public.player_clabe TO payments_attestor;

GRANT INSERT(player) ON TABLE public.player_clabe TO payments_app;

GRANT INSERT(clabe) ON TABLE public.player_clabe TO payments_app;

GRANT SELECT ON TABLE public.proof TO payments_app;
GRANT SELECT ON TABLE public.proof TO payments_attestor;

GRANT INSERT(receipt_id) ON TABLE public.proof TO payments_app;

GRANT INSERT(purpose) ON TABLE public.proof TO payments_app;

GRANT INSERT(rail) ON TABLE public.proof TO payments_app;

GRANT INSERT(tracking_key) ON TABLE public.proof TO payments_app;

GRANT INSERT(subject_id) ON TABLE public.proof TO payments_app;

GRANT INSERT(account) ON TABLE public.proof TO payments_app;

GRANT INSERT(amount) ON TABLE public.proof TO payments_app;

GRANT INSERT(currency) ON TABLE public.proof TO payments_app;

GRANT INSERT(fee) ON TABLE public.proof TO payments_app;

GRANT INSERT(reference) ON TABLE public.proof TO payments_app;

GRANT INSERT(origin) ON TABLE public.proof TO payments_app;

GRANT UPDATE(state) ON TABLE public.proof TO payments_app;
GRANT UPDATE(state) ON TABLE public.proof TO payments_attestor;

GRANT UPDATE(reason) ON TABLE public.proof TO payments_app;
GRANT UPDATE(reason) ON TABLE public.proof TO payments_attestor;

GRANT UPDATE(entry_id) ON TABLE public.proof TO payments_app;

GRANT INSERT(due_at),UPDATE(due_at) ON TABLE public.proof TO payments_app;
GRANT UPDATE(due_at) ON TABLE public.proof TO payments_attestor;

GRANT UPDATE(tries) ON TABLE public.proof TO payments_app;
GRANT UPDATE(tries) ON TABLE public.proof TO payments_attestor;

GRANT UPDATE(leases) ON TABLE public.proof TO payments_app;
GRANT UPDATE(leases) ON TABLE public.proof TO payments_attestor;

GRANT INSERT(asked_at) ON TABLE public.proof TO payments_app;

GRANT SELECT ON TABLE public.proof_step TO payments_app;
GRANT SELECT ON TABLE public.proof_step TO payments_attestor;

GRANT SELECT ON TABLE public.proof_word TO payments_app;
GRANT SELECT,INSERT ON TABLE public.proof_word TO payments_attestor;

GRANT SELECT ON TABLE public.review_case TO payments_app;

GRANT INSERT(id) ON TABLE public.review_case TO payments_app;

GRANT INSERT(subject) ON TABLE public.review_case TO payments_app;

GRANT INSERT(subject_id) ON TABLE public.review_case TO payments_app;

GRANT INSERT(reason) ON TABLE public.review_case TO payments_app;

GRANT INSERT(player) ON TABLE public.review_case TO payments_app;

GRANT INSERT(amount) ON TABLE public.review_case TO payments_app;

GRANT INSERT(evidence) ON TABLE public.review_case TO payments_app;

GRANT INSERT(four_eyes) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(state) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(decision) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(note) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(target) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(proposed_by) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(decided_by) ON TABLE public.review_case TO payments_app;

GRANT INSERT(opened_at) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(decided_at) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(proposed_on) ON TABLE public.review_case TO payments_app;

GRANT UPDATE(confirmed_on) ON TABLE public.review_case TO payments_app;

GRANT SELECT ON TABLE public.schema_migrations TO payments_app;
GRANT SELECT ON TABLE public.schema_migrations TO payments_attestor;
GRANT SELECT ON TABLE public.schema_migrations TO payments_relay;

GRANT SELECT ON TABLE public.webhook TO payments_app;

GRANT INSERT(source) ON TABLE public.webhook TO payments_app;

GRANT INSERT(webhook_id) ON TABLE public.webhook TO payments_app;

GRANT INSERT(sent_at) ON TABLE public.webhook TO payments_app;

GRANT INSERT(raw) ON TABLE public.webhook TO payments_app;

GRANT INSERT(object_id) ON TABLE public.webhook TO payments_app;

GRANT UPDATE(state) ON TABLE public.webhook TO payments_app;

GRANT UPDATE(outcome) ON TABLE public.webhook TO payments_app;

GRANT UPDATE(due_at) ON TABLE public.webhook TO payments_app;

GRANT UPDATE(tries) ON TABLE public.webhook TO payments_app;

GRANT UPDATE(leases) ON TABLE public.webhook TO payments_app;

GRANT SELECT ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(id) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(player) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(clabe) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(beneficiary_name) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(amount) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(currency) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(state) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(reason) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(detail) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(attention) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(clave) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(sends) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(sent_at) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(version) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(due_at) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(tries) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(leases) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(requested_at) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(rail) ON TABLE public.withdrawal TO payments_app;

GRANT UPDATE(ended_at) ON TABLE public.withdrawal TO payments_app;

GRANT INSERT(device) ON TABLE public.withdrawal TO payments_app;

GRANT SELECT ON TABLE public.withdrawal_step TO payments_app;
