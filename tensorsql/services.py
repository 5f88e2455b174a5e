"""What running operators may ask of the session beyond their plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

Shared = TypeVar("Shared")


class SessionServices:
    """Implements `operators.runtime.program.Services`: what outlives a query.

    `trusts_models` says whether models that came with a database may run code when opened.
    """

    def __init__(self, trusts_models: Callable[[], bool]) -> None:
        self.trusts_models = trusts_models
        self._shared: dict[Any, Any] = {}

    def shared(self, make: Callable[[SessionServices], Shared]) -> Shared:
        """What `make` made at its first call, such as opened models and their activations."""
        if make not in self._shared:
            self._shared[make] = make(self)
        made: Shared = self._shared[make]
        return made
