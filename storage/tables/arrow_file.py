"""Segments on disk: Arrow IPC files of one record batch, checked as they are read. Torch-free.

Messages and footer are checked before Arrow parses them. Of a column everything that says where
something lies (validity, offsets, codes, dictionary, text) is checked and validated when it is
first asked for; its values are checked by the rows that are read.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.types as is_type
from numpy.typing import NDArray

from tensorsql.storage.files.checked_file import CheckedFile

MAGIC = 8  # bytes before the first message
PREFIX = 8  # bytes before a message's metadata: a marker, and how long it is

Span = tuple[pa.Buffer, int, int]  # bytes of a buffer


def open_batch(file: CheckedFile) -> pa.RecordBatch:
    """The record batch in a file; CorruptError if its metadata are not as they were written."""
    try:
        _check_messages(file)
        return pa.ipc.open_file(file.buffer).get_batch(0)
    except (pa.ArrowException, OSError, ValueError, IndexError) as error:
        raise file.damaged(f"it cannot be read: {error}") from None


def check_structure(file: CheckedFile, array: pa.Array, part: str) -> None:
    """Check and validate all that says where something lies, so that no read leaves the array."""
    try:
        file.check_size()
        for buffer, start, stop in _structure(array):
            file.compare_buffer(buffer, start, stop, part)
        array.validate()
        _validate(array)
    except (pa.ArrowException, ValueError) as error:
        raise file.damaged(str(error), part) from None


def check_rows(file: CheckedFile, array: pa.Array, rows: slice, part: str) -> None:
    """Check the values of rows start … stop - 1 of an array whose structure was checked."""
    file.check_size()
    for buffer, start, stop in _values(array, rows.start, rows.stop):
        file.compare_buffer(buffer, start, stop, part)


def _check_messages(file: CheckedFile) -> None:
    position = MAGIC
    while True:
        file.check(position - MAGIC, position + PREFIX)
        _, length = file.bytes[position : position + PREFIX].view(np.int32).tolist()
        if length <= 0:  # the end of the messages: the footer follows
            file.check(position)
            return
        file.check(position, position + PREFIX + length)
        message = pa.ipc.read_message(pa.BufferReader(file.buffer.slice(position)))
        position += PREFIX + length + (message.body.size if message.body else 0)


def _structure(array: pa.Array) -> Iterator[Span]:
    """Validity, offsets, codes, and text with its dictionary."""
    buffers = array.buffers()
    parts = [buffers[0]]
    if is_type.is_dictionary(array.type):
        parts.append(buffers[1])
        yield from _structure(array.dictionary)
    elif is_type.is_large_string(array.type):
        parts += buffers[1:3]
    elif _has_offsets(array.type):
        parts.append(buffers[1])
    for child in _children(array):
        yield from _structure(child)
    yield from ((buffer, 0, buffer.size) for buffer in parts if buffer is not None)


def _values(array: pa.Array, start: int, stop: int) -> Iterator[Span]:
    """Where the values of some rows lie."""
    if start >= stop or is_type.is_dictionary(array.type) or is_type.is_large_string(array.type):
        return
    if is_type.is_struct(array.type):
        for child in _children(array):
            yield from _values(child, start, stop)
    elif is_type.is_fixed_size_list(array.type):
        size = array.type.list_size
        yield from _values(
            array.values, (array.offset + start) * size, (array.offset + stop) * size
        )
    elif _has_offsets(array.type):
        first, last = (int(_offsets(array)[place]) for place in (start, stop))
        if is_type.is_large_list(array.type):
            yield from _values(array.values, first, last)
        elif array.buffers()[2] is not None:
            yield array.buffers()[2], first, last
    elif array.buffers()[1] is not None:
        width = array.type.bit_width // 8
        yield array.buffers()[1], (array.offset + start) * width, (array.offset + stop) * width


def _validate(array: pa.Array) -> None:
    """ValueError where an offset or code points outside, or text is no UTF-8."""
    if is_type.is_dictionary(array.type):
        _validate(array.dictionary)
        _validate_codes(array)
    elif is_type.is_large_string(array.type):
        array.validate(full=True)
    elif _has_offsets(array.type):
        offsets = _offsets(array)
        ends = array.buffers()[2].size if array.buffers()[2:] and array.buffers()[2] else 0
        limit = len(array.values) if is_type.is_large_list(array.type) else ends
        if len(array) and (offsets[0] < 0 or offsets[-1] > limit or (np.diff(offsets) < 0).any()):
            raise ValueError("an offset points outside")
    for child in _children(array):
        _validate(child)


def _validate_codes(array: pa.DictionaryArray) -> None:
    count = len(array.dictionary)
    codes = np.frombuffer(array.buffers()[1] or b"", np.int32, len(array), array.offset * 4)
    low, high = codes.min(initial=0), codes.max(initial=0)
    if low < 0 or high >= max(count, 1) or (not count and array.null_count < len(array)):
        raise ValueError(f"a code points outside its dictionary of {count}")


def _offsets(array: pa.Array) -> NDArray[np.int64]:
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(1, np.int64)
    return np.frombuffer(buffer, np.int64, len(array) + 1, array.offset * 8)


def _has_offsets(type: pa.DataType) -> bool:
    return bool(
        is_type.is_large_list(type)
        or is_type.is_large_binary(type)
        or is_type.is_large_string(type)
    )


def _children(array: pa.Array) -> list[pa.Array]:
    if is_type.is_struct(array.type):
        return [array.field(number) for number in range(array.type.num_fields)]
    if is_type.is_large_list(array.type) or is_type.is_fixed_size_list(array.type):
        return [array.values]
    return []
