"""Estimates of row counts: they steer the choice of plan and never an answer.

Column facts (distinct counts, ranges) come from the statistics of scanned relations and are
followed through the plan by column id. Independence is assumed, joins by containment:
|L| · |R| / max(ndv).
"""

from __future__ import annotations

import datetime
import math
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from tensorsql.planner.analysis.predicates import column_equality
from tensorsql.planner.plans.expressions import (
    Call,
    ColumnRef,
    Expression,
    Literal,
    columns_of,
    conjuncts,
)
from tensorsql.planner.plans.index_plans import IndexFilter, IndexTopN
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Distinct,
    Filter,
    Join,
    Limit,
    LiteralRows,
    Project,
    Reference,
    Scan,
    SetOperation,
    TopN,
    Values,
    With,
)
from tensorsql.planner.plans.plan import Plan
from tensorsql.storage.columns.statistics import ColumnStatistics
from tensorsql.storage.columns.types import Kind

# Guesses where nothing is known, after System R (Selinger et al. 1979).
RANGE, EQUAL, LIKE, OTHER = 0.3, 0.05, 0.1, 0.3


@dataclass
class Estimator:
    """Row estimates for the plans of one query; remembers what it computed, by node identity."""

    columns: dict[int, ColumnStatistics] = field(default_factory=dict)
    distincts: dict[int, float] = field(default_factory=dict)
    shared: dict[int, float] = field(default_factory=dict)
    estimated: dict[int, tuple[Plan, float]] = field(default_factory=dict)

    def rows(self, plan: Plan) -> float:
        """Estimated rows of the plan, at least a fraction above zero."""
        estimate = self.estimated.get(id(plan))
        if estimate is None:
            estimate = (plan, max(self._rows(plan), 0.5))
            self.estimated[id(plan)] = estimate
        return estimate[1]

    def _rows(self, plan: Plan) -> float:
        match plan:
            case Scan():
                return self._scan(plan)
            case Values():
                return float(len(plan.rows))
            case LiteralRows():
                return float(plan.count)
            case Filter() | IndexFilter():
                return self.rows(plan.input) * self.selectivity(plan.predicate)
            case Project():
                return self._project(plan)
            case Join() | DependentJoin():
                return self.join_rows(plan, self.rows(plan.left), self.rows(plan.right))
            case Aggregate():
                return self._aggregate(plan)
            case Limit() | TopN() | IndexTopN():
                rows = self.rows(plan.input)
                return rows if plan.count is None else min(rows, float(plan.count))
            case Distinct():
                return self.rows(plan.input) * 0.5
            case SetOperation():
                sides = [self.rows(plan.left), self.rows(plan.right)]
                return sum(sides) if plan.kind == "union" else min(sides)
            case With():
                for shared, _, definition in plan.definitions:
                    self.shared[shared] = self.rows(definition)
                return self.rows(plan.body)
            case Reference():
                return self.shared.get(plan.shared, 1000.0)
        return max((self.rows(child) for child in plan.inputs), default=1000.0)

    def _scan(self, plan: Scan) -> float:
        rows = float(plan.relation.live_rows)
        for column, name in plan.columns:
            facts = plan.relation.statistics.get(name)
            if facts is not None:
                self.columns[column.id] = facts
                self.distincts[column.id] = (
                    rows if facts.unique else float(facts.distinct or rows / 10)
                )
        return rows

    def _project(self, plan: Project) -> float:
        rows = self.rows(plan.input)
        for column, value in plan.assignments:
            if isinstance(value, ColumnRef):
                if value.id in self.columns:
                    self.columns[column.id] = self.columns[value.id]
                if value.id in self.distincts:
                    self.distincts[column.id] = self.distincts[value.id]
        return rows

    def _aggregate(self, plan: Aggregate) -> float:
        rows = self.rows(plan.input)
        if not plan.keys:
            return 1.0
        groups = 1.0
        for column, value in plan.keys:
            count = (
                self.distincts.get(value.id, rows / 10)
                if isinstance(value, ColumnRef)
                else rows / 10
            )
            groups *= max(count, 1.0)
            self.distincts[column.id] = min(count, rows)
        return min(groups, rows)

    def join_rows(self, plan: Join | DependentJoin, left: float, right: float) -> float:
        """Rows of a join of this kind and condition over inputs of these sizes."""
        matched = left * right * self.condition_selectivity(plan.condition, left, right)
        match plan.kind:
            case "semi":
                return min(left, matched) * 0.9
            case "anti":
                return max(left - matched, left * 0.1)
            case "mark" | "single":
                return left
            case "left":
                return max(left, matched)
            case "right":
                return max(right, matched)
            case "full":
                return max(left, right, matched)
        return matched

    def condition_selectivity(self, condition: Expression, left: float, right: float) -> float:
        """Share of the cross product that a join condition keeps."""
        result, pairs = 1.0, []
        for part in conjuncts(condition):
            sides = column_equality(part)
            if sides is None:
                result *= self.selectivity(part)
                continue
            counts = [min(self.distincts.get(side.id, 1e9), max(left, right)) for side in sides]
            pairs.append(max(*counts, 1.0))
        if len(pairs) > 1:
            # Several columns together have no more distinct values than a side has rows.
            return result / max(min(math.prod(pairs), min(left, right)), *pairs)
        return result / math.prod(pairs)

    def selectivity(self, predicate: Expression) -> float:
        """Share of rows a predicate keeps."""
        result = 1.0
        for part in conjuncts(predicate):
            result *= self._one(part)
        return result

    def _one(self, part: Expression) -> float:
        if isinstance(part, Literal):
            return 1.0 if part.peek is True else 0.0
        if not isinstance(part, Call):
            return OTHER
        match part.function.name:
            case "or":
                missing = 1.0
                for arg in part.args:
                    missing *= 1.0 - self.selectivity(arg)
                return 1.0 - missing
            case "not":
                return 1.0 - self.selectivity(part.args[0])
            case "=" | "is_not_distinct_from":
                return self._equal(part)
            case "in":
                return min(1.0, self._equal(part) * (len(part.args) - 1))
            case "in values":
                items = part.args[1]
                assert isinstance(items, Literal)
                return min(1.0, self._equal(part) * len(items.peek))
            case "<" | "<=" | ">" | ">=":
                return self._range(part)
            case "like" | "ilike" | "starts_with" | "contains":
                return LIKE
            case "is_null":
                return 0.02
        return OTHER

    def _equal(self, call: Call) -> float:
        counts = [self.distincts[id] for id in columns_of(call) if id in self.distincts]
        return 1.0 / max(max(counts), 1.0) if counts else EQUAL

    def _range(self, call: Call) -> float:
        name, (left, right) = call.function.name, call.args
        if isinstance(left, Literal):
            left, right = right, left
            name = name.translate(str.maketrans("<>", "><"))
        ids = columns_of(left)
        if not isinstance(right, Literal) or len(ids) != 1:
            return RANGE
        facts = self.columns.get(next(iter(ids)))
        if facts is None or facts.minimum is None or facts.maximum is None:
            return RANGE
        share = _share(facts, left, right)
        if share is None:
            return RANGE
        return share if name.startswith("<") else 1.0 - share


def _share(facts: ColumnStatistics, column: Expression, literal: Literal) -> float | None:
    """The share of [minimum, maximum] below the literal, if both can be put on one number line."""
    value = _number(literal.peek, literal)
    low, high = facts.minimum, facts.maximum
    if value is None or not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    scale = 10.0**column.type.scale if column.type.kind is Kind.DECIMAL else 1.0
    if high == low:
        return 0.5
    return min(1.0, max(0.0, (value * scale - low) / (high - low)))


def _number(value: Any, literal: Literal) -> float | None:
    if isinstance(value, datetime.datetime):
        return (value - datetime.datetime(1970, 1, 1)).total_seconds() * 1e6
    if isinstance(value, datetime.date):
        return float((value - datetime.date(1970, 1, 1)).days)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return float(value)
    return None
