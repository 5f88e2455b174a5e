"""From what a user calls files to paths, and from what goes wrong with them to our errors."""

from __future__ import annotations

import glob
import os
import stat
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pyarrow as pa

from tensorsql.errors import BindError, CorruptError, Error, IOError, nearest, reason
from tensorsql.storage.files.plain_files import check_path
from tensorsql.storage.tables.locks import is_held, new_held

PART = ".tensorsql-"  # how the name of an unfinished file begins


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
    """Turn what a reader raises into an error that names the file.

    IOError where the system does not let us, CorruptError where the content is at fault.
    """
    try:
        yield
    except Error:
        raise
    except FileNotFoundError:
        raise IOError(f'file "{path}" does not exist') from None
    except RecursionError:
        raise CorruptError(f'file "{path}" cannot be read: it nests too deeply') from None
    except (OSError, ValueError, EOFError, SyntaxError, pa.ArrowException) as error:
        # libraries raise OSError for broken content, too, but only the system gives it a number
        kind = IOError if getattr(error, "errno", None) else CorruptError
        raise kind(f'file "{path}" cannot be read: {reason(error)}') from None


@contextmanager
def writing(path: str) -> Iterator[str]:
    """The path to write to: what is there stays until all is written, and after a failure.

    IOError that names the file if it cannot be written.
    """
    check_path(path)
    wanted = os.path.realpath(os.path.expanduser(path))
    try:
        if _is_plain(wanted):
            with _part(Path(wanted).parent) as part:
                yield part
                os.replace(part, wanted)
        else:
            yield wanted
    except (OSError, pa.ArrowException) as error:
        raise IOError(f'file "{path}" cannot be written: {reason(error)}') from None


def _is_plain(path: str) -> bool:
    """Whether there is nothing but a plain file; OSError where there can be none."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


@contextmanager
def _part(folder: Path) -> Iterator[str]:
    """A file to write to, with a short name whatever it will be called.

    It is removed in the end; if its writer dies before, by the next that writes here.
    """
    _remove_parts_of_the_dead(folder)
    path = folder / f"{PART}{uuid.uuid4().hex[:8]}.part"
    lock = new_held(path)
    try:
        yield str(path)
    finally:
        path.unlink(missing_ok=True)
        lock.close()


def _remove_parts_of_the_dead(folder: Path) -> None:
    with suppress(OSError):  # that is up to the folder's owner
        for name in os.listdir(folder):
            if name.startswith(PART) and name.endswith(".part"):
                is_held(folder / name)


def _matches(pattern: str) -> list[Path]:
    check_path(pattern)
    path = Path(os.path.expanduser(pattern))
    if os.path.isfile(path):
        return [path]
    if glob.has_magic(pattern):
        names = sorted(Path(name) for name in glob.glob(str(path), recursive=True))
        files = [name for name in names if os.path.isfile(name)]
        if files:
            return files
        raise IOError(f'no file matches "{pattern}"')
    raise _absence(pattern, path)


def _absence(pattern: str, path: Path) -> IOError:
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        if os.path.islink(path):
            return IOError(f'"{pattern}" is a link to nothing')
        return IOError(f'file "{pattern}" does not exist{_close(path)}')
    except OSError as error:
        return IOError(f'file "{pattern}" cannot be read: {reason(error)}')
    if stat.S_ISDIR(mode):
        return IOError(f'"{pattern}" is a folder; use a glob such as "{pattern}/*"')
    return IOError(f'"{pattern}" is not a plain file')


def _close(path: Path) -> str:
    try:
        siblings = os.listdir(path.parent)
    except OSError:
        return ""
    return nearest(path.name, siblings) if len(siblings) > 12 else ""
