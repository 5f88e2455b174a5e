"""Text to syntax trees: one sqlglot dialect for the whole language, see `dialect.parse`."""
