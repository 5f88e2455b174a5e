"""Join: split the condition into keys and the rest, build on the right, probe from the left."""

from __future__ import annotations

from tensorsql.operators.joins.build import BuildRecipe
from tensorsql.operators.joins.condition import Condition, split
from tensorsql.operators.joins.full import FullRecipe
from tensorsql.operators.joins.mark import MarkProbe
from tensorsql.operators.joins.probe import (
    AntiProbe,
    InnerProbe,
    OuterProbe,
    Probe,
    ProbeRecipe,
    SemiProbe,
    SingleProbe,
)
from tensorsql.operators.joins.reverse import MarkedRecipe, ReverseRecipe
from tensorsql.operators.runtime.kept_rows import Columns
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.operators.runtime.streams import columns_of as fields_of
from tensorsql.planner.analysis.estimates import Estimator
from tensorsql.planner.plans.logical import Join, Scan
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import walk_plan

PROBES: dict[str, type[Probe]] = {
    "inner": InnerProbe,
    "left": OuterProbe,
    "right": OuterProbe,
    "full": OuterProbe,
    "semi": SemiProbe,
    "anti": AntiProbe,
    "mark": MarkProbe,
    "single": SingleProbe,
}


def compile_join(plan: Join, node: int, compiler: Compiler) -> Stream:
    """The probe side's stream with the join; a right join is a left one from the other side."""
    probe, build = plan.left, plan.right
    if plan.kind in ("semi", "anti") and is_smaller(probe, build):
        reverse = split(plan.condition, build, probe)
        if reverse.keys:
            return _compile_reverse(plan, node, compiler, reverse)
    probe_stream, build_stream = compiler.inputs(plan, node)
    if plan.kind == "right":
        probe, build = build, probe
        probe_stream, build_stream = build_stream, probe_stream
    condition = split(plan.condition, probe, build)
    kept = tuple((field.id, field.type) for field in build.fields)
    number = compiler.close(build_stream, _build_recipe(node, kept, condition))
    passed = tuple(field.id for field in probe.fields)
    kind, extra = PROBES[plan.kind], _extra(plan, build)
    recipe = ProbeRecipe(node, number, kind, condition, passed, extra, scanned_rows(probe))
    stream = probe_stream.then(recipe)
    if plan.kind != "full":
        return stream
    sink = FullRecipe(node, number, fields_of(plan.fields), fields_of(probe.fields))
    return compiler.reopen(compiler.close(stream, sink), -1)


def _compile_reverse(plan: Join, node: int, compiler: Compiler, condition: Condition) -> Stream:
    """A semi or anti join that keeps its left rows and marks those that the right rows meet."""
    kept_stream, probe_stream = compiler.inputs(plan, node)
    kept = tuple((field.id, field.type) for field in plan.left.fields)
    number = compiler.close(kept_stream, _build_recipe(node, kept, condition))
    passed = tuple(field.id for field in plan.right.fields)
    probes = scanned_rows(plan.right)
    stream = probe_stream.then(ReverseRecipe(node, number, condition, passed, probes))
    sink = MarkedRecipe(node, number, plan.kind == "semi")
    return compiler.reopen(compiler.close(stream, sink), node)


def _build_recipe(node: int, kept: Columns, condition: Condition) -> BuildRecipe:
    keys = tuple(key.build for key in condition.keys)
    return BuildRecipe(node, kept, keys, tuple(key.null_equal for key in condition.keys))


def is_smaller(first: Plan, second: Plan) -> bool:
    """Whether the first plan is thought to have less than half the second's rows."""
    estimator = Estimator()
    return 2 * estimator.rows(first) < estimator.rows(second)


def scanned_rows(plan: Plan) -> int:
    """The rows of the largest relation that a plan reads, about the most rows it may have."""
    return max(
        (scan.relation.rows for scan in walk_plan(plan) if isinstance(scan, Scan)), default=0
    )


def _extra(plan: Join, build: Plan) -> tuple[int, ...]:
    """Ids the join adds to the probe side's: the mark, or the build side's columns."""
    if plan.mark is not None and plan.kind == "mark":
        return (plan.mark.id,)
    return () if plan.kind in ("semi", "anti") else tuple(field.id for field in build.fields)
