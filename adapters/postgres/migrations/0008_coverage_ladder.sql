-- By which edition of the pixel densities coverage was counted; until now it was always this one.

ALTER TABLE sightline.coverage_bases ADD COLUMN ladder text NOT NULL DEFAULT 'IEC 62676-4:2015';
