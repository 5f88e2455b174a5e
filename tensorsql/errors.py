"""Every error a user can meet, under its PEP 249 parent.

A message is lower case without a full stop: what is wrong, where, and what to do.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

CONTEXT = 100  # characters of a long line shown on either side of the place


class Warning(Exception):  # the name is PEP 249's
    """Important warnings (PEP 249)."""


class Error(Exception):
    """Base of all errors tensorsql raises. `position` is (line, column), 1-based, once known."""

    def __init__(self, message: str = "", position: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.position = position
        self.sql: str | None = None

    def __str__(self) -> str:
        return self.message + self.caret()

    def caret(self) -> str:
        """The offending line of SQL with a caret below it, or nothing when either is unknown."""
        if self.sql is None or self.position is None:
            return ""
        line, column = self.position
        lines = self.sql.splitlines() or [""]
        text = lines[min(line, len(lines)) - 1].replace("\t", " ")
        start = max(0, column - CONTEXT) if len(text) > 2 * CONTEXT else 0
        prefix = f"LINE {line}: " + ("…" if start else "")
        text = text[start : start + 2 * CONTEXT] + ("…" if start + 2 * CONTEXT < len(text) else "")
        return f"\n{prefix}{text}\n{' ' * (len(prefix) + max(column - start, 1) - 1)}^"


class InterfaceError(Error):
    """Misuse of the DB-API itself, such as a closed cursor (PEP 249)."""


class DatabaseError(Error):
    """Parent of everything that goes wrong in the database (PEP 249)."""


class DataError(DatabaseError):
    """A problem with the processed data (PEP 249)."""


class OperationalError(DatabaseError):
    """A problem of the database's operation, not under the programmer's control (PEP 249)."""


class IntegrityError(DatabaseError):
    """A key or NOT NULL constraint does not hold (PEP 249).

    `rows` are those of the rows to add that break it, from 0, if they are known; `cure` is for
    rows that come from a file.
    """

    rows: tuple[int, ...] = ()
    cure: str = ""


class InternalError(DatabaseError):
    """A defect of tensorsql; please report it (PEP 249)."""


class ProgrammingError(DatabaseError):
    """The statement is wrong (PEP 249)."""


class NotSupportedError(DatabaseError):
    """A method or feature the database does not have (PEP 249)."""


class ParseError(ProgrammingError):
    """The text is not SQL."""


class BindError(ProgrammingError):
    """A name or a use of it has no meaning here."""


class CatalogError(ProgrammingError):
    """A table, view, model, index or setting is missing or exists already."""


class TypeMismatchError(ProgrammingError):
    """The operand types do not go together."""


class ConversionError(DataError):
    """A value cannot be converted to the type asked for."""


class OutOfRangeError(DataError):
    """A value does not fit its type."""


class UnsupportedError(NotSupportedError):
    """Valid SQL that tensorsql does not run."""


class OutOfMemoryError(OperationalError):
    """The machine has no memory left for the statement."""


class InterruptedError(OperationalError):  # the name follows DuckDB's
    """The query was cancelled."""


class IOError(OperationalError):  # the name follows DuckDB's
    """A file is missing or cannot be read or written."""


class CorruptError(OperationalError):
    """A file does not hold what it should."""


class TransactionError(OperationalError):
    """A transaction cannot begin, commit or go on."""


def shown(value: object) -> str:
    """A value as SQL writes it: NULL, true, a number or 'text'."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value).lower() if isinstance(value, bool) else str(value)


def nearest(name: str, candidates: Iterable[str]) -> str:
    """`; did you mean "x"?` for the closest known names, else what there is, else nothing."""
    names = sorted(set(candidates))
    folded = {candidate.lower(): candidate for candidate in names}
    close = [folded[hit] for hit in difflib.get_close_matches(name.lower(), folded, 3, 0.6)]
    if close:
        return "; did you mean " + " or ".join(f'"{hit}"' for hit in close) + "?"
    if names and len(names) <= 12:
        return "; there is " + ", ".join(f'"{hit}"' for hit in names)
    return ""


def reason(error: Exception) -> str:
    """Why an operation on a file failed, in the system's words if they are its."""
    code = getattr(error, "errno", None)  # Arrow puts its own words around them
    return os.strerror(code) if isinstance(code, int) else str(error)


@contextmanager
def guarded() -> Iterator[None]:
    """Turn any other exception into one of ours, with the original as its cause: the last line.

    Not so a reader of our output that left: that is no error of the statement.
    """
    try:
        yield
    except (Error, BrokenPipeError):
        raise
    except MemoryError as error:
        raise OutOfMemoryError("the machine has no memory left for this statement") from error
    except RecursionError as error:
        raise UnsupportedError("the statement nests too deeply; compute parts first") from error
    except OSError as error:
        file = f'file "{error.filename}"' if error.filename else "a file"
        raise IOError(f"{file} cannot be read or written: {reason(error)}") from error
    except Exception as error:
        if "can't allocate memory" in str(error):  # torch's own words
            raise OutOfMemoryError("the machine has no memory left for this statement") from error
        raise InternalError(
            f"{type(error).__name__}: {error}; "
            "this is a defect of tensorsql, please report it with the statement"
        ) from error
