"""Expressions: syntax trees to typed expressions, names resolved in a scope."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, UnsupportedError
from tensorsql.parser.dialect import position, text_of
from tensorsql.parser.syntax import FullRoi, MaskAggregate
from tensorsql.planner.binder import functions, literals, runs, subqueries, windows
from tensorsql.planner.binder.base import Binder
from tensorsql.planner.binder.types import bind_type
from tensorsql.planner.functions.conversions import negated
from tensorsql.planner.functions.resolve import cast, resolve, struct_call
from tensorsql.planner.functions.unify import is_integer_literal, unify
from tensorsql.planner.plans.expressions import (
    FALSE,
    TRUE,
    Expression,
    Literal,
    checked_size,
)
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import BOOLEAN, Kind

OPERATORS: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.IntDiv: "//",
    exp.Mod: "%",
    exp.Pow: "pow",
    exp.DPipe: "||",
    exp.BitwiseAnd: "&",
    exp.BitwiseOr: "|",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseRightShift: ">>",
    exp.Like: "like",
    exp.ILike: "ilike",
    exp.Glob: "glob",
    exp.RegexpLike: "regexp_matches",
    exp.SimilarTo: "regexp_full_match",
}
COMPARISONS: dict[type[exp.Expr], str] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.NullSafeEQ: "is_not_distinct_from",
    exp.NullSafeNEQ: "is_distinct_from",
}


class ExpressionBinder(Binder):
    """Binds expressions in one scope. Aggregates, windows and subqueries stay in the tree."""

    def _bind(self, node: exp.Expr) -> Expression:
        kind = type(node)
        if kind in OPERATORS:
            return resolve(
                OPERATORS[kind], self.bind_all([node.this, node.expression]), position(node)
            )
        if kind in COMPARISONS:
            return self._comparison(COMPARISONS[kind], node)
        if kind in FORMS:
            return FORMS[kind](self, node)
        if isinstance(
            node, (exp.Func, exp.Filter, exp.IgnoreNulls, exp.WithinGroup, MaskAggregate)
        ):
            return functions.bind_call(self, node)
        if isinstance(node, FullRoi):
            raise BindError("FULL stands for the whole mask as the roi of CP and AREA only")
        raise UnsupportedError(f"{text_of(node)} is not supported here")

    def _column(self, node: exp.Column) -> Expression:
        if isinstance(node.this, exp.Star):
            raise BindError("a star is allowed in the select list and in COUNT(*) only")
        parts = tuple(part.name for part in node.parts)
        value, rest = self.scope.column(parts, node)
        for name in rest:
            value = self._member(value, name)
        return value

    def _dot(self, node: exp.Dot) -> Expression:
        return self._member(self.bind(node.this), node.expression.name)

    def _member(self, value: Expression, name: str) -> Expression:
        if value.type.kind is not Kind.STRUCT:
            raise BindError(f'"{value}" is {value.type}, not a STRUCT: it has no field "{name}"')
        return resolve("struct_extract", [value, Literal(types.VARCHAR, name)])

    def _comparison(self, name: str, node: exp.Expr) -> Expression:
        left, right = node.this, node.expression
        if (quantifier := subqueries.quantifier(right)) is not None:
            return subqueries.quantified(self, name, left, *quantifier)
        if isinstance(left, exp.Tuple) and isinstance(right, exp.Tuple):
            return self._row_comparison(name, left, right)
        return resolve(name, self.bind_all([left, right]), position(node))

    def _row_comparison(self, name: str, left: exp.Tuple, right: exp.Tuple) -> Expression:
        if name not in ("=", "<>") or len(left.expressions) != len(right.expressions):
            raise UnsupportedError("rows compare by = and <> only, with as many values each")
        equal = [
            resolve("=", self.bind_all(pair))
            for pair in zip(left.expressions, right.expressions, strict=True)
        ]
        both = resolve("and", equal)
        return both if name == "=" else resolve("not", [both])

    def _literal(self, node: exp.Literal) -> Expression:
        if node.is_string:
            return Literal(types.VARCHAR, node.this)
        return literals.number(node.this)

    def _negation(self, node: exp.Neg) -> Expression:
        if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return literals.negative_number(node.this.this)
        value = self.bind(node.this)
        if isinstance(value, Literal) and value.type.is_numeric and value.value is not None:
            if is_integer_literal(value):
                return literals.integer_literal(-value.value)
            if not value.type.is_integer:
                return Literal(value.type, negated(value.value))
        return resolve("negate", [value], position(node))

    def _connective(self, node: exp.Connector) -> Expression:
        name = "and" if isinstance(node, exp.And) else "or"
        return resolve(name, self.bind_all(_operands(node)), position(node))

    def _is(self, node: exp.Is) -> Expression:
        value = self.bind(node.this)
        if isinstance(node.expression, exp.Null):
            return resolve("is_null", [value])
        if isinstance(node.expression, exp.Boolean):
            value = cast(value, types.BOOLEAN, position=position(node))
        return resolve("is_not_distinct_from", [value, self.bind(node.expression)])

    def _between(self, node: exp.Between) -> Expression:
        value = self.bind(node.this)
        low, high = self.bind(node.args["low"]), self.bind(node.args["high"])
        both = resolve("and", [resolve(">=", [value, low]), resolve("<=", [value, high])])
        return checked_size(both)

    def _in(self, node: exp.In) -> Expression:
        if (query := node.args.get("query")) is not None:
            return subqueries.in_subquery(self, node.this, query)
        if len(node.expressions) == 1 and isinstance(node.expressions[0], exp.Values):
            return subqueries.in_subquery(self, node.this, node.expressions[0])
        if (field := node.args.get("field")) is not None:
            return self._in_list(self.bind(node.this), self.bind(field), position(node))
        if node.args.get("unnest") is not None:
            raise UnsupportedError("write x = ANY (list) instead of IN UNNEST (list)")
        if not node.expressions:
            return self._in_list(self.bind(node.this), literals.list_literal([]), position(node))
        if isinstance(node.this, exp.Tuple):
            rows = [
                self._comparison("=", exp.EQ(this=node.this, expression=item))
                for item in node.expressions
            ]
            return rows[0] if len(rows) == 1 else resolve("or", rows)
        if (run := runs.only_run(node.expressions)) is not None:
            value = self.bind(node.this)
            test = runs.at_once(lambda: runs.among(value, run, position(node)))
            if test is not None:
                return test
        items = runs.flattened(node.expressions)
        return resolve("in", self.bind_all([node.this, *items]), position(node))

    def _in_list(
        self, value: Expression, listed: Expression, place: tuple[int, int] | None
    ) -> Expression:
        """`x IN l`: whether the list holds x; NULLs in it are not looked at."""
        if isinstance(listed, Literal) and listed.is_null:
            return cast(Literal(types.NULL, None), BOOLEAN)
        if isinstance(listed, Literal) and listed.type.kind is Kind.LIST:
            assert listed.type.child is not None
            items = [Literal(listed.type.child, item) for item in listed.value if item is not None]
            if items:
                return resolve("in", [value, *items], place)
            listed = Literal(types.list_of(value.type), ())
        return resolve("contains", [listed, value], place)

    def _escape(self, node: exp.Escape) -> Expression:
        pattern = node.this
        if type(pattern) not in (exp.Like, exp.ILike):
            raise UnsupportedError("ESCAPE follows LIKE and ILIKE only")
        args = self.bind_all([pattern.this, pattern.expression, node.expression])
        return resolve(OPERATORS[type(pattern)], args, position(node))

    def _case(self, node: exp.Case) -> Expression:
        subject = None if node.this is None else self.bind(node.this)
        args: list[Expression] = []
        for branch in node.args["ifs"]:
            test = self.bind(branch.this)
            args.append(test if subject is None else resolve("=", [subject, test]))
            args.append(self.bind(branch.args["true"]))
        default = node.args.get("default")
        args.append(Literal(types.NULL, None) if default is None else self.bind(default))
        return resolve("case", args, position(node))

    def _if(self, node: exp.If) -> Expression:
        other = node.args.get("false")
        branches = [self.bind(node.this), self.bind(node.args["true"])]
        branches.append(Literal(types.NULL, None) if other is None else self.bind(other))
        return resolve("case", branches, position(node))

    def _cast(self, node: exp.Cast) -> Expression:
        target = bind_type(node.args["to"])
        value = cast(self.bind(node.this), target, try_=isinstance(node, exp.TryCast))
        return value.asked_for() if isinstance(value, Literal) else value

    def _extract(self, node: exp.Extract) -> Expression:
        part = Literal(types.VARCHAR, node.this.name.lower())
        return resolve("date_part", [part, self.bind(node.expression)], position(node))

    def _interval(self, node: exp.Interval) -> Expression:
        unit = node.args.get("unit")
        if isinstance(unit, exp.IntervalSpan):
            raise UnsupportedError(
                "write an interval of several units as INTERVAL '1 year 2 months'"
            )
        text = None if unit is None else unit.name
        if isinstance(node.this, exp.Literal):
            return literals.time_span(node.this.name, text)
        value = self.bind(node.this)
        name = literals.UNIT_WORDS.get((text or "").lower())
        if name is None:
            return cast(value, types.INTERVAL)
        if isinstance(value, Literal) and value.type.is_numeric and value.value is not None:
            return literals.time_span(str(value.value), name)
        plural = "centuries" if name == "century" else f"{name}s"
        return resolve(f"to_{plural}", [value], position(node))

    def _bracket(self, node: exp.Bracket) -> Expression:
        value, index = self.bind(node.this), node.expressions[0]
        if isinstance(index, exp.Slice):
            ends = [
                literals.literal_of_value(None) if end is None else self.bind(end)
                for end in (index.this, index.expression)
            ]
            return resolve("list_slice", [value, *ends], position(node))
        if value.type.kind is Kind.STRUCT and isinstance(index, exp.Literal) and index.is_string:
            return self._member(value, index.name)
        return resolve("list_extract", [value, self.bind(index)], position(node))

    def _list(self, node: exp.Array) -> Expression:
        if (run := runs.only_run(node.expressions)) is not None:
            literal = runs.at_once(lambda: runs.literal_list(run))
            if literal is not None:
                return literal
        bound = self.bind_all(runs.flattened(node.expressions))
        items = unify(bound, "list", position(node))
        constants = [item for item in items if isinstance(item, Literal)]
        if len(constants) == len(items):
            return literals.list_literal(constants)
        return resolve("list_value", items, position(node))

    def _struct(self, node: exp.Struct) -> Expression:
        pairs = [
            (item.name or item.this.name, self.bind(item.expression)) for item in node.expressions
        ]
        values = [value for _, value in pairs]
        constants = [value.value for value in values if isinstance(value, Literal)]
        if len(constants) == len(values):
            kind = types.struct(*((name, value.type) for name, value in pairs))
            return Literal(kind, tuple(constants))
        return struct_call([name for name, _ in pairs], values)

    def _blob(self, node: exp.HexString) -> Expression:
        return Literal(types.BLOB, bytes.fromhex(node.name))

    def _row(self, node: exp.Tuple) -> Expression:
        raise UnsupportedError(f"a row {text_of(node)} can only be compared, or be a roi")


def _operands(node: exp.Connector) -> list[exp.Expr]:
    """`a`, `b` and `c` of `a AND b AND c`, whichever way it nests."""
    operands: list[exp.Expr] = []
    waiting: list[exp.Expr] = [node]
    while waiting:
        part = waiting.pop()
        if type(part) is type(node):
            waiting += (part.expression, part.this)
        else:
            operands.append(part)
    return operands


Form = Callable[[ExpressionBinder, Any], Expression]
FORMS: dict[type[exp.Expr], Form] = {
    exp.Column: ExpressionBinder._column,
    exp.Dot: ExpressionBinder._dot,
    exp.Paren: lambda binder, node: binder.bind(node.this),
    exp.Literal: ExpressionBinder._literal,
    exp.RawString: lambda binder, node: Literal(types.VARCHAR, node.this),
    exp.Boolean: lambda binder, node: TRUE if node.this else FALSE,
    exp.Null: lambda binder, node: Literal(types.NULL, None),
    exp.HexString: ExpressionBinder._blob,
    exp.Placeholder: lambda binder, node: binder.environment.parameters.literal(node),
    exp.Parameter: lambda binder, node: binder.environment.parameters.literal(node),
    exp.Neg: ExpressionBinder._negation,
    exp.Not: lambda binder, node: resolve("not", [binder.bind(node.this)], position(node)),
    exp.BitwiseNot: lambda binder, node: resolve("~", [binder.bind(node.this)], position(node)),
    exp.And: ExpressionBinder._connective,
    exp.Or: ExpressionBinder._connective,
    exp.Is: ExpressionBinder._is,
    exp.Between: ExpressionBinder._between,
    exp.In: ExpressionBinder._in,
    exp.Escape: ExpressionBinder._escape,
    exp.Case: ExpressionBinder._case,
    exp.If: ExpressionBinder._if,
    exp.Cast: ExpressionBinder._cast,
    exp.TryCast: ExpressionBinder._cast,
    exp.Extract: ExpressionBinder._extract,
    exp.Interval: ExpressionBinder._interval,
    exp.Bracket: ExpressionBinder._bracket,
    exp.Array: ExpressionBinder._list,
    exp.Struct: ExpressionBinder._struct,
    exp.Tuple: ExpressionBinder._row,
    exp.Subquery: lambda binder, node: subqueries.scalar(binder, node),
    exp.Select: lambda binder, node: subqueries.scalar(binder, node),
    exp.Exists: lambda binder, node: subqueries.exists(binder, node.this),
    exp.Window: lambda binder, node: windows.bind_window(binder, node),
}
