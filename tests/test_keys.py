"""Uniqueness by an index answers as a scan of all rows would, and small segments never pile up."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from storage_values import array_of, python

import tensorsql
from tensorsql.errors import IntegrityError, UnsupportedError
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.columns.types import Type
from tensorsql.storage.tables import constraints, keys, rewrite
from tensorsql.storage.tables.catalog import ColumnSchema, TableSchema
from tensorsql.storage.tables.constraints import check_keys
from tensorsql.storage.tables.database import Database, Transaction
from tensorsql.storage.tables.segment import Segment
from tensorsql.storage.tables.snapshot import TableState

NAN = float("nan")
NASTY: dict[Type, list[Any]] = {
    types.BOOLEAN: [True, False],
    types.TINYINT: [0, 1, -1, 127, -128],
    types.INTEGER: [0, 1, -1, 2**31 - 1, -(2**31), *range(2, 40)],
    types.BIGINT: [0, 1, -1, 2**63 - 1, -(2**63), 2**32, *range(100, 140)],
    types.HUGEINT: [Decimal(n) for n in (0, 1, -1, 2**64, 2**64 + 1, -(2**64), 10**37)],
    types.decimal(5, 2): [Decimal(n).scaleb(-2) for n in (0, 1, -1, 150, 99999, *range(20))],
    types.decimal(30, 2): [Decimal(n).scaleb(-2) for n in (0, 1, -1, 10**29, 10**29 + 1)],
    types.REAL: [0.0, -0.0, 1.5, NAN, float("inf"), float("-inf"), 3.0],
    types.DOUBLE: [0.0, -0.0, 1.5, NAN, -NAN, float("inf"), 1e-300, 0.1, 0.2, 0.1 + 0.2, 0.3],
    types.DATE: [0, 1, -1, 18000, *range(50, 70)],
    types.TIMESTAMP: [0, 1, -1, 10**15, *range(50, 70)],
    types.VARCHAR: ["", "a", "A", "ab", "ba", "a\0", "\0", "ß", "日本", "x" * 300, *"cdefghij"],
    types.BLOB: [b"", b"a", b"\0", b"\0\0", b"ab", b"ba", b"\xff" * 9],
    types.UUID: [f"00000000-0000-0000-0000-{n:012d}" for n in range(8)],
}


def by_scan(state: TableState, new: Segment) -> None:
    """`check_keys` as it was before there were indexes: all rows, grouped by the key."""
    for kind, key in keys.keys_of(state.schema):
        tables = [constraints._key_table(new, key, np.arange(new.rows))]
        for segment in state.segments:
            deleted = state.deleted(segment)
            live = np.arange(segment.rows) if deleted is None else np.flatnonzero(~deleted)
            tables.append(constraints._key_table(segment, key, live))
        duplicate = constraints._duplicate(tables)
        if duplicate is not None:
            shown = ", ".join(f"{n}: {constraints._shown(v, key[n])}" for n, v in duplicate.items())
            raise IntegrityError(
                f'duplicate key "{shown}" violates {kind} constraint of {state.schema.name}'
            )


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Every check is made both ways; counts how often each answer came."""
    answers = {"": 0, "duplicate": 0}

    def both(state: TableState, new: Segment) -> None:
        expected, found = _message(by_scan, state, new), _message(check_keys, state, new)
        assert found == expected
        answers["duplicate" if expected else ""] += 1
        if found:
            raise IntegrityError(found)

    monkeypatch.setattr("tensorsql.storage.tables.transaction.check_keys", both)
    monkeypatch.setattr(keys, "KEPT_ROWS", 6)
    return answers


def _message(check: Callable[[TableState, Segment], None], *given: Any) -> str:
    try:
        check(*given)
    except IntegrityError as error:
        return str(error)
    return ""


def random_schema(chance: random.Random) -> TableSchema:
    kinds = [chance.choice(list(NASTY)) for _ in range(4)]
    columns = tuple(ColumnSchema(f"c{i}", kind) for i, kind in enumerate(kinds))
    names = [column.name for column in columns]
    primary = tuple(chance.sample(names, chance.choice([0, 1, 1, 2, 3])))
    unique = tuple(
        tuple(chance.sample(names, chance.randint(1, 3))) for _ in range(chance.randint(0, 2))
    )
    if not primary and not unique:
        unique = (("c0",),)
    return TableSchema("t", columns, primary, unique)


def random_rows(chance: random.Random, schema: TableSchema) -> dict[str, pa.Array]:
    count = chance.choice([1, 1, 1, 2, 3, 9])
    ascending = chance.random() < 0.3
    found = {}
    for column in schema.columns:
        domain = NASTY[column.type]
        values = [chance.choice(domain) for _ in range(count)]
        if ascending and not column.type.is_float:
            values.sort()
        if column.name not in schema.primary_key and chance.random() < 0.3:
            values[chance.randrange(count)] = None
        found[column.name] = as_array(values, column.type)
    return found


def as_array(values: list[Any], type: Type) -> pa.Array:
    if type in (types.DATE, types.TIMESTAMP):
        whole = pa.array(values, pa.int32() if type == types.DATE else pa.int64())
        return whole.cast(pa.date32() if type == types.DATE else pa.timestamp("us"))
    return array_of(values, type)


def live_rows(transaction: Transaction) -> dict[int, list[Any]]:
    """All live rows by row id."""
    relation = transaction.relation("t")
    assert relation is not None
    reader = relation.open()
    count = relation.rows
    columns = [python(to_arrow(reader.read(c.name, 0, count))) for c in relation.schema.columns]
    live = reader.live(0, count)
    alive = [True] * count if live is None else live.tolist()
    ids = reader.row_ids(0, count).tolist()
    assert ids == sorted(set(ids))
    return {ids[i]: [repr(c[i]) for c in columns] for i in range(count) if alive[i]}


def change(chance: random.Random, transaction: Transaction, schema: TableSchema) -> None:
    """One statement; it may fail, and then changes nothing."""
    ids = list(live_rows(transaction))
    before = transaction.savepoint()
    choice = chance.random()
    try:
        if choice < 0.65 or not ids:
            transaction.append("t", random_rows(chance, schema))
        elif choice < 0.85:
            transaction.delete("t", chance.sample(ids, min(len(ids), chance.randint(1, 8))))
        else:
            rows = random_rows(chance, schema)
            count = len(next(iter(rows.values())))
            if count <= len(ids):
                transaction.update("t", chance.sample(ids, count), rows)
    except IntegrityError:
        transaction.restore(before)


@pytest.mark.parametrize("place", ["memory", "folder"])
@pytest.mark.parametrize("seed", range(12))
def test_as_by_a_scan(tmp_path: Path, compared: dict[str, int], place: str, seed: int) -> None:
    chance = random.Random(seed)
    schema = random_schema(chance)
    database = Database.open(":memory:" if place == "memory" else tmp_path / "db")
    transaction = database.begin()
    transaction.create_table(schema)
    transaction.commit()
    for _ in range(10):
        transaction = database.begin()
        for _ in range(chance.randint(1, 6)):
            change(chance, transaction, schema)
        expected = live_rows(transaction)
        if chance.random() < 0.8:
            transaction.commit()
            assert live_rows(database.begin()) == expected
        else:
            transaction.rollback()
        if chance.random() < 0.2:
            database.checkpoint()
        if place == "folder" and chance.random() < 0.3:
            database.close()
            database = Database.open(tmp_path / "db")
    database.close()
    assert (compared[""] and compared["duplicate"]) or seed not in range(3)


@pytest.mark.parametrize("seed", range(3))
def test_words_only_suspect(
    compared: dict[str, int], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """With hashes that all collide the answers are the same."""
    monkeypatch.setattr(keys, "_words", lambda array, _: np.zeros(len(array), np.uint64))
    chance = random.Random(seed)
    schema = random_schema(chance)
    transaction = Database.open().begin()
    transaction.create_table(schema)
    for _ in range(25):
        change(chance, transaction, schema)


def test_texts_have_words_of_their_own() -> None:
    texts = {"".join(chr(97 + (n >> 3 * i) % 8) for i in range(6)) for n in range(1 << 15)}
    texts |= {"a" * n for n in range(300)} | {"\0" * n for n in range(300)}
    texts |= {f"https://example.org/items/{n}/index.html" for n in range(20000)}
    array = pa.array(sorted(texts), pa.large_string())
    words = keys._words(array, types.VARCHAR)
    assert len(np.unique(words)) == len(texts)
    encoded = keys._words(array.dictionary_encode(), types.VARCHAR)
    assert (encoded == words).all()
    assert (keys._words(array[1000:2000], types.VARCHAR) == words[1000:2000]).all()


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rows each comparison of keys took."""
    counts: list[int] = []
    whole = constraints._key_table

    def counted(segment: Segment, key: keys.Key, rows: keys.Positions) -> pa.Table:
        counts.append(len(rows))
        return whole(segment, key, rows)

    monkeypatch.setattr(constraints, "_key_table", counted)
    yield counts


KEYS = {
    "ascending": pa.array(range(50000)),
    "shuffled": pa.array(np.random.default_rng(1).permutation(50000)),
    "text": pa.array([f"name {(n * 7919) % 50000}" for n in range(50000)]),
    "pairs": None,
}


@pytest.mark.parametrize("kind", KEYS)
def test_one_row_is_not_checked_by_a_scan(tmp_path: Path, looked_at: list[int], kind: str) -> None:
    values = KEYS[kind]
    text = kind == "text"
    if values is None:
        many = pa.table({"k": [n // 4 for n in range(50000)], "j": [n % 4 for n in range(50000)]})
    else:
        many = pa.table({"k": values, "j": [0] * 50000})
    column = ColumnSchema("k", types.VARCHAR if text else types.BIGINT)
    schema = TableSchema("t", (column, ColumnSchema("j", types.BIGINT)), ("k", "j"))
    database = Database.open(tmp_path / "db")
    transaction = database.begin(write=True)
    transaction.create_table(schema)
    transaction.append("t", many)
    transaction.commit()
    database.close()
    database = Database.open(tmp_path / "db")
    transaction = database.begin(write=True)
    for place in (0, 777, 49999):
        with pytest.raises(IntegrityError, match="duplicate key"):
            transaction.append("t", many.slice(place, 1))
    fresh = pa.table({"k": ["name"] if text else [777], "j": [9]})
    transaction.append("t", fresh)
    transaction.update("t", [5], many.slice(5, 1))
    assert sum(looked_at) < 60
    transaction.commit()
    database.close()


@pytest.mark.parametrize("place", ["memory", "folder"])
def test_small_segments_are_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    database = Database.open(":memory:" if place == "memory" else tmp_path / "db")
    written = 0
    keep = database.store.keep

    def counted(segment: Segment) -> Segment:
        nonlocal written
        written += segment.rows
        return keep(segment)

    monkeypatch.setattr(database.store, "keep", counted)
    schema = TableSchema("t", (ColumnSchema("c0", types.INTEGER),), ("c0",))
    transaction = database.begin(write=True)
    transaction.create_table(schema)
    transaction.commit()
    reader = None
    for number in range(150):
        transaction = database.begin(write=True)
        transaction.append("t", {"c0": pa.array([number])})
        if number % 10 == 9:
            transaction.delete("t", [number - 5])
        transaction.commit()
        if number == 100:
            reader, then = database.begin(), live_rows(database.begin())
    state = database.store.latest().tables["t"]
    assert len(state.segments) <= 3 * (rewrite.FAN_IN - 1) and written <= 150 * 4
    assert reader is not None and live_rows(reader) == then
    expected = {n: [repr(n)] for n in range(150) if n % 10 != 4}
    assert live_rows(database.begin()) == expected
    assert state.next_row_id == 150
    database.checkpoint()
    assert live_rows(database.begin()) == expected
    database.close()


def test_a_transaction_keeps_only_its_last_segments(tmp_path: Path) -> None:
    connection = tensorsql.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (i INTEGER PRIMARY KEY); BEGIN")
    for number in range(40):
        connection.execute(f"INSERT INTO t VALUES ({number})")
        connection.execute(f"UPDATE t SET i = i WHERE i = {number // 2}")
    connection.commit()
    state = connection.session.database.store.latest().tables["t"]
    named = {s.name for s in state.segments} | {d.name for d in state.deletions.values()}
    assert {path.name for path in (tmp_path / "db" / "segments").iterdir()} == named
    assert connection.execute("SELECT count(*), sum(i) FROM t").fetchall() == [(40, 780)]
    connection.close()


def test_an_emptied_segment_goes_and_its_row_ids_with_it() -> None:
    database = Database.open()
    transaction = database.begin(write=True)
    transaction.create_table(TableSchema("t", (ColumnSchema("c0", types.INTEGER),)))
    transaction.append("t", {"c0": pa.array(range(100))})
    assert transaction.delete("t", torch.arange(100)) == 100
    transaction.append("t", {"c0": pa.array([7])})
    transaction.commit()
    assert live_rows(database.begin()) == {100: ["7"]}
    assert len(database.store.latest().tables["t"].segments) == 1


def test_big_values_are_not_copied_over_and_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rewrite, "MOST_BYTES", 10_000)
    database = Database.open()
    transaction = database.begin(write=True)
    transaction.create_table(TableSchema("t", (ColumnSchema("c0", types.VARCHAR),)))
    for number in range(20):
        transaction.append("t", {"c0": pa.array([str(number) * 2000])})
    transaction.commit()
    assert len(database.store.latest().tables["t"].segments) == 20


def test_indexes_over_merged_segments(tmp_path: Path) -> None:
    """Masks keep their row ids, so an index made before the merge bounds the right ones."""
    connection = tensorsql.connect(tmp_path / "db")
    pixels = np.random.default_rng(3).integers(0, 256, (40, 8, 8), np.uint8)
    connection.register_masks("source", pixels)
    connection.execute(
        "CREATE TABLE m AS SELECT CAST(index AS INTEGER) AS i, mask FROM source WHERE index < 20"
    )
    connection.execute("CREATE INDEX x ON m USING CHI (mask) WITH (cell = 4, bins = 4)")
    for number in range(20, 40):
        connection.execute(f"INSERT INTO m SELECT index, mask FROM source WHERE index = {number}")
        connection.execute(f"DELETE FROM m WHERE i = {number - 15}")
    query = "SELECT i FROM m WHERE CP(mask, -, (0.5, 1.0)) > 32 ORDER BY i"
    bright = (pixels / 255 >= 0.5).sum((1, 2)) > 32
    expected = [(i,) for i in range(40) if bright[i] and not 5 <= i < 25]
    for _ in range(2):
        assert connection.execute(query).fetchall() == expected
        connection.execute("CHECKPOINT")
    state = connection.session.database.store.latest().tables["m"]
    assert len(state.segments) <= 16
    connection.close()


@pytest.mark.parametrize("type", ["INTEGER[]", "STRUCT(a INTEGER)", "INTERVAL", "TENSOR(2)"])
def test_types_that_make_no_key(type: str) -> None:
    connection = tensorsql.connect()
    with pytest.raises(UnsupportedError, match='column "x" cannot be part of a key'):
        connection.execute(f"CREATE TABLE k (x {type} UNIQUE)")


SQL = [
    ("INSERT INTO t VALUES (1, 'b')", True),
    ("INSERT INTO t VALUES (3, 'b'), (3, 'c')", True),
    ("INSERT INTO t SELECT i + 2, s FROM t", False),
    ("UPDATE t SET i = i + 1", False),
    ("UPDATE t SET i = 5", True),
    ("UPDATE t SET i = 3 - i", False),
    ("BEGIN; DELETE FROM t WHERE i = 1; INSERT INTO t VALUES (1, 'new'); COMMIT", False),
    ("BEGIN; INSERT INTO t VALUES (9, 'x'); INSERT INTO t VALUES (9, 'y')", True),
    ("COPY t FROM 'FILE'", True),
]


@pytest.mark.parametrize(("sql", "fails"), SQL)
def test_statements(tmp_path: Path, sql: str, fails: bool) -> None:
    connection = tensorsql.connect(tmp_path / "db")
    connection.execute("CREATE TABLE t (i INTEGER PRIMARY KEY, s VARCHAR)")
    connection.execute("INSERT INTO t VALUES (1, 'a'), (2, 'a')")
    (tmp_path / "rows.csv").write_text("i,s\n7,x\n2,y\n")
    sql = sql.replace("FILE", str(tmp_path / "rows.csv"))
    if not fails:
        connection.execute(sql)
        return
    with pytest.raises(IntegrityError, match="duplicate key"):
        connection.execute(sql)
    connection.rollback()
    assert connection.execute("SELECT * FROM t ORDER BY i").fetchall() == [(1, "a"), (2, "a")]


def test_no_numbers_are_lost_among_others() -> None:
    """Narrow columns beside wide values: what does not fit is no duplicate, what does is one."""
    database = Database.open()
    transaction = database.begin(write=True)
    transaction.create_table(TableSchema("t", (ColumnSchema("c0", types.BIGINT),), ("c0",)))
    transaction.append("t", {"c0": pa.array([*range(100), 300])})
    transaction.append("t", {"c0": pa.array([2**40 + 5, -(2**40), 261, 256])})
    for value in (5, 300, 2**40 + 5, 261, -(2**40)):
        with pytest.raises(IntegrityError):
            transaction.append("t", {"c0": pa.array([value, 2**50])})
    assert transaction.append("t", {"c0": pa.array([44 - 300])}) == 1
