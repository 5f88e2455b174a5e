"""Compile: a logical plan into a program, by one table of node types."""

from __future__ import annotations

from tensorsql.nesting import nesting
from tensorsql.operators.aggregate.aggregate import compile_aggregate
from tensorsql.operators.distinct import compile_distinct
from tensorsql.operators.filter import compile_filter
from tensorsql.operators.joins.compile import compile_join
from tensorsql.operators.limit import compile_limit
from tensorsql.operators.project import compile_project
from tensorsql.operators.runtime.program import Context, Program
from tensorsql.operators.runtime.streams import CompileFunction, Compiler
from tensorsql.operators.scan import compile_scan
from tensorsql.operators.search.index_filter import compile_index_filter
from tensorsql.operators.search.index_topn import compile_index_topn
from tensorsql.operators.set_operation import compile_set_operation
from tensorsql.operators.shared import compile_reference, compile_with
from tensorsql.operators.sort import compile_sort
from tensorsql.operators.top_n import compile_top_n
from tensorsql.operators.unnest import compile_unnest
from tensorsql.operators.values import compile_literal_rows, compile_values
from tensorsql.operators.windows.window import compile_window
from tensorsql.planner.analysis.basis import basis_of
from tensorsql.planner.plans import index_plans, logical
from tensorsql.planner.plans.plan import Plan


@nesting
def compile_plan(plan: Plan, context: Context) -> Program:
    """The program whose result has the plan's fields; nothing of it runs yet."""
    compiler = Compiler(COMPILE, context)
    output = compiler.collect(compiler.compile(plan, 0), 0, plan.fields)
    return Program(tuple(compiler.pipelines), output, basis_of(plan, context.parameters))


COMPILE: dict[type[Plan], CompileFunction] = {
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
    index_plans.IndexFilter: compile_index_filter,
    index_plans.IndexTopN: compile_index_topn,
}
