"""Calls of every function of the registry over values at the edges of every type.

A `Case` is one call with rows of arguments. Its answers are texts and a type, or an error, row by
row, so that one row that raises does not hide the others.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tensorsql.planner.functions.resolve import EXPANSIONS
from tensorsql.planner.functions.signatures import SIGNATURES, masks, models, neurons
from tensorsql.planner.plans.signature import Parameter, Signature
from tensorsql.storage.columns.types import Kind, Type

RECORD = "STRUCT(a INTEGER, b VARCHAR)"
FLOATS = ("0", "-0.0", "1", "-1", "0.5", "-2.5", "1e300", "-1e-300", "nan", "inf", "-inf", "3.7")
TEXTS = (
    "''",
    "'a'",
    "'abc'",
    "'ÄÖß'",
    "'e\u0301'",
    "'👨\u200d👩\u200d👧'",
    "'😀x'",
    "'İıſ'",
    "'  a b '",
    "'a%_\\\\b'",
    "'A\u200db'",
    "'12'",
    "'-1.5'",
    "'a,b,,c'",
    "'\u0130\u0307'",
    "'ﬃ'",
    "'ǆ'",
    "'\t\n'",
    "'2020-02-29'",
    "'true'",
    "'12:34:56'",
)
WHOLES = {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}
DATES = (
    "2020-02-29",
    "1970-01-01",
    "1969-12-31",
    "0001-01-01",
    "9999-12-31",
    "2000-12-31",
    "2018-12-31",
    "1900-03-01",
    "2021-01-03",
    "1600-02-29",
)
CLOCKS = ("00:00:00", "23:59:59.999999", "12:34:56.7", "00:00:00.000001", "09:05:07.123456")
SPANS = (
    "0 days",
    "1 month",
    "-1 month 1 day",
    "1 year -30 days 01:00:00",
    "-00:00:00.000001",
    "30 days",
    "720 hours",
    "2147483647 months",
    "-2147483647 days",
    "99 years 25:51:00",
    "1 month -29 days -25:00:00",
    "2 days 03:04:05.678901",
)


def _quoted(texts: Sequence[str], type: str) -> tuple[str, ...]:
    return tuple(f"'{text}'::{type}" for text in texts)


def _whole(type: str) -> tuple[str, ...]:
    top = 2 ** (WHOLES[type] - 1)
    return _quoted([str(n) for n in (0, 1, -1, 2, 3, -7, 10, 100, top - 1, -top, 1 - top)], type)


def _decimal(precision: int, scale: int) -> tuple[str, ...]:
    most = "9" * (precision - scale) + "." + "9" * scale
    texts = ["0", "1", "-1", "2.5", "-0.5", "0.05", most, f"-{most}", "7.77"]
    fitting = [text for text in texts if len(text.strip("-").split(".")[0]) <= precision - scale]
    return _quoted(fitting, f"DECIMAL({precision},{scale})")


VALUES: dict[str, tuple[str, ...]] = {
    "BOOLEAN": ("true", "false"),
    **{type: _whole(type) for type in WHOLES},
    "REAL": _quoted([*(n for n in FLOATS if "300" not in n), "3.4e38", "1e-45", "0.1"], "REAL"),
    "DOUBLE": _quoted([*FLOATS, "9007199254740993", "5e-324", "0.1"], "DOUBLE"),
    "DECIMAL(4,1)": _decimal(4, 1),
    "DECIMAL(18,3)": _decimal(18, 3),
    "DECIMAL(38,0)": _decimal(38, 0),
    "DECIMAL(38,10)": _decimal(38, 10),
    "VARCHAR": TEXTS,
    "BLOB": ("''::BLOB", "'\\x00\\xFF'::BLOB", "'abc'::BLOB"),
    "DATE": _quoted(DATES, "DATE"),
    "TIME": _quoted(CLOCKS, "TIME"),
    "TIMESTAMP": _quoted([f"{d} {c}" for d, c in zip(DATES, CLOCKS * 2, strict=True)], "TIMESTAMP"),
    "INTERVAL": _quoted(SPANS, "INTERVAL"),
    "UUID": _quoted(["47183823-2574-4bfd-b411-99ed177d3e43", f"{2**128 - 1:x}"], "UUID"),
    "INTEGER[]": (
        "[1, 2, NULL]",
        "[]::INTEGER[]",
        "[-5]",
        "[NULL]::INTEGER[]",
        "[3, 3, 2147483647]",
    ),
    "VARCHAR[]": ("['a', NULL, '']", "[]::VARCHAR[]", "['ä, b', '\"']"),
    "DOUBLE[]": ("['nan'::DOUBLE, 1]", "[]::DOUBLE[]", "['-0.0'::DOUBLE, NULL]"),
    "INTEGER[][]": ("[[1], NULL, []]", "[]::INTEGER[][]"),
    RECORD: ("{'a': 1, 'b': 'x'}", "{'a': NULL::INTEGER, 'b': NULL::VARCHAR}"),
}
OF_KIND: dict[Kind, tuple[str, ...]] = {
    Kind.DECIMAL: tuple(type for type in VALUES if type.startswith("DECIMAL")),
    Kind.LIST: tuple(type for type in VALUES if type.endswith("[]")),
    Kind.STRUCT: tuple(type for type in VALUES if type.startswith("STRUCT")),
}
PARTS = (
    "'year'",
    "'month'",
    "'day'",
    "'quarter'",
    "'week'",
    "'isoyear'",
    "'decade'",
    "'century'",
    "'hour'",
    "'minute'",
    "'second'",
    "'millisecond'",
    "'microsecond'",
    "'dayofweek'",
    "'isodow'",
    "'dayofyear'",
)
DATED = ("date_part", "date_trunc", "date_diff", "date_sub")
PATTERNS = ("''", "'a'", "'(b)|c'", "'[[:alpha:]]+'", "'.'", "'^$'", "'(?i)A'", "'\\\\d+'", "'('")
COUNTS = ("0", "1", "-1", "2", "5", "-3", "100", "NULL")
DIGITS = (*COUNTS, "2147483647", "-2147483648", "38", "-39")
FORMATS = (
    "'%Y-%m-%d'",
    "'%A %a %B %b %d %-d'",
    "'%H:%M:%S.%f'",
    "'%I %p %j %U %W %w %y'",
    "'%%'",
    "''",
    "'%Q'",
    "'ä'",
    "'%g %n %x %X %c %z %Z'",
    "'%-m %-H %-I %-M %-S %-y %-j'",
)
# What a place takes where only some values mean anything: written as constants.
ROLES: dict[tuple[str, int], tuple[str, ...]] = {
    **{(name, 1): PATTERNS for name in ("regexp_matches", "regexp_full_match", "regexp_extract")},
    ("regexp_replace", 1): PATTERNS,
    ("regexp_replace", 2): ("''", "'<\\\\0>'", "'\\\\1'", "'x'"),
    ("regexp_replace", 3): ("'g'", "'i'", "''", "'gi'", "'q'"),
    ("regexp_matches", 2): ("'i'", "'s'", "''", "'c'", "'m'", "'z'"),
    ("regexp_full_match", 2): ("'i'", "'s'", "''", "'c'", "'m'", "'z'"),
    ("regexp_extract", 2): ("0", "1", "2", "NULL", "-1"),
    **{(name, 1): ("'%a%'", "'_'", "'a\\%%'", "''", "'%'", "'Ä%'") for name in ("like", "ilike")},
    **{(name, 2): ("'\\\\'", "'%'", "''", "'ab'", "'!'") for name in ("like", "ilike")},
    ("repeat", 1): COUNTS,
    ("lpad", 1): COUNTS,
    ("rpad", 1): COUNTS,
    ("round", 1): DIGITS,
    ("trunc", 1): DIGITS,
    ("chr", 0): ("65", "0", "-1", "8364", "128512", "55296", "1114112", "NULL"),
    ("range", 1): ("5", "0", "-3", "NULL"),
    ("range", 0): ("1", "3", "NULL", "-1"),
    ("range", 2): ("1", "-1", "2", "NULL"),
    ("generate_series", 0): ("1", "3", "NULL", "-1"),
    ("generate_series", 1): ("5", "0", "-3", "NULL"),
    ("generate_series", 2): ("1", "-1", "2", "NULL"),
    ("struct_extract", 1): ("'a'", "'b'", "'c'"),
    **{(name, 0): tuple(PARTS) for name in EXPANSIONS if name.replace("date", "date_") in DATED},
    **{(name, 0): tuple(PARTS) for name in DATED},
}
# Elsewhere a role's values stand in columns, too.
ESCAPES = (("like", 2), ("ilike", 2))
IN_COLUMNS = ("repeat", "lpad", "rpad", "chr", "like", "ilike", "range", "generate_series")
FORMS: dict[str, Callable[[Sequence[str]], str]] = {
    "negate": lambda a: f"(-{a[0]})",
    "~": lambda a: f"(~{a[0]})",
    "not": lambda a: f"(NOT {a[0]})",
    "is_null": lambda a: f"({a[0]} IS NULL)",
    "is_not_null": lambda a: f"({a[0]} IS NOT NULL)",
    "is_distinct_from": lambda a: f"({a[0]} IS DISTINCT FROM {a[1]})",
    "is_not_distinct_from": lambda a: f"({a[0]} IS NOT DISTINCT FROM {a[1]})",
    "in": lambda a: f"({a[0]} IN ({', '.join(a[1:])}))",
    "case": lambda a: f"(CASE WHEN {a[0]} THEN {a[1]} ELSE {a[2]} END)",
    "list_value": lambda a: f"[{', '.join(a)}]",
    "struct_pack": lambda a: "{" + ", ".join(f"'f{n}': {x}" for n, x in enumerate(a)) + "}",
    "like": lambda a: f"({a[0]} LIKE {a[1]}" + (f" ESCAPE {a[2]})" if len(a) > 2 else ")"),
    "ilike": lambda a: f"({a[0]} ILIKE {a[1]}" + (f" ESCAPE {a[2]})" if len(a) > 2 else ")"),
    "position": lambda a: f"position({a[1]} IN {a[0]})",
}
INFIX = {name for name in SIGNATURES if not name.isidentifier() and name != "~"} | {"and", "or"}
OURS = {each.name for group in (masks, models, neurons) for each in group.SIGNATURES}
# The rest is tested on its own: casts by CASTS, what depends on the day not at all.
APART = {"cast", "try_cast", "current_date", "today", "remainder_of_decimals"} | OURS
PAIRS = (
    ("part", "DATE", "DATE"),
    ("part", "TIMESTAMP", "TIMESTAMP"),
    ("part", "DATE", "TIMESTAMP"),
)
EXPANDED: dict[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(
        ("date_part", "datepart"),
        tuple(("part", kind) for kind in ("DATE", "TIMESTAMP", "TIME", "INTERVAL")),
    ),
    **dict.fromkeys(("date_trunc", "datetrunc"), (("part", "DATE"), ("part", "TIMESTAMP"))),
    **dict.fromkeys(("date_diff", "datediff", "date_sub", "datesub"), PAIRS),
    "if": (("BOOLEAN", "INTEGER", "DECIMAL(4,1)"), ("BOOLEAN", "VARCHAR", "VARCHAR")),
    "ifnull": (("INTEGER", "BIGINT"), ("DATE", "TIMESTAMP")),
    "nullif": (("INTEGER", "DOUBLE"), ("VARCHAR", "VARCHAR"), ("DATE", "TIMESTAMP")),
    "typeof": tuple((type,) for type in VALUES),
    "struct_extract": ((RECORD, "part"),),
    "is_not_null": (("INTEGER",),),
}


@dataclass(frozen=True)
class Case:
    """A call: its name, the types of its arguments and rows of argument texts."""

    name: str
    types: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def sql(self, arguments: Sequence[str]) -> str:
        """The call of these arguments."""
        if self.name in INFIX:
            return "(" + f" {self.name} ".join(arguments) + ")"
        form = FORMS.get(self.name)
        return form(arguments) if form else f"{self.name}({', '.join(arguments)})"

    def constant(self, place: int) -> bool:
        """Whether this argument is written as a constant."""
        column = self.name in IN_COLUMNS and (self.name, place) not in ESCAPES
        return (self.name, place) in ROLES and not column


def scalar_names() -> list[str]:
    """Every scalar function that DuckDB should know."""
    names = [name for name, found in SIGNATURES.items() if found[0].kind == "scalar"]
    return sorted({*names, *EXPANSIONS} - APART)


def _types_of(parameter: Parameter, draw: random.Random) -> str:
    if parameter == "any":
        return draw.choice(list(VALUES))
    if isinstance(parameter, Type):
        name = str(parameter)
        return name if name in VALUES else draw.choice(OF_KIND.get(parameter.kind, ("VARCHAR",)))
    kind = draw.choice(parameter)
    return draw.choice(OF_KIND.get(kind, (kind.value,)))


def shapes(name: str, draw: random.Random, mixed: int) -> Iterator[tuple[str, ...]]:
    """The types of arguments: of each overload, and `mixed` times with types that must convert."""
    if name in EXPANDED:
        yield from EXPANDED[name]
        return
    for signature in SIGNATURES[name]:
        for count in _counts(signature):
            parameters = (*signature.parameters, *signature.parameters[-1:] * 2)[:count]
            for _ in range(4 if "any" in parameters else 1):
                types = [_types_of(each, draw) for each in parameters]
                if draw.random() < 0.6:  # related types
                    pairs = zip(parameters, types, strict=True)
                    types = [types[0] if each == "any" else kind for each, kind in pairs]
                yield tuple(types)
            for _ in range(mixed):
                yield tuple(
                    draw.choice(list(VALUES)) if draw.random() < 0.5 else _types_of(each, draw)
                    for each in parameters
                )


def _counts(signature: Signature) -> tuple[int, ...]:
    count = len(signature.parameters)
    return (count, count + 1) if signature.variadic and signature.name != "case" else (count,)


def cases(name: str, draw: random.Random, rows: int, mixed: int) -> Iterator[Case]:
    """So many rows for each shape of a function's arguments."""
    for types in shapes(name, draw, mixed):
        pools = [
            ROLES.get((name, place)) or (*VALUES[type], f"NULL::{type}")
            for place, type in enumerate(types)
        ]
        chosen = dict.fromkeys(tuple(map(draw.choice, pools)) for _ in range(rows))
        yield Case(name, types, tuple(chosen))
