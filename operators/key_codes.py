"""Key codes: rows as small integers that are equal exactly where their keys are.

The one primitive behind GROUP BY, joins, DISTINCT, set operations, windows and sorting. NaN =
NaN, -0.0 = 0.0, text by its UTF-8 bytes; NULL is either a value of its own or equal to nothing
(code -1). A range of integers costs a subtraction, a dictionary nothing; several columns are
digits of one number while that fits in 62 bits, else the number is replaced by its place among
the distinct ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.key_parts import Part, key_parts, nullable_parts, text_codes
from tensorsql.storage.column import Column, Dictionary, StringDictionary

LIMIT = 2**62  # sizes below it multiply and add without overflow checks


@dataclass(frozen=True)
class KeyCodes:
    """int64 code per row in 0 … size - 1, or -1 for a row equal to none."""

    codes: Tensor
    size: int


@dataclass(frozen=True)
class Groups:
    """Rows by group: int64 number per row, by first appearance, and each group's first row."""

    numbers: Tensor
    count: int
    first: Tensor


def key_codes(columns: Sequence[Column], nulls: Literal["group", "never"] = "group") -> KeyCodes:
    """Codes of the rows of at least one column."""
    return fit(columns, [nulls == "group"] * len(columns))[1]


def group_rows(columns: Sequence[Column], rows: int) -> Groups:
    """Number the distinct keys by first appearance; no columns = one group of all rows."""
    if not columns:
        first = torch.zeros(min(rows, 1), dtype=torch.int64)
        return Groups(torch.zeros(rows, dtype=torch.int64), min(rows, 1), first)
    return number_groups(key_codes(columns))


def number_groups(keys: KeyCodes) -> Groups:
    """Number the codes (none is -1) by first appearance."""
    rows = int(keys.codes.shape[0])
    if keys.size > 4 * rows + 1024:
        values, codes = torch.unique(keys.codes, return_inverse=True)
        keys = KeyCodes(codes, int(values.shape[0]))
    first = kernels.first_by(keys.codes, keys.size).index_select(0, keys.codes)
    opens = first == torch.arange(rows)  # the row is the first of its group
    numbers = (opens.cumsum(0) - 1).index_select(0, first)
    starts = kernels.nonzero(opens).to(torch.int64)
    return Groups(numbers, len(starts), starts)


@dataclass(frozen=True)
class RangeCoder:
    """Integers low … high become 0 … size - 1."""

    low: int
    size: int

    def encode(self, part: Part) -> Tensor:
        """Codes, -1 outside the range."""
        assert isinstance(part, Tensor)
        outside = (part < self.low) | (part > self.low + self.size - 1)
        return (part - self.low).masked_fill_(outside, -1)


@dataclass(frozen=True)
class SortedCoder:
    """Integers become their place among ascending distinct `values`."""

    values: Tensor

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(self.values.shape[0])

    def encode(self, part: Part) -> Tensor:
        """Codes, -1 for other values."""
        assert isinstance(part, Tensor)
        return kernels.find_sorted(part, self.values)


@dataclass(frozen=True)
class TextCoder:
    """Texts become their place in `values`; a dictionary's entries are looked up once."""

    values: pa.LargeBinaryArray
    known: dict[int, tuple[StringDictionary, Tensor]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[object, ...]:
        return TextCoder, (self.values,)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def encode(self, part: Part) -> Tensor:
        """Codes, -1 for other texts."""
        assert not isinstance(part, Tensor)
        if isinstance(part, Dictionary):
            lookup = self._entries(part.dictionary)
            return lookup.index_select(0, part.codes) if len(lookup) else part.codes - 1
        found = text_codes(part, ordered=False)
        return self._places(found.values).index_select(0, found.codes)

    def _entries(self, dictionary: StringDictionary) -> Tensor:
        if id(dictionary) not in self.known:
            places = self._places(dictionary.entries.cast(pa.large_binary()))
            self.known[id(dictionary)] = (dictionary, places)
        return self.known[id(dictionary)][1]

    def _places(self, values: pa.LargeBinaryArray) -> Tensor:
        found = pc.index_in(values, self.values).fill_null(-1)
        return torch.from_numpy(found.to_numpy(zero_copy_only=False).astype("int64"))


Coder = RangeCoder | SortedCoder | TextCoder


def code_part(part: Part, ordered: bool = False) -> tuple[Coder, Tensor]:
    """The coder of a part's values and their codes, which order like them if `ordered`."""
    if not isinstance(part, Tensor):
        found = text_codes(part, ordered)
        return TextCoder(found.values), found.codes
    if int(part.shape[0]) == 0:
        return RangeCoder(0, 1), part
    low, high = kernels.bounds(part)
    if high - low + 2 >= LIMIT:
        return _code_sparse(part)
    return RangeCoder(low, high - low + 1), part - low if low else part


def _code_sparse(codes: Tensor) -> tuple[SortedCoder, Tensor]:
    values, places = torch.unique(codes, return_inverse=True)
    return SortedCoder(values), places


@dataclass(frozen=True)
class Digit:
    """One part of a key: its coder, a recoding when it is too wide, and whether NULL has a code."""

    coder: Coder
    nullable: bool
    recode_prefix: SortedCoder | None = None  # of the digits before it, when they would not fit
    recode: SortedCoder | None = None

    @property
    def size(self) -> int:
        """How many codes it has, NULL's included."""
        return self.coder.size + self.nullable if self.recode is None else self.recode.size


@dataclass(frozen=True)
class KeyEncoder:
    """Codes fitted to some rows (a join's build side), for others (its probe side)."""

    digits: tuple[Digit, ...]
    null_equal: tuple[bool, ...]
    final: SortedCoder | None = None  # makes the codes dense

    def encode(self, columns: Sequence[Column]) -> Tensor:
        """int64 codes of other rows, -1 where no fitted row has the same key."""
        parts = _flatten(columns, self.null_equal)
        codes: Tensor | None = None
        missing = _never_equal(columns, self.null_equal)
        for digit, (part, validity) in zip(self.digits, parts, strict=True):
            found = _encode_digit(digit, part, validity)
            missing = _either(missing, found < 0)
            if digit.recode_prefix is not None and codes is not None:
                codes = digit.recode_prefix.encode(codes)
                missing = _either(missing, codes < 0)
            codes = found if codes is None else codes * digit.size + found
        assert codes is not None
        if self.final is not None:
            codes = self.final.encode(codes)
        return codes if missing is None else codes.masked_fill(missing, -1)


def _encode_digit(digit: Digit, part: Part, validity: Tensor | None) -> Tensor:
    found = digit.coder.encode(part)
    if validity is not None:
        found = found.masked_fill(~validity, digit.coder.size if digit.nullable else -1)
    return found if digit.recode is None else digit.recode.encode(found)


def fit(columns: Sequence[Column], null_equal: Sequence[bool]) -> tuple[KeyEncoder, KeyCodes]:
    """An encoder for these rows' keys and their own codes; `null_equal` says per column."""
    digits: list[Digit] = []
    codes, size = torch.zeros(0, dtype=torch.int64), 1
    for part, validity in _flatten(columns, null_equal):
        digit, own = _fit_digit(part, validity)
        if digits and size * digit.size >= LIMIT:
            prefix, codes = _code_sparse(codes)
            digit, size = replace(digit, recode_prefix=prefix), prefix.size
            if size * digit.size >= LIMIT:
                recode, own = _code_sparse(own)
                digit = replace(digit, recode=recode)
        codes = codes * digit.size + own if digits else own
        size *= digit.size
        digits.append(digit)
    missing = _never_equal(columns, null_equal)
    if missing is not None:
        codes = codes.masked_fill(missing, -1)
    return KeyEncoder(tuple(digits), tuple(null_equal)), KeyCodes(codes, size)


def fit_dense(columns: Sequence[Column], null_equal: Sequence[bool]) -> tuple[KeyEncoder, KeyCodes]:
    """As `fit`, with a size of at most a few times the number of rows, for direct tables."""
    encoder, keys = fit(columns, null_equal)
    if keys.size <= 8 * int(keys.codes.shape[0]) + 65536:
        return encoder, keys
    values, places = torch.unique(keys.codes, return_inverse=True)
    unmatched = int(values[0] < 0)
    final = SortedCoder(values[unmatched:])
    return replace(encoder, final=final), KeyCodes(places - unmatched, max(final.size, 1))


def _fit_digit(part: Part, validity: Tensor | None) -> tuple[Digit, Tensor]:
    coder, codes = code_part(part)
    if validity is None:
        return Digit(coder, nullable=False), codes
    return Digit(coder, nullable=True), codes.masked_fill(~validity, coder.size)


def _flatten(
    columns: Sequence[Column], null_equal: Sequence[bool]
) -> list[tuple[Part, Tensor | None]]:
    """All parts; a single-part column's comes with the validity that NULL's own code needs."""
    flat: list[tuple[Part, Tensor | None]] = []
    for column, equal in zip(columns, null_equal, strict=True):
        parts = key_parts(column)
        if len(parts) == 1:
            flat.append((parts[0], column.validity if equal else None))
        else:
            flat.extend((part, None) for part in (nullable_parts(column) if equal else parts))
    return flat


def _never_equal(columns: Sequence[Column], null_equal: Sequence[bool]) -> Tensor | None:
    missing: Tensor | None = None
    for column, equal in zip(columns, null_equal, strict=True):
        if not equal and column.validity is not None:
            missing = _either(missing, ~column.validity)
    return missing


def _either(first: Tensor | None, second: Tensor) -> Tensor:
    return second if first is None else first | second
