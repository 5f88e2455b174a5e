"""Which folder may import which, and that torch waits for the first rows."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import tensorsql

ROOT = Path(__file__).parent.parent
FOLDERS = ("parser", "planner", "operators", "storage", "repl", "tpch")
# Rooms, from the lowest to the highest: each may import those before it and none behind it. "" are
# the files of tensorsql/ themselves; folders below a room belong to it.
ROOMS = (
    "parser",
    *("storage/files", "storage/columns", "storage/masks", "storage/tables", "storage/formats"),
    *("planner/plans", "planner/functions", "planner/analysis", "planner/binder"),
    *("planner/unnesting", "planner/rules", "planner"),
    *("operators/kernels", "operators/columns", "operators/keys", "operators/runtime"),
    *("operators/models", "operators/functions", "operators/expressions", "operators/aggregate"),
    *("operators/windows", "operators/joins", "operators/indexes", "operators/search", "operators"),
    *("", "repl", "command line", "tpch"),
)
# What the stages may use of each other.
STAGES = {
    "parser": set(),
    "storage": set(),
    "planner": {"parser", "storage"},
    "operators": {"planner", "storage"},
    "": {"operators", "planner", "parser", "storage"},
    "repl": {"", "planner", "parser", "storage"},
    "command line": {"", "repl", "storage"},
    "tpch": {""},
}
BASE = ("errors", "cancellation", "nesting")  # all may use these
# Files that import some of ours inside functions, so that torch (and pandas, pyarrow, the prompt)
# wait for the first rows.
LATE = (
    *("tensorsql/__main__.py", "tensorsql/dbapi.py", "tensorsql/execution.py"),
    *("tensorsql/registration.py", "tensorsql/result.py", "tensorsql/session.py"),
    *("tensorsql/session_state.py", "operators/indexes/chi/index.py"),
    *("operators/indexes/npi/index.py", "storage/columns/numerics.py"),
    *("storage/formats/images.py", "storage/formats/masks.py", "storage/tables/folder_store.py"),
    *("storage/tables/ingest.py", "storage/tables/lazy.py", "storage/tables/rewrite.py"),
    *("storage/tables/segment.py", "storage/tables/snapshot.py"),
)
TORCH_FREE = ("parser", "planner", "repl", "tpch", "", "command line")
# Calculates with tensors where it is given some; names nn.Module in a signature.
MENTION_TORCH = ("tensorsql/registration.py",)


def room_of(path: Path) -> str:
    """The room that a file or module path below the root is in."""
    parts = path.relative_to(ROOT).parts if path.is_absolute() else path.parts
    if parts[0] not in FOLDERS:
        return "command line" if parts[-1].startswith("__main__") else ""
    inner = "/".join(parts[:2])
    return inner if inner in ROOMS else parts[0]


def stage_of(room: str) -> str:
    """The stage that a room is in."""
    return room.partition("/")[0]


def files(stage: str) -> list[Path]:
    """The modules of a stage."""
    if stage in ("", "command line"):
        return [p for p in sorted((ROOT / "tensorsql").glob("*.py")) if room_of(p) == stage]
    return sorted((ROOT / stage).rglob("*.py"))


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    """All that a file consists of."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@cache
def imports(path: Path) -> tuple[str, ...]:
    """The modules that a file imports, at its top or inside functions."""
    return tuple(name for node in nodes(path) for name in names_in(node, path))


def names_in(node: ast.AST, path: Path) -> Iterator[str]:
    """What an import statement imports; nothing for any other node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0 and node.module, f"{path} imports relatively"
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def imported_room(module: str) -> str | None:
    """The room of a module of ours; None for others, and for what all may use."""
    first, *rest = module.split(".")
    if first != "tensorsql" or rest[:1] in [[name] for name in BASE]:
        return None
    return room_of(Path(*rest)) if rest else ""


def test_every_room_has_modules() -> None:
    assert {room_of(path) for stage in STAGES for path in files(stage)} >= set(ROOMS)


@pytest.mark.parametrize("stage", STAGES)
def test_arrows_go_one_way(stage: str) -> None:
    for path in files(stage):
        own = room_of(path)
        for module in imports(path):
            room = imported_room(module)
            if room is None or room == own:
                continue
            where = f"{path.relative_to(ROOT)} imports {module}"
            assert stage_of(room) in {stage, *STAGES[stage]}, where
            assert ROOMS.index(room) < ROOMS.index(own), where


@pytest.mark.parametrize("stage", STAGES)
def test_folders_are_imported_through_the_package(stage: str) -> None:
    for path in files(stage):
        bare = [module for module in imports(path) if module.partition(".")[0] in FOLDERS]
        assert not bare, f"{path.relative_to(ROOT)}: write tensorsql.… for {bare}"


@pytest.mark.parametrize("stage", TORCH_FREE)
def test_torch_stays_below(stage: str) -> None:
    for path in files(stage):
        roots = {module.partition(".")[0] for module in imports(path)}
        name = str(path.relative_to(ROOT))
        assert "torch" not in roots or name in MENTION_TORCH, f"{name} imports torch"


def late_imports(path: Path) -> set[str]:
    """What of ours is imported inside functions."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    inner = {part for node in nodes(path) if isinstance(node, functions) for part in ast.walk(node)}
    return {name for part in inner for name in names_in(part, path) if name.startswith("tensorsql")}


def test_imports_inside_functions_are_listed() -> None:
    paths = [path for stage in STAGES for path in files(stage)]
    found = {str(path.relative_to(ROOT)) for path in paths if late_imports(path)}
    assert found == {*LATE}


def test_no_files_need_each_other() -> None:
    paths = {module_name(path): path for stage in STAGES for path in files(stage)}
    needs = {
        name: {one if one in paths else one.rpartition(".")[0] for one in imports(path)} & {*paths}
        for name, path in paths.items()
    }
    circle = sorted(name for name in needs if name in reached_from(name, needs))
    assert not circle


def reached_from(name: str, needs: dict[str, set[str]]) -> set[str]:
    """The modules that a module needs, directly or through others; itself if there is a circle."""
    found: set[str] = set()
    waiting = [*needs[name]]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.add(one)
            waiting += needs[one]
    return found


def module_name(path: Path) -> str:
    """A module of ours by the name under which it is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return ".".join(parts if parts[0] == "tensorsql" else ("tensorsql", *parts))


def run(code: str, *arguments: str) -> None:
    """Run Python code in a process of its own; it must succeed."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


NO_TORCH = """
import io, sys
sys.modules["torch"] = None
import tensorsql
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.names import names_of
from tensorsql.repl.runner import Runner
from tensorsql.repl.shell import Shell
"""


def test_import_and_prompt_leave_torch_alone() -> None:
    code = "connection = tensorsql.connect()\nShell.of(connection, 'table').names()\n"
    run(NO_TORCH + code)
    run("import sys, tensorsql, tensorsql.__main__\nassert 'torch' not in sys.modules")


def test_planning_works_without_torch(tmp_path: Path) -> None:
    path = str(tmp_path / "d.tsql")
    with tensorsql.connect(path) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS a, 'x' AS b, 1.5 AS c")
        connection.execute("CREATE VIEW v AS SELECT a, upper(b) AS b FROM t WHERE c > 1")
    run(
        NO_TORCH
        + """
connection = tensorsql.connect(sys.argv[1])
for sql in (
    "SELECT * FROM v",
    "SELECT a, count(*), sum(c) FROM t GROUP BY a HAVING count(*) > 1 ORDER BY 2 DESC LIMIT 3",
    "SELECT * FROM t x JOIN t y USING (a) WHERE x.b IN (SELECT b FROM v WHERE v.a = y.a)",
    "WITH w AS (SELECT 1 + 1 AS z) SELECT * FROM w UNION ALL SELECT a FROM t",
):
    (plan,) = connection.execute("EXPLAIN " + sql).fetchone()
    assert "Scan" in plan, plan
connection.register("frame", {"i": [1, 2]})
connection.execute("EXPLAIN SELECT i FROM frame WHERE i > 1")
connection.execute("CREATE TABLE empty (a INTEGER)")
connection.execute("SET threads = 1")
runner = Runner(connection, io.StringIO(), COMMANDS)
for command in (".tables", ".schema", ".help", ".mode csv"):
    runner.command(command)
assert names_of(connection.session).tables["v"] == ("a", "b")
""",
        path,
    )
