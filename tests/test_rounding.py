"""ROUND and TRUNC give what DuckDB gives, bit by bit, over random numbers and digits."""

from __future__ import annotations

import math
import random
import struct
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from side_by_side import SideBySide

DIGITS = [*range(-3, 4), -400, 400, -309, -308, 308, 309, -39, -38, -40, 2**31 - 1, -(2**31)]


def _near_half(draw: random.Random, digits: int) -> float:
    """A number that is a half at so many digits, or a float beside one."""
    whole = draw.randint(0, 10 ** draw.randint(1, 15))
    scaled = float(f"{whole}.5e{-digits}")
    for _ in range(draw.choice([0, 0, 1, 2])):
        scaled = math.nextafter(scaled, draw.choice([0.0, math.inf]))
    return draw.choice([-1, 1]) * scaled


def _doubles(draw: random.Random, count: int) -> tuple[list[float], list[int]]:
    ends = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e308, -1.7e308, 5e-324, 42.0, 0.35]
    rows = [(end, digits) for end in ends for digits in DIGITS]
    while len(rows) < count:
        digits = draw.choice([draw.randint(-400, 400), draw.randint(-10, 24), draw.randint(0, 4)])
        any_bits = struct.unpack("d", struct.pack("Q", draw.getrandbits(64)))[0]
        value = draw.choice([any_bits, _near_half(draw, digits), draw.uniform(-1e4, 1e4)])
        rows.append((value, digits))
    values, places = zip(*rows, strict=True)
    return list(values), list(places)


def test_of_doubles() -> None:
    values, digits = _doubles(random.Random(1), 20_000)
    pair = SideBySide({"t": pa.table({"x": values, "n": pa.array(digits, pa.int32())})})
    pair.check(["SELECT x, n, round(x, n), trunc(x, n), round(x), trunc(x) FROM t"])


def test_of_reals() -> None:
    values, digits = _doubles(random.Random(2), 10_000)
    with np.errstate(over="ignore"):
        reals = pa.array(np.array(values, dtype=np.float32))
    pair = SideBySide({"t": pa.table({"x": reals, "n": pa.array(digits, pa.int32())})})
    pair.check(["SELECT x, n, round(x, n), trunc(x, n), round(x) FROM t"])


@pytest.mark.parametrize("type", ["TINYINT", "INTEGER", "BIGINT", "HUGEINT"])
def test_of_integers(type: str) -> None:
    bits = {"TINYINT": 8, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128}[type]
    low, high = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    draw = random.Random(bits)
    numbers = [low, high, low + 1, 0, 5, -5, 15, draw.randint(low, high), draw.randint(low, high)]
    calls = [
        f"SELECT {call}('{n}'::{type}, {digits})"
        for call in ("round", "trunc")
        for n in numbers
        for digits in (1, 0, -1, -2, -3, -9, -18, -19, -20, -37, -38, -39, -40, -(2**31))
    ]
    SideBySide().check(calls)


@pytest.mark.parametrize(
    "type", ["DECIMAL(4,2)", "DECIMAL(18,9)", "DECIMAL(19,0)", "DECIMAL(38,6)"]
)
def test_of_decimals(type: str) -> None:
    precision, scale = map(int, type[8:-1].split(","))
    draw = random.Random(precision)
    most = Decimal(10**precision - 1).scaleb(-scale)
    texts = [f"{most:f}", f"-{most:f}", "0", "0.5", "-1.25"]
    texts += [f"{draw.uniform(-9, 9):.{scale}f}" for _ in range(3)]
    digits = [9, 2, 1, 0, -1, -2, -18, -36, -37, -38, -39, -40, -(2**31), 2**31 - 1]
    SideBySide().check(
        f"SELECT {call}('{text}'::{type}, {n}), typeof({call}('{text}'::{type}, {n}))"
        for call in ("round", "trunc")
        for text in texts
        for n in digits
    )


def test_digits_by_row() -> None:
    rows = "(155, -1), (155, -2), (155, -40), (-155, -1), (155, NULL), (NULL, 1), (7, 2)"
    SideBySide().check([f"SELECT round(x, n), trunc(x, n) FROM (VALUES {rows}) t(x, n)"])
