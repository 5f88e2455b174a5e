"""Scripts: SQL statements and dot commands in one text."""

from __future__ import annotations

from collections.abc import Iterator

from tensorsql.errors import Error, IOError, reason
from tensorsql.parser.dialect import is_complete, split
from tensorsql.repl.report import placed_in_script
from tensorsql.repl.runner import Runner
from tensorsql.storage.files.plain_files import check_path


def run_script(text: str, runner: Runner) -> None:
    """Run everything in order up to the first error, whose place is one in `text`."""
    for start, piece in pieces(text):
        if runner.finished:
            return
        try:
            if is_command(piece):
                runner.command(piece.strip())
            else:
                runner.run(piece)
        except Error as error:
            placed_in_script(error, text, piece, text[:start])
            raise


def is_command(piece: str) -> bool:
    """Whether the text is a dot command rather than SQL."""
    return piece.startswith(".")


def pieces(text: str) -> Iterator[tuple[int, str]]:
    """The statements and dot commands of a script, each with its offset.

    A line that begins with a dot is a command unless a statement is still open before it.
    """
    start = offset = 0
    for line in text.splitlines(keepends=True):
        if is_command(line) and _is_closed(text[start:offset]):
            yield from _statements(text[start:offset], start)
            yield offset, line
            start = offset + len(line)
        offset += len(line)
    yield from _statements(text[start:], start)


def _is_closed(text: str) -> bool:
    return is_complete(text) or not split(text)


def _statements(text: str, start: int) -> Iterator[tuple[int, str]]:
    for statement in split(text):
        yield start, statement
        start += len(statement)


def read_text(path: str | int) -> str:
    """The text of a script; IOError names a file that cannot be read."""
    if isinstance(path, str):
        check_path(path)
    try:
        with open(path, encoding="utf-8-sig", closefd=isinstance(path, str)) as file:
            return file.read()
    except OSError as error:
        raise IOError(f'script "{path}" cannot be read: {reason(error)}') from None
    except UnicodeDecodeError:
        raise IOError(f'script "{path}" cannot be read: it is not UTF-8 text') from None
