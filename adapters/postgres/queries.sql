-- The statements of the PostgreSQL store: one block each, opened by "-- name:".
-- Batches come as arrays of whole rows (a table is also a type), so that each statement is sent
-- once a batch, and rows that would not change are not written.

-- ================================================================ migrations

-- name: migration_lock
-- One migrator at a time, for as long as its transaction lasts.
SELECT pg_advisory_xact_lock(hashtext('sightline.migrate'));

-- name: migration_home
-- Where applied migrations are written down. The rest of the schema is made by the migrations.
CREATE SCHEMA IF NOT EXISTS sightline;
CREATE TABLE IF NOT EXISTS sightline.migrations (
    name text COLLATE "C" PRIMARY KEY,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- name: migration_home_exists
SELECT to_regclass('sightline.migrations') IS NOT NULL;

-- name: migrations_applied
SELECT name, checksum FROM sightline.migrations ORDER BY name;

-- name: migration_done
INSERT INTO sightline.migrations (name, checksum) VALUES ($1, $2);

-- name: ping
SELECT 1;

-- ================================================================ the one service

-- name: claim
-- Held by the session until it ends; `pid` and `since` name the session.
SELECT pg_try_advisory_lock(hashtext('sightline.service')) AS taken, pid, backend_start AS since
FROM pg_stat_activity WHERE pid = pg_backend_pid();

-- name: claim_end_former
-- The session that held the claim for this process before, if the server still keeps it.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND backend_start = $2;

-- ================================================================ the archive

-- name: import_lock
-- One import at a time.
SELECT pg_advisory_xact_lock(hashtext('sightline.import'));

-- name: archive_divisions
-- Every archive_* block: the versions valid at $1, or the current ones without it, in the order of
-- the archive; what is no longer in it comes last.
SELECT code, name, parent
FROM sightline.divisions
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'divisions'))
    WITH ORDINALITY AS o (key, place) ON o.key = code COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, code;

-- name: archive_nodes
SELECT id, kind, name, parent, maintainer, carrier, contact
FROM sightline.nodes
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'nodes'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_devices
SELECT id, host, port, node, tls, check_by, path, credential_set, serial, mac, manufacturer, model
FROM sightline.devices
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'devices'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_cameras
SELECT id, device, name, source_token, township, village, grid, manufacturer, model, longitude,
       latitude, in_use, maintainer, carrier, contact, archive
FROM sightline.cameras
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'cameras'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_grids
-- $2: with their shapes.
SELECT id, name, village,
       CASE WHEN $2::boolean THEN polygons ELSE '[]' END AS polygons, beat, posts
FROM sightline.grids
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'grids'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_windows
SELECT id, target, starts_at, ends_at, reason, daily_from_s, daily_to_s
FROM sightline.windows
LEFT JOIN unnest((SELECT ids FROM sightline.archive_order WHERE kind = 'windows'))
    WITH ORDINALITY AS o (key, place) ON o.key = id COLLATE "C"
WHERE CASE WHEN $1::timestamptz IS NULL THEN valid_to IS NULL
      ELSE valid_from <= $1 AND (valid_to IS NULL OR valid_to > $1) END
ORDER BY place, id;

-- name: archive_latest
-- The newest version of anything: a new one must be younger, also when the clock was moved back.
SELECT max(latest) FROM (
    SELECT max(valid_from) AS latest FROM sightline.divisions
    UNION ALL SELECT max(valid_from) FROM sightline.nodes
    UNION ALL SELECT max(valid_from) FROM sightline.devices
    UNION ALL SELECT max(valid_from) FROM sightline.cameras
    UNION ALL SELECT max(valid_from) FROM sightline.grids
    UNION ALL SELECT max(valid_from) FROM sightline.windows
    UNION ALL SELECT max(valid_to) FROM sightline.divisions
    UNION ALL SELECT max(valid_to) FROM sightline.nodes
    UNION ALL SELECT max(valid_to) FROM sightline.devices
    UNION ALL SELECT max(valid_to) FROM sightline.cameras
    UNION ALL SELECT max(valid_to) FROM sightline.grids
    UNION ALL SELECT max(valid_to) FROM sightline.windows
) AS versions;

-- name: retire_divisions
-- Every retire_* block: the current versions of the keys $1 end at $2.
UPDATE sightline.divisions SET valid_to = $2 WHERE code = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_nodes
UPDATE sightline.nodes SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_devices
UPDATE sightline.devices SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_cameras
UPDATE sightline.cameras SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_grids
UPDATE sightline.grids SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: retire_windows
UPDATE sightline.windows SET valid_to = $2 WHERE id = ANY ($1::text[]) AND valid_to IS NULL;

-- name: put_archive_order
INSERT INTO sightline.archive_order AS o (kind, ids) VALUES ($1, $2)
ON CONFLICT (kind) DO UPDATE SET ids = excluded.ids WHERE o.ids IS DISTINCT FROM excluded.ids;

-- name: add_import
INSERT INTO sightline.imports (id, at, actor, files, counts, repairs, unknown_columns)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING;

-- name: imports
SELECT id, at, actor, files, counts, repairs, unknown_columns
FROM sightline.imports ORDER BY at DESC, id DESC LIMIT $1;

-- name: credentials
SELECT name, sealed FROM sightline.credentials ORDER BY name;

-- name: put_credentials
INSERT INTO sightline.credentials AS c (name, sealed)
SELECT * FROM unnest($1::text[], $2::bytea[])
ON CONFLICT (name) DO UPDATE SET sealed = excluded.sealed, saved_at = now()
WHERE c.sealed <> excluded.sealed;

-- ================================================================ one judged batch

-- name: put_sequence
-- First in every batch: batches queue here, so that two never run into each other.
INSERT INTO sightline.sequence AS s (value) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET value = greatest(s.value, excluded.value);

-- name: put_outages
-- Closed rows come first in the array: a channel's next row may open in the same batch.
INSERT INTO sightline.outages AS old
SELECT * FROM unnest($1::sightline.outages[])
ON CONFLICT (id) DO UPDATE SET
    channel = excluded.channel, cause = excluded.cause, last_seen_at = excluded.last_seen_at,
    failed_at = excluded.failed_at, confirmed_at = excluded.confirmed_at,
    last_failed_at = excluded.last_failed_at, ended_at = excluded.ended_at,
    bad_s = excluded.bad_s, unobserved_s = excluded.unobserved_s, reason = excluded.reason,
    incident = excluded.incident, flapping = excluded.flapping, planned = excluded.planned,
    takeover = excluded.takeover, ending = excluded.ending, clock_suspect = excluded.clock_suspect,
    accepted_at = excluded.accepted_at
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_faults
-- Closed rows come first, as above.
INSERT INTO sightline.faults AS old
SELECT * FROM unnest($1::sightline.faults[])
ON CONFLICT (id) DO UPDATE SET
    channel = excluded.channel, cause = excluded.cause, last_seen_at = excluded.last_seen_at,
    failed_at = excluded.failed_at, confirmed_at = excluded.confirmed_at,
    last_failed_at = excluded.last_failed_at, ended_at = excluded.ended_at,
    unobserved_s = excluded.unobserved_s, reason = excluded.reason, planned = excluded.planned,
    ending = excluded.ending, clock_suspect = excluded.clock_suspect
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_incidents
INSERT INTO sightline.incidents AS old
SELECT * FROM unnest($1::sightline.incidents[])
ON CONFLICT (id) DO UPDATE SET
    root = excluded.root, cause = excluded.cause, began_after_at = excluded.began_after_at,
    began_at = excluded.began_at, confirmed_at = excluded.confirmed_at,
    ended_at = excluded.ended_at, children = excluded.children,
    open_children = excluded.open_children, planned = excluded.planned,
    merged_into = excluded.merged_into, split_from = excluded.split_from, ending = excluded.ending
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_gateway_gaps
INSERT INTO sightline.gateway_gaps AS old
SELECT * FROM unnest($1::sightline.gateway_gaps[])
ON CONFLICT (id) DO UPDATE SET
    reason = excluded.reason, started_at = excluded.started_at, ended_at = excluded.ended_at
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_channel_state
INSERT INTO sightline.channel_state AS old
SELECT * FROM unnest($1::sightline.channel_state[])
ON CONFLICT (channel) DO UPDATE SET
    state = excluded.state, since_at = excluded.since_at, first_good_at = excluded.first_good_at,
    last_good_at = excluded.last_good_at
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_clock_steps
INSERT INTO sightline.clock_steps AS old
SELECT * FROM unnest($1::sightline.clock_steps[])
ON CONFLICT (id) DO UPDATE SET noticed_at = excluded.noticed_at, step_s = excluded.step_s
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_rollups
INSERT INTO sightline.rollups AS old
SELECT * FROM unnest($1::sightline.rollups[])
ON CONFLICT (day, channel) DO UPDATE SET
    good_s = excluded.good_s, bad_s = excluded.bad_s, bad_upstream_s = excluded.bad_upstream_s,
    maintenance_s = excluded.maintenance_s, unobserved_s = excluded.unobserved_s,
    degraded_s = excluded.degraded_s, probes = excluded.probes,
    rtt_p50_ms = excluded.rtt_p50_ms, rtt_p95_ms = excluded.rtt_p95_ms
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_device_memory
INSERT INTO sightline.device_memory AS old
SELECT * FROM unnest($1::sightline.device_memory[])
ON CONFLICT (device) DO UPDATE SET
    scheme = excluded.scheme, refused_at = excluded.refused_at, keeps = excluded.keeps,
    secret_tag = excluded.secret_tag
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_watched_until
INSERT INTO sightline.watched_until (at) VALUES ($1)
ON CONFLICT (one) DO UPDATE SET at = excluded.at;

-- ================================================================ a restart

-- name: open_outages
SELECT * FROM sightline.outages WHERE ended_at IS NULL ORDER BY failed_at, id;

-- name: open_faults
SELECT * FROM sightline.faults WHERE ended_at IS NULL ORDER BY failed_at, id;

-- name: open_incidents
SELECT * FROM sightline.incidents WHERE ended_at IS NULL ORDER BY began_at, id;

-- name: open_gateway_gaps
SELECT * FROM sightline.gateway_gaps WHERE ended_at IS NULL ORDER BY started_at, id;

-- name: channel_state
SELECT * FROM sightline.channel_state ORDER BY channel;

-- name: device_memory
SELECT * FROM sightline.device_memory ORDER BY device;

-- name: watched_until
SELECT at FROM sightline.watched_until;

-- name: sequence
SELECT value FROM sightline.sequence;

-- ================================================================ reading the ledger
-- Pages, newest first. $1 since, $2 until (rows that overlap the half-open window), $3 open only,
-- $4 channel, $5 township, $6 cause, $7 incident, $8 merged ones too, $9/$10 the last row before,
-- $12 channels (of outages and faults).

-- name: list_outages
SELECT o.* FROM sightline.outages AS o
WHERE ($1::timestamptz IS NULL OR o.ended_at IS NULL OR o.ended_at > $1)
  AND ($2::timestamptz IS NULL OR o.failed_at < $2)
  AND (NOT $3::boolean OR o.ended_at IS NULL)
  AND ($4::text IS NULL OR o.channel = $4)
  AND ($5::text IS NULL OR o.channel IN (
      SELECT id FROM sightline.cameras WHERE township = $5 AND valid_to IS NULL))
  AND ($6::text IS NULL OR o.cause = $6)
  AND ($7::text IS NULL OR o.incident = $7)
  AND $8::boolean IS NOT NULL
  AND ($9::timestamptz IS NULL OR (o.failed_at, o.id) < ($9, $10::text))
  AND ($12::text[] IS NULL OR o.channel IN (SELECT unnest($12::text[])))
ORDER BY o.failed_at DESC, o.id DESC LIMIT $11;

-- name: list_faults
-- A fault belongs to no incident: $7 does not apply.
SELECT f.* FROM sightline.faults AS f
WHERE ($1::timestamptz IS NULL OR f.ended_at IS NULL OR f.ended_at > $1)
  AND ($2::timestamptz IS NULL OR f.failed_at < $2)
  AND (NOT $3::boolean OR f.ended_at IS NULL)
  AND ($4::text IS NULL OR f.channel = $4)
  AND ($5::text IS NULL OR f.channel IN (
      SELECT id FROM sightline.cameras WHERE township = $5 AND valid_to IS NULL))
  AND ($6::text IS NULL OR f.cause = $6)
  AND ($7::text IS NULL OR $8::boolean IS NOT NULL)
  AND ($9::timestamptz IS NULL OR (f.failed_at, f.id) < ($9, $10::text))
  AND ($12::text[] IS NULL OR f.channel IN (SELECT unnest($12::text[])))
ORDER BY f.failed_at DESC, f.id DESC LIMIT $11;

-- name: list_incidents
-- An incident is of a channel or township when its root is, or one of its outages.
SELECT i.* FROM sightline.incidents AS i
WHERE ($1::timestamptz IS NULL OR i.ended_at IS NULL OR i.ended_at > $1)
  AND ($2::timestamptz IS NULL OR i.began_at < $2)
  AND (NOT $3::boolean OR i.ended_at IS NULL)
  AND ($4::text IS NULL OR i.root = $4
       OR EXISTS (SELECT FROM sightline.outages AS o WHERE o.incident = i.id AND o.channel = $4))
  AND ($5::text IS NULL
       OR i.root = ANY (ARRAY(
           SELECT id FROM sightline.cameras WHERE township = $5 AND valid_to IS NULL))
       OR EXISTS (
           SELECT FROM sightline.outages AS o
           WHERE o.incident = i.id AND o.channel = ANY (ARRAY(
               SELECT id FROM sightline.cameras WHERE township = $5 AND valid_to IS NULL))))
  AND ($6::text IS NULL OR i.cause = $6)
  AND ($7::text IS NULL OR i.id = $7 OR i.merged_into = $7 OR i.split_from = $7)
  AND ($8::boolean OR i.merged_into IS NULL)
  AND ($12::text[] IS NULL OR $8::boolean IS NOT NULL)
  AND ($9::timestamptz IS NULL OR (i.began_at, i.id) < ($9, $10::text))
ORDER BY i.began_at DESC, i.id DESC LIMIT $11;

-- name: list_gaps
-- A gap of the gateway has no channel, township, cause or incident: $4 to $8 do not apply.
SELECT g.* FROM sightline.gateway_gaps AS g
WHERE ($1::timestamptz IS NULL OR g.ended_at IS NULL OR g.ended_at > $1)
  AND ($2::timestamptz IS NULL OR g.started_at < $2)
  AND (NOT $3::boolean OR g.ended_at IS NULL)
  AND ($4::text IS NULL OR $5::text IS NULL OR $6::text IS NULL OR $7::text IS NULL
       OR $8::boolean IS NOT NULL)
  AND ($12::text[] IS NULL OR $8::boolean IS NOT NULL)
  AND ($9::timestamptz IS NULL OR (g.started_at, g.id) < ($9, $10::text))
ORDER BY g.started_at DESC, g.id DESC LIMIT $11;

-- name: outage
SELECT * FROM sightline.outages WHERE id = $1;

-- name: incident
SELECT * FROM sightline.incidents WHERE id = $1;

-- name: rollups
SELECT * FROM sightline.rollups
WHERE day BETWEEN $1 AND $2 AND ($3::text IS NULL OR channel = $3)
ORDER BY day, channel;

-- name: rollup_portion
-- Some rows of the day $1, behind the channel $2.
SELECT * FROM sightline.rollups WHERE day = $1 AND channel > $2 ORDER BY channel LIMIT $3;

-- name: day_seconds
-- The same rows added up.
SELECT r.channel, r.day, s.*
FROM (
    SELECT * FROM sightline.rollups WHERE day = $1 AND channel > $2 ORDER BY channel LIMIT $3
) AS r
CROSS JOIN LATERAL (
    SELECT sum(u.good::float8) AS good_s, sum(u.bad::float8) AS bad_s,
           sum(u.bad_upstream::float8) AS bad_upstream_s,
           sum(u.maintenance::float8) AS maintenance_s,
           sum(u.unobserved::float8) AS unobserved_s, sum(u.degraded::float8) AS degraded_s
    FROM unnest(r.good_s, r.bad_s, r.bad_upstream_s, r.maintenance_s, r.unobserved_s, r.degraded_s)
        AS u (good, bad, bad_upstream, maintenance, unobserved, degraded)
) AS s
ORDER BY r.channel;

-- ================================================================ people

-- name: add_note
INSERT INTO sightline.incident_notes (id, incident, at, actor, kind, text, until)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO NOTHING;

-- name: notes
SELECT * FROM sightline.incident_notes WHERE incident = ANY ($1::text[]) ORDER BY at, id;

-- name: accepted
SELECT * FROM sightline.takeover_accepted ORDER BY channel;

-- name: put_takeover_accepted
-- The first acceptance of a camera stands.
INSERT INTO sightline.takeover_accepted
SELECT * FROM unnest($1::sightline.takeover_accepted[])
ON CONFLICT (channel) DO NOTHING;

-- name: tokens
SELECT * FROM sightline.tokens ORDER BY created_at, id;

-- name: put_token
INSERT INTO sightline.tokens (id, name, role, digest, created_at, expires_at, revoked_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, role = excluded.role, digest = excluded.digest,
    created_at = excluded.created_at, expires_at = excluded.expires_at,
    revoked_at = excluded.revoked_at;

-- name: append_audit
-- The line is looked for first, so that a repeated write burns no number: a gap looks like a theft.
INSERT INTO sightline.audit
    (at, actor, role, action, target, result, detail, address, fingerprint)
SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9
WHERE NOT EXISTS (SELECT FROM sightline.audit WHERE fingerprint = $9)
ON CONFLICT (fingerprint) DO NOTHING;

-- name: audit
SELECT id, at, actor, role, action, target, result, detail, address FROM sightline.audit
WHERE $2::bigint IS NULL OR id < $2
ORDER BY id DESC LIMIT $1;

-- name: prune_audit
SELECT sightline.prune_audit($1);

-- name: prune_rollups
DELETE FROM sightline.rollups WHERE day < $1;

-- ================================================================ backup

-- name: backup_snapshot
-- All tables as of one moment.
SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY;

-- name: tables
-- The tables of the schema and their columns, in order.
SELECT c.relname AS name, array_agg(a.attname::text ORDER BY a.attnum) AS columns
FROM pg_class AS c
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relnamespace = 'sightline'::regnamespace AND c.relkind = 'r'
GROUP BY c.relname ORDER BY c.relname;

-- name: is_empty
-- Nothing was ever written here.
SELECT NOT EXISTS (SELECT FROM sightline.imports)
   AND NOT EXISTS (SELECT FROM sightline.sequence)
   AND NOT EXISTS (SELECT FROM sightline.audit)
   AND NOT EXISTS (SELECT FROM sightline.tokens)
   AND NOT EXISTS (SELECT FROM sightline.credentials)
   AND NOT EXISTS (SELECT FROM sightline.coverage_progress)
   AND NOT EXISTS (SELECT FROM sightline.plans)
   AND NOT EXISTS (SELECT FROM sightline.sensors)
   AND NOT EXISTS (SELECT FROM sightline.events)
   AND NOT EXISTS (SELECT FROM sightline.alerts)
   AND NOT EXISTS (SELECT FROM sightline.work_orders)
   AND NOT EXISTS (SELECT FROM sightline.postures)
   AND NOT EXISTS (SELECT FROM sightline.mutes);

-- name: restore_audit_numbers
-- The next line of the audit log goes on after the last one restored.
SELECT setval(pg_get_serial_sequence('sightline.audit', 'id'),
              (SELECT coalesce(max(id), 0) + 1 FROM sightline.audit), false);

-- name: restore_cursors
-- The next alert goes on behind the last one restored.
SELECT setval(pg_get_serial_sequence('sightline.alerts', 'cursor'),
              (SELECT coalesce(max(cursor), 0) + 1 FROM sightline.alerts), false);

-- ================================================================ the embedded server

-- name: has_database
SELECT EXISTS (SELECT FROM pg_database WHERE datname = 'sightline');

-- name: create_database
CREATE DATABASE sightline;
