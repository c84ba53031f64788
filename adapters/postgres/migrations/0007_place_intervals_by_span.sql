-- Who was not seen at a past moment is found without reading all rows before or after it. See schema.sql.

CREATE INDEX place_intervals_by_span ON sightline.place_intervals USING gist ((
    CASE WHEN ended_at IS NULL THEN tstzrange(started_at, NULL)
    ELSE tstzrange(started_at, greatest(started_at, ended_at), '[]') END));
