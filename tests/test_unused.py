"""Nothing is there for tests alone: what the product defines, the product uses."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from io import RawIOBase
from pathlib import Path

from prompt_toolkit.completion import Completer
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.parsers.duckdb import DuckDBParser

from tensorsql.planner.functions.signatures import SIGNATURES

ROOT = Path(__file__).parent.parent
FOLDERS = ("parser", "planner", "operators", "storage", "repl", "tpch", "bench", "examples")
PUBLIC = {"unregister", "fetchmany", "setinputsizes", "setoutputsize"}  # users call it
# Classes of others that ours extend: they read what ours override.
BASES = (DuckDB, DuckDBParser, RawIOBase, Completer)


@cache
def trees() -> dict[Path, ast.Module]:
    """The product's modules."""
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    paths += (ROOT / "tensorsql").glob("*.py")
    return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def read_names() -> set[str]:
    """Names that some code reads, be it in a string such as a kernel's path."""
    names: set[str] = set()
    for tree in trees().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                names.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names.update(re.findall(r"\w+", node.value) if len(node.value) < 80 else ())
    return names


def defined() -> Iterator[tuple[str, str]]:
    """(place, name) of functions, classes, fields and constants."""
    for path, tree in trees().items():
        for node in ast.walk(tree):
            place = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                if not any("register" in ast.unparse(each) for each in node.decorator_list):
                    yield place, node.name
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield place, node.target.id
            elif isinstance(node, ast.Assign) and node in tree.body:
                for target in node.targets:
                    if isinstance(target, ast.Name):
                        yield place, target.id


def test_what_is_defined_is_used() -> None:
    kernels = {each.kernel.split(".")[1] for named in SIGNATURES.values() for each in named}
    used = read_names().union(PUBLIC, kernels, *map(dir, BASES))
    unused = [f"{place}: {name}" for place, name in defined() if name not in used]
    assert [each for each in unused if not each.endswith("__")] == []
