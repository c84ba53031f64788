-- The statements of coverage and planning. See queries.sql for how such files are written.

-- ================================================================ what coverage is told
-- As the archive_* and retire_* blocks of queries.sql.

-- name: archive_places
SELECT id, name, kind, geometry, weight, level, accepted, township, village, grid, source
FROM sightline.places
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'places'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_footprints
SELECT id, geometry
FROM sightline.footprints
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'footprints'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_prohibited
SELECT id, name, kind, geometry
FROM sightline.prohibited
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'prohibited'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_candidates
SELECT id, name, kind, longitude, latitude, power, network, cost
FROM sightline.candidates
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'candidates'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: places_latest
SELECT max(latest) FROM (
    SELECT max(valid_from) AS latest FROM sightline.places
    UNION ALL SELECT max(valid_from) FROM sightline.footprints
    UNION ALL SELECT max(valid_from) FROM sightline.prohibited
    UNION ALL SELECT max(valid_from) FROM sightline.candidates
    UNION ALL SELECT max(valid_to) FROM sightline.places
    UNION ALL SELECT max(valid_to) FROM sightline.footprints
    UNION ALL SELECT max(valid_to) FROM sightline.prohibited
    UNION ALL SELECT max(valid_to) FROM sightline.candidates
) AS versions;

-- name: retire_places
UPDATE sightline.places SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_footprints
UPDATE sightline.footprints SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_prohibited
UPDATE sightline.prohibited SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_candidates
UPDATE sightline.candidates SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- ================================================================ one batch of the worker

-- name: put_coverage_progress
-- First in every batch: batches queue here. An older batch moves nothing back.
INSERT INTO sightline.coverage_progress AS p (sequence, as_of_at) VALUES ($1, $2)
ON CONFLICT (one) DO UPDATE SET sequence = excluded.sequence, as_of_at = excluded.as_of_at
WHERE p.sequence <= excluded.sequence;

-- name: put_blind_spots
INSERT INTO sightline.blind_spots AS old
SELECT * FROM unnest($1::sightline.blind_spots[])
ON CONFLICT (id) DO UPDATE SET
    channel = excluded.channel, outage = excluded.outage, incident = excluded.incident,
    joint = excluded.joint, cause = excluded.cause, last_seen_at = excluded.last_seen_at,
    failed_at = excluded.failed_at, opened_at = excluded.opened_at,
    last_failed_at = excluded.last_failed_at, ended_at = excluded.ended_at,
    observed_until_at = excluded.observed_until_at, polygon = excluded.polygon,
    area_m2 = excluded.area_m2, area_now_m2 = excluded.area_now_m2, places = excluded.places,
    weight = excluded.weight, grids = excluded.grids, planned = excluded.planned
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_place_intervals
INSERT INTO sightline.place_intervals AS old
SELECT * FROM unnest($1::sightline.place_intervals[])
ON CONFLICT (id) DO UPDATE SET
    place = excluded.place, state = excluded.state, weight_lost = excluded.weight_lost,
    causes = excluded.causes, after_at = excluded.after_at, started_at = excluded.started_at,
    before_at = excluded.before_at, ended_at = excluded.ended_at
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_coverage_basis
INSERT INTO sightline.coverage_bases
    (valid_from, import_id, listed, reached, places, cameras, ladder)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (valid_from) DO UPDATE SET
    import_id = excluded.import_id, listed = excluded.listed, reached = excluded.reached,
    places = excluded.places, cameras = excluded.cameras, ladder = excluded.ladder;

-- ================================================================ reading

-- name: coverage_progress
SELECT sequence, as_of_at FROM sightline.coverage_progress;

-- name: open_blind_spots
SELECT * FROM sightline.blind_spots WHERE ended_at IS NULL ORDER BY failed_at, id;

-- name: open_place_intervals
SELECT * FROM sightline.place_intervals WHERE ended_at IS NULL ORDER BY place, started_at, id;

-- name: list_blind_spots
-- A page, newest first. $1 since, $2 until, $3 open only, $4 channel, $5 incident, $6 place,
-- $7 township of the channel, $8/$9 the last row before.
SELECT b.* FROM sightline.blind_spots AS b
WHERE ($1::timestamptz IS NULL OR b.ended_at IS NULL OR b.ended_at > $1)
  AND ($2::timestamptz IS NULL OR b.failed_at < $2)
  AND (NOT $3::boolean OR b.ended_at IS NULL)
  AND ($4::text IS NULL OR b.channel = $4)
  AND ($5::text IS NULL OR b.incident = $5)
  AND ($6::text IS NULL OR b.places @> ARRAY[$6::text])
  AND ($7::text IS NULL OR b.channel IN (
      SELECT id FROM sightline.cameras WHERE township = $7 AND valid_to IS NULL))
  AND ($8::timestamptz IS NULL OR (b.failed_at, b.id) < ($8, $9::text))
ORDER BY b.failed_at DESC, b.id DESC LIMIT $10;

-- name: blind_spot
SELECT * FROM sightline.blind_spots WHERE id = $1;

-- name: list_place_intervals
-- Those that overlap the half-open window from $1 to $2. The range is that of the index.
SELECT * FROM sightline.place_intervals
WHERE (ended_at IS NULL OR ended_at > $1) AND started_at < $2
  AND CASE WHEN ended_at IS NULL THEN tstzrange(started_at, NULL)
       ELSE tstzrange(started_at, greatest(started_at, ended_at), '[]') END
      && tstzrange($1, greatest($1, $2), '[]')
  AND ($3::text IS NULL OR place = $3)
ORDER BY place, started_at, id;

-- name: coverage_basis
-- The one valid at $1, or the newest.
SELECT * FROM sightline.coverage_bases
WHERE $1::timestamptz IS NULL OR valid_from <= $1 ORDER BY valid_from DESC LIMIT 1;

-- name: coverage_bases
-- Those valid at some time of the half-open window from $1 to $2.
SELECT * FROM sightline.coverage_bases
WHERE valid_from < $2 AND valid_from >= coalesce(
    (SELECT max(valid_from) FROM sightline.coverage_bases WHERE valid_from <= $1), $1)
ORDER BY valid_from;

-- name: past_places
-- Places not well seen at $1, after the id $2, with the names of then.
SELECT i.place, coalesce(p.name, '') AS name,
       coalesce(sum(i.weight_lost) FILTER (WHERE i.state IN ('blind', 'partly')), 0) AS lost,
       coalesce(sum(i.weight_lost) FILTER (WHERE i.state = 'unknown'), 0) AS unknown,
       coalesce(sum(i.weight_lost) FILTER (WHERE i.state = 'unverified'), 0) AS unverified
FROM sightline.place_intervals AS i
LEFT JOIN sightline.places AS p
    ON p.id = i.place AND p.valid_from <= $1 AND (p.valid_to IS NULL OR p.valid_to > $1)
WHERE i.started_at <= $1 AND (i.ended_at IS NULL OR i.ended_at > $1)
  AND CASE WHEN i.ended_at IS NULL THEN tstzrange(i.started_at, NULL)
       ELSE tstzrange(i.started_at, greatest(i.started_at, i.ended_at), '[]') END @> $1::timestamptz
  AND ($2::text IS NULL OR i.place > $2)
GROUP BY i.place, p.name ORDER BY i.place LIMIT $3;

-- name: observed_at
-- Whether the gateway itself watched at $1.
SELECT NOT EXISTS (
    SELECT FROM sightline.gateway_gaps
    WHERE started_at <= $1 AND (ended_at IS NULL OR ended_at > $1));

-- name: past_weights
SELECT coalesce(sum(weight_lost) FILTER (WHERE state IN ('blind', 'partly')), 0) AS lost,
       coalesce(sum(weight_lost) FILTER (WHERE state = 'unknown'), 0) AS unknown,
       coalesce(sum(weight_lost) FILTER (WHERE state = 'unverified'), 0) AS unverified
FROM sightline.place_intervals
WHERE started_at <= $1 AND (ended_at IS NULL OR ended_at > $1)
  AND CASE WHEN ended_at IS NULL THEN tstzrange(started_at, NULL)
       ELSE tstzrange(started_at, greatest(started_at, ended_at), '[]') END @> $1::timestamptz;

-- ================================================================ plans

-- name: put_plan
INSERT INTO sightline.plans
    (id, name, created_at, actor, status, request, progress, finished_at, result, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, created_at = excluded.created_at, actor = excluded.actor,
    status = excluded.status, request = excluded.request, progress = excluded.progress,
    finished_at = excluded.finished_at, result = excluded.result, reason = excluded.reason;

-- name: plans
-- Without results: one may be megabytes.
SELECT id, name, created_at, actor, status, request, progress, finished_at,
       NULL::jsonb AS result, reason
FROM sightline.plans ORDER BY created_at DESC, id DESC LIMIT $1;

-- name: plan
SELECT * FROM sightline.plans WHERE id = $1;

-- name: delete_plan
DELETE FROM sightline.plans WHERE id = $1;

-- ================================================================ retention
-- Every prune_* block that takes $2 removes at most so many rows: it is repeated.

-- name: prune_blind_spots
DELETE FROM sightline.blind_spots WHERE id IN (
    SELECT id FROM sightline.blind_spots WHERE ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: prune_place_intervals
DELETE FROM sightline.place_intervals WHERE id IN (
    SELECT id FROM sightline.place_intervals WHERE ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: prune_coverage_bases
-- What was counted before the time of the rows that are kept; the one that stood then goes on.
DELETE FROM sightline.coverage_bases WHERE valid_from < (
    SELECT max(valid_from) FROM sightline.coverage_bases WHERE valid_from <= $1);

-- name: clip_coverage_bases
UPDATE sightline.coverage_bases SET valid_from = $1 WHERE valid_from < $1;
