"""Runs of literals, bound by columns at once; what that cannot do is bound one by one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlglot import exp

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import InterruptedError
from tensorsql.parser.runs import TYPED, LiteralRun, columns_of, text_value, written_out
from tensorsql.planner.binder import literals
from tensorsql.planner.functions.casts import can_cast, integer_type, is_any_mask
from tensorsql.planner.functions.conversions import convert
from tensorsql.planner.functions.folding import UNFOLDED
from tensorsql.planner.functions.resolve import cast
from tensorsql.planner.functions.signatures.comparison import IN_VALUES
from tensorsql.planner.functions.unify import unify
from tensorsql.planner.plans.expressions import FALSE, TRUE, Call, Expression, Literal, Position
from tensorsql.storage.columns import types
from tensorsql.storage.columns.types import BOOLEAN, Type

Answer = TypeVar("Answer")
DIGITS = 18  # of integers that are a BIGINT for sure
WORDS = {"NULL": Literal(types.NULL, None), "TRUE": TRUE, "FALSE": FALSE}


@dataclass(frozen=True)
class LiteralColumn:
    """Literals of one column: their values, and a literal of each kind there is, in order.

    `kinds` says of each value which of those it is like; None where there is one kind.
    """

    values: list[Any]
    samples: list[Literal]
    kinds: list[int] | None

    def unified(self, *others: Expression, **how: Any) -> tuple[Type, tuple[Expression, ...]]:
        """The type that they have in common with others, and those cast to it."""
        met = unify((*others, *self.samples), **how)
        return met[-1].type, met[: len(others)]

    def converted(self, target: Type) -> list[Any]:
        """The values as those of a type; any of UNFOLDED if one cannot be."""
        sources = [sample.type for sample in self.samples]
        if not all(can_cast(each, target) or is_any_mask(each, target) for each in sources):
            raise ValueError("some have no such values")
        if self.kinds is None:
            (source,) = sources
            if source == target:
                return self.values
            return [_convert(value, source, target) for value in self.values]
        pairs = zip(self.values, self.kinds, strict=True)
        return [_convert(value, sources[kind], target) for value, kind in pairs]


def _convert(value: Any, source: Type, target: Type) -> Any:
    check_cancelled()
    return convert(value, source, target)


def columns(node: LiteralRun) -> list[LiteralColumn]:
    """The columns of a run's rows, or the one of its items."""
    return [_column(texts) for texts in columns_of(node)]


def among(value: Expression, run: LiteralRun, place: Position | None) -> Expression:
    """`x IN (1, 2, …)` of literals alone."""
    (column,) = columns(run)
    kind, (subject,) = column.unified(value, name="in", compare=True)
    items = Literal(types.list_of(kind), tuple(column.converted(kind)))
    return Call(BOOLEAN, IN_VALUES, (subject, items), position=place)


def literal_list(run: LiteralRun) -> Literal:
    """`[1, 2, …]` of literals alone."""
    (column,) = columns(run)
    kind, _ = column.unified(name="list")
    return Literal(types.list_of(kind), tuple(column.converted(kind)))


def only_run(nodes: Sequence[exp.Expr]) -> LiteralRun | None:
    """The run that is all there is."""
    return nodes[0] if len(nodes) == 1 and isinstance(nodes[0], LiteralRun) else None


def flattened(nodes: Sequence[exp.Expr]) -> list[exp.Expr]:
    """Rows or items with every run written out."""
    return [
        each
        for node in nodes
        for each in (written_out(node) if isinstance(node, LiteralRun) else [node])
    ]


def at_once(bind: Callable[[], Answer]) -> Answer | None:
    """What it gives, or None: then one by one the literals tell what is wrong, and where."""
    try:
        return bind()
    except InterruptedError:
        raise
    except UNFOLDED:
        return None


def _column(texts: list[str]) -> LiteralColumn:
    check_cancelled()
    firsts = {text[0] for text in texts}
    if firsts == {"'"}:
        values = [text_value(text) for text in texts]
        return LiteralColumn(values, [Literal(types.VARCHAR, "")], None)
    if firsts <= set("-0123456789") and max(map(len, texts)) <= DIGITS:
        integers = _integers(texts)
        if integers is not None:
            return integers
    return _mixed(texts)


def _integers(texts: list[str]) -> LiteralColumn | None:
    """A column of INTEGER, which most are."""
    if not "".join(texts).replace("-", "").isdecimal():
        return None
    values = list(map(int, texts))
    low, high = min(values), max(values)
    if integer_type(-low) != types.INTEGER or integer_type(high) != types.INTEGER:
        return None
    return LiteralColumn(values, [Literal(types.INTEGER, 0)], None)


def _mixed(texts: list[str]) -> LiteralColumn:
    places: dict[Any, int] = {}
    samples: list[Literal] = []
    values, kinds = [], []
    for text in texts:
        check_cancelled()
        literal = _literal(text)
        value = literal.value
        # How wide an integer is does not depend on its type alone: -2147483648 is a BIGINT.
        key = (literal.type, integer_type(value) if literal.type.is_integer else value is None)
        if key not in places:
            places[key] = len(samples)
            samples.append(literal)
        values.append(value)
        kinds.append(places[key])
    return LiteralColumn(values, samples, kinds if len(samples) > 1 else None)


def _literal(text: str) -> Literal:
    if text[0] == "'":
        return Literal(types.VARCHAR, text_value(text))
    if text[0] == "-":
        return literals.negative_number(text[1:])
    if text[0].isdecimal():
        return literals.number(text)
    if typed := TYPED.fullmatch(text):
        kind = types.DATE if typed[1].upper() == "DATE" else types.TIMESTAMP
        moment = cast(Literal(types.VARCHAR, text_value(typed[2])), kind)
        if not isinstance(moment, Literal):
            raise ValueError(f"no {kind}")
        return moment
    return WORDS[text.upper()]
