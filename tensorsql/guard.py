"""The last line: whatever goes wrong leaves the engine as our error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tensorsql.errors import Error, InternalError, IOError, OutOfMemoryError, UnsupportedError
from tensorsql.storage.files.file_names import reason


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
        raise UnsupportedError("the statement nests too deeply; compute parts first") from error
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
