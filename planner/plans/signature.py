"""Function signatures and overload resolution, free of torch.

A signature says what a function takes and gives, never how: kernels live in `operators/functions`
under the path in `kernel` and a test asserts that the two sets match. To add a function: one line
in a list under `planner/functions/signatures/`, one kernel function in the module it names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from tensorsql.storage.columns.types import BOOLEAN, Kind, Type

FunctionKind = Literal["scalar", "aggregate", "window"]
# A parameter takes one exact type, any type of some kinds, or any type at all ("any").
Parameter = Type | tuple[Kind, ...] | Literal["any"]
ResultType = Type | Callable[[tuple[Type, ...]], Type]


@dataclass(frozen=True)
class Signature:
    """One overload of a function.

    `nulls`: "propagate" = NULL in any argument gives NULL and the kernel never sees validity;
    "own" = the kernel handles validity itself. `lazy` arguments are evaluated by the evaluator with
    narrowed active rows (AND, OR, CASE, COALESCE). `fallible` = may raise for some values, so no
    rule may move it ahead of a guard. `interval` names a rule of
    `planner/analysis/interval_rules.py` that bounds the result from bounds of the arguments.
    `kernel` is "module.function" below
    `tensorsql/operators/functions/`. `cost` is relative to adding two integers, per row. `unify`
    says which arguments are cast to one common type: "all", "compare" (all, with VARCHAR giving
    way), "branches" (the values of CASE), or "scales" (decimals get one scale).
    """

    name: str
    parameters: tuple[Parameter, ...]
    result: ResultType
    kernel: str
    kind: FunctionKind = "scalar"
    variadic: bool = False  # the last parameter may repeat, zero times included
    volatile: bool = False
    nulls: Literal["propagate", "own"] = "propagate"
    fallible: bool = False
    lazy: bool = False
    cost: float = 1.0
    interval: str | None = None
    unify: Literal["", "all", "compare", "branches", "scales"] = ""

    def __hash__(self) -> int:
        return hash((self.name, self.parameters))

    def result_type(self, arguments: tuple[Type, ...]) -> Type:
        """The result's type for arguments of these (already cast) types."""
        return self.result if isinstance(self.result, Type) else self.result(arguments)


AND = Signature(
    "and", (BOOLEAN,), BOOLEAN, "logic.conjunction", variadic=True, nulls="own", lazy=True
)
OR = Signature(
    "or", (BOOLEAN,), BOOLEAN, "logic.disjunction", variadic=True, nulls="own", lazy=True
)
NOT = Signature("not", (BOOLEAN,), BOOLEAN, "logic.negation")
