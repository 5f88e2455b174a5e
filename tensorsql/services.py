"""What running operators may ask of the session beyond their plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tensorsql.errors import CatalogError, nearest

if TYPE_CHECKING:
    from tensorsql.session import Session


class Services:
    """Caches that outlive a query: activations across queries (IQA)."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._activations: Any = None
        self._inference: Any = None

    @property
    def activations(self) -> Any:
        """The session's activation cache."""
        if self._activations is None:
            from tensorsql.operators.models.activations import ActivationCache

            self._activations = ActivationCache()
        return self._activations

    @property
    def inference(self) -> Any:
        """Opened models and the cache, behind one service."""
        if self._inference is None:
            from tensorsql.operators.models.inference import Inference

            self._inference = Inference(
                self.activations, lambda: bool(self.session.settings["trust_models"])
            )
        return self._inference

    @property
    def started_inference(self) -> Any:
        """The same, or None before the first model ran."""
        return self._inference

    def find_model(self, name: str) -> Any:
        """The model of this name; CatalogError with the nearest names if there is none."""
        with self.session.open_transaction() as transaction:
            found = transaction.model(name)
            if found is None:
                hint = nearest(name, transaction.model_names())
                raise CatalogError(f'model "{name}" not found{hint}')
            return found
