"""Text to trees: every form of the language, and every way to get it wrong."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
from sqlglot import exp

from tensorsql.errors import ParseError, UnsupportedError
from tensorsql.parser import syntax
from tensorsql.parser.dialect import DIALECT, is_complete, parse, position, split
from tensorsql.parser.door import CHECKS, first_problem, nodes_of
from tensorsql.parser.statement_parser import REFUSED

TPCH = sorted((Path(__file__).parent.parent / "tpch" / "queries").glob("q*.sql"))

LANGUAGE = """
SELECT *, CP(mask, roi, (0.85, 1.0)) AS val FROM masks
  WHERE CP(mask, ((50,50),(200,200)), (0.6, 1.0)) > 5000 ORDER BY val DESC LIMIT 25;
SELECT image_id, CP(mask, roi, (0.85,1.0)) / CP(mask, -, (0.85,1.0)) AS r FROM masks
  ORDER BY r LIMIT 25;
SELECT image_id, CP(INTERSECT(mask > 0.7), -, (0.7, 1.0)) AS s FROM masks
  WHERE mask_type IN (1, 2) GROUP BY image_id HAVING s > 10 ORDER BY s DESC LIMIT 10;
SELECT CP(UNION(mask > 0.5), FULL, (0, 1)), CP(INTERSECT(mask), roi, (0, 1)), CP(UNION(mask), -,
  (0, 1)), CP(AVG(mask), -, (0, 1)) FROM masks GROUP BY image_id;
SELECT image_id, AVG(CP(mask, box, (0.8, 1.0))) AS m FROM masks GROUP BY image_id
  ORDER BY m DESC LIMIT 25;
CREATE INDEX masks_chi ON masks USING CHI (mask) WITH (cell = 28, bins = 20);
SELECT d.label, t.* FROM TOPK_SIMILAR(data => digits, model => cnn, layer => 'fc1',
  neurons => [3, 17, 42], input => 659, k => 20, dist => 'l2') t JOIN digits d ON d.id = t.input_id;
SELECT * FROM TOPK_HIGHEST(data => (SELECT * FROM digits WHERE label = 7), model => cnn,
  layer => 'conv2', neurons => [5], k => 20);
SELECT * FROM TOPK_SIMILAR(data => d, model => cnn, layer => 'fc1', neurons => TOP_NEURONS(3),
  input => 1, k => 5, theta => 0.9, include_target => true, image => pixels, id => key);
SELECT * FROM TOPK_HIGHEST(data => d, model => cnn, layer => 'c', neurons => CHANNEL(5), k => 1),
  TOPK_HIGHEST(data => d, model => cnn, layer => 'c', neurons => POSITION(1, 2), k => 1),
  TOPK_HIGHEST(data => d, model => cnn, layer => 'c', neurons => RANGE(0, 9), k => ?);
CREATE INDEX digits_fc1 ON digits USING NPI (cnn, 'fc1') WITH (budget = 0.2);
SELECT neuron_id, AVG(activation) FROM ACTIVATIONS(data => digits, model => cnn, layer => 'fc1')
  GROUP BY neuron_id;
CREATE MODEL churn FROM 'churn.json'; SHOW MODELS; DESCRIBE MODEL cnn; DROP MODEL churn;
SELECT c_custkey, PREDICT(churn, c_acctbal, c_nationkey) AS p FROM customer;
SELECT PREDICT(m, *), PREDICT_PROBA(m, *), PREDICT_PROBA(m, a, class => 'x') FROM t;
SELECT * FROM PREDICT(MODEL = churn, DATA = customer AS c);
SELECT AREA(mask, roi), AREA(roi), IOU(a.mask > 0.5, b.mask > 0.5), IOU(mask > 0.5, roi),
  BOX_XYXY(0, 0, 5, 5), BOX_XYWH(x, y, w, h) FROM a JOIN b USING (id);
SELECT * FROM read_masks('m/*.npy', scale => 255), read_npy('x.npy'), read_images('*.png'),
  read_parquet('p'), read_csv('c', header => true), read_json('j');
EXPLAIN (ANALYZE, PROFILE 'f.json') SELECT 1;
SELECT * FROM a JOIN b ON a.x = b.x LEFT JOIN c USING (y) RIGHT JOIN d ON true CROSS JOIN e
  FULL JOIN f USING (z) NATURAL JOIN g SEMI JOIN h USING (x) ANTI JOIN i USING (x);
SELECT (SELECT max(a) FROM t), EXISTS (SELECT 1), x IN (SELECT 1), x > ALL (SELECT 1) FROM u;
WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT * FROM r;
SELECT 1 UNION SELECT 2 EXCEPT SELECT 3 INTERSECT ALL SELECT 4;
SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b ORDER BY c ROWS 3 PRECEDING);
SELECT a, sum(b) FROM t GROUP BY GROUPING SETS ((a), ());
SELECT DISTINCT ON (a) a, b FROM t ORDER BY a;
SELECT a FROM t QUALIFY row_number() OVER (PARTITION BY a ORDER BY b) = 1;
VALUES (1, 'a'), (2, 'b');
CREATE TABLE t (a INTEGER PRIMARY KEY, b VARCHAR(9) NOT NULL DEFAULT 'x', c DECIMAL(10, 2) UNIQUE,
  d BOX, e MASK, f MASK(255), g TENSOR(1, 28, 28), h ENUM('a', 'b'), i INTEGER[],
  j STRUCT(x INTEGER, y DOUBLE), PRIMARY KEY (a, b));
CREATE OR REPLACE TEMP TABLE t AS SELECT 1; DROP TABLE IF EXISTS t; CREATE VIEW v AS FROM t;
INSERT INTO t (a, b) VALUES (1, 2), (3, 4); INSERT INTO t SELECT * FROM u;
UPDATE t SET a = 1, b = b + 1 WHERE c; DELETE FROM t WHERE a = 1; DELETE FROM t;
COPY t TO 'f.parquet' (FORMAT parquet); COPY t (a, b) FROM 'f.csv'; COPY (SELECT 1) TO 'f.csv';
BEGIN; COMMIT; ROLLBACK;
EXPLAIN SELECT 1; EXPLAIN ANALYZE SELECT 1; SHOW TABLES; DESCRIBE t; SUMMARIZE t;
SET threads = 4; RESET threads;
SELECT * FROM 'file.parquet'; FROM t; FROM t SELECT a WHERE b;
SELECT a, count(*) FROM t GROUP BY ALL ORDER BY ALL;
SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM t, LATERAL (SELECT t.a) u, LATERAL f(t.a) v;
"""


def shape(node: object) -> str:
    """A tree as short text: `GT(a, 5)`; columns, names, words and literals as written."""
    if isinstance(node, exp.Literal):
        return repr(node.this) if node.is_string else node.this
    if isinstance(node, exp.Column):
        return ".".join(part.name if part.name else shape(part) for part in node.parts)
    if isinstance(node, (exp.Identifier, exp.Var)):
        return node.name
    if isinstance(node, exp.Expr):
        values = [v for k, v in node.args.items() if v not in (None, False, []) and k not in HIDDEN]
        return f"{type(node).__name__}({', '.join(map(shape, values))})"
    if isinstance(node, list):
        return f"[{', '.join(map(shape, node))}]"
    return str(node)


HIDDEN = ("value_constructor", "safe", "typed", "nested")

EXPRESSIONS = {
    "a / b": "Div(a, b)",
    "a // b": "IntDiv(a, b)",
    "a % b": "Mod(a, b)",
    "a ** 2": "Pow(a, 2)",
    "a || b": "DPipe(a, b)",
    "-1": "Neg(1)",
    "a - -b": "Sub(a, Neg(b))",
    "(a)": "Paren(a)",
    "(1, 2)": "Tuple([1, 2])",
    "DATE '1994-01-01'": "Cast('1994-01-01', DataType(DType.DATE))",
    "INTERVAL '3' month": "Interval('3', MONTH)",
    "INTERVAL 3 MONTH": "Interval('3', MONTH)",
    "INTERVAL (a) DAY": "Interval(Paren(a), DAY)",
    "EXTRACT(year FROM d)": "Extract(YEAR, d)",
    "year(d)": "Anonymous(year, [d])",
    "SUBSTRING(a FROM 1 FOR 2)": "Substring(a, 1, 2)",
    "SUBSTRING(a, 1, 2)": "Substring(a, 1, 2)",
    "SUBSTR(a, 1)": "Anonymous(SUBSTR, [a, 1])",
    "TRIM(a)": "Trim(a)",
    "POSITION('a' IN b)": "StrPosition(b, 'a')",
    "POSITION(1, 2)": "Anonymous(POSITION, [1, 2])",
    "RANGE(1, 2)": "Anonymous(RANGE, [1, 2])",
    "COUNT(*)": "Anonymous(COUNT, [Star()])",
    "COUNT(DISTINCT a)": "Anonymous(COUNT, [Distinct([a])])",
    "min(a)": "Anonymous(min, [a])",
    "coalesce(a, 1)": "Anonymous(coalesce, [a, 1])",
    "sum(a) FILTER (WHERE b)": "Filter(Anonymous(sum, [a]), Where(b))",
    "string_agg(a, ',')": "GroupConcat(a, ',')",
    "x IN (1, 2)": "In(x, [1, 2])",
    "x NOT IN (1)": "Not(In(x, [1]))",
    "x IN (FROM t)": "In(x, Subquery(Select([Star()], From(Table(t)))))",
    "x = ANY (SELECT 1)": "EQ(x, Any(Subquery(Select([1]))))",
    "x > ALL (SELECT 1)": "GT(x, All(Select([1])))",
    "EXISTS (SELECT 1)": "Exists(Select([1]))",
    "(SELECT 1)": "Subquery(Select([1]))",
    "a LIKE 'x' ESCAPE '!'": "Escape(Like(a, 'x'), '!')",
    "a NOT LIKE 'x'": "Not(Like(a, 'x'))",
    "a ILIKE 'x'": "ILike(a, 'x')",
    "a IS NOT NULL": "Not(Is(a, Null()))",
    "a IS DISTINCT FROM b": "NullSafeNEQ(a, b)",
    "a BETWEEN 1 AND 2 AND b": "And(Between(a, 1, 2), b)",
    "CASE a WHEN 1 THEN 2 ELSE 3 END": "Case(a, [If(1, 2)], 3)",
    "a::INTEGER": "Cast(a, DataType(DType.INT))",
    "a::MASK(255)": "Cast(a, DataType(DType.USERDEFINED, MASK, [DataTypeParam(255)]))",
    "[1, 2]": "Array([1, 2])",
    "{'a': 1}": "Struct([PropertyEQ(a, 1)])",
    "a[1]": "Bracket(a, [1])",
    "t.a": "t.a",
    "?": "Placeholder()",
    "$1": "Placeholder(1)",
    "$name": "Placeholder(name)",
    ":name": "Placeholder(name)",
    "CP(mask, -, (0.5, 1.0))": "Anonymous(CP, [mask, FullRoi(), Tuple([0.5, 1.0])])",
    "CP(mask, FULL, (0.5, 1.0))": "Anonymous(CP, [mask, FullRoi(), Tuple([0.5, 1.0])])",
    "CP(m, ((1,2),(3,4)), b)": "Anonymous(CP, [m, Tuple([Tuple([1, 2]), Tuple([3, 4])]), b])",
    "CP(INTERSECT(m > 0.7), r, b)": "Anonymous(CP, [MaskAggregate(GT(m, 0.7), intersect), r, b])",
    "CP(UNION(m), r, b)": "Anonymous(CP, [MaskAggregate(m, union), r, b])",
    "CP(AVG(m), r, b)": "Anonymous(CP, [Anonymous(AVG, [m]), r, b])",
    "AREA(mask, -)": "Anonymous(AREA, [mask, FullRoi()])",
    "PREDICT(m, *)": "Anonymous(PREDICT, [m, Star()])",
    "PREDICT_PROBA(m, a, class => 'x')": "Anonymous(PREDICT_PROBA, [m, a, Kwarg(class, 'x')])",
}

RELATIONS = {
    "t": "Table(t)",
    "main.t AS u": "Table(t, main, TableAlias(u))",
    "'f.parquet' p": "Table(f.parquet, TableAlias(p))",
    "f()": "Table(Anonymous(f))",
    "f(1, n => 2) AS t(x)": "Table(Anonymous(f, [1, Kwarg(n, 2)]), TableAlias(t, [x]))",
    "range(3)": "Table(Anonymous(range, [3]))",
    "read_csv('c', HEADER => 1)": "Table(Anonymous(read_csv, ['c', Kwarg(header, 1)]))",
    "T(data => digits, k => 2)": "Table(Anonymous(T, [Kwarg(data, Table(digits)), Kwarg(k, 2)]))",
    "T(data => (FROM d) AS x)": "Table(Anonymous(T, [Kwarg(data, Subquery(Select([Star()], "
    "From(Table(d))), TableAlias(x)))]))",
    "T(n => POSITION(1, 2))": "Table(Anonymous(T, [Kwarg(n, Anonymous(POSITION, [1, 2]))]))",
    "T(model => cnn, neurons => [3, 17])": "Table(Anonymous(T, [Kwarg(model, cnn), "
    "Kwarg(neurons, Array([3, 17]))]))",
    "PREDICT(MODEL = m, DATA = customer AS c)": "Table(Anonymous(PREDICT, [Kwarg(model, m), "
    "Kwarg(data, Table(customer, TableAlias(c)))]))",
    "f(a = 1)": "Table(Anonymous(f, [Kwarg(a, 1)]))",
    "LATERAL f(data => t) u": "Table(Anonymous(f, [Kwarg(data, Table(t))]), TableAlias(u))",
    "unnest([1]) u": "Unnest([Array([1])], TableAlias(u))",
}

STATEMENTS = {
    "CREATE MODEL churn FROM 'c.json'": "CreateModel(churn, 'c.json')",
    "CREATE OR REPLACE MODEL m FROM 'c' WITH (trust = true, on_error = 'null')": "CreateModel(m, "
    "'c', [Kwarg(trust, Boolean(True)), Kwarg(on_error, 'null')], True)",
    "CREATE MODEL IF NOT EXISTS m FROM ?": "CreateModel(m, Placeholder(), True)",
    "DROP MODEL IF EXISTS m": "DropModel(m, True)",
    "CREATE INDEX i ON t USING CHI (mask) WITH (cell = 28)": "CreateMethodIndex(i, Table(t), chi, "
    "[mask], [Kwarg(cell, 28)])",
    "CREATE INDEX IF NOT EXISTS i ON t USING NPI (cnn, 'fc1')": "CreateMethodIndex(i, Table(t), "
    "npi, [cnn, 'fc1'], True)",
    "DROP INDEX i": "DropIndex(i)",
    "SHOW TABLES": "ShowStatement(tables)",
    "SHOW ALL TABLES": "ShowStatement(all)",
    "SHOW models": "ShowStatement(models)",
    "SHOW digits": "DescribeStatement(Table(digits), table)",
    "DESCRIBE TABLE t": "DescribeStatement(Table(t), table)",
    "DESCRIBE model": "DescribeStatement(Table(model), table)",
    "DESC MODEL m": "DescribeStatement(m, model)",
    "DESCRIBE SELECT 1": "DescribeStatement(Select([1]), query)",
    "SUMMARIZE t": "SummarizeStatement(Table(t))",
    "SUMMARIZE SELECT 1": "SummarizeStatement(Select([1]))",
    "SET Threads = 4": "SetStatement(threads, 4)",
    "SET SESSION device TO cuda": "SetStatement(device, cuda)",
    "SET x = 'y'": "SetStatement(x, 'y')",
    "SET x = on": "SetStatement(x, on)",
    "SET x = -1": "SetStatement(x, Neg(1))",
    "RESET threads": "ResetStatement(threads)",
    "EXPLAIN SELECT 1": "ExplainStatement(Select([1]))",
    "EXPLAIN ANALYZE SELECT 1": "ExplainStatement(Select([1]), True)",
    "EXPLAIN (SELECT 1)": "ExplainStatement(Subquery(Select([1])))",
    "EXPLAIN (ANALYZE, PROFILE 'f') SELECT 1": "ExplainStatement(Select([1]), True, "
    "[Kwarg(profile, 'f')])",
    "COPY t TO 'f' (FORMAT parquet, HEADER)": "CopyStatement(Table(t), to, 'f', "
    "[Kwarg(format, parquet), Kwarg(header, Boolean(True))])",
    "COPY t (a, b) FROM 'f' WITH (DELIMITER '|')": "CopyStatement(Table(t), [a, b], from, 'f', "
    "[Kwarg(delimiter, '|')])",
    "COPY (SELECT 1) TO 'f'": "CopyStatement(Select([1]), to, 'f')",
    "BEGIN WORK": "Begin()",
    "START TRANSACTION": "Begin()",
    "COMMIT TRANSACTION": "Commit()",
    "END": "Commit()",
    "ROLLBACK": "Rollback()",
    "ABORT": "Rollback()",
    "CHECKPOINT": "Checkpoint()",
    "PRAGMA integrity_check": "IntegrityCheck()",
}

TYPES = {
    "BOX": "DataType(DType.USERDEFINED, BOX)",
    "mask": "DataType(DType.USERDEFINED, MASK)",
    "MASK(255)": "DataType(DType.USERDEFINED, MASK, [DataTypeParam(255)])",
    "TENSOR(1, 28)": "DataType(DType.USERDEFINED, TENSOR, [DataTypeParam(1), DataTypeParam(28)])",
    "ENUM('a', 'b')": "DataType(DType.ENUM, ['a', 'b'])",
    "DECIMAL(10, 2)": "DataType(DType.DECIMAL, [DataTypeParam(10), DataTypeParam(2)])",
    "DECIMAL": "DataType(DType.DECIMAL, [DataTypeParam(18), DataTypeParam(3)])",
    "VARCHAR(9)": "DataType(DType.TEXT)",
    "INTEGER[]": "DataType(DType.ARRAY, [DataType(DType.INT)])",
    "STRUCT(a INT)": "DataType(DType.STRUCT, [ColumnDef(a, DataType(DType.INT))])",
    "TIMESTAMP": "DataType(DType.TIMESTAMPNTZ)",
    "HUGEINT": "DataType(DType.INT128)",
}

NEAR = "syntax error at or near "
END = "syntax error at end of input"
ERRORS = [
    ("SELECT a FORM t", NEAR + '"FORM"; did you mean FROM?', (1, 10)),
    ("SELECT *\nFORM t", NEAR + '"FORM"; did you mean FROM?', (2, 1)),
    ("SELEC 1", NEAR + '"SELEC"; did you mean SELECT?', (1, 1)),
    ("SELECT a FROM t WEHRE a = 1", NEAR + '"WEHRE"; did you mean WHERE?', (1, 17)),
    ("SELECT a FROM t GROPU BY a", NEAR + '"GROPU"; did you mean GROUP?', (1, 17)),
    ("SELECT a FROM orders +", NEAR + '"+"', (1, 22)),
    ("SELECT 1;\n\nSELECT a b c", NEAR + '"c"', (3, 12)),
    ("foo bar", NEAR + '"foo"; expected a statement', (1, 1)),
    ("'text'", NEAR + "\"'text'\"; expected a statement", (1, 1)),
    ("PRAGMA x", NEAR + '"x"; expected INTEGRITY_CHECK', (1, 8)),
    ("VACUUM", NEAR + '"VACUUM"; expected a statement', (1, 1)),
    ("ELSE", NEAR + '"ELSE"', (1, 1)),
    ("(1)", NEAR + '"("; expected a query', (1, 1)),
    ("SELECT", END + "; expected a select list", (1, 7)),
    ("SELECT FROM t", NEAR + '"FROM"; expected a select list', (1, 8)),
    ("SELECT 1 FROM t WHERE", END + "; WHERE is incomplete", (1, 22)),
    ("SELECT 1 FROM t WHERE -- why", END + "; WHERE is incomplete", (1, 22)),
    ("SELECT 1 +", END + "; ADD is incomplete", (1, 11)),
    ("SELECT a AS", END + "; expected a name", (1, 12)),
    ("SELECT 1 AS 2", 'syntax error: "2" is not a name', (1, 13)),
    ("SELECT a,,b", NEAR + '","', (1, 10)),
    ("SELECT , a", NEAR + '","', (1, 8)),
    ("SELECT f(, a)", NEAR + '","', (1, 10)),
    ("SELECT * a FROM t", "syntax error: a star has no alias", (1, 8)),
    ("SELECT CAST(a AS INT", '"(" is never closed', (1, 12)),
    ("SELECT f([1, 2)", NEAR + '")"', (1, 15)),
    ("SELECT {: 1}", NEAR + '"}"', (1, 12)),
    ("SELECT 1)", NEAR + '")"', (1, 9)),
    ("SELECT 'abc", "unterminated string", (1, 8)),
    ("SELECT 1,\n  'abc;", "unterminated string", (2, 3)),
    ('SELECT "abc', "unterminated quoted name", (1, 8)),
    ("SELECT 1 /* abc", "unterminated comment", (1, 10)),
    ("SELECT 1 /* a /* b */", "unterminated comment", (1, 10)),
    ("SELECT CASE ELSE 1 END", END + "; CASE is incomplete", (1, 23)),
    ("SELECT * FROM a JOIN b", END + "; expected ON or USING", (1, 23)),
    ("SELECT * FROM a LEFT JOIN b WHERE c", NEAR + '"WHERE"; expected ON or USING', (1, 29)),
    ("SELECT * FROM T(data => , k => 1)", NEAR + '","', (1, 25)),
    ("SELECT * FROM a, T(1 => 2)", NEAR + '"1"; expected an argument name', (1, 20)),
    ("SELECT a FROM t GROUP BY", "syntax error: GROUP BY needs an expression", (1, 1)),
    ("INSERT INTO t", "syntax error: INSERT needs VALUES or a query", (1, 13)),
    ("UPDATE t SET a", "syntax error: UPDATE needs SET column = value", (1, 8)),
    ("DELETE t WHERE a", "syntax error: DELETE needs FROM", (1, 8)),
    ("CREATE TABLE t", END + "; expected columns or AS", (1, 15)),
    ("CREATE VIEW v", END + "; expected AS and a query", (1, 14)),
    ("CREATE TABLE t (a INTEGER) foo", NEAR + '"foo"', (1, 28)),
    (
        "CREATE TABEL t (a INTEGER)",
        NEAR + '"TABEL"; did you mean TABLE?',
        (1, 8),
    ),
    (
        "DROP SCHEMA s",
        NEAR + '"SCHEMA"; expected TABLE, VIEW, INDEX or MODEL',
        (1, 6),
    ),
    ("CREATE MODEL FROM 'c'", NEAR + '"FROM"; expected a model name', (1, 14)),
    ("CREATE MODEL m 'c'", NEAR + "\"'c'\"; expected FROM", (1, 16)),
    ("CREATE MODEL m FROM c", NEAR + '"c"; expected the model\'s file in quotes', (1, 21)),
    ("CREATE MODEL m FROM 'c' WITH trust", NEAR + '"trust"; expected (', (1, 30)),
    ("CREATE MODEL m FROM 'c' WITH (a = 1, a = 2)", 'option "a" is given twice', (1, 38)),
    ("CREATE MODEL m FROM 'c' WITH (a = )", NEAR + '")"; expected a value', (1, 35)),
    ("CREATE INDEX ON t USING CHI (m)", NEAR + '"ON"; expected an index name', (1, 14)),
    ("CREATE INDEX i ON t (m)", NEAR + '"("; expected USING', (1, 21)),
    ("CREATE INDEX i ON t USING", END + "; expected a method", (1, 26)),
    ("DROP MODEL", END + "; expected a name", (1, 11)),
    ("DROP MODEL ?", NEAR + '"?"; expected a name', (1, 12)),
    ("DESCRIBE MODEL 5", NEAR + '"5"; expected a model name', (1, 16)),
    ("SUMMARIZE", END + "; expected a table", (1, 10)),
    ("SHOW MODLES x", NEAR + '"x"', (1, 13)),
    ("SET x", END + "; expected = or TO", (1, 6)),
    ("SET x =", END + "; expected a value", (1, 8)),
    ("SET", END + "; expected a setting", (1, 4)),
    ("RESET", END + "; expected a setting", (1, 6)),
    ("EXPLAIN", END + "; expected a statement", (1, 8)),
    ("EXPLAIN foo", NEAR + '"foo"; expected a statement', (1, 9)),
    ("COPY t 'x'", NEAR + "\"'x'\"; expected FROM or TO", (1, 8)),
    ("COPY t TO", END + "; expected a file name in quotes", (1, 10)),
    ("COPY (SELECT 1) FROM 'x'", NEAR + '"FROM"; expected TO', (1, 17)),
    ("BEGIN 5", NEAR + '"5"', (1, 7)),
    ("START", END + "; expected TRANSACTION", (1, 6)),
]


def one(sql: str) -> exp.Expression:
    (tree,) = parse(sql)
    return tree


@pytest.mark.parametrize("sql", [piece.strip() for piece in split(LANGUAGE)])
def test_every_form_of_the_language_parses(sql: str) -> None:
    tree = one(sql)
    assert not list(tree.find_all(exp.Command, exp.Predict, exp.ParameterizedAgg))
    assert first_problem(nodes_of(tree)) is None


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_expressions(text: str) -> None:
    assert shape(one(f"SELECT {text}").expressions[0]) == EXPRESSIONS[text]


@pytest.mark.parametrize("text", RELATIONS)
def test_relations(text: str) -> None:
    assert shape(one(f"SELECT * FROM {text}").args["from_"].this) == RELATIONS[text]
    assert shape(one(f"SELECT * FROM a, {text}").args["joins"][0].this) == RELATIONS[text]


@pytest.mark.parametrize("sql", STATEMENTS)
def test_statements(sql: str) -> None:
    assert shape(one(sql)) == STATEMENTS[sql]


@pytest.mark.parametrize("text", TYPES)
def test_types(text: str) -> None:
    column = one(f"CREATE TABLE t (c {text} NOT NULL)").this.expressions[0]
    assert shape(column.args["kind"]) == TYPES[text]
    assert shape(one(f"SELECT CAST(a AS {text})").expressions[0].to) == TYPES[text]


@pytest.mark.parametrize(("sql", "message", "place"), ERRORS)
def test_errors(sql: str, message: str, place: tuple[int, int]) -> None:
    with pytest.raises(ParseError) as caught:
        parse(sql)
    assert (caught.value.message, caught.value.position) == (message, place)
    assert caught.value.sql == sql


def test_an_error_shows_its_line_and_a_caret() -> None:
    with pytest.raises(ParseError) as caught:
        parse("SELECT a\n  FORM t")
    expected = 'syntax error at or near "FORM"; did you mean FROM?\nLINE 2:   FORM t\n          ^'
    assert str(caught.value) == expected


def test_options_as_a_dictionary() -> None:
    tree = one("CREATE INDEX i ON t USING NPI (m, 'l') WITH (Partitions = 64, ratio = 0.05)")
    found = syntax.options(tree)
    assert {name: value.name for name, value in found.items()} == {
        "partitions": "64",
        "ratio": "0.05",
    }
    assert syntax.options(one("CHECKPOINT")) == {}


def test_empty_statements_are_dropped() -> None:
    assert parse("") == parse(" ; -- nothing\n;") == []
    assert len(parse("SELECT 1;; /* ; */ SELECT ';'")) == 2


@pytest.mark.parametrize("path", TPCH, ids=lambda path: path.stem)
def test_tpch_queries_parse(path: Path) -> None:
    assert all(isinstance(tree, exp.Query) for tree in parse(path.read_text()))


def test_positions_are_where_an_expression_starts() -> None:
    tree = one(
        "SELECT a, t.b + 1,\n  f(c), CASE WHEN a THEN b END, CAST(x AS INT), (SELECT 1),\n"
        "'a\nb' || \"q x\", x::INT, -5, CP(m, -, (1, 2)), count(*), ? FROM t, u AS v"
    )
    places = [(1, 8), (1, 11), (2, 3), (2, 9), (2, 33), (2, 49)]
    places += [(3, 1), (4, 14), (4, 22), (4, 26), (4, 44), (4, 54)]
    assert [position(node) for node in tree.expressions] == places
    assert position(tree.args["joins"][0].this) == (4, 64)
    assert position(exp.column("a")) is None


def test_nodes_of_our_own_print_as_sql() -> None:
    text = "CP(INTERSECT(m > 0.5), -, (0.5, 1))"
    assert one(f"SELECT {text}").expressions[0].sql(dialect=DIALECT) == text


def test_split_keeps_text_and_line_numbers() -> None:
    text = "-- one\nSELECT 1;\n ;SELECT ';' /* ; */;\n\nSELECT 2\n"
    pieces = split(text)
    assert pieces == ["-- one\nSELECT 1;", "\n ;SELECT ';' /* ; */;", "\n\nSELECT 2\n"]
    assert "".join(pieces) == text
    assert split(" -- nothing\n;\n") == []


def test_split_leaves_what_cannot_be_read_to_parse() -> None:
    assert split("SELECT 1; SELECT 'x") == ["SELECT 1;", " SELECT 'x"]
    assert split("SELECT 1; /* x") == ["SELECT 1;", " /* x"]


@pytest.mark.parametrize(
    ("text", "complete"),
    [
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT 1; SELECT 2;", True),
        (";", True),
        ("", False),
        ("SELECT 1", False),
        ("SELECT ';", False),
        ("SELECT ';'", False),
        ('SELECT ";', False),
        ("SELECT 1 -- ;", False),
        ("SELECT 1 /* ;", False),
        ("SELECT 1; SELECT", False),
        ("SELECT $$ ; $$;", True),
        ("SELECT $$ ;", False),
    ],
)
def test_is_complete(text: str, complete: bool) -> None:
    assert is_complete(text) is complete


# What DuckDB reads and we do not: statements we lack, and text that means nothing to its binder.
DUCKDB_READS = (
    *("PRAGMA x", "VACUUM", "DROP SCHEMA s", "CREATE INDEX i ON t (m)", "START"),
    *("SELECT * a FROM t", "SELECT x IN", "SELECT * FROM a, T(1 => 2)"),
)


@pytest.mark.parametrize("sql", [sql for sql, *_ in ERRORS if sql not in DUCKDB_READS])
def test_duckdb_refuses_what_we_refuse(sql: str) -> None:
    with pytest.raises(duckdb.Error):
        duckdb.connect().extract_statements(sql)


def test_parsing_does_not_import_torch() -> None:
    code = "import sys, tensorsql.parser.dialect; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# A statement that each check of parser/door.py refuses, and a word of why.
NO_SQL: dict[type[exp.Expr], tuple[str, str]] = {
    exp.Alias: ("SELECT * AS x FROM t", "a star has no alias"),
    exp.In: ("SELECT a IN FROM t", "IN needs a value"),
    exp.Group: ("SELECT a FROM t GROUP BY", "GROUP BY needs"),
    exp.Insert: ("INSERT INTO t", "INSERT needs"),
    exp.Update: ("UPDATE t SET a", "UPDATE needs"),
    exp.Delete: ("DELETE t WHERE a", "DELETE needs"),
    exp.Union: ("SELECT a FROM t LIMIT 1 UNION SELECT 2", "stands in parentheses"),
    exp.Except: ("SELECT 1 ORDER BY 1 EXCEPT SELECT 2", "stands in parentheses"),
    exp.Intersect: ("SELECT 1 LIMIT 1 INTERSECT SELECT 2", "stands in parentheses"),
    exp.Star: ("SELECT * EXCLUDE () FROM t", "EXCLUDE and REPLACE need a column"),
    exp.Struct: ("SELECT {}", "a struct needs fields"),
    exp.Table: ("SELECT * FROM a..b", "a name is missing between two dots"),
    exp.Values: ("VALUES ()", "VALUES needs"),
    exp.WindowSpec: ("SELECT sum(a) OVER (ROWS 1 FOLLOWING) FROM t", "needs BETWEEN"),
}
# What sqlglot's parser refuses before the check sees it, so far.
REFUSED_EARLIER = {exp.Identifier, exp.Drop}


@pytest.mark.parametrize("kind", NO_SQL, ids=lambda kind: kind.__name__)
def test_every_check_of_trees_refuses_something(kind: type[exp.Expr]) -> None:
    sql, words = NO_SQL[kind]
    with pytest.raises(ParseError, match=re.escape(words)):
        parse(sql)


def test_every_check_of_trees_is_tried() -> None:
    assert NO_SQL.keys() | REFUSED_EARLIER == CHECKS.keys()


@pytest.mark.parametrize("words", REFUSED)
def test_statements_that_there_are_not(words: str) -> None:
    """They are refused by name, at their place, with what to do instead."""
    sql = f"SELECT 1;\n {words} x"
    with pytest.raises(UnsupportedError, match=rf"{words} is not supported; \w+ \w+") as error:
        parse(sql)
    assert error.value.position == (2, 2 + words.rfind(" ") + 1)
