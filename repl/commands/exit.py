"""`.exit`: leave, by another name."""

from __future__ import annotations

from tensorsql.repl.commands import quit
from tensorsql.repl.runner import Command

COMMAND = Command(".exit", ".exit", "leave", quit.run)
