"""Expressions as flat programs of kernel calls over whole columns.

`compile_expressions` turns trees into a list of steps once per pipeline: common subexpressions are
computed once, a temporary is dropped after its last use. Here and in `propagate` live the rules
that kernels need not know: NULL in gives NULL out, constants stay constants, a function of
dictionary text runs once per entry, narrow storage is widened, and only active rows may raise: what
CASE, AND, OR and COALESCE evaluate later is active only where the earlier operands leave it open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.operators.columns.literals import constant
from tensorsql.operators.expressions.propagate import Propagate
from tensorsql.operators.functions.logic import NARROWING, narrow
from tensorsql.operators.functions.ranges import (
    Proofs,
    StoredColumns,
    is_proven,
    proven_ranges,
)
from tensorsql.operators.functions.registry import Extent, Kernel, is_of_cpu, kernel_for, on_cpu
from tensorsql.operators.functions.text_blocks import in_blocks
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.analysis.intervals import Interval
from tensorsql.planner.plans.expressions import (
    EXPENSIVE,
    Call,
    ColumnRef,
    Expression,
    Literal,
    highest_cost,
    is_fallible,
    is_volatile,
)
from tensorsql.storage.columns.changes import fetch, widen
from tensorsql.storage.columns.column import Batch, Column, Constant
from tensorsql.storage.columns.types import Kind

ALL_ROWS = 0  # the register that holds the caller's active rows
# These kernels compare narrow storage as it is.
NARROW = frozenset({"comparison", "logic"})
LATE = frozenset({"models", "neurons", "images"})  # kernels that fetch TENSORs on their own
REFERRED = (Kind.MASK, Kind.TENSOR)  # loaded as references; of TENSORs, `Fetch` makes values
NARROW_KERNELS = frozenset({"casts.safe_cast"})


@dataclass
class State:
    """One evaluation: the batch and a register per step."""

    batch: Batch
    registers: list[Any]
    context: Context


@dataclass
class Step:
    """One step: what it computes goes to register `target`; `drop` are registers to clear after."""

    target: int
    drop: list[int] = field(default_factory=list)

    def run(self, state: State) -> Any:
        """The value of the target register."""
        raise NotImplementedError

    @property
    def inputs(self) -> Sequence[int]:
        """Registers the step reads."""
        return ()


@dataclass
class Load(Step):
    """A column of the batch, in its type's dtype unless `raw`; the one place that fetches text."""

    id: int = 0
    raw: bool = False

    def run(self, state: State) -> Column:
        column = state.batch.column(self.id)
        if column.type.kind not in REFERRED:
            column = fetch(column)
        return column if self.raw else widen(column)


@dataclass
class Fetch(Step):
    """The values of a TENSOR column that may be references so far."""

    column: int = 0

    @property
    def inputs(self) -> Sequence[int]:
        return (self.column,)

    def run(self, state: State) -> Column:
        return fetch(state.registers[self.column])


@dataclass
class Repeat(Step):
    """A literal."""

    row: Column | None = None

    def run(self, state: State) -> Column:
        assert self.row is not None
        return Constant(self.row, state.batch.rows)


@dataclass
class Narrow(Step):
    """The rows in which a later operand of a lazy call is needed, given an earlier one."""

    name: str = ""
    active: int = ALL_ROWS
    operand: int = 0

    @property
    def inputs(self) -> Sequence[int]:
        return (self.active, self.operand)

    def run(self, state: State) -> Tensor | None:
        registers = state.registers
        return narrow(self.name, registers[self.active], registers[self.operand])


@dataclass
class Apply(Step):
    """A kernel that sees validity itself."""

    call: Call | None = None
    kernel: Kernel | None = None
    arguments: tuple[int, ...] = ()
    active: int = ALL_ROWS
    proven: bool = False

    @property
    def inputs(self) -> Sequence[int]:
        return (*self.arguments, self.active)

    def run(self, state: State) -> Column:
        assert self.call is not None
        assert self.kernel is not None
        registers = state.registers
        extent = Extent(state.batch.rows, registers[self.active], state.context, self.proven)
        return self.kernel([registers[place] for place in self.arguments], self.call, extent)


@dataclass
class Strict(Apply):
    """A kernel that NULL in any argument skips."""

    propagate: Propagate | None = None

    def run(self, state: State) -> Column:
        assert self.propagate is not None
        registers = state.registers
        extent = Extent(state.batch.rows, registers[self.active], state.context, self.proven)
        return self.propagate.apply([registers[place] for place in self.arguments], extent)


class Evaluator:
    """Compiled expressions; safe to share between workers."""

    def __init__(self, steps: Sequence[Step], outputs: Sequence[int], context: Context) -> None:
        self._steps = tuple(steps)
        self._outputs = tuple(outputs)
        self._size = 1 + max((step.target for step in steps), default=0)
        self._context = context

    def __call__(self, batch: Batch, active: Tensor | None = None) -> list[Column]:
        """A column of `batch.rows` rows per expression; only `active` rows (None = all) may raise.

        Values of rows that are not active are unspecified.
        """
        registers: list[Any] = [None] * self._size
        registers[ALL_ROWS] = active
        state = State(batch, registers, self._context)
        for step in self._steps:
            registers[step.target] = step.run(state)
            for place in step.drop:
                registers[place] = None
        return [registers[place] for place in self._outputs]


def compile_expressions(
    expressions: Sequence[Expression],
    context: Context,
    counted: StoredColumns | None = None,
) -> Evaluator:
    """Compile; `counted` are stored columns by id, whose values prove that sums of them fit."""
    compiler = _Compiler(proven_ranges(counted or {}, context), context)
    outputs = [compiler.compile(expression, ALL_ROWS) for expression in expressions]
    _plan_drops(compiler.steps, outputs)
    return Evaluator(compiler.steps, outputs, context)


def _plan_drops(steps: list[Step], outputs: Sequence[int]) -> None:
    """Let each step clear the registers that no later step reads."""
    needed = set(outputs)
    for step in reversed(steps):
        used = {place for place in step.inputs if place not in needed}
        step.drop = sorted(used)
        needed |= used


class _Compiler:
    """Builds steps; the same expression under the same active rows shares a register."""

    def __init__(self, ranges: Mapping[int, Interval], context: Context) -> None:
        self.steps: list[Step] = []
        self._context = context
        self._ranges = ranges
        self._registers: dict[Any, int] = {}
        self._proofs: Proofs = {}
        self._parents: dict[int, int] = {}  # active register → the wider one it came from
        self._next = ALL_ROWS + 1

    def compile(self, expression: Expression, active: int, raw: bool = False) -> int:
        """The register that holds the expression's column where `active` rows are."""
        active = active if _is_guarded(expression) else ALL_ROWS
        raw = raw and isinstance(expression, ColumnRef)
        register = self._find(expression, active, raw)
        if register is None:
            register = self._compile(expression, active, raw)
            if not is_volatile(expression):
                self._registers[(expression, active, raw)] = register
        return register

    def _find(self, expression: Expression, active: int, raw: bool) -> int | None:
        """A register computed for these rows or for more of them."""
        if is_volatile(expression):
            return None
        while True:
            register = self._registers.get((expression, active, raw))
            if register is not None or active == ALL_ROWS:
                return register
            active = self._parents[active]

    def _compile(self, expression: Expression, active: int, raw: bool) -> int:
        check_cancelled()
        if isinstance(expression, ColumnRef):
            return self._add(Load(self._fresh(), id=expression.id, raw=raw))
        if isinstance(expression, Literal):
            row = constant(expression.value, expression.type, 1, self._context.device).one
            return self._add(Repeat(self._fresh(), row=row))
        assert isinstance(expression, Call)
        if expression.function.lazy:
            return self._compile_lazy(expression, active)
        path = expression.function.kernel
        raw = path.partition(".")[0] in NARROW or path in NARROW_KERNELS
        late = path.partition(".")[0] in LATE
        arguments = tuple(self._argument(arg, active, raw, late) for arg in expression.args)
        return self._apply(expression, arguments, active)

    def _argument(
        self, expression: Expression, active: int, raw: bool = False, late: bool = False
    ) -> int:
        """The register of a kernel's argument; TENSORs are fetched unless the kernel does it."""
        register = self.compile(expression, active, raw)
        if late or expression.type.kind is not Kind.TENSOR:
            return register
        return self._add(Fetch(self._fresh(), column=register))

    def _compile_lazy(self, call: Call, active: int) -> int:
        """Operands in order; later ones see only the rows that earlier ones leave open."""
        arguments: list[int] = []
        scopes = [active]
        guarded = max((place for place, arg in enumerate(call.args) if _is_guarded(arg)), default=0)
        for place, arg in enumerate(call.args):
            scope = scopes[-1] if place > guarded else self._scope(call, place, arguments, scopes)
            arguments.append(self._argument(arg, scope))
        return self._apply(call, tuple(arguments), active)

    def _scope(self, call: Call, place: int, arguments: list[int], scopes: list[int]) -> int:
        """The active rows of operand `place`, narrowed by the operands before it."""
        name = call.function.name
        if place == 0:
            return scopes[-1]
        if name != "case":
            scopes.append(self._narrow(NARROWING[name], scopes[-1], arguments[-1]))
            return scopes[-1]
        if place % 2 and place < len(call.args) - 1:  # the value of a branch
            return self._narrow("true", scopes[-1], arguments[-1])
        scopes.append(self._narrow("not_true", scopes[-1], arguments[-2]))
        return scopes[-1]

    def _narrow(self, name: str, active: int, operand: int) -> int:
        key = (name, active, operand)
        if key not in self._registers:
            step = Narrow(self._fresh(), name=name, active=active, operand=operand)
            self._registers[key] = self._add(step)
            self._parents[self._registers[key]] = active
        return self._registers[key]

    def _apply(self, call: Call, arguments: tuple[int, ...], active: int) -> int:
        kernel = in_blocks(kernel_for(call.function, self._context), call)
        kernel = on_cpu(kernel) if is_of_cpu(call) else kernel
        proven = is_proven(call, self._ranges, self._proofs)
        if call.function.nulls == "own":
            return self._add(
                Apply(
                    self._fresh(),
                    call=call,
                    kernel=kernel,
                    arguments=arguments,
                    active=active,
                    proven=proven,
                )
            )
        return self._add(
            Strict(
                self._fresh(),
                arguments=arguments,
                active=active,
                proven=proven,
                propagate=Propagate(call, kernel),
            )
        )

    def _add(self, step: Step) -> int:
        self.steps.append(step)
        return step.target

    def _fresh(self) -> int:
        self._next += 1
        return self._next - 1


def _is_guarded(expression: Expression) -> bool:
    """Whether it matters which rows are active: it may raise, is expensive, or changes per call."""
    return (
        is_fallible(expression) or is_volatile(expression) or highest_cost(expression) >= EXPENSIVE
    )
