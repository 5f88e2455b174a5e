-- The tables of the rules' golden files; `pixels` is registered by the test.
CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, city INTEGER, born DATE);
CREATE TABLE cities (id INTEGER PRIMARY KEY, country INTEGER, label VARCHAR);
CREATE TABLE countries (id INTEGER PRIMARY KEY, label VARCHAR);
CREATE TABLE visits (person INTEGER, city INTEGER, day DATE, paid DECIMAL(9, 2));

INSERT INTO people SELECT i, 'p' || i, i % 20, DATE '1990-01-01' + i::INTEGER FROM range(200) t(i);
INSERT INTO cities SELECT i, i % 4, 'c' || i FROM range(20) t(i);
INSERT INTO countries SELECT i, 'k' || i FROM range(4) t(i);
INSERT INTO visits
  SELECT i % 200, i % 20, DATE '2020-01-01' + (i % 300)::INTEGER, i::DECIMAL(9, 2) FROM range(2000) t(i);
CREATE TABLE maps AS SELECT id::INTEGER AS id, mask FROM pixels;
CREATE INDEX maps_chi ON maps USING CHI (mask) WITH (cell = 4, bins = 4);
CREATE TABLE readings AS
  SELECT i::INTEGER AS id, (i % 200)::INTEGER AS person, (i % 100)::INTEGER AS value FROM range(10000) t(i);
