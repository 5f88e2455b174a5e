"""No function takes more than five parameters."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("tensorsql", "parser", "planner", "operators", "storage", "repl", "tpch")
MOST_PARAMETERS = 5


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_function_takes_many_parameters(folder: str) -> None:
    wide = []
    for path in sorted((ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                given = node.args
                names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
                if len([name for name in names if name not in ("self", "cls")]) > MOST_PARAMETERS:
                    wide.append(f"{path.relative_to(ROOT)}:{node.lineno}: {node.name}")
    assert wide == []
