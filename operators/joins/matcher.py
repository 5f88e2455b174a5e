"""Matchers: which build rows have a probe row's key, and the pairs of both in bounded blocks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.key_codes import KeyEncoder, fit_dense
from tensorsql.storage.column import Column

BLOCK_PAIRS = 1 << 19


@dataclass(frozen=True)
class Matches:
    """For each probe row, `counts` build rows: `order` (or the row itself) from `starts` on.

    `rows` instead, if not None: the one build row, or -1.
    """

    starts: Tensor
    counts: Tensor
    order: Tensor | None = None
    rows: Tensor | None = None


@dataclass(frozen=True)
class Pairs:
    """Pairs of probe rows `start` … `stop` - 1, ordered by probe row, then build row (int32)."""

    start: int
    stop: int
    probe: Tensor
    build: Tensor


@dataclass(frozen=True)
class Matcher:
    """Without keys every build row matches every probe row."""

    build_rows: int

    def match(self, keys: Sequence[Column], rows: int) -> Matches:
        """All build rows for each probe row."""
        starts = torch.zeros(rows, dtype=torch.int64)
        return Matches(starts, torch.full((rows,), self.build_rows))


@dataclass(frozen=True)
class KeyMatcher(Matcher):
    """A direct table over dense key codes: the build row where keys are unique, else its run.

    Codes are dense because keys are a small range already or were numbered by `KeyEncoder`.
    """

    encoder: KeyEncoder
    single: Tensor | None  # int32 per code: the build row or -1
    starts: Tensor  # int64 per code
    counts: Tensor
    order: Tensor | None

    @staticmethod
    def fit(keys: Sequence[Column], null_equal: Sequence[bool]) -> KeyMatcher:
        """Index the build rows."""
        encoder, coded = fit_dense(keys, null_equal)
        rows = int(coded.codes.shape[0])
        size = max(coded.size, 1)
        present = kernels.nonzero(coded.codes >= 0)
        codes = coded.codes.index_select(0, present)
        counts = kernels.count_by(codes, size)
        if rows == 0 or int(counts.max()) <= 1:
            single = torch.full((size,), -1, dtype=torch.int32)
            single[codes] = present
            empty = torch.zeros(0, dtype=torch.int64)
            return KeyMatcher(rows, encoder, single, empty, empty, None)
        starts = torch.cumsum(counts, 0) - counts
        ascending = bool((codes[1:] >= codes[:-1]).all())
        order = present if ascending else present.index_select(0, kernels.argsort(codes))
        return KeyMatcher(rows, encoder, None, starts, counts, order)

    def match(self, keys: Sequence[Column], rows: int) -> Matches:
        """The build rows with the probe rows' keys."""
        codes = self.encoder.encode(keys)
        missing = codes < 0
        codes = codes.clamp(min=0)
        if self.single is not None:
            found = self.single.index_select(0, codes).masked_fill_(missing, -1)
            return Matches(codes, codes, None, found)
        counts = self.counts.index_select(0, codes).masked_fill_(missing, 0)
        return Matches(self.starts.index_select(0, codes), counts, self.order)


def matched(matches: Matches) -> Tensor:
    """bool per probe row: whether it has any build row."""
    return matches.rows >= 0 if matches.rows is not None else matches.counts > 0


def pairs(matches: Matches) -> Iterator[Pairs]:
    """All pairs, in blocks of whole probe rows with some `BLOCK_PAIRS` pairs."""
    if matches.rows is not None:
        probe = kernels.nonzero(matches.rows >= 0)
        stop = int(matches.rows.shape[0])
        yield Pairs(0, stop, probe, matches.rows.index_select(0, probe))
        return
    for start, stop in _blocks(matches.counts):
        owner, place = kernels.ranges(matches.starts[start:stop], matches.counts[start:stop])
        build = place if matches.order is None else matches.order.index_select(0, place)
        yield Pairs(start, stop, (owner + start).to(torch.int32), build.to(torch.int32))


def _blocks(counts: Tensor) -> Iterator[tuple[int, int]]:
    rows = int(counts.shape[0])
    ends = torch.cumsum(counts, 0)
    if rows == 0 or int(ends[-1]) <= BLOCK_PAIRS:
        yield 0, rows
        return
    start, done = 0, 0
    while start < rows:
        stop = int(torch.searchsorted(ends, done + BLOCK_PAIRS, right=True))
        stop = min(max(stop, start + 1), rows)
        yield start, stop
        start, done = stop, int(ends[stop - 1])
