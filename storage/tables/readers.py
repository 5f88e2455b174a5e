"""Who may still read older snapshots, so that a writer knows which files nobody needs. Torch-free.

Whoever reads holds the newest file in `readers/` shared, from before he asks for the snapshot until
he opens no more of its files. The file's name is a version of the catalog: none of its readers has
an older one, nor a newer one than the next file's. A writer who has replaced what somebody may read
adds a file for those who come then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tensorsql.errors import IOError, reason
from tensorsql.storage.tables.locks import FileLock, Held, NoLock, Wait
from tensorsql.storage.tables.snapshot import Snapshot

FOLDER = "readers"
WAIT = Wait(30.0)  # for a writer that looks whether a file is held, which takes no time
Span = tuple[int, int]  # the first and last version that somebody may read


class Readers:
    """Those of the database in `folder`; `read_only` does without files that it cannot make."""

    def __init__(self, folder: Path, read_only: bool = False) -> None:
        self._folder = folder / FOLDER
        self._read_only = read_only

    def hold(self, read: Callable[[], Snapshot]) -> tuple[Snapshot, Held]:
        """What `read` gives, and what keeps all its files until it is closed."""
        while True:
            held = self._enter()
            try:
                snapshot = read()
                if isinstance(held, NoLock) or held.path == self._path(self._newest()):
                    return snapshot, held
            except BaseException:
                held.close()
                raise
            held.close()  # a writer came between: the snapshot may be newer than the file says

    def spans(self, version: int) -> list[Span]:
        """What may be read of all up to the present version; only for the one who writes.

        Files that nobody holds are removed, but for the newest and those that end a span.
        """
        versions, held = self._versions(), False
        readable: list[Span] = []
        for first, last in pairwise([*versions, version]):
            remains = held or first == versions[-1]
            held = self._is_held(first, removed=not remains)
            if held:  # an older catalog put in place knows nothing of a version after its own
                readable.append((first, last) if first <= version else (0, version))
        return readable

    def renew(self, version: int) -> None:
        """Tell those who come from now on, and read this version or a newer one, from the rest."""
        FileLock(self._path(version)).close()

    def clear(self) -> None:
        """Remove all files; only for one who has the database to himself."""
        for version in self._versions():
            self._is_held(version, removed=True)

    def _enter(self) -> Held:
        """Hold the newest file; nothing where there is none and none can be."""
        try:
            for _ in WAIT.tries():
                lock = self._newest_file()
                if lock.share() and lock.is_in_place():
                    return lock
                lock.close()
        except OSError as error:
            if self._read_only:
                return NoLock()
            raise IOError(f'folder "{self._folder}" cannot be used: {reason(error)}') from None
        raise IOError(
            f'folder "{self._folder}" is kept by another process, waited {WAIT.seconds:g} s;'
            " try again when that has ended"
        )

    def _is_held(self, version: int, removed: bool) -> bool:
        lock = FileLock(self._path(version), readable=True)
        try:
            if not lock.own():
                return True
            if removed:
                lock.path.unlink(missing_ok=True)
            return False
        finally:
            lock.close()

    def _newest_file(self) -> FileLock:
        path = self._path(self._newest())
        try:
            return FileLock(path)
        except OSError:
            if not self._read_only:
                raise
            return FileLock(path, readable=True)

    def _newest(self) -> int:
        return max(self._versions(), default=0)

    def _versions(self) -> list[int]:
        try:
            listed = os.listdir(self._folder)
        except FileNotFoundError:
            if self._read_only:
                raise
            self._folder.mkdir(exist_ok=True)
            return []
        names = (name.partition(".")[0] for name in listed)
        return sorted(int(name) for name in names if name.isdecimal())

    def _path(self, version: int) -> Path:
        return self._folder / f"{version:020d}.lock"
