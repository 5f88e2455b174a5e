"""Names in the code: none of a benchmark or demo, none that says only that something is there."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlglot import exp

from tensorsql.parser.dialect import parse
from tensorsql.tpch.statements import TABLES, schema

ROOT = Path(__file__).parent.parent
FOLDERS = ("operators", "planner", "storage", "parser")
# Tables whose names are words of the field as well.
WORDS = {"part", "orders", "region", "nation", "images", "masks"}
# That something was found, known or given says nothing of what it is.
EMPTY = {"found", "known", "given"}
DEMO = ("fashion", "mnist", "masksdatabaseview", "grad_cam", "gradcam", "sneaker")


def _names() -> Iterator[str]:
    """Names of TPC-H and of the demo."""
    yield from DEMO
    yield from (table for table in TABLES if table not in WORDS)
    for statement in schema():
        (tree,) = parse(statement)
        yield from (column.name for column in tree.find_all(exp.ColumnDef))


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_name_of_a_benchmark_or_demo(folder: str) -> None:
    pattern = re.compile(rf"(?<![a-z0-9])({'|'.join(sorted(set(_names())))})(?![a-z0-9])", re.I)
    found = [
        f"{path.relative_to(ROOT)}:{number}: {match[0]}"
        for path in sorted((ROOT / folder).rglob("*.py"))
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if (match := pattern.search(line))
    ]
    assert found == []


def _identifiers(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """The names that code makes or uses, with their lines."""
    for node in ast.walk(tree):
        for part in ("id", "arg", "attr", "name", "asname"):
            if isinstance(name := getattr(node, part, None), str):
                yield name, getattr(node, "lineno", 0)


@pytest.mark.parametrize("folder", (*FOLDERS, "tensorsql", "repl", "tpch", "bench", "examples"))
def test_names_say_what_a_thing_is(folder: str) -> None:
    files = sorted((ROOT / folder).glob("*.py" if folder == "tensorsql" else "**/*.py"))
    assert files
    empty = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in files
        for name, line in _identifiers(ast.parse(path.read_text(encoding="utf-8")))
        if name.strip("_") in EMPTY
    ]
    assert empty == []
