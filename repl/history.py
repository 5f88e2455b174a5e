"""Where the shell remembers what was typed."""

from __future__ import annotations

import os
from pathlib import Path

from prompt_toolkit.history import FileHistory, History, InMemoryHistory


def open_history() -> History:
    """The file $TENSORSQL_HISTORY or ~/.tensorsql_history; memory if it cannot be written."""
    given = os.environ.get("TENSORSQL_HISTORY")
    path = Path(given) if given else Path.home() / ".tensorsql_history"
    try:
        # Statements may hold secrets: a new file is its owner's alone.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(str(path))
