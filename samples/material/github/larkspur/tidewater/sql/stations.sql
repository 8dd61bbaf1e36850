-- Copyright (c) 2018 The Tidewater Authors
-- Licensed under the MIT licence.

-- The stations for which constituents were measured.
CREATE TABLE station (
    station_id   INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    latitude     REAL NOT NULL CHECK (latitude BETWEEN -90 AND 90),
    longitude    REAL NOT NULL CHECK (longitude BETWEEN -180 AND 180),
    mean_level_m REAL NOT NULL
);

CREATE TABLE constituent (
    station_id  INTEGER NOT NULL REFERENCES station,
    name        TEXT NOT NULL,
    amplitude_m REAL NOT NULL CHECK (amplitude_m >= 0),
    phase_deg   REAL NOT NULL,
    PRIMARY KEY (station_id, name)
);

-- The range at springs: the two great semi-diurnal constituents in step.
CREATE VIEW spring_range AS
SELECT s.name, 2 * SUM(c.amplitude_m) AS range_m
FROM station s
JOIN constituent c USING (station_id)
WHERE c.name IN ('M2', 'S2')
GROUP BY s.station_id;
