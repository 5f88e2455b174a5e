"""Values as text for CSV and JSON, such as reads back as the same value. Torch-free."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type

from tensorsql.errors import OutOfRangeError, UnsupportedError

TEXT = pa.large_string()


def text_of(array: pa.Array, column: str) -> pa.Array:
    """The values of one column as text, NULL as NULL.

    UnsupportedError that names the column for a type without a text that reads back.
    """
    type = array.type
    if is_type.is_dictionary(type):
        return array.dictionary_decode().cast(TEXT)
    if is_type.is_boolean(type) or is_type.is_integer(type) or is_type.is_null(type):
        return array.cast(TEXT)
    if is_type.is_string(type) or is_type.is_large_string(type):
        return array.cast(TEXT)
    if is_type.is_floating(type):
        return pc.replace_substring_regex(array.cast(TEXT), r"^(-?[0-9]+)$", r"\1.0")
    if is_type.is_decimal128(type):
        return _decimals(array)
    if is_type.is_date32(type) or is_type.is_timestamp(type) or is_type.is_time64(type):
        return _moments(array, column)
    raise UnsupportedError(
        f'column "{column}" of Arrow type {type} has no text that could be read back; leave it '
        f'out, as in COPY (SELECT * EXCLUDE ("{column}") FROM …) TO …, or write Parquet'
    )


def _decimals(array: pa.Array) -> pa.Array:
    """Arrow writes small ones as 1E-10, so the point is put into the text of the whole number."""
    scale = array.type.scale
    whole = pa.Array.from_buffers(
        pa.decimal128(38, 0), len(array), array.buffers(), offset=array.offset
    )
    digits = whole.cast(TEXT)
    if scale == 0:
        return digits
    size = pc.utf8_lpad(pc.utf8_ltrim(digits, characters="-"), scale + 1, "0")
    sign = pc.if_else(pc.starts_with(digits, "-"), pa.scalar("-", TEXT), pa.scalar("", TEXT))
    point = pc.replace_substring_regex(size, f"([0-9]{{{scale}}})$", r".\1")
    return pc.binary_join_element_wise(sign, point, pa.scalar("", TEXT))


def _moments(array: pa.Array, column: str) -> pa.Array:
    if not is_type.is_time64(array.type) and len(array) > array.null_count:
        ends = (dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999))
        low, high = (pa.scalar(end).cast(array.type, safe=False) for end in ends)
        inside = pc.and_(pc.greater_equal(array, low), pc.less_equal(array, high))
        if not pc.all(inside).as_py():
            raise OutOfRangeError(
                f'column "{column}" has a {array.type} outside the years 1 to 9999, '
                "for which there is no text that could be read back; write Parquet"
            )
    text = array.cast(TEXT)
    if is_type.is_date32(array.type):
        return text
    return pc.replace_substring_regex(text, r"\.?0*$", "") if _has_point(text) else text


def _has_point(text: pa.Array) -> bool:
    present = text.drop_null()
    return len(present) > 0 and "." in present[0].as_py()


def quoted(text: pa.Array, flags: np.ndarray | pa.Array, quote: str, escape: str) -> pa.Array:
    """The text in quotes where a flag is set, quotes inside it escaped."""
    inner = text
    if escape != quote:
        inner = pc.replace_substring(inner, escape, escape + escape)
    inner = pc.replace_substring(inner, quote, escape + quote)
    mark = pa.scalar(quote, TEXT)
    wrapped = pc.binary_join_element_wise(mark, inner, mark, pa.scalar("", TEXT))
    return pc.if_else(flags, wrapped, text)


def concatenated(parts: list[pa.Array | pa.Scalar], separator: str) -> pa.Array:
    """Row by row, the parts with the separator between them."""
    return pc.binary_join_element_wise(*parts, pa.scalar(separator, TEXT))


def lines(rows: pa.Array) -> pa.Buffer:
    """Text rows, each with a line feed behind it, as bytes."""
    ended = pc.binary_join_element_wise(rows, pa.scalar("\n", TEXT), pa.scalar("", TEXT))
    ends = np.frombuffer(ended.buffers()[1], np.int64, len(ended) + 1, ended.offset * 8)
    return ended.buffers()[2].slice(int(ends[0]), int(ends[-1] - ends[0]))
