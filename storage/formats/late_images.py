"""Images of files as tensors, decoded when their rows are asked for; the torch side of images."""

from __future__ import annotations

import threading

import numpy as np
import torch
from torch import Tensor

from tensorsql.cancellation import check_cancelled
from tensorsql.errors import CorruptError, IOError, UnsupportedError
from tensorsql.storage.columns.column import Column, Flat, RowRef
from tensorsql.storage.columns.types import Type
from tensorsql.storage.formats.pictures import IMAGE, Images, tell_left_out
from tensorsql.storage.tables.catalog import Reader


class LateImages:
    """A `RowSource`: decodes rows once, when first fetched. Thread-safe."""

    def __init__(self, images: Images, type: Type) -> None:
        self._images = images
        self._type = type
        self._pixels = np.empty((len(images), *images.shape), images.element)  # untouched yet
        self._decoded = np.zeros(len(images), np.bool_)
        self._broken: set[int] = set()
        self._locks = [threading.Lock() for _ in range(len(images))]

    @property
    def rows(self) -> int:
        """How many images there are."""
        return len(self._images)

    def fetch(self, rows: Tensor) -> Column:
        """The images of these rows."""
        wanted = rows.numpy()
        for row in np.unique(wanted).tolist():
            self._decode(row)
        return Flat(self._type, torch.from_numpy(self._pixels[wanted]))

    def readable(self, rows: Tensor) -> Tensor:
        """Which of these rows can be decoded; what cannot is told, once."""
        broken = []
        for row in np.unique(rows.numpy()).tolist():
            if row not in self._broken:
                try:
                    self._decode(row)
                except (CorruptError, IOError, UnsupportedError) as error:
                    self._broken.add(row)
                    broken.append(error.message)
        tell_left_out(self._images.name, broken, len(self._images))
        return torch.tensor([row not in self._broken for row in rows.tolist()], dtype=torch.bool)

    def _decode(self, row: int) -> None:
        check_cancelled()
        with self._locks[row]:
            if not self._decoded[row]:
                self._pixels[row] = self._images.pixels(row)
                self._decoded[row] = True


class ImagesReader:
    """A `Reader` of a relation of images: `late` says which are meant, `read` decodes them."""

    def __init__(self, others: Reader, images: Images, type: Type) -> None:
        self._others = others
        self._source = LateImages(images, type)
        self._type = type

    def read(self, column: str, start: int, stop: int) -> Column:
        """Rows start … stop - 1 of a column."""
        if column == IMAGE:
            return self._source.fetch(torch.arange(start, stop))
        return self._others.read(column, start, stop)

    def late(self, column: str, start: int, stop: int) -> Column:
        """The same, the images not decoded yet."""
        if column == IMAGE:
            return RowRef(self._type, self._source, torch.arange(start, stop))
        return self._others.read(column, start, stop)

    def live(self, start: int, stop: int) -> Tensor | None:
        """All are live."""
        return self._others.live(start, stop)

    def row_ids(self, start: int, stop: int) -> Tensor:
        """int64 row ids, ascending."""
        return self._others.row_ids(start, stop)

    def positions(self, row_ids: Tensor) -> Tensor:
        """The position of each row id."""
        return self._others.positions(row_ids)
