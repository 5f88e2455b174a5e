"""Join: split the condition into keys and the rest, keep one side, probe from the other."""

from __future__ import annotations

from tensorsql.operators.joins.build import BuildRecipe
from tensorsql.operators.joins.full import FullRecipe
from tensorsql.operators.joins.mark import MarkProbe
from tensorsql.operators.joins.probe import (
    AntiProbe,
    InnerProbe,
    JoinProbe,
    OuterProbe,
    ProbeRecipe,
    SemiProbe,
    SingleProbe,
)
from tensorsql.operators.joins.reverse import MarkedRecipe, ReverseRecipe
from tensorsql.operators.runtime.streams import Compiler, Stream
from tensorsql.operators.runtime.streams import columns_of as fields_of
from tensorsql.planner.analysis.predicates import Condition, split
from tensorsql.planner.plans.logical import Join, Scan, Side
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import walk_plan

# By the kind of join and the side kept; semi and anti joins that keep the left one are `reverse`.
PROBES: dict[tuple[str, Side], type[JoinProbe]] = {
    ("inner", "right"): InnerProbe,
    ("left", "right"): OuterProbe,
    ("right", "left"): OuterProbe,
    ("full", "right"): OuterProbe,
    ("semi", "right"): SemiProbe,
    ("anti", "right"): AntiProbe,
    ("mark", "right"): MarkProbe,
    ("single", "right"): SingleProbe,
}


def compile_join(plan: Join, node: int, compiler: Compiler) -> Stream:
    """The probe side's stream with the join; a right join is a left one from the other side."""
    left, right = zip(plan.inputs, compiler.inputs(plan, node), strict=True)
    built, passing = (left, right) if plan.build == "left" else (right, left)
    (build, build_stream), (probe, probe_stream) = built, passing
    condition = split(plan.condition, probe, build)
    number = compiler.close(build_stream, _build_recipe(node, build, condition))
    passed, probes = tuple(field.id for field in probe.fields), scanned_rows(probe)
    if plan.build == "left" and plan.kind in ("semi", "anti"):
        stream = probe_stream.then(ReverseRecipe(node, number, condition, passed, probes))
        marked = MarkedRecipe(node, number, plan.kind == "semi")
        return compiler.reopen(compiler.close(stream, marked), node)
    kind, extra = PROBES[plan.kind, plan.build], _extra(plan, build)
    stream = probe_stream.then(ProbeRecipe(node, number, kind, condition, passed, extra, probes))
    if plan.kind != "full":
        return stream
    sink = FullRecipe(node, number, fields_of(plan.fields), fields_of(probe.fields))
    return compiler.reopen(compiler.close(stream, sink), -1)


def _build_recipe(node: int, build: Plan, condition: Condition) -> BuildRecipe:
    columns = fields_of(build.fields)
    keys = tuple(key.build for key in condition.keys)
    return BuildRecipe(node, columns, keys, tuple(key.null_equal for key in condition.keys))


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
