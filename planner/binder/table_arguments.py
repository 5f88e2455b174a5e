"""How the arguments of a table function are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, nearest
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.expressions import ExpressionBinder
from tensorsql.planner.binder.scope import Scope, Tables
from tensorsql.planner.plans.expressions import Literal
from tensorsql.storage.formats.options import Option

BindItem = Callable[[exp.Expr, Environment, Scope | None], Tables]


@dataclass(frozen=True)
class TableArguments:
    """The arguments of a table function, unbound: positional ones and `name => value`."""

    function: str
    node: exp.Expr
    positional: tuple[exp.Expr, ...]
    named: dict[str, exp.Expr]
    environment: Environment
    outer: Scope | None
    bind_item: BindItem  # binds `data`, which is an item of a FROM clause

    @property
    def binder(self) -> ExpressionBinder:
        """Binds arguments, which may read columns of the tables before the call."""
        return ExpressionBinder(self.environment, Scope(outer=self.outer))

    def check(self, positional: int, named: Sequence[str]) -> None:
        """BindError for too many positional or unknown named arguments."""
        if len(self.positional) > positional:
            raise BindError(
                f"{self.function} takes {positional} arguments without a name, "
                f"{len(self.positional)} were given",
                position(self.node),
            )
        for name, value in self.named.items():
            if name not in named:
                raise BindError(
                    f'{self.function} has no argument "{name}"{nearest(name, named)}',
                    self.place(value),
                )

    def required(self, name: str) -> exp.Expr:
        """The named argument; BindError if it is missing."""
        if name not in self.named:
            raise BindError(f"{self.function} needs {name} => …", position(self.node))
        return self.named[name]

    def constant(self, name: str, default: Any = None) -> Any:
        """The Python value of a constant argument; a bare word is text."""
        node = self.named.get(name)
        return default if node is None else self.value(node, name)

    def checked(self, option: Option, default: Any = None) -> Any:
        """The constant that an argument is, checked; the default if it is not given."""
        node = self.named.get(option.field)
        if node is None:
            return default
        value = self.value(node, option.field)
        try:
            return option.checked(f"{option.field} of {self.function}", value)
        except BindError as error:
            raise BindError(error.message, self.place(node)) from None

    def place(self, node: exp.Expr) -> tuple[int, int] | None:
        """Where an argument stands: words such as NULL have no place, but their names do."""
        return position(node) or position(node.parent or self.node) or position(self.node)

    def value(self, node: exp.Expr, name: str) -> Any:
        """The Python value of a constant; BindError for anything else."""
        if isinstance(node, exp.Column) and len(node.parts) == 1:
            return node.name
        if isinstance(node, exp.Tuple):
            return tuple(self.value(item, name) for item in node.expressions)
        bound = self.binder.bind(node)
        if not isinstance(bound, Literal):
            raise BindError(f"{name} of {self.function} must be a constant", self.place(node))
        return bound.value

    def data(self, name: str = "data") -> Tables:
        """The rows of `data => table`, `data => view` or `data => (SELECT …)`."""
        return self.bind_item(_item(self.required(name)), self.environment, self.outer)


def _item(node: exp.Expr) -> exp.Expr:
    """A table, view or subquery given as an argument, as FROM has it."""
    if isinstance(node, exp.Column) and len(node.parts) == 1:
        node = exp.Table(this=node.this)
    elif isinstance(node, exp.Alias):
        inner = node.this
        table = exp.Table(this=inner.this) if isinstance(inner, exp.Column) else inner.copy()
        table.set("alias", exp.TableAlias(this=node.args["alias"]))
        node = table
    elif isinstance(node, exp.Select):
        node = exp.Subquery(this=node)
    return node


def table_arguments(
    call: exp.Expr, bind_item: BindItem, environment: Environment, outer: Scope | None
) -> TableArguments:
    """Positional and named arguments of a call in FROM."""
    positional: list[exp.Expr] = []
    named: dict[str, exp.Expr] = {}
    for argument in call.expressions:
        if isinstance(argument, (exp.Kwarg, exp.PropertyEQ)):
            name = argument.this.name.lower()
            if name in named:
                raise BindError(f'argument "{name}" is given twice', position(argument))
            named[name] = argument.expression
        else:
            positional.append(argument)
    name = call.name.lower()
    return TableArguments(name, call, tuple(positional), named, environment, outer, bind_item)
