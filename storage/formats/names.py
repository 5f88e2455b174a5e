"""Names of columns that come from outside: no two alike but for case, none empty. Torch-free."""

from __future__ import annotations

from collections.abc import Iterable


def distinct_names(names: Iterable[str]) -> list[str]:
    """The names told apart; an empty one says the column's place."""
    return told_apart(name or f"column{place}" for place, name in enumerate(names))


def told_apart(names: Iterable[str]) -> list[str]:
    """The names with `_1`, `_2` … added where one was there before, as DuckDB does.

    SQL does not tell case apart, so neither does this.
    """
    apart: list[str] = []
    taken: set[str] = set()
    for base in names:
        name, number = base, 0
        while name.lower() in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name.lower())
        apart.append(name)
    return apart


def repeated_name(names: Iterable[str]) -> str | None:
    """The first name that was there before."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None
