-- Whom to inform about a grid cell. What each column means: schema.sql.

ALTER TABLE sightline.grids
    ADD COLUMN beat text NOT NULL DEFAULT '',
    ADD COLUMN posts jsonb NOT NULL DEFAULT '{}';
ALTER TABLE sightline.grids
    ALTER COLUMN beat DROP DEFAULT,
    ALTER COLUMN posts DROP DEFAULT;
