"""The command line: what it takes, what it writes, how it ends."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tomllib
from pathlib import Path

import pytest
from rich.cells import cell_len

import tensorsql
from tensorsql.__main__ import main
from tensorsql.repl.table import write_table

PEOPLE = """CREATE TABLE people (id INTEGER, name VARCHAR, paid DECIMAL(8,2));
INSERT INTO people VALUES (1, 'Ada', 10.50), (2, NULL, 3.00);
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit status, output and errors of a command line."""
    status = main(arguments)
    output, errors = capsys.readouterr()
    return status, output, errors


def test_flags_as_duckdb_writes_them(capsys: pytest.CaptureFixture[str]) -> None:
    """A mode is a flag too, and a flag that there is not is no `-c` or `-f` with its text."""
    assert run(capsys, "-csv", "-c", "SELECT 1 AS a") == (0, "a\n1\n", "")
    assert run(capsys, "-c", "SELECT 1 AS a", "-json")[1] == '[{"a":1}]\n'
    for flag in ("-cmd", "-column", "-fancy", "--mod", "--read"):
        with pytest.raises(SystemExit) as ended:
            run(capsys, flag, "csv", "-c", "SELECT 1")
        assert ended.value.code == 2, flag


def test_rows_of_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "--mode", "csv", "-c", "SELECT 1 AS a, 'x' AS b") == (0, "a,b\n1,x\n", "")


def test_commands_and_files_run_in_order(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    script = tmp_path / "people.sql"
    script.write_text(PEOPLE + "SELECT 'file';")
    status, output, errors = run(
        capsys, "--mode", "csv", "-c", "SELECT 'one'; SELECT 2", "-f", str(script),
        "-c", "SELECT name FROM people ORDER BY id",
    )  # fmt: skip
    assert (status, errors) == (0, "")
    assert [line for line in output.split() if not line.startswith('"')][-2:] == ["name", "Ada"]
    assert output.index("one") < output.index("2") < output.index("file") < output.index("Ada")


def test_database_persists(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = str(tmp_path / "d.tsql")
    assert run(capsys, path, "-c", PEOPLE) == (0, "", "")
    found = run(capsys, path, "--read-only", "--mode", "csv", "-c", "SELECT id FROM people")
    assert found == (0, "id\n1\n2\n", "")
    status, _, errors = run(capsys, path, "--read-only", "-c", "DROP TABLE people")
    assert status == 1 and "read-only" in errors


def test_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    text = tmp_path / "text.sql"
    text.write_text(PEOPLE + ".tables\nSELECT paid FROM people\n")
    for arguments in ([], ["-f", "-"]):
        with text.open() as opened:
            monkeypatch.setattr("sys.stdin", opened)
            found = run(capsys, "--mode", "csv", *arguments)
        assert found == (0, "people\npaid\n10.50\n3.00\n", "")


def test_module_is_a_program() -> None:
    command = [sys.executable, "-m", "tensorsql"]
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout == f"tensorsql {tensorsql.__version__}\n"
    done = subprocess.run(command, input="SELEC", capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith("Parse Error: ") and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("SELECT 1;\n\nSELECT\n  nope;\n", ["Bind Error: ", "LINE 4:   nope", "          ^"]),
        ("SELECT 1; SELECT nope;", ["LINE 1: SELECT 1; SELECT nope;", " " * 25 + "^"]),
        ("-- no\nSELECT 1 +;\nSELECT 2;", ["Parse Error: ", "LINE 2: SELECT 1 +;"]),
        ("SELECT 'never ends\n;", ["Parse Error: unterminated string", "LINE 1:"]),
        (".tabels\n", ["Programming Error: ", 'no command ".tabels"', 'mean ".tables"']),
        (".mode tabel", ["Programming Error: ", 'mean "table"']),
        (".read\n", ["usage: .read FILE"]),
        (".schema nothing", ['no table or view "nothing"']),
        (".read 'x", ["a quote"]),
        ("SELECT * FROM 'missing.parquet'", ["missing.parquet"]),
    ],
)
def test_errors_are_told_with_their_place(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, script: str, expected: list[str]
) -> None:
    path = tmp_path / "script.sql"
    path.write_text(script)
    status, output, errors = run(capsys, "-f", str(path))
    assert status == 1
    for part in expected:
        assert part in errors
    assert "Traceback" not in errors + output


def test_the_first_error_ends_it(capsys: pytest.CaptureFixture[str]) -> None:
    status, output, _ = run(capsys, "--mode", "csv", "-c", "SELECT 1 AS a; SELECT x; SELECT 2 AS b")
    assert (status, output) == (1, "a\n1\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-f", "missing.sql"], 'IO Error: script "missing.sql" cannot be read'),
        (["/dev/null/x", "-c", "SELECT 1"], "IO Error: "),
        (["missing.tsql", "--read-only", "-c", "SELECT 1"], "does not exist"),
    ],
)
def test_files_that_cannot_be_opened(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    status, _, errors = run(capsys, *arguments)
    assert status == 1 and message in errors and "Traceback" not in errors


def test_binary_script_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "x.sql").write_bytes(b"\xff\xfe\x00")
    status, _, errors = run(capsys, "-f", str(tmp_path / "x.sql"))
    assert status == 1 and "not UTF-8" in errors


def test_defects_show_no_traceback_unless_asked(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("tensorsql.session.Session.execute", fails)
    status, _, errors = run(capsys, "-c", "SELECT 1")
    assert status == 1 and "Internal Error: KeyError" in errors and "report" in errors
    assert "Traceback" not in errors
    monkeypatch.setenv("TENSORSQL_DEBUG", "1")
    assert "Traceback" in run(capsys, "-c", "SELECT 1")[2]


def test_version_is_the_package_s() -> None:
    project = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
    assert project["project"]["version"] == tensorsql.__version__


def test_wrong_options_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--mode", "xml"], ["a.tsql", "b.tsql"], ["--nothing"]):
        with pytest.raises(SystemExit) as found:
            main(arguments)
        assert found.value.code == 2


def test_interrupt_ends_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    digits = "WITH d(i) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) "
    many = "SELECT sum(a.i * h.i) FROM d a, d b, d c, d e, d f, d g, d h, d j, d k"
    pressed = threading.Timer(1, lambda: os.kill(os.getpid(), signal.SIGINT))
    pressed.start()
    began = time.perf_counter()
    try:
        status, output, errors = run(
            capsys, "--mode", "csv", "-c", f"SELECT 1 AS a; {digits}{many}"
        )
    finally:
        pressed.cancel()
    assert (status, output) == (130, "a\n1\n")
    assert errors == "Interrupted Error: the query was cancelled\n"
    assert time.perf_counter() - began < 3


def test_reader_that_leaves_is_no_error() -> None:
    command = [sys.executable, "-m", "tensorsql", "-c", ".help"]
    read, write = os.pipe()
    os.close(read)
    with subprocess.Popen(command, stdout=write, stderr=subprocess.PIPE) as running:
        os.close(write)
        assert running.stderr is not None
        assert running.stderr.read() == b""


@pytest.fixture
def people(tmp_path: Path) -> str:
    path = str(tmp_path / "people.tsql")
    with tensorsql.connect(path) as connection:
        connection.execute(PEOPLE)
    return path


def test_table_mode(capsys: pytest.CaptureFixture[str], people: str) -> None:
    assert run(capsys, people, "-c", "SELECT * FROM people ORDER BY id")[1] == (
        "┌─────────┬─────────┬──────────────┐\n"
        "│   id    │  name   │     paid     │\n"
        "│ integer │ varchar │ decimal(8,2) │\n"
        "├─────────┼─────────┼──────────────┤\n"
        "│       1 │ Ada     │        10.50 │\n"
        "│       2 │ NULL    │         3.00 │\n"
        "└─────────┴─────────┴──────────────┘\n"
        "2 rows\n"
    )


def test_other_modes(capsys: pytest.CaptureFixture[str], people: str) -> None:
    def shown(mode: str) -> str:
        return run(capsys, people, "--mode", mode, "-c", "SELECT * FROM people ORDER BY id")[1]

    assert shown("csv") == "id,name,paid\n1,Ada,10.50\n2,,3.00\n"
    assert shown("tsv") == "id\tname\tpaid\n1\tAda\t10.50\n2\t\t3.00\n"
    assert shown("line") == (
        "  id = 1\nname = Ada\npaid = 10.50\n\n  id = 2\nname = NULL\npaid = 3.00\n"
    )
    assert shown("markdown") == (
        "| id | name | paid |\n| ---: | --- | ---: |\n| 1 | Ada | 10.50 |\n| 2 | NULL | 3.00 |\n"
    )
    assert json.loads(shown("json")) == [
        {"id": 1, "name": "Ada", "paid": 10.5},
        {"id": 2, "name": None, "paid": 3.0},
    ]


def test_json_is_json_whatever_the_values(capsys: pytest.CaptureFixture[str]) -> None:
    sql = """SELECT 'a"b' AS "q""q", 'nan'::DOUBLE AS n, DATE '2020-01-01' AS d, true AS t,
             [1, 2] AS l, {'x': 1.5} AS s, '\\x00'::BLOB AS b"""
    (row,) = json.loads(run(capsys, "--mode", "json", "-c", sql)[1])
    others = {"n": None, "d": "2020-01-01", "t": True, "l": [1, 2], "s": {"x": 1.5}, "b": "00"}
    assert row == {'q"q': 'a"b', **others}
    assert run(capsys, "--mode", "json", "-c", "SELECT 1 WHERE false")[1] == "[]\n"


def test_long_results_show_both_ends(capsys: pytest.CaptureFixture[str]) -> None:
    values = ", ".join(f"({i})" for i in range(1234))
    lines = run(capsys, "-c", f"SELECT * FROM (VALUES {values}) t(i)")[1].splitlines()
    assert lines[4].split() == ["│", "0", "│"] and lines[-3].split() == ["│", "1233", "│"]
    assert lines[24].split() == ["│", "·", "│"]
    assert lines[-1] == "… 1,234 rows (40 shown)"


def test_plans_are_shown_as_they_are(capsys: pytest.CaptureFixture[str], people: str) -> None:
    output = run(capsys, people, "-c", "EXPLAIN SELECT id FROM people WHERE id > 1")[1]
    assert "│" not in output and "Scan" in output


def test_control_characters_stay_in_their_cell(capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "-c", "SELECT 'a\n\x1b[31mb' AS x, 1 AS y")[1].splitlines()
    assert "a\\n\\x1b[31mb" in lines[4]
    assert run(capsys, "-c", "SELECT 'a\n\x1b[31mb'")[1] == "a\n\\x1b[31mb\n"


def test_script_commands(capsys: pytest.CaptureFixture[str], tmp_path: Path, people: str) -> None:
    inner = tmp_path / "inner.sql"
    inner.write_text("SELECT count(*) AS n FROM people;\n")
    outer = tmp_path / "outer.sql"
    outer.write_text(
        f".mode csv\n.read '{inner}'\n.mode\n.timer on\n.timer\nSELECT 1 AS a\n;\n.quit\nnonsense\n"
    )
    status, output, errors = run(capsys, people, "-f", str(outer))
    assert (status, errors) == (0, "")
    lines = output.splitlines()
    assert lines[:6] == ["n", "2", "csv", "on", "a", "1"] and lines[6].startswith("Run time: 0.")


def test_script_that_reads_itself(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "loop.sql"
    path.write_text(f".read {path}\n")
    status, _, errors = run(capsys, "-f", str(path))
    assert status == 1 and "reads itself" in errors


def test_schema_and_help(capsys: pytest.CaptureFixture[str], people: str) -> None:
    made = (
        'CREATE TABLE "order" (\n  "two words" INTEGER NOT NULL,\n  PRIMARY KEY ("two words")\n);\n'
        "CREATE TABLE people (\n  id INTEGER,\n  name VARCHAR,\n  paid DECIMAL(8,2)\n);\n"
    )
    sql = 'CREATE TABLE "order" ("two words" INTEGER NOT NULL, PRIMARY KEY ("two words"));'
    assert run(capsys, people, "-c", sql)[0] == 0
    assert run(capsys, people, "-c", ".schema")[1] == made
    output = run(capsys, "-c", made + ".tables")[1]
    assert output == "order\npeople\n"
    listed = run(capsys, "-c", ".help")[1]
    for name in (".help", ".tables", ".schema", ".mode", ".timer", ".read", ".quit", ".exit"):
        assert f"\n{name}" in "\n" + listed


def test_a_dot_inside_a_statement_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert "command" not in run(capsys, "-c", "SELECT 1 +\n.nope;")[2]
    text = "SELECT '\n.tables\n' AS a;\n.mode"
    assert run(capsys, "--mode", "csv", "-c", text)[1] == 'a\n"\n.tables\n"\ncsv\n'


def test_output_of_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    names = ", ".join(f"{i} AS column_number_{i}" for i in range(40))
    output = run(capsys, "-c", f"SELECT {names}")[1]
    assert "column_number_0" in output and "column_number_39" in output
    assert len({len(line) for line in output.splitlines()[:-1]}) == 1


class Terminal(io.StringIO):
    """Output that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("sql", "footer"),
    [
        (", ".join(f"{i} AS column_{i}" for i in range(20)), "1 row, 20 columns (4 shown)"),
        ("repeat('x', 500) AS x", "1 row"),
        ("repeat('x', 500) AS x, repeat('日本', 500) AS y", "1 row"),
        (
            "repeat('x', 50) AS x, 1 AS a, 2 AS b, repeat('y', 50) AS y",
            "1 row, 4 columns (2 shown)",
        ),
    ],
)
def test_terminals_are_not_overrun(monkeypatch: pytest.MonkeyPatch, sql: str, footer: str) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    with tensorsql.connect() as connection:
        write_table(connection.execute(f"SELECT {sql}").rows, terminal)
    lines = re.sub(r"\x1b\[\d+m", "", terminal.getvalue()).splitlines()
    assert {cell_len(line) for line in lines[:-1]} == {cell_len(lines[0])}
    assert cell_len(lines[0]) <= 60
    assert lines[-1] == footer


def test_text_that_is_not_as_expected(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A byte order mark is skipped, bytes that are no UTF-8 and half characters are told."""
    path = tmp_path / "script.sql"
    path.write_bytes(b"\xef\xbb\xbfSELECT 1 AS a;")
    assert run(capsys, "--mode", "csv", "-f", str(path)) == (0, "a\n1\n", "")
    path.write_bytes(b"SELECT '\xff';")
    assert "it is not UTF-8 text" in run(capsys, "-f", str(path))[2]
    assert "half a character" in run(capsys, "-c", "SELECT '\udcff'")[2]
