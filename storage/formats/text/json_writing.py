"""Writing JSON: one object a line, or one array; text is made column by column."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as is_type

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import BindError
from tensorsql.storage.formats.options import Options, flag, one_of, option_fields
from tensorsql.storage.formats.paths import writing
from tensorsql.storage.formats.text import compression
from tensorsql.storage.formats.text.rendering import TEXT, concatenated, lines, text_of
from tensorsql.storage.tables.catalog import repeated_name

BATCH = 16_384
_OPTIONS = {
    "array": flag("array"),
    "compression": one_of("compression", compression.METHODS),
}
_NAMES = {"inf": "Infinity", "-inf": "-Infinity", "nan": "NaN"}


def write_table(table: pa.Table, path: str, options: Options) -> int:
    """Write a table as COPY says; `array` makes one array of all rows."""
    values: dict[str, Any] = option_fields("a JSON file to write", options, _OPTIONS)
    twice = repeated_name(table.column_names)
    if twice is not None:
        raise BindError(f'two columns are called "{twice}"; give one an alias')
    method = compression.written_method(path, values.get("compression", "auto"))
    array, rows = values.get("array", False), 0
    with writing(path) as target, compression.writer(target, method) as stream:
        stream.write(b"[\n" if array else b"")
        for batch in table.to_batches(max_chunksize=BATCH):
            check_cancelled()
            objects = _object(batch.schema.names, batch.columns, batch.schema.names[0])
            rows += len(objects)
            if array:
                commas = np.where(np.arange(len(objects)) + rows - len(objects) > 0, ",", "")
                objects = concatenated([pa.array(commas, TEXT), objects], "")
            stream.write(lines(objects))
        stream.write(b"]\n" if array else b"")
    return rows


def _value(array: pa.Array, column: str) -> pa.Array:
    """Each value as JSON, NULL as null."""
    return pc.fill_null(_present(array, column), pa.scalar("null", TEXT))


def _present(array: pa.Array, column: str) -> pa.Array:
    type = array.type
    if isinstance(type, pa.FixedShapeTensorType):
        return _tensors(array, column)
    if is_type.is_struct(type):
        fields = [array.field(i) for i in range(type.num_fields)]
        return _where_valid(array, _object([field.name for field in type], fields, column))
    if is_type.is_list(type) or is_type.is_large_list(type):
        flat = _value(array.flatten(), column)
        ends = np.cumsum([0, *pc.fill_null(array.value_lengths(), 0).to_pylist()])
        return _where_valid(array, _joined(flat, ends))
    text = text_of(array, column)
    if is_type.is_boolean(type) or is_type.is_integer(type) or is_type.is_decimal(type):
        return text
    if is_type.is_floating(type):
        for name, written in _NAMES.items():
            text = pc.if_else(pc.equal(text, name), pa.scalar(written, TEXT), text)
        return text
    return _strings(text)


def _strings(text: pa.Array) -> pa.Array:
    special = pc.match_substring_regex(text, r'["\\\x00-\x1f\x7f]')
    mark = pa.scalar('"', TEXT)
    plain = concatenated([mark, text, mark], "")
    if not pc.any(special).as_py():
        return plain
    escaped = [json.dumps(value, ensure_ascii=False) for value in text.filter(special).to_pylist()]
    return pc.replace_with_mask(plain, pc.fill_null(special, False), pa.array(escaped, TEXT))


def _object(names: list[str], columns: list[pa.Array], column: str) -> pa.Array:
    parts: list[Any] = [pa.scalar("{", TEXT)]
    for i, (name, values) in enumerate(zip(names, columns, strict=True)):
        key = json.dumps(name, ensure_ascii=False)
        parts += [pa.scalar(f"{',' if i else ''}{key}:", TEXT), _value(values, name or column)]
    return concatenated([*parts, pa.scalar("}", TEXT)], "")


def _tensors(array: pa.Array, column: str) -> pa.Array:
    """Lists in lists, as deep as the shape."""
    storage = array.storage
    shape = list(array.type.shape)
    width = int(np.prod(shape))
    values = storage.values.slice(storage.offset * width, len(array) * width)
    text = _value(values, column)
    for size in reversed(shape):
        text = _joined(text, np.arange(0, len(text) + 1, size))
    return _where_valid(array, text)


def _joined(flat: pa.Array, ends: np.ndarray) -> pa.Array:
    lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), flat.cast(pa.string()))
    inner = pc.binary_join(lists, ",").cast(TEXT)
    return concatenated([pa.scalar("[", TEXT), inner, pa.scalar("]", TEXT)], "")


def _where_valid(array: pa.Array, text: pa.Array) -> pa.Array:
    if not array.null_count:
        return text
    return pc.if_else(pc.is_valid(array), text, pa.scalar(None, TEXT))
