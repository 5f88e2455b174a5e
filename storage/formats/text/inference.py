"""Types of text: what a column of text is read as, and whether that keeps every value. Torch-free.

The one rule: **what would change its text on the way back is text**. A column gets the first of
these types whose every value would be written again as it stands.

| type | the text that counts |
|---|---|
| BOOLEAN | true, false, in any case |
| BIGINT, HUGEINT | an integer as it is written: no plus, no zeros in front |
| DOUBLE | a decimal number, nan, inf; integers among them only if a double holds them exactly |
| DATE | 2020-01-31 |
| TIME, TIMESTAMP | 10:11, 10:11:12, 10:11:12.5; a T or a blank after the date; 6 digits at most |
| UUID (JSON only) | in lower case |

Blanks around a number, zeros at the end of a fraction and what 1e3 says otherwise do not count.

DuckDB reads the same types with these exceptions, all of which it converts and we keep as text:
`yes`, `no`, `t` and `f`; `0x10`; integers beyond 38 digits; `1e400`; integers beyond 2^53 in a
column with fractions; dates such as `01/02/2020`, `2020/01/02`, `2020-1-5`, `epoch` and `infinity`;
years before 1 and after 9999; `24:00`; times with a zone; more than six digits of a second that are
not zero. A quoted empty field of CSV is an empty text to us, and NULL to DuckDB (for us as well if
`allow_quoted_nulls` is set, and in columns of other types); the first row of a CSV file names the
columns only if none of its fields is empty or a number where no type tells; rows of CSV that are
too long or too short are errors; JSON's integers beyond 64 bits are HUGEINT and never DOUBLE, and
where it has a JSON or MAP type we have text.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type

from tensorsql.cancellation import check_cancelled

Text: TypeAlias = pa.ChunkedArray
Reading: TypeAlias = Callable[[Text], pa.ChunkedArray]

SAMPLE = 1000
EXACT = 2.0**53
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6}0*)?)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_NUMBER = r"-?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?"
_NAMED = r"(?i:[+-]?(inf|infinity)|nan)"


class _Other(ValueError):
    """The text is something else."""


def infer(text: Text, readings: Sequence[Reading]) -> pa.ChunkedArray:
    """The text as the first type that keeps every value, or as it is; NULLs count for nothing."""
    present = text.drop_null()
    if not len(present):
        return text
    sample = present.slice(0, SAMPLE)
    for reading in readings:
        for form in (_as_it_is, _trimmed):
            try:
                reading(form(sample))
                return reading(form(text))
            except (_Other, pa.ArrowInvalid):
                continue
    return text


def is_text(type: pa.DataType) -> bool:
    """Whether a column is still text."""
    return bool(is_type.is_large_string(type) or is_type.is_string(type))


def _as_it_is(text: Text) -> Text:
    return text


def _trimmed(text: Text) -> Text:
    return pc.utf8_trim(text, characters=" \t")


def _require(flags: pa.ChunkedArray) -> None:
    check_cancelled()
    if pc.all(flags).as_py() is False:
        raise _Other


def _match(text: Text, pattern: str) -> pa.ChunkedArray:
    return pc.match_substring_regex(text, f"^({pattern})$")


def boolean(text: Text) -> pa.ChunkedArray:
    """BOOLEAN."""
    _require(_match(text, "(?i:true|false)"))
    return pc.equal(pc.utf8_lower(text), pa.scalar("true", text.type))


def integer(text: Text) -> pa.ChunkedArray:
    """BIGINT, or HUGEINT if one is longer."""
    try:
        values = text.cast(pa.int64())
    except pa.ArrowInvalid:
        _require(_match(text, "0|-?[1-9][0-9]{0,37}"))
        return text.cast(pa.decimal128(38, 0))
    _require(pc.equal(values.cast(text.type), text))
    return values


def double(text: Text) -> pa.ChunkedArray:
    """DOUBLE."""
    named = _match(text, _NAMED)
    _require(pc.or_(named, _match(text, _NUMBER)))
    values = text.cast(pa.float64())
    _require(pc.or_(named, pc.is_finite(values)))
    lost = pc.and_(pc.equal(values, 0.0), pc.match_substring_regex(text, "^[^eE]*[1-9]"))
    _require(pc.invert(lost))
    large = pc.and_(pc.greater_equal(pc.abs(values), EXACT), _match(text, "-?[0-9]+"))
    integers, doubles = text.filter(large), values.filter(large)
    if len(integers) == len(values) - values.null_count > 0:
        raise _Other  # integers too long for HUGEINT
    if len(integers):
        pairs = zip(integers.to_pylist(), doubles.to_pylist(), strict=True)
        if not all(int(digits) == int(value) for digits, value in pairs):
            raise _Other
    return values


def day(text: Text) -> pa.ChunkedArray:
    """DATE."""
    _require(_match(text, _DATE))
    return _from_year_one(text.cast(pa.date32()))


def clock(text: Text) -> pa.ChunkedArray:
    """TIME."""
    _require(_match(text, _CLOCK))
    epoch = pa.scalar("1970-01-01", text.type)
    whole = pc.binary_join_element_wise(epoch, _six_digits(text), pa.scalar(" ", text.type))
    return whole.cast(pa.timestamp("us")).cast(pa.time64("us"))


def moment(text: Text) -> pa.ChunkedArray:
    """TIMESTAMP."""
    _require(_match(text, f"{_DATE}[ T]{_CLOCK}"))
    return _from_year_one(_six_digits(text).cast(pa.timestamp("us")))


def uuid(text: Text) -> pa.ChunkedArray:
    """UUID, whose 16 bytes it gives."""
    _require(_match(text, "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"))
    digits = pc.replace_substring(text, "-", "").combine_chunks()
    whole = pa.concat_arrays(digits.chunks) if isinstance(digits, pa.ChunkedArray) else digits
    raw = [None if value is None else bytes.fromhex(value) for value in whole.to_pylist()]
    return pa.chunked_array([pa.array(raw, pa.uuid().storage_type).cast(pa.uuid())])


def _six_digits(text: Text) -> Text:
    return pc.replace_substring_regex(text, r"(\.[0-9]{6})0+$", r"\1")


def _from_year_one(values: pa.ChunkedArray) -> pa.ChunkedArray:
    _require(pc.greater_equal(values, pa.scalar(date(1, 1, 1)).cast(values.type)))
    return values


CSV: tuple[Reading, ...] = (boolean, integer, double, clock, day, moment)
JSON: tuple[Reading, ...] = (clock, day, moment, uuid)
