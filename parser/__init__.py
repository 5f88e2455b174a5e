"""Text to syntax trees: one sqlglot dialect for the whole language, see `dialect.parse`."""

from importlib.machinery import EXTENSION_SUFFIXES

from sqlglot import parser


def require_interpreted(file: str) -> None:
    """ImportError if this file of sqlglot's is a compiled one."""
    if file.endswith(tuple(EXTENSION_SUFFIXES)):
        raise ImportError(
            "tensorsql extends sqlglot's parser, which its compiled build (sqlglot[c]) does not "
            f"allow ({file} is compiled); run pip uninstall sqlglotc, sqlglot itself stays"
        )


require_interpreted(parser.__file__)
