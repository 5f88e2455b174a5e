"""A sqllogictest runner for the readable files under tests/sql.

A file is a list of records with a blank line between; `#` starts a comment line. The records are

    statement ok                    the SQL below must run
    statement error <regex>         the SQL below must fail with a message the regex finds
    query TIR [rowsort|valuesort]   the SQL below must return the rows after `----`
    plan                            EXPLAIN of the SQL below must print the text after `----`
    masks NAME                      the masks drawn below become the table NAME (id, mask)
    model NAME [option=a,b …]       the network written below becomes the model NAME

tests/drawn.py says how masks are drawn and networks written, and the options are those of CREATE
MODEL … WITH. The last three kinds of record are tensorsql's alone.

Rows are lines, values are separated by tabs, `NULL` and `(empty)` stand for NULL and the empty
string; T is text, I an integer, R a number (doubles agree within 1e-9, decimals to the digit).
`skipif ENGINE` and `onlyif ENGINE` before a record choose where it runs; `__TEST_DIR__` is a
directory of the test. A file with the comment `# oracle: duckdb` must hold on DuckDB as well. One
with `# also: SETTING = VALUE` must give the same answers, to the bit, with that setting; plans may
differ then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from drawn import drawn_masks, written_network
from torch import nn

OURS = ("plan", "masks", "model")
ALSO = re.compile(r"# also: (\w+) = (\w+)")
SORTS = ("nosort", "rowsort", "valuesort")
TOLERANCE = 1e-9


@dataclass(frozen=True)
class Record:
    """One test: what to run, what to expect, and the lines that golden rewriting replaces."""

    line: int
    kind: str
    argument: str
    sql: str
    expected: tuple[str, ...]
    span: tuple[int, int]
    conditions: tuple[str, ...] = ()

    def runs_on(self, engine: str) -> bool:
        """Whether the skipif and onlyif lines allow the engine."""
        if self.kind in OURS and engine != "tensorsql":
            return False
        pairs = [condition.split() for condition in self.conditions]
        return all((word == "onlyif") == (name == engine) for word, name in pairs)

    @property
    def types(self) -> str:
        """One letter per column."""
        words = self.argument.split()
        return words[0] if words and words[0] not in SORTS else ""

    @property
    def sort(self) -> str:
        """How rows are sorted before they are compared."""
        words = self.argument.split()
        return words[-1] if words and words[-1] in SORTS else "nosort"


@dataclass(frozen=True)
class Script:
    """A parsed file."""

    path: Path
    lines: tuple[str, ...]
    records: tuple[Record, ...]

    @property
    def oracle(self) -> bool:
        """Whether DuckDB must give the same answers."""
        return "# oracle: duckdb" in self.lines

    @property
    def also(self) -> Iterator[dict[str, str]]:
        """The settings that the file must hold with as well."""
        yield from ({match[1]: match[2]} for match in map(ALSO.fullmatch, self.lines) if match)

    def judge(self, record: Record) -> str:
        """The engine whose answer golden rewriting takes."""
        return "duckdb" if self.oracle and record.runs_on("duckdb") else "tensorsql"


@dataclass(frozen=True)
class Answer:
    """Rows, and how many columns they have even when there are none."""

    rows: list[tuple[Any, ...]]
    width: int


class Engine(Protocol):
    """What the runner needs of a database."""

    name: str
    error: type[Exception]

    def execute(self, sql: str) -> Answer:
        """Run one statement."""
        ...

    def masks(self, name: str, ids: list[int], pixels: np.ndarray) -> None:
        """Make a table of masks."""
        ...

    def model(self, name: str, module: nn.Module, options: dict[str, list[str]]) -> None:
        """Make a model."""
        ...


@dataclass(frozen=True)
class Verdict:
    """What was wrong with a record, and the lines that would make it pass if it shows an answer.

    `answer` is the rows as they came, to the bit.
    """

    problem: str = ""
    replacement: tuple[str, ...] = ()
    answer: str = ""


@dataclass
class Outcome:
    """The failures of one file, the records that may be rewritten, and the answer at each line."""

    failures: list[str] = field(default_factory=list)
    rewrites: list[tuple[Record, tuple[str, ...]]] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)


def read(path: Path) -> Script:
    """Parse a file; a malformed record is an error that names its line."""
    lines = tuple(path.read_text(encoding="utf-8").splitlines())
    return Script(path, lines, tuple(_record(path, lines, block) for block in _blocks(lines)))


def run(script: Script, engine: Engine, directory: Path, plans: bool = True) -> Outcome:
    """Run every record that the engine is allowed to run, plans only if asked to."""
    outcome = Outcome()
    for record in script.records:
        if not record.runs_on(engine.name) or (record.kind == "plan" and not plans):
            continue
        verdict = _CHECKS[record.kind](record, engine, _located(record.sql, directory))
        if verdict.problem:
            where = f"{script.path.name}:{record.line}"
            outcome.failures.append(f"{where}: {verdict.problem}\n{record.sql}")
        if record.kind != "plan":
            outcome.answers[record.line] = verdict.answer
        if verdict.replacement and script.judge(record) == engine.name:
            outcome.rewrites.append((record, verdict.replacement))
    return outcome


def rewrite(script: Script, outcome: Outcome, plans_only: bool = False) -> None:
    """Write what the engine answered into the file."""
    lines = list(script.lines)
    for record, replacement in sorted(outcome.rewrites, key=lambda one: -one[0].line):
        if plans_only and record.kind != "plan":
            continue
        start, end = record.span
        lines[start:end] = replacement
    script.path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def text(value: Any) -> str:
    """A value as files show it."""
    match value:
        case None:
            return "NULL"
        case "":
            return "(empty)"
        case bool():
            return str(value).lower()
        case float():
            return _double(value)
        case str():
            return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n")
        case Decimal():
            return format(value, "f")
        case list() | tuple():
            return "[" + ", ".join(text(item) for item in value) + "]"
        case bytes():
            return "".join(f"\\x{byte:02X}" for byte in value)
        case _:
            return str(value)


def _double(value: float) -> str:
    shown = format(value, ".12g")
    return shown if not math.isfinite(value) or re.search(r"[.e]", shown) else shown + ".0"


def _blocks(lines: Sequence[str]) -> Iterator[range]:
    """The line numbers of each record: runs of lines without a blank one, comments left out."""
    start: int | None = None
    for number, line in enumerate([*lines, ""]):
        if line.strip():
            start = number if start is None and not line.startswith("#") else start
        elif start is not None:
            yield range(start, number)
            start = None


def _record(path: Path, lines: Sequence[str], block: range) -> Record:
    head = block.start
    conditions = []
    while lines[head].startswith(("skipif ", "onlyif ")):
        conditions.append(lines[head])
        head += 1
    kind, argument = _heading(lines[head])
    if kind not in _CHECKS:
        raise ValueError(f"{path}:{head + 1}: unknown record {lines[head]!r}")
    body = list(lines[head + 1 : block.stop])
    split = body.index("----") if "----" in body else len(body)
    return Record(
        line=head + 1,
        kind=kind,
        argument=argument,
        sql="\n".join(body[:split]),
        expected=tuple(body[split + 1 :]),
        span=(head, block.stop),
        conditions=tuple(conditions),
    )


def _heading(line: str) -> tuple[str, str]:
    words = line.split(" ", 2) if line.startswith("statement") else line.split(" ", 1)
    count = 2 if words[0] == "statement" else 1
    return " ".join(words[:count]), " ".join(words[count:])


def _statement_ok(record: Record, engine: Engine, sql: str) -> Verdict:
    try:
        engine.execute(sql)
    except engine.error as error:
        return Verdict(f"unexpected error: {error}")
    return Verdict()


def _statement_error(record: Record, engine: Engine, sql: str) -> Verdict:
    try:
        engine.execute(sql)
    except engine.error as error:
        message = str(error)
        # DuckDB only has to refuse as well: the wording is ours.
        if engine.name == "duckdb" or re.search(record.argument, message, re.DOTALL):
            return Verdict()
        return Verdict(f"expected an error like /{record.argument}/, got: {message}")
    return Verdict(f"expected an error like /{record.argument}/, but it ran")


def _query(record: Record, engine: Engine, sql: str) -> Verdict:
    try:
        answer = engine.execute(sql)
    except engine.error as error:
        return Verdict(f"unexpected error: {error}")
    rows, types = _sorted(answer.rows, record.sort), _types(answer)
    shown = tuple("\t".join(text(value) for value in row) for row in rows)
    heading = f"query {types}" + ("" if record.sort == "nosort" else f" {record.sort}")
    replacement = (heading, *record.sql.split("\n"), "----", *shown)
    exact = repr(rows)
    if types != record.types:
        return Verdict(f"expected columns {record.types}, got {types}", replacement, exact)
    if len(rows) == len(record.expected) and all(map(_same_row, record.expected, rows)):
        return Verdict("", replacement, exact)
    return Verdict(_mismatch(record.expected, shown), replacement, exact)


def _plan(record: Record, engine: Engine, sql: str) -> Verdict:
    try:
        answer = engine.execute(f"EXPLAIN {sql}")
    except engine.error as error:
        return Verdict(f"unexpected error: {error}")
    plan = [line.rstrip() for row in answer.rows for line in str(row[-1]).splitlines()]
    shown = tuple(line for line in plan if line)
    replacement = ("plan", *record.sql.split("\n"), "----", *shown)
    return Verdict(
        "" if record.expected == shown else _mismatch(record.expected, shown), replacement
    )


def _masks(record: Record, engine: Engine, text: str) -> Verdict:
    engine.masks(record.argument, *drawn_masks(text))
    return Verdict()


def _model(record: Record, engine: Engine, text: str) -> Verdict:
    name, *words = record.argument.split()
    options = {key: value.split(",") for key, value in (word.split("=") for word in words)}
    engine.model(name, written_network(text), options)
    return Verdict()


_CHECKS: dict[str, Callable[[Record, Engine, str], Verdict]] = {
    "statement ok": _statement_ok,
    "statement error": _statement_error,
    "query": _query,
    "plan": _plan,
    "masks": _masks,
    "model": _model,
}


def _located(sql: str, directory: Path) -> str:
    return sql.rstrip().rstrip(";").replace("__TEST_DIR__", str(directory))


def _types(answer: Answer) -> str:
    """One letter per column, from its first value that is not NULL."""
    letters = []
    for column in range(answer.width):
        values = (row[column] for row in answer.rows if row[column] is not None)
        letters.append(_letter(next(values, None)))
    return "".join(letters)


def _letter(value: Any) -> str:
    if isinstance(value, float | Decimal):
        return "R"
    return "I" if isinstance(value, int) and not isinstance(value, bool) else "T"


def _sorted(rows: list[tuple[Any, ...]], sort: str) -> list[tuple[Any, ...]]:
    if sort == "valuesort":
        return sorted(((value,) for row in rows for value in row), key=lambda row: text(row[0]))
    if sort == "rowsort":
        return sorted(rows, key=lambda row: [text(value) for value in row])
    return rows


def _same_row(expected: str, row: tuple[Any, ...]) -> bool:
    cells = expected.split("\t")
    return len(cells) == len(row) and all(map(_same, cells, row))


def _same(expected: str, value: Any) -> bool:
    if text(value) == expected:
        return True
    try:
        return isinstance(value, float) and math.isclose(float(expected), value, rel_tol=TOLERANCE)
    except ValueError:
        return False


def _mismatch(expected: Sequence[str], shown: Sequence[str]) -> str:
    lines = ["expected", *(f"  {line}" for line in expected), "got", *(f"  {li}" for li in shown)]
    return "\n".join(lines)
