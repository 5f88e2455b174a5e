"""Expressions of the IR: four frozen node types, columns by unique id, one generic `Call`.

Every operator, function, CASE, CAST, `CP`, neuron distance and PREDICT is a `Call`: a new SQL
function touches neither parser nor planner.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass, field
from functools import singledispatch
from operator import is_
from typing import Any

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import UnsupportedError
from tensorsql.planner.plans.memo import Remembering, hashed_once, remembered
from tensorsql.planner.plans.signature import AND, Signature
from tensorsql.storage.columns.types import BOOLEAN, Kind, Type

Position = tuple[int, int]
ParameterKey = int | str


@hashed_once
@dataclass(frozen=True)
class Expression(Remembering):
    """Base of all expressions; `type` is the SQL type of its value."""

    type: Type

    @property
    def children(self) -> tuple[Expression, ...]:
        """Direct operands, in order."""
        return ()

    def with_children(self, children: tuple[Expression, ...]) -> Expression:
        """The same node over other operands."""
        return self

    def __str__(self) -> str:
        return text(self)


@singledispatch
def text(expression: Expression, names: Mapping[int, str] | None = None) -> str:
    """An expression as SQL would write it; `names` override the columns' own."""
    return repr(expression)


@hashed_once
@dataclass(frozen=True)
class ColumnRef(Expression):
    """A column of the input, by its unique id; `name` is for people only."""

    id: int
    name: str = field(compare=False)


@hashed_once
@dataclass(frozen=True)
class Literal(Expression):
    """A constant. `value` is None for NULL, else the Python value of the type.

    int for integers, decimal.Decimal for DECIMAL, float, bool, str, bytes, datetime.date,
    datetime.time, datetime.datetime, (months, days, microseconds) for INTERVAL, tuple for LIST,
    STRUCT and BOX; any object (a model, a sampled plan) for types the binder alone uses.
    Zeros of both signs are two constants. `typed` says that its type was asked for by a cast: it
    gives way to its neighbours no more than a column does.
    """

    value: Any
    typed: bool = field(default=False, compare=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Literal):
            return NotImplemented
        same = self.type == other.type and bool(self.value == other.value)
        signed = isinstance(self.value, float | tuple)
        return same and (not signed or repr(self.value) == repr(other.value))

    def converted(self, value: Any, target: Type) -> Literal:
        """What a CAST to another type makes of it."""
        return Literal(target, value)

    def asked_for(self) -> Literal:
        """The same, of a type that was asked for."""
        asked = copy(self)
        asked.__dict__["typed"] = True
        return asked

    @property
    def is_null(self) -> bool:
        """Whether it is NULL."""
        return self.value is None

    @property
    def peek(self) -> Any:
        """The value, for estimates and for people."""
        return self.value


@dataclass
class ParameterValues:
    """Values that a statement takes from its caller, by number or name.

    `decisive` are those that decided something of its plan: the others may be others next time.
    """

    values: dict[ParameterKey, Literal] = field(default_factory=dict)
    decisive: set[ParameterKey] = field(default_factory=set)


@hashed_once
@dataclass(frozen=True, eq=False)
class Parameter(Literal):
    """`?`, `$1` or `:name`: a literal now, and in the next run of the program another one.

    To read `value` while planning is to rest the plan on it, and so is to find it equal to another:
    `decisive` notes the key. `types` are that of the value given, which is the same in every run,
    and of the CASTs it has been through since, the last of them its own.
    """

    key: ParameterKey = 0
    types: tuple[Type, ...] = ()
    decisive: set[ParameterKey] = field(default_factory=set, repr=False)

    @property  # type: ignore[misc]
    def value(self) -> Any:
        """The value, on which the plan rests from now on."""
        self.decisive.add(self.key)
        return self.peek

    @value.setter
    def value(self, value: Any) -> None:
        self.__dict__["value"] = value

    @property
    def peek(self) -> Any:
        return self.__dict__["value"]

    @property
    def is_null(self) -> bool:
        return self.types[0].kind is Kind.NULL

    def converted(self, value: Any, target: Type) -> Parameter:
        types = (*self.types, target)
        return Parameter(target, value, False, self.key, types, self.decisive)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Parameter) and (self.key, self.types) == (other.key, other.types):
            return True
        if not isinstance(other, Literal):
            return NotImplemented
        equal = Literal(self.type, self.peek) == Literal(other.type, other.peek)
        if equal:
            for side in (self, other):
                if isinstance(side, Parameter):
                    side.decisive.add(side.key)
        return equal

    def __hash__(self) -> int:
        return hash((self.type, self.peek))


@hashed_once
@dataclass(frozen=True)
class Call(Expression):
    """`function(args)`: the overload was resolved and every argument cast to what it takes."""

    function: Signature
    args: tuple[Expression, ...]
    options: tuple[tuple[str, Any], ...] = ()  # named, constant: e.g. ("model", entry)
    position: Position | None = field(default=None, compare=False)

    @property
    def children(self) -> tuple[Expression, ...]:
        return self.args

    def with_children(self, children: tuple[Expression, ...]) -> Call:
        return Call(self.type, self.function, children, self.options, self.position)

    def option(self, name: str) -> Any:
        """The named constant option, or None."""
        return dict(self.options).get(name)


@hashed_once
@dataclass(frozen=True)
class AggregateCall(Expression):
    """An aggregate over the rows of a group; `filter` chooses the rows that count."""

    function: Signature
    args: tuple[Expression, ...]
    distinct: bool = False
    filter: Expression | None = None
    order_by: tuple[SortKey, ...] = ()

    @property
    def children(self) -> tuple[Expression, ...]:
        keys = tuple(key.expression for key in self.order_by)
        return self.args + ((self.filter,) if self.filter is not None else ()) + keys

    def with_children(self, children: tuple[Expression, ...]) -> AggregateCall:
        count = len(self.args)
        rest = children[count:]
        condition = None
        if self.filter is not None:
            condition, rest = rest[0], rest[1:]
        keys = tuple(
            SortKey(child, key.descending, key.nulls_first)
            for child, key in zip(rest, self.order_by, strict=True)
        )
        return AggregateCall(
            self.type, self.function, children[:count], self.distinct, condition, keys
        )


@dataclass(frozen=True)
class SortKey:
    """One ORDER BY item; NULLs last unless `nulls_first`, as DuckDB has it in both directions."""

    expression: Expression
    descending: bool = False
    nulls_first: bool = False

    def __str__(self) -> str:
        text = f"{self.expression}{' DESC' if self.descending else ''}"
        return text + (" NULLS FIRST" if self.nulls_first else "")


@dataclass(frozen=True)
class WindowFrame:
    """ROWS, RANGE or GROUPS between two ends; an end is (kind, offset expression or None)."""

    unit: str
    start: tuple[str, Expression | None]
    end: tuple[str, Expression | None]
    exclude: str = ""


@hashed_once
@dataclass(frozen=True)
class WindowCall(Expression):
    """A function over the rows of a partition in an order."""

    call: AggregateCall
    partition: tuple[Expression, ...] = ()
    order: tuple[SortKey, ...] = ()
    frame: WindowFrame | None = None
    ignore_nulls: bool = False

    @property
    def children(self) -> tuple[Expression, ...]:
        return (self.call, *self.partition, *(key.expression for key in self.order))

    def with_children(self, children: tuple[Expression, ...]) -> WindowCall:
        middle = 1 + len(self.partition)
        keys = tuple(
            SortKey(child, key.descending, key.nulls_first)
            for child, key in zip(children[middle:], self.order, strict=True)
        )
        call = children[0]
        assert isinstance(call, AggregateCall)
        return WindowCall(self.type, call, children[1:middle], keys, self.frame, self.ignore_nulls)


TRUE = Literal(BOOLEAN, True)
FALSE = Literal(BOOLEAN, False)


def walk(expression: Expression) -> Iterator[Expression]:
    """The expression and everything below it, parents first."""
    waiting = [expression]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(reversed(node.children))


LARGEST_EXPRESSION = 100_000  # nodes


def checked_size(expression: Expression) -> Expression:
    """The expression, which a construct that repeats its operand has made.

    UnsupportedError if nesting them has made it too large to handle.
    """
    if next(itertools.islice(walk(expression), LARGEST_EXPRESSION, None), None) is not None:
        raise UnsupportedError("the expression grows too large; compute its parts in a subquery")
    return expression


def transform(expression: Expression, rewrite: Callable[[Expression], Expression]) -> Expression:
    """Rewrite bottom-up; returns the same object where nothing changed."""
    children = expression.children
    if not children:
        return rewrite(expression)
    check_cancelled()
    new = tuple([transform(child, rewrite) for child in children])
    if not are_same(new, children):
        expression = expression.with_children(new)
    return rewrite(expression)


def are_same(new: tuple[Any, ...], old: tuple[Any, ...]) -> bool:
    """Whether these are the very same objects."""
    return all(map(is_, new, old))


def _operands(expression: Expression) -> Iterator[Expression]:
    """Children that may read columns or call functions: of an IN list there are few."""
    return (child for child in expression.children if not isinstance(child, Literal))


@remembered
def columns_of(expression: Expression) -> frozenset[int]:
    """Ids of the columns the expression reads."""
    if isinstance(expression, ColumnRef):
        return frozenset((expression.id,))
    return frozenset().union(*map(columns_of, _operands(expression)))


# Costs per row, relative to adding two integers.
EXPENSIVE = 100.0  # not worth computing twice, nor for rows that nobody asks about
COSTLY = 1000.0  # more than reading a row's bounds


@remembered
def kinds_of(expression: Expression) -> frozenset[type | str]:
    """The classes of the nodes in the expression, the names of the functions it calls, and

    `costly call` where one of them is.
    """
    own: list[type | str] = [type(expression), *map(type, expression.children)]
    if isinstance(expression, Call | AggregateCall):
        own.append(expression.function.name)
        own += ["costly call"] if expression.function.cost >= COSTLY else []
    return frozenset(own).union(*map(kinds_of, _operands(expression)))


def substitute(expression: Expression, mapping: dict[int, Expression]) -> Expression:
    """Replace column references by the expressions that define them."""

    def rewrite(node: Expression) -> Expression:
        return mapping.get(node.id, node) if isinstance(node, ColumnRef) else node

    return transform(expression, rewrite)


def conjuncts(expression: Expression | None) -> tuple[Expression, ...]:
    """The operands of a (nested) AND, left to right; TRUE and None have none."""
    if expression is None or is_true(expression):
        return ()
    if isinstance(expression, Call) and expression.function.name == "and":
        return tuple([part for arg in expression.args for part in conjuncts(arg)])
    return (expression,)


def is_true(expression: Expression) -> bool:
    """Whether it is the literal TRUE."""
    return expression is TRUE or (isinstance(expression, Literal) and expression == TRUE)


def conjunction(parts: tuple[Expression, ...] | list[Expression]) -> Expression:
    """AND of the parts; TRUE if there are none."""
    if not parts:
        return TRUE
    return parts[0] if len(parts) == 1 else Call(BOOLEAN, AND, tuple(parts))


@remembered
def is_volatile(expression: Expression) -> bool:
    """Whether two evaluations may differ (random() and its like)."""
    own = isinstance(expression, Call) and expression.function.volatile
    return own or any(map(is_volatile, _operands(expression)))


@remembered
def is_fallible(expression: Expression) -> bool:
    """Whether evaluating it for some row may raise an error."""
    own = isinstance(expression, Call) and expression.function.fallible
    return own or any(map(is_fallible, _operands(expression)))


@remembered
def highest_cost(expression: Expression) -> float:
    """The cost of the costliest call in it, per row."""
    own = expression.function.cost if isinstance(expression, Call) else 0.0
    return max((own, *map(highest_cost, _operands(expression))))
