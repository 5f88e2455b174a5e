"""CSV: relations over files with sniffed delimiter, header and types, and writing."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv
import pyarrow.types as is_type

from tensorsql.errors import BindError, CorruptError, UnsupportedError, nearest
from tensorsql.storage.arrow_types import arrow_type
from tensorsql.storage.catalog import Relation
from tensorsql.storage.formats.objects import arrow_relation
from tensorsql.storage.formats.options import Files, Options
from tensorsql.storage.formats.paths import expand, reading, writing
from tensorsql.storage.types import Kind, Type

DELIMITERS = (",", "|", ";", "\t")
SAMPLE_LINES = 100
SAMPLE_BYTES = 1 << 18
TRAILING = "\0"  # no column can have this name
BLOCK = 16 << 20  # types are inferred from the first block


_SQL_OPTIONS = {
    "delim": "delimiter",
    "sep": "delimiter",
    "delimiter": "delimiter",
    "header": "header",
    "quote": "quote",
    "nullstr": "null",
    "null": "null",
    "skip": "skip",
    "all_varchar": "all_text",
    "names": "names",
}


@dataclass(frozen=True)
class CsvOptions:
    """How a file is written; None is sniffed when reading and the usual when writing.

    `types` gives columns their types by name; `null` is the text of NULL.
    """

    delimiter: str | None = None
    header: bool | None = None
    quote: str = '"'
    null: str = ""
    skip: int = 0
    all_text: bool = False
    names: tuple[str, ...] = ()
    types: Mapping[str, Type] = field(default_factory=dict)


def options_of(given: Mapping[str, Any]) -> CsvOptions:
    """The options of `read_csv` and COPY by their SQL names; BindError for an unknown one.

    `columns` is a mapping or pairs of name and type, which then name the file's columns in order.
    """
    for name, value in given.items():
        _check_option(name, value)
    known = {name: _SQL_OPTIONS[name] for name in given if name in _SQL_OPTIONS}
    unknown = [name for name in given if name not in (*_SQL_OPTIONS, "columns", "format")]
    if unknown:
        raise BindError(f'CSV has no option "{unknown[0]}"{nearest(unknown[0], _SQL_OPTIONS)}')
    values: dict[str, Any] = {field: given[name] for name, field in known.items()}
    if "columns" in given:
        values["types"] = dict(given["columns"])
        values["names"] = tuple(values["types"])
    elif "names" in values:
        values["names"] = tuple(values["names"])
    return CsvOptions(**values)


def _check_option(name: str, value: Any) -> None:
    """BindError for a value that does not fit the option."""
    wanted, fits = _VALUES.get(name, ("", None))
    if fits is not None and not fits(value):
        raise BindError(f"option {name} of a CSV file is {wanted}, not {value!r}")


def _is_character(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n"


def _is_names(value: Any) -> bool:
    texts = isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)
    return texts and len(set(value)) == len(value) > 0


_CHARACTER = ("one ASCII character", _is_character)
_FLAG = ("true or false", lambda value: isinstance(value, bool))
_TEXT = ("a text", lambda value: isinstance(value, str))
_VALUES: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "delim": _CHARACTER,
    "sep": _CHARACTER,
    "delimiter": _CHARACTER,
    "quote": _CHARACTER,
    "header": _FLAG,
    "all_varchar": _FLAG,
    "nullstr": _TEXT,
    "null": _TEXT,
    "skip": (
        "a number of lines",
        lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    ),
    "names": ("a list of different names", _is_names),
}


def read_files(function: str, files: Files, options: Options) -> Relation:
    """`relation` of a call of the table function; BindError for an unknown option."""
    return relation(function, files, options_of(options))


def write_table(table: pa.Table, path: str, options: Options) -> int:
    """Write a table as COPY says; a .tsv has tabs unless the options say otherwise."""
    defaults = {"delimiter": "\t"} if path.lower().endswith(".tsv") else {}
    return write(path, table.schema, [table], options_of({**defaults, **options}))


def relation(name: str, files: str | Sequence[str], options: CsvOptions | None = None) -> Relation:
    """The files end to end as one relation, read at once; the first decides names and types."""
    return arrow_relation(name, read(files, options or CsvOptions()))


def read(files: str | Sequence[str], options: CsvOptions) -> pa.Table:
    """The files end to end as an Arrow table."""
    paths = expand(files)
    for path in paths:
        with reading(path):
            path.open("rb").close()
    first = _read(paths[0], options)
    tables = [first]
    for path in paths[1:]:
        table = _read(path, options)
        if table.column_names != first.column_names:
            raise CorruptError(f'file "{path}" has other columns than "{paths[0]}"')
        with reading(path):
            tables.append(table.cast(first.schema))
    return pa.concat_tables(tables)


def write(
    path: str,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch | pa.Table],
    options: CsvOptions | None = None,
) -> int:
    """Write batches of one schema to a file and return the number of rows; NULL is empty."""
    chosen = options or CsvOptions()
    if chosen.null or chosen.quote != '"':
        raise UnsupportedError("CSV is written with quote '\"' and NULL as the empty field")
    text = pa.schema([(item.name, _written_type(item)) for item in schema])
    how = arrow_csv.WriteOptions(
        include_header=chosen.header is not False,
        delimiter=chosen.delimiter or ",",
        quoting_style="needed",
    )
    rows = 0
    with writing(path) as target, arrow_csv.CSVWriter(target, text, write_options=how) as writer:
        for batch in batches:
            columns = [
                _written(column, item.type) for column, item in zip(batch, text, strict=True)
            ]
            writer.write_table(pa.table(columns, schema=text))
            rows += batch.num_rows
    return rows


def _read(path: Path, options: CsvOptions) -> pa.Table:
    with reading(path):
        lines = _sample(path, options.skip)
        delimiter = options.delimiter or sniff_delimiter(lines, options.quote)
        parsing = arrow_csv.ParseOptions(
            delimiter=delimiter, quote_char=options.quote, newlines_in_values=True
        )
        first = next(csv.reader(lines, delimiter=delimiter, quotechar=options.quote), None)
        if first is None:
            raise CorruptError(f'file "{path}" is empty; a CSV file needs at least one line')
        header = _has_header(lines, first, parsing, options)
        names = list(options.names) or _names(first, header)
        table = arrow_csv.read_csv(
            path,
            arrow_csv.ReadOptions(
                column_names=_all_names(path, names, first),
                skip_rows=options.skip + header,
                block_size=BLOCK,
            ),
            parsing,
            _conversion(names, options),
        )
    return table.cast(pa.schema([(f.name, _kept_type(f.type)) for f in table.schema]))


def _kept_type(type: pa.DataType) -> pa.DataType:
    """Columns of only NULLs are text, times have microseconds."""
    if is_type.is_null(type):
        return pa.large_string()
    if is_type.is_timestamp(type):
        return pa.timestamp("us")
    return pa.time64("us") if is_type.is_time(type) else type


def _sample(path: Path, skip: int) -> list[str]:
    with pa.input_stream(str(path)) as stream:
        start = stream.read(SAMPLE_BYTES)
    if len(start) == SAMPLE_BYTES:
        start = start[: start.rfind(b"\n") + 1]
    text = str(start, "utf-8-sig")
    return text.splitlines(keepends=True)[skip : skip + SAMPLE_LINES]


def _all_names(path: Path, names: list[str], first: Sequence[str]) -> list[str]:
    """The names and, where every line ends with a delimiter, one more for what follows it."""
    if len(first) == len(names) + 1 and not first[-1]:
        return [*names, TRAILING]
    if len(first) != len(names):
        raise CorruptError(
            f'file "{path}" has {len(first)} columns where {len(names)} are expected'
        )
    return names


def sniff_delimiter(lines: Sequence[str], quote: str) -> str:
    """The delimiter that splits every line into the same, greatest number of fields."""

    def score(delimiter: str) -> tuple[bool, int]:
        widths = [len(row) for row in csv.reader(lines, delimiter=delimiter, quotechar=quote)]
        return len(set(widths)) == 1, widths[0] if widths else 0

    # max keeps the first of equals: the order of DELIMITERS decides
    return max(DELIMITERS, key=score)


def _has_header(
    lines: Sequence[str],
    first: Sequence[str],
    parsing: arrow_csv.ParseOptions,
    options: CsvOptions,
) -> bool:
    """Whether the first line names the columns: it is text where the column below is not.

    Where all is text there is no telling and, as in DuckDB, the first line counts as a header; with
    names given it must then be these.
    """
    if options.header is not None:
        return options.header
    below = _texts(lines[1:], len(first), parsing, options.null)
    above = _texts(lines[:1], len(first), parsing, options.null)
    if not all(below):
        return any(text and not under for text, under in zip(above, below, strict=True))
    if options.names:
        return [cell.lower() for cell in first] == [name.lower() for name in options.names]
    return all(above)


def _texts(
    lines: Sequence[str], width: int, parsing: arrow_csv.ParseOptions, null: str
) -> list[bool]:
    """Per column, whether its values can only be read as text."""
    how = arrow_csv.ConvertOptions(null_values=[null], strings_can_be_null=True)
    names = [str(number) for number in range(width)]
    try:
        table = arrow_csv.read_csv(
            pa.BufferReader("".join(lines).encode()),
            arrow_csv.ReadOptions(column_names=names),
            parsing,
            how,
        )
    except pa.ArrowException:  # no lines, or lines the sample cuts short
        return [True] * width
    return [is_type.is_string(item.type) or is_type.is_null(item.type) for item in table.schema]


def _names(first: Sequence[str], header: bool) -> list[str]:
    if not header:
        return [f"column{i}" for i in range(len(first))]
    names: list[str] = []
    for i, cell in enumerate(first):
        name = cell.strip() or f"column{i}"
        repeats = sum(other == name or other.startswith(f"{name}_") for other in names)
        names.append(f"{name}_{repeats}" if name in names else name)
    return names


def _conversion(names: Sequence[str], options: CsvOptions) -> arrow_csv.ConvertOptions:
    folded = {name.lower(): type for name, type in options.types.items()}
    unknown = [name for name in options.types if name.lower() not in {n.lower() for n in names}]
    if unknown:
        raise BindError(f'no column "{unknown[0]}" in the file; there is {", ".join(names)}')
    types = {name: _parsed_type(folded[name.lower()]) for name in names if name.lower() in folded}
    if options.all_text:
        types = {name: pa.string() for name in names}
    return arrow_csv.ConvertOptions(
        column_types=types,
        include_columns=list(names),
        null_values=[options.null],
        strings_can_be_null=True,
        quoted_strings_can_be_null=True,
    )


def _parsed_type(type: Type) -> pa.DataType:
    if type.kind in (Kind.ENUM, Kind.UUID, Kind.VARCHAR):
        return pa.string()
    return arrow_type(type)


def _written_type(item: pa.Field) -> pa.DataType:
    if is_type.is_dictionary(item.type):
        return pa.large_string()
    if is_type.is_nested(item.type) or isinstance(item.type, pa.BaseExtensionType):
        raise UnsupportedError(f'column "{item.name}" of type {item.type} cannot be written to CSV')
    return item.type


def _written(column: pa.Array | pa.ChunkedArray, type: pa.DataType) -> pa.Array | pa.ChunkedArray:
    if is_type.is_dictionary(column.type):
        column = pc.cast(column, column.type.value_type)
    return column if column.type == type else pc.cast(column, type)
