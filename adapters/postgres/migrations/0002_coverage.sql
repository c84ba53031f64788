-- Coverage and planning. What each table and column means: schema.sql.

CREATE TABLE sightline.places (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    geometry jsonb NOT NULL,
    weight double precision NOT NULL CHECK (weight > 0 AND weight < 'infinity'),
    level text NOT NULL,
    accepted boolean NOT NULL,
    township text NOT NULL,
    village text NOT NULL,
    grid text NOT NULL,
    source text NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX places_current ON sightline.places (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.footprints (
    id text COLLATE "C" NOT NULL,
    geometry jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX footprints_current ON sightline.footprints (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.prohibited (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    geometry jsonb NOT NULL,
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX prohibited_current ON sightline.prohibited (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.candidates (
    id text COLLATE "C" NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    longitude double precision NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    latitude double precision NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    power boolean,
    network boolean,
    cost double precision CHECK (cost >= 0 AND cost < 'infinity'),
    valid_from timestamptz NOT NULL,
    valid_to timestamptz,
    PRIMARY KEY (id, valid_from)
);
CREATE UNIQUE INDEX candidates_current ON sightline.candidates (id) WHERE valid_to IS NULL;

CREATE TABLE sightline.blind_spots (
    id text COLLATE "C" PRIMARY KEY,
    channel text COLLATE "C" NOT NULL,
    outage text COLLATE "C" NOT NULL,
    incident text COLLATE "C",
    joint text[] NOT NULL,
    cause text NOT NULL,
    last_seen_at timestamptz,
    failed_at timestamptz NOT NULL,
    opened_at timestamptz NOT NULL,
    last_failed_at timestamptz,
    ended_at timestamptz,
    observed_until_at timestamptz,
    polygon jsonb,
    area_m2 double precision NOT NULL CHECK (area_m2 >= 0 AND area_m2 < 'infinity'),
    area_now_m2 double precision NOT NULL CHECK (area_now_m2 >= 0 AND area_now_m2 < 'infinity'),
    places text[] NOT NULL,
    weight double precision NOT NULL CHECK (weight >= 0 AND weight < 'infinity'),
    grids text[] NOT NULL,
    planned boolean NOT NULL
) WITH (fillfactor = 70);
CREATE INDEX blind_spots_by_time ON sightline.blind_spots (failed_at DESC, id DESC);
CREATE INDEX blind_spots_by_channel ON sightline.blind_spots (channel, failed_at DESC);
CREATE INDEX blind_spots_by_incident ON sightline.blind_spots (incident)
    WHERE incident IS NOT NULL;
CREATE INDEX blind_spots_by_place ON sightline.blind_spots USING gin (places);
CREATE INDEX blind_spots_by_end ON sightline.blind_spots (ended_at);

CREATE TABLE sightline.place_intervals (
    id text COLLATE "C" PRIMARY KEY,
    place text COLLATE "C" NOT NULL,
    state text NOT NULL,
    weight_lost double precision NOT NULL CHECK (weight_lost >= 0 AND weight_lost < 'infinity'),
    causes text[] NOT NULL,
    after_at timestamptz,
    started_at timestamptz NOT NULL,
    before_at timestamptz,
    ended_at timestamptz
) WITH (fillfactor = 70);
CREATE INDEX place_intervals_by_place ON sightline.place_intervals (place, started_at);
CREATE INDEX place_intervals_by_start ON sightline.place_intervals (started_at);
CREATE INDEX place_intervals_by_end ON sightline.place_intervals (ended_at);

CREATE TABLE sightline.coverage_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    sequence bigint NOT NULL,
    as_of_at timestamptz NOT NULL
);

CREATE TABLE sightline.plans (
    id text COLLATE "C" PRIMARY KEY,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    actor text NOT NULL,
    status text NOT NULL,
    request jsonb NOT NULL,
    progress double precision NOT NULL CHECK (progress >= 0 AND progress <= 1),
    finished_at timestamptz,
    result jsonb,
    reason text NOT NULL
);
CREATE INDEX plans_by_time ON sightline.plans (created_at DESC, id DESC);
