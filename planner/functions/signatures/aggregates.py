"""Aggregate functions; results as DuckDB has them (an integer SUM is HUGEINT, an AVG is DOUBLE)."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import first
from tensorsql.planner.plans.signature import Parameter, ResultType, Signature
from tensorsql.storage.columns.types import (
    BIGINT,
    BOOLEAN,
    DOUBLE,
    HUGEINT,
    INTEGERS,
    REAL,
    VARCHAR,
    Kind,
    Type,
    decimal,
    list_of,
)

WHOLE: tuple[Kind, ...] = (*INTEGERS, Kind.BOOLEAN)
DECIMALS: tuple[Kind, ...] = (Kind.DECIMAL,)


def _widest(arguments: tuple[Type, ...]) -> Type:
    return decimal(38, arguments[0].scale)


def _list(arguments: tuple[Type, ...]) -> Type:
    return list_of(arguments[0])


def _aggregate(
    name: str, parameters: tuple[Parameter, ...], result: ResultType, kernel: str
) -> Signature:
    return Signature(name, parameters, result, kernel, kind="aggregate")


def _keeping_nulls(name: str, result: ResultType, kernel: str) -> Signature:
    return Signature(name, ("any",), result, kernel, kind="aggregate", nulls="own")


def _real(name: str, kernel: str, arguments: int = 1) -> Signature:
    return _aggregate(name, (DOUBLE,) * arguments, DOUBLE, kernel)


SIGNATURES: tuple[Signature, ...] = (
    _aggregate("count", (), BIGINT, "aggregates.count"),
    _aggregate("count", ("any",), BIGINT, "aggregates.count"),
    _aggregate("sum", (WHOLE,), HUGEINT, "aggregates.integer_sum"),
    _aggregate("sum", (DECIMALS,), _widest, "aggregates.integer_sum"),
    _aggregate("sum", (DOUBLE,), DOUBLE, "aggregates.float_sum"),
    _aggregate("count_if", (BOOLEAN,), HUGEINT, "aggregates.integer_sum"),
    _aggregate("avg", (INTEGERS,), DOUBLE, "aggregates.integer_average"),
    _aggregate("avg", (DECIMALS,), DOUBLE, "aggregates.integer_average"),
    _aggregate("avg", (DOUBLE,), DOUBLE, "aggregates.float_average"),
    _aggregate("min", ("any",), first, "aggregates.minimum"),
    _aggregate("max", ("any",), first, "aggregates.maximum"),
    _aggregate("bool_and", (BOOLEAN,), BOOLEAN, "aggregates.minimum"),
    _aggregate("bool_or", (BOOLEAN,), BOOLEAN, "aggregates.maximum"),
    _aggregate("any_value", ("any",), first, "aggregates.first"),
    _keeping_nulls("first", first, "aggregates.first"),
    _keeping_nulls("last", first, "aggregates.last"),
    _aggregate("arg_min", ("any", "any"), first, "aggregates.arg_min"),
    _aggregate("arg_max", ("any", "any"), first, "aggregates.arg_max"),
    _real("var_pop", "moments.var_pop"),
    _real("var_samp", "moments.var_samp"),
    _real("stddev_pop", "moments.stddev_pop"),
    _real("stddev_samp", "moments.stddev_samp"),
    _real("covar_pop", "moments.covar_pop", 2),
    _real("covar_samp", "moments.covar_samp", 2),
    _real("corr", "moments.correlation", 2),
    _real("product", "distributions.product"),
    _aggregate("median", (DECIMALS,), first, "distributions.quantile_cont"),
    *(
        _aggregate("median", (each,), each, "distributions.quantile_cont")
        for each in (REAL, DOUBLE)
    ),
    _aggregate("quantile_cont", (DECIMALS, DOUBLE), first, "distributions.quantile_cont"),
    *(
        _aggregate("quantile_cont", (each, DOUBLE), each, "distributions.quantile_cont")
        for each in (REAL, DOUBLE)
    ),
    _aggregate("quantile_disc", ("any", DOUBLE), first, "distributions.quantile_disc"),
    _aggregate("mode", ("any",), first, "distributions.mode"),
    _aggregate("approx_count_distinct", ("any",), BIGINT, "aggregates.count_distinct"),
    _aggregate("string_agg", ("any",), VARCHAR, "distributions.joined"),
    _aggregate("string_agg", ("any", VARCHAR), VARCHAR, "distributions.joined"),
    _keeping_nulls("list", _list, "distributions.collected"),
)
ALIASES = {
    "mean": "avg",
    "countif": "count_if",
    "arbitrary": "first",
    "min_by": "arg_min",
    "max_by": "arg_max",
    "variance": "var_samp",
    "stddev": "stddev_samp",
    "quantile": "quantile_disc",
    "group_concat": "string_agg",
    "listagg": "string_agg",
    "array_agg": "list",
}
