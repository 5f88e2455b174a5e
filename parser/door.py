"""The door to syntax trees: what was written is read while the statement is bound, or refused.

sqlglot's grammar is wider than the language. What it reads becomes arguments of nodes, and an
argument that nobody reads would be a clause without effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlglot import exp

from tensorsql.cancellation import check_cancelled

# How something was written where that makes no difference, and sqlglot's notes for translation.
MANNER: dict[type[exp.Expr], tuple[str, ...]] = {
    exp.Identifier: ("quoted",),
    exp.Literal: ("is_string",),
    exp.DataType: ("nested",),
    exp.Cast: ("safe",),
    exp.TryCast: ("safe",),
    exp.Window: ("over",),
    exp.Interval: ("fraction_in_string",),
    exp.LimitOptions: ("rows",),
    exp.Concat: ("safe", "coalesce"),
    exp.DPipe: ("safe",),
    exp.Div: ("typed", "safe"),
}


class Arguments(dict[str, Any]):
    """The arguments of a node, and which of them were asked for by name."""

    __slots__ = ("read",)

    def __init__(self, given: dict[str, Any]) -> None:
        super().__init__(given)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The argument, which is read by this."""
        self.read.add(key)
        return super().get(key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return super().__getitem__(key)


def watched(tree: exp.Expr) -> exp.Expr:
    """The tree, which from now on knows what of it was read; copies of it do not."""
    for node in list(tree.walk()):
        check_cancelled()
        node.args = Arguments(node.args)
    return tree


def first_unread(tree: exp.Expr) -> tuple[exp.Expr, str] | None:
    """The first node, from the root down, with an argument that was set and never read."""
    waiting = [tree]
    while waiting:
        check_cancelled()
        node = waiting.pop()
        for key, value in node.args.items():
            if is_set(value) and not _was_read(node, key):
                return node, key
        waiting.extend(_children(node))
    return None


def is_set(value: Any) -> bool:
    """Whether an argument says anything."""
    return value is not None and value is not False and value != []


def _was_read(node: exp.Expr, key: str) -> bool:
    arguments: dict[str, Any] = node.args
    if not isinstance(arguments, Arguments):  # a node of the binder's own making
        return True
    return key in arguments.read or key in MANNER.get(type(node), ())


def _children(node: exp.Expr) -> Iterator[exp.Expr]:
    return node.iter_expressions(reverse=True)
