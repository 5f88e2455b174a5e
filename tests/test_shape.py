"""No function takes many parameters or is written twice; layouts are told apart where listed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("tensorsql", "parser", "planner", "operators", "storage", "repl", "tpch")
MOST_PARAMETERS = 5
LAYOUTS = {
    *("Bytes", "Constant", "Dictionary", "Flat", "List", "RowRef", "Struct", "TimeSpan", "Wide")
}
# Outside the rooms of columns, where the layout is the algorithm, and why; not more often than so.
TELL_LAYOUTS = {
    "operators/expressions/propagate.py": (4, "constants once, dictionaries by their entries"),
    "operators/functions/aggregates.py": (3, "128-bit sums carry"),
    "operators/functions/arithmetic.py": (1, "128-bit negation"),
    "operators/functions/casts.py": (5, "constants once, lists and structs by their parts"),
    "operators/functions/comparison.py": (24, "codes, words, spans, nested values, constants"),
    "operators/functions/conditional.py": (2, "plain numbers by `where`, constants not repeated"),
    "operators/functions/distributions.py": (2, "texts joined as bytes"),
    "operators/functions/images.py": (1, "references are read when asked"),
    "operators/functions/lists.py": (3, "lists and structs by their parts"),
    "operators/functions/mask_aggregates.py": (1, "masks are references"),
    "operators/functions/masks.py": (2, "masks are references, constant boxes stay one"),
    "operators/functions/numbers.py": (2, "128-bit magnitude and sign"),
    "operators/functions/numeric_casts.py": (3, "128-bit numbers"),
    "operators/functions/rounding.py": (1, "128-bit numbers"),
    "operators/functions/strings.py": (4, "constants as Arrow's scalars"),
    "operators/functions/temporal.py": (1, "parts of an INTERVAL"),
    "operators/functions/tensor_casts.py": (1, "lists of lists"),
    "operators/functions/text_blocks.py": (7, "what texts weigh"),
    "operators/functions/text_casts.py": (7, "what is written once per distinct value"),
    "operators/indexes/chi/build.py": (1, "masks are references"),
    "operators/keys/key_codes.py": (1, "texts by their dictionary"),
    "operators/keys/key_parts.py": (11, "a key's parts are its layout's"),
    "operators/search/bounds.py": (3, "constants once, 128-bit numbers, bytes read by sources"),
    "operators/unnest.py": (1, "NULL is no list"),
    "storage/tables/ingest.py": (1, "codes are kept"),
    "storage/tables/table.py": (2, "one dictionary for all segments"),
}


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


def _body(function: ast.FunctionDef) -> str:
    """What a function does, whatever it and its variables are called."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    nodes = [part for one in statements for part in ast.walk(one)]
    own = [each.arg for each in ast.walk(function.args) if isinstance(each, ast.arg)]
    own += [n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)]
    numbers = {name: f"v{number}" for number, name in enumerate(dict.fromkeys(own))}
    text = "\n".join(ast.dump(one) for one in statements)
    return re.sub("id='([^']*)'", lambda name: f"id={numbers.get(name[1], name[1])}", text)


def test_no_function_is_written_twice() -> None:
    written: dict[str, str] = {}
    twice = []
    for path in (path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and len(body := _body(node)) > 160:
                here = f"{path.relative_to(ROOT)}: {node.name}"
                if written.setdefault(body, here) != here:
                    twice.append((written[body], here))
    assert twice == []


def test_layouts_are_told_apart_where_listed() -> None:
    told = {}
    for folder in ("operators", "storage", "tensorsql"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            room = path.relative_to(ROOT).parts[:2]
            if room not in (("operators", "columns"), ("storage", "columns")):
                nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
                told[str(path.relative_to(ROOT))] = sum(map(tells_layouts, nodes))
    assert {path for path, times in told.items() if times} == {*TELL_LAYOUTS}
    assert {path: told[path] for path, (most, _) in TELL_LAYOUTS.items() if told[path] > most} == {}


def tells_layouts(node: ast.AST) -> bool:
    """Whether a call of isinstance or a pattern names a layout."""
    if isinstance(node, ast.MatchClass):
        return ast.unparse(node.cls) in LAYOUTS
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "isinstance":
        return False
    return any(each.id in LAYOUTS for each in ast.walk(node.args[1]) if isinstance(each, ast.Name))
