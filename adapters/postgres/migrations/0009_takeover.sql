-- Cameras that were dead when they were taken over become somebody's work once they are accepted.

ALTER TABLE sightline.outages ADD COLUMN accepted_at timestamptz;

CREATE TABLE sightline.takeover_accepted (
    channel text COLLATE "C" PRIMARY KEY,
    at timestamptz NOT NULL,
    actor text NOT NULL,
    reason text NOT NULL
);
