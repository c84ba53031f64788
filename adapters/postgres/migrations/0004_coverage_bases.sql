-- What coverage counted from one import to the next, so that the past is told by the weights of then.

CREATE TABLE sightline.coverage_bases (
    valid_from timestamptz PRIMARY KEY,
    import_id text NOT NULL,
    listed double precision NOT NULL CHECK (listed >= 0 AND listed < 'infinity'),
    reached double precision NOT NULL CHECK (reached >= 0 AND reached < 'infinity'),
    places integer NOT NULL,
    cameras integer NOT NULL
);
