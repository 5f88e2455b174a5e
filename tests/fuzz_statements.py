"""Statements gone wrong: the tokens of real statements dropped, doubled, swapped and replaced.

`corpus()` are the statements of the examples and of every file under tests/sql; `WORLD` builds the
tables, masks, model and indexes that `STATEMENTS`, one of each kind, are about.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

import numpy as np
import sqllogic

import tensorsql
from tensorsql import Connection
from tensorsql.parser.dialect import split

ROOT = Path(__file__).parent.parent
TOKEN = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|\w+|\s+|=>|::|<>|<=|>=|\|\||.", re.DOTALL)

WORLD = """
CREATE TABLE people (
    id INTEGER PRIMARY KEY, name VARCHAR NOT NULL, born DATE, paid DECIMAL(9, 2), height DOUBLE,
    alive BOOLEAN, seen TIMESTAMP
);
INSERT INTO people VALUES
    (1, 'Ada', DATE '1815-12-10', 10.50, 1.65, false, TIMESTAMP '1852-11-27 10:00:00'),
    (2, 'Grace', DATE '1906-12-09', 20.25, NULL, false, NULL),
    (3, 'Björk', DATE '1965-11-21', NULL, 1.63, true, TIMESTAMP '2020-01-01 00:00:00');
CREATE TABLE visits (id INTEGER, person INTEGER, place VARCHAR, at DATE);
INSERT INTO visits VALUES (1, 1, 'London', DATE '1840-01-01'), (2, 3, 'Oslo', NULL);
CREATE VIEW living AS SELECT name, paid FROM people WHERE alive;
CREATE TABLE images AS
SELECT index AS image_id, index % 10 AS label, BOX_XYXY(2, 3, 20, 25) AS box, value AS image
FROM read_npy('{examples}/images.npy') WHERE index < 24;
CREATE TABLE maps AS SELECT index AS id, index % 4 AS kind, mask FROM
read_masks('{examples}/saliency.npy') WHERE index < 24;
CREATE MODEL fashion FROM '{examples}/fashion.pt2' WITH (scale = 255);
CREATE INDEX maps_chi ON maps USING CHI (mask);
CREATE INDEX images_npi ON images USING NPI (fashion, 'relu3');
"""

STATEMENTS = """
SELECT p.id, upper(name) || '!' AS loud FROM people p WHERE born BETWEEN DATE '1800-01-01' AND
    DATE '1950-01-01' OR name LIKE 'B%' ORDER BY 2 DESC NULLS LAST LIMIT 2 OFFSET 1;
SELECT alive, count(*), sum(paid), avg(height), max(born) FILTER (WHERE id > 1) FROM people
    GROUP BY alive HAVING count(*) > 0;
SELECT * FROM people p LEFT JOIN visits v ON p.id = v.person AND v.at IS NOT NULL;
SELECT name, (SELECT count(*) FROM visits v WHERE v.person = p.id) FROM people p
    WHERE EXISTS (SELECT 1 FROM visits v WHERE v.person = p.id)
    AND id IN (SELECT person FROM visits);
WITH t(a) AS MATERIALIZED (SELECT 1 AS a UNION ALL SELECT id + 1 FROM people) SELECT sum(a) FROM t;
WITH a AS (SELECT id, paid * 2 AS twice FROM people), b AS (VALUES (1, 'x'), (2, NULL))
    SELECT * FROM a, b WHERE a.twice > 3 UNION ALL SELECT id, paid, 1, 'y' FROM people;
SELECT name, row_number() OVER (PARTITION BY alive ORDER BY born ROWS BETWEEN 1 PRECEDING AND
    CURRENT ROW) AS r, lag(paid, 1) OVER (ORDER BY id) FROM people QUALIFY r = 1;
SELECT CASE alive WHEN true THEN 1 ELSE 2.5 END, CAST(paid AS VARCHAR), id::DOUBLE / 3,
    EXTRACT(year FROM born), born + INTERVAL 3 MONTH, [1, 2, 3][2], {'a': 1, 'b': 'x'} FROM people;
SELECT substring(name FROM 1 FOR 2), trim(BOTH 'A' FROM name), position('a' IN name),
    round(height, 1), coalesce(paid, 0), nullif(id, 2), date_trunc('month', born) FROM people;
SELECT DISTINCT place FROM visits INTERSECT SELECT name FROM people EXCEPT SELECT 'x';
SELECT unnest([1, 2, 3]) AS u, * EXCLUDE (id) REPLACE (upper(name) AS name) FROM people;
SELECT label, count(*) FROM images GROUP BY GROUPING SETS ((label), ()) ORDER BY ALL;
SELECT id FROM maps WHERE CP(mask, -, (0.5, 1.0)) > 100
    AND CP(mask, ((3, 3), (20, 20)), (0.2, 0.6)) < 200;
SELECT id, CP(mask, ((1, 1), (14, 14)), (0.5, 1.0)) / CP(mask, -, (0.5, 1.0)) AS r FROM maps
    ORDER BY r DESC, id LIMIT 5;
SELECT kind, SUM(CP(mask, -, (0.25, 0.75))) AS s FROM maps GROUP BY kind ORDER BY s DESC LIMIT 2;
SELECT m.id, CP(m.mask, i.box, (0.5, 1.0)) FROM maps m JOIN images i ON m.id = i.image_id;
SELECT label, PREDICT(fashion, image), PREDICT(fashion, image) = label FROM images
    WHERE image_id < 6;
SELECT * FROM PREDICT(model => fashion, data => images);
SELECT * FROM TOPK_SIMILAR(data => images, model => fashion, layer => 'relu3',
    neurons => TOP_NEURONS(3), input => 5, k => 4, dist => 'l2');
SELECT * FROM TOPK_HIGHEST(data => (SELECT * FROM images WHERE label < 5), model => fashion,
    layer => 'relu3', neurons => [3, 5], k => 3, score => 'sum') t;
EXPLAIN SELECT id FROM maps WHERE CP(mask, -, (0.5, 1.0)) > 100;
EXPLAIN ANALYZE SELECT count(*) FROM people, visits WHERE people.id = visits.person;
CREATE TABLE other (a INTEGER NOT NULL, b DECIMAL(5, 2) DEFAULT 1.5, c VARCHAR[], d BOX,
    PRIMARY KEY (a));
CREATE OR REPLACE TABLE other AS SELECT id, name FROM people WHERE id > 1;
CREATE VIEW young (n, p) AS SELECT name, paid FROM people WHERE born > DATE '1900-01-01';
INSERT INTO visits (id, place) VALUES (7, 'Rome'), (8, DEFAULT);
INSERT INTO visits SELECT id, id, name, born FROM people;
UPDATE people SET paid = paid * 2, name = 'x' WHERE id = 1;
DELETE FROM visits WHERE person NOT IN (SELECT id FROM people);
DROP VIEW IF EXISTS living;
DROP TABLE visits;
DROP MODEL fashion;
DROP INDEX maps_chi;
CREATE INDEX again ON maps USING CHI (mask) WITH (cell = 7, bins = 8);
CREATE INDEX neurons ON images USING NPI (fashion, 'relu3') WITH (ratio = 0.1);
CREATE MODEL second FROM 'missing.pt2' WITH (scale = 255, output = 'class');
DESCRIBE people;
DESCRIBE MODEL fashion;
SUMMARIZE people;
SHOW TABLES;
SHOW MODELS;
SHOW INDEXES;
SHOW SETTINGS;
SET morsel_size = 100;
SET disabled_rules = 'push_down_filters';
SET neuron_search = 'nta';
RESET threads;
COPY people TO 'people.csv' (FORMAT csv, HEADER true);
COPY (SELECT id FROM people) TO 'people.parquet';
COPY visits FROM 'visits.csv' (DELIMITER ';');
SELECT * FROM read_csv('missing.csv', header => true, delim => ',');
SELECT * FROM read_parquet(['a.parquet', 'b.parquet']);
SELECT * FROM 'missing.parquet' WHERE x > 1;
SELECT * FROM read_images('images/*.png', size => [28, 28]);
SELECT * FROM range(1, 10, 2) t(i) JOIN generate_series(1, 3) s(j) ON i = j;
BEGIN TRANSACTION;
COMMIT;
ROLLBACK;
CHECKPOINT;
"""

VALUES = (
    *(
        "0",
        "1",
        "-1",
        "2147483648",
        "9223372036854775808",
        "1e308",
        "1e-400",
        "99999999999999999999",
    ),
    *(
        "170141183460469231731687303715884105728",
        "0.1",
        "NULL",
        "true",
        "''",
        "'abc'",
        "'é🙂'",
        "[]",
    ),
    *(
        "'9999-12-31'",
        "DATE '0001-01-01'",
        "INTERVAL 1 MONTH",
        "(1, 2)",
        "?",
        ":name",
        "$1",
        "*",
        "-",
    ),
    *(
        "{'a': 1}",
        "[NULL]",
        "[1, 2]",
        "'NaN'::DOUBLE",
        "1.5::DECIMAL(38, 37)",
        "(SELECT 1)",
        "now()",
    ),
    *(
        "name",
        "people",
        "images",
        "mask",
        "image",
        "box",
        "nope",
        '"no ""pe"',
        "fashion",
        "count(*)",
    ),
)
NOISE = (
    "'",
    '"',
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ";",
    ",",
    ".",
    "\x00",
    "🙂",
    "--",
    "/*",
    "\\",
    "$$",
    "@",
)


def world() -> Connection:
    """A connection with everything `STATEMENTS` mention."""
    connection = tensorsql.connect()
    connection.execute(WORLD.format(examples=ROOT / "examples"))
    connection.register("pixels", np.arange(12.0).reshape(3, 4))
    return connection


def own_statements() -> list[str]:
    """One statement of each kind over the world."""
    return [statement.strip() for statement in split(STATEMENTS)]


def corpus() -> list[str]:
    """Every statement of the examples and of the files under tests/sql."""
    found = own_statements()
    for path in sorted((ROOT / "examples").glob("*.sql")):
        found += split(path.read_text())
    for path in sorted((ROOT / "tests" / "sql").glob("*.test")):
        found += [record.sql for record in sqllogic.read(path).records]
    return [statement.strip() for statement in found]


class Mutator:
    """Makes wrong statements out of right ones; the words of all of them are its vocabulary."""

    def __init__(self, statements: list[str]) -> None:
        self._words = sorted({word for text in statements for word in _words(text)})
        self._statements = statements

    def mutate(self, random: random.Random) -> str:
        """A statement of the corpus with one to four things wrong."""
        text = random.choice(self._statements)
        for _ in range(random.choice((1, 1, 1, 2, 2, 3, 4))):
            tokens = TOKEN.findall(text) or [" "]
            text = random.choice(MUTATIONS)(self, tokens, random)
        return text

    def dropped(self, tokens: list[str], random: random.Random) -> str:
        """Without some neighbouring tokens."""
        start = random.randrange(len(tokens))
        return "".join(tokens[:start] + tokens[start + random.randrange(1, 4) :])

    def doubled(self, tokens: list[str], random: random.Random) -> str:
        """With some neighbouring tokens twice."""
        start = random.randrange(len(tokens))
        end = start + random.randrange(1, 6)
        return "".join([*tokens[:end], " ", *tokens[start:]])

    def swapped(self, tokens: list[str], random: random.Random) -> str:
        """With two tokens in each other's place."""
        words = [i for i, token in enumerate(tokens) if token.strip()] or [0]
        one, other = random.choice(words), random.choice(words)
        tokens[one], tokens[other] = tokens[other], tokens[one]
        return "".join(tokens)

    def replaced(self, tokens: list[str], random: random.Random) -> str:
        """With another word of the corpus."""
        return self._put(tokens, random.choice(self._words), random)

    def revalued(self, tokens: list[str], random: random.Random) -> str:
        """With a value at an edge of its type, or of another one."""
        return self._put(tokens, random.choice(VALUES), random)

    def misspelt(self, tokens: list[str], random: random.Random) -> str:
        """With a letter too few in one word."""
        place = random.randrange(len(tokens))
        word = tokens[place]
        cut = random.randrange(len(word))
        tokens[place] = word[:cut] + word[cut + 1 :]
        return "".join(tokens)

    def noisy(self, tokens: list[str], random: random.Random) -> str:
        """With a character that belongs elsewhere."""
        text = "".join(tokens)
        place = random.randrange(len(text) + 1)
        return text[:place] + random.choice(NOISE) + text[place:]

    def truncated(self, tokens: list[str], random: random.Random) -> str:
        """Cut off."""
        text = "".join(tokens)
        return text[: random.randrange(len(text) + 1)]

    def spliced(self, tokens: list[str], random: random.Random) -> str:
        """The beginning of one statement and the end of another."""
        other = TOKEN.findall(random.choice(self._statements)) or [" "]
        return "".join(
            tokens[: random.randrange(len(tokens) + 1)] + other[random.randrange(len(other)) :]
        )

    def _put(self, tokens: list[str], word: str, random: random.Random) -> str:
        words = [i for i, token in enumerate(tokens) if token.strip()] or [0]
        tokens[random.choice(words)] = word
        return "".join(tokens)


MUTATIONS = (
    *(Mutator.dropped, Mutator.doubled, Mutator.swapped, Mutator.replaced, Mutator.replaced),
    *(Mutator.revalued, Mutator.revalued, Mutator.revalued, Mutator.misspelt, Mutator.noisy),
    *(Mutator.truncated, Mutator.spliced),
)


def _words(text: str) -> list[str]:
    return [token for token in TOKEN.findall(text) if token.strip()]
