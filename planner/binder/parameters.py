"""Parameters `?`, `$1` and `:name`, with the values that were given for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, nearest
from tensorsql.parser.door import nodes_of
from tensorsql.planner.binder.literals import literal_of_value
from tensorsql.planner.plans.expressions import Parameter, ParameterKey, ParameterValues

PARAMETERS = (exp.Placeholder, exp.Parameter)
Arguments = Sequence[Any] | Mapping[str, Any] | None


def check_count(statements: Sequence[exp.Expr], values: Arguments) -> None:
    """BindError if a value was given for a parameter that none of the statements has."""
    if not values:
        return
    used: set[int | str] = set().union(*map(_used, statements))
    if isinstance(values, Mapping):
        unread = [name for name in values if name not in used]
        if unread and all(name in values for name in used if isinstance(name, str)):
            raise BindError(f'a value was given for parameter "{unread[0]}", but nothing takes it')
        return
    needed = max((number for number in used if isinstance(number, int)), default=0)
    if len(values) > needed:
        raise BindError(f"{len(values)} parameters were given, but the statement has {needed}")
    for number in range(1, len(values) + 1):
        if number not in used:
            raise BindError(f"a value was given for parameter {number}, but nothing takes it")


def _used(statement: exp.Expr) -> set[int | str]:
    """The parameters of a statement: numbers by position, names by name."""
    names = [node.name if node.args.get("this") else "" for node in _placeholders(statement)]
    by_place = range(1, names.count("") + 1)
    return {*by_place, *(int(name) if name.isdigit() else name for name in names if name)}


def _placeholders(statement: exp.Expr) -> list[exp.Expr]:
    return [node for node in nodes_of(statement) if isinstance(node, PARAMETERS)]


class Parameters:
    """The values given with a statement; `?` are numbered by where they stand in the text."""

    def __init__(self, statement: exp.Expr, arguments: Arguments) -> None:
        self.statement = statement
        self.arguments = arguments
        self.taken = ParameterValues()

    @cached_property
    def numbers(self) -> dict[Any, int]:
        """The number of each `?` by its place."""
        places = {
            node.meta["start"]
            for node in nodes_of(self.statement)
            if isinstance(node, exp.Placeholder) and not node.args.get("this")
        }
        return {place: number for number, place in enumerate(sorted(places), 1)}

    def literal(self, node: exp.Placeholder | exp.Parameter) -> Parameter:
        """The value of a parameter as a literal; BindError where none was given."""
        name = node.name if node.args.get("this") else ""
        if not name or name.isdigit():
            return self.parameter(int(name or self.numbers.get(node.meta.get("start"), 0)))
        return self.parameter(name)

    def parameter(self, key: ParameterKey) -> Parameter:
        """The parameter of a number or name."""
        value = self._numbered(key) if isinstance(key, int) else self._named(key)
        constant, taken = literal_of_value(value), self.taken
        taken.values[key] = constant
        kind, typed = constant.type, constant.type.is_integer
        return Parameter(kind, constant.value, typed, key, (kind,), taken.decisive)

    def _numbered(self, number: int) -> Any:
        numbered = (
            [] if self.arguments is None or isinstance(self.arguments, Mapping) else self.arguments
        )
        if isinstance(self.arguments, Mapping):
            raise BindError("parameters were given by name, but ? and $1 are taken by position")
        if not 1 <= number <= len(numbered):
            raise BindError(
                f"no value was given for parameter {number}; {len(numbered)} parameters were given"
            )
        return numbered[number - 1]

    def _named(self, name: str) -> Any:
        named = self.arguments if isinstance(self.arguments, Mapping) else {}
        if self.arguments and not isinstance(self.arguments, Mapping):
            raise BindError(f"parameters were given by position, but :{name} is taken by name")
        if name not in named:
            raise BindError(f'no value was given for parameter "{name}"{nearest(name, named)}')
        return named[name]
