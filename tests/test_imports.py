"""Which folder may import which, and that torch waits for the first rows."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tensorsql

ROOT = Path(__file__).parent.parent
FOLDERS = ("parser", "planner", "operators", "storage", "repl", "tpch")
# What each layer may use beside itself and what all may; "" is the files of tensorsql/ themselves.
# Indexes and models give bounds of expressions, so they stand beside the planner, above storage
# proper; its rules ask the registry of indexes which of them serve an expression.
ARROWS = {
    "parser": set(),
    "storage": set(),
    "planner": {"parser", "storage", "operators/indexes"},
    "operators/indexes": {"planner", "storage", "operators/models"},
    "operators/models": {"planner", "storage"},
    "operators": {"planner", "storage", "operators/indexes", "operators/models"},
    "": {"operators", "planner", "parser", "storage", "operators/indexes", "operators/models"},
    "repl": {"", "planner", "parser", "storage"},
    "tpch": {""},
}
TORCH_FREE = ("parser", "planner", "repl", "tpch", "")
# Calculates with tensors where it is given some; names nn.Module in a signature.
MENTION_TORCH = ("tensorsql/dbapi.py",)


def files(layer: str) -> list[Path]:
    """The modules of a layer."""
    if layer == "":
        return sorted((ROOT / "tensorsql").glob("*.py"))
    return [path for path in sorted((ROOT / layer).rglob("*.py")) if layer_of(path) == layer]


def layer_of(path: Path) -> str:
    """The layer that a file or module path below the root is in."""
    parts = path.relative_to(ROOT).parts if path.is_absolute() else path.parts
    inner = "/".join(parts[:2])
    return inner if inner in ARROWS else parts[0] if parts and parts[0] in FOLDERS else ""


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, at its top or inside functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{path} imports relatively"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def arrow(module: str) -> str | None:
    """The layer of a module of ours; None for others, and for what all may use."""
    first, *rest = module.split(".")
    if first != "tensorsql" or rest[:1] in (["errors"], ["cancellation"]):
        return None
    return layer_of(Path(*rest))


def test_every_folder_has_modules() -> None:
    assert all(files(layer) for layer in ARROWS)


@pytest.mark.parametrize("layer", ARROWS)
def test_arrows_go_one_way(layer: str) -> None:
    for path in files(layer):
        # The command line is the one file of tensorsql/ above the shell.
        above = {"repl"} if path.name == "__main__.py" else set()
        wrong = [
            module
            for module in imports(path)
            if arrow(module) not in {None, layer, *ARROWS[layer], *above}
        ]
        assert not wrong, f"{path.relative_to(ROOT)} imports {wrong}"


@pytest.mark.parametrize("layer", ARROWS)
def test_folders_are_imported_through_the_package(layer: str) -> None:
    for path in files(layer):
        bare = [module for module in imports(path) if module.partition(".")[0] in FOLDERS]
        assert not bare, f"{path.relative_to(ROOT)}: write tensorsql.… for {bare}"


@pytest.mark.parametrize("layer", TORCH_FREE)
def test_torch_stays_below(layer: str) -> None:
    for path in files(layer):
        roots = {module.partition(".")[0] for module in imports(path)}
        name = str(path.relative_to(ROOT))
        assert "torch" not in roots or name in MENTION_TORCH, f"{name} imports torch"


def run(code: str, *arguments: str) -> None:
    """Run Python code in a process of its own; it must succeed."""
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


NO_TORCH = """
import io, sys
sys.modules["torch"] = None
import tensorsql
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
runner = Runner(connection, io.StringIO())
for command in (".tables", ".schema", ".help", ".mode csv"):
    runner.command(command)
assert names_of(connection.session).tables["v"] == ("a", "b")
""",
        path,
    )
