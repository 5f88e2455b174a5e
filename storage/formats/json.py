"""JSON: relations over files of one object a line, or of one array of objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.json as arrow_json

from tensorsql.errors import CorruptError
from tensorsql.storage.catalog import Relation
from tensorsql.storage.formats.objects import arrow_relation
from tensorsql.storage.formats.options import Files, Options, check_options
from tensorsql.storage.formats.paths import expand, reading

BLOCK = 16 << 20


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    check_options(function, options, ())
    return relation(function, files)


def relation(name: str, files: str | Sequence[str]) -> Relation:
    """The files end to end as one relation, read at once; missing keys are NULL."""
    tables = [_read(path) for path in expand(files)]
    try:
        whole = pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowException as error:
        raise CorruptError(f"the files {files} do not go together: {error}") from None
    return arrow_relation(name, whole)


def _read(path: Path) -> pa.Table:
    with reading(path):
        with pa.input_stream(str(path)) as stream:
            start = stream.read(64).lstrip()[:1]
        if start == b"[":
            with pa.input_stream(str(path)) as stream:
                rows = json.loads(stream.read())
            if not all(isinstance(row, dict) for row in rows):
                raise CorruptError(f'file "{path}" is a JSON array of something else than objects')
            table = pa.Table.from_pylist(rows)
        else:
            table = arrow_json.read_json(path, arrow_json.ReadOptions(block_size=BLOCK))
    if not table.num_columns:
        raise CorruptError(f'file "{path}" has no rows with keys, so there are no columns')
    return table
