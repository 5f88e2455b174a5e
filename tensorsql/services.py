"""What running operators may ask of the session beyond their plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tensorsql.storage.tables.catalog import ModelEntry

if TYPE_CHECKING:
    from tensorsql.operators.models.inference import Inference


class SessionServices:
    """Implements `operators.runtime.program.Services`: what outlives a query.

    `find_model` gives a model by its name; `trust` says whether models that came with a database
    may run code when they are opened.
    """

    def __init__(self, find_model: Callable[[str], ModelEntry], trust: Callable[[], bool]) -> None:
        self.find_model = find_model
        self.started_inference: Inference | None = None
        self._trust = trust

    @property
    def inference(self) -> Inference:
        """Opened models and the cache of activations."""
        if self.started_inference is None:
            from tensorsql.operators.models.inference import Inference

            self.started_inference = Inference(trust=self._trust)
        return self.started_inference
