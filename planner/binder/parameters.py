"""Parameters `?`, `$1` and `:name`: their values become literals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, nearest
from tensorsql.parser.door import nodes_of
from tensorsql.planner.binder.literals import literal_of_value
from tensorsql.planner.plans.expressions import Literal

PARAMETERS = (exp.Placeholder, exp.Parameter)
Given = Sequence[Any] | Mapping[str, Any] | None


def check_count(statements: Sequence[exp.Expr], given: Given) -> None:
    """BindError if more values were given by position than the statements have parameters."""
    if not given or isinstance(given, Mapping):
        return
    needed = max((_count(statement) for statement in statements), default=0)
    if len(given) > needed:
        raise BindError(f"{len(given)} parameters were given, but the statement has {needed}")


def _count(statement: exp.Expr) -> int:
    names = [node.name if node.args.get("this") else "" for node in _placeholders(statement)]
    return max([names.count(""), *(int(name) for name in names if name.isdigit())])


def _placeholders(statement: exp.Expr) -> list[exp.Expr]:
    return [node for node in nodes_of(statement) if isinstance(node, PARAMETERS)]


class Parameters:
    """The values given with a statement; `?` are numbered by where they stand in the text."""

    def __init__(self, statement: exp.Expr, given: Given) -> None:
        self.statement = statement
        self.given = given

    @cached_property
    def numbers(self) -> dict[Any, int]:
        """The number of each `?` by its place."""
        places = {
            node.meta["start"]
            for node in nodes_of(self.statement)
            if isinstance(node, exp.Placeholder) and not node.args.get("this")
        }
        return {place: number for number, place in enumerate(sorted(places), 1)}

    def literal(self, node: exp.Placeholder | exp.Parameter) -> Literal:
        """The value of a parameter as a literal; BindError where none was given."""
        found = literal_of_value(self._value(node))
        return replace(found, typed=found.type.is_integer)

    def _value(self, node: exp.Placeholder | exp.Parameter) -> Any:
        name = node.name if node.args.get("this") else ""
        if name and not name.isdigit():
            return self._named(name)
        return self._numbered(int(name) if name else self.numbers.get(node.meta.get("start"), 0))

    def _numbered(self, number: int) -> Any:
        values = [] if self.given is None or isinstance(self.given, Mapping) else self.given
        if isinstance(self.given, Mapping):
            raise BindError("parameters were given by name, but ? and $1 are taken by position")
        if not 1 <= number <= len(values):
            raise BindError(
                f"no value was given for parameter {number}; {len(values)} parameters were given"
            )
        return values[number - 1]

    def _named(self, name: str) -> Any:
        values = self.given if isinstance(self.given, Mapping) else {}
        if self.given and not isinstance(self.given, Mapping):
            raise BindError(f"parameters were given by position, but :{name} is taken by name")
        if name not in values:
            raise BindError(f'no value was given for parameter "{name}"{nearest(name, values)}')
        return values[name]
