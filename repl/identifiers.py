"""Names in SQL text."""

from __future__ import annotations

import re

from tensorsql.repl.keywords import RESERVED

PLAIN = re.compile(r"[A-Za-z_]\w*\Z")


def quoted(name: str) -> str:
    """The name as SQL needs it, in double quotes unless it is a plain word."""
    if PLAIN.match(name) and name.upper() not in RESERVED:
        return name
    return '"' + name.replace('"', '""') + '"'


def unquoted(text: str) -> str:
    """The name that a word or quoted name of SQL stands for."""
    return text[1:-1].replace('""', '"') if text.startswith('"') else text
