"""Adding is cheap: a toy of each kind is its own file and its line, all of them in one copy.

tests/toys has the files, at their places in the tree; `TOYS` has the lines that registries get.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from mutants import copy_tree

HERE = Path(__file__).parent
FUTURE = "from __future__ import annotations\n"


@dataclass(frozen=True)
class Line:
    """`text` in a registry, after the line `after`, and the import that it needs."""

    file: str
    after: str
    text: str
    imports: str = ""

    def add(self, tree: Path) -> None:
        """Write it."""
        path = tree / self.file
        text = path.read_text(encoding="utf-8")
        assert text.count(self.after + "\n") == 1, f"{self.file} has no one line {self.after!r}"
        text = text.replace(self.after + "\n", f"{self.after}\n{self.text}\n")
        path.write_text(text.replace(FUTURE, f"{FUTURE}\n{self.imports}\n", 1), encoding="utf-8")


@dataclass(frozen=True)
class Toy:
    """The files that are new, the lines in registries, and a script with what it writes."""

    files: tuple[str, ...]
    lines: tuple[Line, ...]
    script: str
    output: str


RULES = "RULES: tuple[Rule, ...] = ("
SIGNATURES = "planner/functions/signatures"
TOYS = {
    "a rule": Toy(
        ("planner/rules/keep_two.py",),
        (
            Line(
                *("planner/optimizer.py", RULES, "    keep_two,"),
                "from tensorsql.planner.rules.keep_two import keep_two",
            ),
        ),
        "SELECT i FROM range(9) t(i) LIMIT 55;",
        "i\n0\n1\n",
    ),
    "an operator, and a rule that makes its node": Toy(
        (
            "operators/every_other.py",
            "planner/plans/every_other.py",
            "planner/rules/skip_rows.py",
        ),
        (
            Line(
                "operators/compiler.py",
                "COMPILE: dict[type[Plan], CompileFunction] = {",
                "    EveryOther: compile_every_other,",
                "from tensorsql.operators.every_other import EveryOther, compile_every_other",
            ),
            Line(
                *("planner/optimizer.py", RULES, "    skip_rows,"),
                "from tensorsql.planner.rules.skip_rows import skip_rows",
            ),
        ),
        "SELECT i FROM range(5) t(i) LIMIT 66; EXPLAIN SELECT 1 LIMIT 66;",
        'i\n0\n2\n4\nplan\n"EveryOther\n  Project 1\n    Values 1 row []"\n',
    ),
    "a scalar function": Toy(
        ("operators/functions/twice.py",),
        (
            Line(
                f"{SIGNATURES}/numbers.py",
                "SIGNATURES = (",
                '    Signature("twice", (BIGINT,), BIGINT, "twice.twice"),',
                "from tensorsql.storage.columns.types import BIGINT",
            ),
        ),
        "SELECT twice(21) AS a, twice(NULL) AS b;",
        "a,b\n42,\n",
    ),
    "an aggregate": Toy(
        ("operators/functions/evens.py",),
        (
            Line(
                f"{SIGNATURES}/aggregates.py",
                "SIGNATURES: tuple[Signature, ...] = (",
                '    _aggregate("evens", (BIGINT,), BIGINT, "evens.evens"),',
            ),
        ),
        "SELECT i % 3 AS g, evens(i) AS e FROM range(9) t(i) GROUP BY g ORDER BY g;",
        "g,e\n0,2\n1,1\n2,2\n",
    ),
    "a table function": Toy(
        ("planner/binder/countdown.py",),
        (
            Line(
                "planner/binder/table_functions.py",
                "TABLE_FUNCTIONS: dict[str, BindTableFunction] = {",
                '    "countdown": countdown,',
                "from tensorsql.planner.binder.countdown import countdown",
            ),
        ),
        "SELECT n FROM countdown(3);",
        "n\n3\n2\n1\n",
    ),
    "a file format": Toy(
        ("storage/formats/lines.py",),
        (
            Line(
                "storage/formats/__init__.py",
                "FORMATS: tuple[Format, ...] = (",
                '    Format("lines", ("read_lines",), ("lines",)),',
            ),
        ),
        "SELECT * FROM read_lines('two.lines'); SELECT count(*) AS n FROM 'two.lines';",
        "line\none\ntwo\nn\n2\n",
    ),
    "a kind of index, which bounds what CHI does": Toy(
        ("operators/indexes/open/index.py",),
        (
            Line(
                "operators/indexes/__init__.py",
                "INDEXES: dict[str, Index] = {",
                '    "OPEN": OpenIndex(),',
                "from tensorsql.operators.indexes.open.index import OpenIndex",
            ),
            Line(
                "planner/analysis/index_use.py",
                *("INDEX_METHODS: dict[str, IndexMethod] = {", '    "OPEN": Chi(),'),
            ),
        ),
        """CREATE TABLE m AS SELECT index AS id, mask FROM read_masks('masks.npy');
        CREATE INDEX i ON m USING OPEN (mask);
        EXPLAIN SELECT id FROM m WHERE CP(mask, -, (1, 1)) > 2;
        SELECT id FROM m WHERE CP(mask, -, (1, 1)) > 2;""",
        'plan\n"Project id\n  IndexFilter CP(mask, -, (1, 1)) > 2 using i\n'
        '    Scan m [id, mask, row_id]"\nid\n1\n',
    ),
    "a family of models": Toy(
        ("operators/models/linear.py",),
        (
            Line(
                *("operators/models/load.py", "FORMATS = {"),
                '    ".linear": Format("linear", linear.load, EVERY_MODEL),',
                "from tensorsql.operators.models import linear",
            ),
        ),
        """CREATE MODEL summed FROM 'two.linear' WITH (features = ['a', 'b'], output = 'raw');
        SELECT PREDICT(summed, i, 2 * i) AS p FROM range(3) t(i);""",
        "p\n0.0\n8.0\n16.0\n",
    ),
    "a statement: read, bound, carried out": Toy(
        ("parser/ping.py", "planner/plans/ping.py", "tensorsql/ping.py"),
        (
            Line(
                "parser/statement_parser.py",
                "STATEMENT_WORDS: dict[str, Callable[[StatementParser], exp.Expr]] = {",
                '    "PING": parse_ping,',
                "from tensorsql.parser.ping import parse_ping",
            ),
            Line(
                "planner/binder/statements.py",
                "STATEMENTS: dict[type[exp.Expr], Bind] = {",
                "    Ping: bind_ping,",
                "from tensorsql.parser.ping import Ping\n"
                "from tensorsql.planner.plans.ping import bind_ping",
            ),
            Line(
                "tensorsql/execution.py",
                "CARRY_OUT: dict[type[bound.BoundStatement], Callable[..., Result]] = {",
                "    BoundPing: ping,",
                "from tensorsql.ping import ping\n"
                "from tensorsql.planner.plans.ping import BoundPing",
            ),
        ),
        "PING;",
        "ping\npong\n",
    ),
    "a setting": Toy(
        (),
        (
            Line(
                "tensorsql/settings.py",
                "SETTINGS: tuple[Setting, ...] = (",
                '    Setting("greeting", "hello", "a toy", str),',
            ),
        ),
        "SET greeting = 'hi'; SELECT value FROM (SHOW SETTINGS) WHERE name = 'greeting';",
        "value\nhi\n",
    ),
    "a shell command": Toy(
        ("repl/commands/shout.py",),
        (
            Line(
                "repl/commands/__init__.py",
                "COMMANDS: tuple[Command, ...] = (",
                "    shout.COMMAND,",
                "from tensorsql.repl.commands import shout",
            ),
        ),
        ".shout hey",
        "HEY!\n",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree with all toys in it, and the files that scripts read."""
    import numpy as np

    copy = tmp_path_factory.mktemp("toys") / "tree"
    copy_tree(copy)
    for toy in TOYS.values():
        for file in toy.files:
            (copy / file).parent.mkdir(exist_ok=True)
            shutil.copyfile(HERE / "toys" / file, copy / file)
        for line in toy.lines:
            line.add(copy)
    (copy / "two.lines").write_text("one\ntwo\n", encoding="utf-8")
    (copy / "two.linear").write_text("2 3\n", encoding="utf-8")
    np.save(copy / "masks.npy", np.eye(3, dtype=np.uint8)[None] * np.array([[[0]], [[255]]], "B"))
    return copy


def run(tree: Path, *arguments: str, script: str = "") -> str:
    """What Python writes, in the copy."""
    done = subprocess.run(
        [sys.executable, *arguments],
        input=script,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_toys_work(tree: Path) -> None:
    """All in one session."""
    scripts = "\n".join(f".shout '{name}'\n{toy.script}" for name, toy in TOYS.items())
    outputs = "".join(f"{name.upper()}!\n{toy.output}" for name, toy in TOYS.items())
    assert run(tree, "-m", "tensorsql", script=f".mode csv\n{scripts}\n") == outputs


def test_the_registries_know_the_toys(tree: Path) -> None:
    """What looks for files outside every registry finds none."""
    run(tree, "-m", "pytest", "-q", "tests/test_extensions.py")


def test_every_file_is_of_a_toy() -> None:
    files = {str(path.relative_to(HERE / "toys")) for path in (HERE / "toys").rglob("*.py")}
    assert files == {file for toy in TOYS.values() for file in toy.files}
