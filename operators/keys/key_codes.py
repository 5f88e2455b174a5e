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
from functools import cached_property
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.keys.key_parts import Part, key_parts, nullable_parts, text_codes
from tensorsql.storage.columns.arrow import tensor_of
from tensorsql.storage.columns.column import Column, Dictionary, StringDictionary, device_of

LIMIT = 2**62  # sizes below it multiply and add without overflow checks


@dataclass(frozen=True)
class KeyCodes:
    """int64 code per row in 0 … size - 1, or -1 for a row equal to none."""

    codes: Tensor
    size: int


@dataclass(frozen=True)
class Groups:
    """Rows by group: int64 number per row, by first appearance, and each group's first row.

    `ordered`: the numbers ascend, each group's rows lie together.
    """

    numbers: Tensor
    count: int
    first: Tensor
    ordered: bool = False

    @staticmethod
    def single(rows: int, device: torch.device) -> Groups:
        """Every row a group of its own."""
        numbers = torch.arange(rows, device=device)
        return Groups(numbers, rows, numbers, ordered=True)

    @staticmethod
    def whole(rows: int, device: torch.device) -> Groups:
        """One group of all rows, even of none."""
        numbers = torch.zeros(rows, dtype=torch.int64, device=device)
        return Groups(numbers, 1, numbers[:1], ordered=True)


def key_codes(columns: Sequence[Column], nulls: Literal["group", "never"] = "group") -> KeyCodes:
    """Codes of the rows of at least one column."""
    return fit(columns, [nulls == "group"] * len(columns))[1]


def group_rows(columns: Sequence[Column]) -> Groups:
    """Number the distinct keys, of at least one column, by first appearance."""
    return number_groups(key_codes(columns))


def number_groups(keys: KeyCodes) -> Groups:
    """Number the codes (none is -1) by first appearance."""
    codes, size = keys.codes, keys.size
    rows = int(codes.shape[0])
    if kernels.ascending(codes):
        starts = kernels.run_starts(codes).to(torch.int64)
        return Groups(kernels.run_numbers(starts, rows), int(starts.shape[0]), starts, ordered=True)
    if size > 4 * rows + 1024:
        values, codes = kernels.distinct(codes)
        size = int(values.shape[0])
    first = kernels.first_by(codes, size)
    opens = first.new_zeros(rows + 1, dtype=torch.bool)
    kernels.mark(opens, first)
    starts = kernels.nonzero(opens[:rows]).to(torch.int64)
    count = int(starts.shape[0])
    numbers = first.new_zeros(size)
    own = torch.arange(count, device=first.device)
    kernels.write(numbers, codes.index_select(0, starts), own)
    return Groups(numbers.index_select(0, codes), count, starts)


@dataclass(frozen=True)
class RangeCoder:
    """Integers low … high become 0 … size - 1."""

    low: int
    size: int

    def encode(self, part: Part) -> Tensor:
        """Codes, `size` outside the range."""
        assert isinstance(part, Tensor)
        return kernels.places(part, self.low, self.size)


@dataclass(frozen=True)
class DistinctCoder:
    """Integers become their place among ascending distinct `values`, found by hashing."""

    values: Tensor

    @property
    def size(self) -> int:
        """How many values there are."""
        return int(self.values.shape[0])

    def encode(self, part: Part) -> Tensor:
        """Codes, `size` for other values."""
        assert isinstance(part, Tensor)
        if self.size == 0:
            return part.new_zeros(part.shape, dtype=torch.int32)
        return self._table.find(part.to(torch.int64))

    @cached_property
    def _table(self) -> HashTable:
        return HashTable(self.values)


class HashTable:
    """Places of distinct int64 values (at least one), in buckets of a few each.

    Values lie sorted by bucket. A search is rounds over all values at once instead of a loop per
    value: the first of each bucket, then the second for those not found yet, … to the longest one.
    """

    def __init__(self, values: Tensor) -> None:
        self.size = int(values.shape[0])
        self.bits = min(max(self.size, 8).bit_length() + 1, 31)
        buckets = kernels.hashes(values, self.bits)
        self.order = kernels.argsort(buckets).to(torch.int32)
        self.values = values.index_select(0, self.order)
        counts = kernels.count_by(buckets, 1 << self.bits)
        self.longest = int(counts.max())
        # An empty bucket leads to the next one's value, which cannot be equal.
        self.starts = (torch.cumsum(counts, 0) - counts).clamp_(max=self.size - 1).to(torch.int32)

    def find(self, asked: Tensor) -> Tensor:
        """int32 place of each value, `size` where it is not there."""
        place = self.starts.index_select(0, kernels.hashes(asked, self.bits))
        hit = self.values.index_select(0, place) == asked
        places = self.order.index_select(0, place).masked_fill_(~hit, self.size)
        for _ in range(1, self.longest):
            rest = kernels.nonzero(places == self.size)
            if int(rest.shape[0]) == 0:
                break
            place = (place + 1).clamp_(max=self.size - 1)
            near, value = place.index_select(0, rest), asked.index_select(0, rest)
            hit = self.values.index_select(0, near) == value
            own = self.order.index_select(0, near).masked_fill_(~hit, self.size)
            kernels.write(places, rest, own)
        return places


@dataclass(frozen=True)
class TextCoder:
    """Texts become their place in `values`; a dictionary's entries are looked up once."""

    values: pa.LargeBinaryArray
    entry_places: dict[int, tuple[StringDictionary, Tensor]] = field(default_factory=dict)

    def __reduce__(self) -> tuple[object, ...]:
        return TextCoder, (self.values,)

    @property
    def size(self) -> int:
        """How many values there are."""
        return len(self.values)

    def encode(self, part: Part) -> Tensor:
        """Codes, `size` for other texts."""
        assert not isinstance(part, Tensor)
        if isinstance(part, Dictionary):
            lookup = self._entries(part.dictionary)
            if not len(lookup):
                return torch.full_like(part.codes, self.size)
            return lookup.to(part.codes.device).index_select(0, part.codes)
        texts = text_codes(part, ordered=False)
        return self._places(texts.values).to(texts.codes.device).index_select(0, texts.codes)

    def _entries(self, dictionary: StringDictionary) -> Tensor:
        if id(dictionary) not in self.entry_places:
            places = self._places(dictionary.entries.cast(pa.large_binary()))
            self.entry_places[id(dictionary)] = (dictionary, places)
        return self.entry_places[id(dictionary)][1]

    def _places(self, values: pa.LargeBinaryArray) -> Tensor:
        places = pc.index_in(values, self.values).fill_null(self.size)
        return tensor_of(places)


Coder = RangeCoder | DistinctCoder | TextCoder


def code_part(part: Part, ordered: bool = False) -> tuple[Coder, Tensor]:
    """The coder of a part's values and their codes, which order like them if `ordered`."""
    if not isinstance(part, Tensor):
        texts = text_codes(part, ordered)
        return TextCoder(texts.values), texts.codes
    if int(part.shape[0]) == 0:
        return RangeCoder(0, 1), part.to(torch.int64)
    low, high = kernels.bounds(part)
    part = part.to(torch.int64)
    if high - low + 2 >= LIMIT:
        return _code_sparse(part)
    return RangeCoder(low, high - low + 1), part - low if low else part


def _code_sparse(codes: Tensor) -> tuple[DistinctCoder, Tensor]:
    values, places = kernels.distinct(codes)
    return DistinctCoder(values), places


@dataclass(frozen=True)
class Digit:
    """One part of a key: its coder, a recoding when it is too wide, and whether NULL has a code."""

    coder: Coder
    nullable: bool
    recode_prefix: DistinctCoder | None = None  # of the digits before it, when they would not fit
    recode: DistinctCoder | None = None

    @property
    def size(self) -> int:
        """How many codes it has, NULL's included."""
        return self.coder.size + self.nullable if self.recode is None else self.recode.size


@dataclass(frozen=True)
class KeyEncoder:
    """Codes fitted to some rows (a join's build side), for others (its probe side)."""

    digits: tuple[Digit, ...]
    null_equal: tuple[bool, ...]
    size: int
    final: DistinctCoder | None = None  # makes the codes dense

    def encode(self, columns: Sequence[Column]) -> Tensor:
        """int32 or int64 codes of other rows, `size` where no fitted row can have the same key."""
        parts = _flatten(columns, self.null_equal)
        missing = _never_equal(columns, self.null_equal)
        if len(self.digits) == 1 and self.final is None:
            (digit,), ((part, validity),) = self.digits, parts
            codes = _encode_digit(digit, part, validity)
            return codes if missing is None else codes.masked_fill(missing, self.size)
        codes, outside = self._combined(parts)
        missing = outside if missing is None else outside | missing
        if self.final is not None:
            codes = self.final.encode(codes)
        return codes.masked_fill_(missing, self.size)

    def _combined(self, parts: Sequence[tuple[Part, Tensor | None]]) -> tuple[Tensor, Tensor]:
        """int64 codes of several digits, and the rows in which one of them is missing."""
        codes: Tensor | None = None
        missing: Tensor | None = None
        for digit, (part, validity) in zip(self.digits, parts, strict=True):
            own = _encode_digit(digit, part, validity)
            missing = _either(missing, own == digit.size)
            if digit.recode_prefix is not None and codes is not None:
                codes = digit.recode_prefix.encode(codes)
                missing = _either(missing, codes == digit.recode_prefix.size)
            own = own.to(torch.int64)
            codes = own if codes is None else codes.to(torch.int64) * digit.size + own
        assert codes is not None
        assert missing is not None
        return codes, missing


def _encode_digit(digit: Digit, part: Part, validity: Tensor | None) -> Tensor:
    """Codes, the digit's size where no fitted row has the value."""
    codes = digit.coder.encode(part)
    if digit.nullable:  # the code after the values' is NULL's own
        codes = codes.masked_fill(codes == digit.coder.size, digit.coder.size + 1)
    if validity is not None:
        codes = codes.masked_fill(~validity, digit.coder.size)
    return codes if digit.recode is None else digit.recode.encode(codes.to(torch.int64))


def fit(columns: Sequence[Column], null_equal: Sequence[bool]) -> tuple[KeyEncoder, KeyCodes]:
    """An encoder for these rows' keys and their own codes; `null_equal` says per column.

    A code is a number of mixed radix, a digit per part. Before a digit that would not fit, the
    digits so far are replaced by their place among those that occur, of which there are at most as
    many as rows; if that is still too much, so is the digit itself.
    """
    digits: list[Digit] = []
    codes, size = torch.zeros(0, dtype=torch.int64, device=device_of(columns[0])), 1
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
    return KeyEncoder(tuple(digits), tuple(null_equal), size), KeyCodes(codes, size)


def fit_dense(
    columns: Sequence[Column], null_equal: Sequence[bool], limit: int
) -> tuple[KeyEncoder, KeyCodes]:
    """As `fit`, with codes of a size up to `limit` left as they are and others made dense."""
    encoder, keys = fit(columns, null_equal)
    if keys.size <= limit:
        return encoder, keys
    values, places = kernels.distinct(keys.codes)
    unmatched = int(values[:1].lt(0).sum())
    final = DistinctCoder(values[unmatched:])
    return replace(encoder, final=final, size=final.size), KeyCodes(places - unmatched, final.size)


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
