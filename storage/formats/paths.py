"""From what a user calls files to paths, and from what goes wrong with them to our errors."""

from __future__ import annotations

import glob
import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from tensorsql.errors import BindError, CorruptError, Error, IOError, nearest


def expand(files: str | Sequence[str]) -> list[Path]:
    """The files of a path, a glob or a list of these, globs in name order.

    Raises IOError for a path that is not there or a glob that matches nothing.
    """
    patterns = [files] if isinstance(files, str) else list(files)
    if not patterns:
        raise BindError("no file is named; the list of paths is empty")
    return [path for pattern in patterns for path in _matches(pattern)]


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Turn what a reader raises into an IOError or CorruptError that names the file."""
    try:
        yield
    except Error:
        raise
    except FileNotFoundError:
        raise IOError(f'file "{path}" does not exist') from None
    except (PermissionError, IsADirectoryError) as error:
        raise IOError(f'file "{path}" cannot be read: {error.strerror}') from None
    except RecursionError:
        raise CorruptError(f'file "{path}" cannot be read: it nests too deeply') from None
    except (OSError, ValueError, EOFError, SyntaxError, pa.ArrowException) as error:
        raise CorruptError(f'file "{path}" cannot be read: {error}') from None


@contextmanager
def writing(path: str) -> Iterator[str]:
    """The path to write to: what is there stays until all is written, and after a failure.

    IOError that names the file if it cannot be written.
    """
    if not path or "\0" in path:
        raise IOError(f'"{path}" is not the path of a file')
    plain = not os.path.exists(path) or os.path.isfile(path)
    target = f"{os.path.realpath(path)}.{uuid.uuid4().hex[:8]}.part" if plain else path
    try:
        yield target
        if plain:
            os.replace(target, path if not os.path.islink(path) else os.path.realpath(path))
    except (OSError, pa.ArrowException) as error:
        code = getattr(error, "errno", None)
        reason = os.strerror(code) if isinstance(code, int) else error
        raise IOError(f'file "{path}" cannot be written: {reason}') from None
    finally:
        if plain:
            Path(target).unlink(missing_ok=True)


def _matches(pattern: str) -> list[Path]:
    if not pattern or "\0" in pattern:
        raise IOError(f'"{pattern}" is not the path of a file')
    path = Path(os.path.expanduser(pattern))
    if path.is_file():
        return [path]
    if glob.has_magic(pattern):
        found = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        files = [name for name in found if name.is_file()]
        if files:
            return files
        raise IOError(f'no file matches "{pattern}"')
    if path.is_dir():
        raise IOError(f'"{pattern}" is a folder; use a glob such as "{pattern}/*"')
    if os.path.lexists(path):
        raise IOError(f'"{pattern}" is not a plain file, or a link to nothing')
    siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, siblings) if len(siblings) > 12 else ""
    raise IOError(f'file "{pattern}" does not exist{close}')
