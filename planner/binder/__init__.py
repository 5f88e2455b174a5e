"""Binding: syntax trees to plans; names become columns, subqueries dependent joins."""

from tensorsql.planner.binder.statements import bind

__all__ = ["bind"]
