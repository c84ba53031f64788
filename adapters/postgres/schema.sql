-- Sightline's system of record, as a whole. What a database really gets are the files in
-- migrations/; a test proves that they lead to exactly this. Core SQL only, so that it is the same
-- on PostgreSQL 15, 16 and 18: no extension, no exclusion constraint, no virtual column.
--
-- Rules
--   * Times are timestamptz (UTC). Intervals are half-open; an open one has no end.
--   * Archive tables are versioned: the row without valid_to is current, older ones stay, so the
--     archive valid at any time can be asked.
--   * Ledger rows are whole snapshots by id: writing one twice is harmless. They have no foreign
--     key into the archive: a ledger write must never be refused because of an import.
--   * Text that is a key or a sort key collates "C", so that the order is the same on every server.
--   * Numbers are finite: the checks refuse NaN and infinity.

CREATE SCHEMA IF NOT EXISTS sightline;

-- Which migrations were applied.
CREATE TABLE sightline.migrations (
    name text COLLATE "C" PRIMARY KEY,  -- file name without its ending
    checksum text NOT NULL,  -- SHA-256 of the file as applied: an edited migration is noticed
    applied_at timestamptz NOT NULL DEFAULT now()  -- when
);

-- ---------------------------------------------------------------- the archive (一机一档)

-- One row for each import, kept for ever.
CREATE TABLE sightline.imports (
    id text COLLATE "C" PRIMARY KEY,  -- import id
    at timestamptz NOT NULL,  -- when it was made
    actor text NOT NULL,  -- who made it
    files text[] NOT NULL,  -- the files, as given
    counts jsonb NOT NULL,  -- [["added", 12], ...] in display order
    repairs jsonb NOT NULL,  -- the repair list (问题清单), a list of objects
    unknown_columns text[] NOT NULL  -- columns no rule knows; kept in cameras.archive
);
CREATE INDEX imports_by_time ON sightline.imports (at DESC, id);

-- The order of the rows in the archive: one row per archive table, so that a row put in the
-- middle does not renumber all that follow.
CREATE TABLE sightline.archive_order (
    kind text COLLATE "C" PRIMARY KEY,  -- name of the archive table
    ids text[] NOT NULL  -- keys of its current rows, in order
);

-- District, townships and streets, villages and communities.
CREATE TABLE sightline.divisions (
    code text COLLATE "C" NOT NULL,  -- statistical code: 6, 9 or 12 digits
    name text NOT NULL,  -- name
    parent text,  -- code of the division above, null for the district
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (code, valid_from)
);
CREATE UNIQUE INDEX divisions_current ON sightline.divisions (code) WHERE valid_to IS NULL;

-- The network tree: core, uplinks, aggregation, access, devices with several channels.
CREATE TABLE sightline.nodes (
    id text COLLATE "C" NOT NULL,  -- node id
    kind text NOT NULL,  -- core, uplink, aggregation, access, device
    name text NOT NULL,  -- name
    parent text,  -- node above, null for the root
    maintainer text NOT NULL,  -- maintenance unit (运维单位)
    carrier text NOT NULL,  -- carrier (运营商)
    contact text NOT NULL,  -- whom to call
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX nodes_current ON sightline.nodes (id) WHERE valid_to IS NULL;

-- What answers at an address: a camera, a multi-lens camera or an NVR.
CREATE TABLE sightline.devices (
    id text COLLATE "C" NOT NULL,  -- host:port
    host text NOT NULL,  -- registered address
    port integer NOT NULL,  -- registered port
    node text NOT NULL,  -- node it hangs on
    tls boolean NOT NULL,  -- HTTPS
    check_by text NOT NULL,  -- onvif, rtsp, tcp
    path text NOT NULL,  -- path of the ONVIF device service
    credential_set text NOT NULL,  -- name in credentials; empty = none
    serial text NOT NULL,  -- expected serial number; empty = not known
    mac text NOT NULL,  -- expected MAC; empty = not known
    manufacturer text NOT NULL,  -- manufacturer
    model text NOT NULL,  -- model
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX devices_current ON sightline.devices (id) WHERE valid_to IS NULL;

-- Channels (路), decommissioned ones included. Never deleted.
CREATE TABLE sightline.cameras (
    id text COLLATE "C" NOT NULL,  -- archive id, the 20-digit GB/T 28181 code where valid
    device text NOT NULL,  -- device that answers for it
    name text NOT NULL,  -- name
    source_token text NOT NULL,  -- video source at the device; empty = its only one
    township text NOT NULL,  -- 9-digit code of township or street
    village text NOT NULL,  -- 12-digit code of village or community
    grid text NOT NULL,  -- grid cell
    manufacturer text NOT NULL,  -- manufacturer
    model text NOT NULL,  -- model
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),  -- WGS-84 degrees
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),  -- WGS-84 degrees
    in_use boolean NOT NULL,  -- false = decommissioned (停用)
    maintainer text NOT NULL,  -- maintenance unit (运维单位)
    carrier text NOT NULL,  -- carrier (运营商)
    contact text NOT NULL,  -- whom to call
    archive jsonb NOT NULL,  -- every other archive field by its English key
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX cameras_current ON sightline.cameras (id) WHERE valid_to IS NULL;
CREATE INDEX cameras_by_township ON sightline.cameras (township) WHERE valid_to IS NULL;

-- Grid cells (网格).
CREATE TABLE sightline.grids (
    id text COLLATE "C" NOT NULL,  -- grid id
    name text NOT NULL,  -- name
    village text NOT NULL,  -- village or community it belongs to
    polygons jsonb NOT NULL,  -- polygons of rings of [lon, lat], WGS-84, as in GeoJSON
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    beat text NOT NULL,  -- police beat it belongs to
    posts jsonb NOT NULL,  -- references to the posts to inform, by role
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX grids_current ON sightline.grids (id) WHERE valid_to IS NULL;

-- Maintenance windows (检修) and repeating scheduled-off hours.
CREATE TABLE sightline.windows (
    id text COLLATE "C" NOT NULL,  -- window id
    target text NOT NULL,  -- channel or node
    starts_at timestamptz NOT NULL,  -- first moment
    ends_at timestamptz,  -- end; null = until further notice
    reason text NOT NULL,  -- why
    daily_from_s integer,  -- repeats each day from this second after midnight Asia/Shanghai
    daily_to_s integer,  -- to this one; below daily_from_s = past midnight
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX windows_current ON sightline.windows (id) WHERE valid_to IS NULL;

-- Credential sets of devices, sealed: the store never sees a password.
CREATE TABLE sightline.credentials (
    name text COLLATE "C" PRIMARY KEY,  -- name of the set
    sealed bytea NOT NULL,  -- Fernet token over user name and password
    saved_at timestamptz NOT NULL DEFAULT now()  -- last change, for rotation
);

-- What was learned about devices and must survive a restart (lock-out counters above all).
CREATE TABLE sightline.device_memory (
    device text COLLATE "C" PRIMARY KEY,  -- host:port
    scheme text,  -- authentication that worked last: wsse, digest
    refused_at double precision[] NOT NULL,  -- epoch seconds of refused logins, last 31 min
    keeps boolean,  -- device keeps its connection; null = not learned
    secret_tag text NOT NULL  -- keyed hash of the credential the row is about
);

-- ---------------------------------------------------------------- the ledger (台账)

-- State of each channel, written when it changes.
CREATE TABLE sightline.channel_state (
    channel text COLLATE "C" PRIMARY KEY,  -- channel
    state text NOT NULL,  -- online, degraded, offline, unknown, maintenance, decommissioned
    since_at timestamptz NOT NULL,  -- since when
    first_good_at timestamptz,  -- first good check since import; null = takeover list (存量故障)
    last_good_at timestamptz  -- last good check at the time of writing
) WITH (fillfactor = 70);

-- Outages (离线记录). Start in (last_seen_at, failed_at], end in (last_failed_at, ended_at].
CREATE TABLE sightline.outages (
    id text COLLATE "C" PRIMARY KEY,  -- outage id
    channel text COLLATE "C" NOT NULL,  -- channel
    cause text NOT NULL,  -- unreachable, refused, timeout, uplink, power
    last_seen_at timestamptz,  -- start of the last good check; null = never seen good
    failed_at timestamptz NOT NULL,  -- end of the first failed check
    confirmed_at timestamptz NOT NULL,  -- when it was certain
    last_failed_at timestamptz NOT NULL,  -- start of the last failed check
    ended_at timestamptz,  -- end of the first good check; null = open
    bad_s double precision NOT NULL CHECK (bad_s >= 0 AND bad_s < 'infinity'),  -- seconds down
    unobserved_s double precision NOT NULL
        CHECK (unobserved_s >= 0 AND unobserved_s < 'infinity'),  -- seconds we could not watch
    reason text[] NOT NULL,  -- what the confirming checks saw, in order
    incident text COLLATE "C",  -- incident it belongs to
    flapping boolean NOT NULL,  -- frequent losses (频繁掉线) kept as one row
    planned boolean NOT NULL,  -- inside a maintenance window
    takeover boolean NOT NULL,  -- on the takeover list (存量故障)
    ending text,  -- why it was closed
    clock_suspect boolean NOT NULL,  -- the wall clock was moved around it
    accepted_at timestamptz  -- of the takeover list, and accepted as work since then
);
-- At most one open outage a channel.
CREATE UNIQUE INDEX outages_one_open ON sightline.outages (channel) WHERE ended_at IS NULL;
CREATE INDEX outages_by_time ON sightline.outages (failed_at DESC, id DESC);
CREATE INDEX outages_by_channel ON sightline.outages (channel, failed_at DESC);
CREATE INDEX outages_by_incident ON sightline.outages (incident) WHERE incident IS NOT NULL;

-- Faults (故障): the channel answers, one check fails. Bounds as in outages.
CREATE TABLE sightline.faults (
    id text COLLATE "C" PRIMARY KEY,  -- fault id
    channel text COLLATE "C" NOT NULL,  -- channel
    cause text NOT NULL,  -- auth, locked_out, clock, wrong_device, not_onvif, ...
    last_seen_at timestamptz,  -- start of the last check that was well; null = never
    failed_at timestamptz NOT NULL,  -- end of the first failed check
    confirmed_at timestamptz NOT NULL,  -- when it was certain
    last_failed_at timestamptz NOT NULL,  -- start of the last failed check
    ended_at timestamptz,  -- end of the first check that was well again; null = open
    unobserved_s double precision NOT NULL
        CHECK (unobserved_s >= 0 AND unobserved_s < 'infinity'),  -- seconds we could not watch
    reason text[] NOT NULL,  -- what the checks saw, in order
    planned boolean NOT NULL,  -- inside a maintenance window
    ending text,  -- why it was closed
    clock_suspect boolean NOT NULL  -- the wall clock was moved around it
);
-- At most one open fault a channel and cause.
CREATE UNIQUE INDEX faults_one_open ON sightline.faults (channel, cause) WHERE ended_at IS NULL;
CREATE INDEX faults_by_time ON sightline.faults (failed_at DESC, id DESC);
CREATE INDEX faults_by_channel ON sightline.faults (channel, failed_at DESC);

-- Incidents (故障单): one root cause, many children.
CREATE TABLE sightline.incidents (
    id text COLLATE "C" PRIMARY KEY,  -- incident id
    root text COLLATE "C" NOT NULL,  -- node blamed, or the channel itself
    cause text NOT NULL,  -- unreachable, refused, timeout, uplink, power
    began_after_at timestamptz,  -- latest last_seen_at of the children
    began_at timestamptz NOT NULL,  -- earliest failed_at of the children
    confirmed_at timestamptz NOT NULL,  -- when it was certain
    ended_at timestamptz,  -- end; null = open
    children integer NOT NULL CHECK (children >= 0),  -- channels it ever took
    open_children integer NOT NULL CHECK (open_children >= 0),  -- channels down now
    planned boolean NOT NULL,  -- inside a maintenance window
    merged_into text COLLATE "C",  -- incident that absorbed this one: not counted, not alerted
    split_from text COLLATE "C",  -- incident whose partial recovery left this one
    ending text  -- why it was closed
);
CREATE INDEX incidents_by_time ON sightline.incidents (began_at DESC, id DESC);
CREATE INDEX incidents_open ON sightline.incidents (id) WHERE ended_at IS NULL;
CREATE INDEX incidents_by_root ON sightline.incidents (root);

-- Times during which the gateway itself could not watch.
CREATE TABLE sightline.gateway_gaps (
    id text COLLATE "C" PRIMARY KEY,  -- gap id
    reason text NOT NULL,  -- not_running, blind, stalled
    started_at timestamptz NOT NULL,  -- start
    ended_at timestamptz  -- end; null = open
);
CREATE INDEX gateway_gaps_by_time ON sightline.gateway_gaps (started_at DESC, id DESC);

-- Moves of the wall clock by more than 5 s.
CREATE TABLE sightline.clock_steps (
    id text COLLATE "C" PRIMARY KEY,  -- step id
    noticed_at timestamptz NOT NULL,  -- when it was noticed, by the new clock
    step_s double precision NOT NULL
        CHECK (step_s > '-infinity' AND step_s < 'infinity')  -- new minus old
);

-- One row a channel and day (Asia/Shanghai): 24 hourly slots each. Seconds are totals so far.
-- real keeps a second of an hour to 0.3 ms, in half the room.
CREATE TABLE sightline.rollups (
    channel text COLLATE "C" NOT NULL,  -- channel
    day date NOT NULL,  -- day, Asia/Shanghai
    good_s real[] NOT NULL CHECK (cardinality(good_s) = 24),  -- seconds good
    bad_s real[] NOT NULL CHECK (cardinality(bad_s) = 24),  -- seconds down by its own fault
    bad_upstream_s real[] NOT NULL CHECK (cardinality(bad_upstream_s) = 24),  -- down, uplink
    maintenance_s real[] NOT NULL CHECK (cardinality(maintenance_s) = 24),  -- in a window
    unobserved_s real[] NOT NULL CHECK (cardinality(unobserved_s) = 24),  -- not watched
    degraded_s real[] NOT NULL CHECK (cardinality(degraded_s) = 24),  -- part of good: fault open
    probes integer[] NOT NULL CHECK (cardinality(probes) = 24),  -- checks made
    rtt_p50_ms real[] NOT NULL CHECK (cardinality(rtt_p50_ms) = 24),  -- median round trip
    rtt_p95_ms real[] NOT NULL CHECK (cardinality(rtt_p95_ms) = 24),  -- 95th percentile
    PRIMARY KEY (day, channel)
) WITH (fillfactor = 70);
CREATE INDEX rollups_by_channel ON sightline.rollups (channel, day);

-- Until when the service is known to have watched: one row, written every 10 s.
CREATE TABLE sightline.watched_until (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),  -- always true: there is one row
    at timestamptz NOT NULL  -- until when
);

-- The number of the last judged batch: one row; also what batches queue on.
CREATE TABLE sightline.sequence (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),  -- always true: there is one row
    value bigint NOT NULL  -- Changes.sequence, never falling
);

-- ---------------------------------------------------------------- coverage and planning
-- Geometries are GeoJSON in WGS-84 degrees (RFC 7946). The first four tables are versioned as the
-- archive is; their order stands in archive_order.

-- Places to be seen (重点部位): points, lines such as roads, areas such as squares.
CREATE TABLE sightline.places (
    id text COLLATE "C" NOT NULL,  -- place id
    name text NOT NULL,  -- name
    kind text NOT NULL,  -- key of config/place_kinds.toml
    geometry jsonb NOT NULL,  -- GeoJSON geometry, WGS-84
    weight double precision NOT NULL
        CHECK (weight > 0 AND weight < 'infinity'),  -- how much it counts in the headline
    level text NOT NULL,  -- step of the pixel-density ladder; empty = that of its kind
    accepted boolean NOT NULL,  -- false = a draft: shown, not counted
    township text NOT NULL,  -- 9-digit code of township or street
    village text NOT NULL,  -- 12-digit code of village or community
    grid text NOT NULL,  -- grid cell
    source text NOT NULL,  -- where the row came from
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX places_current ON sightline.places (id) WHERE valid_to IS NULL;

-- Footprints of buildings, which views end at. The model is flat: heights are not kept.
CREATE TABLE sightline.footprints (
    id text COLLATE "C" NOT NULL,  -- footprint id
    geometry jsonb NOT NULL,  -- GeoJSON Polygon or MultiPolygon, WGS-84
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX footprints_current ON sightline.footprints (id) WHERE valid_to IS NULL;

-- Where no camera may look (Decree 799).
CREATE TABLE sightline.prohibited (
    id text COLLATE "C" NOT NULL,  -- area id
    name text NOT NULL,  -- name
    kind text NOT NULL,  -- kind of room or ground
    geometry jsonb NOT NULL,  -- GeoJSON geometry, WGS-84
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX prohibited_current ON sightline.prohibited (id) WHERE valid_to IS NULL;

-- Where a camera could be mounted.
CREATE TABLE sightline.candidates (
    id text COLLATE "C" NOT NULL,  -- site id
    name text NOT NULL,  -- name
    kind text NOT NULL,  -- pole, wall, existing site
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),  -- WGS-84
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),  -- WGS-84
    power boolean,  -- power is there; null = not known
    network boolean,  -- network is there; null = not known
    cost double precision
        CHECK (cost >= 0 AND cost < 'infinity'),  -- CNY for one camera; null = not known
    valid_from timestamptz NOT NULL,  -- import that brought this version
    valid_to timestamptz,  -- import that replaced it; null = current
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX candidates_current ON sightline.candidates (id) WHERE valid_to IS NULL;

-- Dynamic blind spots (临时盲区): what one camera's outage took out of sight. Open rows are disjoint.
CREATE TABLE sightline.blind_spots (
    id text COLLATE "C" PRIMARY KEY,  -- blind spot id
    channel text COLLATE "C" NOT NULL,  -- camera whose loss opened it
    outage text COLLATE "C" NOT NULL,  -- outage or fault that caused it
    incident text COLLATE "C",  -- incident of that outage
    joint text[] NOT NULL,  -- other cameras down already that saw a part of it
    cause text NOT NULL,  -- cause of the outage, maintenance, stream
    last_seen_at timestamptz,  -- true start lies after this
    failed_at timestamptz NOT NULL,  -- and not after this
    opened_at timestamptz NOT NULL,  -- when the row was made
    last_failed_at timestamptz,  -- true end lies after this
    ended_at timestamptz,  -- and not after this; null = open
    observed_until_at timestamptz,  -- known to stand until then
    polygon jsonb,  -- what was lost at opening, GeoJSON, WGS-84
    area_m2 double precision NOT NULL CHECK (area_m2 >= 0 AND area_m2 < 'infinity'),  -- area of it
    area_now_m2 double precision NOT NULL
        CHECK (area_now_m2 >= 0 AND area_now_m2 < 'infinity'),  -- what is left of it
    places text[] NOT NULL,  -- places that lost their last view on some part
    weight double precision NOT NULL CHECK (weight >= 0 AND weight < 'infinity'),  -- weight lost
    grids text[] NOT NULL,  -- grid cells, largest part first
    planned boolean NOT NULL  -- inside a maintenance window
) WITH (fillfactor = 70);
CREATE INDEX blind_spots_by_time ON sightline.blind_spots (failed_at DESC, id DESC);
CREATE INDEX blind_spots_by_channel ON sightline.blind_spots (channel, failed_at DESC);
CREATE INDEX blind_spots_by_incident ON sightline.blind_spots (incident)
    WHERE incident IS NOT NULL;
CREATE INDEX blind_spots_by_place ON sightline.blind_spots USING gin (places);
CREATE INDEX blind_spots_by_end ON sightline.blind_spots (ended_at);

-- Times during which a place was not fully seen. Places seen well or never have no rows.
CREATE TABLE sightline.place_intervals (
    id text COLLATE "C" PRIMARY KEY,  -- interval id
    place text COLLATE "C" NOT NULL,  -- place
    state text NOT NULL,  -- partly, unverified, unknown, blind
    weight_lost double precision NOT NULL
        CHECK (weight_lost >= 0 AND weight_lost < 'infinity'),  -- weight not seen
    causes text[] NOT NULL,  -- channels jointly responsible
    after_at timestamptz,  -- true start lies after this
    started_at timestamptz NOT NULL,  -- and not after this
    before_at timestamptz,  -- true end lies after this
    ended_at timestamptz  -- and not after this; null = open
) WITH (fillfactor = 70);
CREATE INDEX place_intervals_by_place ON sightline.place_intervals (place, started_at);
CREATE INDEX place_intervals_by_start ON sightline.place_intervals (started_at);
CREATE INDEX place_intervals_by_end ON sightline.place_intervals (ended_at);
-- for a moment or a window long ago: neither its start nor its end alone leaves few rows. `[]` holds
-- rows without length, `greatest` rows whose bounds are crossed: the exact condition stands beside it
CREATE INDEX place_intervals_by_span ON sightline.place_intervals USING gist ((
    CASE WHEN ended_at IS NULL THEN tstzrange(started_at, NULL)
    ELSE tstzrange(started_at, greatest(started_at, ended_at), '[]') END));

-- How far coverage is: one row, also what its batches queue on.
CREATE TABLE sightline.coverage_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),  -- always true: there is one row
    sequence bigint NOT NULL,  -- last batch of the judge that is contained, never falling
    as_of_at timestamptz NOT NULL  -- time of that batch
);

-- What coverage counts, from one import to the next: the weights that the past is told by.
CREATE TABLE sightline.coverage_bases (
    valid_from timestamptz PRIMARY KEY,  -- when the model was taken; valid until the next one
    import_id text NOT NULL,  -- the newest import in it
    listed double precision NOT NULL CHECK (listed >= 0 AND listed < 'infinity'),  -- weight
    reached double precision NOT NULL
        CHECK (reached >= 0 AND reached < 'infinity'),  -- weight that some view reaches by design
    places integer NOT NULL,  -- how many are listed and accepted
    cameras integer NOT NULL,  -- how many have a view
    ladder text NOT NULL DEFAULT 'IEC 62676-4:2015'  -- the standard whose pixel densities counted
);

-- Planning jobs (补盲扩面): what was asked, how far they are, what came out.
CREATE TABLE sightline.plans (
    id text COLLATE "C" PRIMARY KEY,  -- plan id
    name text NOT NULL,  -- name given by people
    created_at timestamptz NOT NULL,  -- when it was asked for
    actor text NOT NULL,  -- who asked
    status text NOT NULL,  -- queued, running, done, failed, cancelled
    request jsonb NOT NULL,  -- what was asked, a JSON object
    progress double precision NOT NULL CHECK (progress >= 0 AND progress <= 1),  -- 0 to 1
    finished_at timestamptz,  -- when it ended
    result jsonb,  -- what came out, a JSON object
    reason text NOT NULL  -- why it failed
);
CREATE INDEX plans_by_time ON sightline.plans (created_at DESC, id DESC);

-- ---------------------------------------------------------------- events and alerts

-- The sensor registry: not versioned, one import replaces all.
CREATE TABLE sightline.sensors (
    id text COLLATE "C" PRIMARY KEY,  -- sensor id
    name text NOT NULL,  -- name
    kind text NOT NULL,  -- kind of its events
    topic text NOT NULL,  -- where it publishes, or its name in the HTTP intake
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),  -- WGS-84
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),  -- WGS-84
    township text NOT NULL,  -- 9-digit code of township or street
    village text NOT NULL,  -- 12-digit code of village or community
    grid text NOT NULL,  -- grid cell
    maintainer text NOT NULL,  -- maintenance unit (运维单位)
    contact text NOT NULL,  -- whom to call
    in_use boolean NOT NULL  -- false = its events are not taken
);

-- Subscriptions at devices that must be used again or released after a restart.
CREATE TABLE sightline.pull_points (
    device text COLLATE "C" PRIMARY KEY,  -- host:port
    reference text NOT NULL  -- address and reference parameters of the subscription, JSON
);

-- Events (报警信号), as received; repeats of one are counted in its row.
CREATE TABLE sightline.events (
    id text COLLATE "C" PRIMARY KEY,  -- stable over repeats of the same message
    source text NOT NULL,  -- onvif_pull, onvif_push, mqtt, http, health
    kind text NOT NULL,  -- what happened
    received_at timestamptz NOT NULL,  -- our own time; what all is judged by
    channel text COLLATE "C",  -- channel it is about
    device text COLLATE "C",  -- device that sent it
    sensor text COLLATE "C",  -- sensor that sent it
    device_at timestamptz,  -- what the device said: untrusted
    active boolean,  -- true = began or stands, false = over, null = a moment
    token text NOT NULL,  -- input, rule or value of the source
    value double precision
        CHECK (value > '-infinity' AND value < 'infinity'),  -- reading; null = none
    unit text NOT NULL,  -- unit of the reading
    topic text NOT NULL,  -- as it came
    count integer NOT NULL CHECK (count >= 1),  -- repeats in this row, itself included
    last_at timestamptz,  -- newest repeat
    extra jsonb NOT NULL  -- more, text by name
) WITH (fillfactor = 70);
CREATE INDEX events_by_time ON sightline.events (received_at DESC, id DESC);
CREATE INDEX events_by_channel ON sightline.events (channel, received_at DESC)
    WHERE channel IS NOT NULL;
CREATE INDEX events_by_sensor ON sightline.events (sensor, received_at DESC)
    WHERE sensor IS NOT NULL;
-- A restart steps from source to source. Nothing of it changes with the count of a row.
CREATE INDEX events_by_source ON sightline.events
    (kind, coalesce(sensor, channel, device, ''), token, received_at DESC);

-- Incidents made of events (事件): one kind, place and window.
CREATE TABLE sightline.event_incidents (
    id text COLLATE "C" PRIMARY KEY,  -- incident id, the key of its alerts
    kind text NOT NULL,  -- kind of its events
    severity text NOT NULL,  -- info, minor, major, critical
    began_at timestamptz NOT NULL,  -- first signal
    last_at timestamptz NOT NULL,  -- newest signal
    ended_at timestamptz,  -- end; null = open
    signals integer NOT NULL CHECK (signals >= 0),  -- events it took, repeats included
    channel text COLLATE "C",  -- channel, where it is about one
    sensor text COLLATE "C",  -- sensor, where it is about one
    longitude double precision CHECK (longitude BETWEEN -180 AND 180),  -- WGS-84
    latitude double precision CHECK (latitude BETWEEN -90 AND 90),  -- WGS-84
    links jsonb NOT NULL,  -- linked grid cells, a list of objects, nearest first
    cameras jsonb NOT NULL,  -- cameras that see the place, a list of objects
    first_event text NOT NULL,  -- its first event
    last_event text NOT NULL,  -- its newest event
    caused_by text COLLATE "C",  -- earlier incident that explains it
    note text NOT NULL  -- for people
) WITH (fillfactor = 70);
CREATE INDEX event_incidents_by_time ON sightline.event_incidents (began_at DESC, id DESC);
CREATE INDEX event_incidents_by_end ON sightline.event_incidents (ended_at);
CREATE INDEX event_incidents_by_channel ON sightline.event_incidents (channel, began_at DESC)
    WHERE channel IS NOT NULL;
CREATE INDEX event_incidents_by_sensor ON sightline.event_incidents (sensor, began_at DESC)
    WHERE sensor IS NOT NULL;
CREATE INDEX event_incidents_by_link ON sightline.event_incidents USING gin (links jsonb_path_ops);

-- The outbox: messages to the center (预警推送), written with what caused them.
CREATE TABLE sightline.alerts (
    id text COLLATE "C" PRIMARY KEY,  -- message id, the same over retries
    key text COLLATE "C" NOT NULL,  -- incident key
    revision integer NOT NULL CHECK (revision >= 1),  -- 1 = open, then counted up
    phase text NOT NULL,  -- open, update, close
    recipient text COLLATE "C" NOT NULL,  -- configured recipient
    created_at timestamptz NOT NULL,  -- when it was planned
    body json NOT NULL,  -- CloudEvent; json, not jsonb: each repeat says it the same way
    state text NOT NULL,  -- pending, delivered, superseded, dead
    attempts integer NOT NULL CHECK (attempts >= 0),  -- deliveries tried
    next_at timestamptz,  -- next try; null = at once
    delivered_at timestamptz,  -- when the recipient took it
    superseded_by text COLLATE "C",  -- alert that says more
    reason text NOT NULL,  -- of the last failure
    cursor bigint GENERATED BY DEFAULT AS IDENTITY,  -- rising as they commit
    CONSTRAINT alerts_revision UNIQUE (recipient, key, revision)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX alerts_by_cursor ON sightline.alerts (cursor);
CREATE INDEX alerts_by_key ON sightline.alerts (key, cursor);
CREATE INDEX alerts_by_time ON sightline.alerts (created_at);
CREATE INDEX alerts_pending ON sightline.alerts (recipient, cursor) WHERE state = 'pending';
CREATE INDEX alerts_pending_of_key ON sightline.alerts (recipient, key, revision)
    WHERE state = 'pending';
CREATE INDEX alerts_dead ON sightline.alerts (cursor) WHERE state = 'dead';
-- A restart finds the threads that are open, and what digests gather.
CREATE INDEX alerts_opened ON sightline.alerts (recipient, key) WHERE phase = 'open';
CREATE INDEX alerts_closed ON sightline.alerts (recipient, key) WHERE phase = 'close';
CREATE INDEX alerts_gathered ON sightline.alerts (key)
    WHERE recipient >= 'digest:' AND recipient < 'digest;';

-- The loop back: what the center did with an incident. Never changed.
CREATE TABLE sightline.receipts (
    id text COLLATE "C" PRIMARY KEY,  -- receipt id
    key text COLLATE "C" NOT NULL,  -- incident key
    step text NOT NULL,  -- received, dispatched, in_progress, closed, false_alarm
    at timestamptz NOT NULL,  -- when
    actor text NOT NULL,  -- who at the center
    text text NOT NULL,  -- what they said
    grid text  -- grid cell it was given to
);
CREATE INDEX receipts_by_key ON sightline.receipts (key, at);
CREATE INDEX receipts_by_time ON sightline.receipts (at);

-- Work orders (工单) for repairs.
CREATE TABLE sightline.work_orders (
    id text COLLATE "C" PRIMARY KEY,  -- work order id
    key text COLLATE "C" NOT NULL,  -- incident key
    channels text[] NOT NULL,  -- channels to be repaired
    state text NOT NULL,  -- open, assigned, done, closed, cancelled; the last two are final
    created_at timestamptz NOT NULL,  -- when
    created_by text NOT NULL,  -- who
    assignee text NOT NULL,  -- who repairs; empty = nobody yet
    due_at timestamptz,  -- until when
    done_at timestamptz,  -- said to be repaired
    closed_at timestamptz,  -- seen healthy, or cancelled
    text text NOT NULL  -- what to do
);
CREATE INDEX work_orders_by_time ON sightline.work_orders (created_at DESC, id DESC);
CREATE INDEX work_orders_open ON sightline.work_orders (created_at DESC, id DESC)
    WHERE state NOT IN ('closed', 'cancelled');

-- Postures (平战联控) of an area and time window.
CREATE TABLE sightline.postures (
    id text COLLATE "C" PRIMARY KEY,  -- posture id
    level text NOT NULL,  -- routine, heightened
    area text NOT NULL,  -- division code prefix; empty = the district
    from_at timestamptz NOT NULL,  -- start
    until_at timestamptz,  -- end; null = until further notice
    actor text NOT NULL,  -- who
    reason text NOT NULL  -- why
);

-- Silence for alerts that match all given fields; an empty one matches all.
CREATE TABLE sightline.mutes (
    id text COLLATE "C" PRIMARY KEY,  -- mute id
    actor text NOT NULL,  -- who
    reason text NOT NULL,  -- why
    from_at timestamptz NOT NULL,  -- start
    until_at timestamptz NOT NULL,  -- end
    kind text NOT NULL,  -- kind of event
    area text NOT NULL,  -- division code prefix
    key text NOT NULL  -- incident key
);

-- ---------------------------------------------------------------- people

-- Acknowledgements and notes on incidents.
CREATE TABLE sightline.incident_notes (
    id text COLLATE "C" PRIMARY KEY,  -- note id
    incident text COLLATE "C" NOT NULL,  -- incident
    at timestamptz NOT NULL,  -- when
    actor text NOT NULL,  -- who
    kind text NOT NULL,  -- acknowledge, note
    text text NOT NULL,  -- why, or the note itself
    until timestamptz  -- an acknowledgement holds until then; null = until the end
);
CREATE INDEX incident_notes_by_incident ON sightline.incident_notes (incident, at);

-- Cameras of the takeover list (存量故障) that were accepted as work.
CREATE TABLE sightline.takeover_accepted (
    channel text COLLATE "C" PRIMARY KEY,  -- channel
    at timestamptz NOT NULL,  -- when
    actor text NOT NULL,  -- who
    reason text NOT NULL  -- why
);

-- Bearer tokens, hashed.
CREATE TABLE sightline.tokens (
    id text COLLATE "C" PRIMARY KEY,  -- token id, shown to people
    name text NOT NULL,  -- whose it is
    role text NOT NULL,  -- viewer, operator, planner, center, admin, auditor
    digest bytea NOT NULL UNIQUE,  -- hash of the token
    created_at timestamptz NOT NULL,  -- when
    expires_at timestamptz,  -- null = never
    revoked_at timestamptz  -- null = valid
);

-- The audit log: append-only (see audit_is_append_only), at least 183 days.
CREATE TABLE sightline.audit (
    id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,  -- rising with every line
    at timestamptz NOT NULL,  -- when
    actor text NOT NULL,  -- who
    role text NOT NULL,  -- in which role
    action text NOT NULL,  -- did what
    target text NOT NULL,  -- to what
    result text NOT NULL,  -- with what result
    detail text NOT NULL,  -- more, without secrets
    address text NOT NULL,  -- from where
    fingerprint bytea NOT NULL UNIQUE  -- SHA-256 of the line: writing it twice adds nothing
);
CREATE INDEX audit_by_time ON sightline.audit (at);

-- Lines of the audit log cannot be changed, and go only by prune_audit and only when old.
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

-- The one road out of the audit log: lines older than the retention.
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
