"""Files of a database, memory-mapped: what is read of one is compared with its checksum once.

A mapping dies with SIGBUS where its file was cut short behind it, so every read looks at the size
first; a file cut in that very moment is beyond what the platform lets one see.
"""

from __future__ import annotations

import io
import math
import os
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tensorsql.errors import CorruptError, InternalError, IOError
from tensorsql.storage.files.checksums import BLOCK, Checksum

Value = TypeVar("Value")

# NumPy reads the header of a `.npy` file by `ast.literal_eval`, which fails in Python 3.11 where
# two threads do so at once ("AST constructor recursion depth mismatch").
ONE_HEADER = threading.Lock()


class Once(Generic[Value]):
    """Values by name; each is made by the first thread that asks, the others wait for that one."""

    def __init__(self) -> None:
        self._values: dict[str, Value] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, name: str, make: Callable[[], Value]) -> Value:
        """The value of a name."""
        if name in self._values:
            return self._values[name]
        with self._lock:
            lock = self._locks.setdefault(name, threading.Lock())
        with lock:
            if name not in self._values:
                self._values[name] = make()
            return self._values[name]


HEADER = 512  # bytes that hold the header of any array of ours
Blocks = slice | NDArray[np.int64]  # numbers of blocks


class Reports(Protocol):
    """What makes an error out of what is wrong with a file: it says whose the file is."""

    def damaged(self, path: Path, what: str, part: str = "") -> CorruptError:
        """The error of a file that does not hold what it should, in that part of it."""

    def missing(self, path: Path) -> IOError:
        """The error of a file that is not there."""


class CheckedFile:
    """A mapped file; `check` raises unless what it covers is what was written. Thread-safe."""

    def __init__(self, path: Path, checksum: Checksum, reports: Reports) -> None:
        self.path = path
        self.size = checksum.size
        self._reports = reports
        self._expected = checksum.expected()
        self._pending: NDArray[np.bool_] | None = np.ones(len(self._expected), np.bool_)
        self.check_size(opening=True)
        self.buffer = self._map()
        self.bytes = np.frombuffer(self.buffer, np.uint8)

    def damaged(self, what: str, part: str = "") -> CorruptError:
        """The error that says what is wrong with a part of it."""
        return self._reports.damaged(self.path, what, part)

    def check(self, start: int = 0, stop: int | None = None, part: str = "") -> None:
        """CorruptError unless the bytes start … stop - 1 are those that were written."""
        self.check_size()
        self.compare(start, self.size if stop is None else stop, part)

    def compare(self, start: int, stop: int, part: str = "") -> None:
        """The same where many places are read at once, after one `check_size`."""
        if self._pending is not None:
            self._compare(slice(start // BLOCK, -(-min(stop, self.size) // BLOCK)), part)

    def check_size(self, opening: bool = False) -> None:
        """CorruptError if the file was cut short or grew since."""
        try:
            size = os.stat(self.path).st_size
        except OSError:
            if opening:
                raise self._reports.missing(self.path) from None
            return  # removed, but a mapping keeps what it had
        if size != self.size:
            raise self.damaged(f"it has {size} bytes instead of {self.size}")

    def check_runs(self, starts: NDArray[np.int64], length: int, part: str = "") -> None:
        """The same for runs of `length` bytes, in any order."""
        self.check_size()
        pending = self._pending
        if pending is None or not len(starts) or not length:
            return
        first, last = starts // BLOCK, (starts + (length - 1)) // BLOCK
        low, high = int(first.min()), int(last.max()) + 1
        if pending[low:high].any():
            depth = np.bincount(first - low, minlength=high - low + 1)
            depth -= np.bincount(last + 1 - low, minlength=high - low + 1)
            self._compare(np.flatnonzero(np.cumsum(depth)) + low, part)

    def compare_buffer(self, buffer: pa.Buffer, start: int, stop: int, part: str = "") -> None:
        """`compare` for bytes of an Arrow buffer that lies in the mapping."""
        begin = buffer.address - self.buffer.address
        if start < stop and not 0 <= begin + start < begin + stop <= self.size:
            raise InternalError(f'a buffer lies outside the mapping of "{self.path}"')
        self.compare(begin + start, begin + stop, part)

    def array(self) -> CheckedArray:
        """A `.npy` file as the array that it holds."""
        self.check(0, HEADER)
        start = io.BytesIO(self.buffer[:HEADER].to_pybytes())
        try:
            version = np.lib.format.read_magic(start)
            if version != (1, 0):
                raise ValueError(f"its header is of version {version}")
            with ONE_HEADER:
                shape, fortran, dtype = np.lib.format.read_array_header_1_0(start)
            values = np.frombuffer(self.buffer, dtype, math.prod(shape), start.tell())
        except (ValueError, TypeError, SyntaxError, EOFError, OverflowError) as error:
            raise self.damaged(f"it is no array: {error}") from None
        if (fortran and len(shape) > 1) or dtype.hasobject:
            raise self.damaged("it is no array of ours")
        return CheckedArray(values.reshape(shape), self, start.tell())

    def _compare(self, blocks: Blocks, part: str) -> None:
        pending = self._pending
        if pending is None:
            return
        if isinstance(blocks, slice):
            wanted = blocks.start + np.flatnonzero(pending[blocks])
        else:
            wanted = blocks[pending[blocks]]
        for number in wanted.tolist():
            start = number * BLOCK
            if zlib.crc32(self.buffer[start : start + BLOCK]) != self._expected[number]:
                end = min(start + BLOCK, self.size) - 1
                raise self.damaged(f"bytes {start} to {end} are not those that were written", part)
            pending[number] = False
        if len(wanted) and not pending.any():
            self._pending = None

    def _map(self) -> pa.Buffer:
        try:
            with pa.memory_map(str(self.path)) as mapped:  # the buffer outlives the handle
                return mapped.read_buffer()
        except (OSError, pa.ArrowException) as error:
            raise IOError(f'file "{self.path}" cannot be read: {error}') from None


class CheckedArray:
    """An array in a `.npy` file, checked as it is read."""

    def __init__(self, values: np.ndarray[Any, Any], file: CheckedFile, start: int) -> None:
        self.values = values  # for who has checked what is read of it
        self.file = file
        self._start = start

    def whole(self) -> np.ndarray[Any, Any]:
        """All of it."""
        self.file.check()
        return self.values

    def copied(self) -> np.ndarray[Any, Any]:
        """All of it, in memory: what says where other things lie must not change any more."""
        return self.whole().copy()

    def compare(self, *place: int) -> None:
        """CorruptError unless the part under these leading indices is as it was written.

        `file.check_size` comes first, once for many places.
        """
        each = math.prod(self.values.shape[len(place) :]) * self.values.itemsize
        number = 0
        for index, size in zip(place, self.values.shape, strict=False):
            number = number * size + index
        self.file.compare(self._start + number * each, self._start + (number + 1) * each)

    def check_runs(self, starts: NDArray[np.int64], length: int) -> None:
        """The same for runs of so many elements of the flat array, with the size."""
        width = self.values.itemsize
        self.file.check_runs(self._start + starts * width, length * width)

    def check_rows(self, numbers: NDArray[np.int64], axes: int = 1) -> None:
        """The same for rows along the first axes, counted as one."""
        each = math.prod(self.values.shape[axes:])
        self.check_runs(numbers * each, each)


class Opener(Protocol):
    """What opens the files of a database."""

    def open(self, path: Path) -> CheckedFile:
        """The file, mapped; IOError if it is missing, CorruptError if it has another size."""

    def damaged(self, path: Path, what: str, part: str = "") -> CorruptError:
        """The error that says whose the file is and what is wrong with it, in that part of it."""


class OpenFiles:
    """Files that stay open for as long as what they belong to is known, such as an index."""

    def __init__(self, files: Opener) -> None:
        self._files = files
        self._opened: Once[CheckedFile] = Once()

    def __reduce__(self) -> tuple[object, ...]:
        return OpenFiles, (self._files,)

    def open(self, path: Path) -> CheckedFile:
        """The file, mapped and checked no more than once."""
        return self._opened.get(str(path), lambda: self._files.open(path))
