"""From what a user calls files to paths, and from what goes wrong with them to our errors."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from tensorsql.errors import CorruptError, Error, IOError, nearest


def expand(files: str | Sequence[str]) -> list[Path]:
    """The files of a path, a glob or a list of these, globs in name order.

    Raises IOError for a path that is not there or a glob that matches nothing.
    """
    patterns = [files] if isinstance(files, str) else list(files)
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
    except (OSError, ValueError, EOFError, SyntaxError, pa.ArrowException) as error:
        raise CorruptError(f'file "{path}" cannot be read: {error}') from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn a failure to write into an IOError that names the file."""
    try:
        yield
    except (OSError, pa.ArrowException) as error:
        raise IOError(f'file "{path}" cannot be written: {error}') from None


def _matches(pattern: str) -> list[Path]:
    path = Path(pattern).expanduser()
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
    siblings = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    close = nearest(path.name, siblings) if len(siblings) > 12 else ""
    raise IOError(f'file "{pattern}" does not exist{close}')
