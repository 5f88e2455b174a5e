"""Rows on a second device: every answer again, by portable kernels, and nothing made elsewhere.

Half a minute, because operators and functions run here in a form that no other test runs whole.
"""

from __future__ import annotations

import ast
import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from elsewhere import ELSEWHERE, elsewhere
from engines import Tensorsql
from fuzz_functions import cases, scalar_names
from sqllogic import read, run
from test_sqllogic import FILES, _name

import tensorsql
from tensorsql.errors import Error, InternalError
from tensorsql.operators.functions.registry import CPU_ONLY
from tensorsql.operators.runtime.program import Context
from tensorsql.planner.functions.signatures import SIGNATURES
from tensorsql.session_state import SessionState
from tensorsql.storage.columns.column import device_of
from tensorsql.tpch.answers import difference, order_columns
from tensorsql.tpch.generate import tables
from tensorsql.tpch.load import load
from tensorsql.tpch.statements import query

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "operators" / "functions"
# What these ask of operators, others ask as well.
LEFT_OUT = (
    *("cte", "ddl", "describe_show_summarize", "errors", "errors_files", "errors_names"),
    *("errors_types", "having", "joins", "lexical", "select", "settings", "shared_subplans"),
    *("subqueries", "summarize_kinds", "transactions", "unnesting", "views"),
)
SAMPLE = [path for path in FILES if path.stem not in LEFT_OUT]
WINDOWS = """
SELECT i, dense_rank() OVER w, percent_rank() OVER w, cume_dist() OVER w, ntile(3) OVER w,
    last_value(s) OVER w, nth_value(i, 2) OVER w, lead(s, 2, 'none') OVER w, lag(i) OVER w,
    sum(d) OVER (PARTITION BY s ORDER BY i ROWS BETWEEN 40 PRECEDING AND 1 FOLLOWING),
    median(i) OVER (ORDER BY i ROWS BETWEEN 50 PRECEDING AND CURRENT ROW),
    count(DISTINCT s) OVER (ORDER BY i ROWS 60 PRECEDING), row_number() OVER ()
FROM (SELECT i, 'x' || i % 7 AS s, i / 3 AS d FROM range(200) AS r(i)) AS t
WINDOW w AS (PARTITION BY s ORDER BY i % 5)
"""


@contextmanager
def on_second_device() -> Iterator[None]:
    """Meanwhile programs run there."""
    plain = SessionState.context

    def context(self: SessionState, *arguments: Any) -> Context:
        found = plain(self, *arguments)
        found.device = ELSEWHERE
        return found

    with pytest.MonkeyPatch.context() as patch, elsewhere():
        patch.setattr(SessionState, "context", context)
        yield


@pytest.fixture
def moved() -> Iterator[None]:
    with on_second_device():
        yield


@pytest.mark.parametrize("path", SAMPLE, ids=_name)
def test_answers_are_the_same(path: Path, tmp_path: Path, moved: None) -> None:
    outcome = run(read(path), Tensorsql(threads=1, morsel_size=64), tmp_path)
    assert not outcome.failures, "\n\n".join(["", *outcome.failures])


@pytest.fixture(scope="module")
def tpch(tmp_path_factory: pytest.TempPathFactory) -> tensorsql.Connection:
    """The tables at scale 0.01."""
    connection = tensorsql.connect()
    connection.execute("SET morsel_size = 20000")
    load(connection, tables(0.01, tmp_path_factory.mktemp("tpch")))
    return connection


@pytest.mark.parametrize("number", range(1, 23))
def test_tpch(number: int, tpch: tensorsql.Connection) -> None:
    expected = tpch.execute(query(number)).fetchall()
    with on_second_device():
        cursor = tpch.execute(query(number))
        found = cursor.fetchall()
    order = order_columns(query(number), [column[0] for column in cursor.description])
    assert difference(expected, found, order) == ""


def test_windows() -> None:
    connection = tensorsql.connect()
    expected = connection.execute(WINDOWS).fetchall()
    with on_second_device():
        assert connection.execute(WINDOWS).fetchall() == expected


def test_every_function() -> None:
    """A call of each over columns, as fuzz_functions.py draws them."""
    connection, different = tensorsql.connect(), []
    asked = [call for name in scalar_names() if (call := a_call(name))]
    assert len(asked) > 150
    expected = [answered(connection, call) for call in asked]
    with on_second_device():
        for call, rows in zip(asked, expected, strict=True):
            found = answered(connection, call)
            different += [] if alike(found, rows) else [f"{call}\n  {found}\n  is not {rows}"]
    assert not different, "\n".join(different)


def a_call(name: str) -> str:
    """A query of a call over columns; empty where all its arguments are constants."""
    draw = random.Random(name)
    case = draw.choice(list(cases(name, draw, rows=4, mixed=0)))
    columns = [place for place in range(len(case.types)) if not case.constant(place)]
    if not columns:
        return ""
    first = case.rows[0]
    call = case.sql([f"c{n}" if n in columns else first[n] for n in range(len(case.types))])
    rows = ", ".join(f"({', '.join(row[n] for n in columns)})" for row in case.rows)
    typed = ", ".join(f"c{n}::{case.types[n]} AS c{n}" for n in columns if case.types[n] != "part")
    names = ", ".join(f"c{n}" for n in columns)
    return f"SELECT ({call})::VARCHAR FROM (SELECT {typed} FROM (VALUES {rows}) v({names}))"


def alike(found: object, expected: object) -> bool:
    """Equal; of functions that devices round in their own way, but for the last digit."""
    if not isinstance(found, list) or not isinstance(expected, list):
        return found == expected
    pairs = zip(found, expected, strict=True)
    return all(one == other or nearly(*one, *other) for one, other in pairs)


def nearly(one: str | None, other: str | None) -> bool:
    digits = "." in str(one) and "." in str(other)
    return digits and math.isclose(float(str(one)), float(str(other)), rel_tol=1e-15)


def answered(connection: tensorsql.Connection, call: str) -> object:
    try:
        return connection.execute(call).fetchall()
    except InternalError:
        raise
    except Error as error:
        return str(error)


def test_the_answer_lies_there(moved: None) -> None:
    """Else the tests above would say nothing."""
    result = tensorsql.connect().session.execute("SELECT i + 1, 'a' FROM range(3) AS r(i)")
    assert {device_of(column) for column in result.columns()} == {ELSEWHERE}


# What makes a tensor of no other, and what makes one of the CPU's memory wherever it is asked.
FACTORIES = {
    *("arange", "as_tensor", "asarray", "empty", "empty_strided", "eye", "full", "linspace"),
    *("logspace", "ones", "rand", "randint", "randn", "randperm", "scalar_tensor", "tensor"),
    *("tril_indices", "triu_indices", "zeros"),
}
OF_MEMORY = {"from_dlpack", "from_numpy", "frombuffer"}


def test_new_tensors_are_made_on_a_device() -> None:
    """Modules for any device say where, or move at once what they have of the CPU's memory."""
    found = []
    for path in [*ROOT.glob("operators/**/*.py"), *ROOT.glob("storage/columns/*.py")]:
        tree = ast.parse(path.read_text())
        if is_of_cpu(tree):
            continue
        nodes = list(ast.walk(tree))
        moved = [
            each.value for each in nodes if isinstance(each, ast.Attribute) and each.attr == "to"
        ]
        for node in nodes:
            name = made_by(node)
            if name in FACTORIES and "device" not in [each.arg for each in node.keywords]:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: torch.{name}")
            if name in OF_MEMORY and node not in moved:
                found.append(f"{path.relative_to(ROOT)}:{node.lineno}: torch.{name}")
    assert not found, found


def made_by(node: ast.AST) -> str:
    """The function of torch that a call calls; empty for other nodes."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return ""
    return node.func.attr if ast.unparse(node.func).startswith("torch.") else ""


def is_of_cpu(tree: ast.Module) -> bool:
    """Whether the module's first line says that it is, and why."""
    return "CPU only: " in (ast.get_docstring(tree) or "").partition("\n")[0]


def test_kernels_of_the_cpu_get_their_arguments_there() -> None:
    signatures = [each for overloads in SIGNATURES.values() for each in overloads]
    modules = {each.kernel.partition(".")[0] for each in signatures if each.kind == "scalar"} - {""}
    trees = {name: ast.parse((KERNELS / f"{name}.py").read_text()) for name in modules}
    listed = {name for name in CPU_ONLY if "." not in name}
    assert {name for name, tree in trees.items() if is_of_cpu(tree)} == listed
