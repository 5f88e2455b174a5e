"""What a dot command is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tensorsql.repl.names import Names
    from tensorsql.repl.runner import Runner


def no_choices(names: Names) -> Sequence[str]:
    """Nothing to complete an argument with."""
    return ()


@dataclass(frozen=True)
class Command:
    """A dot command that takes `least` to `most` arguments; `choices` completes them."""

    name: str
    usage: str
    description: str
    run: Callable[[Runner, Sequence[str]], None]
    least: int = 0
    most: int = 0
    choices: Callable[[Names], Sequence[str]] = no_choices
