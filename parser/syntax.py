"""Statements and expressions of the language for which sqlglot has no node of its own.

Names are `exp.Identifier`, tables `exp.Table`. Options (`WITH (a = 1)`, `COPY … (FORMAT csv)`)
are a list of `exp.Kwarg(this=Var(lower-case name), expression=value)`; a bare option is TRUE, a
bare word is a `Var`. `options(statement)` gives them as a dictionary.
"""

from __future__ import annotations

from typing import ClassVar

from sqlglot import exp


class CreateModel(exp.Expression):
    """`CREATE OR REPLACE MODEL churn FROM 'churn.json' WITH (trust = true)`."""

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "source": True,
        "options": False,
        "replace": False,
        "if_not_exists": False,
    }


class DropModel(exp.Expression):
    """`DROP MODEL IF EXISTS churn`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


class CreateMethodIndex(exp.Expression):
    """`CREATE INDEX i ON digits USING NPI (cnn, 'fc1') WITH (budget = 0.2)`.

    `method` is a lower-case Var, `arguments` the expressions in the parentheses.
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "table": True,
        "method": True,
        "arguments": False,
        "options": False,
        "replace": False,
        "if_not_exists": False,
    }


class DropIndex(exp.Expression):
    """`DROP INDEX IF EXISTS masks_chi`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "exists": False}


class ShowStatement(exp.Expression):
    """`SHOW TABLES`; `this` is a Var: tables, views, models, indexes, settings or all."""


class DescribeStatement(exp.Expression):
    """`DESCRIBE t`, `SHOW t`, `DESCRIBE MODEL m` or `DESCRIBE SELECT …`.

    `kind` is a Var: table (`this` an `exp.Table`), model (an `exp.Identifier`) or query.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True}


class SummarizeStatement(exp.Expression):
    """`SUMMARIZE t` or `SUMMARIZE SELECT …`: `this` is an `exp.Table` or a query."""


class SetStatement(exp.Expression):
    """`SET threads = 4`, `SET SESSION device TO cuda`: `this` a lower-case Var."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "value": True}


class ResetStatement(exp.Expression):
    """`RESET threads`."""


class ExplainStatement(exp.Expression):
    """`EXPLAIN ANALYZE SELECT …` or `EXPLAIN (ANALYZE, PROFILE 'f.json') SELECT …`.

    `analyze` is a bool whichever way it was written; `options` holds the other options.
    """

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "analyze": False, "options": False}


class CopyStatement(exp.Expression):
    """`COPY t (a, b) FROM 'f.csv' (HEADER)` or `COPY (SELECT …) TO 'f.parquet'`.

    `this` is an `exp.Table` or a query, `columns` a list of Identifiers, `direction` the text
    `from` or `to`, `path` an expression (a string literal or a parameter).
    """

    arg_types: ClassVar[dict[str, bool]] = {
        "this": True,
        "columns": False,
        "direction": True,
        "path": True,
        "options": False,
    }


class Begin(exp.Expression):
    """`BEGIN`, `BEGIN TRANSACTION`, `START TRANSACTION`."""

    arg_types: ClassVar[dict[str, bool]] = {}


class Commit(exp.Expression):
    """`COMMIT`, `END`."""

    arg_types: ClassVar[dict[str, bool]] = {}


class Rollback(exp.Expression):
    """`ROLLBACK`, `ABORT`."""

    arg_types: ClassVar[dict[str, bool]] = {}


class Checkpoint(exp.Expression):
    """`CHECKPOINT` or `CHECKPOINT name`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": False}


class IntegrityCheck(exp.Expression):
    """`PRAGMA integrity_check`."""

    arg_types: ClassVar[dict[str, bool]] = {}


class FullRoi(exp.Expression, exp.Condition):
    """The whole mask: the `-` or `FULL` of `CP(mask, -, (0.6, 1.0))`."""

    arg_types: ClassVar[dict[str, bool]] = {}


class MaskAggregate(exp.Expression, exp.Condition):
    """`INTERSECT(mask > 0.7)`, `UNION(mask)`: `kind` is the text `intersect` or `union`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True}


def options(statement: exp.Expression) -> dict[str, exp.Expression]:
    """The options of a statement by lower-case name, in the order written."""
    return {option.name: option.expression for option in statement.args.get("options") or []}
