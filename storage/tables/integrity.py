"""Checking a whole database: every byte of every file against its checksum, and the catalog.

What is in use is checked as well, since files are read anew rather than through their mappings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tensorsql.errors import CorruptError, Error
from tensorsql.storage.columns.physical import is_physical
from tensorsql.storage.columns.types import Kind
from tensorsql.storage.files.checksums import BLOCK, Checksum, file_checksum
from tensorsql.storage.tables.catalog_store import CatalogStore
from tensorsql.storage.tables.database_files import DatabaseFiles, owners
from tensorsql.storage.tables.snapshot import Snapshot, TableState

Check = Callable[[], None]  # raises if the statement was cancelled


@dataclass(frozen=True)
class Finding:
    """What was found of one table, index or model, or of the catalog; no `problem`: all is well."""

    kind: str
    name: str
    files: int = 0
    bytes: int = 0
    problem: str = ""


def catalog_finding(catalog: CatalogStore, problem: str = "") -> Finding:
    """What was found of the catalog itself."""
    size = 0 if problem else catalog.path.stat().st_size
    return Finding("catalog", catalog.path.name, 1, size, problem)


def check_database(catalog: CatalogStore, snapshot: Snapshot, check: Check) -> list[Finding]:
    """A finding for the catalog, which gave the snapshot, and all in it that has files."""
    findings = [catalog_finding(catalog)]
    for (kind, name), paths in _files_of(snapshot, catalog).items():
        findings.append(_check_files(kind, name, paths, catalog.files, check))
        if kind == "table" and not findings[-1].problem:
            findings[-1] = _check_structure(findings[-1], snapshot.tables[name.lower()], check)
    return findings


def require_sound(findings: list[Finding]) -> None:
    """CorruptError with the first problem, if there is one."""
    problems = [finding.problem for finding in findings if finding.problem]
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise CorruptError(f"{problems[0]}{more}; PRAGMA integrity_check lists what is damaged")


def _files_of(snapshot: Snapshot, catalog: CatalogStore) -> dict[tuple[str, str], list[Path]]:
    """All files that belong to a table, index or model, whether or not they are there."""
    folder = catalog.files.folder
    whose = {prefix: (kind, name) for kind, name, prefix in owners(snapshot, folder)}
    result: dict[tuple[str, str], list[Path]] = {owner: [] for owner in whose.values()}
    for name in sorted(catalog.known_files() | _segment_files(snapshot)):
        part, top = name.split("/")[:2]
        prefix = f"{part}/{top.partition('.')[0]}." if part == "segments" else f"{part}/{top}/"
        if prefix in whose:
            result[whose[prefix]].append(folder / name)
    return result


def _segment_files(snapshot: Snapshot) -> set[str]:
    states = snapshot.tables.values()
    names = [segment.name for state in states for segment in state.segments]
    names += [deletion.name for state in states for deletion in state.deletions.values()]
    return {f"segments/{name}" for name in names}


def _check_files(
    kind: str, name: str, paths: list[Path], files: DatabaseFiles, check: Check
) -> Finding:
    size, problem = 0, ""
    for path in paths:
        try:
            expected = files.checksum(path)
            size += expected.size
            actual = file_checksum(path, check)
        except FileNotFoundError:
            problem = problem or files.missing(path).message
        except OSError as error:
            problem = problem or files.damaged(path, error.strerror or str(error)).message
        except Error as error:
            problem = problem or error.message
        else:
            if actual != expected:
                problem = problem or files.damaged(path, _difference(actual, expected)).message
    return Finding(kind, name, len(paths), size, problem)


def _difference(actual: Checksum, expected: Checksum) -> str:
    if actual.size != expected.size:
        return f"it has {actual.size} bytes instead of {expected.size}"
    block = int(np.flatnonzero(actual.expected() != expected.expected())[0])
    end = min((block + 1) * BLOCK, actual.size) - 1
    return f"bytes {block * BLOCK} to {end} are not those that were written"


def _check_structure(finding: Finding, state: TableState, check: Check) -> Finding:
    """What checksums do not show: whether the files hold what the catalog says they do."""
    try:
        for problem in _problems(state, check):
            return Finding(finding.kind, finding.name, finding.files, finding.bytes, problem)
    except Error as error:
        return Finding(finding.kind, finding.name, finding.files, finding.bytes, error.message)
    return finding


def _problems(state: TableState, check: Check) -> Iterator[str]:
    for segment in state.segments:
        check()
        segment.row_ids()
        state.deleted(segment)
        for column in state.schema.columns:
            array = segment.source.mapped(column.name)
            if not is_physical(array.type, column.type):
                what = f"it holds {array.type}, not {column.type}"
                yield segment.source.damaged(what, column.name).message
            if column.type.kind is Kind.MASK:
                segment.source.masks(column.name, column.type)
