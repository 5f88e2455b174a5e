"""Functions of text. CPU only: Arrow's kernels work there, without copying.

Arrow takes parameters (a length, a pattern) as scalars: where they vary by row, the rows of each
distinct combination are computed together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch

from tensorsql.cancellation import in_helper
from tensorsql.errors import OutOfRangeError
from tensorsql.operators.columns.layouts import (
    null_constant,
    operand,
    values_of,
    with_validity,
)
from tensorsql.operators.columns.text import (
    arrow_type_of,
    bytes_of_arrow,
    flat_of_arrow,
    named,
    numpy_view,
    text_array,
    text_scalar,
)
from tensorsql.operators.functions import graphemes
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.operators.functions.text_blocks import (
    BLOCK,
    LARGEST,
    block_ends,
    check_size,
    of_blocks,
)
from tensorsql.planner.plans.expressions import Call
from tensorsql.storage.columns.changes import expand
from tensorsql.storage.columns.column import CPU, Column, Constant, Flat, present_rows
from tensorsql.storage.columns.types import VARCHAR, Kind, Type

# An Arrow array and the values of the other arguments give an Arrow array of as many rows.
Apply = Callable[..., pa.Array]
TEXT = pa.large_string()
FARTHEST = 1 << 31  # a place behind all characters, within what Arrow can count


def kernel(apply: Apply) -> Kernel:
    """The kernel of a function of one text and scalar parameters."""

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        return run_text(apply, arguments, call)

    run.__doc__ = apply.__doc__
    return run


def run_text(apply: Apply, arguments: Sequence[Column], call: Call) -> Column:
    """Apply to the first argument's rows, once per distinct combination of the others."""
    array, parameters = text_array(arguments[0]), arguments[1:]
    if all(isinstance(each, Constant) for each in parameters):
        scalars = [_scalar(each) for each in parameters if isinstance(each, Constant)]
        return _column(apply(array, *scalars), call.type)
    keys, values = _combinations(parameters)
    if not values:
        return null_constant(call.type, 0, CPU)
    order = np.argsort(keys, kind="stable")
    array, combinations = array.take(pa.array(order)), iter(values)

    def piece(start: int, stop: int) -> pa.Array:
        return _one(apply(array.slice(start, stop - start), *next(combinations)))

    ends = np.cumsum(np.bincount(keys)).tolist()
    pieces = pa.concat_arrays(of_blocks(piece, ends, lambda made: made.nbytes))
    return _column(pieces.take(pa.array(np.argsort(order, kind="stable"))), call.type)


def _one(array: pa.Array) -> pa.Array:
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


def _scalar(column: Constant) -> Any:
    return text_scalar(column) if column.type.is_text else operand(column)


def _combinations(parameters: Sequence[Column]) -> tuple[Any, list[tuple[Any, ...]]]:
    """A code per row and the parameters' values per code."""
    encoded = [_arrow(expand(each)).dictionary_encode() for each in parameters]
    keys = np.zeros(len(encoded[0]), dtype=np.int64)
    for each in encoded:
        keys = keys * max(len(each.dictionary), 1) + each.indices.to_numpy()
    _, first, codes = np.unique(keys, return_index=True, return_inverse=True)
    lists = [_values(each.take(pa.array(first))) for each in encoded]
    return codes, list(zip(*lists, strict=True))


def _values(array: pa.Array) -> list[Any]:
    """The array's values, a block at a time: meanwhile no other thread of Python's would run."""
    starts = range(0, len(array), 4096)
    return [value for start in starts for value in array.slice(start, 4096).to_pylist()]


def _arrow(column: Column) -> pa.Array:
    return pa.array(numpy_view(column.values)) if isinstance(column, Flat) else text_array(column)


def _column(array: pa.Array, kind: Type) -> Column:
    return bytes_of_arrow(array, kind) if kind.is_text else flat_of_arrow(array, kind)


def _slice(array: pa.Array, start: int, stop: int | None) -> pa.Array:
    """Characters start … stop - 1, negative ones counted from the end."""
    start, stop = _place(start), None if stop is None else _place(stop)
    if stop is not None and (start >= 0) == (stop >= 0) and stop <= start:
        return pa.array([""] * len(array), TEXT)
    return pc.utf8_slice_codeunits(array, start, stop)


def _place(number: int) -> int:
    """A place as Arrow can count it."""
    return max(-FARTHEST, min(number, FARTHEST))


def _substring(array: pa.Array, start: int, length: int | None = None) -> pa.Array:
    """SUBSTRING(text, start[, length]); a negative start counts from the end, a negative length

    takes the characters before.
    """
    first = start - 1 if start > 0 else start
    if start == 0:  # the place before the first character counts as one
        first, length = 0, None if length is None else length - 1
        length = length if length is None or length > 0 else 0
    if length is None:
        return _slice(array, first, None)
    low, high = (first, first + length) if length >= 0 else (first + length, first)
    if first >= 0:
        return _slice(array, max(low, 0), max(high, 0))
    return _slice(array, low, None if high >= 0 else high)


def _left(array: pa.Array, count: int) -> pa.Array:
    """The first characters; a negative count leaves that many off the end."""
    return _slice(array, 0, count)


def _right(array: pa.Array, count: int) -> pa.Array:
    """The last characters; a negative count leaves that many off the start."""
    if count == 0:
        return pa.array([""] * len(array), TEXT)
    return _slice(array, -count, None)


def _position(array: pa.Array, part: str) -> pa.Array:
    """The character at which the part first occurs, from 1; 0 = nowhere."""
    if not part:
        return pa.array(np.ones(len(array), dtype=np.int64))
    before = pc.list_element(pc.split_pattern(array, part, max_splits=1), 0)
    place = pc.add(pc.utf8_length(before), 1)
    return pc.if_else(pc.match_substring(array, part), place, 0).cast(pa.int64())


def _replace(array: pa.Array, part: str, other: str) -> pa.Array:
    """Every occurrence of a part replaced; an empty part is found nowhere."""
    if not part:
        return array
    check_replaced(array, other, lambda: pc.count_substring(array, part))
    return pc.replace_substring(array, part, other)


def check_replaced(
    array: pa.Array, other: str, count: Callable[[], pa.Array], copies: int = 0
) -> None:
    """OutOfMemoryError for replacements, `count` a row, that would make too much text.

    Each holds up to so many copies of what it replaces.
    """
    size, each = pc.sum(pc.binary_length(array)).as_py() or 0, len(other.encode())
    if size * (1 + copies) + (size + len(array)) * each > LARGEST:  # counted only if it may be
        check_size(size * (1 + copies) + (pc.sum(count()).as_py() or 0) * each)


def _repeat(array: pa.Array, count: int) -> pa.Array:
    """The text so many times; none for counts below one."""
    lengths = pc.binary_length(array).to_numpy()
    return _grown(
        array, lengths * float(max(count, 0)), lambda part: pc.binary_repeat(part, max(count, 0))
    )


def _grown(array: pa.Array, sizes: Any, apply: Apply) -> pa.Array:
    """What `apply` makes of the array, a block at a time; `sizes` are the results' bytes."""
    total = int(np.sum(sizes, dtype=np.float64))  # counts cannot overflow it
    check_size(total)
    if total <= BLOCK:
        return apply(array)
    if len(array) == 1:
        return in_helper(lambda: apply(array))
    blocks = block_ends(torch.from_numpy(np.cumsum(sizes).astype(np.int64)))
    return pa.concat_arrays(
        of_blocks(
            lambda start, stop: _one(apply(array.slice(start, stop - start))), blocks, lambda _: 0
        )
    )


def _split_part(array: pa.Array, separator: str, place: int) -> pa.Array:
    """The part at a place, from 1 or from -1 at the end; empty where there is none."""
    if not separator:  # every character is a part
        return _substring(array, place, 1) if place else pa.array([""] * len(array), TEXT)
    parts = pc.split_pattern(array, separator)
    offsets = parts.offsets.to_numpy().astype(np.int64)
    place = min(max(place, -FARTHEST), FARTHEST)
    starts, stops = offsets[:-1], offsets[1:]
    rows = starts + (place - 1) if place > 0 else stops + place
    inside = (rows >= starts) & (rows < stops) & (place != 0)
    return parts.values.take(pa.array(rows, mask=~inside)).fill_null("")


def _first_code(empty: int) -> Apply:
    """The code point of the first character; `empty` for empty text."""

    def apply(array: pa.Array) -> pa.Array:
        encoded = pc.utf8_slice_codeunits(array, 0, 1).dictionary_encode()
        codes = [ord(text) if text else empty for text in encoded.dictionary.to_pylist()]
        return pa.array(codes, pa.int32()).take(encoded.indices)

    return apply


def _padder(left: bool) -> Apply:
    """Padded at the start or the end, or cut, to a length."""

    def apply(array: pa.Array, length: int, pad: str) -> pa.Array:
        widest = len(pad.encode()) / max(len(pad), 1)  # bytes of a character of the padding
        own = pc.binary_length(array).to_numpy()
        sizes = own + max(length, 0) * widest
        return _grown(array, sizes, lambda part: _padded(part, max(length, 0), pad, left))

    return apply


def _padded(array: pa.Array, length: int, pad: str, left: bool) -> pa.Array:
    text = _left(array, length)
    missing = length - pc.utf8_length(text).to_numpy()
    times, rest = np.divmod(missing, max(len(pad), 1))
    sizes, places = np.unique(rest, return_inverse=True)
    ends = pa.array([pad[:size] for size in sizes.tolist()], TEXT)
    whole = pc.binary_repeat(pa.repeat(pa.scalar(pad, TEXT), len(array)), pa.array(times))
    padding = [whole, ends.take(pa.array(places.reshape(-1)))]
    parts = [*padding, text] if left else [text, *padding]
    return pc.binary_join_element_wise(*parts, pa.scalar("", TEXT))


def _checked_pad(apply: Apply) -> Kernel:
    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        empty = pc.equal(text_array(arguments[2]), "")
        if pc.any(empty).as_py():
            _refuse_empty_padding(arguments, empty, extent)
        return run_text(apply, arguments, call)

    run.__doc__ = apply.__doc__
    return run


def _refuse_empty_padding(arguments: Sequence[Column], empty: pa.Array, extent: Extent) -> None:
    lengths = pa.array(numpy_view(values_of(arguments[1])))
    short = pc.less(pc.utf8_length(text_array(arguments[0])), lengths)
    bad = flat_of_arrow(pc.and_(short, empty), Type(Kind.BOOLEAN))
    if extent.failing(bad.values) is not None:
        raise OutOfRangeError("the padding is empty; give at least one character to pad with")


def _upper(array: pa.Array) -> pa.Array:
    """In capitals."""
    return pc.utf8_upper(array)


def _trimmer(strip: Apply) -> Apply:
    def apply(array: pa.Array, characters: str = " ") -> pa.Array:
        return strip(array, characters) if characters else array

    return apply


upper = kernel(_upper)
lower = kernel(lambda array: pc.utf8_lower(array))
reverse = kernel(graphemes.reverse)
length = kernel(lambda array: pc.utf8_length(array))
strlen = kernel(lambda array: pc.binary_length(array))
trim = kernel(_trimmer(pc.utf8_trim))
ltrim = kernel(_trimmer(pc.utf8_ltrim))
rtrim = kernel(_trimmer(pc.utf8_rtrim))
substring = kernel(_substring)
left = kernel(_left)
right = kernel(_right)
replace = kernel(_replace)
position = kernel(_position)
starts_with = kernel(lambda array, part: pc.starts_with(array, part))
ends_with = kernel(lambda array, part: pc.ends_with(array, part))
contains = kernel(lambda array, part: pc.match_substring(array, part))
repeat = kernel(_repeat)
split_part = kernel(_split_part)
ascii = kernel(_first_code(0))
unicode = kernel(_first_code(-1))
lpad = _checked_pad(_padder(left=True))
rpad = _checked_pad(_padder(left=False))


def chr(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """The character of a code point."""
    (column,) = arguments
    codes = operand(column)
    row = extent.failing((codes < 0) | (codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000)))
    if row is not None:
        raise OutOfRangeError(f"{int(codes[row])} is not the code of a character")
    numbers, places = np.unique(numpy_view(codes), return_inverse=True)
    texts = [_character(number) for number in numbers.tolist()]
    return named(texts, places.reshape(-1))


def _character(number: int) -> str:
    exists = 0 <= number <= 0x10FFFF and not 0xD800 <= number < 0xE000
    return bytes([number]).decode() if number < 128 and exists else _wide_character(number, exists)


def _wide_character(number: int, exists: bool) -> str:
    return number.to_bytes(4, "little").decode("utf-32-le") if exists else ""


def append(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """||: two texts or blobs, one after the other."""
    if call.type.kind is Kind.NULL:
        return null_constant(call.type, extent.count, CPU)
    kind = arrow_type_of(call.type)
    parts = [_part(argument) for argument in arguments]
    empty = pa.scalar(b"" if call.type.kind is Kind.BLOB else "", kind)
    return bytes_of_arrow(pc.binary_join_element_wise(*parts, empty), call.type)


def _part(column: Column) -> Any:
    if isinstance(column, Constant):
        return pa.scalar(text_scalar(column), arrow_type_of(column.type))
    return text_array(column)


def concat(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """CONCAT: NULLs are left out."""
    parts = [_valid_text(argument)[0] for argument in arguments]
    return bytes_of_arrow(pc.binary_join_element_wise(*parts, pa.scalar("", TEXT)), VARCHAR)


def concat_ws(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
    """CONCAT_WS: NULLs are left out, a NULL separator gives NULL."""
    separator, empty = text_array(arguments[0]), pa.scalar("", TEXT)
    joined, started = _valid_text(arguments[1])
    for argument in arguments[2:]:
        text, valid = _valid_text(argument)
        between = pc.if_else(pc.and_(started, valid), separator, empty)
        joined = pc.binary_join_element_wise(joined, between, text, empty)
        started = pc.or_(started, valid)
    return with_validity(bytes_of_arrow(joined, VARCHAR), arguments[0].validity)


def _valid_text(column: Column) -> tuple[pa.Array, pa.Array]:
    """The text, empty where it is NULL, and where it is not."""
    array = text_array(column)
    valid = pa.array(numpy_view(present_rows(column)))
    return pc.if_else(valid, array, pa.scalar("", array.type)), valid
