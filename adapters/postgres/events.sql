-- The statements of events, the outbox and the loop back. See queries.sql for how such files are
-- written.

-- ================================================================ the registry

-- name: sensors
SELECT * FROM sightline.sensors ORDER BY id;

-- name: remove_other_sensors
DELETE FROM sightline.sensors WHERE id <> ALL ($1::text[]);

-- name: put_sensors
INSERT INTO sightline.sensors AS old
SELECT * FROM unnest($1::sightline.sensors[])
ON CONFLICT (id) DO UPDATE SET
    name = excluded.name, kind = excluded.kind, topic = excluded.topic,
    longitude = excluded.longitude, latitude = excluded.latitude, township = excluded.township,
    village = excluded.village, grid = excluded.grid, maintainer = excluded.maintainer,
    contact = excluded.contact, in_use = excluded.in_use
WHERE old.* IS DISTINCT FROM excluded.*;

-- ================================================================ one batch

-- name: put_events
-- A repeat of the message alone (it comes again after a restart) takes back no count.
INSERT INTO sightline.events AS old
SELECT * FROM unnest($1::sightline.events[])
ON CONFLICT (id) DO UPDATE SET
    source = excluded.source, kind = excluded.kind, received_at = excluded.received_at,
    channel = excluded.channel, device = excluded.device, sensor = excluded.sensor,
    device_at = excluded.device_at, active = excluded.active, token = excluded.token,
    value = excluded.value, unit = excluded.unit, topic = excluded.topic, count = excluded.count,
    last_at = excluded.last_at, extra = excluded.extra
WHERE excluded.count >= old.count AND old.* IS DISTINCT FROM excluded.*;

-- name: put_event_incidents
INSERT INTO sightline.event_incidents AS old
SELECT * FROM unnest($1::sightline.event_incidents[])
ON CONFLICT (id) DO UPDATE SET
    kind = excluded.kind, severity = excluded.severity, began_at = excluded.began_at,
    last_at = excluded.last_at, ended_at = excluded.ended_at, signals = excluded.signals,
    channel = excluded.channel, sensor = excluded.sensor, longitude = excluded.longitude,
    latitude = excluded.latitude, links = excluded.links, cameras = excluded.cameras,
    first_event = excluded.first_event, last_event = excluded.last_event,
    caused_by = excluded.caused_by, note = excluded.note
WHERE old.* IS DISTINCT FROM excluded.*;

-- name: put_receipts
-- What the center said is not changed afterwards.
INSERT INTO sightline.receipts
SELECT * FROM unnest($1::sightline.receipts[])
ON CONFLICT (id) DO NOTHING;

-- name: put_work_orders
-- One that is closed or cancelled stays so: whoever writes may know only an older state.
INSERT INTO sightline.work_orders AS old
SELECT * FROM unnest($1::sightline.work_orders[])
ON CONFLICT (id) DO UPDATE SET
    key = excluded.key, channels = excluded.channels, state = excluded.state,
    created_at = excluded.created_at, created_by = excluded.created_by,
    assignee = excluded.assignee, due_at = excluded.due_at, done_at = excluded.done_at,
    closed_at = excluded.closed_at, text = excluded.text
WHERE (old.state NOT IN ('closed', 'cancelled') OR excluded.state IN ('closed', 'cancelled'))
  AND old.* IS DISTINCT FROM excluded.*;

-- name: alerts_lock
-- Whoever adds alerts waits here for the one before to commit, so that cursors become visible in
-- their order: a reader that has seen one has seen all smaller ones. Nothing else may be waited for
-- behind it: alerts come last in every transaction.
SELECT pg_advisory_xact_lock(hashtext('sightline.alerts'));

-- name: put_alerts
-- An alert that is there may be settled already: it stays as it is.
INSERT INTO sightline.alerts (id, key, revision, phase, recipient, created_at, body, state, attempts,
    next_at, delivered_at, superseded_by, reason)
SELECT id, key, revision, phase, recipient, created_at, body, state, attempts, next_at,
       delivered_at, superseded_by, reason
FROM unnest($1::sightline.alerts[])
ON CONFLICT (id) DO NOTHING;

-- ================================================================ the outbox

-- name: due_alerts
-- Of each incident the first revision that is not settled, if its time has come. The lookup of the
-- first costs the same for any number of pending ones; an anti-join is quadratic until the table
-- was analyzed.
SELECT a.* FROM sightline.alerts AS a
WHERE a.recipient = $1 AND a.state = 'pending' AND (a.next_at IS NULL OR a.next_at <= $2)
  AND a.revision = (
      SELECT min(first.revision) FROM sightline.alerts AS first
      WHERE first.recipient = a.recipient AND first.key = a.key AND first.state = 'pending')
ORDER BY a.cursor LIMIT $3;

-- name: pending_alerts
SELECT count(*) AS number, min(created_at) AS oldest_at FROM sightline.alerts
WHERE recipient = $1 AND state = 'pending';

-- name: pending_recipients
-- From the small index of what is pending; what digests gather is sent to nobody.
SELECT recipient, count(*) AS number FROM sightline.alerts
WHERE state = 'pending' AND NOT (recipient >= 'digest:' AND recipient < 'digest;')
GROUP BY recipient ORDER BY recipient;

-- name: one_alert
SELECT * FROM sightline.alerts WHERE id = $1;

-- name: settle_alerts
-- Delivered and superseded are final; a dead letter may be replayed.
UPDATE sightline.alerts AS a SET
    state = s.state, attempts = s.attempts, next_at = s.next_at, delivered_at = s.delivered_at,
    superseded_by = s.superseded_by, reason = s.reason
FROM unnest($1::text[], $2::text[], $3::integer[], $4::timestamptz[], $5::timestamptz[], $6::text[],
            $7::text[])
    AS s (id, state, attempts, next_at, delivered_at, superseded_by, reason)
WHERE a.id = s.id AND a.state IN ('pending', 'dead');

-- name: last_cursor
SELECT coalesce(max(cursor), 0) FROM sightline.alerts;

-- name: list_alerts
-- $1 behind this cursor, $2 incident key, $3 state, $5 recipient ("" = all).
SELECT * FROM sightline.alerts
WHERE cursor > $1 AND ($2::text = '' OR key = $2) AND ($3::text = '' OR state = $3)
  AND ($5::text = '' OR recipient = $5)
ORDER BY cursor LIMIT $4;

-- ================================================================ a restart

-- name: open_event_incidents
SELECT * FROM sightline.event_incidents WHERE ended_at IS NULL ORDER BY began_at, id;

-- name: recent_events
SELECT id FROM sightline.events WHERE received_at > $1 ORDER BY received_at, id;

-- name: revisions
-- Of each thread that was opened and not closed: its newest revision, and when it was told first and
-- last; of its newest message the type, and the members $1 of its data. The alerts of three years are not
-- read for it, only the small indexes of first and last words.
SELECT o.recipient, o.key, newest.revision, first.created_at AS opened_at,
       newest.created_at AS told_at, json_build_object('type', newest.body -> 'type', 'data', (
           SELECT json_object_agg(name, newest.body -> 'data' -> name)
           FROM unnest($1::text[]) AS name)) AS said
FROM (
    SELECT recipient, key FROM sightline.alerts AS a
    WHERE phase = 'open' AND NOT EXISTS (
        SELECT FROM sightline.alerts AS last
        WHERE last.phase = 'close' AND last.recipient = a.recipient AND last.key = a.key)
) AS o
CROSS JOIN LATERAL (
    SELECT created_at FROM sightline.alerts AS a
    WHERE a.recipient = o.recipient AND a.key = o.key ORDER BY a.revision LIMIT 1) AS first
CROSS JOIN LATERAL (
    SELECT revision, created_at, body FROM sightline.alerts AS a
    WHERE a.recipient = o.recipient AND a.key = o.key ORDER BY a.revision DESC LIMIT 1) AS newest;

-- name: signals_of_open
-- $1 kinds that can stand in an open incident, $2 since when each; $3 ids of first signals: these, and
-- the newest of each source. It is stepped from source to source, whatever number of rows each has. A
-- row counts repeats of one minute, so that the newest one was received in the last minute of its source.
WITH RECURSIVE wanted AS (
    SELECT * FROM unnest($1::text[], $2::timestamptz[]) AS w (kind, since)
), sources AS (
    SELECT w.kind, w.since, found.* FROM wanted AS w CROSS JOIN LATERAL (
        SELECT coalesce(e.sensor, e.channel, e.device, '') AS subject, e.token, e.received_at
        FROM sightline.events AS e WHERE e.kind = w.kind
        ORDER BY coalesce(e.sensor, e.channel, e.device, ''), e.token, e.received_at DESC
        LIMIT 1) AS found
    UNION ALL
    SELECT s.kind, s.since, found.* FROM sources AS s CROSS JOIN LATERAL (
        SELECT coalesce(e.sensor, e.channel, e.device, '') AS subject, e.token, e.received_at
        FROM sightline.events AS e
        WHERE e.kind = s.kind
          AND (coalesce(e.sensor, e.channel, e.device, ''), e.token) > (s.subject, s.token)
        ORDER BY coalesce(e.sensor, e.channel, e.device, ''), e.token, e.received_at DESC
        LIMIT 1) AS found
), ids AS (
    SELECT newest.id FROM sources AS s CROSS JOIN LATERAL (
        SELECT e.id FROM sightline.events AS e
        WHERE e.kind = s.kind AND coalesce(e.sensor, e.channel, e.device, '') = s.subject
          AND e.token = s.token AND e.received_at >= s.since
          AND e.received_at >= s.received_at - interval '1 minute'
        ORDER BY coalesce(e.last_at, e.received_at) DESC, e.received_at DESC, e.id
        LIMIT 1) AS newest
    WHERE s.received_at >= s.since
    UNION SELECT unnest($3::text[])
)
SELECT e.* FROM ids CROSS JOIN LATERAL (
    SELECT * FROM sightline.events AS one WHERE one.id = ids.id LIMIT 1) AS e
ORDER BY coalesce(e.last_at, e.received_at), e.received_at, e.id;

-- name: gathered
SELECT * FROM (
    SELECT * FROM sightline.alerts
    WHERE recipient >= 'digest:' AND recipient < 'digest;' AND state = 'pending'
    UNION ALL
    SELECT * FROM sightline.alerts
    WHERE recipient >= 'digest:' AND recipient < 'digest;' AND state <> 'pending'
      AND key = ANY ($1::text[])
) AS found ORDER BY cursor;

-- name: postures
SELECT * FROM sightline.postures WHERE until_at IS NULL OR until_at > $1 ORDER BY from_at, id;

-- name: mutes
SELECT * FROM sightline.mutes WHERE until_at > $1 ORDER BY from_at, id;

-- name: pull_points
SELECT device, reference FROM sightline.pull_points ORDER BY device;

-- ================================================================ reading
-- Pages, newest first. $1 since, $2 until, $3 open only, $4 channel, $5 sensor, $6 kind, $7 grid,
-- $8/$9 the last row before.

-- name: list_events
-- The grid of an event is that of its sensor or camera.
SELECT e.* FROM sightline.events AS e
WHERE ($1::timestamptz IS NULL OR coalesce(e.last_at, e.received_at) >= $1)
  AND ($2::timestamptz IS NULL OR e.received_at < $2)
  AND (NOT $3::boolean OR e.active IS TRUE)
  AND ($4::text IS NULL OR e.channel = $4)
  AND ($5::text IS NULL OR e.sensor = $5)
  AND ($6::text IS NULL OR e.kind = $6)
  AND ($7::text IS NULL
       OR e.sensor IN (SELECT id FROM sightline.sensors WHERE grid = $7)
       OR e.channel IN (SELECT id FROM sightline.cameras WHERE grid = $7 AND valid_to IS NULL))
  AND ($8::timestamptz IS NULL OR (e.received_at, e.id) < ($8, $9::text))
ORDER BY e.received_at DESC, e.id DESC LIMIT $10;

-- name: list_event_incidents
-- An incident is of every grid cell that it is linked to.
SELECT i.* FROM sightline.event_incidents AS i
WHERE ($1::timestamptz IS NULL OR i.ended_at IS NULL OR i.ended_at > $1)
  AND ($2::timestamptz IS NULL OR i.began_at < $2)
  AND (NOT $3::boolean OR i.ended_at IS NULL)
  AND ($4::text IS NULL OR i.channel = $4)
  AND ($5::text IS NULL OR i.sensor = $5)
  AND ($6::text IS NULL OR i.kind = $6)
  AND ($7::text IS NULL
       OR i.links @> jsonb_build_array(jsonb_build_object('grid', $7::text)))
  AND ($8::timestamptz IS NULL OR (i.began_at, i.id) < ($8, $9::text))
ORDER BY i.began_at DESC, i.id DESC LIMIT $10;

-- name: event_incident
SELECT * FROM sightline.event_incidents WHERE id = $1;

-- name: receipts
SELECT * FROM sightline.receipts WHERE key = $1 ORDER BY at, id;

-- name: receipts_of
SELECT * FROM sightline.receipts WHERE key = ANY ($1::text[]) ORDER BY at, id;

-- name: work_orders
SELECT * FROM sightline.work_orders
WHERE NOT $1::boolean OR state NOT IN ('closed', 'cancelled')
ORDER BY created_at DESC, id DESC LIMIT $2;

-- name: open_work_orders
SELECT * FROM sightline.work_orders WHERE state NOT IN ('closed', 'cancelled')
ORDER BY created_at DESC, id DESC;

-- ================================================================ people and devices

-- name: put_posture
INSERT INTO sightline.postures (id, level, area, from_at, until_at, actor, reason)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET
    level = excluded.level, area = excluded.area, from_at = excluded.from_at,
    until_at = excluded.until_at, actor = excluded.actor, reason = excluded.reason;

-- name: put_mute
INSERT INTO sightline.mutes (id, actor, reason, from_at, until_at, kind, area, key)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET
    actor = excluded.actor, reason = excluded.reason, from_at = excluded.from_at,
    until_at = excluded.until_at, kind = excluded.kind, area = excluded.area, key = excluded.key;

-- name: put_pull_point
INSERT INTO sightline.pull_points AS p (device, reference) VALUES ($1, $2)
ON CONFLICT (device) DO UPDATE SET reference = excluded.reference
WHERE p.reference <> excluded.reference;

-- name: forget_pull_point
DELETE FROM sightline.pull_points WHERE device = $1;

-- ================================================================ retention

-- name: prune_events
-- Those that an open incident goes on with after a restart stay as long as it stands.
DELETE FROM sightline.events WHERE id IN (
    SELECT id FROM sightline.events AS e
    WHERE received_at < $1 AND coalesce(last_at, received_at) < $1
      AND id NOT IN (
          SELECT unnest(ARRAY[first_event, last_event]) FROM sightline.event_incidents
          WHERE ended_at IS NULL)
    ORDER BY received_at LIMIT $2);

-- name: prune_event_incidents
DELETE FROM sightline.event_incidents WHERE id IN (
    SELECT id FROM sightline.event_incidents WHERE ended_at < $1 ORDER BY ended_at LIMIT $2);

-- name: prune_alerts
-- Only whole conversations that ended: of an open incident the newest revision is still needed.
DELETE FROM sightline.alerts AS a
USING (
    SELECT last.recipient, last.key FROM sightline.alerts AS last
    WHERE last.created_at < $1 AND last.phase = 'close'
      AND NOT EXISTS (
          SELECT FROM sightline.alerts AS other
          WHERE other.recipient = last.recipient AND other.key = last.key
            AND (other.revision > last.revision OR other.created_at >= $1
                 OR other.state = 'pending'))
    ORDER BY last.created_at LIMIT $2
) AS ended
WHERE a.recipient = ended.recipient AND a.key = ended.key;

-- name: prune_receipts
-- They stay as long as the alerts they answer.
DELETE FROM sightline.receipts WHERE id IN (
    SELECT r.id FROM sightline.receipts AS r
    WHERE r.at < $1 AND NOT EXISTS (SELECT FROM sightline.alerts AS a WHERE a.key = r.key)
    ORDER BY r.at LIMIT $2);

-- name: prune_work_orders
DELETE FROM sightline.work_orders WHERE id IN (
    SELECT id FROM sightline.work_orders
    WHERE state IN ('closed', 'cancelled') AND coalesce(closed_at, created_at) < $1 LIMIT $2);

-- name: prune_postures
DELETE FROM sightline.postures WHERE id IN (
    SELECT id FROM sightline.postures WHERE until_at < $1 LIMIT $2);

-- name: prune_mutes
DELETE FROM sightline.mutes WHERE id IN (
    SELECT id FROM sightline.mutes WHERE until_at < $1 LIMIT $2);
