"""Hypothesis strategies that ask questions of a table of masks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fuzz_mask_tables import Draw, MaskRow, MaskTable
from fuzz_mask_terms import Composer
from hypothesis import strategies as st
from sql_values import AGGREGATES, Order

SOURCES = (
    "masks",
    "masks",
    "masks",
    "seen",
    "joined",
    "split",
    "sparse",
    "(SELECT * FROM masks ORDER BY id)",
    "(SELECT * FROM masks WHERE kind = 0 UNION ALL SELECT * FROM masks WHERE kind <> 0)",
)


@dataclass(frozen=True)
class Question:
    """A query; `answer` gives its rows from the table's, `ordered` if their order counts."""

    sql: str
    answer: Callable[[Sequence[MaskRow]], list[tuple[Any, ...]]]
    ordered: bool


@st.composite
def orders(draw: Draw) -> Order:
    """Any order."""
    return Order(draw(st.booleans()), draw(st.sampled_from((False, False, True))))


@st.composite
def spans(draw: Draw) -> tuple[str, slice]:
    """LIMIT and OFFSET."""
    count, offset = draw(st.sampled_from((3, 1, 8, 0, 100))), draw(st.sampled_from((0, 0, 2, 50)))
    text = f" LIMIT {count}" + (f" OFFSET {offset}" if offset else "")
    return text, slice(offset, offset + count)


def rows_of(source: str, rows: Sequence[MaskRow]) -> Sequence[MaskRow]:
    """What a source makes of the table's rows: `sparse` has no mask for one of the kinds."""
    if source != "sparse":
        return rows
    gone = {"box": None, "low": None, "high": None, "mask": None}
    return [replace(row, **gone) if row.kind == 1 else row for row in rows]


@st.composite
def filters(draw: Draw) -> Question:
    """WHERE."""
    condition = Composer(draw).predicate(2)
    source = draw(st.sampled_from(SOURCES))
    return Question(
        f"SELECT id, kind FROM {source} WHERE {condition.sql}",
        lambda rows: [
            (row.id, row.kind) for row in rows_of(source, rows) if condition.of(row) is True
        ],
        ordered=False,
    )


@st.composite
def counts(draw: Draw) -> Question:
    """COUNT(*) and a sum of the rows that pass."""
    composer = Composer(draw)
    condition, value = composer.predicate(1), composer.cp()

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        kept = [row for row in rows if condition.of(row) is True]
        values = [found for row in kept if (found := value.of(row)) is not None]
        return [(len(kept), AGGREGATES["SUM"](values))]

    sql = f"SELECT COUNT(*), SUM({value.sql}) FROM masks WHERE {condition.sql}"
    return Question(sql, answer, ordered=True)


@st.composite
def top_rows(draw: Draw) -> Question:
    """[WHERE] ORDER BY … LIMIT; ties by a stated key or by row id."""
    composer = Composer(draw)
    value = composer.number(2)
    condition = composer.predicate(1) if draw(st.booleans()) else None
    order, (limit, span) = draw(orders()), draw(spans())
    source = draw(st.sampled_from(SOURCES))
    tie = ", id" if source != "masks" else draw(st.sampled_from(("", ", id DESC", ", kind")))
    where = "" if condition is None else f" WHERE {condition.sql}"

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        every = rows_of(source, rows)
        kept = [row for row in every if condition is None or condition.of(row) is True]
        if tie:
            name, _, down = tie.removeprefix(", ").partition(" ")
            kept = Order(bool(down), False).sorted(kept, lambda row: getattr(row, name))
        first = order.sorted([(row.id, value.of(row)) for row in kept], lambda pair: pair[1])
        return first[span]

    sql = (
        f"SELECT id, {value.sql} AS val FROM {source}{where} ORDER BY val{order.sql()}{tie}{limit}"
    )
    return Question(sql, answer, ordered=True)


@st.composite
def top_groups(draw: Draw, uniform: bool) -> Question:
    """GROUP BY [HAVING] ORDER BY … LIMIT; tied groups by their first row."""
    composer = Composer(draw, grouped=True, uniform=uniform)
    value = composer.number(draw(st.sampled_from((0, 0, 1))))
    where = Composer(draw).predicate(0) if draw(st.booleans()) else None
    having = composer.predicate(0) if draw(st.booleans()) else None
    order, (limit, span) = draw(orders()), draw(spans())

    def answer(rows: Sequence[MaskRow]) -> list[tuple[Any, ...]]:
        groups: dict[int, list[MaskRow]] = {}
        for row in rows:
            if where is None or where.of(row) is True:
                groups.setdefault(row.image_id, []).append(row)
        kept = [
            (key, value.of(group))
            for key, group in groups.items()
            if having is None or having.of(group) is True
        ]
        return order.sorted(kept, lambda pair: pair[1])[span]

    sql = f"SELECT image_id, {value.sql} AS val FROM masks"
    sql += "" if where is None else f" WHERE {where.sql}"
    sql += " GROUP BY image_id" + ("" if having is None else f" HAVING {having.sql}")
    return Question(f"{sql} ORDER BY val{order.sql()}{limit}", answer, ordered=True)


def questions(table: MaskTable) -> st.SearchStrategy[Question]:
    """Any of them."""
    groups = top_groups(table.uniform)
    return st.one_of(filters(), top_rows(), groups, top_rows(), groups, counts())
