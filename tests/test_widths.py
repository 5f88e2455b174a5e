"""No integer goes through a float of 32 bits on its way, where it would lose digits past 2**24."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode

import tensorsql
from tensorsql.errors import Error
from tensorsql.planner.functions.signatures import SIGNATURES

ARGUMENTS = ("", "b", "b, c", "b, c, 2")
PLAIN = (torch.Tensor.to, torch.Tensor.view, torch.Tensor.type, torch.Tensor.float)


class Watch(TorchFunctionMode):
    """Notes each operation that makes 32-bit floats of integers alone."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor) and result.dtype == torch.float32:
            given = [each for each in args if isinstance(each, torch.Tensor)]
            integers = given and not any(each.dtype.is_floating_point for each in given)
            if integers and function not in PLAIN:
                self.found.append("".join(traceback.format_stack(limit=3)[:-1]))
        return result


@pytest.fixture(scope="module")
def connection() -> Iterator[tensorsql.Connection]:
    with tensorsql.connect() as opened:
        opened.execute("SET threads = 1")
        opened.execute("CREATE TABLE t AS SELECT i AS b, i % 3 + 1 AS c FROM range(1, 9) AS r(i)")
        yield opened


def calls() -> list[str]:
    """Every function over BIGINT columns, aggregates also as window functions and in groups."""
    queries = []
    for name in sorted(name for name in SIGNATURES if name.isidentifier()):
        for arguments in ARGUMENTS:
            call = f"{name}({arguments})"
            kinds = {signature.kind for signature in SIGNATURES[name]}
            queries.append(f"SELECT {call} FROM t" if kinds != {"window"} else "SELECT 1")
            if kinds != {"scalar"}:
                queries.append(f"SELECT {call} FROM t GROUP BY c")
                queries.append(f"SELECT {call} OVER (PARTITION BY c ORDER BY b) FROM t")
    operators = ("+", "-", "*", "/", "//", "%", "<", "=", "||", "&", "<<")
    return queries + [f"SELECT b {operator} c FROM t" for operator in operators]


def test_integers_are_never_halved(connection: tensorsql.Connection) -> None:
    ran = 0
    with Watch() as watch:
        for query in calls():
            try:
                connection.execute(query).fetchall()
                ran += 1
            except Error:
                continue
            assert not watch.found, f"{query}\n{watch.found[0]}"
    assert ran > 150
