"""Python objects that a connection makes visible: tables, masks, models."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

from tensorsql import errors
from tensorsql.cancellation import import_whole, in_helper

if TYPE_CHECKING:
    import numpy as np
    from torch import nn

    from tensorsql.session import Session


class Registering:
    """What connections have to register objects; they say which session and how one works in it."""

    @property
    def session(self) -> Session:
        """The session; InterfaceError once it is closed."""
        raise NotImplementedError

    def _working(self) -> AbstractContextManager[None]:
        raise NotImplementedError

    def register(self, name: str, value: object) -> Self:
        """Let queries read an object as the table `name`, without copying it.

        Arrow tables, pandas and polars frames, numpy arrays, torch tensors and mappings of columns
        can be read; UnsupportedError otherwise.
        """
        import_whole("tensorsql.storage.formats.objects")
        from tensorsql.storage.formats.objects import relation

        _check_name(name)
        with self._working():
            self.session.registered[name.lower()] = relation(name, value)
        return self

    def unregister(self, name: str) -> Self:
        """Forget a registered object; one that is not there is ignored."""
        self.session.registered.pop(name.lower(), None)
        return self

    def register_masks(
        self,
        name: str,
        array: np.ndarray,
        columns: Any = None,
        scale: int | None = None,
    ) -> Self:
        """Let queries read an [n, height, width] array as the table `name` of n masks.

        It has the columns of `read_masks` (filename, index, mask) and those in `columns`: a mapping
        or any table that `register` takes, of n rows. `scale` is the stored pixel that means 1; by
        default 255 for uint8, 65535 for uint16 and 1 for bool and floats.
        """
        import_whole("tensorsql.storage.formats.masks")
        from tensorsql.storage.formats.masks import array_relation

        with self._working():
            relation = array_relation(name, array, columns, scale)
            self.session.registered[name.lower()] = relation
        return self

    def register_model(
        self, name: str, module: nn.Module, replace: bool = False, **options: Any
    ) -> Self:
        """Keep a torch module as the model `name`, with a copy of its weights.

        `options` are those of CREATE MODEL … WITH. CatalogError if there is such a model and
        `replace` is not set.
        """
        import_whole("tensorsql.operators.models.load")
        from tensorsql.operators.models.load import register_module

        with self._working(), self.session.open_transaction() as transaction:
            if transaction.model(name) is not None:
                if not replace:
                    raise errors.CatalogError(f'model "{name}" exists already; pass replace=True')
                transaction.drop_model(name)
            entry = in_helper(lambda: register_module(name, module, options))
            transaction.put_model(entry)
        return self


def _check_name(name: object) -> None:
    if not isinstance(name, str) or not name:
        raise errors.InterfaceError(f"a table's name is a str, not {name!r}")
