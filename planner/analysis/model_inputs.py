"""What a model takes: nothing stored is cast, rescaled or reshaped unless that was said."""

from __future__ import annotations

import math

from tensorsql.storage.columns.types import Kind, Type
from tensorsql.storage.tables.catalog import ModelEntry

Elements = tuple[str, tuple[int, ...]]  # element type and shape of one row

# How many bits of a whole number each type holds, a sign aside, and whether it has one.
WHOLE = {
    **{"bool": (1, False), "uint8": (8, False), "uint16": (16, False), "uint32": (32, False)},
    **{"int8": (7, True), "int16": (15, True), "int32": (31, True), "int64": (63, True)},
    "uint64": (64, False),
}
# Digits and exponent bits of the float types: one holds another that has less of both.
FLOATS = {"float16": (11, 5), "bfloat16": (8, 8), "float32": (24, 8), "float64": (53, 11)}
BYTES = {"uint8": 255, "uint16": 65535}


def column_misfit(model: ModelEntry, column: Type) -> str | None:
    """Why a model cannot take a column of this type as it is; None if it can, or may."""
    first = model.inputs[0][1]
    shape = first.shape if first.kind is Kind.TENSOR else (len(model.inputs),)
    wanted = (model.running.element, shape)
    scaled = model.options.get("scale") is not None
    return misfit((column.element, column.shape or shape), wanted, scaled)


def misfit(stored: Elements, wanted: Elements, scaled: bool) -> str | None:
    """Why values cannot be a model's input, with the cure; only axes of size 1 come and go."""
    if [size for size in stored[1] if size != 1] != [size for size in wanted[1] if size != 1]:
        return f"the model takes {list(wanted[1])}, this is {list(stored[1])}"
    if stored[0] == wanted[0] or not stored[0]:
        return None
    if wanted[0] in WHOLE:
        return _not_whole(stored[0], wanted[0])
    if scaled or _holds(wanted[0], stored[0]):
        return None
    what = f"the model takes {wanted[0]}, this holds {stored[0]}"
    if stored[0] in FLOATS:
        return f"{what}; give the model scale = 1 to have values rounded to {wanted[0]}"
    if stored[0] in BYTES:
        return (
            f"{what}; give the model scale = {BYTES[stored[0]]} to have values divided by it, or"
            " scale = 1 to take them as they are"
        )
    return f"{what}; give the model scale = 1 to take the numbers as they are"


def _not_whole(stored: str, wanted: str) -> str | None:
    what = f"the model takes whole numbers ({wanted}), this holds {stored}"
    if stored not in WHOLE:
        return f"{what}; store whole numbers"
    bits, signed = WHOLE[stored]
    enough, both = WHOLE[wanted]
    return None if bits <= enough and (both or not signed) else f"{what}, which may not fit"


def _holds(wanted: str, stored: str) -> bool:
    digits, exponent = FLOATS.get(stored, (math.inf, math.inf))
    return digits <= FLOATS[wanted][0] and exponent <= FLOATS[wanted][1]
