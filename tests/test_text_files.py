"""CSV and JSON: what is sniffed, compressed, encoded and refused; as DuckDB but where we say."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import duckdb
import pytest

import tensorsql
from tensorsql import Connection, errors

# DuckDB 2.0.1 reads these alike, types and values
ALIKE = [
    "a\n1\n\n3\n", "a\n1\n3\n\n", "a\n\n", "a,b\n1,2\n\n3,4\n", "a\n12345678901234567890\n",
    "a\n+33612345678\n", "a\n00123\n", "a\nnan\ninf\n", "a\ntrue\nFALSE\n", "a\n0\n1\n",
    "a\n 1\n2 \n",
    "a,b\n1, 2\n", "a\n10:11:12\n", "a\n10:11:12.5\n", "a\n10:11\n", "a\n2020-01-01 10:11:12.5\n",
    "a\n2020-01-01T10:11:12\n", "a\n2020-01-01\n2020-01-01 10:11:12\n", "a\n20200101\n",
    "a\n1_000\n",
    "a\n.5\n1.\n", "a\n1e3\n", "a\nNULL\n1\n", 'a,"b\nc"\n1,2\n', 'a,b\n1,"x\ny"\n',
    "a\nx\u2028y\n",
    "a\nx\x85y\n", "a\nx\x0cy\n", "a", "a,b", "1", "1,2", "1\n2\n", "x\ny\n", "a,a\n1,2\n",
    "a,A\n1,2\n",
    "a,\n1,2\n", " a , b\n1,2\n", 'a\n"x"y\n', 'a\nx"y\n', "a\tb\n1\t2\n", "a\r\n1\r\n2\r\n",
    "a\r1\r2\r",
    "\ufeffa,b\n1,2\n", "a,b,\n1,2,\n", "x,5\ny,6\n", "id,2020,2021\na,1,2\n", ",a,b\n0,1,2\n",
    ",name,city\n0,bob,paris\n", "1,,x\n2,b,y\n", "name,1\nbob,2\n", "a,b\nc,\n", "x,\n1,2\n", "",
    "a,b,c\n,,\n", "a,b\n1,\n2,\n", "5\n1.5\n", 'a,b\n"x\\"y",1\n', "a\n-1e5\n", "a\n0.5\n007\n",
    "a\n9223372036854775807\n-9223372036854775808\n", "a\n9223372036854775808\n1.5\n",
    'a\n"x\n', "\x00\n",
    '"a","b"\n"1",""\n"","2"\n', "a\n2020-02-30\n", "Hello, world\nfoo\nbar, baz\n",
    "a\n0.12345678901234567\n",
]  # fmt: skip
# and these not: what it alters is text here, and no row is taken for a header that may be data
OURS: dict[str, list[tuple[Any, ...]]] = {
    "1,\n,2\n": [(1, None), (None, 2)],
    "x,\n,y\n": [("x", None), (None, "y")],
    "5\nx\n": [("5",), ("x",)],
    "\n1\n": [(None,), (1,)],
    'a\n""\nx\n\n': [("",), ("x",), (None,)],
    "a\n" + "1" * 42 + "\n": [("1" * 42,)],
    "a\n9007199254740993\n1.5\n": [("9007199254740993",), ("1.5",)],
    "a\n1e400\n": [("1e400",)],
    "a\n1e-400\n": [("1e-400",)],
    "a\nyes\nno\n": [("yes",), ("no",)],
    "a\n0x10\n": [("0x10",)],
    "a\n01/02/2020\n": [("01/02/2020",)],
    "a\n2020-01-01 10:11:12.1234567\n": [("2020-01-01 10:11:12.1234567",)],
    "a\n2020-01-01 10:11:12.123456789\n": [("2020-01-01 10:11:12.123456789",)],
    "a\n2020-01-01 10:11:12Z\n": [("2020-01-01 10:11:12Z",)],
    "a\n10:11:12.1234567\n": [("10:11:12.1234567",)],
    "a\n24:00:00\n": [("24:00:00",)],
    "a\n0000-01-01\n": [("0000-01-01",)],
}


@pytest.fixture
def connection() -> Connection:
    return tensorsql.connect()


def put(folder: Path, name: str, content: str | bytes) -> str:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def read(connection: Connection, function: str, path: str, options: str = "") -> Any:
    found = connection.execute(f"SELECT * FROM {function}('{path}'{options})")
    names = [(name, str(kind)) for name, kind, *_ in found.description or ()]
    return names, [tuple(map(repr, row)) for row in found.fetchall()]


def theirs(function: str, path: str) -> Any:
    found = duckdb.sql(f"SELECT * FROM {function}('{path}')")
    names = list(zip(found.columns, map(str, found.types), strict=True))
    return names, [tuple(map(repr, row)) for row in found.fetchall()]


@pytest.mark.parametrize("text", ALIKE)
def test_csv_is_sniffed_as_duckdb_does(connection: Connection, tmp_path: Path, text: str) -> None:
    path = put(tmp_path, "x.csv", text)
    assert read(connection, "read_csv", path) == theirs("read_csv", path)


@pytest.mark.parametrize("text", OURS)
def test_csv_that_would_be_altered(connection: Connection, tmp_path: Path, text: str) -> None:
    path = put(tmp_path, "x.csv", text)
    assert connection.execute(f"SELECT * FROM '{path}'").fetchall() == OURS[text]


def test_a_long_sample_is_not_cut(connection: Connection, tmp_path: Path) -> None:
    """Records longer than any sample or block, with every kind of line end inside."""
    field = "x\n\r\n\u2028\x85\x0c," * 30_000
    path = put(tmp_path, "x.csv", "a,b\n" + f'1,"{field}"\n' * 100)
    found = connection.execute(f"SELECT a, b FROM '{path}'").fetchall()
    assert found == [(1, field)] * 100


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n" + "1,2\n" * 5000 + "1,2,3\n", "line 5002 has 3 fields where 2 are expected"),
        ("1,2\n3,4,5\n", "line 2 has 3 fields where 2"),
        ("# made by hand\na,b\n1,2\n", "line 2 has 2 fields where 1 .* leave out with skip"),
        ('a,b\n1,"p\nq"\n\n"r\n\ns",3,4\n', "line 5 has 3 fields where 2"),
        ('a\n"x",\n"y"z"\n"w"\n', "line 3: a quote does not close"),
        ('a,b\n"x"y,1\n"z",2\n', "line 2: a quote .* closes before its field ends"),
        ('i,s\n1,"a"\n2,"b\n3,c\n', "line 3: a quote does not close"),
        ("a,b\n" + "1,x\n" * 2000 + '1,"y"z\n', "line 2002: a quote"),
        ("a,b\n" + "1,x\n" * 2000 + '1,"y" "z"\n', "line 2002: a quote"),
        ("a,b\n" + "1,x\n" * 2000 + '"",""x""\n', "line 2002: a quote"),
        ("a,b\n" + "1,x\n" * 2000 + '1,"x\n2,y\n', "line 2002: a quote does not close"),
        ("a\n" + "x\n" * 2000 + b"\xe9\n".decode("latin-1"), None),
    ],
)  # fmt: skip
def test_broken_csv_says_where(
    connection: Connection, tmp_path: Path, text: str, message: str | None
) -> None:
    if message is None:
        path = put(tmp_path, "x.csv", text.encode("latin-1"))
        message = "line 2002, column 1 has the byte 0xe9"
    else:
        path = put(tmp_path, "x.csv", text)
    with pytest.raises(errors.CorruptError, match=message) as found:
        connection.execute(f"SELECT * FROM '{path}'")
    assert path in str(found.value)


@pytest.mark.parametrize("option", ["", ", header => true"])
def test_declared_columns(connection: Connection, tmp_path: Path, option: str) -> None:
    columns = ", columns = {'a': 'TINYINT', 'B': 'DECIMAL(5, 2)', 'c': 'VARCHAR', 'd': 'DATE'}"
    path = put(tmp_path, "x.csv", "a,b,c,d\n1,2.5,007,2020-01-31\n,,,\n")
    found = connection.execute(f"SELECT * FROM read_csv('{path}'{columns}{option})")
    told = duckdb.sql(f"SELECT * FROM read_csv('{path}'{columns}{option.replace('>', '')})")
    assert [name for name, *_ in found.description or ()] == told.columns
    assert [str(kind) for _, kind, *_ in found.description or ()] == list(map(str, told.types))
    assert repr(found.fetchall()) == repr(told.fetchall())
    path = put(tmp_path, "x.json", '{"d": "2020-01-31", "a": 1}\n{"B": 1.10, "c": 7}')
    query = f"SELECT a, B, c, d FROM read_json('{path}'{columns})"
    assert repr(connection.execute(query).fetchall()) == repr(duckdb.sql(query).fetchall())


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("function", ["read_csv", "read_json"])
def test_marked_encodings(
    connection: Connection, tmp_path: Path, function: str, encoding: str
) -> None:
    text = "a,b\n1,é\n" if function == "read_csv" else '{"a": 1, "b": "é"}'
    path = put(tmp_path, "x", text.encode(encoding))
    assert read(connection, function, path)[1] == [("1", "'é'")]


def test_named_encodings(connection: Connection, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "ab\né\n".encode("latin-1"))
    assert read(connection, "read_csv", path, ", encoding => 'latin-1'")[1] == [("'é'",)]
    for name in ("klingon", "rot13", "hex", "undefined", "zlib", "utf-8\\0"):
        with pytest.raises(errors.BindError, match="encoding is one such as 'utf-8'"):
            read(connection, "read_csv", path, f", encoding => '{name}'")
    with pytest.raises(errors.CorruptError, match="is not utf-16 text"):
        read(connection, "read_csv", path, ", encoding => 'utf-16'")


@pytest.mark.parametrize("format", ["csv", "json"])
@pytest.mark.parametrize(
    ("suffix", "option"), [(".gz", ""), (".zst", ""), ("", "gzip"), ("", "zstd")]
)
def test_compression(
    connection: Connection, tmp_path: Path, format: str, suffix: str, option: str
) -> None:
    path = f"{tmp_path}/x.{format}{suffix}"
    given = f"(COMPRESSION {option})" if option else ""
    connection.execute(f"COPY (SELECT 1 AS a, 'x' AS b) TO '{path}' {given}")
    method = option or {".gz": "gzip", ".zst": "zstd"}[suffix]
    magic = {"gzip": b"\x1f\x8b", "zstd": b"\x28\xb5\x2f\xfd"}[method]
    assert Path(path).read_bytes().startswith(magic)
    assert connection.execute(f"SELECT a, b FROM '{path}'").fetchall() == [(1, "x")]
    told = duckdb.sql(f"SELECT a, b FROM read_{format}('{path}', compression = '{method}')")
    assert told.fetchall() == [(1, "x")]


def test_names_that_say_something_else(connection: Connection, tmp_path: Path) -> None:
    plain = put(tmp_path, "x.csv.gz", "a\n1\n")
    with pytest.raises(errors.CorruptError, match="is not compressed by gzip as its name says"):
        connection.execute(f"SELECT * FROM '{plain}'")
    assert read(connection, "read_csv", plain, ", compression => 'none'")[1] == [("1",)]
    cut = put(tmp_path, "y.csv.gz", gzip.compress(b"a\n1\n" * 1000)[:-20])
    with pytest.raises(errors.CorruptError, match=r"y\.csv\.gz"):
        connection.execute(f"SELECT * FROM '{cut}'")
    for name in ("x.csv.bz2", "x.xlsx", "x.parquet.gz", "x.npy", "x.arrow"):
        with pytest.raises(errors.UnsupportedError, match="cannot write"):
            connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path}/{name}'")
        assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    "codec", ["snappy", "zstd", "gzip", "lz4", "lz4_raw", "brotli", "uncompressed"]
)
def test_parquet_codecs(connection: Connection, tmp_path: Path, codec: str) -> None:
    connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path}/x.parquet' (COMPRESSION {codec})")
    assert duckdb.sql(f"SELECT a FROM '{tmp_path}/x.parquet'").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "statement",
    [
        "COPY t TO 'x.csv' (SKIP 1)", "COPY t TO 'x.csv' (ENCODING 'latin-1')",
        "COPY t TO 'x.csv' (HEADER 5)",
        "COPY t TO 'x.csv' (QUOTE 'ab')", "COPY t TO 'x.csv' (DELIM ',', SEP ',')",
        "COPY t TO 'x.csv' (ARRAY)",
        "COPY t TO 'x.csv' (DELIM '\"')", "COPY t TO 'x.csv' (NULLSTR 'a,b')",
        "COPY t TO 'x.json' (HEADER)",
        "COPY t TO 'x.json' (ARRAY 5)", "COPY t TO 'x.parquet' (HEADER)",
        "COPY t TO 'x.parquet' (COMPRESSION 5)",
        "COPY t TO 'x.csv' (COMPRESSION lz4)", "COPY t TO 'x.csv' (FORMAT 5)",
        "COPY t FROM 'x.csv' (FOO 1)",
        "SELECT * FROM read_csv('x.csv', format => 'csv')",
        "SELECT * FROM read_csv('x.csv', compression => 'x')",
        "SELECT * FROM read_json('x.json', header => true)",
        "SELECT * FROM read_parquet('x', compression => 'gzip')",
        "SELECT * FROM read_csv('x.csv', names => ['a', 'A'])",
        "SELECT * FROM read_csv('x.csv', skip => 1.5)",
        "SELECT * FROM read_csv('x.csv', nullstr => [1])",
        "SELECT * FROM read_csv('x.csv', columns = 5)",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 5})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 'FOO'})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 'INTEGER, b'})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 'INTEGER) AS x, (1'})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': NULL})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 'INTEGER', 'A': 'INTEGER'})",
        "SELECT * FROM read_csv('x.csv', columns = {'a': 'DATE'}, names => ['a'])",
        "SELECT * FROM read_csv('x.csv', quote => ',')",
        "SELECT * FROM read_csv('x.csv', escape => ',')",
        "SELECT * FROM read_csv('x.csv', delim => ';', quote => ';')",
        "SELECT * FROM read_csv('x.csv', allow_quoted_nulls => 'x')",
    ],
)  # fmt: skip
def test_options_are_checked(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    monkeypatch.chdir(tmp_path)
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    for name in ("x.csv", "x.json", "x"):
        put(tmp_path, name, "[]")
    with pytest.raises(errors.BindError):
        connection.execute(statement)
    assert (tmp_path / "x.csv").read_text() == "[]"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", 'a,b,c\nx,,""\n'),
        ("HEADER false", 'x,,""\n'),
        ("NULLSTR 'NA'", 'a,b,c\nx,NA,""\n'),
        ("DELIM '|', QUOTE ''''", "a|b|c\nx||''\n"),
    ],
)  # fmt: skip
def test_written_csv(connection: Connection, tmp_path: Path, options: str, expected: str) -> None:
    path = tmp_path / "x.csv"
    sql = "SELECT 'x' AS a, NULL::VARCHAR AS b, '' AS c"
    connection.execute(f"COPY ({sql}) TO '{path}' {f'({options})' if options else ''}")
    assert path.read_text() == expected


# JSON


JSON_ALIKE = [
    '{"a":1}\n{"a":2,"b":"x"}\n', '[{"a":1},{"a":2,"b":3}]', "[1,2]", "1\n2\n", '"x"',
    '{"a":1} {"a":2}',
    '{"a":\n1}\n{"a":2}', '{"a":12345678901234567890}', '{"a":1}\n{"a":12345678901234567890}',
    '{"a":1}\n{"a":1.5}', '{"a":"2020-01-01"}', '{"a":"2020-01-01"}\n{"a":"x"}',
    '[{"a":"2020-01-01"}]',
    '{"a":"2020-01-01 10:11:12.5"}', '{"a":"2020-01-01T10:11:12"}', '{"a":"10:11:12"}',
    '{"a":"01/02/2020"}',
    '{"a":"2020-01-01 10:11:12.123456789"}', '{"a":"550e8400-e29b-41d4-a716-446655440000"}',
    '{"a":"00123"}',
    '{"a":[1,2.5]}', '{"a":[]}\n{"a":[1]}', '{"a":{"b":1}}\n{"a":{"c":2}}',
    '{"a":[{"b":"2020-01-01"}]}',
    '{"a":["2020-01-01"]}', '{"a":1,"A":2}', '{"a":NaN}', '{"a":-Infinity}', '{"a":1e2}',
    '{"a":-0}',
    '[{"a":1}\n,{"a":2}]\n', '\ufeff{"a":1}', '{"a":"x\\u0000y"}', '{"a":1}\nnull\n{"a":2}',
    "[null]",
    '[[{"a":1}]]', '{"a":""}\n{"a":"2020-01-01"}',
    '{"a":[null,1],"b":null,"c":{"d":[{"e":true}]}}',
]  # fmt: skip


@pytest.mark.parametrize("text", JSON_ALIKE)
def test_json_as_duckdb_reads_it(connection: Connection, tmp_path: Path, text: str) -> None:
    path = put(tmp_path, "x.json", text)
    told = theirs("read_json", path)
    told[0][:] = [(name, kind.strip('"').replace("JSON", "VARCHAR")) for name, kind in told[0]]
    if text == "[null]":
        told[0][:] = [("json", "VARCHAR")]
    assert read(connection, "read_json", path) == told


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"a":-12345678901234567890}', [-12345678901234567890]),
        ('{"a":' + "9" * 30 + "}", [int("9" * 30)]),
        ('{"a":' + "9" * 50 + "}", ["9" * 50]),
        ('{"a":9007199254740993}\n{"a":1.5}', ["9007199254740993", "1.5"]),
        ('{"a":1}\n{"a":"x"}\n{"a":{"b":[1.50]}}', ["1", '"x"', '{"b":[1.50]}']),
        ('{"a":"2020-01-01T10:11:12Z"}', ["2020-01-01T10:11:12Z"]),
        ('{"a":{}}', ["{}"]),
    ],
)
def test_json_that_would_be_altered(
    connection: Connection, tmp_path: Path, text: str, expected: list[Any]
) -> None:
    path = put(tmp_path, "x.json", text)
    assert connection.execute(f"SELECT a FROM '{path}'").fetchall() == [(v,) for v in expected]


@pytest.mark.parametrize("small", [0, 1 << 26])
def test_json_fields_that_come_late(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr("tensorsql.storage.formats.json.SMALL", small)
    lines = ['{"a": {}}'] * 50_000 + ['{"a": {"c": 1}, "b": "2020-01-01"}']
    for text in ("\n".join(lines), "[" + ",".join(lines) + "]"):
        path = put(tmp_path, "x.json", text)
        found = connection.execute(f"SELECT count(*), sum(a.c), max(b) FROM '{path}'").fetchall()
        assert [str(value) for value in found[0]] == ["50001", "1", "2020-01-01"]
        twice = f"SELECT count(*) FROM read_json(['{path}', '{path}'])"
        assert connection.execute(twice).fetchall() == [(100_002,)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a":1,"a":2}', 'key "a" twice'), ('{"a":1}\nxx', "line 2 column 1"),
        ('{"a":01}', "line 1 column 7"),
        ("[1,2", "expected , or ] in the array: line 1 column 5"),
        ("[1] 2", "there is text after the array"),
        ('{"a":"\\ud800"}', "surrogates"), ("[" * 100_000, "nests too deeply"),
        ("[1,", "Expecting value"),
    ],
)  # fmt: skip
def test_broken_json_says_where(
    connection: Connection, tmp_path: Path, text: str, message: str
) -> None:
    path = put(tmp_path, "x.json", text)
    with pytest.raises(errors.CorruptError, match=message) as found:
        connection.execute(f"SELECT * FROM '{path}'")
    assert path in str(found.value)


# several files


def test_an_empty_file_in_a_glob(connection: Connection, tmp_path: Path) -> None:
    for suffix, text in (("csv", "a,b\n1,2\n"), ("json", '{"a": 1, "b": 2}')):
        put(tmp_path, f"0.{suffix}", "")
        put(tmp_path, f"1.{suffix}", text)
        put(tmp_path, f"2.{suffix}", "")
        assert connection.execute(f"SELECT * FROM '{tmp_path}/*.{suffix}'").fetchall() == [(1, 2)]
    connection.execute(f"COPY (SELECT 1 AS a) TO '{tmp_path}/1.parquet'")
    connection.execute(f"COPY (SELECT 1 AS a WHERE false) TO '{tmp_path}/0.parquet'")
    assert connection.execute(f"SELECT * FROM '{tmp_path}/*.parquet'").fetchall() == [(1,)]


def test_files_share_types(connection: Connection, tmp_path: Path) -> None:
    put(tmp_path, "0.csv", "a,b\n1,2\n")
    put(tmp_path, "1.csv", "b,a\nx,1.5\n")
    found = connection.execute(f"SELECT a, b FROM '{tmp_path}/*.csv'").fetchall()
    assert found == [(1.0, "2"), (1.5, "x")]
    put(tmp_path, "2.csv", "a,c\n1,2\n")
    with pytest.raises(errors.CorruptError, match=r'2.csv" has other columns than'):
        connection.execute(f"SELECT a FROM '{tmp_path}/*.csv'")
