"""The last line: whatever goes wrong leaves the engine as an error of `tensorsql.errors`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tensorsql.errors import Error, InternalError, IOError, OutOfMemoryError, UnsupportedError
from tensorsql.storage.file_names import reason


class Nesting:
    """Room for statements that nest deeply, while any thread runs one; python's limit otherwise.

    The parser takes some thirty python frames for a pair of parentheses.
    """

    FRAMES = 5000

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before = 0

    def __enter__(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = sys.getrecursionlimit()
                sys.setrecursionlimit(max(self._before, self.FRAMES))
            self._users += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                sys.setrecursionlimit(self._before)


NESTING = Nesting()  # the limit is the process's, so is this


@contextmanager
def guarded() -> Iterator[None]:
    """Turn any other exception into one of ours, with the original as its cause.

    Not so a reader of our output that left: that is no error of the statement.
    """
    try:
        yield
    except (Error, BrokenPipeError):
        raise
    except MemoryError as error:
        raise OutOfMemoryError("the machine has no memory left for this statement") from error
    except RecursionError as error:
        raise UnsupportedError("the statement nests too deeply") from error
    except OSError as error:
        file = f'file "{error.filename}"' if error.filename else "a file"
        raise IOError(f"{file} cannot be read or written: {reason(error)}") from error
    except Exception as error:
        if "can't allocate memory" in str(error):  # torch's own words
            raise OutOfMemoryError("the machine has no memory left for this statement") from error
        raise InternalError(
            f"{type(error).__name__}: {error}; "
            "this is a defect of tensorsql, please report it with the statement"
        ) from error
