"""Kept rows: order, keys, morsels, emptiness, pickles; and that nothing else keeps rows."""

from __future__ import annotations

import ast
import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tensorsql.operators.columns.literals import literal_column, to_python
from tensorsql.operators.runtime.kept_rows import Keeping, KeptRows, in_order
from tensorsql.storage.columns.column import Batch, Column
from tensorsql.storage.columns.types import BIGINT, DOUBLE, INTEGER, VARCHAR, list_of

ROOT = Path(__file__).parent.parent
TYPES = (INTEGER, DOUBLE, VARCHAR, list_of(INTEGER))
COLUMNS = tuple(enumerate(TYPES))
CELLS = [(1, 1.5, "a", (1, 2)), (None, float("inf"), "", ()), (-3, None, None, None)]


def batch(count: int, start: int = 0) -> Batch:
    """Rows start …, all of whose cells tell them apart or are NULL, beside a column too many."""
    rows = [CELLS[place % len(CELLS)] for place in range(start, start + count)]
    columns = {id: literal_column([row[id] for row in rows], kind) for id, kind in COLUMNS}
    return Batch({**columns, 99: numbers(start, count)}, count)


def numbers(start: int, count: int) -> Column:
    return literal_column(list(range(start, start + count)), BIGINT)


def values(found: Batch) -> list[tuple[object, ...]]:
    columns = [to_python(found.column(id)) for id, _ in COLUMNS]
    return list(zip(*columns, strict=True))


def kept(sizes: list[int]) -> KeptRows:
    """Batches of so many rows, with a key that counts them."""
    found = KeptRows(COLUMNS)
    for place, size in enumerate(sizes):
        start = sum(sizes[:place])
        found.add(batch(size, start), [numbers(start, size)])
    return found


@pytest.mark.parametrize("sizes", [[1], [4], [3, 2, 5], [0, 2, 0], [1] * 9])
def test_rows_and_keys_stay_together_and_in_order(sizes: list[int]) -> None:
    total = sum(sizes)
    rows = kept(sizes)
    assert rows.rows == total
    whole = rows.joined()
    assert values(whole.batch) == [CELLS[place % 3] for place in range(total)]
    assert list(whole.batch.columns) == [id for id, _ in COLUMNS]
    assert to_python(whole.keys[0]) == list(range(total))
    assert rows.joined() is whole
    backwards = whole.take(torch.arange(total - 1, -1, -1))
    assert to_python(backwards.keys[0]) == list(range(total))[::-1]
    assert values(backwards.batch) == values(whole.batch)[::-1]


@pytest.mark.parametrize("sizes", [[], [1], [3, 2, 5]])
@pytest.mark.parametrize("size", [0, 1, 4, 100])
def test_morsels_are_all_rows_once(sizes: list[int], size: int) -> None:
    rows = kept(sizes)
    morsels = [rows.read(morsel, size) for morsel in range(rows.morsels(size))]
    assert [one.morsel for one in morsels] == list(range(len(morsels)))
    assert [row for one in morsels for row in values(one)] == values(kept(sizes).table())
    assert all(one.selection is None for one in morsels)


def test_none_have_columns_but_no_keys() -> None:
    rows = KeptRows(COLUMNS)
    whole = rows.joined()
    assert (rows.rows, rows.morsels(0), whole.batch.count, list(whole.keys)) == (0, 0, 0, [])
    assert [column.type for column in whole.batch.columns.values()] == list(TYPES)


def test_only_selected_rows_are_kept() -> None:
    rows = KeptRows(COLUMNS)
    rows.add(batch(5).select(torch.tensor([0, 2, 4])))
    assert values(rows.table()) == [CELLS[0], CELLS[2], CELLS[1]]


def test_states_come_in_the_order_of_morsels() -> None:
    sink = Keeping(COLUMNS, lambda rows: [rows.column(99)])
    states = [sink.new_state() for _ in range(3)]
    for place in (2, 0, 1):  # the order workers are done in
        sink.accumulate(states[place], batch(2, 2 * place))
    assert to_python(sink.merge(states).joined().keys[0]) == list(range(6))
    assert in_order(COLUMNS, []).rows == 0


def test_kept_rows_travel() -> None:
    rows = kept([3, 2])
    copy = pickle.loads(pickle.dumps(rows))
    assert values(copy.table()) == values(rows.table())
    assert to_python(copy.joined().keys[0]) == to_python(rows.joined().keys[0])


def keepers() -> Iterator[str]:
    """Modules of operators that join batches, or name a list of them in what they hold."""
    for path in sorted((ROOT / "operators").rglob("*.py")):
        tree = ast.parse(path.read_text())
        joins = any(
            isinstance(node, ast.Name) and node.id == "concat_batches" for node in ast.walk(tree)
        )
        fields = [
            ast.unparse(node.annotation)
            for node in ast.walk(tree)
            if isinstance(node, ast.AnnAssign)
        ]
        if joins or any("list[Batch]" in field or "Sequence[Batch]" in field for field in fields):
            yield str(path.relative_to(ROOT))


def test_nothing_else_keeps_batches() -> None:
    assert list(keepers()) == ["operators/runtime/kept_rows.py"]
