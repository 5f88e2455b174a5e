"""The build side of a join: its rows, kept, and matchers, which find those with a probe row's key.

Keys become small integers (`KeyEncoder`, fitted to the build rows) that index an array: matching
is gathers, without a loop over rows. Where build keys repeat, the array holds runs of build rows,
sorted by key, stable, so that a row's matches come in build order. Pairs are laid out from run
lengths, a block of probe rows at a time: a join of many to many never holds all its pairs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.columns.layouts import null_column
from tensorsql.operators.expressions.evaluate import compile_expressions
from tensorsql.operators.keys.key_codes import KeyEncoder, fit_dense
from tensorsql.operators.runtime.kept_rows import Columns, Keeping, KeptRows
from tensorsql.operators.runtime.program import Run
from tensorsql.planner.plans.expressions import Expression
from tensorsql.storage.columns.column import Column

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
    device: torch.device

    def match(self, keys: Sequence[Column], rows: int) -> Matches:
        """All build rows for each probe row."""
        starts = torch.zeros(rows, dtype=torch.int32, device=self.device)
        return Matches(starts, torch.full_like(starts, self.build_rows))


@dataclass(frozen=True)
class Runs:
    """Build rows with equal keys: run i is `counts[i]` rows of `order` from `starts[i]` on.

    A run more, the last, has no rows. `order` None = the build rows as they are.
    """

    starts: Tensor  # int32
    counts: Tensor
    order: Tensor | None

    @staticmethod
    def fit(codes: Tensor, rows: Tensor, count: int) -> tuple[Runs, Tensor]:
        """The runs of some rows (of `count`) with these codes, and the code of each run."""
        order: Tensor | None = rows
        if not kernels.ascending(codes):
            sorted_by = kernels.argsort(codes)
            order, codes = rows.index_select(0, sorted_by), codes.index_select(0, sorted_by)
        elif int(rows.shape[0]) == count:
            order = None
        starts = kernels.run_starts(codes)
        ends = torch.cat([starts, starts.new_tensor([codes.shape[0]] * 2)])
        return Runs(ends[:-1], ends[1:] - ends[:-1], order), codes.index_select(0, starts)


@dataclass(frozen=True)
class KeyMatcher(Matcher):
    """A direct table over key codes: the build row where keys are unique, else its run.

    Codes are small because keys are a small range already or were numbered by `KeyEncoder`; the
    table has a place more, for keys that no build row has.
    """

    encoder: KeyEncoder
    table: Tensor  # int32 per code: the build row or -1; with `runs`, the run
    runs: Runs | None

    @staticmethod
    def fit(keys: Sequence[Column], null_equal: Sequence[bool], probes: int = 0) -> KeyMatcher:
        """Index the build rows, for some `probes` rows to come."""
        rows = len(keys[0])
        encoder, coded = fit_dense(keys, null_equal, table_limit(rows, probes))
        codes, present = coded.codes, _counting(rows, coded.codes)
        if bool((codes < 0).any()):
            present = kernels.nonzero(codes >= 0)
            codes = codes.index_select(0, present)
        table = codes.new_full((encoder.size + 1,), -1, dtype=torch.int32)
        kernels.write(table, codes, present)
        if bool((table.index_select(0, codes) == present).all()):
            return KeyMatcher(rows, table.device, encoder, table, None)
        if encoder.size < 2**31:
            codes = codes.to(torch.int32)
        runs, distinct = Runs.fit(codes, present, rows)
        number = _counting(int(distinct.shape[0]), codes)
        kernels.write(table.fill_(int(distinct.shape[0])), distinct, number)
        return KeyMatcher(rows, table.device, encoder, table, runs)

    def match(self, keys: Sequence[Column], rows: int) -> Matches:
        """The build rows with the probe rows' keys."""
        codes = self.encoder.encode(keys)
        places = self.table.index_select(0, codes)
        if self.runs is None:
            return Matches(codes, codes, None, places)
        starts, counts = (
            each.index_select(0, places) for each in (self.runs.starts, self.runs.counts)
        )
        return Matches(starts, counts, self.runs.order)


def _counting(rows: int, beside: Tensor) -> Tensor:
    """int32 0, 1, 2, … where another tensor lies."""
    return torch.arange(rows, dtype=torch.int32, device=beside.device)


@dataclass(frozen=True)
class KeySet:
    """The build side's key codes and a flag for each, the last one for all other keys."""

    encoder: KeyEncoder
    own: Tensor  # of each build row
    flags: Tensor

    @staticmethod
    def fit(keys: Sequence[Column], null_equal: Sequence[bool], probes: int) -> KeySet:
        """No flag is set yet."""
        encoder, coded = fit_dense(keys, null_equal, table_limit(len(keys[0]), probes))
        own = coded.codes.masked_fill(coded.codes < 0, encoder.size)
        return KeySet(encoder, own, own.new_zeros(encoder.size + 1, dtype=torch.bool))

    def fill(self) -> None:
        """Flag the build rows' keys."""
        kernels.mark(self.flags, self.own)
        self.flags[-1] = False

    def holds(self, keys: Sequence[Column]) -> Tensor:
        """bool per probe row: its key has a flag."""
        return self.flags.index_select(0, self.encoder.encode(keys))

    def mark(self, keys: Sequence[Column]) -> None:
        """Flag the probe rows' keys."""
        kernels.mark(self.flags, self.encoder.encode(keys))

    def marked(self) -> Tensor:
        """bool per build row: its key has a flag."""
        self.flags[-1] = False
        return self.flags.index_select(0, self.own)


def table_limit(rows: int, probes: int) -> int:
    """How many codes a direct table may have: filling it must cost less than it saves."""
    return min(max(8 * rows + 65536, 4 * probes), 2**26)


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
        counts = matches.counts[start:stop]
        hits = kernels.nonzero(counts != 0)
        firsts = matches.starts[start:stop].index_select(0, hits)
        owner, build = kernels.ranges(firsts, counts.index_select(0, hits))
        if matches.order is not None:
            build = matches.order.index_select(0, build)
        yield Pairs(start, stop, hits.index_select(0, owner) + start, build)


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


@dataclass(frozen=True)
class BuildRecipe:
    """The columns to keep, the key expressions, and for each key whether NULL equals NULL."""

    node: int
    columns: Columns
    keys: tuple[Expression, ...]
    null_equal: tuple[bool, ...]

    def start(self, run: Run) -> BuildSink:
        """Compile the keys."""
        keys = compile_expressions(self.keys, run.context)
        return BuildSink(self.columns, keys, recipe=self, device=run.context.device)


class BuildSide(KeptRows):
    """All rows of the build side in one batch, with their keys and whether each met a partner."""

    def __init__(self, kept: KeptRows, recipe: BuildRecipe, device: torch.device) -> None:
        rows = kept.joined(device)
        super().__init__(recipe.columns, [rows])
        self.keys = rows.keys or [null_column(key.type, 0, device) for key in recipe.keys]
        self.null_equal = recipe.null_equal
        self.matched = torch.zeros(rows.batch.count, dtype=torch.bool, device=device)
        self.distinct_keys: KeySet | None = None

    def matcher(self, places: Sequence[int] | None = None, probes: int = 0) -> Matcher:
        """A matcher by these of the keys (None = all of them), for some `probes` rows."""
        chosen = range(len(self.keys)) if places is None else places
        if not chosen:
            return Matcher(self.rows, self.matched.device)
        keys = [self.keys[place] for place in chosen]
        return KeyMatcher.fit(keys, [self.null_equal[place] for place in chosen], probes)

    def key_set(self, probes: int) -> KeySet:
        """The set of the keys (at least one), for some `probes` rows; made once."""
        if self.distinct_keys is None:
            self.distinct_keys = KeySet.fit(self.keys, self.null_equal, probes)
        return self.distinct_keys


@dataclass(frozen=True, kw_only=True)
class BuildSink(Keeping):
    """Keeps rows and keys in order."""

    recipe: BuildRecipe
    device: torch.device

    def merge(self, states: Sequence[KeptRows]) -> BuildSide:
        """The build side; its matchers are made by the probes that need them."""
        return BuildSide(super().merge(states), self.recipe, self.device)
