-- What a restart needs is found without reading all events and alerts. What each index is for: schema.sql.

CREATE INDEX events_by_source ON sightline.events
    (kind, coalesce(sensor, channel, device, ''), token, received_at DESC);
CREATE INDEX alerts_opened ON sightline.alerts (recipient, key) WHERE phase = 'open';
CREATE INDEX alerts_closed ON sightline.alerts (recipient, key) WHERE phase = 'close';
CREATE INDEX alerts_gathered ON sightline.alerts (key)
    WHERE recipient >= 'digest:' AND recipient < 'digest;';
