"""The session's settings: one visible registry, read by SET, RESET and SHOW."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tensorsql.errors import CatalogError, OutOfRangeError, nearest
from tensorsql.planner.optimizer import RULES

MOST_THREADS = 1024
MOST_PLANS = 1 << 20
LARGEST_MORSEL = 1 << 40


@dataclass(frozen=True)
class Setting:
    """A setting: `parse` turns what the user gave into the value kept, or raises ValueError."""

    name: str
    default: Any
    description: str
    parse: Callable[[Any], Any]


def _whole(low: int, high: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        number = _integer(value)
        if number is None or not low <= number <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return number

    return parse


def _integer(value: Any) -> int | None:
    try:
        return int(value) if int(value) == float(value) else None
    except (ValueError, TypeError, OverflowError):
        return None


def _one_of(*words: str) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        word = str(value).lower()
        if word not in words:
            raise ValueError("must be " + " or ".join(f"'{choice}'" for choice in words))
        return word

    return parse


def _flag(value: Any) -> bool:
    words = {"true": True, "on": True, "1": True, "false": False, "off": False, "0": False}
    word = str(value).lower()
    if word not in words:
        raise ValueError("must be true or false")
    return words[word]


def _rules(value: Any) -> tuple[str, ...]:
    names = tuple(word.strip() for word in str(value).split(",") if word.strip())
    rules = [rule.__name__ for rule in RULES]
    for name in names:
        if name not in rules:
            raise ValueError(f'has no rule "{name}"{nearest(name, rules)}')
    return names


SETTINGS: tuple[Setting, ...] = (
    Setting("threads", os.cpu_count() or 1, "workers a query may use", _whole(1, MOST_THREADS)),
    Setting(
        "morsel_size",
        262144,
        "rows a worker takes at a time; 0 = all in one",
        _whole(0, LARGEST_MORSEL),
    ),
    Setting(
        "neuron_search",
        "bound_first",
        "how neuron top-k finds its rows: 'bound_first' or the published 'nta'",
        _one_of("bound_first", "nta"),
    ),
    Setting("use_indexes", True, "whether mask and neuron indexes may be used", _flag),
    Setting(
        "trust_models",
        False,
        "whether models that came with a database may run code when opened",
        _flag,
    ),
    Setting(
        "plan_cache",
        256,
        "plans of queries kept for the next time; 0 = none",
        _whole(0, MOST_PLANS),
    ),
    Setting("disabled_rules", (), "optimizer rules left out, separated by commas", _rules),
)
_BY_NAME = {setting.name: setting for setting in SETTINGS}


def defaults() -> dict[str, Any]:
    """Every setting at its default."""
    return {setting.name: setting.default for setting in SETTINGS}


def find(name: str) -> Setting:
    """The setting of this name; CatalogError with candidates otherwise."""
    setting = _BY_NAME.get(name.lower())
    if setting is None:
        raise CatalogError(f'setting "{name}" not found{nearest(name, _BY_NAME)}')
    return setting


def changed(settings: Mapping[str, Any], name: str, value: Any) -> dict[str, Any]:
    """The settings with one given a new value; OutOfRangeError says what it may be."""
    setting = find(name)
    try:
        parsed = setting.parse(value)
    except (ValueError, TypeError, OverflowError) as error:
        raise OutOfRangeError(f'setting "{setting.name}" cannot be {value!r}: {error}') from None
    return {**settings, setting.name: parsed}


def disabled_rules(values: Mapping[str, Any]) -> frozenset[str]:
    """The rules that the settings switch off."""
    by_index = () if values["use_indexes"] else ("use_index_filter", "use_index_topn")
    return frozenset((*values["disabled_rules"], *by_index))
