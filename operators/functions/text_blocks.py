"""Much text a block of rows at a time: a query that is cancelled ends between two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled, in_helper
from tensorsql.errors import OutOfMemoryError
from tensorsql.operators.functions.registry import Extent, Kernel
from tensorsql.planner.plans.expressions import Call, Literal
from tensorsql.storage.columns.column import Bytes, Column, Constant, Dictionary, List, slice_column
from tensorsql.storage.columns.concat import concat
from tensorsql.storage.columns.types import Kind, Type

BLOCK = 1 << 22  # bytes
LONG = 1 << 25  # bytes that are worth a thread, which a cancelled query leaves behind
LARGEST = 1 << 30  # bytes of text that a function makes of one batch
Made = TypeVar("Made")


def in_blocks(kernel: Kernel, call: Call) -> Kernel:
    """The kernel, a block at a time where its texts are long; as it is where it has none."""
    makes_text = _is_text(call.type)
    varying = any(_is_text(arg.type) for arg in call.args if not isinstance(arg, Literal))
    if call.function.lazy or not (varying or makes_text):
        return kernel

    def run(arguments: Sequence[Column], call: Call, extent: Extent) -> Column:
        total = _total(arguments, makes_text)
        if total <= BLOCK or extent.count < 2:
            return _apart(kernel, total, arguments, call, extent)
        ends = _ends(arguments, extent.count, makes_text)

        def block(start: int, stop: int) -> Column:
            active = None if extent.active is None else extent.active[start:stop]
            own = Extent(stop - start, active, extent.context, extent.proven)
            parts = [slice_column(each, start, stop) for each in arguments]
            return _apart(kernel, _total(parts, makes_text), parts, call, own)

        return concat(of_blocks(block, ends, _size))

    return run


def _apart(
    kernel: Kernel, total: int, arguments: Sequence[Column], call: Call, extent: Extent
) -> Column:
    """The kernel's column; of a text that is long in itself, on a thread that can be left."""
    if total <= LONG:
        return kernel(arguments, call, extent)
    return in_helper(lambda: kernel(arguments, call, extent))


def of_blocks(
    make: Callable[[int, int], Made], ends: Sequence[int], size: Callable[[Made], int]
) -> list[Made]:
    """What `make` makes of each block's first row and end; OutOfMemoryError beyond LARGEST."""
    made: list[Made] = []
    total = 0
    for start, stop in pairwise((0, *ends)):
        check_cancelled()
        made.append(make(start, stop))
        total += size(made[-1])
        check_size(total)
    return made


def block_ends(weights: Tensor) -> list[int]:
    """The row behind each block of about BLOCK bytes; `weights` are those of the rows so far."""
    count, total = len(weights), int(weights[-1])
    marks = weights.new_tensor(range(BLOCK, total, BLOCK))
    ends = torch.searchsorted(weights, marks) + 1
    return [*torch.unique_consecutive(ends[ends < count]).tolist(), count]


def check_size(size: int) -> None:
    """OutOfMemoryError for more text than a batch may have."""
    if size > LARGEST:
        raise OutOfMemoryError(
            f"the texts would have at least {size:,} bytes, more than the {LARGEST:,} that a"
            " function may make of one batch of rows; make shorter texts, or SET morsel_size to"
            " fewer rows"
        )


def _is_text(type: Type) -> bool:
    inside = type.child is not None and _is_text(type.child)
    return type.is_text or type.kind is Kind.BLOB or inside


def _total(arguments: Sequence[Column], makes_text: bool) -> int:
    """The bytes of the texts that a kernel reads.

    Those that rows share are read once, unless the kernel makes others of them for each row.
    """
    return sum(_size(each) for each in arguments if makes_text or isinstance(each, Bytes | List))


def _ends(arguments: Sequence[Column], count: int, makes_text: bool) -> list[int]:
    """The row behind each block of at least two rows."""
    own = [each for each in arguments if isinstance(each, Bytes)]
    others = [each for each in arguments if not isinstance(each, Bytes)]
    shared = _total(others, makes_text)
    if not own:
        return [*range(step := max(BLOCK * count // shared, 1), count, step), count]
    weights = sum(
        (each.offsets[1:] - each.offsets[0] for each in own), own[0].offsets.new_zeros(())
    )
    if shared:
        rows = torch.arange(1, count + 1, device=weights.device)
        weights = weights + rows * shared // count
    return block_ends(weights)


def _size(column: Column) -> int:
    """The bytes of all its texts; as many for each row where they are shared."""
    match column:
        case Bytes():
            return int(column.offsets[-1] - column.offsets[0])
        case Constant():
            return _size(column.one) * column.length
        case Dictionary():
            entries = column.dictionary.entries
            return int(entries.nbytes) * len(column) // max(len(entries), 1)
        case List():
            start, stop = int(column.offsets[0]), int(column.offsets[-1])
            return _size(slice_column(column.child, start, stop))
    return 0
