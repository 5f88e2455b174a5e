"""Compile: a logical plan into a program, by one table of node types.

A node's compile function takes the node, its number in preorder (`walk_plan`) and the compiler,
and returns a `Stream`: a pipeline still open at its end. Streaming operators extend it; the
others close it with a sink and return a new stream over its result.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tensorsql.errors import UnsupportedError
from tensorsql.operators.aggregate.aggregate import compile_aggregate
from tensorsql.operators.distinct import compile_distinct
from tensorsql.operators.filter import compile_filter
from tensorsql.operators.joins.compile import compile_join
from tensorsql.operators.limit import compile_limit
from tensorsql.operators.project import compile_project
from tensorsql.operators.runtime.program import (
    Context,
    Operator,
    Pipeline,
    Program,
    Recipe,
    Sink,
    Source,
)
from tensorsql.operators.runtime.result import Collect, ReadResult
from tensorsql.operators.scan import compile_scan
from tensorsql.operators.set_operation import compile_set_operation
from tensorsql.operators.shared import compile_reference, compile_with
from tensorsql.operators.sort import compile_sort
from tensorsql.operators.top_n import compile_top_n
from tensorsql.operators.unnest import compile_unnest
from tensorsql.operators.values import compile_literal_rows, compile_values
from tensorsql.operators.windows.window import compile_window
from tensorsql.planner.plans import index_plans, logical
from tensorsql.planner.plans.plan import Fields, Plan
from tensorsql.planner.plans.traversal import node_count


@dataclass(frozen=True)
class Stream:
    """A pipeline under construction: its source and the operators so far."""

    source: Recipe[Source]
    operators: tuple[Recipe[Operator], ...] = ()

    def then(self, operator: Recipe[Operator]) -> Stream:
        """The stream with one more operator."""
        return replace(self, operators=(*self.operators, operator))


@dataclass
class Compiler:
    """Collects the pipelines of one program; `shared` finds the plans `Reference`s read."""

    context: Context
    pipelines: list[Pipeline] = field(default_factory=list)
    shared: dict[int, tuple[Plan, int]] = field(default_factory=dict)
    materialized: dict[int, int] = field(default_factory=dict)

    def compile(self, plan: Plan, node: int) -> Stream:
        """The stream of a plan whose number is `node`."""
        function = COMPILE.get(type(plan))
        if function is None:
            raise UnsupportedError(f"cannot run a {type(plan).__name__} node")
        self.context.check()
        return function(plan, node, self)

    def inputs(self, plan: Plan, node: int) -> list[Stream]:
        """The streams of all inputs of node number `node`, in order."""
        return [
            self.compile(child, number)
            for child, number in zip(plan.inputs, input_numbers(plan, node), strict=True)
        ]

    def close(self, stream: Stream, sink: Recipe[Sink]) -> int:
        """End the stream's pipeline with a sink; the number under which its result is found."""
        number = len(self.pipelines)
        self.pipelines.append(Pipeline(number, stream.source, stream.operators, sink))
        return number

    def collect(self, stream: Stream, node: int, fields: Fields) -> int:
        """End the stream's pipeline by keeping its rows."""
        return self.close(stream, Collect(node, columns_of(fields)))

    def reopen(self, number: int, node: int) -> Stream:
        """A stream over an earlier pipeline's result, counted as node `node`'s rows."""
        return Stream(ReadResult(node, number))


Columns = tuple[tuple[int, Any], ...]


def columns_of(fields: Fields) -> Columns:
    """(id, type) of each field: all that operators need to know of it."""
    return tuple((item.id, item.type) for item in fields)


def input_numbers(plan: Plan, node: int) -> list[int]:
    """The preorder numbers of a node's inputs."""
    numbers, next_number = [], node + 1
    for child in plan.inputs:
        numbers.append(next_number)
        next_number += node_count(child)
    return numbers


def compile_plan(plan: Plan, context: Context) -> Program:
    """The program whose result has the plan's fields; nothing of it runs yet."""
    compiler = Compiler(context)
    output = compiler.collect(compiler.compile(plan, 0), 0, plan.fields)
    return Program(tuple(compiler.pipelines), output)


# These two are imported when first met: they pull in indexes and models.
def _compile_index_filter(plan: Any, node: int, compiler: Compiler) -> Stream:
    from tensorsql.operators.search.index_filter import compile_index_filter

    return compile_index_filter(plan, node, compiler)


def _compile_index_top_n(plan: Any, node: int, compiler: Compiler) -> Stream:
    from tensorsql.operators.search.index_topn import compile_index_topn

    return compile_index_topn(plan, node, compiler)


COMPILE: dict[type[Plan], Callable[[Any, int, Compiler], Stream]] = {
    logical.Scan: compile_scan,
    logical.Values: compile_values,
    logical.LiteralRows: compile_literal_rows,
    logical.Filter: compile_filter,
    logical.Project: compile_project,
    logical.Join: compile_join,
    logical.Aggregate: compile_aggregate,
    logical.Window: compile_window,
    logical.Sort: compile_sort,
    logical.TopN: compile_top_n,
    logical.Limit: compile_limit,
    logical.Distinct: compile_distinct,
    logical.SetOperation: compile_set_operation,
    logical.Unnest: compile_unnest,
    logical.With: compile_with,
    logical.Reference: compile_reference,
    index_plans.IndexFilter: _compile_index_filter,
    index_plans.IndexTopN: _compile_index_top_n,
}
