-- The archive, the ledger and what people write. What each table and column means: schema.sql.

CREATE TABLE sightline.imports (
    id text COLLATE "C" PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    files text[] NOT NULL,
    counts jsonb NOT NULL,
    repairs jsonb NOT NULL,
    unknown_columns text[] NOT NULL
);
CREATE INDEX imports_by_time ON sightline.imports (at DESC, id);

CREATE TABLE sightline.archive_order (
    kind text COLLATE "C" PRIMARY KEY,
    ids text[] NOT NULL
);

CREATE TABLE sightline.divisions (
    code text COLLATE "C" NOT NULL,
    name text NOT NULL,
    parent text,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (code, valid_from)
);
CREATE UNIQUE INDEX divisions_current ON sightline.divisions (code) WHERE valid_to IS NULL;

CREATE TABLE sightline.nodes (
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    name text NOT NULL,
    parent text,
    maintainer text NOT NULL,
    carrier text NOT NULL,
    contact text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX nodes_current ON sightline.nodes (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.devices (
    id text COLLATE "C" NOT NULL,
    host text NOT NULL,
    port integer NOT NULL,
    node text NOT NULL,
    tls boolean NOT NULL,
    check_by text NOT NULL,
    path text NOT NULL,
    credential_set text NOT NULL,
    serial text NOT NULL,
    mac text NOT NULL,
    manufacturer text NOT NULL,
    model text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX devices_current ON sightline.devices (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.cameras (
    id text COLLATE "C" NOT NULL,
    device text NOT NULL,
    name text NOT NULL,
    source_token text NOT NULL,
    township text NOT NULL,
    village text NOT NULL,
    grid text NOT NULL,
    manufacturer text NOT NULL,
    model text NOT NULL,
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),
    in_use boolean NOT NULL,
    maintainer text NOT NULL,
    carrier text NOT NULL,
    contact text NOT NULL,
    archive jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX cameras_current ON sightline.cameras (id) WHERE valid_to IS NULL;
CREATE INDEX cameras_by_township ON sightline.cameras (township) WHERE valid_to IS NULL;

CREATE TABLE sightline.grids (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    village text NOT NULL,
    polygons jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX grids_current ON sightline.grids (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.windows (
    id text COLLATE "C" NOT NULL,
    target text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    reason text NOT NULL,
    daily_from_s integer,
    daily_to_s integer,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX windows_current ON sightline.windows (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.credentials (
    name text COLLATE "C" PRIMARY KEY,
    sealed bytea NOT NULL,
    saved_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sightline.device_memory (
    device text COLLATE "C" PRIMARY KEY,
    scheme text,
    refused_at double precision[] NOT NULL,
    keeps boolean,
    secret_tag text NOT NULL
);

CREATE TABLE sightline.channel_state (
    channel text COLLATE "C" PRIMARY KEY,
    state text NOT NULL,
    since_at timestamptz NOT NULL,
    first_good_at timestamptz,
    last_good_at timestamptz
) WITH (fillfactor = 70);

CREATE TABLE sightline.outages (
    id text COLLATE "C" PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    cause text NOT NULL,
    last_seen_at timestamptz,
    failed_at timestamptz NOT NULL,
    confirmed_at timestamptz NOT NULL,
    last_failed_at timestamptz NOT NULL,
    ended_at timestamptz,
    bad_s double precision NOT NULL CHECK (bad_s >= 0 AND bad_s < 'infinity'),
    unobserved_s double precision NOT NULL
        CHECK (unobserved_s >= 0 AND unobserved_s < 'infinity'),
    reason text[] NOT NULL,
    incident text COLLATE "C",
    flapping boolean NOT NULL,
    planned boolean NOT NULL,
    takeover boolean NOT NULL,
    ending text,
    clock_suspect boolean NOT NULL
);
CREATE UNIQUE INDEX outages_one_open ON sightline.outages (channel) WHERE ended_at IS NULL;
CREATE INDEX outages_by_time ON sightline.outages (failed_at DESC, id DESC);
CREATE INDEX outages_by_channel ON sightline.outages (channel, failed_at DESC);
CREATE INDEX outages_by_incident ON sightline.outages (incident) WHERE incident IS NOT NULL;

CREATE TABLE sightline.faults (
    id text COLLATE "C" PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    cause text NOT NULL,
    last_seen_at timestamptz,
    failed_at timestamptz NOT NULL,
    confirmed_at timestamptz NOT NULL,
    last_failed_at timestamptz NOT NULL,
    ended_at timestamptz,
    unobserved_s double precision NOT NULL
        CHECK (unobserved_s >= 0 AND unobserved_s < 'infinity'),
    reason text[] NOT NULL,
    planned boolean NOT NULL,
    ending text,
    clock_suspect boolean NOT NULL
);
CREATE UNIQUE INDEX faults_one_open ON sightline.faults (channel, cause) WHERE ended_at IS NULL;
CREATE INDEX faults_by_time ON sightline.faults (failed_at DESC, id DESC);
CREATE INDEX faults_by_channel ON sightline.faults (channel, failed_at DESC);

CREATE TABLE sightline.incidents (
    id text COLLATE "C" PRIMARY KEY,
    root text COLLATE "C" NOT NULL,
    cause text NOT NULL,
    began_after_at timestamptz,
    began_at timestamptz NOT NULL,
    confirmed_at timestamptz NOT NULL,
    ended_at timestamptz,
    children integer NOT NULL CHECK (children >= 0),
    open_children integer NOT NULL CHECK (open_children >= 0),
    planned boolean NOT NULL,
    merged_into text COLLATE "C",
    split_from text COLLATE "C",
    ending text
);
CREATE INDEX incidents_by_time ON sightline.incidents (began_at DESC, id DESC);
CREATE INDEX incidents_open ON sightline.incidents (id) WHERE ended_at IS NULL;
CREATE INDEX incidents_by_root ON sightline.incidents (root);

CREATE TABLE sightline.gateway_gaps (
    id text COLLATE "C" PRIMARY KEY,
    reason text NOT NULL,
    started_at timestamptz NOT NULL,
    ended_at timestamptz
);
CREATE INDEX gateway_gaps_by_time ON sightline.gateway_gaps (started_at DESC, id DESC);

CREATE TABLE sightline.clock_steps (
    id text COLLATE "C" PRIMARY KEY,
    noticed_at timestamptz NOT NULL,
    step_s double precision NOT NULL
        CHECK (step_s > '-infinity' AND step_s < 'infinity')
);

CREATE TABLE sightline.rollups (
    channel text COLLATE "C" NOT NULL,
    day date NOT NULL,
    good_s real[] NOT NULL CHECK (cardinality(good_s) = 24),
    bad_s real[] NOT NULL CHECK (cardinality(bad_s) = 24),
    bad_upstream_s real[] NOT NULL CHECK (cardinality(bad_upstream_s) = 24),
    maintenance_s real[] NOT NULL CHECK (cardinality(maintenance_s) = 24),
    unobserved_s real[] NOT NULL CHECK (cardinality(unobserved_s) = 24),
    degraded_s real[] NOT NULL CHECK (cardinality(degraded_s) = 24),
    probes integer[] NOT NULL CHECK (cardinality(probes) = 24),
    rtt_p50_ms real[] NOT NULL CHECK (cardinality(rtt_p50_ms) = 24),
    rtt_p95_ms real[] NOT NULL CHECK (cardinality(rtt_p95_ms) = 24),
    PRIMARY KEY (day, channel)
) WITH (fillfactor = 70);
CREATE INDEX rollups_by_channel ON sightline.rollups (channel, day);

CREATE TABLE sightline.watched_until (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    at timestamptz NOT NULL
);

CREATE TABLE sightline.sequence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    value bigint NOT NULL
);

CREATE TABLE sightline.incident_notes (
    id text COLLATE "C" PRIMARY KEY,
    incident text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    kind text NOT NULL,
    text text NOT NULL,
    until timestamptz
);
CREATE INDEX incident_notes_by_incident ON sightline.incident_notes (incident, at);

CREATE TABLE sightline.tokens (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    role text NOT NULL,
    digest bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz
);

CREATE TABLE sightline.audit (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    role text NOT NULL,
    action text NOT NULL,
    target text NOT NULL,
    result text NOT NULL,
    detail text NOT NULL,
    address text NOT NULL,
    fingerprint bytea NOT NULL UNIQUE
);
CREATE INDEX audit_by_time ON sightline.audit (at);

CREATE FUNCTION sightline.refuse_audit_change() RETURNS trigger
LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        IF current_setting('sightline.pruning', true) = 'on'
            AND OLD.at < now() - interval '183 days' THEN
            RETURN OLD;
        END IF;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only'
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER audit_is_append_only
    BEFORE UPDATE OR DELETE ON sightline.audit
    FOR EACH ROW EXECUTE FUNCTION sightline.refuse_audit_change();

CREATE TRIGGER audit_is_not_emptied
    BEFORE TRUNCATE ON sightline.audit
    FOR EACH STATEMENT EXECUTE FUNCTION sightline.refuse_audit_change();

CREATE FUNCTION sightline.prune_audit(before timestamptz) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    gone bigint;
BEGIN
    -- not the clause SET of the function: only a superuser may create one for a name of our own
    PERFORM set_config('sightline.pruning', 'on', true);
    DELETE FROM sightline.audit WHERE at < before;
    GET DIAGNOSTICS gone = ROW_COUNT;
    PERFORM set_config('sightline.pruning', 'off', true);
    RETURN gone;
END
$$;
