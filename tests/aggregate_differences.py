"""Where aggregates and windows differ from DuckDB's on purpose, and why; all else must agree."""

from __future__ import annotations

import math
from collections.abc import Callable

import duckdb
from function_differences import INTENDED as OF_FUNCTIONS
from function_differences import Failure, Outcome, Rule

# Sums of floats, in one pass or two, from left to right or in a tree of frames.
SUMMED = frozenset(
    "sum avg product var_pop var_samp stddev_pop stddev_samp covar_pop covar_samp corr".split()  # noqa: SIM905
)


def _pairs(ours: Outcome, theirs: Outcome) -> list[tuple[str | None, str | None]] | None:
    """The texts that differ, None where an error or a type does."""
    if isinstance(ours, Failure) or isinstance(theirs, Failure) or len(ours) != len(theirs):
        return None
    pairs = list(zip(ours, theirs, strict=True))
    if any(a[1] != b[1] for a, b in pairs):
        return None
    return [(a[0], b[0]) for a, b in pairs if a[0] != b[0]]


def _each(rule: Callable[[str, str, str], bool]) -> Rule:
    def of_all(name: str, ours: Outcome, theirs: Outcome) -> bool:
        pairs = _pairs(ours, theirs)
        return pairs is not None and all(
            a is not None and b is not None and (a == b.replace("-nan", "nan") or rule(name, a, b))
            for a, b in pairs
        )

    return of_all


def _last_bits(name: str, ours: str, theirs: str) -> bool:
    if name in ("quantile_cont", "median"):
        return math.isclose(float(ours), float(theirs), rel_tol=1e-15, abs_tol=5e-324)
    if name not in SUMMED:
        return False
    a, b = float(ours), float(theirs)
    overflown = not (math.isfinite(a) or math.isfinite(b))
    return overflown or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _zeros(name: str, ours: str, theirs: str) -> bool:
    return "0.0" in theirs and ours.replace("-0.0", "0.0") == theirs.replace("-0.0", "0.0")


def _spans(name: str, ours: Outcome, theirs: Outcome) -> bool:
    """30 days are a month: which of them is the extreme one, or the one of a mode."""
    pairs = _pairs(ours, theirs)
    if name not in ("min", "max", "mode") or not pairs or str(theirs).count("'INTERVAL'") == 0:
        return False
    equal = "SELECT ?::INTERVAL = ?::INTERVAL"
    return all(duckdb.execute(equal, pair).fetchone() == (True,) for pair in pairs)


def _interpolated(name: str, ours: str, theirs: str) -> bool:
    wide = len(theirs.strip("-").replace(".", "")) > 15
    return name in ("quantile_cont", "median") and wide and math.isclose(float(ours), float(theirs))


def _refused(*kinds: str) -> Rule:
    return lambda name, ours, theirs: isinstance(ours, Failure) and ours.kind in kinds


def _says(words: str) -> Rule:
    return lambda name, ours, theirs: isinstance(theirs, Failure) and words in theirs.words


INTENDED: dict[str, Rule] = {
    "dates are of the years 1 to 9999": OF_FUNCTIONS["dates are of the years 1 to 9999"],
    "what is not supported yet is refused by name": _refused("UnsupportedError"),
    "no overload or no order between these types: refused before the query runs": _refused(
        "BindError", "TypeMismatchError"
    ),
    "NaN has no sign; floats are added in another order, which may overflow": _each(_last_bits),
    "zeros of either sign are equal: the first or the last of them": _each(_zeros),
    "INTERVALs of one length are equal: the first of them": _spans,
    "quantiles between wide decimals are exact": _each(_interpolated),
    "APPROX_COUNT_DISTINCT counts exactly": lambda name, ours, theirs: (
        name == "approx_count_distinct" and _pairs(ours, theirs) is not None
    ),
    "FIRST and LAST over a window take a FILTER": _says("FILTER is not implemented for the window"),
    "a sum need not fit while it is added": _says("Overflow in HUGEINT addition"),
}


def intended(name: str, ours: Outcome, theirs: Outcome) -> str | None:
    """The reason of a difference, None if there is none."""
    return next((why for why, rule in INTENDED.items() if rule(name, ours, theirs)), None)
