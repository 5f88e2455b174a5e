"""Window functions: places and neighbours in a partition; aggregates work as such too."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import first
from tensorsql.planner.plans.signature import Parameter, ResultType, Signature
from tensorsql.storage.columns.types import BIGINT, DOUBLE


def _window(name: str, parameters: tuple[Parameter, ...], result: ResultType) -> Signature:
    return Signature(name, parameters, result, f"windows.{name}", kind="window", nulls="own")


def _neighbour(name: str) -> tuple[Signature, ...]:
    """The value, how many rows away (1), and what stands in outside the partition (NULL)."""
    parameters: tuple[Parameter, ...] = ("any", BIGINT, "any")
    return tuple(_window(name, parameters[:count], first) for count in (1, 2, 3))


SIGNATURES: tuple[Signature, ...] = (
    _window("row_number", (), BIGINT),
    _window("rank", (), BIGINT),
    _window("dense_rank", (), BIGINT),
    _window("percent_rank", (), DOUBLE),
    _window("cume_dist", (), DOUBLE),
    _window("ntile", (BIGINT,), BIGINT),
    *_neighbour("lag"),
    *_neighbour("lead"),
    _window("first_value", ("any",), first),
    _window("last_value", ("any",), first),
    _window("nth_value", ("any", BIGINT), first),
)
