"""The few primitives whose best form depends on the device; everything else is plain torch.

Each is chosen by where its first tensor lies: on the CPU its form in `cpu`, which tests hold to the
one in `portable`, or that one where it is the best there, too. A device of its own form joins here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from tensorsql.operators.kernels import cpu, portable

Arguments = ParamSpec("Arguments")
Made = TypeVar("Made")


def _chosen(
    on_cpu: Callable[Arguments, Made], elsewhere: Callable[Arguments, Made]
) -> Callable[Arguments, Made]:
    @wraps(elsewhere)
    def primitive(*arguments: Arguments.args, **named: Arguments.kwargs) -> Made:
        return (on_cpu if arguments[0].is_cpu else elsewhere)(*arguments, **named)  # type: ignore[attr-defined]

    return primitive


nonzero = _chosen(cpu.nonzero, portable.nonzero)
count_by = portable.count_by
sum_by = portable.sum_by
extreme_by = portable.extreme_by
first_by = _chosen(cpu.first_by, portable.first_by)
last_by = portable.last_by
argsort = portable.argsort
distinct = portable.distinct
float_bits = portable.float_bits
bits_to_float = portable.bits_to_float
bounds = portable.bounds
places = _chosen(cpu.places, portable.places)
hashes = _chosen(cpu.hashes, portable.hashes)
mark = _chosen(cpu.mark, portable.mark)
write = _chosen(cpu.write, portable.write)
ascending = _chosen(cpu.ascending, portable.ascending)
run_starts = _chosen(cpu.run_starts, portable.run_starts)
run_numbers = _chosen(cpu.run_numbers, portable.run_numbers)
run_sums = _chosen(cpu.run_sums, portable.run_sums)
ranges = _chosen(cpu.ranges, portable.ranges)
elementwise = _chosen(cpu.elementwise, portable.elementwise)
remainder = _chosen(cpu.remainder, portable.remainder)
power = _chosen(cpu.power, portable.power)
cube_root = _chosen(cpu.cube_root, portable.cube_root)
arcsine = _chosen(cpu.arcsine, portable.arcsine)
arccosine = _chosen(cpu.arccosine, portable.arccosine)
arctangent = _chosen(cpu.arctangent, portable.arctangent)
quotient = _chosen(cpu.quotient, portable.quotient)
