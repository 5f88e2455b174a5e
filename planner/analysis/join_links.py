"""What links the inputs of a group of joins: predicates, and classes of equal columns.

Inputs are bits of a set. From a.x = b.x AND b.x = c.x follows a.x = c.x: two sets of inputs that
have columns of one class are joined by one equality, whichever it is, and are not estimated as if
there were several.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tensorsql.planner.analysis.predicates import column_equality, equal
from tensorsql.planner.plans.expressions import ColumnRef, Expression, columns_of

Owners = Mapping[int, int]  # column id → the bit of the input that has it


@dataclass(frozen=True)
class Predicate:
    """A predicate over several inputs, decidable where all of them have met."""

    mask: int
    part: Expression

    def between(self, left: int, right: int) -> Expression | None:
        """It, if the two sets can decide it together and neither can alone."""
        both, mask = left | right, self.mask
        return self.part if mask & both == mask and mask & ~left and mask & ~right else None


@dataclass
class EqualColumns:
    """Columns that the predicates say are all equal, in the order in which they do."""

    mask: int = 0
    columns: dict[ColumnRef, int] = field(default_factory=dict)
    parts: list[Predicate] = field(default_factory=list)
    implied: dict[tuple[int, int], Expression] = field(default_factory=dict)

    def add(self, part: Predicate, sides: tuple[ColumnRef, ColumnRef], owners: Owners) -> None:
        """Take in an equality and its columns."""
        self.mask |= part.mask
        self.parts.append(part)
        self.columns.update((side, owners[side.id]) for side in sides)

    def between(self, left: int, right: int) -> Expression | None:
        """An equality of a column of each set, as it was written where it was."""
        if not (self.mask & left and self.mask & right):
            return None
        for part in self.parts:
            written = part.between(left, right)
            if written is not None:
                return written
        first, second = (
            next(column for column, bit in self.columns.items() if bit & side)
            for side in (left, right)
        )
        key = (first.id, second.id)
        if key not in self.implied:
            self.implied[key] = equal(first, second)
        return self.implied[key]

    def within(self, bit: int) -> list[Expression]:
        """What follows for the columns of one input: the others equal its first."""
        own = [column for column, owner in self.columns.items() if owner == bit]
        return [equal(own[0], other) for other in own[1:]]


Link = Predicate | EqualColumns


def links(predicates: Iterable[Expression], owners: Owners) -> list[Link]:
    """The links that predicates over more than one input are, in their order."""
    over = [one for one in (_over(part, owners) for part in predicates) if one.mask.bit_count() > 1]
    roots: dict[int, int] = {}
    for one in over:
        if (sides := _equal_columns(one)) is not None:
            roots[_root(roots, sides[0].id)] = _root(roots, sides[1].id)
    classes: dict[int, EqualColumns] = {}
    result: dict[int, Link] = {}
    for one in over:
        link: Link = one
        if (sides := _equal_columns(one)) is not None:
            link = classes.setdefault(_root(roots, sides[0].id), EqualColumns())
            link.add(one, sides, owners)
        result[id(link)] = link
    return list(result.values())


def written(link: Link) -> list[Expression]:
    """The predicates that a link stands for."""
    return [link.part] if isinstance(link, Predicate) else [one.part for one in link.parts]


def _over(part: Expression, owners: Owners) -> Predicate:
    mask = 0
    for id in columns_of(part):
        mask |= owners.get(id, 0)
    return Predicate(mask, part)


def _equal_columns(one: Predicate) -> tuple[ColumnRef, ColumnRef] | None:
    """The columns of two inputs that a predicate says are equal."""
    sides = column_equality(one.part)
    return sides if sides is not None and sides[0].type == sides[1].type else None


def _root(roots: dict[int, int], id: int) -> int:
    """The column that stands for all that this one was found equal to (union-find)."""
    while (above := roots.get(id, id)) != id:
        roots[id] = roots.get(above, above)
        id = above
    return id
