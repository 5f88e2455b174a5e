"""Text to syntax trees: one sqlglot dialect for the whole language, see `dialect.parse`."""

from sqlglot import parser

from tensorsql.parser.interpreted import require_interpreted

require_interpreted(parser.__file__)
