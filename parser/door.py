"""The door to syntax trees: what was written is read while the statement is bound, or refused.

sqlglot's grammar is wider than the language. What it reads becomes arguments of nodes, and an
argument that nobody reads would be a clause without effect.
"""

from __future__ import annotations

from collections.abc import Iterable
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
        dict.__init__(self, given)
        self.read: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        """The argument, which is read by this."""
        self.read.add(key)
        return dict.get(self, key, default)

    def __getitem__(self, key: str) -> Any:
        self.read.add(key)
        return dict.__getitem__(self, key)


def nodes_of(tree: exp.Expr) -> list[exp.Expr]:
    """The tree and everything below it, parents first; nothing of it counts as read by this."""
    found = [tree]
    for node in found:  # which grows meanwhile
        check_cancelled()
        for value in node.args.values():
            if isinstance(value, exp.Expr):
                found.append(value)
            elif isinstance(value, list):
                found += [item for item in value if isinstance(item, exp.Expr)]
    return found


def watch(nodes: Iterable[exp.Expr]) -> None:
    """From now on these nodes know what of them was read; copies of them do not."""
    for node in nodes:
        node.args = Arguments(node.args)


def first_unread(tree: exp.Expr) -> tuple[exp.Expr, str] | None:
    """The first node, from the root down, with an argument that was set and never read."""
    for node in nodes_of(tree):
        arguments: dict[str, Any] = node.args
        if not isinstance(arguments, Arguments):  # a node of the binder's own making
            continue
        for key, value in arguments.items():
            unread = key not in arguments.read and is_set(value)
            if unread and key not in MANNER.get(type(node), ()):
                return node, key
    return None


def is_set(value: Any) -> bool:
    """Whether an argument says anything."""
    return value is not None and value is not False and value != []
