"""SELECT: clauses bound over the FROM clause, then stacked into a plan in SQL's order.

FROM, WHERE, GROUP BY, HAVING, windows, QUALIFY, the select list, DISTINCT, ORDER BY, LIMIT.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from tensorsql.errors import BindError, Error, TypeMismatchError, UnsupportedError
from tensorsql.parser.dialect import position, text_of
from tensorsql.planner.binder.base import NOT_OF_A_ROW
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.from_clause import bind_from
from tensorsql.planner.binder.grouping import Grouping, group_keys
from tensorsql.planner.binder.ordering import column_position, is_all, limited
from tensorsql.planner.binder.placeholders import (
    UnnestExpression,
    contains,
    distinct_nodes,
    outer_aggregates,
)
from tensorsql.planner.binder.scope import Aliases, Scope
from tensorsql.planner.binder.stars import expand, is_star
from tensorsql.planner.binder.subqueries import filtered, plant
from tensorsql.planner.binder.windows import add_windows, check_windows
from tensorsql.planner.plans.expressions import (
    AggregateCall,
    ColumnRef,
    Expression,
    SortKey,
    WindowCall,
    transform,
    walk,
)
from tensorsql.planner.plans.logical import Distinct, Project, Sort, Unnest
from tensorsql.planner.plans.plan import Field, Plan, new_field

# DuckDB puts the text of these into parentheses to name a column.
WRAPPED = (exp.Binary, exp.Not, exp.In, exp.Between)


@dataclass
class Clauses:
    """The expressions of a SELECT that stand above its grouping, each over the current plan."""

    select: list[Expression]
    having: list[Expression]
    qualify: list[Expression]
    order: list[Expression]
    distinct_on: list[Expression]

    def lists(self) -> list[list[Expression]]:
        """All of them, in place."""
        return [self.select, self.having, self.qualify, self.order, self.distinct_on]

    def flat(self) -> list[Expression]:
        """All of them in one list."""
        return [item for part in self.lists() for item in part]

    def replace(self, new: list[Expression]) -> None:
        """Put rewritten expressions where `flat` found them."""
        rest = iter(new)
        for part in self.lists():
            part[:] = [next(rest) for _ in part]


def bind_select(node: exp.Select, environment: Environment, outer: Scope | None) -> Plan:
    """The plan of one SELECT without its WITH clause."""
    return SelectBinder(node, environment, outer).bind()


class SelectBinder:
    """Binds one SELECT; `plan` grows clause by clause."""

    def __init__(self, node: exp.Select, environment: Environment, outer: Scope | None) -> None:
        self.node = node
        self.environment = environment
        tables = bind_from(node, environment, outer)
        windows: dict[str, exp.Window] = {}
        for item in node.args.get("windows") or []:
            name = item.this.name
            if name.lower() in windows:
                raise BindError(f'window "{name}" is defined twice', position(item))
            windows[name.lower()] = item
        self.scope = Scope(tables, outer, None, windows)
        self.binder = ExpressionBinder(environment, self.scope)
        nodes: dict[str, exp.Expr] = {}
        for item in node.expressions:
            if isinstance(item, exp.Alias):
                nodes.setdefault(item.alias.lower(), item.this)
        self.scope.aliases = Aliases(nodes, self.binder.bind)
        self.plan = tables.plan
        self.names: list[str] = []
        self.items: list[exp.Expr] = []
        self.keys: list[exp.Expr] = []

    def bind(self) -> Plan:
        """The whole SELECT."""
        where = self.node.args.get("where")
        if where is not None:
            self._where(where.this)
        clauses = self._clauses()
        self._group(clauses)
        if any(contains(item, WindowCall) for item in clauses.flat()):
            self.plan, windowless = add_windows(self.plan, clauses.flat())
            clauses.replace(windowless)
        for condition in clauses.qualify:
            self.plan = filtered(self.plan, condition)
        if self.scope.windows:
            check_windows(self.binder)
        return limited(self._project(clauses), self.node, self.environment)

    def _where(self, node: exp.Expr) -> None:
        condition = self.binder.condition(node)
        self._forbid(condition, node, "WHERE", AggregateCall, WindowCall, UnnestExpression)
        self.plan = filtered(self.plan, condition)

    def _forbid(
        self, expression: Expression, node: exp.Expr, clause: str, *kinds: type[Expression]
    ) -> None:
        reach = AggregateCall in kinds and _reached(expression, self.scope.tables.ids)
        if not reach and not contains(expression, *kinds):
            return
        names = [what for kind, what in NOT_OF_A_ROW if contains(expression, kind)]
        forbidden = names[0] if names else "an aggregate"
        instead = {"an aggregate": "HAVING", "a window function": "QUALIFY"}.get(forbidden)
        hint = f"; use {instead}" if instead and clause != "GROUP BY" else ""
        raise BindError(f"{clause} cannot contain {forbidden}{hint}", position(node))

    def _clauses(self) -> Clauses:
        select: list[Expression] = []
        for item in self.node.expressions:
            for name, expression in self._items(item):
                self.names.append(name)
                self.items.append(item)
                select.append(expression)
        clauses = Clauses(select, [], [], [], [])
        for key, target in (("having", clauses.having), ("qualify", clauses.qualify)):
            clause = self.node.args.get(key)
            if clause is not None:
                target.append(self._group_condition(clause.this))
        for condition in clauses.having:
            having = self.node.args["having"]
            self._forbid(condition, having, "HAVING", WindowCall, UnnestExpression)
        for condition in clauses.qualify:
            self._forbid(condition, self.node.args["qualify"], "QUALIFY", UnnestExpression)
        distinct = self.node.args.get("distinct")
        on = None if distinct is None else distinct.args.get("on")
        if on is not None:
            items = on.expressions if isinstance(on, exp.Tuple) else [on]
            clauses.distinct_on = [self._output(item, clauses) for item in items]
        order = self.node.args.get("order")
        for item in [] if order is None else order.expressions:
            self._order_item(item, clauses)
        return clauses

    def _group_condition(self, node: exp.Expr) -> Expression:
        """HAVING or QUALIFY; where a name makes no sense as a column, it is an output column's."""
        try:
            return self.binder.condition(node)
        except TypeMismatchError:
            with self.scope.preferring_aliases(True):
                return self.binder.condition(node)

    def _items(self, node: exp.Expr) -> list[tuple[str, Expression]]:
        if is_star(node):
            return expand(self.scope, node, self.binder.bind)
        assert self.scope.aliases is not None
        inner = node.this if isinstance(node, exp.Alias) else node
        name = node.alias if isinstance(node, exp.Alias) else output_name(node)
        return [(name, self.scope.aliases.expression(inner))]

    def _order_item(self, node: exp.Expr, clauses: Clauses) -> None:
        outputs = clauses.select if is_all(node) else [self._output(node, clauses)]
        for expression in list(outputs):
            clauses.order.append(expression)
            self.keys.append(node)

    def _output(self, node: exp.Expr, clauses: Clauses) -> Expression:
        """An ORDER BY item: a position, the name of an output column, or any expression."""
        place = column_position(node, len(clauses.select))
        if place is not None:
            return clauses.select[place]
        inner = node.this if isinstance(node, exp.Ordered) else node
        if isinstance(inner, exp.Column) and len(inner.parts) == 1:
            named = self._named(inner.name.lower(), clauses)
            if named is not None:
                return named
        return self.binder.bind(inner)

    def _named(self, folded: str, clauses: Clauses) -> Expression | None:
        """The last output column with this alias, else the first of this name."""
        places = [place for place, name in enumerate(self.names) if name.lower() == folded]
        aliased = [place for place in places if isinstance(self.items[place], exp.Alias)]
        chosen = aliased[-1:] or places[:1]
        return clauses.select[chosen[0]] if chosen else None

    def _group(self, clauses: Clauses) -> None:
        group = self.node.args.get("group")
        grouped = None if group is None else group_keys(group, self.binder, clauses.select)
        if grouped is None:
            ids = self.scope.tables.ids
            if not clauses.having and not any(_aggregated(item, ids) for item in clauses.flat()):
                return
            grouped = ([], None)
        keys, sets = grouped
        for key in keys:
            self._forbid(
                key, self.node.args["group"], "GROUP BY", *(kind for kind, _ in NOT_OF_A_ROW)
            )
        grouping = Grouping(self.plan, keys, sets)
        clauses.replace(self._above(grouping, clauses))
        self.plan = grouping.plan()
        for condition in clauses.having:
            self.plan = filtered(self.plan, condition)

    def _above(self, grouping: Grouping, clauses: Clauses) -> list[Expression]:
        self._ungrouped_having(grouping, clauses)
        above: list[Expression] = []
        for place, expression in enumerate(clauses.flat()):
            try:
                above.append(grouping.above(expression))
            except Error as error:
                node = self.items[place] if place < len(self.items) else self.node
                error.position = error.position or position(node)
                raise
        return above

    def _ungrouped_having(self, grouping: Grouping, clauses: Clauses) -> None:
        """In HAVING the name of a column that is no key may be that of an output column."""
        try:
            for condition in clauses.having:
                grouping.above(condition)
        except BindError:
            with self.scope.preferring_aliases(True):
                clauses.having = [self.binder.condition(self.node.args["having"].this)]

    def _project(self, clauses: Clauses) -> Plan:
        """The select list with the columns that only DISTINCT ON and ORDER BY need."""
        shown = [*clauses.select, *clauses.order, *clauses.distinct_on]
        plan, planted = plant(self.plan, shown)
        plan, planted = _unnested(plan, planted)
        count, keys = len(clauses.select), len(clauses.select) + len(clauses.order)
        own = plan.ids
        assignments = assigned(self.names, planted[:count], own)
        fields = {expression: field for field, expression in reversed(assignments)}
        hidden: list[tuple[Field, Expression]] = []
        for expression in planted[count:]:
            if expression not in fields:
                name = expression.name if isinstance(expression, ColumnRef) else "key"
                fields[expression] = new_field(name, expression.type)
                hidden.append((fields[expression], expression))
        result: Plan = Project(plan, (*assignments, *hidden))
        order = tuple(
            self.binder.sort_key(node, fields[expression].ref())
            for node, expression in zip(self.keys, planted[count:keys], strict=True)
        )
        on = [fields[expression].ref() for expression in planted[keys:]]
        result = self._distinct_and_sorted(result, order, on, bool(hidden))
        if hidden:
            result = Project(result, tuple((field, field.ref()) for field, _ in assignments))
        return result

    def _distinct_and_sorted(
        self, plan: Plan, order: tuple[SortKey, ...], on: list[ColumnRef], hidden: bool
    ) -> Plan:
        if on:
            # DISTINCT ON keeps the first row of each group in the order asked for.
            first = Distinct(Sort(plan, order) if order else plan, tuple(on))
            return Sort(first, order) if order else first
        if self.node.args.get("distinct") is not None:
            if hidden:
                raise BindError(
                    "with SELECT DISTINCT, ORDER BY expressions must be in the select list",
                    position(self.node.args["order"]),
                )
            plan = Distinct(plan)
        return Sort(plan, order) if order else plan


def assigned(
    names: list[str], expressions: list[Expression], own: frozenset[int]
) -> list[tuple[Field, Expression]]:
    """Fields for a select list; a plain column of the input keeps its id the first time."""
    unused = set(own)
    assignments: list[tuple[Field, Expression]] = []
    for name, expression in zip(names, expressions, strict=True):
        if isinstance(expression, ColumnRef) and expression.id in unused:
            unused.discard(expression.id)
            assignments.append((Field(expression.id, name, expression.type), expression))
        else:
            assignments.append((new_field(name, expression.type), expression))
    return assignments


def _reached(expression: Expression, ids: frozenset[int]) -> bool:
    """Whether a subquery in it aggregates these columns of the query around it."""
    return any(call.reads(ids) for call in outer_aggregates(expression))


def _aggregated(expression: Expression, ids: frozenset[int]) -> bool:
    """Whether an aggregate of these columns stands in it that is no window call's function."""
    if _reached(expression, ids):
        return True
    if not contains(expression, AggregateCall):
        return False
    windows = [node for node in walk(expression) if isinstance(node, WindowCall)]
    functions = {id(window.call) for window in windows}
    return any(
        isinstance(node, AggregateCall) and id(node) not in functions for node in walk(expression)
    )


def _unnested(plan: Plan, expressions: list[Expression]) -> tuple[Plan, list[Expression]]:
    nodes = distinct_nodes(expressions, UnnestExpression)
    if not nodes:
        return plan, expressions
    if len(nodes) > 1:
        raise UnsupportedError("one UNNEST in a select list; put the others into FROM")
    for node in nodes:
        plan = Unnest(plan, node.element, node.list)

    def read(node: Expression) -> Expression:
        return node.element.ref() if isinstance(node, UnnestExpression) else node

    return plan, [transform(item, read) for item in expressions]


def output_name(node: exp.Expr) -> str:
    """What a select item without an alias is called."""
    if isinstance(node, exp.Column):
        return node.name
    if (
        isinstance(node, exp.Anonymous)
        and node.name.lower() == "count"
        and (not node.expressions or isinstance(node.expressions[0], exp.Star))
    ):
        return "count_star()"
    if isinstance(node, exp.Boolean):
        return "true" if node.this else "false"
    if _is_nobodys(node):
        return "subquery"
    text = text_of(node, normalize_functions="lower")
    return f"({text})" if isinstance(node, WRAPPED) else text


def _is_nobodys(node: exp.Expr) -> bool:
    """Whether it is a subquery that another one alone selects: nobody sees the name of its value.

    Their texts, each with that of the next, would be as long as the square of their number.
    """
    within = node.parent.parent if isinstance(node.parent, exp.Select) else None
    hidden = isinstance(within, exp.Subquery) and not isinstance(
        within.parent, (exp.From, exp.Join, exp.Subquery, exp.SetOperation)
    )
    return hidden and isinstance(node, exp.Subquery)
