"""The interactive shell."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

from prompt_toolkit import PromptSession
from prompt_toolkit.buffer import Buffer
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

from tensorsql.dbapi import Connection
from tensorsql.errors import Error, guarded
from tensorsql.parser.dialect import is_complete, split
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.completer import SqlCompleter
from tensorsql.repl.names import Names, names_of
from tensorsql.repl.report import CANCELLED, describe
from tensorsql.repl.runner import Runner
from tensorsql.repl.script import is_command, run_script

PROMPT = "tensorsql> "
CONTINUATION = "      ...> "
GREETING = "Statements end with a semicolon; .help lists commands, .quit leaves."


class Shell:
    """Reads statements and dot commands until `.quit` or the end of input.

    Ctrl-C drops what is being typed or cancels what is running; an error leaves the session usable.
    """

    def __init__(self, runner: Runner) -> None:
        self.runner = runner
        self._names: Names | None = None

    @classmethod
    def of(cls, connection: Connection, mode: str) -> Shell:
        """A shell that answers on standard output."""
        return cls(Runner(connection, sys.stdout, COMMANDS, mode, tell_changes=True))

    def loop(self) -> None:
        """Prompt and answer until the user leaves."""
        prompt: PromptSession[str] = PromptSession(
            PROMPT,
            multiline=True,
            prompt_continuation=CONTINUATION,
            history=open_history(),
            completer=SqlCompleter(self.names),
            key_bindings=_keys(),
        )
        self.runner.output.write(GREETING + "\n")
        while not self.runner.finished:
            with suppress(KeyboardInterrupt):
                try:
                    text = prompt.prompt()
                except EOFError:
                    return
                self.answer(text)

    def answer(self, text: str) -> None:
        """Run what was typed; an error is told, not raised."""
        self._names = None
        try:
            with guarded():
                run_script(text.strip(), self.runner)
        except Error as error:
            self.runner.output.write(describe(error) + "\n")
        except KeyboardInterrupt:
            self.runner.output.write(CANCELLED + "\n")
        self.runner.output.flush()

    def names(self) -> Names:
        """The names to complete, looked up once per prompt; none if the catalog cannot be read."""
        if self._names is None:
            try:
                self._names = names_of(self.runner.connection.session)
            except Error:
                self._names = Names()
        return self._names


def is_ready(text: str) -> bool:
    """Whether Enter runs the text: a dot command, a complete statement, or nothing at all."""
    return is_command(text.lstrip()) or is_complete(text) or not split(text)


def _keys() -> KeyBindings:
    keys = KeyBindings()

    @keys.add("enter")
    def _(event: KeyPressEvent) -> None:
        _enter(event.current_buffer)

    return keys


def _enter(buffer: Buffer) -> None:
    if buffer.complete_state and buffer.complete_state.current_completion:
        buffer.complete_state = None  # keeps the text of the chosen completion
    elif is_ready(buffer.text):
        buffer.validate_and_handle()
    else:
        buffer.insert_text("\n")


def open_history() -> History:
    """The file $TENSORSQL_HISTORY or ~/.tensorsql_history; memory if it cannot be written."""
    named = os.environ.get("TENSORSQL_HISTORY")
    path = Path(named) if named else Path.home() / ".tensorsql_history"
    try:
        # Statements may hold secrets: a new file is its owner's alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
