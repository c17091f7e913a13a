\restrict dbmate

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: public; Type: SCHEMA; Schema: -; Owner: -
--

-- *not* creating schema, since initdb creates it


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: idempotency; Type: TABLE; Schema: public; Owner: -
--

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


--
-- Name: outbox; Type: TABLE; Schema: public; Owner: -
--

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


--
-- Name: outbox_id_seq; Type: SEQUENCE; Schema: public; Owner: -
--

ALTER TABLE public.outbox ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME public.outbox_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: outbox_shard; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.outbox_shard (
    shard smallint NOT NULL,
    claim smallint DEFAULT 0 NOT NULL,
    CONSTRAINT outbox_shard_in_range CHECK (((shard >= 0) AND (shard <= 15)))
);


--
-- Name: schema_migrations; Type: TABLE; Schema: public; Owner: -
--

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);


--
-- Name: users; Type: TABLE; Schema: public; Owner: -
--

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


--
-- Name: idempotency idempotency_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_pkey PRIMARY KEY (principal, key);


--
-- Name: outbox outbox_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);


--
-- Name: outbox_shard outbox_shard_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);


--
-- Name: schema_migrations schema_migrations_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);


--
-- Name: users users_curp_is_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_curp_is_unique UNIQUE (curp);


--
-- Name: users users_email_is_unique; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_is_unique UNIQUE (email);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: -
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- PostgreSQL database dump complete
--

\unrestrict dbmate


--
-- Dbmate schema migrations
--

INSERT INTO public.schema_migrations (version) VALUES
    ('20261121000100'),
    ('20261121000200'),
    ('20261121000300'),
    ('20261121000400');
