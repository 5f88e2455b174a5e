"""Pushing a domain (the distinct outer values a plan depends on) down through the plan.

`push(plan, domain)` returns a plan without outer references that gives the rows of `plan` for every
domain value at once, and for each domain column the inner column that now carries it.

The rules are those of Neumann & Kemper (Unnesting Arbitrary Queries, BTW 2015): what works on one
row passes the domain's columns on; what works on all rows (aggregate, DISTINCT, window, LIMIT) does
so per domain value, with these columns among its keys; what has two inputs compares them. A part
that reads no outer column is joined with the domain itself, as late as that.
"""

from __future__ import annotations

import dataclasses

from tensorsql.errors import UnsupportedError
from tensorsql.planner.analysis.predicates import column_equality, equal
from tensorsql.planner.functions.resolve import resolve, resolve_aggregate
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    Expression,
    Literal,
    SortKey,
    WindowCall,
    conjunction,
    conjuncts,
    substitute,
)
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Distinct,
    Filter,
    Join,
    Limit,
    Project,
    SetOperation,
    Sort,
    Unnest,
    Values,
    Window,
    With,
)
from tensorsql.planner.plans.plan import Field, Plan, new_field
from tensorsql.planner.plans.traversal import clone, free_columns, renumber
from tensorsql.planner.unnesting.domain import Domain, Mapping, Pushed, inline_shared, made_exact
from tensorsql.planner.unnesting.empty_sets import without_empty_sets

COUNTS = frozenset({"count", "count_if", "approx_count_distinct"})  # 0 over no rows, not NULL


def push(plan: Plan, domain: Domain) -> Pushed:
    """The plan for every value of the domain at once; see the module."""
    if not free_columns(plan) & domain.ids:
        base = domain.reference()
        return Pushed(Join("inner", base.plan, plan), base.mapping, base.exact)
    match plan:
        case Filter():
            return _filter(plan, domain)
        case Project():
            return _project(plan, domain)
        case Aggregate():
            return _aggregate(plan, domain)
        case Join():
            return _join(plan, domain)
        case DependentJoin():
            return _dependent_join(plan, domain)
        case Sort():
            inner = push(plan.input, domain)
            return _same(Sort(inner.plan, _keys(plan.keys, inner.mapping)), inner)
        case Limit():
            return _limit(plan, domain)
        case Distinct():
            return _distinct(plan, domain)
        case SetOperation():
            return _set_operation(plan, domain)
        case Window():
            return _window(plan, domain)
        case Unnest():
            inner = push(plan.input, domain)
            expression = substitute(plan.expression, dict(inner.mapping))
            return _same(dataclasses.replace(plan, input=inner.plan, expression=expression), inner)
        case Values():
            return _values(plan, domain)
        case With():
            return push(inline_shared(plan), domain)
    raise UnsupportedError(
        f"a correlated subquery cannot reach into {type(plan).__name__}; "
        "move the outer column out of it"
    )


def _same(plan: Plan, inner: Pushed) -> Pushed:
    return Pushed(plan, inner.mapping, inner.exact)


def _keys(keys: tuple[SortKey, ...], mapping: Mapping) -> tuple[SortKey, ...]:
    return tuple(
        SortKey(substitute(key.expression, dict(mapping)), key.descending, key.nulls_first)
        for key in keys
    )


def _filter(plan: Filter, domain: Domain) -> Pushed:
    parts, base = list(conjuncts(plan.predicate)), plan.input
    while isinstance(base, Filter):
        parts = [*conjuncts(base.predicate), *parts]
        base = base.input
    if domain.may_substitute and not free_columns(base) & domain.ids:
        mapping = _equated(parts, base, domain)
        if mapping is not None:
            useful = [
                p for p in (substitute(part, dict(mapping)) for part in parts) if not _trivial(p)
            ]
            return Pushed(
                Filter(base, conjunction(useful)) if useful else base, mapping, frozenset()
            )
    inner = push(plan.input, domain)
    return _same(Filter(inner.plan, substitute(plan.predicate, dict(inner.mapping))), inner)


def _equated(parts: list[Expression], base: Plan, domain: Domain) -> Mapping | None:
    """For every domain column an inner column that a conjunct equates it with, or None."""
    inner_ids = base.ids
    mapping: Mapping = {}
    for part in parts:
        sides = column_equality(part)
        for outer, inner in (sides, sides[::-1]) if sides else ():
            if outer.id in domain.ids and inner.id in inner_ids and outer.type == inner.type:
                mapping.setdefault(outer.id, inner)
    return mapping if mapping.keys() == domain.ids else None


def _trivial(part: Expression) -> bool:
    """x = x, left over from the substitution; the final join's `=` drops NULLs anyway."""
    sides = column_equality(part)
    return sides is not None and sides[0].id == sides[1].id


def _carry(mapping: Mapping) -> tuple[tuple[Field, Expression], ...]:
    return tuple(
        (Field(ref.id, ref.name, ref.type), ref) for ref in dict.fromkeys(mapping.values())
    )


def _project(plan: Project, domain: Domain) -> Pushed:
    inner = push(plan.input, domain)
    pairs = tuple((f, substitute(value, dict(inner.mapping))) for f, value in plan.assignments)
    present = {f.id for f, _ in pairs}
    extra = tuple(pair for pair in _carry(inner.mapping) if pair[0].id not in present)
    return _same(Project(inner.plan, (*pairs, *extra)), inner)


def _aggregate(plan: Aggregate, domain: Domain) -> Pushed:
    if plan.grouping_sets is not None and () in plan.grouping_sets:
        return push(without_empty_sets(plan), domain)
    inner = push(plan.input, domain)
    keys = tuple((f, substitute(value, dict(inner.mapping))) for f, value in plan.keys)
    renamed = {id: new_field(ref.name, ref.type) for id, ref in inner.mapping.items()}
    extra = tuple((renamed[id], ref) for id, ref in inner.mapping.items())
    calls = tuple((f, _substituted(call, inner.mapping)) for f, call in plan.aggregates)
    sets = plan.grouping_sets
    if sets is not None:
        added = tuple(range(len(keys), len(keys) + len(extra)))
        sets = tuple((*one, *added) for one in sets)
    grouped = Aggregate(inner.plan, (*keys, *extra), calls, sets)
    pushed = Pushed(grouped, {id: f.ref() for id, f in renamed.items()}, inner.exact)
    scalar = not plan.keys and plan.grouping_sets is None
    return _with_empty_groups(plan, pushed, domain) if scalar else pushed


def _substituted(call: AggregateCall, mapping: Mapping) -> AggregateCall:
    new = substitute(call, dict(mapping))
    assert isinstance(new, AggregateCall)
    return new


def _with_empty_groups(plan: Aggregate, pushed: Pushed, domain: Domain) -> Pushed:
    """An aggregate without keys has a row for every domain value, also over no rows.

    The final join of kind single or left gives NULL for a missing row, which is the value of every
    aggregate but a count over no rows; `strict_above` says that nothing in between turns NULL into
    something else. Otherwise the missing rows are made here (the count bug).
    """
    if domain.kind in ("single", "left") and _null_when_empty(plan) and domain.strict_above(plan):
        return pushed
    base = domain.reference()
    on = [equal(base.mapping[id], pushed.mapping[id], id in pushed.exact) for id in base.mapping]
    joined = Join("left", base.plan, pushed.plan, conjunction(on))
    pairs: list[tuple[Field, Expression]] = list(_carry(base.mapping))
    for f, call in plan.aggregates:
        inner = new_field(f.name, f.type)
        joined = _rename(joined, f, inner)
        value: Expression = inner.ref()
        if call.function.name in COUNTS:
            value = resolve("coalesce", [value, Literal(f.type, 0)])
        pairs.append((f, value))
    return Pushed(Project(joined, tuple(pairs)), base.mapping, base.exact)


def _rename(join: Join, old: Field, new: Field) -> Join:
    """Give an aggregate's output another id, so that the completed value can keep the old one."""
    grouped = join.right
    assert isinstance(grouped, Aggregate)
    calls = tuple((new if f.id == old.id else f, call) for f, call in grouped.aggregates)
    return dataclasses.replace(join, right=dataclasses.replace(grouped, aggregates=calls))


def _null_when_empty(plan: Aggregate) -> bool:
    return not any(call.function.name in COUNTS for _, call in plan.aggregates)


def _both(plan: Join, domain: Domain) -> tuple[Pushed, Pushed | None]:
    """Left and right pushed; right only where it (or an outer join above it) needs the domain."""
    return push(plan.left, domain), (
        push(plan.right, domain) if free_columns(plan.right) & domain.ids else None
    )


def _join(plan: Join, domain: Domain) -> Pushed:
    if plan.kind == "right":
        flipped = dataclasses.replace(plan, kind="left", left=plan.right, right=plan.left)
        return _join(flipped, domain)
    if plan.kind == "full":
        return _full_join(plan, domain)
    only_right = plan.kind == "inner" and not free_columns(plan.left) & domain.ids
    if only_right and free_columns(plan.right) & domain.ids:
        right = push(plan.right, domain)
        condition = substitute(plan.condition, dict(right.mapping))
        return _same(Join("inner", plan.left, right.plan, condition), right)
    if only_right and domain.may_substitute:
        # Only the condition is correlated: as a filter it may equate the domain away.
        return push(Filter(Join("inner", plan.left, plan.right), plan.condition), domain)
    # The left carries the domain up. The right takes it only where it reads it, too; then rows meet
    # only for the same domain value.
    left, pushed_right = _both(plan, domain)
    parts = list(conjuncts(substitute(plan.condition, dict(left.mapping))))
    if pushed_right is None:
        return _same(Join(plan.kind, left.plan, plan.right, conjunction(parts), plan.mark), left)
    if plan.kind == "mark":  # a comparison with NULL must not make the mark NULL
        left, pushed_right = (made_exact(side, domain.ids) for side in (left, pushed_right))
    exact = left.exact & pushed_right.exact
    for id, ref in left.mapping.items():
        parts.append(equal(ref, pushed_right.mapping[id], id in exact))
    joined = Join(plan.kind, left.plan, pushed_right.plan, conjunction(parts), plan.mark)
    return _same(joined, left)


def _full_join(plan: Join, domain: Domain) -> Pushed:
    """Both sides take the domain; a row without partner has its value on one side only."""
    left, right = (made_exact(push(side, domain), domain.ids) for side in plan.inputs)
    pairs = {id: (ref, right.mapping[id]) for id, ref in left.mapping.items()}
    parts = list(conjuncts(substitute(plan.condition, dict(left.mapping))))
    parts += [equal(*pair, null_safe=True) for pair in pairs.values()]
    joined = Join("full", left.plan, right.plan, conjunction(parts))
    carried = {id: new_field(ref.name, ref.type) for id, (ref, _) in pairs.items()}
    passed: list[tuple[Field, Expression]] = [(f, f.ref()) for f in joined.fields]
    passed += [(carried[id], resolve("coalesce", list(pair))) for id, pair in pairs.items()]
    mapping = {id: f.ref() for id, f in carried.items()}
    return Pushed(Project(joined, tuple(passed)), mapping, domain.ids)


def _dependent_join(plan: DependentJoin, domain: Domain) -> Pushed:
    """The left takes the domain; the right goes on depending on the left, which now carries it."""
    left = push(plan.left, domain)
    right = substitute_plan(plan.right, left.mapping)
    condition = substitute(plan.condition, dict(left.mapping))
    joined = DependentJoin(plan.kind, left.plan, right, condition, plan.mark)
    return _same(joined, left)


def substitute_plan(plan: Plan, mapping: Mapping) -> Plan:
    """The plan reading the mapped columns instead of the outer ones."""
    return renumber(plan, {old: new.id for old, new in mapping.items()})


def _limit(plan: Limit, domain: Domain) -> Pushed:
    """LIMIT counts per domain value: the row number within it decides."""
    below = plan.input
    if isinstance(below, Project):  # what a Sort below orders by may be gone above
        limited = dataclasses.replace(plan, input=below.input)
        return push(Project(limited, below.assignments), domain)
    keys = below.keys if isinstance(below, Sort) else ()
    inner = push(below.input if isinstance(below, Sort) else below, domain)
    number = resolve_aggregate("row_number", [])
    partition = tuple(inner.mapping.values())
    order = _keys(keys, inner.mapping)
    field_ = new_field("row_number", number.type)
    window = Window(inner.plan, ((field_, WindowCall(number.type, number, partition, order)),))
    position = field_.ref()
    parts = [resolve(">", [position, Literal(number.type, plan.offset)])] if plan.offset else []
    if plan.count is not None:
        last = Literal(number.type, plan.offset + plan.count)
        parts.append(resolve("<=", [position, last]))
    own = tuple((f, f.ref()) for f in inner.plan.fields)
    return _same(Project(Filter(window, conjunction(parts)), own), inner)


def _distinct(plan: Distinct, domain: Domain) -> Pushed:
    inner = push(plan.input, domain)
    if plan.on is None:
        wanted = plan.input.ids | {ref.id for ref in inner.mapping.values()}
        own = tuple((f, f.ref()) for f in inner.plan.fields if f.id in wanted)
        return _same(Distinct(Project(inner.plan, own)), inner)
    on = tuple(substitute(item, dict(inner.mapping)) for item in plan.on)
    return _same(Distinct(inner.plan, (*on, *inner.mapping.values())), inner)


def _set_operation(plan: SetOperation, domain: Domain) -> Pushed:
    pushed_sides = [push(child, domain) for child in plan.inputs]
    exact = frozenset(id for pushed in pushed_sides for id in pushed.exact)
    sides = []
    for child, pushed in zip(plan.inputs, pushed_sides, strict=True):
        pushed = made_exact(pushed, exact)
        visible = tuple((f, f.ref()) for f in child.fields)
        extra = tuple(
            (new_field(ref.name, ref.type), ref)
            for ref in (pushed.mapping[column.id] for column in domain.columns)
        )
        sides.append(Project(pushed.plan, (*visible, *extra)))
    carried = tuple(new_field(column.name, column.type) for column in domain.columns)
    columns = (*plan.columns, *carried)
    result = dataclasses.replace(plan, left=sides[0], right=sides[1], columns=columns)
    ids = (column.id for column in domain.columns)
    return Pushed(result, {id: f.ref() for id, f in zip(ids, carried, strict=True)}, exact)


def _window(plan: Window, domain: Domain) -> Pushed:
    inner = push(plan.input, domain)
    extra = tuple(inner.mapping.values())

    def partitioned(call: WindowCall) -> WindowCall:
        new = substitute(call, dict(inner.mapping))
        assert isinstance(new, WindowCall)
        return dataclasses.replace(new, partition=(*new.partition, *extra))

    calls = tuple((f, partitioned(call)) for f, call in plan.calls)
    return _same(Window(inner.plan, calls), inner)


def _values(plan: Values, domain: Domain) -> Pushed:
    """Every row becomes a projection of the domain; several rows are their union."""
    result: Pushed | None = None
    for row in plan.rows:
        base = domain.reference()
        cells = [substitute(cell, dict(base.mapping)) for cell in row]
        carried = tuple(base.mapping[column.id] for column in domain.columns)
        pairs = [
            (new_field(f.name, f.type), cell) for f, cell in zip(plan.columns, cells, strict=True)
        ]
        refs = tuple((Field(ref.id, ref.name, ref.type), ref) for ref in carried)
        one: Plan = Project(base.plan, (*pairs, *refs))
        result = _append(result, one, plan, domain)
    assert result is not None
    return result


def _append(result: Pushed | None, one: Plan, plan: Values, domain: Domain) -> Pushed:
    width = len(plan.columns)
    fields = one.fields if result is None else (*plan.columns, *one.fields[width:])
    if result is None:
        renamed = tuple((new, old.ref()) for new, old in zip(plan.columns, fields, strict=False))
        rest = tuple((f, f.ref()) for f in fields[width:])
        joined: Plan = Project(one, (*renamed, *rest))
    else:
        copy, ids = clone(result.plan)
        order = [ids[f.id] for f in result.plan.fields]
        by_id = {f.id: f for f in copy.fields}
        left = Project(copy, tuple((by_id[id], by_id[id].ref()) for id in order))
        fresh = tuple(new_field(f.name, f.type) for f in fields[width:])
        joined = SetOperation("union", True, left, one, (*plan.columns, *fresh))
    carried = joined.fields[width:]
    mapping = {c.id: f.ref() for c, f in zip(domain.columns, carried, strict=True)}
    return Pushed(joined, mapping, domain.ids)
