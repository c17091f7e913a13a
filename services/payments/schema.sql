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

CREATE FUNCTION public.refuse_rewriting() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME
        USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = TG_TABLE_NAME || '_is_append_only';
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

CREATE SEQUENCE public.clabe_serial
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    MAXVALUE 9999999
    CACHE 1;

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
    CONSTRAINT deposit_end_has_a_reason CHECK (((state = ANY (ARRAY['REJECTED'::text, 'QUARANTINED'::text])) <= (reason IS NOT NULL))),
    CONSTRAINT deposit_institution_has_its_form CHECK ((institution ~ '^[0-9]{5}$'::text)),
    CONSTRAINT deposit_is_backed_by_a_receipt CHECK (((state = ANY (ARRAY['ATTESTED'::text, 'BOOKED'::text])) <= (receipt_id IS NOT NULL))),
    CONSTRAINT deposit_is_booked_by_an_entry CHECK (((state = 'BOOKED'::text) = (entry_id IS NOT NULL))),
    CONSTRAINT deposit_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT deposit_state_is_known CHECK ((state = ANY (ARRAY['CLAIMED'::text, 'VERIFYING'::text, 'NOT_FOUND_YET'::text, 'ATTESTED'::text, 'BOOKED'::text, 'REJECTED'::text, 'QUARANTINED'::text]))),
    CONSTRAINT deposit_tracking_key_is_canonical CHECK ((tracking_key = ((((to_char((operation_date)::timestamp with time zone, 'YYYYMMDD'::text) || ':'::text) || institution) || ':'::text) || upper((clave)::text))))
);

CREATE TABLE public.deposit_step (
    before text NOT NULL,
    after text NOT NULL,
    actor name NOT NULL
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
    CONSTRAINT history_subject_is_known CHECK ((subject = ANY (ARRAY['deposit'::text, 'withdrawal'::text])))
);

ALTER TABLE public.history ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
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

CREATE TABLE public.player_clabe (
    player uuid NOT NULL,
    clabe public.clabe NOT NULL,
    issued_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
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
    CONSTRAINT withdrawal_end_has_a_reason CHECK (((state = ANY (ARRAY['REFUSED'::text, 'REJECTED'::text, 'RELEASED'::text])) = (reason IS NOT NULL))),
    CONSTRAINT withdrawal_is_in_pesos CHECK ((currency = 'MXN'::text)),
    CONSTRAINT withdrawal_is_sent_under_a_clave CHECK (((state = ANY (ARRAY['REQUESTED'::text, 'REFUSED'::text, 'RESERVED'::text])) = (clave IS NULL))),
    CONSTRAINT withdrawal_name_is_bounded CHECK (((length(beneficiary_name) >= 1) AND (length(beneficiary_name) <= 120))),
    CONSTRAINT withdrawal_sends_are_counted CHECK (((sends >= 0) AND (sends <= 3))),
    CONSTRAINT withdrawal_sends_have_a_time CHECK ((((clave IS NULL) = (sent_at IS NULL)) AND ((clave IS NULL) = (sends = 0)))),
    CONSTRAINT withdrawal_state_is_known CHECK ((state = ANY (ARRAY['REQUESTED'::text, 'REFUSED'::text, 'RESERVED'::text, 'SENDING'::text, 'SEND_UNKNOWN'::text, 'SENT'::text, 'LIQUIDATED'::text, 'REJECTED'::text, 'BOOKED'::text, 'RELEASED'::text])))
);

CREATE TABLE public.withdrawal_step (
    before text NOT NULL,
    after text NOT NULL
);

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

ALTER TABLE ONLY public.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (id);

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

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_belongs_to_its_player UNIQUE (clabe, player);

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_is_unique UNIQUE (clabe);

ALTER TABLE ONLY public.player_clabe
    ADD CONSTRAINT player_clabe_pkey PRIMARY KEY (player);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.withdrawal
    ADD CONSTRAINT withdrawal_clave_is_unique UNIQUE (clave);

ALTER TABLE ONLY public.withdrawal
    ADD CONSTRAINT withdrawal_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.withdrawal_step
    ADD CONSTRAINT withdrawal_step_pkey PRIMARY KEY (before, after);

CREATE INDEX deposit_by_player ON public.deposit USING btree (player, claimed_at DESC, id DESC);

CREATE INDEX deposit_due ON public.deposit USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE UNIQUE INDEX deposit_is_claimed_once ON public.deposit USING btree (player, tracking_key) WHERE (state <> 'REJECTED'::text);

CREATE UNIQUE INDEX deposit_transfer_is_credited_once ON public.deposit USING btree (tracking_key) WHERE (state = ANY (ARRAY['ATTESTED'::text, 'BOOKED'::text]));

CREATE INDEX history_by_subject ON public.history USING btree (subject_id, id);

CREATE INDEX withdrawal_by_player ON public.withdrawal USING btree (player, requested_at DESC, id DESC);

CREATE INDEX withdrawal_due ON public.withdrawal USING btree (due_at) WHERE (due_at IS NOT NULL);

CREATE TRIGGER attestation_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.attestation FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER deposit_follows_its_states BEFORE INSERT OR UPDATE ON public.deposit FOR EACH ROW EXECUTE FUNCTION public.deposit_takes_a_step();

CREATE TRIGGER history_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.history FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER payout_clabe_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.payout_clabe FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER player_clabe_is_append_only BEFORE DELETE OR UPDATE OR TRUNCATE ON public.player_clabe FOR EACH STATEMENT EXECUTE FUNCTION public.refuse_rewriting();

CREATE TRIGGER withdrawal_follows_its_states BEFORE INSERT OR UPDATE ON public.withdrawal FOR EACH ROW EXECUTE FUNCTION public.withdrawal_takes_a_step();

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_clabe_is_the_players FOREIGN KEY (beneficiary_clabe, player) REFERENCES public.player_clabe(clabe, player);

ALTER TABLE ONLY public.attestation
    ADD CONSTRAINT attestation_is_for_the_claim FOREIGN KEY (deposit_id, player, tracking_key, amount, currency) REFERENCES public.deposit(id, player, tracking_key, amount, currency);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_player_fkey FOREIGN KEY (player) REFERENCES public.player_clabe(player);

ALTER TABLE ONLY public.deposit
    ADD CONSTRAINT deposit_receipt_is_its_own FOREIGN KEY (receipt_id, id) REFERENCES public.attestation(receipt_id, deposit_id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.payout_clabe
    ADD CONSTRAINT payout_clabe_has_deposited FOREIGN KEY (deposit_id, player, clabe) REFERENCES public.attestation(deposit_id, player, ordering_account);

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

REVOKE ALL ON FUNCTION public.deposit_takes_a_step() FROM PUBLIC;
GRANT ALL ON FUNCTION public.deposit_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.deposit_takes_a_step() TO payments_attestor;

REVOKE ALL ON FUNCTION public.refuse_rewriting() FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse_rewriting() TO payments_app;
GRANT ALL ON FUNCTION public.refuse_rewriting() TO payments_attestor;

REVOKE ALL ON FUNCTION public.withdrawal_takes_a_step() FROM PUBLIC;
GRANT ALL ON FUNCTION public.withdrawal_takes_a_step() TO payments_app;
GRANT ALL ON FUNCTION public.withdrawal_takes_a_step() TO payments_attestor;

GRANT SELECT ON TABLE public.attestation TO payments_app;
GRANT SELECT,INSERT ON TABLE public.attestation TO payments_attestor;

GRANT USAGE ON SEQUENCE public.clabe_serial TO payments_app;

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

GRANT SELECT ON TABLE public.deposit_step TO payments_app;
GRANT SELECT ON TABLE public.deposit_step TO payments_attestor;

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

GRANT SELECT ON TABLE public.player_clabe TO payments_app;
GRANT SELECT ON TABLE public.player_clabe TO payments_attestor;

GRANT INSERT(player) ON TABLE public.player_clabe TO payments_app;

GRANT INSERT(clabe) ON TABLE public.player_clabe TO payments_app;

GRANT SELECT ON TABLE public.schema_migrations TO payments_app;
GRANT SELECT ON TABLE public.schema_migrations TO payments_attestor;
GRANT SELECT ON TABLE public.schema_migrations TO payments_relay;

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

GRANT SELECT ON TABLE public.withdrawal_step TO payments_app;
