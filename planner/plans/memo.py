"""What was computed of an immutable node, kept in the node itself: it dies with it, never stale."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, TypeVar

Answer = TypeVar("Answer")
Node = TypeVar("Node")


class Remembering:
    """A frozen dataclass that carries what `remembered` functions found, but not as its value."""

    def __getstate__(self) -> dict[str, Any]:
        # Hashes differ between processes, so nothing remembered travels.
        names = (item.name for item in dataclasses.fields(self))  # type: ignore[arg-type]
        return {name: self.__dict__[name] for name in names}


def remembered(function: Callable[[Any], Answer]) -> Callable[[Any], Answer]:
    """The function of one immutable node, computed once for each node."""
    key = f"{function.__module__}.{function.__qualname__}"

    @functools.wraps(function)
    def once(node: Any) -> Answer:
        memory = node.__dict__
        if key not in memory:
            memory[key] = function(node)
        answer: Answer = memory[key]
        return answer

    return once


def hashed_once(cls: type[Node]) -> type[Node]:
    """A class of immutable nodes whose hash is computed once and that are equal to themselves."""
    open_class: Any = cls
    equal = open_class.__eq__

    def same(self: Any, other: Any) -> Any:
        return self is other or equal(self, other)

    open_class.__hash__ = remembered(open_class.__hash__)
    open_class.__eq__ = same
    return cls
