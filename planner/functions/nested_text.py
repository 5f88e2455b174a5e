"""Texts of lists and structs, `[1, 'a, b', NULL]` and `{'a': 1}`, taken apart as DuckDB does."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

_BLANKS = " \t\n\v\f\r"
_PAIRS = {"[": "]", "(": ")", "{": "}"}
_TOKEN = re.compile(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^'"\[\](){},:]+|[\[\](){},:]""", re.S)
_ESCAPE = re.compile(r"\\(.)", re.S)


def list_items(text: str) -> list[str]:
    """The raw items of `[…]`; ValueError for what is no list."""
    return _split(_inside(text, "[", "]"))


def struct_items(text: str, names: Sequence[str]) -> list[str | None]:
    """The raw value of each field of `{'name': …}` or `(…)`, None for one that is not given."""
    if text.strip(_BLANKS).startswith("("):
        items = _split(_inside(text, "(", ")"))
        if len(items) != len(names):
            raise ValueError(text)
        return list(items)
    values: dict[str, str] = {}
    for item in _split(_inside(text, "{", "}")):
        colon = next(_marks(item, ":"), -1)
        name = bare_text(item[:colon])
        if colon < 0 or name in values or name not in names:
            raise ValueError(text)
        values[name] = item[colon + 1 :].strip(_BLANKS)
    return [values.get(name) for name in names]


def is_null(item: str) -> bool:
    """Whether a raw item is NULL; in quotes it is a text."""
    return item.upper() == "NULL"


def bare_text(item: str) -> str:
    """A raw item without its quotes; a backslash counts inside of them only."""
    item = item.strip(_BLANKS)
    if "'" not in item and '"' not in item:
        return item
    parts, depth = [], 0
    for token in _TOKEN.findall(item):
        depth += (token in _PAIRS) - (token in _PAIRS.values())
        quoted = not depth and token[0] in "'\""
        parts.append(_ESCAPE.sub(r"\1", token[1:-1]) if quoted else token)
    return "".join(parts)


def _inside(text: str, start: str, end: str) -> str:
    text = text.strip(_BLANKS)
    if len(text) < 2 or text[0] != start or text[-1] != end:
        raise ValueError(text)
    return text[1:-1]


def _split(text: str) -> list[str]:
    """The items between commas that stand in no quotes and no brackets."""
    if not text.strip(_BLANKS):
        return []
    places = [-1, *_marks(text, ","), len(text)]
    return [text[start + 1 : stop].strip(_BLANKS) for start, stop in pairwise(places)]


def _marks(text: str, mark: str) -> Iterator[int]:
    """The places of a mark outside of quotes and brackets."""
    place = 0
    open: list[str] = []
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(text)  # a quote that does not close
        token = match[0]
        if token == mark and not open:
            yield place
        elif token in _PAIRS:
            open.append(_PAIRS[token])
        elif token in _PAIRS.values() and (not open or open.pop() != token):
            raise ValueError(text)
        place = match.end()
    if open:
        raise ValueError(text)
