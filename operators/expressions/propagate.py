"""Calling a kernel that knows nothing of NULL, constants or dictionaries."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import torch
from torch import Tensor

from tensorsql.errors import DataError
from tensorsql.operators.columns.layouts import is_null_constant, null_constant, with_validity
from tensorsql.operators.columns.text import entries_of, text_array
from tensorsql.operators.functions.registry import Extent, Kernel, narrowed
from tensorsql.planner.plans.expressions import Call, Literal
from tensorsql.storage.columns.column import (
    Bytes,
    Column,
    Constant,
    Dictionary,
    StringDictionary,
    bare,
    take,
)

CACHED_DICTIONARIES = 64


class Propagate:
    """A strict call: NULL in any argument gives NULL, the kernel sees in-domain values only."""

    def __init__(self, call: Call, kernel: Kernel) -> None:
        self._call = call
        self._kernel = kernel
        self._fallible = call.function.fallible
        fixed = sum(isinstance(arg, Literal) for arg in call.args)
        # With literals beside one text column, the result depends on the dictionary alone.
        self._cachable = fixed == len(call.args) - 1 and not call.function.volatile
        self._cache: dict[StringDictionary, Column] = {}
        self._lock = threading.Lock()

    def apply(self, arguments: Sequence[Column], extent: Extent) -> Column:
        """The result for all rows of the extent."""
        validity: Tensor | None = None
        varying = []
        for argument in arguments:
            if isinstance(argument, Constant):
                if is_null_constant(argument):
                    return null_constant(self._call.type, extent.count, extent.device)
                continue
            varying.append(argument)
            if argument.validity is not None:
                validity = argument.validity if validity is None else validity & argument.validity
        if not varying:
            return self._once(arguments, extent)
        only = varying[0]
        if len(varying) == 1 and isinstance(only, Dictionary):
            by_entry = self._by_entry(arguments, only, extent)
            if by_entry is not None:
                return by_entry
        if validity is not None and self._fallible:
            active = narrowed(extent.active, validity)
            extent = Extent(extent.count, active, extent.context, extent.proven)
        return with_validity(self._kernel(arguments, self._call, extent), validity)

    def _once(self, arguments: Sequence[Column], extent: Extent) -> Column:
        """All arguments are constants: compute one row, which may raise if any row is active."""
        rows = [bare(argument) for argument in arguments]
        some = extent.count > 0 and (extent.active is None or bool(extent.active.any()))
        active = None if some else torch.zeros(1, dtype=torch.bool, device=extent.device)
        single = Extent(1, active, extent.context, extent.proven)
        result = self._kernel(rows, self._call, single)
        return Constant(bare(result), extent.count)

    def _by_entry(
        self, arguments: Sequence[Column], column: Dictionary, extent: Extent
    ) -> Column | None:
        """Compute once per dictionary entry and look up; None if rows are fewer or it raises."""
        size = len(column.dictionary)
        if size == 0 or (size > 4 * max(extent.count, 1024) and not self._cachable):
            return None
        results = self._cache.get(column.dictionary)
        if results is None:
            try:
                results = self._entries(arguments, column, extent)
            except DataError:  # perhaps for an entry that no row uses: go row by row
                return None
            if self._cachable:
                results = self._remember(column.dictionary, results)
        return _look_up(results, column)

    def _entries(self, arguments: Sequence[Column], column: Dictionary, extent: Extent) -> Column:
        size = len(column.dictionary)
        entries = entries_of(column)
        replaced: list[Column] = [
            Constant(argument.one, size) if isinstance(argument, Constant) else entries
            for argument in arguments
        ]
        return self._kernel(replaced, self._call, Extent(size, None, extent.context))

    def _remember(self, dictionary: StringDictionary, results: Column) -> Column:
        """Keep the results for the next batch; gives back what the other workers see too."""
        if isinstance(results, Bytes) and results.validity is None:
            # One dictionary object per input dictionary, so that equal codes stay equal.
            entries = StringDictionary(text_array(results), unique=False)
            codes = torch.arange(len(results), dtype=torch.int32, device=results.offsets.device)
            results = Dictionary(results.type, codes, entries)
        with self._lock:
            if len(self._cache) >= CACHED_DICTIONARIES:
                self._cache.clear()
            return self._cache.setdefault(dictionary, results)


def _look_up(results: Column, column: Dictionary) -> Column:
    """The entries' results gathered by the column's codes."""
    return with_validity(take(results, column.codes), column.validity)
