"""Functions of text. Lengths and positions count characters; positions start at 1."""

from __future__ import annotations

from tensorsql.planner.functions.signatures.result_types import concatenated
from tensorsql.planner.plans.signature import Signature
from tensorsql.storage.columns.types import BIGINT, BOOLEAN, INTEGER, VARCHAR, Type


def _text(
    name: str, parameters: tuple[Type, ...], result: Type = VARCHAR, *, fallible: bool = False
) -> Signature:
    return Signature(name, parameters, result, f"strings.{name}", cost=10.0, fallible=fallible)


SIGNATURES = (
    Signature("like", (VARCHAR, VARCHAR), BOOLEAN, "patterns.like", cost=20.0),
    Signature(
        "like", (VARCHAR, VARCHAR, VARCHAR), BOOLEAN, "patterns.like", cost=20.0, fallible=True
    ),
    Signature("ilike", (VARCHAR, VARCHAR), BOOLEAN, "patterns.ilike", cost=20.0),
    Signature(
        "ilike", (VARCHAR, VARCHAR, VARCHAR), BOOLEAN, "patterns.ilike", cost=20.0, fallible=True
    ),
    *(
        Signature(name, types, result, f"patterns.{name}", cost=40.0, fallible=True)
        for name, shapes, result in (
            ("regexp_matches", ((VARCHAR,) * 2, (VARCHAR,) * 3), BOOLEAN),
            ("regexp_full_match", ((VARCHAR,) * 2, (VARCHAR,) * 3), BOOLEAN),
            ("regexp_replace", ((VARCHAR,) * 3, (VARCHAR,) * 4), VARCHAR),
            ("regexp_extract", ((VARCHAR,) * 2, (VARCHAR, VARCHAR, INTEGER)), VARCHAR),
        )
        for types in shapes
    ),
    Signature("||", ("any", "any"), concatenated, "strings.append", cost=10.0),
    Signature(
        "concat", ("any", "any"), VARCHAR, "strings.concat", variadic=True, nulls="own", cost=10.0
    ),
    Signature(
        "concat_ws",
        (VARCHAR, "any", "any"),
        VARCHAR,
        "strings.concat_ws",
        variadic=True,
        nulls="own",
        cost=10.0,
    ),
    _text("length", (VARCHAR,), BIGINT),
    _text("strlen", (VARCHAR,), BIGINT),
    _text("upper", (VARCHAR,)),
    _text("lower", (VARCHAR,)),
    *(
        _text(name, types)
        for name in ("trim", "ltrim", "rtrim")
        for types in ((VARCHAR,), (VARCHAR, VARCHAR))
    ),
    _text("substring", (VARCHAR, BIGINT)),
    _text("substring", (VARCHAR, BIGINT, BIGINT)),
    _text("left", (VARCHAR, BIGINT)),
    _text("right", (VARCHAR, BIGINT)),
    _text("replace", (VARCHAR, VARCHAR, VARCHAR)),
    _text("position", (VARCHAR, VARCHAR), BIGINT),
    _text("starts_with", (VARCHAR, VARCHAR), BOOLEAN),
    _text("ends_with", (VARCHAR, VARCHAR), BOOLEAN),
    _text("contains", (VARCHAR, VARCHAR), BOOLEAN),
    _text("repeat", (VARCHAR, BIGINT), fallible=True),
    _text("reverse", (VARCHAR,)),
    _text("lpad", (VARCHAR, INTEGER, VARCHAR), fallible=True),
    _text("rpad", (VARCHAR, INTEGER, VARCHAR), fallible=True),
    _text("split_part", (VARCHAR, VARCHAR, BIGINT)),
    _text("ascii", (VARCHAR,), INTEGER),
    _text("unicode", (VARCHAR,), INTEGER),
    _text("chr", (INTEGER,), fallible=True),
)
ALIASES = {
    "substr": "substring",
    "char_length": "length",
    "character_length": "length",
    "ucase": "upper",
    "lcase": "lower",
    "strpos": "position",
    "instr": "position",
    "prefix": "starts_with",
    "suffix": "ends_with",
    "ord": "unicode",
}
