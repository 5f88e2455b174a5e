"""The scheduler as a guest: threads, autograd, cancelling, errors, metrics; programs pickle."""

from __future__ import annotations

import pickle
import threading
from typing import Any

import pytest
import torch
from plans import aggregate, call, execute, key, ref, table

from tensorsql.errors import InterruptedError, UnsupportedError
from tensorsql.operators.compiler import COMPILE, compile_plan
from tensorsql.operators.runtime.program import Context
from tensorsql.operators.runtime.scheduler import run
from tensorsql.planner.plans.logical import (
    Aggregate,
    DependentJoin,
    Filter,
    Join,
    Limit,
    Project,
    Reference,
    Sort,
    With,
)
from tensorsql.planner.plans.plan import Plan, new_field
from tensorsql.planner.plans.traversal import walk_plan
from tensorsql.storage.columns.types import BIGINT, INTEGER

ROWS = [(place % 7, place) for place in range(500)]


def query() -> Plan:
    left, right = (table({"k": INTEGER, "v": BIGINT}, ROWS[:count]) for count in (500, 7))
    joined = Join("left", left, right, call("=", ref(left, "k"), ref(right, "k")))
    kept = Filter(joined, call(">", left.fields[1].ref(), 100))
    k = new_field("k", INTEGER)
    grouped = Aggregate(kept, ((k, ref(left, "k")),), (aggregate("sum", left.fields[1].ref()),))
    return Sort(grouped, (key(k.ref()),))


def test_programs_and_results_pickle() -> None:
    plan = query()
    context = Context({"morsel_size": 7, "threads": 2})
    program = pickle.loads(pickle.dumps(compile_plan(pickle.loads(pickle.dumps(plan)), context)))
    result = pickle.loads(pickle.dumps(run(program, context)))
    rows = result.read(0, 0)
    assert rows.count == 7
    assert len(execute(plan)) == 7


def test_the_users_threads_and_autograd_stay() -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    with torch.enable_grad():
        execute(query(), 7, 3)
        assert torch.is_grad_enabled()
    assert torch.get_num_threads() == before
    other = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
    other.start()
    other.join()
    assert seen == [before]


def test_workers_run_one_torch_thread_each_without_autograd() -> None:
    seen: set[tuple[int, bool]] = set()

    class Reader:
        def read(self, column: str, start: int, stop: int) -> Any:
            seen.add((torch.get_num_threads(), torch.is_grad_enabled()))
            return scan.relation.open().read(column, start, stop)

        def live(self, start: int, stop: int) -> None:
            return None

        def row_ids(self, start: int, stop: int) -> torch.Tensor:
            return torch.arange(start, stop)

    scan = table({"k": INTEGER}, [(1,)] * 50)
    relation = scan.relation.__class__("t", scan.relation.schema, 50, 50, Reader)
    execute(scan.__class__(relation, scan.columns, scan.row_id), 7, 2)
    assert seen == {(1, False)}


def test_cancelled_queries_stop() -> None:
    context = Context({"morsel_size": 7, "threads": 2})
    context.cancelled.set()
    with pytest.raises(InterruptedError, match="cancelled"):
        run(compile_plan(query(), context), context)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_first_error_in_order_is_raised(threads: int) -> None:
    class Broken(Exception):
        pass

    class Reader:
        def read(self, column: str, start: int, stop: int) -> Any:
            if start >= 3:
                raise Broken(start)
            return scan.relation.open().read(column, start, stop)

        def live(self, start: int, stop: int) -> None:
            return None

        def row_ids(self, start: int, stop: int) -> torch.Tensor:
            return torch.arange(start, stop)

    scan = table({"k": INTEGER}, [(1,)] * 50)
    relation = scan.relation.__class__("t", scan.relation.schema, 50, 50, Reader)
    with pytest.raises(Broken) as caught:
        execute(scan.__class__(relation, scan.columns, scan.row_id), 1, threads)
    assert caught.value.args == (3,)


def test_limit_ends_the_pipeline_early() -> None:
    scan = table({"k": INTEGER}, [(place,) for place in range(1000)])
    context = Context({"morsel_size": 10, "threads": 1})
    result = run(compile_plan(Limit(scan, 5, 3), context), context)
    assert result.read(0, 0).count == 5
    assert context.metrics.rows[1] == 10


def test_every_node_counts_its_rows() -> None:
    plan = query()
    wanted = [7, 7, 399, 500, 500, 7]
    for size in (7, 0):
        context = Context({"morsel_size": size, "threads": 2})
        run(compile_plan(plan, context), context)
        found = [context.metrics.rows[node] for node, _ in enumerate(walk_plan(plan))]
        assert found == wanted
        assert all(context.metrics.seconds[node] >= 0 for node in range(len(wanted)))


def test_a_shared_plan_runs_once_however_many_read_it() -> None:
    reads: list[tuple[int, int]] = []

    class Reader:
        def read(self, column: str, start: int, stop: int) -> Any:
            reads.append((start, stop))
            return scan.relation.open().read(column, start, stop)

        def live(self, start: int, stop: int) -> None:
            return None

    scan = table({"k": INTEGER}, [(place,) for place in range(20)])
    relation = scan.relation.__class__("t", scan.relation.schema, 20, 20, Reader)
    (column, _), *_ = scan.columns
    shared = Project(scan.__class__(relation, scan.columns), ((column, column.ref()),))

    def read() -> Reference:
        return Reference(7, "w", ((new_field("k", INTEGER), column.id),))

    one, two, three = read(), read(), read()
    equal = Join("inner", one, two, call("=", ref(one, "k"), ref(two, "k")))
    body = Join("semi", equal, three, call("=", ref(one, "k"), ref(three, "k")))
    assert len(execute(With(((7, "w", shared),), body), 5, 1)) == 20
    assert reads == [(0, 5), (5, 10), (10, 15), (15, 20)]
    assert execute(With(((7, "w", shared),), table({"k": INTEGER}, [(1,)])), 5, 1)
    assert len(reads) == 4  # nobody read it


def test_unknown_nodes_are_named() -> None:
    scan = table({"k": INTEGER}, [])
    plan = Project(DependentJoin("inner", scan, scan), ())
    with pytest.raises(UnsupportedError, match="DependentJoin"):
        compile_plan(plan, Context({}))


def test_every_plan_node_has_a_compile_function() -> None:
    missing = {node.__name__ for node in _nodes(Plan)} - {node.__name__ for node in COMPILE}
    assert missing == {"Unary", "Binary", "Joining", "Ordering", "DependentJoin"}


def _nodes(base: type[Plan]) -> set[type[Plan]]:
    found = set(base.__subclasses__())
    return found | {deeper for node in found for deeper in _nodes(node)}
