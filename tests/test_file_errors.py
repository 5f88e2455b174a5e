"""Errors of values in files name the file, the row, the column, the value, its type and a cure."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tensorsql
from tensorsql import Connection, errors

# what a column of a type holds, and a text that it cannot hold
KINDS = {
    "TINYINT": ("1", "300"),
    "BIGINT": ("1", "x"),
    "DOUBLE": ("1.5", "1,5"),
    "DECIMAL(5,2)": ("123.45", "1234.5"),
    "DATE": ("2020-01-31", "2020-13-01"),
    "TIME": ("10:11:12", "25:00:00"),
    "TIMESTAMP": ("2020-01-31 10:11:12", "yesterday"),
    "INTERVAL": ("2 days", "2 dys"),
    "BOOLEAN": ("true", "maybe"),
    "UUID": ("550e8400-e29b-41d4-a716-446655440000", "550e"),
    "ENUM('a', 'b')": ("a", "c"),
    "BLOB": ("a", "\\x0"),
}
LONG = "x" * 5000


@pytest.fixture
def connection() -> Connection:
    return tensorsql.connect()


def put(tmp_path: Path, name: str, content: str | bytes) -> str:
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return str(path)


def refused(connection: Connection, sql: str, kind: type[errors.Error]) -> str:
    with pytest.raises(kind) as found:
        connection.execute(sql).fetchall()
    return str(found.value).partition("\nLINE")[0]


def test_bad_values_of_every_type(connection: Connection, tmp_path: Path) -> None:
    for number, (kind, (good, bad)) in enumerate(KINDS.items()):
        table = f"t{number}"
        connection.execute(f"CREATE TABLE {table} (s VARCHAR, v {kind})")
        cells = [f'"{text}"' for text in (good, bad)]
        csv = put(tmp_path, "x.csv", f's,v\n"a\r\nb",{cells[0]}\n\nc,\nd,{cells[1]}\n')
        escaped = bad.replace("\\", "\\\\")
        json = put(tmp_path, "x.json", f'{{"v": "{good}"}}\n\n{{"s":\n"x", "v": "{escaped}"}}')
        typed = f"columns = {{'s': 'VARCHAR', 'v': '{kind.replace(chr(39), chr(39) * 2)}'}}"
        ways = [
            (f"COPY {table} FROM '{csv}'", "line 6"),
            (f"COPY {table} FROM '{json}'", "line 3"),
            (f"SELECT * FROM read_csv('{csv}', {typed})", "line 6"),
            (f"SELECT v FROM read_json('{json}', {typed}) WHERE v IS NOT NULL", "line 3"),
            (f"INSERT INTO {table} SELECT s, v FROM '{csv}' ORDER BY s DESC", "line 6"),
            (
                f"SELECT max(CAST(v AS {kind})) FROM read_csv('{csv}', all_varchar => true)",
                "line 6",
            ),
        ]
        for sql, line in ways:
            message = refused(connection, sql, errors.ConversionError)
            path = json if "json" in sql else csv
            assert message.startswith(f'file "{path}" {line}, column "v": '), (sql, message)
            assert bad in message
            assert kind in message
            assert "TRY_CAST gives NULL" in message
        assert not connection.execute(f"SELECT * FROM {table}").fetchall()


def test_the_advice_is_right(connection: Connection, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "a,b\n1,x\nN/A,y\n")
    connection.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
    message = refused(connection, f"COPY t FROM '{path}'", errors.ConversionError)
    assert all(word in message for word in ("nullstr", "all_varchar", "columns", "TRY_CAST"))
    connection.execute(f"COPY t FROM '{path}' (NULLSTR 'N/A')")
    for option in ("all_varchar => true", "columns => {'a': 'VARCHAR', 'b': 'VARCHAR'}"):
        connection.execute(
            f"INSERT INTO t SELECT TRY_CAST(a AS INTEGER), b FROM read_csv('{path}', {option})"
        )
    assert connection.execute("SELECT * FROM t").fetchall() == [(1, "x"), (None, "y")] * 3


def test_long_values_are_shortened(connection: Connection, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", f"a\n1\n{LONG}\n")
    message = refused(
        connection, f"FROM read_csv('{path}', columns = {{'a': 'INTEGER'}})", errors.ConversionError
    )
    assert "line 3" in message
    assert len(message) < 700


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_lines_are_those_of_an_editor(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Whatever stands above the bad value: line ends in quotes, blank lines, lines to skip."""
    texts = st.sampled_from(["x", '"a\nb"', '"\r\n"', '""', "", '"q""\n\n"', '"\r"', "é"])
    above = data.draw(st.lists(texts, max_size=6))
    end = data.draw(st.sampled_from(["\n", "\r\n", "\r"]))
    blank = data.draw(st.integers(0, 2))
    skip = data.draw(st.integers(0, 2)) if end != "\r" else 0
    header = data.draw(st.booleans())
    head = f"junk{end}" * skip + end * (blank if skip == 0 else 0)
    text = head + (f"a,b{end}" if header else "") + "".join(f"1,{t}{end}" for t in above)
    encoding = data.draw(st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]))
    suffix = data.draw(st.sampled_from(["csv", "csv.gz"]))
    path = tmp_path_factory.mktemp("lines") / f"x.{suffix}"
    content = f"{text}wrong,x{end}2,y{end}".encode(encoding)
    path.write_bytes(pa.compress(content, "gzip", asbytes=True) if suffix != "csv" else content)
    line = len(re.findall("\r\n|\r|\n", text)) + 1
    options = f"columns = {{'a': 'INTEGER', 'b': 'VARCHAR'}}, header = {header}, skip = {skip}"
    with tensorsql.connect() as connection:
        sql = f"SELECT * FROM read_csv('{path}', {options})"
        assert f"line {line}, " in refused(connection, sql, errors.ConversionError)


def test_the_file_of_a_glob_is_named(connection: Connection, tmp_path: Path) -> None:
    put(tmp_path, "a.csv", "i,s\n1,x\n2,y\n")
    put(tmp_path, "b.csv", "s,i\nx,1\ny,z\n")
    put(tmp_path, "a.json", '{"i": 1}\n{"i": 2}\n{"i": 3}')
    put(tmp_path, "b.json", '[{"i": 4},\n {"i":\n "z"}]')
    pq.write_table(pa.table({"i": [1, 2, 3]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"i": [1, 300]}), tmp_path / "b.parquet")
    connection.execute("CREATE TABLE t (i TINYINT)")
    connection.execute("CREATE TABLE u (i TINYINT, s VARCHAR)")
    for suffix, where, table in (
        ("json", "line 2", "t"), ("parquet", "row 2", "t"), ("csv", "line 3", "u"),
    ):  # fmt: skip
        sql = f"INSERT INTO {table} BY NAME SELECT * FROM '{tmp_path}/*.{suffix}'"
        message = refused(connection, sql, errors.ConversionError)
        assert message.startswith(f'file "{tmp_path}/b.{suffix}" {where}, column "i": ')
    np.save(tmp_path / "x.npy", np.array([1, 2, 300]))
    sql = f"INSERT INTO t SELECT value FROM read_npy('{tmp_path}/x.npy')"
    message = refused(connection, sql, errors.ConversionError)
    assert message.startswith(f'file "{tmp_path}/x.npy" row 3, column "value": value 300')


def test_parquet_that_cannot_be_read_says_where(connection: Connection, tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "1.parquet")
    pq.write_table(pa.table({"a": [1.0, 2.0, 2.5]}), tmp_path / "2.parquet")
    message = refused(connection, f"FROM '{tmp_path}/*.parquet'", errors.ConversionError)
    assert message.startswith(f'file "{tmp_path}/2.parquet" row 3, column "a" is double')
    times = pa.array([0, 1000, 1001], pa.timestamp("ns"))
    pq.write_table(pa.table({"t": times}), tmp_path / "ns.parquet")
    message = refused(connection, f"FROM '{tmp_path}/ns.parquet'", errors.ConversionError)
    assert message.startswith(f'file "{tmp_path}/ns.parquet" row 3, column "t": times have micro')
    pq.write_table(
        pa.table({"t": pa.array([0], pa.timestamp("us", "UTC"))}), tmp_path / "z.parquet"
    )
    message = refused(connection, f"FROM '{tmp_path}/z.parquet'", errors.ConversionError)
    assert message.startswith(f'file "{tmp_path}/z.parquet", column "t": a TIMESTAMP keeps no')


@pytest.mark.parametrize("suffix", ["csv", "json", "parquet"])
def test_constraints_name_the_rows_of_a_file(
    connection: Connection, tmp_path: Path, suffix: str
) -> None:
    connection.execute("CREATE TABLE n (a INTEGER NOT NULL, b VARCHAR)")
    connection.execute("CREATE TABLE p (a DOUBLE, b VARCHAR, PRIMARY KEY (a, b))")
    connection.execute("INSERT INTO p VALUES (7, 'x')")
    path, first = f"{tmp_path}/x.{suffix}", 1 if suffix == "csv" else 0
    word = "row" if suffix == "parquet" else "line"
    for rows, table, wrong in (
        ("(1, 'a'), (NULL, 'b'), (3, NULL)", "n", (2,)),
        ("(1::DOUBLE, 'a'), ('nan'::DOUBLE, 'b'), (1, 'b'), ('nan'::DOUBLE, 'b')", "p", (2, 4)),
        ("(1, 'a'), (7, 'x'), (1, 'b')", "p", (2,)),
    ):
        connection.execute(f"COPY (SELECT * FROM (VALUES {rows}) v(a, b)) TO '{path}'")
        numbers = " and ".join(str(number + first) for number in wrong)
        for sql in (f"COPY {table} FROM '{path}'", f"INSERT INTO {table} FROM '{path}'"):
            message = refused(connection, sql, errors.IntegrityError)
            plural = "s" if len(wrong) > 1 else ""
            assert message.startswith(f'file "{path}" {word}{plural} {numbers}: '), (sql, message)
            assert "INSERT … SELECT" in message


def test_other_errors_stay_as_they_are(connection: Connection, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "a,b\n1,x\n2,y\n")
    sql = f"SELECT CAST(a || b AS INTEGER) FROM '{path}'"
    assert refused(connection, sql, errors.ConversionError).startswith(
        "could not convert string '1x"
    )
    sql = f"SELECT CAST(w AS INTEGER), b FROM '{path}', (VALUES ('z')) v(w)"
    assert refused(connection, sql, errors.ConversionError).startswith(
        "could not convert string 'z"
    )
    assert connection.execute(f"SELECT TRY_CAST(b AS INTEGER) FROM '{path}'").fetchall() == [
        (None,)
    ] * 2  # fmt: skip


def test_a_file_that_changed_meanwhile(connection: Connection, tmp_path: Path) -> None:
    """Then the place is the number of the row that was read."""
    path = put(tmp_path, "x.csv", "a\n1\nx\n")
    connection.execute("CREATE TABLE t (a INTEGER)")
    relation = tensorsql.storage.formats.file_relation("read_csv", path, {})
    assert relation.places is not None
    assert relation.places.of([1]) == f'file "{path}" line 3'
    put(tmp_path, "x.csv", "a\n")
    assert relation.places.of([1]) == f'file "{path}" row 2'
    Path(path).unlink()
    assert relation.places.of([0, 1]) == f'file "{path}" rows 1 and 2'


@pytest.mark.parametrize("option", ["columns {'a': 'DATE'}", "names ['x']", "all_varchar true"])
def test_copy_has_no_option_that_the_table_overrules(
    connection: Connection, tmp_path: Path, option: str
) -> None:
    path = put(tmp_path, "x.csv", "a\n1\n")
    connection.execute("CREATE TABLE t (a INTEGER)")
    sql = f"COPY t FROM '{path}' ({option})"
    assert "the table says names and types" in refused(connection, sql, errors.BindError)


@pytest.mark.parametrize("name", ["x.csv", "x.json"])
def test_utf_16_without_a_mark(connection: Connection, tmp_path: Path, name: str) -> None:
    text = "a,b\n1,x\n" if name == "x.csv" else '{"a": 1, "b": "x"}\n'
    for encoding in ("utf-16-le", "utf-16-be"):
        path = put(tmp_path, name, text.encode(encoding))
        message = refused(connection, f"FROM '{path}'", errors.CorruptError)
        assert path in message
        assert f"encoding => '{encoding}'" in message
        function = f"read_{name[2:]}"
        found = connection.execute(f"FROM {function}('{path}', encoding => '{encoding}')")
        assert found.fetchall() == [(1, "x")]


def test_tables_of_one_column_take_whole_lines(connection: Connection, tmp_path: Path) -> None:
    path = put(tmp_path, "x.csv", "s\na,b\nc,d\n")
    connection.execute("CREATE TABLE t (s VARCHAR)")
    connection.execute(f"COPY t FROM '{path}'")
    assert connection.execute("FROM t").fetchall() == [("a,b",), ("c,d",)]


def test_a_file_that_shrinks_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"a": range(1000)}), path)
    relation = tensorsql.storage.formats.file_relation("read_parquet", str(path), {})
    pq.write_table(pa.table({"a": range(10)}), path)
    with pytest.raises(errors.CorruptError, match=r"x\.parquet.*10 rows, not 1000"):
        relation.open().read("a", 0, relation.rows)
