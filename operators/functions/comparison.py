"""Comparisons of columns of one type.

NaN equals NaN and is greater than every number; text compares by its UTF-8 bytes, ENUMs by the
order of their members, intervals with months of 30 days.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.errors import UnsupportedError
from tensorsql.operators import kernels
from tensorsql.operators.columns import wide
from tensorsql.operators.columns.layouts import comparable, operand, values_of, with_validity
from tensorsql.operators.columns.text import entries_of, flat_of_arrow, text_array, text_scalar
from tensorsql.operators.functions.registry import Extent
from tensorsql.operators.keys.key_codes import key_codes
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand, widen
from tensorsql.storage.columns.column import (
    Column,
    Constant,
    Dictionary,
    Flat,
    List,
    Struct,
    TimeSpan,
    bare,
    device_of,
    present_rows,
    take,
)
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import BOOLEAN, INTEGER, Kind

Compare = Callable[[Any, Any], Any]
MIRRORED = {"eq": "eq", "ne": "ne", "lt": "gt", "le": "ge", "gt": "lt", "ge": "le"}
ARROW: dict[str, Compare] = {
    "eq": pc.equal,
    "ne": pc.not_equal,
    "lt": pc.less,
    "le": pc.less_equal,
    "gt": pc.greater,
    "ge": pc.greater_equal,
}
DAY = 86_400_000_000
LISTED = 4  # so many numbers of an IN list are worth a lookup


def equal(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """=."""
    return Flat(BOOLEAN, compare("eq", *arguments))


def not_equal(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """<>."""
    return Flat(BOOLEAN, compare("ne", *arguments))


def less(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """<."""
    return Flat(BOOLEAN, compare("lt", *arguments))


def less_or_equal(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """<=."""
    return Flat(BOOLEAN, compare("le", *arguments))


def greater(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """>."""
    return Flat(BOOLEAN, compare("gt", *arguments))


def greater_or_equal(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """>=."""
    return Flat(BOOLEAN, compare("ge", *arguments))


def is_distinct_from(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """<> where NULL is a value like any other."""
    return Flat(BOOLEAN, _same(*arguments).logical_not())


def is_not_distinct_from(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """= where NULL is a value like any other."""
    return Flat(BOOLEAN, _same(*arguments))


def contained(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """x IN (items): TRUE if any is equal, else NULL if x or any item is, else FALSE."""
    subject, *items = arguments
    fixed = all(isinstance(item, Constant) for item in items)
    if isinstance(subject, Dictionary) and len(subject.dictionary) and fixed:
        entries = entries_of(subject)
        true = _equal_any(entries, items).index_select(0, subject.codes)
    else:
        true = _equal_any(subject, items)
    decided = None if subject.validity is None else subject.validity
    true = true if decided is None else true & decided
    for item in items:
        if item.validity is not None:
            present = item.validity if len(item) == len(true) else item.validity[:1]
            decided = present if decided is None else decided & present
    if decided is None:
        return Flat(BOOLEAN, true)
    return Flat(BOOLEAN, true, (true | decided).expand(len(true)))


def contained_in_values(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """x IN (many literals), as `contained`; each distinct value is looked for once."""
    subject, listed = arguments
    if isinstance(subject, Constant):
        one = contained_in_values([subject.one, listed], call, extent)
        return Constant(one, subject.length)
    if not isinstance(listed, Constant) or not isinstance(listed.one, List):
        raise UnsupportedError("IN values takes a list of literals")
    if isinstance(subject, Dictionary) and len(subject.dictionary):
        among = contained_in_values([entries_of(subject), listed], call, extent)
        return with_validity(take(among, subject.codes), subject.validity)
    items = listed.one.child
    codes = key_codes([concat([widen(subject), items])], nulls="never").codes
    own, others = codes[: len(subject)], codes[len(subject) :]
    true = torch.isin(own, others[others >= 0])
    if items.validity is not None:
        return Flat(BOOLEAN, true, true)
    return Flat(BOOLEAN, true, subject.validity)


def _equal_any(subject: Column, items: Sequence[Column]) -> Tensor:
    """Where the subject equals one of the valid items."""
    whole = isinstance(subject, Flat) and subject.values.dim() == 1
    whole = whole and not subject.type.is_float and subject.type.kind is not Kind.BOOLEAN
    if whole and len(items) > LISTED and all(_is_fixed_number(item) for item in items):
        numbers = [operand(item) for item in items if _valid(item)]
        values = values_of(subject)
        return torch.isin(values, values.new_tensor(numbers, dtype=torch.int64))
    result = torch.zeros(len(subject), dtype=torch.bool, device=device_of(subject))
    for item in items:
        hit = compare("eq", subject, item)
        if isinstance(item, Constant):  # the subject may be a dictionary's entries
            hit = hit if _valid(item) else torch.zeros_like(hit)
        elif item.validity is not None:
            hit = hit & item.validity
        result = result | hit
    return result


def _is_fixed_number(item: Column) -> bool:
    return isinstance(item, Constant) and isinstance(item.one, Flat)


def _valid(item: Column) -> bool:
    return bool(present_rows(bare(item))[0])


def _same(a: Column, b: Column) -> Tensor:
    result = compare("eq", a, b)
    if a.validity is None and b.validity is None:
        return result
    left, right = present_rows(a), present_rows(b)
    return (result & left & right) | ~(left | right)


def compare(name: str, a: Column, b: Column) -> Tensor:
    """bool [n] of "eq", "ne", "lt", "le", "gt" or "ge", validity left aside."""
    a, b = comparable(a), comparable(b)
    if isinstance(a, Constant) and isinstance(b, Constant):
        return compare(name, a.one, b.one).expand(a.length)
    kind = a.type.kind
    if a.type.is_text or kind is Kind.BLOB:
        return _compare_text(name, a, b)
    if a.type.is_wide:
        return _compare_words(name, wide.words(a), wide.words(b))
    if kind is Kind.INTERVAL:
        return _compare_words(name, _span(a), _span(b))
    if kind in (Kind.LIST, Kind.STRUCT, Kind.BOX, Kind.TENSOR):
        return _compare_nested(name, a, b)
    if a.type.is_float:
        return _compare_floats(name, operand(a), operand(b))
    return _compare_numbers(name, operand(a), operand(b))


def _compare_numbers(name: str, a: Any, b: Any) -> Tensor:
    if not isinstance(a, Tensor):
        name, a, b = MIRRORED[name], b, a
    if isinstance(b, int) and a.dtype != torch.bool:
        limits = torch.iinfo(a.dtype)
        if not limits.min <= b <= limits.max:  # narrow storage: every value is on one side
            answer = name == "ne" or name in (("lt", "le") if b > 0 else ("gt", "ge"))
            return torch.full(a.shape, answer, device=a.device)
    return kernels.elementwise(a, getattr(operator, name), b)


def _compare_floats(name: str, a: Any, b: Any) -> Tensor:
    if not isinstance(a, Tensor):
        name, a, b = MIRRORED[name], b, a
    if name in ("ne", "le", "gt"):
        opposite = {"ne": "eq", "le": "gt", "gt": "le"}
        if name != "gt":
            return _compare_floats(opposite[name], a, b).logical_not()
        return _float_less(b, a)
    if name == "eq":
        same = kernels.elementwise(a, operator.eq, b)
        if isinstance(b, float) and b == b:
            return same
        nan: Tensor = (a != a) & (b != b)  # which alone differs from itself
        return same | nan
    return _float_less(a, b) if name == "lt" else _float_less(a, b).logical_not()


def _float_less(a: Any, b: Any) -> Tensor:
    smaller = (
        kernels.elementwise(a, operator.lt, b)
        if isinstance(a, Tensor)
        else kernels.elementwise(b, operator.gt, a)
    )
    if isinstance(b, float) and b == b:
        return smaller
    nan_last: Tensor = (b != b) > (a != a)
    return smaller | nan_last


def _compare_words(name: str, a: wide.Words, b: wide.Words) -> Tensor:
    match name:
        case "eq":
            return wide.equal(a, b)
        case "ne":
            return wide.equal(a, b).logical_not()
        case "lt":
            return wide.less(a, b)
        case "ge":
            return wide.less(a, b).logical_not()
        case "gt":
            return wide.less(b, a)
    return wide.less(b, a).logical_not()


def _span(column: Column) -> wide.Words:
    """An interval as (days, microseconds of the day), months being 30 days."""
    column = bare(column)
    assert isinstance(column, TimeSpan)
    whole = torch.div(column.microseconds, DAY, rounding_mode="floor")
    days = column.months.to(torch.int64) * 30 + column.days + whole
    return days, column.microseconds - whole * DAY


def _compare_text(name: str, a: Column, b: Column) -> Tensor:
    if a.type.kind is Kind.ENUM:
        return _compare_numbers(name, _places(a), _places(b))
    if isinstance(a, Dictionary) and isinstance(b, Dictionary) and a.dictionary is b.dictionary:
        decides = a.dictionary.unique if name in ("eq", "ne") else a.dictionary.sorted
        if decides:
            return _compare_numbers(name, a.codes, b.codes)
    if isinstance(a, Constant):
        name, a, b = MIRRORED[name], b, a
    left = text_array(a)
    right = pa.scalar(text_scalar(b), left.type) if isinstance(b, Constant) else text_array(b)
    truths = flat_of_arrow(ARROW[name](left, right), BOOLEAN)
    return truths.values.to(device_of(a))


def _places(column: Column) -> Any:
    members = pa.array(column.type.members, pa.large_string())
    if isinstance(column, Constant):
        text = text_scalar(column)
        return column.type.members.index(text) if text in column.type.members else 0  # under NULL
    places = pc.index_in(text_array(column), members).fill_null(0)
    return flat_of_arrow(places, INTEGER).values.to(device_of(column))


def _compare_nested(name: str, a: Column, b: Column) -> Tensor:
    if name not in ("eq", "ne"):
        raise UnsupportedError(f"values of type {a.type} have no order; compare their parts")
    same = _equal_nested(expand(a), expand(b))
    return same if name == "eq" else same.logical_not()


def _equal_nested(a: Column, b: Column) -> Tensor:
    if isinstance(a, Flat) and isinstance(b, Flat):
        return (a.values == b.values).reshape(len(a), -1).all(1)
    if isinstance(a, Struct) and isinstance(b, Struct):
        result = torch.ones(len(a), dtype=torch.bool, device=device_of(a))
        for left, right in zip(a.children, b.children, strict=True):
            result &= _same(left, right)
        return result
    assert isinstance(a, List)
    assert isinstance(b, List)
    return _equal_lists(a, b)


def _equal_lists(a: List, b: List) -> Tensor:
    lengths = a.offsets[1:] - a.offsets[:-1]
    result = lengths == b.offsets[1:] - b.offsets[:-1]
    rows, inside = kernels.ranges(torch.zeros_like(lengths), torch.where(result, lengths, 0))
    left, right = (take(each.child, each.offsets.index_select(0, rows) + inside) for each in (a, b))
    unequal = rows[_same(left, right).logical_not()]
    result[unequal] = False
    return result
