"""What binds an expression, for all that bind a part of one: the descent goes through it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from sqlglot import exp

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import BindError, Error
from tensorsql.parser.dialect import position
from tensorsql.planner.binder.environment import Environment
from tensorsql.planner.binder.placeholders import UnnestExpression, contains
from tensorsql.planner.binder.scope import Scope
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.plans.expressions import AggregateCall, Expression, SortKey, WindowCall
from tensorsql.storage.columns.types import BOOLEAN

NOT_OF_A_ROW: tuple[tuple[type[Expression], str], ...] = (
    (WindowCall, "a window function"),
    (AggregateCall, "an aggregate"),
    (UnnestExpression, "UNNEST"),
)


class Binder(ABC):
    """Binds expressions in one scope, as those see it who bind the parts of an expression."""

    def __init__(self, environment: Environment, scope: Scope) -> None:
        self.environment = environment
        self.scope = scope

    def bind(self, node: exp.Expr) -> Expression:
        """The expression; an error without a place gets this node's."""
        check_cancelled()
        try:
            return self._bind(node)
        except Error as error:
            if error.position is None:
                error.position = position(node)
            raise

    def bind_all(self, nodes: Sequence[exp.Expr]) -> list[Expression]:
        """Each in turn."""
        return [self.bind(node) for node in nodes]

    def row_value(self, node: exp.Expr, clause: str) -> Expression:
        """An expression of one row alone, where the clause has no rows to aggregate."""
        bound = self.bind(node)
        for kinds, what in NOT_OF_A_ROW:
            if contains(bound, kinds):
                raise BindError(f"{clause} cannot contain {what}", position(node))
        return bound

    def condition(self, node: exp.Expr, clause: str = "") -> Expression:
        """An expression that must be BOOLEAN; of one row alone if a clause like ON is named."""
        bound = self.row_value(node, clause) if clause else self.bind(node)
        try:
            return cast(bound, BOOLEAN)
        except Error as error:
            error.position = error.position or position(node)
            raise

    def sort_key(self, node: exp.Expr, expression: Expression | None = None) -> SortKey:
        """An ORDER BY item (of the expression, if that is bound already)."""
        inner = node.this if isinstance(node, exp.Ordered) else node
        bound = self.bind(inner) if expression is None else expression
        return SortKey(bound, bool(node.args.get("desc")), bool(node.args.get("nulls_first")))

    @abstractmethod
    def _bind(self, node: exp.Expr) -> Expression:
        """The expression that a node stands for."""
