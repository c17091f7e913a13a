CREATE FUNCTION public.approval_begins_as_a_question() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_begins_as_a_question',
        MESSAGE = format('approval %s is there decided', NEW.id);
END $$;

CREATE FUNCTION public.approval_is_by_whom_may() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    who uuid := CASE WHEN TG_OP = 'INSERT' THEN NEW.requested_by ELSE NEW.decided_by END;
    allowed text[] := CASE WHEN NEW.act LIKE 'kyc.%' THEN ARRAY['cashier', 'admin'] ELSE ARRAY['admin'] END;
BEGIN
    IF TG_OP = 'UPDATE' AND (OLD.state <> 'OPEN' OR NEW.state = 'OPEN') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_decided_once',
            MESSAGE = format('approval %s has been decided', OLD.id);
    END IF;
    PERFORM FROM users WHERE id IN (NEW.requested_by, NEW.decided_by) ORDER BY id FOR SHARE;
    IF NOT EXISTS (SELECT FROM users WHERE id = who AND role = ANY (allowed) AND closed_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_by_whom_may',
            MESSAGE = format('user %s may not decide on %s', who, NEW.act);
    END IF;
    IF NEW.state = 'APPROVED' AND NOT EXISTS (
        SELECT FROM users WHERE id = NEW.requested_by AND role = ANY (allowed) AND closed_at IS NULL) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_is_asked_by_whom_still_may',
            MESSAGE = format('user %s may not ask for %s any more', NEW.requested_by, NEW.act);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.approval_takes_effect_at_once() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    IF NOT (CASE
        WHEN NEW.act IN ('staff.appoint', 'staff.role') THEN EXISTS (SELECT FROM approval_use WHERE approval = NEW.id)
        WHEN NEW.act = 'staff.dismiss'
            THEN EXISTS (SELECT FROM users WHERE id = NEW.subject::uuid AND closed_at IS NOT NULL)
        WHEN NEW.act LIKE 'kyc.%' THEN EXISTS (SELECT FROM kyc_case WHERE approval = NEW.id)
        ELSE true  -- a second factor: no rule here lets anything happen by having been approved
    END) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'approval_takes_effect_at_once',
            MESSAGE = format('approval %s has done nothing', NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.device_revoked_stays_revoked() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.revoked_at IS NOT NULL AND NEW.revoked_at IS DISTINCT FROM OLD.revoked_at THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'device_revoked_stays_revoked',
            MESSAGE = format('device %s has been revoked', OLD.id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.holder_document_is_the_persons() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    born date := (SELECT birth_date FROM users WHERE id = NEW.user_id);
BEGIN
    IF (NEW.kind = 'curp' AND (substr(NEW.value, 5, 6) <> to_char(born, 'YYMMDD')
            -- The 17th character tells the century: a digit before 2000, a letter since.
            OR (substr(NEW.value, 17, 1) ~ '[0-9]') <> (born < DATE '2000-01-01')))
       OR (NEW.kind = 'rfc' AND length(NEW.value) = 13 AND substr(NEW.value, 5, 6) <> to_char(born, 'YYMMDD'))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'holder_document_is_the_persons',
            MESSAGE = 'the document carries another birth date';
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.idempotency_answers_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'idempotency_answers_once',
        MESSAGE = format('a key of %s has been used at %s', OLD.principal, OLD.created_at);
END $$;

CREATE FUNCTION public.kyc_case_begins_as_a_draft() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_case_begins_as_a_draft',
        MESSAGE = format('case %s does not begin as %s', NEW.id, NEW.state);
END $$;

CREATE FUNCTION public.kyc_case_moves_on() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
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

CREATE FUNCTION public.kyc_evidence_is_of_a_draft() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM kyc_case WHERE id = NEW.case_id AND state = 'DRAFT') THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'kyc_evidence_is_of_a_draft',
            MESSAGE = format('case %s has been submitted', NEW.case_id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.play_limit_grows_by_waiting() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.pending_from < now() + INTERVAL '24 hours' - INTERVAL '1 minute'
       AND (TG_OP = 'INSERT' OR (NEW.pending, NEW.pending_from) IS DISTINCT FROM (OLD.pending, OLD.pending_from))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_limit_grows_after_a_day',
            MESSAGE = format('the %s limit of %s grows after a day', NEW.measure, NEW.user_id);
    END IF;
    IF TG_OP = 'UPDATE' AND OLD.amount IS NOT NULL AND (NEW.amount IS NULL OR NEW.amount > OLD.amount)
       AND NOT (coalesce(OLD.pending_from <= now(), false) AND NEW.amount IS NOT DISTINCT FROM OLD.pending AND NEW.pending_from IS NULL)
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_limit_grows_by_waiting',
            MESSAGE = format('the %s limit of %s does not grow at once', OLD.measure, OLD.user_id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.play_policy_moves_on() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) OR NEW.acknowledged < OLD.acknowledged THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_policy_moves_on',
            MESSAGE = format('the policy of %s goes on by one', OLD.user_id);
    END IF;
    IF OLD.blocked_until > now() AND (NEW.blocked_until IS NULL OR NEW.blocked_until < OLD.blocked_until) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'play_policy_block_is_kept',
            MESSAGE = format('%s is excluded until %s', OLD.user_id, OLD.blocked_until);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.users_change_is_counted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NEW.version NOT IN (OLD.version, OLD.version + 1) OR (NEW.version = OLD.version
        AND (NEW.email, NEW.full_name, NEW.birth_date, NEW.role, NEW.email_verified_at, NEW.password_changed_at,
             NEW.closed_at, NEW.totp_generation)
        IS DISTINCT FROM (OLD.email, OLD.full_name, OLD.birth_date, OLD.role, OLD.email_verified_at,
             OLD.password_changed_at, OLD.closed_at, OLD.totp_generation))
    THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_change_is_counted',
            MESSAGE = format('a change of user %s needs the next version', OLD.id);
    END IF;
    IF OLD.closed_at IS NOT NULL AND NEW.closed_at IS DISTINCT FROM OLD.closed_at THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_closed_stays_closed',
            MESSAGE = format('user %s has closed their account', OLD.id);
    END IF;
    IF NEW.totp_generation = OLD.totp_generation AND NEW.totp_last_step < OLD.totp_last_step THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_totp_code_is_used_once',
            MESSAGE = format('user %s has used a later code', OLD.id);
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.users_change_is_told() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
DECLARE
    told text := 'users/' || NEW.id;
BEGIN
    IF NOT EXISTS (SELECT FROM outbox WHERE shard = (hashtextextended(told, 0) & 15)::smallint
                   AND aggregate = told AND version = NEW.version) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_change_is_told',
            MESSAGE = format('version %s of user %s has no event', NEW.version, NEW.id);
    END IF;
    IF NOT EXISTS (SELECT FROM holder_document WHERE user_id = NEW.id) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_have_a_document',
            MESSAGE = format('user %s has no document', NEW.id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION public.users_past_is_kept() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    INSERT INTO user_history (user_id, version, email, full_name, role, email_verified_at, closed_at)
    VALUES (OLD.id, OLD.version, OLD.email, OLD.full_name, OLD.role, OLD.email_verified_at, OLD.closed_at);
    RETURN NULL;
END $$;

CREATE FUNCTION public.users_proof_is_counted() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    NEW.proof := OLD.proof + ((OLD.password_changed_at, OLD.totp_generation, OLD.role, OLD.closed_at)
        IS DISTINCT FROM (NEW.password_changed_at, NEW.totp_generation, NEW.role, NEW.closed_at))::int;
    RETURN NEW;
END $$;

CREATE FUNCTION public.users_second_factor_is_not_taken_back() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_second_factor_is_not_taken_back',
        MESSAGE = format('user %s has a later second factor', OLD.id);
END $$;

CREATE FUNCTION public.users_staff_takes_four_eyes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'public'
    AS $$
BEGIN
    IF TG_OP = 'UPDATE' AND NEW.role = OLD.role THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' AND (NEW.role = 'bettor' OR session_user = 'identity_operator') THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'UPDATE' AND 'bettor' IN (OLD.role, NEW.role) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_staff_are_not_bettors',
            MESSAGE = 'a bettor does not become staff, nor staff a bettor';
    END IF;
    IF NOT EXISTS (SELECT FROM approval WHERE id = NEW.approval AND state = 'APPROVED'
                   AND details ->> 'role' = NEW.role
                   AND CASE TG_OP WHEN 'INSERT' THEN act = 'staff.appoint' AND subject = NEW.email
                       ELSE act = 'staff.role' AND subject = NEW.id::text END) THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'users_staff_takes_four_eyes',
            MESSAGE = format('nobody has approved that %s becomes %s', NEW.id, NEW.role);
    END IF;
    INSERT INTO approval_use (approval) VALUES (NEW.approval);
    RETURN NEW;
END $$;

CREATE FUNCTION public.verification_is_used_once() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF OLD.used_at IS NOT NULL OR NEW.attempts < OLD.attempts THEN
        RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = 'verification_is_used_once',
            MESSAGE = format('verification %s has been used', OLD.id);
    END IF;
    RETURN NEW;
END $$;

CREATE TABLE public.approval (
    id uuid NOT NULL,
    act text NOT NULL,
    subject text NOT NULL,
    details jsonb NOT NULL,
    reason text NOT NULL,
    requested_by uuid NOT NULL,
    requested_at timestamp with time zone NOT NULL,
    state text DEFAULT 'OPEN'::text NOT NULL,
    decided_by uuid,
    decided_at timestamp with time zone,
    CONSTRAINT approval_act_is_known CHECK ((act = ANY (ARRAY['staff.appoint'::text, 'staff.role'::text, 'staff.dismiss'::text, 'staff.second-factor'::text, 'kyc.approve'::text, 'kyc.reject'::text]))),
    CONSTRAINT approval_is_decided_by_somebody CHECK ((((state = 'OPEN'::text) = (decided_by IS NULL)) AND ((decided_by IS NULL) = (decided_at IS NULL)))),
    CONSTRAINT approval_is_nobodys_own CHECK (((subject <> (requested_by)::text) AND (subject <> (decided_by)::text))),
    CONSTRAINT approval_reason_is_bounded CHECK (((length(reason) >= 1) AND (length(reason) <= 500))),
    CONSTRAINT approval_state_is_known CHECK ((state = ANY (ARRAY['OPEN'::text, 'APPROVED'::text, 'REFUSED'::text]))),
    CONSTRAINT approval_subject_is_bounded CHECK (((length(subject) >= 1) AND (length(subject) <= 254))),
    CONSTRAINT approval_takes_four_eyes CHECK ((decided_by <> requested_by))
);

CREATE TABLE public.approval_use (
    approval uuid NOT NULL
);

CREATE TABLE public.device (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL,
    enrolled_at timestamp with time zone NOT NULL,
    revoked_at timestamp with time zone,
    CONSTRAINT device_is_revoked_after_enrolment CHECK ((revoked_at >= enrolled_at)),
    CONSTRAINT device_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 60)))
);

CREATE TABLE public.holder_document (
    user_id uuid NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    added_at timestamp with time zone NOT NULL,
    CONSTRAINT holder_document_has_its_form CHECK (
CASE kind
    WHEN 'curp'::text THEN (value ~ '^[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]$'::text)
    WHEN 'rfc'::text THEN (value ~ '^[A-Z&Ñ]{3,4}[0-9]{6}[0-9A-Z]{2}[0-9A]$'::text)
    WHEN 'cpf'::text THEN (value ~ '^[0-9]{11}$'::text)
    WHEN 'cnpj'::text THEN (value ~ '^[0-9A-Z]{12}[0-9]{2}$'::text)
    ELSE NULL::boolean
END),
    CONSTRAINT holder_document_kind_is_known CHECK ((kind = ANY (ARRAY['curp'::text, 'rfc'::text, 'cpf'::text, 'cnpj'::text])))
);

CREATE TABLE public.idempotency (
    principal text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    status integer,
    body json,
    resource text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT idempotency_fingerprint_is_sha256 CHECK ((octet_length(fingerprint) = 32))
);

CREATE TABLE public.kyc_case (
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    state text NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    opened_at timestamp with time zone NOT NULL,
    submitted_at timestamp with time zone,
    decided_at timestamp with time zone,
    approval uuid,
    CONSTRAINT kyc_case_is_decided_with_approval CHECK ((((approval IS NULL) = (decided_at IS NULL)) AND ((state <> ALL (ARRAY['APPROVED'::text, 'REJECTED'::text])) OR (approval IS NOT NULL)))),
    CONSTRAINT kyc_case_is_submitted_first CHECK (((state = ANY (ARRAY['DRAFT'::text, 'SUPERSEDED'::text])) OR (submitted_at IS NOT NULL))),
    CONSTRAINT kyc_case_state_is_known CHECK ((state = ANY (ARRAY['DRAFT'::text, 'SUBMITTED'::text, 'APPROVED'::text, 'REJECTED'::text, 'SUPERSEDED'::text])))
);

CREATE TABLE public.kyc_evidence (
    case_id uuid NOT NULL,
    kind text NOT NULL,
    media_type text NOT NULL,
    content bytea NOT NULL,
    sha256 bytea NOT NULL,
    added_at timestamp with time zone NOT NULL,
    CONSTRAINT kyc_evidence_is_bounded CHECK (((octet_length(content) >= 1) AND (octet_length(content) <= 2097152))),
    CONSTRAINT kyc_evidence_is_what_its_digest_says CHECK ((sha256 = sha256(content))),
    CONSTRAINT kyc_evidence_kind_is_known CHECK ((kind = ANY (ARRAY['id-front'::text, 'id-back'::text, 'selfie'::text, 'proof-of-address'::text]))),
    CONSTRAINT kyc_evidence_media_type_is_known CHECK ((media_type = ANY (ARRAY['image/jpeg'::text, 'image/png'::text, 'application/pdf'::text])))
);

CREATE TABLE public.outbound_message (
    id uuid NOT NULL,
    kind text NOT NULL,
    recipient text,
    verification_id uuid,
    created_at timestamp with time zone NOT NULL,
    retry_at timestamp with time zone NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    sent_at timestamp with time zone,
    given_up_at timestamp with time zone,
    CONSTRAINT outbound_message_code_has_its_verification CHECK (((kind = ANY (ARRAY['email-code'::text, 'reset-code'::text, 'activation-code'::text])) = (verification_id IS NOT NULL))),
    CONSTRAINT outbound_message_kind_is_known CHECK ((kind = ANY (ARRAY['email-code'::text, 'reset-code'::text, 'activation-code'::text, 'email-changed'::text, 'password-changed'::text, 'account-closed'::text]))),
    CONSTRAINT outbound_message_recipient_is_bounded CHECK ((length(recipient) <= 254))
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

CREATE TABLE public.play_limit (
    user_id uuid NOT NULL,
    measure text NOT NULL,
    period text NOT NULL,
    amount numeric,
    pending numeric,
    pending_from timestamp with time zone,
    set_at timestamp with time zone NOT NULL,
    CONSTRAINT play_limit_grows_after_a_day CHECK (((pending_from IS NULL) OR (pending_from >= (set_at + '24:00:00'::interval)))),
    CONSTRAINT play_limit_is_exact CHECK (((amount >= (0)::numeric) AND (amount < ('1000000000000'::bigint)::numeric) AND (scale(amount) <= 2))),
    CONSTRAINT play_limit_measure_is_known CHECK ((measure = ANY (ARRAY['deposit'::text, 'stake'::text, 'loss'::text, 'session'::text]))),
    CONSTRAINT play_limit_pending_is_exact CHECK (((pending >= (0)::numeric) AND (pending < ('1000000000000'::bigint)::numeric) AND (scale(pending) <= 2))),
    CONSTRAINT play_limit_period_is_known CHECK (((period = ANY (ARRAY['day'::text, 'week'::text, 'month'::text, 'session'::text])) AND ((measure = 'session'::text) = (period = 'session'::text)))),
    CONSTRAINT play_limit_waits_only_to_grow CHECK (((pending_from IS NULL) OR ((amount IS NOT NULL) AND ((pending IS NULL) OR (pending > amount)))))
);

CREATE TABLE public.play_policy (
    user_id uuid NOT NULL,
    version bigint NOT NULL,
    acknowledged bigint DEFAULT 0 NOT NULL,
    blocked_until timestamp with time zone,
    changed_at timestamp with time zone NOT NULL,
    push_at timestamp with time zone NOT NULL,
    CONSTRAINT play_policy_is_acknowledged_in_order CHECK (((acknowledged >= 0) AND (acknowledged <= version))),
    CONSTRAINT play_policy_version_from_one CHECK ((version >= 1))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.user_history (
    user_id uuid NOT NULL,
    version bigint NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    role text NOT NULL,
    email_verified_at timestamp with time zone,
    closed_at timestamp with time zone,
    replaced_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    birth_date date NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    registered_at timestamp with time zone NOT NULL,
    version bigint DEFAULT 1 NOT NULL,
    email_verified_at timestamp with time zone,
    password_changed_at timestamp with time zone,
    closed_at timestamp with time zone,
    totp_generation smallint DEFAULT 0 NOT NULL,
    totp_last_step bigint DEFAULT 0 NOT NULL,
    approval uuid,
    proof bigint DEFAULT 1 NOT NULL,
    CONSTRAINT users_are_adults CHECK ((birth_date <= ((((registered_at AT TIME ZONE 'UTC'::text) - '06:00:00'::interval))::date - '18 years'::interval))),
    CONSTRAINT users_email_is_bounded CHECK ((length(email) <= 254)),
    CONSTRAINT users_email_is_canonical CHECK (((email ~ '^[!-~]+@[!-~]+$'::text) AND (email = lower(email)))),
    CONSTRAINT users_full_name_is_bounded CHECK (((length(full_name) >= 2) AND (length(full_name) <= 120))),
    CONSTRAINT users_password_is_argon2id CHECK ((password_hash ~~ '$argon2id$%'::text)),
    CONSTRAINT users_proof_from_one CHECK ((proof >= 1)),
    CONSTRAINT users_role_is_known CHECK ((role = ANY (ARRAY['bettor'::text, 'official'::text, 'cashier'::text, 'auditor'::text, 'admin'::text]))),
    CONSTRAINT users_totp_generation_is_counted CHECK ((totp_generation >= 0)),
    CONSTRAINT users_version_from_one CHECK ((version >= 1))
);

CREATE TABLE public.verification (
    id uuid NOT NULL,
    user_id uuid,
    purpose text NOT NULL,
    created_at timestamp with time zone NOT NULL,
    expires_at timestamp with time zone NOT NULL,
    attempts smallint DEFAULT 0 NOT NULL,
    used_at timestamp with time zone,
    addressee text,
    CONSTRAINT verification_attempts_are_few CHECK (((attempts >= 0) AND (attempts <= 5))),
    CONSTRAINT verification_is_used_in_time CHECK ((used_at < expires_at)),
    CONSTRAINT verification_purpose_is_known CHECK ((purpose = ANY (ARRAY['email'::text, 'password-reset'::text, 'staff-activation'::text])))
);

ALTER TABLE ONLY public.approval_use
    ADD CONSTRAINT approval_is_used_once PRIMARY KEY (approval);

ALTER TABLE ONLY public.approval
    ADD CONSTRAINT approval_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.device
    ADD CONSTRAINT device_pkey PRIMARY KEY (id);

ALTER TABLE public.holder_document
    ADD CONSTRAINT holder_document_is_somebodys CHECK (((kind <> 'cpf'::text) OR (value !~ '^([0-9])\1{10}$'::text))) NOT VALID;

ALTER TABLE ONLY public.holder_document
    ADD CONSTRAINT holder_document_is_unique UNIQUE (kind, value);

ALTER TABLE ONLY public.holder_document
    ADD CONSTRAINT holder_document_pkey PRIMARY KEY (user_id, kind);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (principal, key);

ALTER TABLE ONLY public.kyc_case
    ADD CONSTRAINT kyc_case_approval_is_used_once UNIQUE (approval);

ALTER TABLE ONLY public.kyc_case
    ADD CONSTRAINT kyc_case_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.kyc_evidence
    ADD CONSTRAINT kyc_evidence_pkey PRIMARY KEY (case_id, kind);

ALTER TABLE ONLY public.outbound_message
    ADD CONSTRAINT outbound_message_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.play_limit
    ADD CONSTRAINT play_limit_pkey PRIMARY KEY (user_id, measure, period);

ALTER TABLE ONLY public.play_policy
    ADD CONSTRAINT play_policy_pkey PRIMARY KEY (user_id);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.user_history
    ADD CONSTRAINT user_history_pkey PRIMARY KEY (user_id, version);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_approval_is_used_once UNIQUE (approval);

ALTER TABLE public.users
    ADD CONSTRAINT users_email_is_read_in_one_way CHECK ((POSITION(('=?'::text) IN (email)) = 0)) NOT VALID;

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_is_unique UNIQUE (email);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE public.verification
    ADD CONSTRAINT verification_is_of_an_address CHECK (((addressee IS NOT NULL) AND (addressee ~ '^[0-9a-f]{64}$'::text))) NOT VALID;

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_pkey PRIMARY KEY (id);

CREATE INDEX approval_by_time ON public.approval USING btree (requested_at, id);

CREATE UNIQUE INDEX approval_is_open_once ON public.approval USING btree (act, subject) WHERE (state = 'OPEN'::text);

CREATE INDEX device_by_enrolment ON public.device USING btree (user_id, enrolled_at, id);

CREATE INDEX kyc_case_by_state ON public.kyc_case USING btree (state, submitted_at, id);

CREATE UNIQUE INDEX kyc_case_is_approved_once ON public.kyc_case USING btree (user_id) WHERE (state = 'APPROVED'::text);

CREATE UNIQUE INDEX kyc_case_is_open_once ON public.kyc_case USING btree (user_id) WHERE (state = ANY (ARRAY['DRAFT'::text, 'SUBMITTED'::text]));

CREATE INDEX outbound_message_waiting ON public.outbound_message USING btree (retry_at) WHERE ((sent_at IS NULL) AND (given_up_at IS NULL) AND (recipient IS NOT NULL));

CREATE INDEX play_limit_pending ON public.play_limit USING btree (pending_from) WHERE (pending_from IS NOT NULL);

CREATE INDEX play_policy_unacknowledged ON public.play_policy USING btree (push_at) WHERE (acknowledged < version);

CREATE INDEX verification_of_addressee ON public.verification USING btree (addressee, purpose, created_at DESC);

CREATE TRIGGER approval_begins_as_a_question BEFORE INSERT ON public.approval FOR EACH ROW WHEN ((new.state <> 'OPEN'::text)) EXECUTE FUNCTION public.approval_begins_as_a_question();

CREATE TRIGGER approval_is_by_whom_may BEFORE INSERT OR UPDATE ON public.approval FOR EACH ROW EXECUTE FUNCTION public.approval_is_by_whom_may();

CREATE CONSTRAINT TRIGGER approval_takes_effect_at_once AFTER UPDATE OF state ON public.approval DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.state = 'APPROVED'::text)) EXECUTE FUNCTION public.approval_takes_effect_at_once();

CREATE TRIGGER device_revoked_stays_revoked BEFORE UPDATE ON public.device FOR EACH ROW EXECUTE FUNCTION public.device_revoked_stays_revoked();

CREATE TRIGGER holder_document_is_the_persons BEFORE INSERT ON public.holder_document FOR EACH ROW EXECUTE FUNCTION public.holder_document_is_the_persons();

CREATE TRIGGER idempotency_answers_once BEFORE UPDATE ON public.idempotency FOR EACH ROW WHEN ((old.status IS NOT NULL)) EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER idempotency_is_kept BEFORE DELETE ON public.idempotency FOR EACH ROW EXECUTE FUNCTION public.idempotency_answers_once();

CREATE TRIGGER kyc_case_begins_as_a_draft BEFORE INSERT ON public.kyc_case FOR EACH ROW WHEN (((new.state <> 'DRAFT'::text) OR (new.version <> 1))) EXECUTE FUNCTION public.kyc_case_begins_as_a_draft();

CREATE TRIGGER kyc_case_moves_on BEFORE UPDATE ON public.kyc_case FOR EACH ROW EXECUTE FUNCTION public.kyc_case_moves_on();

CREATE TRIGGER kyc_evidence_is_of_a_draft BEFORE INSERT OR UPDATE ON public.kyc_evidence FOR EACH ROW EXECUTE FUNCTION public.kyc_evidence_is_of_a_draft();

CREATE TRIGGER play_limit_grows_by_waiting BEFORE INSERT OR UPDATE ON public.play_limit FOR EACH ROW EXECUTE FUNCTION public.play_limit_grows_by_waiting();

CREATE TRIGGER play_policy_moves_on BEFORE UPDATE ON public.play_policy FOR EACH ROW EXECUTE FUNCTION public.play_policy_moves_on();

CREATE TRIGGER users_change_is_counted BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.users_change_is_counted();

CREATE CONSTRAINT TRIGGER users_change_is_told AFTER INSERT OR UPDATE OF version ON public.users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.users_change_is_told();

CREATE TRIGGER users_past_is_kept AFTER UPDATE ON public.users FOR EACH ROW WHEN ((new.version > old.version)) EXECUTE FUNCTION public.users_past_is_kept();

CREATE TRIGGER users_proof_is_counted BEFORE UPDATE ON public.users FOR EACH ROW EXECUTE FUNCTION public.users_proof_is_counted();

CREATE TRIGGER users_second_factor_is_not_taken_back BEFORE UPDATE OF totp_generation ON public.users FOR EACH ROW WHEN ((new.totp_generation < old.totp_generation)) EXECUTE FUNCTION public.users_second_factor_is_not_taken_back();

CREATE TRIGGER users_staff_takes_four_eyes BEFORE INSERT OR UPDATE OF role ON public.users FOR EACH ROW EXECUTE FUNCTION public.users_staff_takes_four_eyes();

CREATE TRIGGER verification_is_used_once BEFORE UPDATE ON public.verification FOR EACH ROW EXECUTE FUNCTION public.verification_is_used_once();

ALTER TABLE ONLY public.approval
    ADD CONSTRAINT approval_decided_by_fkey FOREIGN KEY (decided_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.approval
    ADD CONSTRAINT approval_requested_by_fkey FOREIGN KEY (requested_by) REFERENCES public.users(id);

ALTER TABLE ONLY public.approval_use
    ADD CONSTRAINT approval_use_approval_fkey FOREIGN KEY (approval) REFERENCES public.approval(id);

ALTER TABLE ONLY public.device
    ADD CONSTRAINT device_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.holder_document
    ADD CONSTRAINT holder_document_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.kyc_case
    ADD CONSTRAINT kyc_case_approval_fkey FOREIGN KEY (approval) REFERENCES public.approval(id);

ALTER TABLE ONLY public.kyc_case
    ADD CONSTRAINT kyc_case_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.kyc_evidence
    ADD CONSTRAINT kyc_evidence_case_id_fkey FOREIGN KEY (case_id) REFERENCES public.kyc_case(id);

ALTER TABLE ONLY public.outbound_message
    ADD CONSTRAINT outbound_message_verification_id_fkey FOREIGN KEY (verification_id) REFERENCES public.verification(id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.play_limit
    ADD CONSTRAINT play_limit_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.play_policy(user_id);

ALTER TABLE ONLY public.play_policy
    ADD CONSTRAINT play_policy_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.user_history
    ADD CONSTRAINT user_history_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_approval_fkey FOREIGN KEY (approval) REFERENCES public.approval(id);

ALTER TABLE ONLY public.verification
    ADD CONSTRAINT verification_user_id_fkey FOREIGN KEY (user_id) REFERENCES public.users(id);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO identity_owner;
GRANT USAGE ON SCHEMA public TO identity_app;
GRANT USAGE ON SCHEMA public TO identity_relay;
GRANT USAGE ON SCHEMA public TO identity_operator;

REVOKE ALL ON FUNCTION public.approval_begins_as_a_question() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.approval_takes_effect_at_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.idempotency_answers_once() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.kyc_case_begins_as_a_draft() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.users_proof_is_counted() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.users_second_factor_is_not_taken_back() FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE public.approval TO identity_app;

GRANT UPDATE(state) ON TABLE public.approval TO identity_app;

GRANT UPDATE(decided_by) ON TABLE public.approval TO identity_app;

GRANT UPDATE(decided_at) ON TABLE public.approval TO identity_app;

GRANT SELECT,INSERT ON TABLE public.device TO identity_app;

GRANT UPDATE(revoked_at) ON TABLE public.device TO identity_app;

GRANT SELECT,INSERT ON TABLE public.holder_document TO identity_app;
GRANT SELECT,INSERT ON TABLE public.holder_document TO identity_operator;

GRANT SELECT,INSERT ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(status) ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(body) ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(resource) ON TABLE public.idempotency TO identity_app;

GRANT SELECT,INSERT ON TABLE public.kyc_case TO identity_app;

GRANT UPDATE(state) ON TABLE public.kyc_case TO identity_app;

GRANT UPDATE(version) ON TABLE public.kyc_case TO identity_app;

GRANT UPDATE(submitted_at) ON TABLE public.kyc_case TO identity_app;

GRANT UPDATE(decided_at) ON TABLE public.kyc_case TO identity_app;

GRANT UPDATE(approval) ON TABLE public.kyc_case TO identity_app;

GRANT SELECT,INSERT ON TABLE public.kyc_evidence TO identity_app;

GRANT UPDATE(media_type) ON TABLE public.kyc_evidence TO identity_app;

GRANT UPDATE(content) ON TABLE public.kyc_evidence TO identity_app;

GRANT UPDATE(sha256) ON TABLE public.kyc_evidence TO identity_app;

GRANT UPDATE(added_at) ON TABLE public.kyc_evidence TO identity_app;

GRANT SELECT,INSERT ON TABLE public.outbound_message TO identity_app;

GRANT UPDATE(retry_at) ON TABLE public.outbound_message TO identity_app;

GRANT UPDATE(attempts) ON TABLE public.outbound_message TO identity_app;

GRANT UPDATE(sent_at) ON TABLE public.outbound_message TO identity_app;

GRANT UPDATE(given_up_at) ON TABLE public.outbound_message TO identity_app;

GRANT INSERT ON TABLE public.outbox TO identity_app;
GRANT SELECT,DELETE ON TABLE public.outbox TO identity_relay;
GRANT INSERT ON TABLE public.outbox TO identity_operator;

GRANT SELECT ON TABLE public.outbox_sent TO identity_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO identity_relay;

GRANT SELECT ON TABLE public.outbox_shard TO identity_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO identity_relay;

GRANT SELECT,INSERT ON TABLE public.play_limit TO identity_app;

GRANT UPDATE(amount) ON TABLE public.play_limit TO identity_app;

GRANT UPDATE(pending) ON TABLE public.play_limit TO identity_app;

GRANT UPDATE(pending_from) ON TABLE public.play_limit TO identity_app;

GRANT UPDATE(set_at) ON TABLE public.play_limit TO identity_app;

GRANT SELECT,INSERT ON TABLE public.play_policy TO identity_app;

GRANT UPDATE(version) ON TABLE public.play_policy TO identity_app;

GRANT UPDATE(acknowledged) ON TABLE public.play_policy TO identity_app;

GRANT UPDATE(blocked_until) ON TABLE public.play_policy TO identity_app;

GRANT UPDATE(changed_at) ON TABLE public.play_policy TO identity_app;

GRANT UPDATE(push_at) ON TABLE public.play_policy TO identity_app;

GRANT SELECT ON TABLE public.schema_migrations TO identity_app;
GRANT SELECT ON TABLE public.schema_migrations TO identity_relay;

GRANT SELECT ON TABLE public.user_history TO identity_app;

GRANT SELECT,INSERT ON TABLE public.users TO identity_app;
GRANT SELECT,INSERT ON TABLE public.users TO identity_operator;

GRANT UPDATE(email) ON TABLE public.users TO identity_app;

GRANT UPDATE(full_name) ON TABLE public.users TO identity_app;

GRANT UPDATE(role) ON TABLE public.users TO identity_app;

GRANT UPDATE(password_hash) ON TABLE public.users TO identity_app;

GRANT UPDATE(version) ON TABLE public.users TO identity_app;

GRANT UPDATE(email_verified_at) ON TABLE public.users TO identity_app;

GRANT UPDATE(password_changed_at) ON TABLE public.users TO identity_app;

GRANT UPDATE(closed_at) ON TABLE public.users TO identity_app;

GRANT UPDATE(totp_generation) ON TABLE public.users TO identity_app;

GRANT UPDATE(totp_last_step) ON TABLE public.users TO identity_app;

GRANT UPDATE(approval) ON TABLE public.users TO identity_app;

GRANT SELECT,INSERT ON TABLE public.verification TO identity_app;

GRANT UPDATE(attempts) ON TABLE public.verification TO identity_app;

GRANT UPDATE(used_at) ON TABLE public.verification TO identity_app;
