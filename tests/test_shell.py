"""The shell: on a pipe instead of a terminal, and once on a real one."""

from __future__ import annotations

import io
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

import tensorsql
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.report import CANCELLED
from tensorsql.repl.runner import Runner
from tensorsql.repl.shell import Shell, is_ready

ENTER = "\r"
CONTROL_C = "\x03"
CONTROL_D = "\x04"
UP = "\x1b[A"


@pytest.fixture(autouse=True)
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "history"
    monkeypatch.setenv("TENSORSQL_HISTORY", str(path))
    return path


@pytest.fixture
def shell() -> Iterator[Shell]:
    with tensorsql.connect() as connection:
        yield Shell(Runner(connection, io.StringIO(), COMMANDS, "csv", tell_changes=True))


def typed(shell: Shell, text: str) -> str:
    """What the shell writes when this is typed."""
    with create_pipe_input() as pipe:
        pipe.send_text(text)
        with create_app_session(input=pipe, output=DummyOutput()):
            shell.loop()
    output = shell.runner.output
    assert isinstance(output, io.StringIO)
    return output.getvalue().partition("\n")[2]


def test_statements_and_commands(shell: Shell) -> None:
    text = f"CREATE TABLE t (a INTEGER);{ENTER}INSERT INTO t VALUES (1), (2);{ENTER}.tables{ENTER}"
    assert typed(shell, f"{text}SELECT * FROM t;{ENTER}.quit{ENTER}") == "2 rows\nt\na\n1\n2\n"


def test_a_statement_may_take_many_lines(shell: Shell) -> None:
    text = f"SELECT 1 AS a,{ENTER}';' AS b{ENTER};{ENTER}{CONTROL_D}"
    assert typed(shell, text) == "a,b\n1,;\n"


def test_several_statements_on_a_line(shell: Shell) -> None:
    assert typed(shell, f"SELECT 1 AS a; SELECT 2 AS b;{ENTER}{CONTROL_D}") == "a\n1\nb\n2\n"


def test_errors_leave_the_session_usable(shell: Shell) -> None:
    output = typed(
        shell, f"SELECT 1,{ENTER} nope;{ENTER}.nope{ENTER}SELECT 2 AS b;{ENTER}{CONTROL_D}"
    )
    assert "LINE 2:  nope" in output and 'no command ".nope"' in output
    assert output.endswith("b\n2\n")


def test_interrupt_drops_what_is_typed(shell: Shell) -> None:
    output = typed(shell, f"SELECT 1 AS a,{CONTROL_C}SELECT 2 AS b;{ENTER}{CONTROL_D}")
    assert output == "b\n2\n"


def test_interrupt_while_running_keeps_the_session(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:

        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(shell.runner.connection.session, "execute", interrupted)
        shell.answer("SELECT 1;")
    shell.answer("SELECT 2 AS b;")
    assert isinstance(shell.runner.output, io.StringIO)
    assert shell.runner.output.getvalue() == f"{CANCELLED}\nb\n2\n"


def test_history_is_kept(shell: Shell, history: Path) -> None:
    typed(shell, f"SELECT 1 AS a;{ENTER}{CONTROL_D}")
    assert "SELECT 1 AS a;" in history.read_text()
    assert history.stat().st_mode & 0o777 == 0o600
    assert typed(shell, f"{UP}{ENTER}{CONTROL_D}").count("a\n1\n") == 2


def test_history_that_cannot_be_written_is_done_without(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TENSORSQL_HISTORY", "/dev/null/history")
    assert typed(shell, f"SELECT 1 AS a;{ENTER}{CONTROL_D}") == "a\n1\n"


@pytest.mark.parametrize(
    ("text", "ready"),
    [
        ("", True),
        ("  -- only a comment", True),
        (".tables", True),
        ("  .tables", True),
        ("SELECT 1", False),
        ("SELECT 1;", True),
        ("SELECT 1; -- done", True),
        ("SELECT ';", False),
        ("SELECT 1; SELECT", False),
    ],
)
def test_when_enter_runs(text: str, ready: bool) -> None:
    assert is_ready(text) is ready


def test_names_are_fresh_after_each_statement(shell: Shell) -> None:
    assert shell.names().tables == {}
    shell.answer("CREATE TABLE t (a INTEGER);")
    assert shell.names().tables == {"t": ("a",)}


class Terminal:
    """The shell in a process of its own on a pseudo-terminal."""

    def __init__(self) -> None:
        self.main, terminal = pty.openpty()
        environment = {**os.environ, "PROMPT_TOOLKIT_NO_CPR": "1", "TERM": "xterm", "COLUMNS": "80"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tensorsql"],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,
        )
        os.close(terminal)

    def send(self, text: str) -> None:
        """Type."""
        os.write(self.main, text.encode())

    def wait_for(self, text: str, seconds: float = 30) -> str:
        """Everything written until `text` comes."""
        seen, end = b"", time.perf_counter() + seconds
        while text.encode() not in seen:
            ready, _, _ = select.select([self.main], [], [], max(end - time.perf_counter(), 0))
            assert ready, f"{text!r} did not come, but {seen.decode(errors='replace')!r}"
            seen += os.read(self.main, 65536)
        return seen.decode(errors="replace")


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def test_interrupt_on_a_terminal() -> None:
    digits = "WITH d(i) AS (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) "
    many = "SELECT sum(a.i * h.i) FROM d a, d b, d c, d e, d f, d g, d h, d j, d k;"
    terminal = Terminal()
    try:
        terminal.wait_for("tensorsql>")
        terminal.send(f"SELECT 40 + 2;{ENTER}")
        terminal.wait_for("42")
        terminal.send(digits + many + ENTER)
        time.sleep(1.5)
        began = time.perf_counter()
        terminal.send(CONTROL_C)
        terminal.wait_for("Interrupted Error: the query was cancelled")
        assert time.perf_counter() - began < 3
        terminal.send(f"SELECT 6 * 7 + 1;{ENTER}")
        terminal.wait_for("43")
        terminal.send(f".quit{ENTER}")
        assert terminal.process.wait(timeout=20) == 0
    finally:
        terminal.process.kill()
        terminal.process.wait()
        os.close(terminal.main)
