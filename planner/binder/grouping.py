"""GROUP BY: keys and grouping sets of ROLLUP, CUBE and GROUPING SETS."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.aggregates import GroupingSets
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.ordering import column_position
from tensorsql.planner.binder.placeholders import SubqueryExpression
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    ColumnRef,
    Expression,
    WindowCall,
    walk,
)

Sets = list[tuple[int, ...]]
MOST_SETS = 65_535  # as in DuckDB


def group_keys(
    node: exp.Group | None, binder: ExpressionBinder, select: list[Expression]
) -> tuple[list[Expression], GroupingSets] | None:
    """Distinct keys and, if there is more than one, the sets of them; None without GROUP BY."""
    if node is None:
        return None
    keys = Keys(binder, select)
    every = node.args.get("all")
    if every is False:
        raise UnsupportedError("GROUP BY DISTINCT is not supported", position(node))
    if every:
        for expression in select:
            if _is_key(expression):
                keys.add(expression)
        return (list(keys.places), None) if keys.places else None
    elements = node.expressions
    found = [keys.sets(item) for item in elements]
    _check_count(math.prod(map(len, found)), node)
    sets = [_union(parts) for parts in itertools.product(*found)]
    several = any(isinstance(item, (exp.Rollup, exp.Cube, exp.GroupingSets)) for item in elements)
    return list(keys.places), tuple(sets) if several else None


def _check_count(count: int, node: exp.Expr) -> None:
    if count > MOST_SETS:
        raise BindError(
            f"GROUP BY makes more than {MOST_SETS:,} grouping sets; name fewer columns in CUBE or "
            "ROLLUP, or write the wanted sets with GROUPING SETS",
            position(node),
        )


def _union(parts: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(dict.fromkeys(itertools.chain.from_iterable(parts)))


def _is_key(item: Expression) -> bool:
    """Whether GROUP BY ALL groups by an item of the select list: as in DuckDB not by constants."""
    parts = list(walk(item))
    if any(isinstance(part, (AggregateCall, WindowCall)) for part in parts):
        return False
    return any(isinstance(part, (ColumnRef, SubqueryExpression)) for part in parts)


class Keys:
    """The keys met so far, each once, with its place."""

    def __init__(self, binder: ExpressionBinder, select: list[Expression]) -> None:
        self.binder = binder
        self.select = select
        self.places: dict[Expression, int] = {}

    def add(self, expression: Expression) -> int:
        """The place of a key."""
        return self.places.setdefault(expression, len(self.places))

    def key(self, node: exp.Expr) -> int:
        """The place of an expression, alias or position of the select list."""
        place = column_position(node, len(self.select))
        return self.add(self.binder.bind(node) if place is None else self.select[place])

    def group(self, node: exp.Expr) -> tuple[int, ...]:
        """`a`, `(a, b)` or `()`."""
        if isinstance(node, exp.Tuple):
            return tuple(self.key(item) for item in node.expressions)
        return (self.key(node.this if isinstance(node, exp.Paren) else node),)

    def sets(self, node: exp.Expr) -> Sets:
        """The grouping sets one element of GROUP BY stands for."""
        match node:
            case exp.Rollup():
                _check_count(len(node.expressions) + 1, node)
                parts = [self.group(item) for item in node.expressions]
                return [_union(parts[:size]) for size in range(len(parts), -1, -1)]
            case exp.Cube():
                _check_count(2 ** len(node.expressions), node)
                parts = [self.group(item) for item in node.expressions]
                sizes = range(len(parts), -1, -1)
                return [
                    _union(chosen)
                    for size in sizes
                    for chosen in itertools.combinations(parts, size)
                ]
            case exp.GroupingSets():
                return [found for item in node.expressions for found in self.sets(item)]
        return [self.group(node)]
