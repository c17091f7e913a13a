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

CREATE TABLE public.outbox (
    shard smallint NOT NULL,
    id bigint NOT NULL,
    event_id uuid NOT NULL,
    exchange text NOT NULL,
    routing_key text NOT NULL,
    aggregate text NOT NULL,
    version bigint NOT NULL,
    body jsonb NOT NULL,
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

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.users (
    id uuid NOT NULL,
    email text NOT NULL,
    full_name text NOT NULL,
    curp text NOT NULL,
    birth_date date NOT NULL,
    role text NOT NULL,
    password_hash text NOT NULL,
    registered_at timestamp with time zone NOT NULL,
    CONSTRAINT users_are_adults CHECK ((birth_date <= ((((registered_at AT TIME ZONE 'UTC'::text) - '06:00:00'::interval))::date - '18 years'::interval))),
    CONSTRAINT users_birth_date_is_the_curps CHECK (((substr(curp, 5, 6) = to_char((birth_date)::timestamp with time zone, 'YYMMDD'::text)) AND ((substr(curp, 17, 1) ~ '[0-9]'::text) = (birth_date < '2000-01-01'::date)))),
    CONSTRAINT users_curp_has_its_form CHECK ((curp ~ '^[A-Z]{4}[0-9]{6}[HM][A-Z]{5}[0-9A-Z][0-9]$'::text)),
    CONSTRAINT users_email_is_bounded CHECK ((length(email) <= 254)),
    CONSTRAINT users_email_is_canonical CHECK (((email ~ '^[!-~]+@[!-~]+$'::text) AND (email = lower(email)))),
    CONSTRAINT users_full_name_is_bounded CHECK (((length(full_name) >= 2) AND (length(full_name) <= 120))),
    CONSTRAINT users_password_is_argon2id CHECK ((password_hash ~~ '$argon2id$%'::text)),
    CONSTRAINT users_role_is_known CHECK ((role = ANY (ARRAY['bettor'::text, 'official'::text, 'cashier'::text, 'auditor'::text, 'admin'::text])))
);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (principal, key);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_curp_is_unique UNIQUE (curp);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_is_unique UNIQUE (email);

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO identity_owner;
GRANT USAGE ON SCHEMA public TO identity_app;
GRANT USAGE ON SCHEMA public TO identity_relay;

GRANT SELECT,INSERT ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(status) ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(body) ON TABLE public.idempotency TO identity_app;

GRANT UPDATE(resource) ON TABLE public.idempotency TO identity_app;

GRANT INSERT ON TABLE public.outbox TO identity_app;
GRANT SELECT,DELETE ON TABLE public.outbox TO identity_relay;

GRANT SELECT ON TABLE public.outbox_sent TO identity_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO identity_relay;

GRANT SELECT ON TABLE public.outbox_shard TO identity_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO identity_relay;

GRANT SELECT ON TABLE public.schema_migrations TO identity_app;
GRANT SELECT ON TABLE public.schema_migrations TO identity_relay;

GRANT SELECT,INSERT ON TABLE public.users TO identity_app;

GRANT UPDATE(password_hash) ON TABLE public.users TO identity_app;
