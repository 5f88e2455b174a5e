"""Errors as a user reads them: their class, the message, the place. Never a traceback."""

from __future__ import annotations

import os
import re
import sys
import traceback
import warnings

from tensorsql.cancellation import MESSAGE
from tensorsql.errors import Error, InterruptedError


def describe(error: Error) -> str:
    """`Bind Error: …` with the line of SQL and a caret; the traceback if TENSORSQL_DEBUG is 1."""
    title = re.sub(r"(?<!^)(?=[A-Z][a-z])", " ", type(error).__name__)
    text = f"{title}: {error}"
    if os.environ.get("TENSORSQL_DEBUG") == "1":
        text += "\n\n" + "".join(traceback.format_exception(error)).rstrip()
    return text


def tell_warnings() -> None:
    """From here on the process says warnings as it says errors, each time one is given."""
    warnings.simplefilter("always", UserWarning)
    warnings.showwarning = _tell


def _tell(message: Warning | str, *_: object, **__: object) -> None:
    print(f"Warning: {message}", file=sys.stderr, flush=True)


CANCELLED = describe(InterruptedError(MESSAGE))  # what Ctrl-C does


def placed_in_script(error: Error, script: str, statement: str, before: str) -> None:
    """Count the error's line and column in the script, where the statement follows `before`."""
    if error.position is None or error.sql != statement:
        return
    line, column = error.position
    if line == 1:
        column += len(before) - (before.rfind("\n") + 1)
    error.position = line + before.count("\n"), column
    error.sql = script
