"""The optimizer: an ordered tuple of pure rules, each in a file of its own name under `rules/`.

A rule takes a plan and gives a plan; the very same object back means that it does not apply. It is
not asked where the plan has nothing that it `works_on`. To add a rule: one file, one line here, and
a comment where the order matters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from tensorsql.cancellation import check_cancelled
from tensorsql.nesting import nesting
from tensorsql.planner.plans.plan import Plan
from tensorsql.planner.plans.traversal import Rule, has_work
from tensorsql.planner.rules.choose_build_sides import choose_build_sides
from tensorsql.planner.rules.extract_common_conjuncts import extract_common_conjuncts
from tensorsql.planner.rules.fold_constants import fold_constants
from tensorsql.planner.rules.fuse_top_n import fuse_top_n
from tensorsql.planner.rules.infer_filters import infer_filters
from tensorsql.planner.rules.merge_projects import merge_projects
from tensorsql.planner.rules.order_conjuncts import order_conjuncts
from tensorsql.planner.rules.order_joins import order_joins
from tensorsql.planner.rules.prune_columns import prune_columns
from tensorsql.planner.rules.push_down_aggregates import push_down_aggregates
from tensorsql.planner.rules.push_down_filters import push_down_filters
from tensorsql.planner.rules.reduce_group_keys import reduce_group_keys
from tensorsql.planner.rules.restrict_aggregates import restrict_aggregates
from tensorsql.planner.rules.share_subplans import share_subplans
from tensorsql.planner.rules.simplify_comparisons import simplify_comparisons
from tensorsql.planner.rules.simplify_joins import simplify_joins
from tensorsql.planner.rules.unnest_dependent_joins import unnest_dependent_joins
from tensorsql.planner.rules.use_index_filter import use_index_filter
from tensorsql.planner.rules.use_index_topn import use_index_topn

Observe = Callable[[str, Plan], None]

RULES: tuple[Rule, ...] = (
    fold_constants,
    # Needs the constants folded; statistics and indexes then see the bare column.
    simplify_comparisons,
    # Before any other structural rule: the rest know no DependentJoin.
    unnest_dependent_joins,
    # Before filters move: factoring an OR of ANDs gives conjuncts that can move.
    extract_common_conjuncts,
    push_down_filters,
    # A filter now right above an outer join decides whether it can be an inner one; then more
    # filters move, below.
    simplify_joins,
    # After filters reached their joins: x = y AND x < 3 gives y < 3, which moves in turn.
    infer_filters,
    push_down_filters,
    # Once filters have reached the inputs; what it adds takes part in the order of joins.
    restrict_aggregates,
    # Join order reads the filters' selectivity, so every filter must be in place.
    order_joins,
    # Joins were rebuilt with their conditions on top: those that read one side go down again.
    push_down_filters,
    # Once it is settled which inputs meet in a join.
    push_down_aggregates,
    # After unnesting added domain columns to GROUP BY.
    reduce_group_keys,
    merge_projects,
    fuse_top_n,
    # Once no filter moves any more; indexes take the costly conjuncts apart from the others.
    order_conjuncts,
    # After top-n and filters have their final shape and before unread columns go.
    use_index_filter,
    use_index_topn,
    # Once plans are final but for their columns: two readers may want different ones.
    share_subplans,
    # Every rule above may drop the last use of a column.
    prune_columns,
    # Last: a join must be of its final kind, over its final inputs.
    choose_build_sides,
)

# Without these a plan cannot be compiled; `disabled_rules` does not switch them off.
REQUIRED: frozenset[str] = frozenset({"unnest_dependent_joins", "choose_build_sides"})


@nesting
def optimize(
    plan: Plan,
    disabled: Iterable[str] = (),
    observe: Observe | None = None,
) -> Plan:
    """Apply every rule in order; `observe(rule, plan)` sees the plan after each that changed it."""
    skipped = frozenset(disabled) - REQUIRED
    for rule in RULES:
        check_cancelled()
        if rule.__name__ in skipped or not has_work(rule, plan):
            continue
        new = rule(plan)
        if new is not plan and observe is not None:
            observe(rule.__name__, new)
        plan = new
    return plan
