"""Where functions differ from DuckDB's on purpose, and why. What is not listed here must agree."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

Answer = tuple[tuple[str | None, str], ...]  # (text, type) of each item, or an error


@dataclass(frozen=True)
class Failure:
    """An error: its class and its words."""

    kind: str
    words: str


Outcome = Answer | Failure
Rule = Callable[[str, Outcome, Outcome], bool]
FAR = re.compile(r"\(BC\)|\b\d{5,}-\d\d-\d\d|infinity")
# Computed by other libraries than DuckDB's: equal but for the last bits.
LAST_BITS = frozenset(
    "acos asin atan atan2 cbrt cos degrees exp ln log log10 log2 pow power radians sin tan".split()  # noqa: SIM905
)


def _refused(*kinds: str) -> Rule:
    return lambda name, ours, theirs: isinstance(ours, Failure) and ours.kind in kinds


def _says(words: str) -> Rule:
    return lambda name, ours, theirs: isinstance(theirs, Failure) and words in theirs.words


def _calendar(name: str, ours: Outcome, theirs: Outcome) -> bool:
    if isinstance(theirs, Failure):
        return False
    limited = isinstance(ours, Failure) and "years 1 to 9999" in ours.words
    return limited or any(text is not None and bool(FAR.search(text)) for text, _ in theirs)


def _null_first(name: str, ours: Outcome, theirs: Outcome) -> bool:
    """DuckDB folds a call of a NULL constant, or never compares, what cannot be cast or read."""
    nothing = not isinstance(theirs, Failure) and any(text is None for text, _ in theirs)
    return nothing and isinstance(ours, Failure)


def _null_types(name: str, ours: Outcome, theirs: Outcome) -> bool:
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return False
    return all(a is b is None for (a, _), (b, _) in zip(ours, theirs, strict=True))


def _close(name: str, ours: Outcome, theirs: Outcome) -> bool:
    """NaN without its sign, zeros of either sign where one is chosen, last bits of floats."""
    if isinstance(ours, Failure) or isinstance(theirs, Failure):
        return False
    pairs = [(a, b) for a, b in zip(ours, theirs, strict=True) if a != b]
    return all(kind == other and _near(name, a, b) for (a, kind), (b, other) in pairs)


def _near(name: str, ours: str | None, theirs: str | None) -> bool:
    if ours is None or theirs is None:
        return False
    if ours == theirs.replace("-nan", "nan"):
        return True
    if name in ("greatest", "least"):
        return {ours, theirs} == {"0.0", "-0.0"}
    return name in LAST_BITS and math.isclose(float(ours), float(theirs), rel_tol=1e-13)


INTENDED: dict[str, Rule] = {
    "dates are of the years 1 to 9999": _calendar,
    "what is not supported yet is refused by name": _refused("UnsupportedError"),
    "no overload, no cast or no order between these types: refused before the query runs": _refused(
        "BindError", "TypeMismatchError"
    ),
    "an error beside a NULL constant is an error": _null_first,
    "the type of a NULL that was folded away": _null_types,
    "NaN has no sign; zeros, last bits": _close,
    "positions past 2**32 find nothing": _says("outside of supported range"),
    "a format may stand in a column": _says("must be a constant"),
    "DuckDB has overloads of types that are not here": _says("Could not choose a best candidate"),
    "an escape at the end of a pattern is an error even where it is not reached": (
        lambda name, ours, theirs: isinstance(ours, Failure) and "end with the escape" in ours.words
    ),
    "list_contains([], NULL) is NULL, as for every other list": lambda name, ours, theirs: (
        name in ("list_contains", "list_has", "array_contains", "contains")
        and not isinstance(ours, Failure)
        and not isinstance(theirs, Failure)
        and all(a[0] in (b[0], None) for a, b in zip(ours, theirs, strict=True))
    ),
    "-'-128'::TINYINT stays a TINYINT and overflows": lambda name, ours, theirs: (
        name == "negate" and isinstance(ours, Failure) and ours.kind == "OutOfRangeError"
    ),
}


def intended(name: str, ours: Outcome, theirs: Outcome) -> str | None:
    """The reason of a difference, None if there is none."""
    return next((why for why, rule in INTENDED.items() if rule(name, ours, theirs)), None)
