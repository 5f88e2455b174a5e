"""JSON: relations over files of objects, one after the other or in one array, and writing them.

Values are gone through twice: first for the shape that all of them share, then into columns of it,
so that a field may appear late. Arrow reads what it reads exactly; else json.loads does, twice of
large files, so that memory holds the objects of one chunk only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa

from tensorsql.storage.columns.places import Places
from tensorsql.storage.columns.types import Type, struct
from tensorsql.storage.formats.objects import arrow_relation
from tensorsql.storage.formats.options import (
    Files,
    Options,
    columns_option,
    one_of,
    option_fields,
    text,
)
from tensorsql.storage.formats.paths import expand, reading
from tensorsql.storage.formats.text import compression, json_arrow
from tensorsql.storage.formats.text.encodings import check_encoding, utf8
from tensorsql.storage.formats.text.json_shapes import (
    NOTHING,
    Shape,
    array_of,
    declared,
    merged,
    shape_of,
    typed,
)
from tensorsql.storage.formats.text.json_writing import write_table as write_table
from tensorsql.storage.tables.catalog import Relation, distinct_names

CHUNK = 20_000  # values
SMALL = 1 << 26  # bytes of all files whose values are kept between the two passes
LINE_END = re.compile(r"\r\n?|\n")
CURE = "read the column as text (VARCHAR in columns => {…}), where TRY_CAST gives NULL"
_BLANK = re.compile(r"[ \t\r\n]*")
_OPTIONS = {
    "columns": columns_option("columns"),
    "encoding": text("encoding"),
    "compression": one_of("compression", compression.METHODS),
}


@dataclass(frozen=True)
class JsonReading:
    """How files are read; `columns` are those wanted, all if there are none."""

    columns: dict[str, Type]
    encoding: str | None = None
    compression: str = "auto"


def read_files(function: str, files: Files, options: Options) -> Relation:
    """The files end to end as one relation, read at once; missing keys are NULL.

    `columns` names the keys that are read; those of a simple type are read as text, which the type
    is cast from. BindError for an unknown option.
    """
    values = option_fields("a JSON file", options, _OPTIONS)
    if "encoding" in values:
        values["encoding"] = check_encoding(values["encoding"])
    columns = dict(values.pop("columns", ()))
    how = JsonReading(columns, **values)
    paths = expand(files)
    table, counts = read(paths, how)
    places = Places(tuple(zip(paths, counts, strict=True)), CURE, partial(_line, how))
    return arrow_relation(function, table, inferred=True, places=places)


def read(paths: Sequence[Path], how: JsonReading) -> tuple[pa.Table, list[int]]:
    """The files end to end as an Arrow table, and how many rows each of them has."""
    files = []
    shape = NOTHING
    for path in paths:
        with reading(path):
            files.append(_file(path, how, path.stat().st_size <= SMALL // len(paths)))
        shape = merged(shape, files[-1].shape)
    if how.columns:
        shape = declared(shape, struct(*how.columns.items()))
    rows, counts = [array_of([], shape)], []
    for file in files:
        with reading(file.path):
            arrays = _rows(file, shape, how)
        rows += arrays
        counts.append(sum(map(len, arrays)))
    return _table(pa.chunked_array(rows), shape), counts


@dataclass(frozen=True)
class _File:
    """What the first pass found: Arrow's arrays if it reads the file, else its values if few."""

    path: Path
    shape: Shape
    arrays: list[pa.StructArray] | None = None
    chunks: list[list[Any]] | None = None


def _file(path: Path, how: JsonReading, small: bool) -> _File:
    content = _content(path, how)
    fast = json_arrow.read(content)
    if fast is not None:
        return _File(path, fast[1], arrays=fast[0])
    shape, chunks = NOTHING, []
    for chunk in _chunks(content):
        shape = merged(shape, shape_of(chunk))
        if small:
            chunks.append(chunk)
    return _File(path, shape, chunks=chunks if small else None)


def _rows(file: _File, shape: Shape, how: JsonReading) -> list[pa.Array]:
    fitted = None if file.arrays is None else json_arrow.fitted(file.arrays, shape)
    if fitted is not None:
        return fitted
    chunks = _chunks(_content(file.path, how)) if file.chunks is None else file.chunks
    return [array_of(chunk, shape) for chunk in chunks]


def _table(rows: pa.ChunkedArray, shape: Shape) -> pa.Table:
    """Objects as columns of their fields, anything else as one column."""
    if not shape.fields:
        values = typed(rows, shape)
        text = pa.types.is_null(values.type)
        return pa.table({"json": values.cast(pa.large_string()) if text else values})
    columns = [
        typed(pa.chunked_array([chunk.field(i) for chunk in rows.chunks]), child)
        for i, (_, child) in enumerate(shape.fields)
    ]
    return pa.table(columns, names=distinct_names(name for name, _ in shape.fields))


def _content(path: Path, how: JsonReading) -> bytes:
    return utf8(path, compression.read_bytes(path, how.compression), how.encoding)


def _chunks(content: bytes) -> Iterator[list[Any]]:
    values = _values(str(content, "utf-8"))
    while chunk := [value for _, value in islice(values, CHUNK)]:
        yield chunk


def _line(how: JsonReading, path: Path, row: int) -> int | None:
    """The line on which a value of a file begins."""
    text = str(_content(path, how), "utf-8")
    start = next(islice((place for place, _ in _values(text)), row, None), None)
    return None if start is None else len(LINE_END.findall(text, 0, start)) + 1


def _values(text: str) -> Iterator[tuple[int, Any]]:
    """The elements of a text that is one array, else its values one after the other.

    Each comes with the place where it begins.
    """
    decoder = json.JSONDecoder(parse_float=Decimal, object_pairs_hook=_object)
    place = _skip(text, 0)
    inside = text[place : place + 1] == "["
    place = _skip(text, place + 1) if inside else place
    if inside and text[place : place + 1] == "]":
        place, inside = _skip(text, place + 1), False
    while place < len(text) or inside:
        start = place
        value, place = decoder.raw_decode(text, start)
        yield start, value
        place = _skip(text, place)
        if inside:
            mark = text[place : place + 1]
            if mark not in (",", "]") or not mark:
                raise json.JSONDecodeError("expected , or ] in the array", text, place)
            place, inside = _skip(text, place + 1), mark == ","
            if not inside and place < len(text):
                raise json.JSONDecodeError("there is text after the array", text, place)


def _skip(text: str, place: int) -> int:
    blank = _BLANK.match(text, place)
    return blank.end() if blank else place


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise ValueError(f'an object has the key "{twice}" twice')
    return fields
