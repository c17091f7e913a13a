CREATE DOMAIN public.amount AS numeric
	CONSTRAINT amount_is_exact CHECK ((scale(VALUE) <= 2))
	CONSTRAINT amount_is_finite_and_not_negative CHECK (((VALUE >= (0)::numeric) AND (VALUE < '1000000000000000'::numeric)));

CREATE FUNCTION public.declaration_is_impartial() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('declaration_is_impartial', format('official %s has bet in the event', NEW.official_id))
       FROM race judged
       JOIN race other ON other.event_id = judged.event_id
       JOIN market m ON m.race_id = other.id
       JOIN offer o ON o.market_id = m.id AND o.user_id = NEW.official_id
      WHERE judged.id = NEW.race_id LIMIT 1;
    RETURN NEW;
END $$;

CREATE FUNCTION public.fill_in_open_market() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('fill_in_open_market', format('market %s is %s', m.id, m.status))
       FROM market m WHERE m.id IN (SELECT market_id FROM added) AND m.status <> 'OPEN';
    RETURN NULL;
END $$;

CREATE FUNCTION public.market_moves_forward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF NOT (NEW.status = 'SUSPENDED' AND NEW.defect IS NOT NULL)
       AND (OLD.status, NEW.status) NOT IN (
            ('OPEN', 'CLOSED'), ('CLOSED', 'SETTLING'), ('CLOSED', 'SETTLED'), ('CLOSED', 'VOID'),
            ('SETTLING', 'SETTLED'), ('SETTLING', 'VOID')) THEN
        PERFORM refuse('market_moves_forward', format('market %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.version <> OLD.version + 1 THEN
        PERFORM refuse('market_move_is_a_version', format('market %s keeps version %s', OLD.id, OLD.version));
    END IF;
    IF NEW.status IN ('SETTLED', 'VOID')
       AND NOT EXISTS (SELECT FROM settlement s WHERE s.market_id = NEW.id AND s.booked_at IS NOT NULL) THEN
        PERFORM refuse('market_ends_booked', format('market %s has no booked settlement', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.offer_has_ended() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_has_ended', format('offer %s is %s', OLD.id, OLD.status));
    RETURN NULL;
END $$;

CREATE FUNCTION public.offer_keeps_its_place() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('offer_keeps_its_place', format('offer %s is number %s', OLD.id, OLD.sequence));
    RETURN NULL;
END $$;

CREATE FUNCTION public.race_moves_forward() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    IF (OLD.status, NEW.status) NOT IN (
            ('SCHEDULED', 'AT_GATE'), ('AT_GATE', 'DECLARED'), ('DECLARED', 'FINAL'), ('DECLARED', 'DISPUTED'),
            ('SCHEDULED', 'NO_CORRE'), ('AT_GATE', 'NO_CORRE'), ('DECLARED', 'NO_CORRE'), ('DISPUTED', 'NO_CORRE')) THEN
        PERFORM refuse('race_moves_forward', format('race %s from %s to %s', OLD.id, OLD.status, NEW.status));
    END IF;
    IF NEW.status IN ('FINAL', 'DISPUTED')
       AND (SELECT count(*) FROM declaration d WHERE d.race_id = NEW.id) <> 2 THEN
        PERFORM refuse('race_has_two_declarations', format('race %s has not been declared twice', OLD.id));
    END IF;
    IF NEW.status = 'FINAL' AND (SELECT count(DISTINCT (winner, margin, off_time, photo_sha256))
                                   FROM declaration d WHERE d.race_id = NEW.id) <> 1 THEN
        PERFORM refuse('race_declarations_agree', format('the declarations of race %s differ', OLD.id));
    END IF;
    RETURN NEW;
END $$;

CREATE FUNCTION public.refuse(rule text, message text) RETURNS void
    LANGUAGE plpgsql
    AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', CONSTRAINT = rule, MESSAGE = message;
END $$;

CREATE FUNCTION public.settlement_books_every_chunk() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('settlement_books_every_chunk', format('chunk %s of market %s is not booked', c.chunk, c.market_id))
       FROM settlement_chunk c
      WHERE c.market_id = NEW.market_id AND c.version = NEW.version AND c.booked_at IS NULL LIMIT 1;
    RETURN NEW;
END $$;

CREATE FUNCTION public.settlement_is_exact() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
BEGIN
    PERFORM refuse('settlement_shares_are_right', format('market %s owes bettor %s another share', NEW.market_id, user_id))
       FROM (SELECT due.user_id, due.staked, due.won - due.commission AS payout, due.commission
               FROM (SELECT p.user_id, p.staked, w.won,
                            CASE WHEN NEW.outcome IN ('A', 'B')
                                 THEN floor(m.commission_bps * greatest(0, w.won - p.staked) * 100 / 10000) / 100
                                 ELSE 0 END AS commission
                       FROM market_position p
                       JOIN market m ON m.id = p.market_id
                       CROSS JOIN LATERAL (SELECT CASE NEW.outcome WHEN 'A' THEN p.pot_a
                                                                   WHEN 'B' THEN p.pot_b
                                                                   ELSE p.staked END AS won) w
                      WHERE p.market_id = NEW.market_id) due) expected
       FULL JOIN (SELECT user_id, staked, payout, commission FROM settlement_share
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (user_id, staked, payout, commission)
      WHERE expected IS NULL OR written IS NULL LIMIT 1;

    PERFORM refuse('settlement_chunks_are_right', format('a chunk of market %s is not the sum of its shares', NEW.market_id))
       FROM (SELECT chunk, sum(payout + commission) AS total FROM settlement_share
              WHERE market_id = NEW.market_id AND version = NEW.version AND chunk IS NOT NULL GROUP BY chunk) shared
       FULL JOIN (SELECT chunk, total::numeric FROM settlement_chunk
                   WHERE market_id = NEW.market_id AND version = NEW.version) written
            USING (chunk, total)
      WHERE shared IS NULL OR written IS NULL LIMIT 1;

    IF NEW.booked_at IS NOT NULL AND NEW.chunks > 0 THEN
        PERFORM refuse('settlement_books_every_chunk', format('no chunk of market %s can be booked yet', NEW.market_id));
    END IF;

    PERFORM refuse('settlement_pays_the_escrow', format('market %s does not pay out its escrow', NEW.market_id))
       FROM market m
      WHERE m.id = NEW.market_id
        AND (NEW.total <> m.escrow
             OR NEW.total <> (SELECT coalesce(sum(pot), 0) FROM fill f WHERE f.market_id = m.id)
             OR NOT EXISTS (SELECT FROM settlement_chunk c
                             WHERE c.market_id = NEW.market_id AND c.version = NEW.version
                            HAVING count(*) = NEW.chunks AND coalesce(sum(c.total), 0) = NEW.total));
    RETURN NULL;
END $$;

CREATE TABLE public.declaration (
    race_id uuid NOT NULL,
    official_id uuid NOT NULL,
    ordinal smallint NOT NULL,
    winner uuid,
    margin text,
    off_time timestamp with time zone NOT NULL,
    photo_sha256 bytea NOT NULL,
    declared_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT declaration_dead_heat_has_no_margin CHECK (((winner IS NULL) = (margin IS NULL))),
    CONSTRAINT declaration_margin_is_known CHECK ((margin = ANY (ARRAY['media cabeza'::text, 'cabeza'::text, 'pescuezo'::text, 'paleta'::text, 'faja'::text, 'ijar'::text, 'pico a rabo'::text, 'blanco'::text]))),
    CONSTRAINT declaration_ordinal_in_pair CHECK ((ordinal = ANY (ARRAY[1, 2]))),
    CONSTRAINT declaration_photo_is_sha256 CHECK ((octet_length(photo_sha256) = 32))
);

CREATE TABLE public.event (
    id uuid NOT NULL,
    name text NOT NULL,
    venue text NOT NULL,
    permit text NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    status text DEFAULT 'DRAFT'::text NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT event_name_is_bounded CHECK (((length(name) >= 1) AND (length(name) <= 200))),
    CONSTRAINT event_permit_is_bounded CHECK (((length(permit) >= 1) AND (length(permit) <= 100))),
    CONSTRAINT event_status_is_known CHECK ((status = ANY (ARRAY['DRAFT'::text, 'PUBLISHED'::text]))),
    CONSTRAINT event_venue_is_bounded CHECK (((length(venue) >= 1) AND (length(venue) <= 200)))
);

CREATE TABLE public.fill (
    id uuid NOT NULL,
    market_id uuid NOT NULL,
    sequence bigint NOT NULL,
    maker_offer uuid NOT NULL,
    maker_user uuid NOT NULL,
    maker_side text NOT NULL,
    maker_stake public.amount NOT NULL,
    taker_offer uuid NOT NULL,
    taker_user uuid NOT NULL,
    taker_side text NOT NULL,
    taker_stake public.amount NOT NULL,
    taker_risk smallint NOT NULL,
    taker_win smallint NOT NULL,
    risk smallint NOT NULL,
    win smallint NOT NULL,
    lots bigint NOT NULL,
    pot public.amount NOT NULL,
    matched_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT fill_bettors_differ CHECK ((maker_user <> taker_user)),
    CONSTRAINT fill_has_lots CHECK ((lots > 0)),
    CONSTRAINT fill_is_whole_lots CHECK (((((maker_stake)::numeric * (100)::numeric) = ((risk * lots))::numeric) AND (((taker_stake)::numeric * (100)::numeric) = ((win * lots))::numeric))),
    CONSTRAINT fill_pot_is_both_stakes CHECK (((pot)::numeric = ((maker_stake)::numeric + (taker_stake)::numeric))),
    CONSTRAINT fill_ratios_cross CHECK (((taker_risk * risk) >= (taker_win * win))),
    CONSTRAINT fill_sides_are_opposite CHECK ((maker_side <> taker_side))
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

CREATE TABLE public.inbox (
    consumer text NOT NULL,
    event_id uuid NOT NULL,
    received_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE public.market (
    id uuid NOT NULL,
    race_id uuid NOT NULL,
    kind text NOT NULL,
    runner_a uuid NOT NULL,
    runner_b uuid NOT NULL,
    currency text NOT NULL,
    commission_bps smallint NOT NULL,
    tie_rule text NOT NULL,
    min_stake public.amount NOT NULL,
    max_stake public.amount NOT NULL,
    terms_hash bytea NOT NULL,
    status text DEFAULT 'OPEN'::text NOT NULL,
    version integer DEFAULT 1 NOT NULL,
    sequence bigint DEFAULT 0 NOT NULL,
    escrow public.amount DEFAULT 0 NOT NULL,
    defect text,
    opened_by uuid NOT NULL,
    opened_at timestamp with time zone DEFAULT now() NOT NULL,
    closed_at timestamp with time zone,
    CONSTRAINT market_commission_in_range CHECK (((commission_bps >= 0) AND (commission_bps <= 2000))),
    CONSTRAINT market_currency_has_two_decimals CHECK ((currency = 'MXN'::text)),
    CONSTRAINT market_defect_suspends CHECK (((defect IS NULL) OR (status = 'SUSPENDED'::text))),
    CONSTRAINT market_kind_is_known CHECK ((kind = 'GANA'::text)),
    CONSTRAINT market_open_has_not_closed CHECK (((status <> 'OPEN'::text) OR (closed_at IS NULL))),
    CONSTRAINT market_rest_holds_a_lot CHECK ((((min_stake)::numeric >= 0.20) AND ((max_stake)::numeric >= (min_stake)::numeric))),
    CONSTRAINT market_runners_differ CHECK ((runner_a <> runner_b)),
    CONSTRAINT market_status_is_known CHECK ((status = ANY (ARRAY['OPEN'::text, 'SUSPENDED'::text, 'CLOSED'::text, 'SETTLING'::text, 'SETTLED'::text, 'VOID'::text]))),
    CONSTRAINT market_terms_hash_is_sha256 CHECK ((octet_length(terms_hash) = 32)),
    CONSTRAINT market_tie_rule_is_known CHECK ((tie_rule = 'PUSH'::text)),
    CONSTRAINT market_version_is_positive CHECK ((version >= 1))
)
WITH (fillfactor='50');

CREATE VIEW public.market_position AS
 SELECT bet.market_id,
    bet.user_id,
    sum((bet.stake)::numeric) AS staked,
    COALESCE(sum((bet.stake)::numeric) FILTER (WHERE (bet.side = 'A'::text)), (0)::numeric) AS stake_a,
    COALESCE(sum((bet.stake)::numeric) FILTER (WHERE (bet.side = 'B'::text)), (0)::numeric) AS stake_b,
    COALESCE(sum((bet.pot)::numeric) FILTER (WHERE (bet.side = 'A'::text)), (0)::numeric) AS pot_a,
    COALESCE(sum((bet.pot)::numeric) FILTER (WHERE (bet.side = 'B'::text)), (0)::numeric) AS pot_b
   FROM ( SELECT fill.market_id,
            fill.maker_user AS user_id,
            fill.maker_side AS side,
            fill.maker_stake AS stake,
            fill.pot
           FROM public.fill
        UNION ALL
         SELECT fill.market_id,
            fill.taker_user,
            fill.taker_side,
            fill.taker_stake,
            fill.pot
           FROM public.fill) bet
  GROUP BY bet.market_id, bet.user_id;

CREATE TABLE public.offer (
    id uuid NOT NULL,
    market_id uuid NOT NULL,
    market_version integer NOT NULL,
    user_id uuid NOT NULL,
    idempotency_key text NOT NULL,
    side text NOT NULL,
    risk smallint NOT NULL,
    win smallint NOT NULL,
    rank smallint NOT NULL,
    stake public.amount NOT NULL,
    matched public.amount DEFAULT 0 NOT NULL,
    remaining public.amount NOT NULL,
    released public.amount DEFAULT 0 NOT NULL,
    status text DEFAULT 'PENDING'::text NOT NULL,
    ending text,
    sequence bigint,
    attempts smallint DEFAULT 0 NOT NULL,
    next_attempt_at timestamp with time zone NOT NULL,
    placed_at timestamp with time zone DEFAULT now() NOT NULL,
    ended_at timestamp with time zone,
    CONSTRAINT offer_ending_is_known CHECK ((ending = ANY (ARRAY['DUST'::text, 'SELF_MATCH'::text, 'BY_OWNER'::text, 'MARKET_CLOSED'::text, 'MARKET_CHANGED'::text, 'RACE_SCRATCHED'::text, 'HOLD_REFUSED'::text]))),
    CONSTRAINT offer_ends_with_nothing_left CHECK ((((stake)::numeric > (0)::numeric) AND ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text])) = ((remaining)::numeric > (0)::numeric)) AND ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text])) = (ended_at IS NULL)) AND (((released)::numeric > (0)::numeric) = (ending IS NOT NULL)))),
    CONSTRAINT offer_key_is_bounded CHECK (((length(idempotency_key) >= 1) AND (length(idempotency_key) <= 255))),
    CONSTRAINT offer_ratio_on_ladder CHECK (((((((((((((((((((((((((((((((risk = 1) AND (win = 10) AND (rank = '-14'::integer)) OR ((risk = 1) AND (win = 5) AND (rank = '-13'::integer))) OR ((risk = 1) AND (win = 4) AND (rank = '-12'::integer))) OR ((risk = 1) AND (win = 3) AND (rank = '-11'::integer))) OR ((risk = 2) AND (win = 5) AND (rank = '-10'::integer))) OR ((risk = 1) AND (win = 2) AND (rank = '-9'::integer))) OR ((risk = 3) AND (win = 5) AND (rank = '-8'::integer))) OR ((risk = 2) AND (win = 3) AND (rank = '-7'::integer))) OR ((risk = 7) AND (win = 10) AND (rank = '-6'::integer))) OR ((risk = 3) AND (win = 4) AND (rank = '-5'::integer))) OR ((risk = 4) AND (win = 5) AND (rank = '-4'::integer))) OR ((risk = 17) AND (win = 20) AND (rank = '-3'::integer))) OR ((risk = 9) AND (win = 10) AND (rank = '-2'::integer))) OR ((risk = 19) AND (win = 20) AND (rank = '-1'::integer))) OR ((risk = 1) AND (win = 1) AND (rank = 0))) OR ((risk = 20) AND (win = 19) AND (rank = 1))) OR ((risk = 10) AND (win = 9) AND (rank = 2))) OR ((risk = 20) AND (win = 17) AND (rank = 3))) OR ((risk = 5) AND (win = 4) AND (rank = 4))) OR ((risk = 4) AND (win = 3) AND (rank = 5))) OR ((risk = 10) AND (win = 7) AND (rank = 6))) OR ((risk = 3) AND (win = 2) AND (rank = 7))) OR ((risk = 5) AND (win = 3) AND (rank = 8))) OR ((risk = 2) AND (win = 1) AND (rank = 9))) OR ((risk = 5) AND (win = 2) AND (rank = 10))) OR ((risk = 3) AND (win = 1) AND (rank = 11))) OR ((risk = 4) AND (win = 1) AND (rank = 12))) OR ((risk = 5) AND (win = 1) AND (rank = 13))) OR ((risk = 10) AND (win = 1) AND (rank = 14)))),
    CONSTRAINT offer_sequence_once_held CHECK (((sequence IS NULL) = (status = ANY (ARRAY['PENDING'::text, 'REJECTED'::text])))),
    CONSTRAINT offer_side_is_known CHECK ((side = ANY (ARRAY['A'::text, 'B'::text]))),
    CONSTRAINT offer_stake_is_accounted_for CHECK (((((matched)::numeric + (remaining)::numeric) + (released)::numeric) = (stake)::numeric)),
    CONSTRAINT offer_stake_is_whole_lots CHECK ((mod(((stake)::numeric * (100)::numeric), (risk)::numeric) = (0)::numeric)),
    CONSTRAINT offer_status_fits_amounts CHECK (
CASE status
    WHEN 'PENDING'::text THEN ((matched)::numeric = (0)::numeric)
    WHEN 'OPEN'::text THEN ((matched)::numeric = (0)::numeric)
    WHEN 'PARTIAL'::text THEN ((matched)::numeric > (0)::numeric)
    WHEN 'FILLED'::text THEN ((matched)::numeric > (0)::numeric)
    WHEN 'REJECTED'::text THEN ((matched)::numeric = (0)::numeric)
    ELSE ((released)::numeric > (0)::numeric)
END),
    CONSTRAINT offer_status_is_known CHECK ((status = ANY (ARRAY['PENDING'::text, 'OPEN'::text, 'PARTIAL'::text, 'FILLED'::text, 'CANCELLED'::text, 'LAPSED'::text, 'REJECTED'::text])))
)
WITH (fillfactor='70');

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

CREATE TABLE public.race (
    id uuid NOT NULL,
    event_id uuid NOT NULL,
    number smallint NOT NULL,
    distance_m smallint NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    status text DEFAULT 'SCHEDULED'::text NOT NULL,
    scratch_reason text,
    sequence bigint DEFAULT 0 NOT NULL,
    created_by uuid NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT race_distance_in_range CHECK (((distance_m >= 50) AND (distance_m <= 2000))),
    CONSTRAINT race_number_in_range CHECK (((number >= 1) AND (number <= 100))),
    CONSTRAINT race_scratch_has_reason CHECK (((status = 'NO_CORRE'::text) = (scratch_reason IS NOT NULL))),
    CONSTRAINT race_scratch_reason_is_bounded CHECK (((length(scratch_reason) >= 1) AND (length(scratch_reason) <= 500))),
    CONSTRAINT race_status_is_known CHECK ((status = ANY (ARRAY['SCHEDULED'::text, 'AT_GATE'::text, 'DECLARED'::text, 'DISPUTED'::text, 'FINAL'::text, 'NO_CORRE'::text])))
);

CREATE TABLE public.runner (
    id uuid NOT NULL,
    race_id uuid NOT NULL,
    "position" smallint NOT NULL,
    horse text NOT NULL,
    CONSTRAINT runner_horse_is_bounded CHECK (((length(horse) >= 1) AND (length(horse) <= 100))),
    CONSTRAINT runner_position_in_match_race CHECK (("position" = ANY (ARRAY[1, 2])))
);

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

CREATE TABLE public.settlement (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    outcome text NOT NULL,
    total public.amount NOT NULL,
    chunks integer NOT NULL,
    settled_at timestamp with time zone DEFAULT now() NOT NULL,
    booked_at timestamp with time zone,
    CONSTRAINT settlement_chunks_carry_total CHECK (((chunks = 0) = ((total)::numeric = (0)::numeric))),
    CONSTRAINT settlement_outcome_is_known CHECK ((outcome = ANY (ARRAY['A'::text, 'B'::text, 'PUSH'::text, 'VOID'::text]))),
    CONSTRAINT settlement_version_is_positive CHECK ((version >= 1))
);

CREATE TABLE public.settlement_chunk (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    chunk integer NOT NULL,
    total public.amount NOT NULL,
    entry_sequence bigint,
    booked_at timestamp with time zone,
    CONSTRAINT settlement_chunk_booked_by_entry CHECK (((entry_sequence IS NULL) = (booked_at IS NULL))),
    CONSTRAINT settlement_chunk_is_numbered CHECK ((chunk >= 1)),
    CONSTRAINT settlement_chunk_pays CHECK (((total)::numeric > (0)::numeric))
);

CREATE TABLE public.settlement_share (
    market_id uuid NOT NULL,
    version integer NOT NULL,
    user_id uuid NOT NULL,
    chunk integer,
    staked public.amount NOT NULL,
    payout public.amount NOT NULL,
    commission public.amount NOT NULL,
    CONSTRAINT settlement_share_commission_on_profit CHECK ((((commission)::numeric = (0)::numeric) OR ((payout)::numeric > (staked)::numeric))),
    CONSTRAINT settlement_share_is_in_a_chunk CHECK (((((payout)::numeric + (commission)::numeric) > (0)::numeric) = (chunk IS NOT NULL))),
    CONSTRAINT settlement_share_staked CHECK (((staked)::numeric > (0)::numeric))
);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_officials_differ PRIMARY KEY (race_id, official_id);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_ordinal_is_unique UNIQUE (race_id, ordinal);

ALTER TABLE ONLY public.event
    ADD CONSTRAINT event_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_meets_once UNIQUE (taker_offer, maker_offer);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_sequence_is_unique UNIQUE (market_id, sequence);

ALTER TABLE ONLY public.idempotency
    ADD CONSTRAINT idempotency_key_is_used_once PRIMARY KEY (principal, key);

ALTER TABLE ONLY public.inbox
    ADD CONSTRAINT inbox_pkey PRIMARY KEY (consumer, event_id);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_is_unique UNIQUE (race_id, kind);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_is_bound UNIQUE (id, market_id, user_id, side, risk, win);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_key_is_used_once UNIQUE (user_id, idempotency_key);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_sequence_is_unique UNIQUE (market_id, sequence);

ALTER TABLE ONLY public.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (shard, id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.outbox_shard
    ADD CONSTRAINT outbox_shard_pkey PRIMARY KEY (shard);

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_number_is_unique UNIQUE (event_id, number);

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_in_race UNIQUE (race_id, id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_pkey PRIMARY KEY (id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_position_is_unique UNIQUE (race_id, "position");

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

ALTER TABLE ONLY public.settlement_chunk
    ADD CONSTRAINT settlement_chunk_is_unique PRIMARY KEY (market_id, version, chunk);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_pkey PRIMARY KEY (market_id, version);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_is_unique PRIMARY KEY (market_id, version, user_id);

CREATE INDEX event_by_start ON public.event USING btree (starts_at, id);

CREATE INDEX fill_of_maker_offer ON public.fill USING btree (maker_offer);

CREATE INDEX fill_of_maker_user ON public.fill USING btree (maker_user, matched_at, id);

CREATE INDEX fill_of_taker_user ON public.fill USING btree (taker_user, matched_at, id);

CREATE INDEX market_awaiting_settlement ON public.market USING btree (race_id) WHERE (status = 'CLOSED'::text);

CREATE INDEX offer_book ON public.offer USING btree (market_id, side, rank DESC, sequence) INCLUDE (user_id, remaining) WHERE (status = ANY (ARRAY['OPEN'::text, 'PARTIAL'::text]));

CREATE INDEX offer_of_user ON public.offer USING btree (user_id, placed_at, id);

CREATE INDEX offer_to_finish ON public.offer USING btree (next_attempt_at) WHERE (status = 'PENDING'::text);

CREATE UNIQUE INDEX runner_horse_is_unique ON public.runner USING btree (race_id, lower(horse));

CREATE INDEX settlement_share_of_user ON public.settlement_share USING btree (user_id, market_id);

CREATE TRIGGER declaration_is_impartial BEFORE INSERT ON public.declaration FOR EACH ROW EXECUTE FUNCTION public.declaration_is_impartial();

CREATE TRIGGER fill_in_open_market AFTER INSERT ON public.fill REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION public.fill_in_open_market();

CREATE TRIGGER market_moves_forward BEFORE UPDATE OF status ON public.market FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.market_moves_forward();

CREATE TRIGGER offer_has_ended BEFORE UPDATE ON public.offer FOR EACH ROW WHEN ((old.status = ANY (ARRAY['FILLED'::text, 'CANCELLED'::text, 'LAPSED'::text, 'REJECTED'::text]))) EXECUTE FUNCTION public.offer_has_ended();

CREATE TRIGGER offer_keeps_its_place BEFORE UPDATE OF sequence ON public.offer FOR EACH ROW WHEN (((old.sequence IS DISTINCT FROM new.sequence) AND (old.sequence IS NOT NULL))) EXECUTE FUNCTION public.offer_keeps_its_place();

CREATE TRIGGER race_moves_forward BEFORE UPDATE OF status ON public.race FOR EACH ROW WHEN ((old.status IS DISTINCT FROM new.status)) EXECUTE FUNCTION public.race_moves_forward();

CREATE TRIGGER settlement_books_every_chunk BEFORE UPDATE OF booked_at ON public.settlement FOR EACH ROW EXECUTE FUNCTION public.settlement_books_every_chunk();

CREATE CONSTRAINT TRIGGER settlement_is_exact AFTER INSERT ON public.settlement DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION public.settlement_is_exact();

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.declaration
    ADD CONSTRAINT declaration_winner_ran FOREIGN KEY (race_id, winner) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_maker_is_bound FOREIGN KEY (maker_offer, market_id, maker_user, maker_side, risk, win) REFERENCES public.offer(id, market_id, user_id, side, risk, win);

ALTER TABLE ONLY public.fill
    ADD CONSTRAINT fill_taker_is_bound FOREIGN KEY (taker_offer, market_id, taker_user, taker_side, taker_risk, taker_win) REFERENCES public.offer(id, market_id, user_id, side, risk, win);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_runner_a_in_race FOREIGN KEY (race_id, runner_a) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.market
    ADD CONSTRAINT market_runner_b_in_race FOREIGN KEY (race_id, runner_b) REFERENCES public.runner(race_id, id);

ALTER TABLE ONLY public.offer
    ADD CONSTRAINT offer_market_id_fkey FOREIGN KEY (market_id) REFERENCES public.market(id);

ALTER TABLE ONLY public.outbox_sent
    ADD CONSTRAINT outbox_sent_is_of_a_shard FOREIGN KEY (shard) REFERENCES public.outbox_shard(shard);

ALTER TABLE ONLY public.race
    ADD CONSTRAINT race_event_id_fkey FOREIGN KEY (event_id) REFERENCES public.event(id);

ALTER TABLE ONLY public.runner
    ADD CONSTRAINT runner_race_id_fkey FOREIGN KEY (race_id) REFERENCES public.race(id);

ALTER TABLE ONLY public.settlement_chunk
    ADD CONSTRAINT settlement_chunk_has_header FOREIGN KEY (market_id, version) REFERENCES public.settlement(market_id, version);

ALTER TABLE ONLY public.settlement
    ADD CONSTRAINT settlement_market_id_fkey FOREIGN KEY (market_id) REFERENCES public.market(id);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_has_chunk FOREIGN KEY (market_id, version, chunk) REFERENCES public.settlement_chunk(market_id, version, chunk);

ALTER TABLE ONLY public.settlement_share
    ADD CONSTRAINT settlement_share_has_header FOREIGN KEY (market_id, version) REFERENCES public.settlement(market_id, version);

REVOKE USAGE ON SCHEMA public FROM PUBLIC;
GRANT ALL ON SCHEMA public TO betting_owner;
GRANT USAGE ON SCHEMA public TO betting_app;
GRANT USAGE ON SCHEMA public TO betting_relay;

REVOKE ALL ON FUNCTION public.declaration_is_impartial() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.fill_in_open_market() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.market_moves_forward() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_has_ended() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.offer_keeps_its_place() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.race_moves_forward() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.refuse(rule text, message text) FROM PUBLIC;
GRANT ALL ON FUNCTION public.refuse(rule text, message text) TO betting_app;

REVOKE ALL ON FUNCTION public.settlement_books_every_chunk() FROM PUBLIC;

REVOKE ALL ON FUNCTION public.settlement_is_exact() FROM PUBLIC;

GRANT SELECT,INSERT ON TABLE public.declaration TO betting_app;

GRANT SELECT,INSERT ON TABLE public.event TO betting_app;

GRANT UPDATE(status) ON TABLE public.event TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.event TO betting_app;

GRANT SELECT,INSERT ON TABLE public.fill TO betting_app;

GRANT SELECT,INSERT ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(status) ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(body) ON TABLE public.idempotency TO betting_app;

GRANT UPDATE(resource) ON TABLE public.idempotency TO betting_app;

GRANT SELECT,INSERT ON TABLE public.inbox TO betting_app;

GRANT SELECT,INSERT ON TABLE public.market TO betting_app;

GRANT UPDATE(status) ON TABLE public.market TO betting_app;

GRANT UPDATE(version) ON TABLE public.market TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.market TO betting_app;

GRANT UPDATE(escrow) ON TABLE public.market TO betting_app;

GRANT UPDATE(defect) ON TABLE public.market TO betting_app;

GRANT UPDATE(closed_at) ON TABLE public.market TO betting_app;

GRANT SELECT ON TABLE public.market_position TO betting_app;

GRANT SELECT,INSERT ON TABLE public.offer TO betting_app;

GRANT UPDATE(matched) ON TABLE public.offer TO betting_app;

GRANT UPDATE(remaining) ON TABLE public.offer TO betting_app;

GRANT UPDATE(released) ON TABLE public.offer TO betting_app;

GRANT UPDATE(status) ON TABLE public.offer TO betting_app;

GRANT UPDATE(ending) ON TABLE public.offer TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.offer TO betting_app;

GRANT UPDATE(attempts) ON TABLE public.offer TO betting_app;

GRANT UPDATE(next_attempt_at) ON TABLE public.offer TO betting_app;

GRANT UPDATE(ended_at) ON TABLE public.offer TO betting_app;

GRANT INSERT ON TABLE public.outbox TO betting_app;
GRANT SELECT,DELETE ON TABLE public.outbox TO betting_relay;

GRANT SELECT ON TABLE public.outbox_sent TO betting_relay;

GRANT UPDATE(until) ON TABLE public.outbox_sent TO betting_relay;

GRANT SELECT ON TABLE public.outbox_shard TO betting_relay;

GRANT UPDATE(claim) ON TABLE public.outbox_shard TO betting_relay;

GRANT SELECT,INSERT ON TABLE public.race TO betting_app;

GRANT UPDATE(status) ON TABLE public.race TO betting_app;

GRANT UPDATE(scratch_reason) ON TABLE public.race TO betting_app;

GRANT UPDATE(sequence) ON TABLE public.race TO betting_app;

GRANT SELECT,INSERT ON TABLE public.runner TO betting_app;

GRANT SELECT ON TABLE public.schema_migrations TO betting_app;
GRANT SELECT ON TABLE public.schema_migrations TO betting_relay;

GRANT SELECT,INSERT ON TABLE public.settlement TO betting_app;

GRANT UPDATE(booked_at) ON TABLE public.settlement TO betting_app;

GRANT SELECT,INSERT ON TABLE public.settlement_chunk TO betting_app;

GRANT UPDATE(entry_sequence) ON TABLE public.settlement_chunk TO betting_app;

GRANT UPDATE(booked_at) ON TABLE public.settlement_chunk TO betting_app;

GRANT SELECT,INSERT ON TABLE public.settlement_share TO betting_app;
