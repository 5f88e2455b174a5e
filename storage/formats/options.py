"""Options of readers and writers: what `name => value` and COPY's list may say."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from tensorsql.errors import BindError, nearest, shown

Files = str | Sequence[str]
Options = Mapping[str, Any]


@dataclass(frozen=True)
class Option:
    """One option: the field it fills, what its value is in words, and whether a value fits.

    `words` gives the words to choose from, if it is one of few; their case does not matter.
    """

    field: str
    wanted: str
    fits: Callable[[Any], bool]
    words: tuple[str, ...] = ()

    def checked(self, what: str, value: Any) -> Any:
        """The value as it is kept; BindError, which says what has it, if it does not fit."""
        value = plain(value)
        if self.words and isinstance(value, str):
            value = value.lower()
        if not self.fits(value):
            hint = nearest(value, self.words) if isinstance(value, str) else ""
            raise BindError(f"{what} is {self.wanted}, not {shown(value)}{hint}")
        return value


def plain(value: Any) -> Any:
    """The value as JSON has it: SQL writes numbers as Decimal, Python has numpy's and torch's."""
    if isinstance(value, list | tuple):
        return type(value)([plain(inner) for inner in value])
    if isinstance(value, Decimal):
        return float(value)
    return value.tolist() if hasattr(value, "tolist") else value


def check_options(function: str, options: Options, fitting: Sequence[str]) -> None:
    """Raise BindError for an option that the function does not have."""
    for name in options:
        if name not in fitting:
            raise BindError(f'{function} has no option "{name}"{nearest(name, fitting)}')


def option_fields(what: str, options: Options, checks: Mapping[str, Option]) -> dict[str, Any]:
    """The values by the fields they fill, each checked.

    BindError for an unknown option, a value that does not fit, or two options that say the same.
    """
    check_options(what, options, tuple(checks))
    values: dict[str, Any] = {}
    for name, value in options.items():
        option = checks[name]
        if option.field in values:
            raise BindError(f"option {name} of {what} is given twice, under two names")
        values[option.field] = option.checked(f"option {name} of {what}", value)
    return values


def one_of(field: str, words: Sequence[str]) -> Option:
    """An option whose value is one of some words."""
    return Option(field, f"one of {', '.join(words)}", lambda value: value in words, tuple(words))


def flag(field: str) -> Option:
    """An option that is true or false."""
    return Option(field, "true or false", lambda value: isinstance(value, bool))


def text(field: str) -> Option:
    """An option that is a text."""
    return Option(field, "a text", is_text)


def is_text(value: Any) -> bool:
    """Whether the value is a text."""
    return isinstance(value, str)


def character(field: str, may_be_empty: bool = False) -> Option:
    """An option that is one ASCII character, or '' for none if it may be."""
    wanted = "one ASCII character or ''" if may_be_empty else "one ASCII character"
    return Option(field, wanted, lambda v: _is_character(v) or (may_be_empty and v == ""))


def count(field: str, of_what: str) -> Option:
    """An option that is a number from 0 on."""
    return Option(field, f"a number of {of_what}", _is_count)


def whole(field: str, low: int, high: int) -> Option:
    """An option that is a whole number in a range."""
    return Option(
        field,
        f"a whole number from {low} to {high}",
        lambda v: isinstance(v, int) and not isinstance(v, bool) and low <= v <= high,
    )


def above_zero(field: str) -> Option:
    """An option that is a number above 0."""
    return Option(field, "a number above 0", is_positive)


def is_positive(value: Any) -> bool:
    """Whether the value is a number above 0 that has an end."""
    return _is_number(value) and 0 < value < math.inf


def names(field: str, of_what: str) -> Option:
    """An option that is a list of texts, none of them twice."""
    return Option(field, f"a list of different names of {of_what}", _are_texts)


def _are_texts(value: Any) -> bool:
    texts = isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)
    return texts and len(set(value)) == len(value) > 0


def share(field: str, may_be_zero: bool = False) -> Option:
    """An option that is a number up to 1, above 0 or from it on."""
    wanted = "a number from 0 to 1" if may_be_zero else "a number above 0, at most 1"
    return Option(
        field, wanted, lambda v: _is_number(v) and (0 < v <= 1 or (may_be_zero and v == 0))
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_character(value: Any) -> bool:
    return isinstance(value, str) and len(value) == 1 and value.isascii() and value not in "\r\n\0"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_names(value: Any) -> bool:
    """Whether the value is a list of names that differ by more than case."""
    texts = isinstance(value, tuple | list) and all(isinstance(name, str) for name in value)
    return texts and len({name.lower() for name in value}) == len(value) > 0


def columns_option(field: str) -> Option:
    """An option that maps columns to types, or pairs them."""
    return Option(field, "columns' names and types", _is_columns)


def _is_columns(value: Any) -> bool:
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, list | tuple) or not all(
        isinstance(pair, tuple) and len(pair) == 2 for pair in pairs
    ):
        return False
    return is_names([name for name, _ in pairs])
