"""What type literals of different kinds have together, and what an error is, held to DuckDB's."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

from side_by_side import ERROR, SideBySide

LITERALS = {
    "INTEGER": "1",
    "BIGINT": "5000000000",
    "TINYINT": "1::TINYINT",
    "INTEGER by cast": "1::INTEGER",
    "VARCHAR by cast": "'3'::VARCHAR",
    "DECIMAL": "2.5",
    "DOUBLE": "1e0",
    "text": "'3'",
    "text of a date": "'2020-01-01'",
    "NULL": "NULL",
    "BOOLEAN": "true",
    "DATE": "DATE '2020-01-01'",
    "TIMESTAMP": "TIMESTAMP '2020-01-01 00:00:00'",
    "TIME": "TIME '10:00:00'",
    "INTERVAL": "INTERVAL 1 DAY",
}
PLACES: dict[str, Callable[[tuple[str, ...]], str]] = {
    "VALUES": lambda items: f"(VALUES {', '.join(f'({item})' for item in items)}) v(x)",
    "UNION": lambda items: "(" + " UNION ALL ".join(f"SELECT {item} AS x" for item in items) + ")",
    "list": lambda items: f"(SELECT [{', '.join(items)}] AS x)",
    "coalesce": lambda items: f"(SELECT coalesce({', '.join(items)}) AS x)",
    "greatest": lambda items: f"(SELECT greatest({', '.join(items)}) AS x)",
    "IN": lambda items: f"(SELECT {items[0]} IN ({', '.join(items[1:])}) AS x)",
    "CASE": lambda items: (
        f"(SELECT CASE {' '.join(f'WHEN i = {n} THEN {item}' for n, item in enumerate(items[1:]))} "
        f"ELSE {items[0]} END AS x FROM range(1) r(i))"
    ),
}
TRIPLES = 150
# DuckDB names the type of NULL "NULL", and takes a text beside 1 for an INTEGER as if it were cast.
OTHERWISE = (
    ({"VALUES", "list"}, {"NULL"}),
    (set(PLACES), {"text", "INTEGER", "TINYINT"}),
)


def otherwise(place: str, names: set[str]) -> bool:
    """Whether DuckDB goes another way with these."""
    return any(
        place in places and (kinds == names or (len(kinds) > 1 and kinds <= names))
        for places, kinds in OTHERWISE
    )


def queries(size: int) -> Iterator[str]:
    """The type and the first value of so many literals together, in every place."""
    for place, names in itertools.product(PLACES, itertools.product(LITERALS, repeat=size)):
        if otherwise(place, set(names)):
            continue
        whole = PLACES[place](tuple(LITERALS[name] for name in names))
        yield f"SELECT typeof(x), x::VARCHAR FROM {whole} LIMIT 1"


def test_pairs() -> None:
    SideBySide().check(queries(2))


def test_triples() -> None:
    """The same types and values where both have an answer, and no defect."""
    side = SideBySide()
    some = random.Random(4).sample(list(queries(3)), TRIPLES)
    found = [each for each in map(side.difference, some) if each is not None]
    assert not [each for each in found if "a defect" in each or ERROR not in each]
