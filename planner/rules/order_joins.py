"""Join order."""

from __future__ import annotations

import dataclasses
import functools
import heapq
import operator
from dataclasses import dataclass

from tensorsql.cancellation import check_cancelled
from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.analysis.join_links import EqualColumns, Link, Predicate, links, written
from tensorsql.planner.analysis.predicates import equality
from tensorsql.planner.plans.expressions import (
    TRUE,
    Expression,
    are_same,
    columns_of,
    conjunction,
    conjuncts,
    is_fallible,
    is_volatile,
)
from tensorsql.planner.plans.logical import Filter, Join, Project, With
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import works_on

# Beyond this many inputs the exact search gives way to a greedy one.
EXACT_LIMIT = 10
# A semi or anti join that keeps less than this of its input goes down to it before other joins.
SELECTIVE = 0.5


@works_on({"inner join", "semi join", "anti join"})
def order_joins(plan: Plan) -> Plan:
    """Inner joins in the order with the least sum of intermediate rows; the smaller side right.

    Dynamic programming over connected subsets (Moerkotte & Neumann 2006), greedy beyond ten inputs;
    cross products only where nothing connects. A selective semi or anti join moves down to the one
    input it reads.
    """
    return _visit(plan, Estimator())


def _visit(plan: Plan, estimator: Estimator) -> Plan:
    if isinstance(plan, With):
        # Definitions first, so that the body's references know their size.
        definitions = tuple((i, name, _visit(p, estimator)) for i, name, p in plan.definitions)
        for shared, _, definition in definitions:
            estimator.shared[shared] = estimator.rows(definition)
        body = _visit(plan.body, estimator)
        same = body is plan.body and all(
            a[2] is b[2] for a, b in zip(definitions, plan.definitions, strict=True)
        )
        return plan if same else With(definitions, body)
    if isinstance(plan, Join) and (_is_free(plan) or plan.kind in ("semi", "anti")):
        graph = Graph.of(plan)
        leaves = [_visit(leaf, estimator) for leaf in graph.leaves]
        return _restore(plan, _build(graph, leaves, estimator))
    new = tuple(_visit(child, estimator) for child in plan.inputs)
    same = are_same(new, plan.inputs)
    return plan if same else plan.with_inputs(new)


def _restore(old: Plan, new: Plan) -> Plan:
    """The old node if nothing changed; else the new one with its columns in the old order."""
    if new == old:
        return old
    if new.fields == old.fields:
        return new
    return Project(new, tuple((field, field.ref()) for field in old.fields))


@dataclass
class Graph:
    """A tree of inner joins taken apart: inputs, predicates and the semi/anti joins over it."""

    leaves: list[Plan]
    predicates: list[Expression]
    reductions: list[Join]

    @classmethod
    def of(cls, plan: Plan) -> Graph:
        """Flatten inner joins, filters between them, and semi/anti joins above any of them."""
        graph = cls([], [], [])
        graph._add(plan)
        return graph

    def _add(self, plan: Plan) -> None:
        match plan:
            case Join() if _is_free(plan):
                self._add(plan.left)
                self._add(plan.right)
                self.predicates.extend(conjuncts(plan.condition))
            case Join(kind="semi" | "anti"):
                self._add(plan.left)
                self.reductions.append(plan)
            case Filter() if isinstance(plan.input, Join) and _movable(plan.predicate):
                self._add(plan.input)
                self.predicates.extend(conjuncts(plan.predicate))
            case _:
                self.leaves.append(plan)


def _is_free(join: Join) -> bool:
    """Whether an inner join may change places; the rows a fallible condition sees must not."""
    return join.kind == "inner" and _movable(join.condition)


def _movable(predicate: Expression) -> bool:
    return not is_fallible(predicate) and not is_volatile(predicate)


def _build(graph: Graph, leaves: list[Plan], estimator: Estimator) -> Plan:
    late: list[Join] = []
    for join in graph.reductions:
        join = dataclasses.replace(join, right=_visit(join.right, estimator))
        owner = _owner(join, leaves)
        reduced = None if owner is None else dataclasses.replace(join, left=leaves[owner])
        if reduced is not None and owner is not None and _selective(reduced, estimator):
            leaves[owner] = reduced
        else:
            late.append(join)
    plan = _order(leaves, graph.predicates, estimator)
    for join in late:
        plan = dataclasses.replace(join, left=plan)
    return plan


def _owner(join: Join, leaves: list[Plan]) -> int | None:
    """The one leaf whose columns the join's condition reads on the left, if it is one."""
    right = join.right.ids
    read = {id for id in columns_of(join.condition) if id not in right}
    for number, leaf in enumerate(leaves):
        if read and read <= leaf.ids:
            return number
    return None


def _selective(join: Join, estimator: Estimator) -> bool:
    return estimator.rows(join) < SELECTIVE * estimator.rows(join.left)


def _order(leaves: list[Plan], predicates: list[Expression], estimator: Estimator) -> Plan:
    if len(leaves) == 1:
        return Filter(leaves[0], conjunction(predicates)) if predicates else leaves[0]
    owners = {field.id: 1 << n for n, leaf in enumerate(leaves) for field in leaf.fields}
    # A fallible predicate stays above: a join it moved into might not have guarded it.
    several = links(filter(_movable, predicates), owners)
    leaves = [_equal_within(leaf, 1 << n, several) for n, leaf in enumerate(leaves)]
    search = Search(leaves, several, estimator)
    plan = search.exact() if len(leaves) <= EXACT_LIMIT else search.greedy()
    linking = {part for link in several for part in written(link)}
    rest = [part for part in predicates if part not in linking]
    return Filter(plan, conjunction(rest)) if rest else plan


def _equal_within(leaf: Plan, bit: int, several: list[Link]) -> Plan:
    """The leaf with the equalities of its own columns that follow from joins with others."""
    parts = [
        part for link in several if isinstance(link, EqualColumns) for part in link.within(bit)
    ]
    return Filter(leaf, conjunction(parts)) if parts else leaf


@dataclass
class JoinTree:
    """The best plan found for a set of leaves."""

    plan: Plan
    rows: float
    cost: float


class Search:
    """The search for one graph; leaves are bits of a set."""

    def __init__(self, leaves: list[Plan], several: list[Link], estimator: Estimator):
        self.estimator = estimator
        self.full = (1 << len(leaves)) - 1
        self.base = {
            1 << number: JoinTree(leaf, estimator.rows(leaf), 0.0)
            for number, leaf in enumerate(leaves)
        }
        self.links = several

    def join(self, left: int, right: int, best: dict[int, JoinTree]) -> JoinTree | None:
        """The two sets' best plans joined, smaller on the right; None if nothing connects them."""
        check_cancelled()
        parts = [part for link in self.links if (part := link.between(left, right)) is not None]
        if not parts:
            return None
        return self._joined(best[left], best[right], parts)

    def _joined(self, a: JoinTree, b: JoinTree, parts: list[Expression]) -> JoinTree:
        if b.rows > a.rows:
            a, b = b, a
        plan = Join("inner", a.plan, b.plan, conjunction(parts))
        rows = max(self.estimator.join_rows(plan, a.rows, b.rows), 0.5)
        # Building a table costs more per row than probing it; without keys every pair is looked at.
        pairs = 0.0 if any(equality(part) for part in parts) else a.rows * b.rows
        return JoinTree(plan, rows, a.cost + b.cost + rows + pairs + 0.5 * a.rows + b.rows)

    def exact(self) -> Plan:
        """Dynamic programming over all connected subsets."""
        best = dict(self.base)
        for subset in range(1, self.full + 1):
            left = (subset - 1) & subset
            while left:
                right = subset ^ left
                if left > right and left in best and right in best:
                    joined = self.join(left, right, best)
                    if joined and (subset not in best or joined.cost < best[subset].cost):
                        best[subset] = joined
                left = (left - 1) & subset
        if self.full in best:
            return best[self.full].plan
        return self._cross(best)

    def _cross(self, best: dict[int, JoinTree]) -> Plan:
        """Disconnected parts: the largest connected sets, crossed from small to large."""
        rest, parts = self.full, []
        for subset in sorted(best, key=lambda one: -one.bit_count()):
            if subset & rest == subset:
                parts.append(best[subset])
                rest ^= subset
        parts.sort(key=lambda one: one.rows)
        plan = parts[0].plan
        for part in parts[1:]:
            plan = Join("inner", part.plan, plan, TRUE)
        used = set(_used(plan))
        several = (link.part for link in self.links if isinstance(link, Predicate))
        done = [part for part in several if part not in used]
        return Filter(plan, conjunction(done)) if done else plan

    def greedy(self) -> Plan:
        """Join the pair with the fewest result rows until nothing connects."""
        best = dict(self.base)
        waiting: list[tuple[float, int, int, JoinTree]] = []
        for place, one in enumerate(best):
            self._meet(one, list(best)[:place], best, waiting)
        while len(best) > 1:
            while waiting and not (waiting[0][1] in best and waiting[0][2] in best):
                heapq.heappop(waiting)  # joined with another by now
            if not waiting:
                return self._cross(best)
            _, left, right, candidate = heapq.heappop(waiting)
            del best[left], best[right]
            self._meet(left | right, list(best), best | {left | right: candidate}, waiting)
            best[left | right] = candidate
        return next(iter(best.values())).plan

    def _meet(
        self,
        one: int,
        others: list[int],
        best: dict[int, JoinTree],
        waiting: list[tuple[float, int, int, JoinTree]],
    ) -> None:
        """Put the joins of a set with those others that a predicate connects it to in the heap."""
        near = [link.mask for link in self.links if link.mask & one]
        reach = functools.reduce(operator.or_, near, 0)
        for other in others:
            if other & reach and (candidate := self.join(one, other, best)) is not None:
                heapq.heappush(waiting, (candidate.rows, one, other, candidate))


def _used(plan: Plan) -> list[Expression]:
    if not isinstance(plan, Join):
        return []
    return [*conjuncts(plan.condition), *_used(plan.left), *_used(plan.right)]
