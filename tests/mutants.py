"""Faults planted in the code, each with the test that must catch it: `make mutants`.

A fault is applied in a temporary copy of the tree, and only its test runs there. A fault that the
test does not see is a hole in the tests. `python tests/mutants.py WORD` tries those that have the
word in their name; tests/test_mutants.py sees to it that every fault still fits the code.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
LEFT_OUT = shutil.ignore_patterns(".*", "*.egg-info")
CAUGHT, PASSED = 1, 0  # exit codes of pytest: some test failed, all passed


@dataclass(frozen=True)
class Mutant:
    """A fault: in `file`, the text `old`, which is there once, becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    test: str


def scripts(name: str) -> str:
    """The test that runs tests/sql/NAME.test."""
    return f"tests/test_sqllogic.py::test_file[{name}]"


def rule(name: str) -> str:
    """The test that compares tests/golden/rules/NAME.txt."""
    return f"tests/test_rules.py::test_rule[{name}]"


MUTANTS = (
    # what is written is read or refused
    Mutant(
        "parser: what nobody reads is no error",
        "parser/door.py",
        "unread = key not in arguments.read and is_set(value)",
        "unread = False",
        "tests/test_door.py::test_every_argument_of_every_node_counts",
    ),
    Mutant(
        "parser: IN without values",
        "parser/door.py",
        'None if listed or any(map(node.args.get, IN_VALUES)) else "IN needs a value"',
        "None",
        "tests/test_parser.py::test_every_check_of_trees_refuses_something",
    ),
    # the binder
    Mutant(
        "binder: NOT (x < ANY …) loses the equal ones",
        "planner/binder/subqueries.py",
        '"<": ">=", ">=": "<", ">": "<=", "<=": ">"}',
        '"<": ">", ">=": "<", ">": "<=", "<=": ">"}',
        scripts("subqueries"),
    ),
    Mutant(
        "binder: a column outside GROUP BY",
        "planner/binder/grouping.py",
        "case ColumnRef() if expression.id in self.hidden:",
        "case ColumnRef() if False:",
        scripts("group_by"),
    ),
    Mutant(
        "binder: IN compares with the first column of several",
        "planner/binder/subqueries.py",
        "if columns is not None and len(plan.fields) != columns:",
        "if False:",
        scripts("errors_types"),
    ),
    # rules
    Mutant(
        "rule: what may fail passes its guard",
        "planner/rules/push_down_filters.py",
        "guarded = bool(staying) and is_fallible(part)",
        "guarded = False",
        rule("push_down_filters"),
    ),
    Mutant(
        "rule: what may fail passes a join",
        "planner/rules/push_down_filters.py",
        "free = not is_volatile(part) and not is_fallible(part) and bool(ids)",
        "free = not is_volatile(part) and bool(ids)",
        rule("push_down_filters"),
    ),
    Mutant(
        "rule: a filter passes the window that counts its rows",
        "planner/rules/push_down_filters.py",
        "[p for p in parts if columns_of(p) <= shared]",
        "parts",
        rule("push_down_filters"),
    ),
    Mutant(
        "rule: a condition of an outer join drops rows that stay",
        "planner/rules/push_down_filters.py",
        '"inner": "both", "left": "right", "right": "left"',
        '"inner": "both", "left": "both", "right": "left"',
        scripts("joins"),
    ),
    Mutant(
        "rule: every outer join becomes an inner one",
        "planner/rules/simplify_joins.py",
        "drops_right = any(rejects_null(part, node.right.ids) for part in parts)",
        "drops_right = bool(parts)",
        rule("simplify_joins"),
    ),
    Mutant(
        "rule: filters are carried over full joins",
        "planner/rules/infer_filters.py",
        'TO_RIGHT = frozenset({"left", "single", "anti"})',
        'TO_RIGHT = frozenset({"left", "single", "anti", "full"})',
        rule("infer_filters"),
    ),
    Mutant(
        "rule: an OR loses what guards a cast",
        "planner/rules/extract_common_conjuncts.py",
        "if len(arms) < 2 or is_fallible(expression):",
        "if len(arms) < 2:",
        rule("extract_common_conjuncts"),
    ),
    Mutant(
        "rule: LIMIT loses its OFFSET",
        "planner/rules/fuse_top_n.py",
        "case Sort(input, keys):\n            return TopN(input, keys, plan.count, plan.offset)",
        "case Sort(input, keys):\n            return TopN(input, keys, plan.count)",
        scripts("order_limit"),
    ),
    Mutant(
        "rule: DISTINCT looks at the columns that are read",
        "planner/rules/prune_columns.py",
        "return _inputs(plan, plan.input.ids)",
        "return _inputs(plan, needed)",
        scripts("distinct"),
    ),
    Mutant(
        "rule: subtotals lose a key",
        "planner/rules/reduce_group_keys.py",
        "plan.grouping_sets is not None or len(plan.keys) < 2",
        "len(plan.keys) < 2",
        rule("reduce_group_keys"),
    ),
    Mutant(
        "rule: a costly column is computed twice",
        "planner/rules/merge_projects.py",
        "uses.get(field.id, 0) > 1",
        "uses.get(field.id, 0) > 9",
        rule("merge_projects"),
    ),
    Mutant(
        "rule: an index orders texts as numbers",
        "planner/rules/use_index_topn.py",
        "if not calls or not _is_numeric(shape.keys):",
        "if not calls:",
        rule("use_index_topn"),
    ),
    # plans
    Mutant(
        "plans: a copy orders by the original's columns",
        "planner/plans/traversal.py",
        "if isinstance(item, Expression | SortKey):",
        "if isinstance(item, Expression):",
        scripts("cte"),
    ),
    Mutant(
        "plans: a copy reads the original's shared plan",
        "planner/plans/traversal.py",
        "columns = tuple((value(field), new_id(source)) for field, source in plan.columns)",
        "columns = tuple((value(field), source) for field, source in plan.columns)",
        scripts("cte"),
    ),
    Mutant(
        "plans: verify takes any type of column",
        "planner/plans/verify.py",
        "if visible[node.id] != node.type:",
        "if False:",
        "tests/test_verify.py",
    ),
    Mutant(
        "plans: verify takes any value for a column",
        "planner/plans/verify.py",
        "if field.type != expression.type:",
        "if False:",
        "tests/test_verify.py",
    ),
    # operators
    Mutant(
        "operators: a shared plan runs for each reader",
        "operators/shared.py",
        "if plan.shared not in compiler.materialized:",
        "if True:",
        "tests/test_operators_program.py::test_a_shared_plan_runs_once_however_many_read_it",
    ),
    Mutant(
        "operators: NOT IN does not know NULL",
        "operators/joins/mark.py",
        "validity = ~unknown if bool(unknown.any()) else None",
        "validity = None",
        scripts("subqueries"),
    ),
    Mutant(
        "operators: EXCEPT ALL drops every equal row",
        "operators/set_operation.py",
        "else before >= there",
        "else there == 0",
        scripts("set_operations"),
    ),
    Mutant(
        "operators: LIMIT counts rows twice across morsels",
        "operators/limit.py",
        "position += batch.rows",
        "position = batch.rows",
        scripts("order_limit"),
    ),
    # storage
    Mutant(
        "storage: half a commit stays in the catalog",
        "storage/tables/catalog_store.py",
        'self._sqlite.execute("ROLLBACK")',
        "pass",
        "tests/test_storage_tables.py::test_a_commit_whose_catalog_fails_leaves_nothing_of_it",
    ),
    Mutant(
        "storage: a failed statement leaves half of what it did",
        "storage/tables/transaction.py",
        "self._current = savepoint",
        "pass",
        scripts("transactions"),
    ),
    Mutant(
        "storage: a deleted row keeps its key",
        "storage/tables/constraints.py",
        "if deleted is not None:",
        "if False:",
        scripts("transactions"),
    ),
    Mutant(
        "storage: a damaged file is read",
        "storage/files/checked_file.py",
        "if self._pending is not None:\n            self._compare(",
        "if False:\n            self._compare(",
        "tests/test_corruption.py::test_damaged_at_rest",
    ),
    # indexes
    Mutant(
        "indexes: the upper end of a range does not belong to it",
        "operators/indexes/chi/bounds.py",
        "beyond = upper + 1",
        "beyond = upper",
        scripts("masks_index"),
    ),
    Mutant(
        "indexes: rows that are not indexed are never looked at",
        "operators/indexes/npi/probe.py",
        "upper = torch.full_like(row_ids, torch.inf, dtype=torch.float64)",
        "upper = torch.full_like(row_ids, -torch.inf, dtype=torch.float64)",
        "tests/test_npi.py::test_rows_no_block_has_are_unbounded",
    ),
    Mutant(
        "indexes: of equal rows the last ones come",
        "operators/search/best_first.py",
        "return np.stack([*rows, places.cpu().numpy().astype(np.float64)])",
        "return np.stack([*rows, -places.cpu().numpy().astype(np.float64)])",
        scripts("masks_index"),
    ),
    Mutant(
        "indexes: what bounds leave open is kept unseen",
        "operators/search/index_filter.py",
        "passing[open_rows.long()] = verified.cpu()",
        "passing[open_rows.long()] = True",
        scripts("masks_index"),
    ),
    # models
    Mutant(
        "models: a network that gives NaN has an answer",
        "operators/functions/models.py",
        "answered[places[silent]] = False",
        "pass",
        scripts("predict"),
    ),
    Mutant(
        "models: dropout is no chance",
        "operators/models/trial.py",
        "if drew or _apart(before, after) > 0:",
        "if False:",
        "tests/test_model_trial.py::test_rows_that_depend_on_chance_are_refused",
    ),
    Mutant(
        "rules: groups go below a join though the key is not unique",
        "planner/rules/push_down_aggregates.py",
        "return own and any(key <= plain for key in facts(left).unique_keys)",
        "return own",
        rule("push_down_aggregates"),
    ),
    Mutant(
        "rules: a row without a match counts as none",
        "planner/rules/push_down_aggregates.py",
        "alone = 0 if call.args else 1",
        "alone = 0",
        scripts("group_joined"),
    ),
    Mutant(
        "rules: columns of one table that equal another's need not be equal",
        "planner/analysis/join_links.py",
        "return [equal(own[0], other) for other in own[1:]]",
        "return []",
        scripts("equal_columns"),
    ),
    Mutant(
        "rules: subplans over other columns are shared",
        "planner/analysis/common_subplans.py",
        "else (inputs, _own_part(plan))",
        "else (inputs, type(plan))",
        scripts("shared_subplans"),
    ),
    Mutant(
        "plan cache: what names mean now is not looked up",
        "tensorsql/plan_cache.py",
        "not catalog.answers_alike(self.lookups)",
        "False",
        "tests/test_plan_cache.py::test_what_changes_the_plan_has_it_made_again",
    ),
    Mutant(
        "plan cache: plans of files are kept",
        "tensorsql/session_catalog.py",
        '''        """The files of a reader function as one relation."""
        self.lookups.lasting = False
''',
        '''        """The files of a reader function as one relation."""
''',
        "tests/test_plan_cache.py::test_files_variables_and_lists_of_names_are_looked_at_each_time",
    ),
    Mutant(
        "plan cache: what a plan rests on is not looked at",
        "planner/analysis/basis.py",
        "return same and unique_columns(relation, self.unique) == self.unique",
        "return same",
        "tests/test_plan_reuse.py::test_a_key_that_is_in_the_plan_no_more_is_looked_at_again",
    ),
    Mutant(
        "models: one layer's values are kept as another's",
        "operators/models/inference.py",
        'key = (entry.weights_hash, layer or "", str(rows.dtype))',
        'key = (entry.weights_hash, "", str(rows.dtype))',
        scripts("neurons"),
    ),
)


def planted(mutant: Mutant, text: str) -> str:
    """The file's text with the fault in it; an error where it does not fit."""
    times = text.count(mutant.old)
    if times != 1:
        raise ValueError(
            f"{mutant.name}: {mutant.file} has {mutant.old!r} {times} times; bring tests/mutants.py"
            " up to date"
        )
    return text.replace(mutant.old, mutant.new)


def copy_tree(copy: Path) -> None:
    """The tree without what is made in it."""
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)


def run_tests(tests: Iterable[str], copy: Path) -> int:
    """The exit code of pytest in the copy."""
    options = ["-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-B", "-m", "pytest", *options, *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        check=False,
    )
    return done.returncode


def is_caught(mutant: Mutant, copy: Path) -> bool:
    """Whether the test fails with the fault in the copy, which is as before then."""
    path = copy / mutant.file
    sound = path.read_text(encoding="utf-8")
    path.write_text(planted(mutant, sound), encoding="utf-8")
    try:
        return run_tests([mutant.test], copy) == CAUGHT
    finally:
        path.write_text(sound, encoding="utf-8")


def main(word: str = "") -> int:
    """Plant the faults one by one; 1 if the tests fail without one or pass with one."""
    chosen = [mutant for mutant in MUTANTS if word in mutant.name]
    if not chosen:
        print(f'no fault has "{word}" in its name; there are', *(m.name for m in MUTANTS), sep="\n")
        return 1
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        copy_tree(copy)
        if run_tests(sorted({mutant.test for mutant in chosen}), copy) != PASSED:
            print("the tests fail without any fault")
            return 1
        unseen = []
        for mutant in chosen:
            caught = is_caught(mutant, copy)
            print(f"{'caught ' if caught else 'UNSEEN'} {mutant.name}", flush=True)
            unseen += [] if caught else [mutant.name]
    print(f"{len(chosen) - len(unseen)} of {len(chosen)} caught")
    return 1 if unseen else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
