"""A toy format: every line of a file is a row."""

from __future__ import annotations

import pyarrow as pa

from tensorsql.storage.formats.objects import arrow_relation
from tensorsql.storage.formats.options import Files, Options, check_options
from tensorsql.storage.formats.paths import expand, reading
from tensorsql.storage.tables.catalog import Relation


def read_files(function: str, files: Files, options: Options) -> Relation:
    """The lines of all files."""
    check_options(function, options, ())
    lines: list[str] = []
    for path in expand(files):
        with reading(path):
            lines += path.read_text(encoding="utf-8").splitlines()
    return arrow_relation(function, pa.table({"line": pa.array(lines, pa.string())}))
