"""Type names of the syntax tree as types."""

from __future__ import annotations

import math
from typing import Any

from sqlglot import exp

from tensorsql.errors import BindError, ParseError, UnsupportedError, nearest
from tensorsql.parser.dialect import parse, text_of
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import Type

DType = exp.DataType.Type
SIMPLE = {
    DType.BOOLEAN: types.BOOLEAN,
    DType.TINYINT: types.TINYINT,
    DType.SMALLINT: types.SMALLINT,
    DType.INT: types.INTEGER,
    DType.BIGINT: types.BIGINT,
    DType.INT128: types.HUGEINT,
    DType.FLOAT: types.REAL,
    DType.DOUBLE: types.DOUBLE,
    DType.DATE: types.DATE,
    DType.TIME: types.TIME,
    DType.TIMESTAMP: types.TIMESTAMP,
    DType.TIMESTAMPNTZ: types.TIMESTAMP,
    DType.DATETIME: types.TIMESTAMP,
    DType.INTERVAL: types.INTERVAL,
    DType.TEXT: types.VARCHAR,
    DType.VARCHAR: types.VARCHAR,
    DType.CHAR: types.VARCHAR,
    DType.NCHAR: types.VARCHAR,
    DType.NVARCHAR: types.VARCHAR,
    DType.BPCHAR: types.VARCHAR,
    DType.NAME: types.VARCHAR,
    DType.VARBINARY: types.BLOB,
    DType.BINARY: types.BLOB,
    DType.BLOB: types.BLOB,
    DType.UUID: types.UUID,
    DType.NULL: types.NULL,
}
MEMBERS: dict[Any, type[exp.Expr]] = {
    DType.ARRAY: exp.DataType,
    DType.LIST: exp.DataType,
    DType.STRUCT: exp.ColumnDef,
    DType.ENUM: exp.Literal,
}
EXAMPLES: dict[type[exp.Expr], str] = {
    exp.DataType: "INTEGER[]",
    exp.ColumnDef: "STRUCT(name VARCHAR, size INTEGER)",
    exp.Literal: "ENUM('small', 'large')",
}
MASK_DTYPES = {1: "float32", 255: "uint8", 65535: "uint16"}


def bind_type(node: exp.DataType) -> Type:
    """The type a type name means; UnsupportedError for DuckDB's that tensorsql lacks."""
    if node.this in (DType.TIMESTAMP, DType.TIMESTAMPNTZ, DType.DATETIME) and node.expressions:
        return _timestamp(node)
    simple = SIMPLE.get(node.this)
    if simple is not None:
        return simple
    match node.this:
        case DType.DECIMAL:
            return _decimal(node)
        case DType.ARRAY | DType.LIST:
            return types.list_of(bind_type(_members(node)[0]))
        case DType.STRUCT:
            return types.struct(
                *((field.name, bind_type(field.args["kind"])) for field in _members(node))
            )
        case DType.ENUM:
            return _enum(node)
        case DType.USERDEFINED:
            return _own(node)
    raise UnsupportedError(f"type {text_of(node)} is not supported")


def type_of_text(text: str) -> Type:
    """The type that a text such as 'DECIMAL(5, 2)' names; BindError if it names none."""
    try:
        (query,) = parse(f"SELECT CAST(NULL AS {text})")
    except (ParseError, ValueError):
        raise BindError(f"'{text}' is not a type") from None
    named = query.expressions[0] if query.expressions else query
    parts = {name for name, value in [*query.args.items(), *named.args.items()] if value}
    if type(named) is not exp.Cast or parts != {"expressions", "this", "to"}:
        raise BindError(f"'{text}' is not a type")
    return bind_type(named.args["to"])


def _members(node: exp.DataType) -> list[Any]:
    """What a nested type is made of."""
    form = MEMBERS[node.this]
    if not node.expressions or not all(isinstance(member, form) for member in node.expressions):
        raise BindError(f"type {text_of(node)} is incomplete; write it as {EXAMPLES[form]}")
    return list(node.expressions)


def _numbers(node: exp.DataType) -> list[int]:
    """The whole numbers in a type's brackets."""
    texts = [parameter.name or parameter.this.name for parameter in node.expressions]
    if not all(text.isdecimal() for text in texts):
        raise BindError(f"the brackets of type {text_of(node)} take whole numbers")
    return [int(text) for text in texts]


def _decimal(node: exp.DataType) -> Type:
    numbers = _numbers(node)
    if len(numbers) > 2:
        raise BindError("DECIMAL takes two numbers: digits, and digits after the point")
    precision, scale = (
        (*numbers, *(18, 3)[len(numbers) :]) if len(numbers) != 1 else (numbers[0], 0)
    )
    if not (1 <= precision <= 38 and 0 <= scale <= precision):
        raise BindError(
            f"DECIMAL({precision},{scale}) must have 1 to 38 digits, at most all after the point"
        )
    return types.decimal(precision, scale)


def _enum(node: exp.DataType) -> Type:
    names = tuple(member.name for member in _members(node))
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise BindError(f"an ENUM has each member once, '{twice[0]}' stands twice")
    return types.enum(names)


def _timestamp(node: exp.DataType) -> Type:
    digits = _numbers(node)
    if len(digits) != 1 or not 4 <= digits[0] <= 6:  # DuckDB's TIMESTAMP, too
        raise UnsupportedError(
            f"type {text_of(node)} is not supported: TIMESTAMP keeps microseconds;"
            " use date_trunc('millisecond', …) or date_trunc('second', …)"
        )
    return types.TIMESTAMP


def _own(node: exp.DataType) -> Type:
    kind = node.args.get("kind")
    name = (kind if isinstance(kind, str) else kind.name if kind is not None else "").upper()
    if name == "BOX":
        return types.BOX
    if name not in ("MASK", "TENSOR"):
        names = [*(item.value for item in types.Kind), "INT", "TEXT", "STRING"]
        raise BindError(f"unknown type {name or text_of(node)}{nearest(name, names)}")
    return _mask(_numbers(node)) if name == "MASK" else _tensor(_numbers(node))


def _mask(numbers: list[int]) -> Type:
    if not numbers:
        return types.mask(0, "")
    if len(numbers) > 1 or not 1 <= numbers[0] <= types.LARGEST_SCALE:
        raise BindError(
            f"MASK takes one number, the stored value that means 1, from 1 to"
            f" {types.LARGEST_SCALE}, as MASK(255); MASK alone takes that of its first masks"
        )
    return types.mask(numbers[0], MASK_DTYPES.get(numbers[0], "uint16"))


def _tensor(sizes: list[int]) -> Type:
    if not sizes or 0 in sizes or math.prod(sizes) > types.LARGEST_TENSOR:
        raise BindError(
            "TENSOR takes its sizes, each from 1 on and together at most"
            f" {types.LARGEST_TENSOR} numbers, as TENSOR(3, 224, 224)"
        )
    return types.tensor(tuple(sizes))
