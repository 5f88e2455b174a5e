"""What compile functions work with: pipelines under construction and who collects them.

A node's compile function takes the node, its number in preorder (`walk_plan`) and the compiler,
and returns a `Stream`: a pipeline still open at its end. Streaming operators extend it; the
others close it with a sink and return a new stream over its result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from tensorsql.errors import UnsupportedError
from tensorsql.operators.runtime.kept_rows import Collect, Columns, ReadPipeline
from tensorsql.operators.runtime.program import Context, Operator, Pipeline, Recipe, Sink, Source
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


CompileFunction: TypeAlias = "Callable[[Any, int, Compiler], Stream]"


@dataclass
class Compiler:
    """Collects the pipelines of one program; `shared` finds the plans `Reference`s read.

    `functions` has the compile function of every type of node.
    """

    functions: Mapping[type[Plan], CompileFunction]
    context: Context
    pipelines: list[Pipeline] = field(default_factory=list)
    shared: dict[int, tuple[Plan, int]] = field(default_factory=dict)
    materialized: dict[int, int] = field(default_factory=dict)

    def compile(self, plan: Plan, node: int) -> Stream:
        """The stream of a plan whose number is `node`."""
        function = self.functions.get(type(plan))
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
        return Stream(ReadPipeline(node, number))


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
