"""Facts of plans: what is proven for the snapshot a plan reads, derived bottom-up.

The table operator × fact in ARCHITECTURE.md says which operator keeps which fact. Facts come from
statistics and operators alone; estimates live in `estimates.py` and never mix with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.analysis.predicates import column_equalities
from tensorsql.planner.plans.expressions import ColumnRef, Expression
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import (
    Aggregate,
    Distinct,
    Filter,
    Join,
    Limit,
    LiteralRows,
    Project,
    Scan,
    Sort,
    TopN,
    Values,
    Window,
)
from tensorsql.planner.plans.memo import remembered
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.tables.catalog import Relation


@dataclass(frozen=True, slots=True)
class Facts:
    """Proven facts of a plan's output at a snapshot; columns by id.

    `ranges` are of the stored values, `unique_keys` are sets of columns no two rows share
    (NULL = NULL), `row_bound` is the most rows there can be.
    """

    ranges: dict[int, Interval]
    unique_keys: frozenset[frozenset[int]]
    row_bound: int | None = None


NOTHING = Facts({}, frozenset())


@remembered
def facts(plan: Plan) -> Facts:
    """What is proven of the plan's rows; NOTHING where nothing is."""
    match plan:
        case Scan():
            return _scan(plan)
        case Values():
            return replace(NOTHING, row_bound=len(plan.rows))
        case LiteralRows():
            return replace(NOTHING, row_bound=plan.count)
        case Filter() | IndexFilter() | Sort() | Window():
            return facts(plan.input)
        case Project():
            return _project(plan)
        case Limit() | TopN() | IndexTopN():
            return _limit(plan)
        case Distinct():
            return _distinct(plan)
        case Aggregate():
            return _aggregate(plan)
        case Join():
            return _join(plan)
    return NOTHING


def _scan(plan: Scan) -> Facts:
    ranges = {column.id: stored_range(plan.relation, name) for column, name in plan.columns}
    bounded = {id: bounds for id, bounds in ranges.items() if bounds is not None}
    names = unique_columns(plan.relation, (name for _, name in plan.columns))
    unique = {frozenset({column.id}) for column, name in plan.columns if name in names}
    if plan.row_id is not None:
        unique.add(frozenset({plan.row_id.id}))
    return Facts(bounded, frozenset(unique), plan.relation.live_rows)


def stored_range(relation: Relation, name: str) -> Interval | None:
    """Bounds of the stored values of a column; None where its statistics have none."""
    statistics = relation.statistics.get(name)
    if statistics is None or statistics.minimum is None:
        return None
    null = not _never_null(relation, name)
    is_float = isinstance(statistics.minimum, float)
    return Interval(statistics.minimum, statistics.maximum, null, is_float and statistics.has_nan)


def _never_null(relation: Relation, name: str) -> bool:
    statistics, schema = relation.statistics[name], relation.schema.column(name)
    return statistics.non_null or (schema is not None and schema.not_null)


def unique_columns(relation: Relation, names: Iterable[str]) -> frozenset[str]:
    """Those of the columns of which no two rows have the same value, where NULL equals NULL."""
    statistics = ((name, relation.statistics.get(name)) for name in names)
    # Statistics leave NULLs out of `unique`.
    return frozenset(
        name for name, each in statistics if each and each.unique and _never_null(relation, name)
    )


def _project(plan: Project) -> Facts:
    inner = facts(plan.input)
    renamed: dict[int, int] = {}
    for column, value in plan.assignments:
        if isinstance(value, ColumnRef):
            renamed.setdefault(value.id, column.id)
    return Facts(
        {renamed[id]: bounds for id, bounds in inner.ranges.items() if id in renamed},
        frozenset(
            frozenset(renamed[id] for id in key)
            for key in inner.unique_keys
            if key <= renamed.keys()
        ),
        inner.row_bound,
    )


def _limit(plan: Limit | TopN | IndexTopN) -> Facts:
    inner = facts(plan.input)
    bounds = [bound for bound in (inner.row_bound, plan.count) if bound is not None]
    return replace(inner, row_bound=min(bounds) if bounds else None)


def _distinct(plan: Distinct) -> Facts:
    inner = facts(plan.input)
    if plan.on is None:
        key = frozenset(column.id for column in plan.fields)
    elif all(isinstance(item, ColumnRef) for item in plan.on):
        key = frozenset(item.id for item in plan.on if isinstance(item, ColumnRef))
    else:
        return inner
    return replace(inner, unique_keys=inner.unique_keys | {key})


def _aggregate(plan: Aggregate) -> Facts:
    if not plan.keys:
        return replace(NOTHING, row_bound=1)
    if plan.grouping_sets is not None:
        return NOTHING
    key = frozenset(column.id for column, _ in plan.keys)
    return replace(_project(Project(plan.input, plan.keys)), unique_keys=frozenset({key}))


def _join(plan: Join) -> Facts:
    left = facts(plan.left)
    if plan.kind in ("semi", "anti", "mark", "single"):
        return left  # single raises rather than repeat a left row
    if plan.kind not in ("inner", "left"):
        return NOTHING
    right = facts(plan.right)
    at_most_one = _matches_once(plan, right)
    keys = left.unique_keys if at_most_one else frozenset()
    if plan.kind == "inner" and _matches_once(plan, left):
        keys = keys | right.unique_keys
    added = right.ranges
    if plan.kind == "left":  # a row without a match has NULLs
        added = {id: replace(bounds, may_be_null=True) for id, bounds in added.items()}
    return Facts(left.ranges | added, keys, left.row_bound if at_most_one else None)


def matches_once(plan: Join) -> bool:
    """Whether it is proven that no left row has more than one match."""
    right = facts(plan.right)
    return right.row_bound in (0, 1) or _matches_once(plan, right)


def _matches_once(plan: Join, side: Facts) -> bool:
    """Whether the equalities of the condition cover a unique key of this side."""
    equated = {column.id for pair in column_equalities(plan.condition) for column in pair}
    return any(key <= equated for key in side.unique_keys)


class Dependencies:
    """What determines what in a plan's rows: one value of some columns, one of others.

    Follows unique keys of scans (one key value, one row) and equalities of inner joins and filters.
    """

    def __init__(self, plan: Plan) -> None:
        self.single: dict[int, list[frozenset[int]]] = {}
        self.keys: list[tuple[frozenset[int], frozenset[int]]] = []
        self._add(plan)

    def determine(self, start: Iterable[int], column: int) -> bool:
        """Whether the column's value is the same wherever those of the columns `start` are."""
        waiting = list(start)
        determined = set(waiting)
        while waiting and column not in determined:
            implied = list(self.single.get(waiting.pop(), ()))
            if not waiting:
                implied += [columns for key, columns in self.keys if key <= determined]
            for columns in implied:
                waiting += columns - determined
                determined |= columns
        return column in determined

    def _add(self, plan: Plan) -> None:
        match plan:
            case Scan():
                for key in facts(plan).unique_keys:
                    self._add_key(key, plan.ids)
            case Filter():
                self._add_equated(plan.predicate)
                self._add(plan.input)
            case Join(kind="inner"):
                self._add_equated(plan.condition)
                self._add(plan.left)
                self._add(plan.right)
            case Join(kind="semi" | "anti" | "mark" | "single"):
                self._add(plan.left)
            case Project():
                for column, value in plan.assignments:
                    if isinstance(value, ColumnRef) and value.id != column.id:
                        self._add_equal(column.id, value.id)
                self._add(plan.input)
            case Sort() | Limit() | TopN():
                self._add(plan.input)

    def _add_key(self, key: frozenset[int], columns: frozenset[int]) -> None:
        if len(key) == 1:
            self.single.setdefault(next(iter(key)), []).append(columns)
        else:
            self.keys.append((key, columns))

    def _add_equated(self, predicate: Expression) -> None:
        for a, b in column_equalities(predicate):
            # Equal floats may differ (-0.0 = 0.0), so one does not determine the other.
            if not a.type.is_float:
                self._add_equal(a.id, b.id)

    def _add_equal(self, a: int, b: int) -> None:
        self._add_key(frozenset({a}), frozenset({b}))
        self._add_key(frozenset({b}), frozenset({a}))
