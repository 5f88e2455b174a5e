"""Tables, transactions and the catalog, in memory and on disk, against Python dictionaries."""

from __future__ import annotations

import pickle
import random
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from hypothesis import Phase, find, settings
from hypothesis import strategies as st
from storage_values import VALUES, array_of, python

from tensorsql.errors import (
    CatalogError,
    ConversionError,
    CorruptError,
    IntegrityError,
    IOError,
    TransactionError,
    TypeMismatchError,
)
from tensorsql.storage.columns import types
from tensorsql.storage.columns.arrow import to_arrow
from tensorsql.storage.columns.masks import StoredMasks, mask_column, regular_block
from tensorsql.storage.columns.types import Type
from tensorsql.storage.formats.objects import relation as object_relation
from tensorsql.storage.tables import catalog_store
from tensorsql.storage.tables.catalog import (
    ColumnSchema,
    IndexEntry,
    ModelEntry,
    Relation,
    TableSchema,
    ViewEntry,
)
from tensorsql.storage.tables.database import Database, Transaction

T = TableSchema(
    "t",
    (
        ColumnSchema("k", types.INTEGER),
        ColumnSchema("word", types.VARCHAR),
        ColumnSchema("price", types.decimal(12, 2)),
    ),
    ("k",),
)
Open = Callable[[], Database]


@pytest.fixture(params=["memory", "folder"])
def open_database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    opened: list[Database] = []

    def open() -> Database:
        """The database again: the same one in memory, closed and reopened on disk."""
        if request.param == "memory":
            opened[:] = opened or [Database.open(writer_timeout=0.05)]
        else:
            if opened:
                opened.pop().close()
            opened.append(Database.open(tmp_path / "db", writer_timeout=0.05))
        return opened[0]

    yield open
    for database in opened:
        database.close()


def table(keys: list[int | None], word: str = "w") -> pa.Table:
    prices = pa.array([None if k is None else k * 100 for k in keys], pa.int64())
    return pa.table({"k": pa.array(keys, pa.int64()), "word": [word] * len(keys), "price": prices})


def commit(database: Database, change: Callable[[Transaction], Any]) -> Any:
    transaction = database.begin(write=True)
    try:
        result = change(transaction)
        transaction.commit()
        return result
    finally:
        transaction.rollback()


def rows(relation: Relation | None) -> dict[int, tuple[Any, ...]]:
    """Live rows by row id, read in two parts."""
    assert relation is not None
    reader = relation.open()
    found: dict[int, tuple[Any, ...]] = {}
    middle = relation.rows // 2
    for start, stop in ((0, middle), (middle, relation.rows)):
        columns = [
            python(to_arrow(reader.read(column.name, start, stop)))
            for column in relation.schema.columns
        ]
        ids = reader.row_ids(start, stop)
        live = reader.live(start, stop)
        kept = [True] * (stop - start) if live is None else live.tolist()
        together = zip(ids.tolist(), kept, *columns, strict=True)
        found |= {id: tuple(values) for id, alive, *values in together if alive}
    assert len(found) == relation.live_rows
    asked = torch.tensor([*found, 10**9], dtype=torch.int64)
    back = reader.positions(asked)
    assert int(back[-1]) == -1 and (back[:-1] >= 0).all()
    return found


@pytest.mark.parametrize("seed", range(3))
def test_random_changes(open_database: Open, seed: int) -> None:
    chance = random.Random(seed)
    database = open_database()
    commit(database, lambda t: t.create_table(T))
    model: dict[int, tuple[Any, ...]] = {}
    next_id = next_key = 0
    for _ in range(18):
        transaction = database.begin()
        changed = dict(model)
        for _ in range(chance.randint(1, 3)):
            if chance.random() < 0.6:
                keys = list(range(next_key, next_key + chance.choice([1, 3, 40])))
                word = chance.choice(["a", "b", f"word {next_key}"])
                assert transaction.append("T", table(list(keys), word)) == len(keys)
                changed |= {next_id + i: (k, word, k * 100) for i, k in enumerate(keys)}
                next_id, next_key = next_id + len(keys), next_key + len(keys)
            else:
                gone = chance.sample(sorted(changed), min(len(changed), chance.randint(0, 9)))
                assert transaction.delete(
                    "t", torch.tensor([*gone, *gone], dtype=torch.int64)
                ) == len(gone)
                changed = {id: row for id, row in changed.items() if id not in gone}
            assert rows(transaction.relation("t")) == changed
        assert rows(database.begin().relation("t")) == model
        if chance.random() < 0.7:
            transaction.commit()
            model = changed
        else:
            transaction.rollback()
            next_id = _next_id(database)
        if chance.random() < 0.2:
            database.checkpoint()
        if chance.random() < 0.2:
            database = open_database()
        check_facts(database.begin().relation("t"), model)


def check_facts(relation: Relation | None, model: dict[int, tuple[Any, ...]]) -> None:
    """The relation has the model's rows, and the facts of its key are true of them."""
    assert relation is not None and rows(relation) == model
    facts = relation.statistics["k"]
    keys = [row[0] for row in model.values()]
    assert facts.unique or not relation.rows
    assert not facts.sorted or keys == sorted(keys)
    assert not facts.dense or keys == list(range(keys[0], keys[0] + len(keys)))
    assert not keys or (facts.minimum <= min(keys) and max(keys) <= facts.maximum)


def _next_id(database: Database) -> int:
    return database.store.latest().tables["t"].next_row_id


@pytest.mark.parametrize("type", VALUES, ids=str)
def test_every_type_is_kept(tmp_path: Path, type: Type) -> None:
    examples = st.lists(VALUES[type], min_size=3, max_size=3)
    values = [*_example(examples), None]
    database = Database.open(tmp_path / "db")
    commit(database, lambda t: t.create_table(TableSchema("t", (ColumnSchema("c", type),))))
    for part in (values, values[:1], [None]):
        commit(database, lambda t, part=part: t.append("t", pa.table({"c": array_of(part, type)})))
    expected = python(array_of([*values, values[0], None], type))
    database.close()
    for _ in range(2):
        database = Database.open(tmp_path / "db")
        assert [row[0] for row in rows(database.begin().relation("t")).values()] == expected
        database.checkpoint()
        database.close()


def _example(strategy: Any) -> list[Any]:
    quick = settings(max_examples=50, phases=[Phase.generate])
    found: list[Any] = find(strategy, lambda values: values[0] != values[1], settings=quick)
    return found


def test_masks_and_tensors(open_database: Open) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(3, 2, 4)
    masks = mask_column(StoredMasks([regular_block(pixels)], 255, "uint8"))
    schema = TableSchema(
        "m", (ColumnSchema("mask", masks.type), ColumnSchema("v", types.tensor((2,))))
    )
    vectors = array_of([[1.0, 2.0], None, [3.0, 4.0]], types.tensor((2,)))
    valid = torch.tensor([True, False, True])
    holed = type(masks)(masks.type, masks.source, masks.rows * valid, valid)
    database = open_database()
    commit(database, lambda t: t.create_table(schema))
    commit(database, lambda t: t.append("m", {"mask": masks, "v": vectors}))
    commit(database, lambda t: t.append("m", {"mask": holed, "v": vectors}))
    expected = [(pixels[i].tolist(), v) for i, v in enumerate([[1.0, 2.0], None, [3.0, 4.0]])]
    both = [*expected, expected[0], (None, None), expected[2]]
    database = open_database()
    assert list(rows(database.begin().relation("m")).values()) == both
    commit(database, lambda t: t.delete("m", [1]))
    database.checkpoint()
    database = open_database()
    assert list(rows(database.begin().relation("m")).values()) == [both[0], *both[2:]]
    other = mask_column(StoredMasks([regular_block(pixels)], 100, "uint8"))
    with pytest.raises(TypeMismatchError, match=r"cannot take MASK\(100\)"):
        commit(database, lambda t: t.append("m", {"mask": other, "v": vectors}))


def test_snapshot_isolation(open_database: Open) -> None:
    database = open_database()
    commit(database, lambda t: t.create_table(T))
    reader, late = database.begin(), database.begin()
    commit(database, lambda t: t.append("t", table([1])))
    assert rows(reader.relation("t")) == {}
    with pytest.raises(TransactionError, match='table "t" was changed by another transaction'):
        late.append("t", table([2]))
    late.create_table(TableSchema("other", T.columns))  # what nobody else touched can be changed
    late.commit()
    now = database.begin()
    assert now.table_names() == ["other", "t"] and len(rows(now.relation("t"))) == 1


def test_second_writer_waits(open_database: Open) -> None:
    database = open_database()
    first, second = database.begin(), database.begin()
    first.create_table(T)
    with pytest.raises(TransactionError, match="another connection has been writing"):
        second.create_table(TableSchema("u", T.columns))
    first.rollback()
    second.create_table(TableSchema("u", T.columns))
    second.commit()
    assert database.begin().table_names() == ["u"]
    with pytest.raises(TransactionError, match="is over"):
        second.drop_table("u")


@pytest.mark.parametrize("step", ["put_files", "put_replaced", "forget_files", "seal"])
def test_a_commit_whose_catalog_fails_leaves_nothing_of_it(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a commit is in SQLite's transaction then: it goes, and the next commit finds none."""
    with closing(Database.open(tmp_path / "db", writer_timeout=0.05)) as database:
        commit(database, lambda t: (t.create_table(T), t.append("t", table([1]))))

        def fail(*_: object) -> None:
            raise sqlite3.OperationalError("disk I/O error")

        with monkeypatch.context() as patch:
            patch.setattr(catalog_store, step, fail)
            with pytest.raises(IOError, match="disk I/O error"):
                commit(database, lambda t: (t.drop_table("t"), t.put_view(ViewEntry("v", "x"))))
        assert database.begin().table_names() == ["t"]
        commit(database, lambda t: t.append("t", table([2])))
    with closing(Database.open(tmp_path / "db")) as database:
        transaction = database.begin()
        assert transaction.view("v") is None
        assert [row[0] for row in rows(transaction.relation("t")).values()] == [1, 2]


def test_constraints(open_database: Open) -> None:
    database = open_database()
    schema = TableSchema(
        "u",
        (
            ColumnSchema("a", types.INTEGER),
            ColumnSchema("b", types.VARCHAR),
            ColumnSchema("c", types.DATE, True),
        ),
        (),
        (("a", "b"),),
    )  # fmt: skip
    commit(database, lambda t: (t.create_table(T), t.create_table(schema)))
    commit(database, lambda t: t.append("t", table([1, 2, 3])))
    cases = [
        (table([3]), 'duplicate key "k: 3" violates PRIMARY KEY constraint of t'),
        (table([7, 8, 7]), 'duplicate key "k: 7" violates PRIMARY KEY'),
        (table([None]), "NOT NULL constraint failed: t.k"),
    ]
    for new, message in cases:
        with pytest.raises(IntegrityError, match=message):
            commit(database, lambda t, new=new: t.append("t", new))
    commit(database, lambda t: t.update("t", [0, 1], table([2, 1])))
    with pytest.raises(IntegrityError):
        commit(database, lambda t: t.update("t", [2], table([1])))
    assert sorted(row[0] for row in rows(database.begin().relation("t")).values()) == [1, 2, 3]
    dates = pa.array([1, 1, 1], pa.int32()).cast(pa.date32())
    some = pa.table({"a": [1, 1, None], "b": ["x", None, "x"], "c": dates})
    commit(database, lambda t: t.append("u", some))
    commit(database, lambda t: t.append("u", some.slice(1)))  # NULLs are never duplicates
    with pytest.raises(IntegrityError, match='duplicate key "a: 1, b: x" violates UNIQUE'):
        commit(database, lambda t: t.append("u", some))
    with pytest.raises(IntegrityError, match=r"NOT NULL constraint failed: u\.c"):
        commit(database, lambda t: t.append("u", some.drop_columns(["c"])))
    with pytest.raises(ConversionError, match="INTEGER"):
        commit(database, lambda t: t.append("t", table([2**40])))


def test_names_and_entries(open_database: Open) -> None:
    database = open_database()
    model = ModelEntry(
        "cnn", "/models/cnn.pt", "torch", "abc",
        (("image", types.tensor((1, 2, 2))),), types.INTEGER, (("fc1", (3,)),), {"trust": True},
    )  # fmt: skip
    index = IndexEntry("i", "T", "CHI", ("k",), {"cell": 28})

    def define(transaction: Transaction) -> None:
        transaction.create_table(T)
        transaction.put_view(ViewEntry("v", "SELECT 1", ("a",)))
        transaction.put_model(model)
        transaction.put_index(index)

    commit(database, define)
    now = open_database().begin()
    assert now.view("V") == ViewEntry("v", "SELECT 1", ("a",))
    assert now.model("CNN") == model and now.index_names() == ["i"]
    relation = now.relation("t")
    assert relation is not None and relation.indexes == (index,) and relation.identity
    with pytest.raises(CatalogError, match='"T" already exists'):
        now.create_table(TableSchema("T", T.columns))
    with pytest.raises(CatalogError, match='table "tt" does not exist; did you mean "t"'):
        now.append("tt", table([1]))
    with pytest.raises(CatalogError, match='no column "wrd" in t; did you mean "word"'):
        now.append("t", pa.table({"wrd": [1]}))
    with pytest.raises(CatalogError, match='view "w" does not exist; there is "v"'):
        now.drop_view("w")
    now.drop_table("t")
    assert now.indexes() == ()
    now.drop_model("cnn")
    now.commit()
    assert open_database().begin().models() == ()


def test_relations_pickle(open_database: Open) -> None:
    database = open_database()
    commit(database, lambda t: (t.create_table(T), t.append("t", table([1, 2, 3]))))
    commit(database, lambda t: t.delete("t", [1]))
    relation = open_database().begin().relation("t")
    assert relation is not None
    again = pickle.loads(pickle.dumps(relation))
    assert again == relation and rows(again) == rows(relation)
    assert again.statistics["k"] == relation.statistics["k"]
    registered = pickle.loads(pickle.dumps(object_relation("r", table([1, 2]))))
    assert rows(registered) == {0: (1, "w", 100), 1: (2, "w", 200)}


def test_savepoint(open_database: Open) -> None:
    transaction = open_database().begin()
    transaction.create_table(T)
    before = transaction.savepoint()
    transaction.append("t", table([1]))
    transaction.restore(before)
    transaction.append("t", table([2]))
    transaction.commit()
    assert [row[0] for row in rows(open_database().begin().relation("t")).values()] == [2]


def test_directories_last_if_referred_to(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "db")
    transaction = database.begin()
    transaction.create_table(T)
    kept, lost = transaction.index_directory("i"), transaction.index_directory("j")
    assert kept and lost
    (Path(kept) / "block.npy").write_bytes(b"x")
    transaction.put_index(IndexEntry("i", "t", "CHI", ("k",), {}, kept))
    transaction.commit()
    database.close()
    moved = (tmp_path / "db").rename(tmp_path / "moved")
    database = Database.open(moved)
    entry = database.begin().index("i")
    assert entry is not None and entry.directory
    assert (Path(entry.directory) / "block.npy").read_bytes() == b"x"
    assert len(list((moved / "indexes").iterdir())) == 1
    database.close()


def test_bad_folders(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IOError, match="is a file; a database is a folder"):
        Database.open(tmp_path / "file")
    with pytest.raises(IOError, match="is a folder but not a database"):
        Database.open(tmp_path)
    with pytest.raises(IOError, match="does not exist"):
        Database.open(tmp_path / "none", read_only=True)
    database = Database.open(tmp_path / "db")
    commit(database, lambda t: (t.create_table(T), t.append("t", table([1]))))
    database.close()
    (segment,) = (tmp_path / "db" / "segments").iterdir()
    content = segment.read_bytes()
    segment.write_bytes(content[:50])
    database = Database.open(tmp_path / "db", read_only=True)
    with pytest.raises(
        CorruptError, match=r'file ".*arrow" of table "t" is damaged: it has 50 bytes'
    ):
        rows(database.begin().relation("t"))
    with pytest.raises(TransactionError, match="read-only"):
        database.begin().drop_table("t")
    database.close()
    segment.unlink()
    database = Database.open(tmp_path / "db")
    with pytest.raises(IOError, match=r'arrow" of table "t" is missing'):
        rows(database.begin().relation("t"))
    database.close()
    (tmp_path / "db" / "catalog.sqlite").write_bytes(b"nonsense" * 1000)
    with pytest.raises((CorruptError, IOError), match="catalog"):
        Database.open(tmp_path / "db")


def test_opening_and_planning_need_no_torch(tmp_path: Path) -> None:
    database = Database.open(tmp_path / "db")
    commit(database, lambda t: (t.create_table(T), t.append("t", table([1, 2]))))
    database.close()
    script = f"""
import sys
sys.modules["torch"] = None
from tensorsql.storage.tables.database import Database
transaction = Database.open({str(tmp_path / "db")!r}).begin()
relation = transaction.relation("t")
assert relation.statistics["k"].dense and relation.schema.columns[1].name == "word"
"""
    subprocess.run([sys.executable, "-c", script], check=True)
