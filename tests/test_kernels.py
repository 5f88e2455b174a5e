"""Primitives of every device against their plain meaning, on nasty inputs; who may use numpy."""

from __future__ import annotations

import ast
import inspect
import itertools
import math
import operator
import re
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor

from tensorsql.operators import kernels
from tensorsql.operators.kernels import cpu, portable

OPERATORS = Path(kernels.__file__).parent.parent
INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64)
FLOATS = (torch.float32, torch.float64)
SIZES = (0, 1, 2, 1025, 1026, 1100)
Case = tuple[Any, ...]


def integers(dtype: torch.dtype) -> Iterator[Tensor]:
    """Empty, one row, ties, sorted, backwards, both ends of the range, random."""
    random = torch.Generator().manual_seed(7)
    limits = torch.iinfo(dtype)
    ends = [limits.min, limits.max, 0, -1, 1, limits.min, limits.max - 1, limits.min + 1]
    for values in (
        [],
        [limits.min],
        [limits.max],
        [3, 3, 3],
        ends,
        sorted(ends),
        sorted(ends)[::-1],
    ):
        yield torch.tensor(values, dtype=dtype)
    for size in SIZES:
        yield torch.randint(-5, 6, (size,), dtype=dtype, generator=random)
        yield torch.randint(limits.min, limits.max, (size,), generator=random).to(dtype)
        yield torch.arange(size).to(dtype).sort().values
        yield torch.arange(2 * size).to(dtype)[::2]  # of strides


def all_integers() -> Iterator[Tensor]:
    return itertools.chain.from_iterable(map(integers, INTEGERS))


def floats() -> Iterator[Tensor]:
    """NaN of either sign and payload, both zeros, infinities, the smallest and largest."""
    other_nan = struct.unpack("d", struct.pack("Q", 0xFFF8_0000_0000_0001))[0]
    odd = [0.0, -0.0, math.nan, -math.nan, other_nan, math.inf, -math.inf, 5e-324, -5e-324]
    for dtype in FLOATS:
        limits = torch.finfo(dtype)
        for values in ([], [-0.0], [math.nan], [*odd, limits.max, limits.min, limits.tiny, 1.5]):
            yield torch.tensor(values, dtype=dtype)
        yield torch.randn(1000, generator=torch.Generator().manual_seed(1)).to(dtype)


def codes() -> Iterator[tuple[Tensor, int]]:
    """Group numbers and how many groups: none, empty groups, all in one, all apart."""
    random = torch.Generator().manual_seed(3)
    for rows, groups in [(0, 0), (0, 3), (1, 1), (5, 1), (3, 10), (1000, 7), (1000, 5000)]:
        yield torch.randint(0, max(groups, 1), (rows,), generator=random), groups


def valued_codes(dtypes: tuple[torch.dtype, ...]) -> Iterator[Case]:
    for (numbers, groups), dtype in itertools.product(codes(), dtypes):
        if dtype.is_floating_point:
            yield numbers, groups, torch.randn(len(numbers)).to(dtype) * 1e10
        else:
            limits = torch.iinfo(dtype)
            few = torch.randint(limits.min // 10000, limits.max // 10000 + 1, numbers.shape)
            yield numbers, groups, few.to(dtype)


def marked() -> Iterator[Case]:
    for (rows, groups), dtype in itertools.product(codes(), (torch.int32, torch.int64)):
        yield torch.zeros(groups, dtype=torch.bool), rows.to(dtype)


def written() -> Iterator[Case]:
    for (rows, groups), dtype in itertools.product(codes(), (torch.int32, torch.int64)):
        numbers = torch.arange(len(rows))
        yield torch.full((groups,), -1), rows.to(dtype), numbers
        yield torch.zeros(groups, dtype=torch.int32), rows.to(dtype), numbers.to(torch.int32)
        yield torch.zeros(groups, dtype=torch.float64), rows.to(dtype), numbers.double() / 3


def placed() -> Iterator[Case]:
    for values in all_integers():
        for low, size in [(0, 1), (-3, 5), (-(2**31), 2**31), (-(2**63), 4), (2**63 - 4, 4)]:
            yield values, low, size
        yield values, -(2**31), 2**32
        yield values, -(2**62), 2**62 + 7
        yield values, 0, 2**31 - 1


def runs() -> Iterator[Case]:
    for values in all_integers():
        if len(values):
            yield portable.run_starts(values), len(values)
            yield portable.run_starts(values).to(torch.int64), len(values)


def summed_runs() -> Iterator[Case]:
    for values in integers(torch.int64):
        if len(values):
            for starts in ([0], range(len(values)), range(0, len(values), 3)):
                yield values, torch.tensor(list(starts))


def ranged() -> Iterator[Case]:
    for starts, counts in [([], []), ([7], [0]), ([7], [3]), ([5, 0, 5, 2], [2, 0, 1, 3])]:
        for dtype in (torch.int32, torch.int64):
            yield torch.tensor(starts, dtype=dtype), torch.tensor(counts, dtype=dtype)


def ones(values: Iterator[Tensor]) -> Iterator[Case]:
    return ((each,) for each in values)


def masks() -> Iterator[Case]:
    yield from ones(torch.arange(size) % 3 == 0 for size in SIZES)
    yield from ones(torch.full((size,), value) for size in SIZES for value in (True, False))


def grouped(numbers: Tensor, groups: int) -> list[list[int]]:
    """The rows of each group."""
    rows: list[list[int]] = [[] for _ in range(groups)]
    for row, group in enumerate(numbers.tolist()):
        rows[group].append(row)
    return rows


def plain_sum(numbers: Tensor, groups: int, values: Tensor) -> Tensor:
    table = torch.zeros(groups, dtype=values.dtype)
    for group, value in zip(numbers.tolist(), values, strict=True):
        table[group] += value
    return table


def plain_extreme(numbers: Tensor, groups: int, values: Tensor, largest: bool) -> Tensor:
    limits, choose = torch.iinfo(values.dtype), max if largest else min
    nothing = limits.min if largest else limits.max
    rows = grouped(numbers, groups)
    listed = [choose((int(values[row]) for row in each), default=nothing) for each in rows]
    return torch.tensor(listed, dtype=values.dtype)


def plain_float_bits(values: Tensor) -> Tensor:
    def bits(value: float) -> int:
        (word,) = struct.unpack(
            "q", struct.pack("d", math.nan if math.isnan(value) else value + 0.0)
        )
        return abs(word) if math.isnan(value) else word if word >= 0 else -(word + 2**63) - 1

    return torch.tensor([bits(value) for value in values.tolist()], dtype=torch.int64)


def plain_places(values: Tensor, low: int, size: int) -> Tensor:
    found = [value - low if low <= value < low + size else size for value in values.tolist()]
    return torch.tensor(found, dtype=torch.int32 if size < 2**31 else torch.int64)


def plain_hashes(values: Tensor, bits: int) -> Tensor:
    mixed = [value * 0x9E3779B97F4A7C15 % 2**64 >> (64 - bits) for value in values.tolist()]
    return torch.tensor(mixed, dtype=torch.int32)


def plain_write(table: Tensor, rows: Tensor, values: Any) -> None:
    for place, row in enumerate(rows.tolist()):
        table[row] = values if values is True else values[place]


def plain_starts(values: Tensor) -> Tensor:
    listed = values.tolist()
    places = [i for i in range(len(listed)) if i == 0 or listed[i] != listed[i - 1]]
    return torch.tensor(places, dtype=torch.int32)


def plain_runs(starts: Tensor, rows: int) -> Iterator[range]:
    return itertools.starmap(range, itertools.pairwise([*starts.tolist(), rows]))


def plain_run_sums(values: Tensor, starts: Tensor) -> Tensor:
    listed = values.tolist()
    sums = (sum(listed[row] for row in run) for run in plain_runs(starts, len(listed)))
    return torch.tensor([(each + 2**63) % 2**64 - 2**63 for each in sums])


def plain_ranges(starts: Tensor, counts: Tensor) -> tuple[Tensor, Tensor]:
    listed = zip(starts.tolist(), counts.tolist(), strict=True)
    pairs = [(i, start + k) for i, (start, count) in enumerate(listed) for k in range(count)]
    owners, elements = zip(*pairs, strict=True) if pairs else ((), ())
    return torch.tensor(owners, dtype=torch.int32), torch.tensor(elements, dtype=torch.int32)


def plain_distinct(values: Tensor) -> tuple[Tensor, Tensor]:
    listed = sorted(set(values.tolist()))
    place = {value: number for number, value in enumerate(listed)}
    places = [place[value] for value in values.tolist()]
    return torch.tensor(listed, dtype=torch.int64), torch.tensor(places, dtype=torch.int64)


OPERATIONS = (operator.add, operator.sub, operator.mul, operator.lt, operator.ge, operator.eq)


def calculated() -> Iterator[Case]:
    """Within the range of the dtype: tensors with tensors, and with a number."""
    for values in all_integers():
        small = torch.div(values, 16, rounding_mode="trunc")
        for operation in OPERATIONS:
            yield small, operation, 7 if operation is not operator.mul else 8
            yield small, operation, small.flip(0) if operation is not operator.mul else small.sign()
    for values in floats():
        for operation in (operator.lt, operator.ge, operator.eq):
            yield values, operation, 0.0
            yield values, operation, values.flip(0)


def plain_elementwise(values: Tensor, operation: Callable[[Any, Any], Any], other: Any) -> Tensor:
    others = [other] * len(values) if not isinstance(other, Tensor) else list(other)
    rows = [operation(row, each) for row, each in zip(values, others, strict=True)]
    calculates = operation in (operator.add, operator.sub, operator.mul)
    return torch.stack(rows) if rows else values.to(values.dtype if calculates else torch.bool)


def pairs(low: float, high: float) -> Iterator[Case]:
    """Doubles of a range, with its ends, both zeros and NaN; of several lengths."""
    random = torch.Generator().manual_seed(5)
    for size in SIZES:
        a, b = torch.rand((2, size), dtype=torch.float64, generator=random) * (high - low) + low
        yield a, b + (b == 0)
    ends = [[low, high, 0.0, math.nan], [high, low, low, 1.0]]
    yield tuple(torch.tensor(ends, dtype=torch.float64))


def by_row(function: Callable[..., float], *operands: Tensor) -> Tensor:
    rows = zip(*(each.tolist() for each in operands), strict=True)
    return torch.tensor([function(*row) for row in rows], dtype=torch.float64)


def divided() -> Iterator[Case]:
    for lo in integers(torch.int64):
        for hi in (lo >> 63, lo.flip(0), torch.zeros_like(lo), torch.full_like(lo, -1)):
            for scale in (1, 10**30):
                yield hi, lo, torch.arange(len(lo)) % 9 + 1, scale


def plain_quotient(hi: Tensor, lo: Tensor, counts: Tensor, scale: int) -> Tensor:
    rows = zip(hi.tolist(), lo.tolist(), counts.tolist(), strict=True)
    exact = [Fraction(a * 2**64 + b % 2**64, count * scale) for a, b, count in rows]
    return torch.tensor([float(each) for each in exact], dtype=torch.float64)


# The plain meaning of each primitive, and what it is asked.
PRIMITIVES: dict[str, tuple[Callable[..., Any], Callable[[], Iterator[Case]]]] = {
    "nonzero": (
        lambda mask: torch.tensor([i for i, x in enumerate(mask.tolist()) if x], dtype=torch.int32),
        masks,
    ),
    "count_by": (lambda n, g: torch.tensor([len(x) for x in grouped(n, g)]).long(), codes),
    "sum_by": (plain_sum, lambda: valued_codes((torch.int64, torch.float64, torch.float32))),
    "extreme_by": (
        plain_extreme,
        lambda: ((*case, end) for case in valued_codes(INTEGERS) for end in (True, False)),
    ),
    "first_by": (
        lambda n, g: torch.tensor([min(x, default=len(n)) for x in grouped(n, g)]).long(),
        codes,
    ),
    "last_by": (
        lambda n, g: torch.tensor([max(x, default=-1) for x in grouped(n, g)]).long(),
        codes,
    ),
    "argsort": (
        lambda v: torch.tensor(sorted(range(len(v)), key=v.tolist().__getitem__)).long(),
        lambda: ones(all_integers()),
    ),
    "distinct": (plain_distinct, lambda: ones(integers(torch.int64))),
    "float_bits": (plain_float_bits, lambda: ones(floats())),
    "bits_to_float": (
        lambda bits: torch.tensor(floats_of(bits), dtype=torch.float64),
        lambda: ones(portable.float_bits(x).unique() for x in floats()),
    ),
    "bounds": (
        lambda v: (min(v.tolist()), max(v.tolist())),
        lambda: ones(values for values in all_integers() if len(values)),
    ),
    "places": (plain_places, placed),
    "hashes": (plain_hashes, lambda: ((v, b) for v in integers(torch.int64) for b in (1, 8, 31))),
    "mark": (lambda table, rows: plain_write(table, rows, True), marked),
    "write": (plain_write, written),
    "ascending": (
        lambda v: all(a <= b for a, b in itertools.pairwise(v.tolist())),
        lambda: ones(all_integers()),
    ),
    "run_starts": (plain_starts, lambda: ones(all_integers())),
    "run_numbers": (
        lambda s, n: torch.tensor([i for i, run in enumerate(plain_runs(s, n)) for _ in run]),
        runs,
    ),
    "run_sums": (plain_run_sums, summed_runs),
    "ranges": (plain_ranges, ranged),
    "elementwise": (plain_elementwise, calculated),
}
# These may differ in the last bits: what they are, and what they are asked.
NEARLY: dict[str, tuple[Callable[..., Any], Callable[[], Iterator[Case]]]] = {
    "remainder": (lambda a, b: by_row(math.fmod, a, b), lambda: pairs(-7.5, 1e300)),
    "power": (lambda a, b: by_row(pow, a, b), lambda: pairs(0.1, 40.0)),
    "cube_root": (
        lambda a: by_row(lambda x: math.copysign(abs(x) ** (1 / 3), x), a),
        lambda: ((a,) for a, _ in pairs(-1e9, 1e9)),
    ),
    "arcsine": (lambda a: by_row(math.asin, a), lambda: ((a,) for a, _ in pairs(-1.0, 1.0))),
    "arccosine": (lambda a: by_row(math.acos, a), lambda: ((a,) for a, _ in pairs(-1.0, 1.0))),
    "arctangent": (lambda a, b: by_row(math.atan2, a, b), lambda: pairs(-5.0, 5.0)),
    "quotient": (plain_quotient, divided),
}


def floats_of(bits: Tensor) -> list[float]:
    """The floats whose `plain_float_bits` these are."""
    words = [word if word >= 0 else -(word + 1) - 2**63 for word in bits.tolist()]
    return [struct.unpack("d", struct.pack("q", word))[0] for word in words]


def names(module: ModuleType) -> set[str]:
    """The functions that a module defines."""
    found = inspect.getmembers(module, inspect.isfunction)
    return {name for name, each in found if each.__module__ == module.__name__}


def outcome(primitive: Callable[..., Any], case: Case) -> list[Any]:
    """What it gives and what it writes, as dtypes and bits."""
    own = (case[0].clone(), *case[1:]) if len(case) > 1 else case  # which `mark` and `write` change
    result = primitive(*own)
    given = [*(result if isinstance(result, tuple) else (result,)), *own]
    return [
        (each.dtype, each.numpy().tobytes()) if isinstance(each, Tensor) else each for each in given
    ]


@pytest.mark.parametrize("name", PRIMITIVES)
def test_every_form_means_the_same(name: str) -> None:
    plain, cases = PRIMITIVES[name]
    forms = [getattr(module, name) for module in (portable, cpu, kernels) if hasattr(module, name)]
    for case in cases():
        expected = outcome(plain, case)
        for form in forms:
            assert outcome(form, case) == expected, (form.__module__, case)


@pytest.mark.parametrize("name", NEARLY)
def test_every_form_means_nearly_the_same(name: str) -> None:
    plain, cases = NEARLY[name]
    for case in cases():
        for module in (portable, cpu, kernels):
            made = getattr(module, name)(*case)
            torch.testing.assert_close(made, plain(*case), rtol=1e-14, atol=0, equal_nan=True)


def test_no_primitive_is_left_out() -> None:
    """Each has a portable form and a plain meaning here; the CPU's and the portable one agree."""
    assert {*PRIMITIVES, *NEARLY} == names(portable)
    forms = {name for name in names(cpu) if not name.startswith("_")}
    assert forms < names(portable)
    assert {name for name in vars(kernels) if name in names(portable)} == names(portable)
    for name in forms:
        parameters = [inspect.signature(getattr(each, name)) for each in (cpu, portable)]
        assert parameters[0] == parameters[1], name


def test_the_form_is_chosen_by_the_device() -> None:
    """A tensor elsewhere never meets numpy: on `meta`, which has no values, torch goes ahead."""
    for name in ("places", "hashes", "mark", "run_sums"):
        for case in itertools.islice(PRIMITIVES[name][1](), 3):
            moved = [each.to("meta") if isinstance(each, Tensor) else each for each in case]
            made = getattr(kernels, name)(*moved)
            assert made is None or made.is_meta


def test_numpy_is_left_to_modules_of_the_cpu() -> None:
    """A module below operators that reads a tensor's memory by numpy says so, and why, first."""
    for path in sorted(OPERATORS.rglob("*.py")):
        source = path.read_text()
        if not re.search(r"\.numpy\(\)|from_numpy\(|numpy_view", source):
            continue
        says = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        assert re.search(r"CPU only: .{10,}\.", says), f"{path.relative_to(OPERATORS)} uses numpy"


def test_portable_forms_are_torch_alone() -> None:
    source = Path(portable.__file__).read_text()
    assert "numpy" not in source
