"""sqlglot comes interpreted and compiled; only the interpreted classes can be built upon."""

from __future__ import annotations

from importlib.machinery import EXTENSION_SUFFIXES


def require_interpreted(file: str) -> None:
    """ImportError if this file of sqlglot's is a compiled one."""
    if file.endswith(tuple(EXTENSION_SUFFIXES)):
        raise ImportError(
            "tensorsql extends sqlglot's parser, which its compiled build (sqlglot[c]) does not "
            f"allow ({file} is compiled); run pip uninstall sqlglotc, sqlglot itself stays"
        )
