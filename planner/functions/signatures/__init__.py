"""The registry of all functions: name → overloads, one file per group.

To add a function: one line in a group's `SIGNATURES` and one kernel. To add a group: one line here.
"""

from __future__ import annotations

import copyreg
import dataclasses
from collections.abc import Callable, Mapping
from itertools import chain
from typing import Any

from tensorsql.planner.functions.signatures import (
    aggregates,
    arithmetic,
    bits,
    casts,
    comparison,
    conditional,
    dates,
    lists,
    logic,
    masks,
    models,
    neurons,
    numbers,
    strings,
    windows,
)
from tensorsql.planner.plans.signature import Signature

GROUPS = (
    logic.SIGNATURES,
    comparison.SIGNATURES,
    arithmetic.SIGNATURES,
    bits.SIGNATURES,
    conditional.SIGNATURES,
    casts.SIGNATURES,
    strings.SIGNATURES,
    numbers.SIGNATURES,
    dates.SIGNATURES,
    lists.SIGNATURES,
    aggregates.SIGNATURES,
    windows.SIGNATURES,
    masks.SIGNATURES,
    models.SIGNATURES,
    neurons.SIGNATURES,
)
# Another name for the same overloads.
ALIASES = (
    numbers.ALIASES
    | strings.ALIASES
    | dates.ALIASES
    | lists.ALIASES
    | arithmetic.ALIASES
    | aggregates.ALIASES
)


def _collect() -> dict[str, tuple[Signature, ...]]:
    overloads: dict[str, list[Signature]] = {}
    for signature in chain.from_iterable(GROUPS):
        overloads.setdefault(signature.name, []).append(signature)
    named = {name: tuple(signatures) for name, signatures in overloads.items()}
    return named | {alias: named[name] for alias, name in ALIASES.items()}


Functions = Mapping[str, tuple[Signature, ...]]  # the overloads of each name, all of one kind
SIGNATURES = _collect()


def signature_at(name: str, index: int) -> Signature:
    """The overload at a place in the registry (how a signature unpickles)."""
    return SIGNATURES[name][index]


def _reduced(signature: Signature) -> tuple[Callable[..., Signature], tuple[Any, ...]]:
    for place, other in enumerate(SIGNATURES.get(signature.name, ())):
        if other is signature:
            return signature_at, (signature.name, place)
    own = tuple(getattr(signature, item.name) for item in dataclasses.fields(signature))
    return Signature, own  # a session's own


copyreg.pickle(Signature, _reduced)  # result types may be lambdas, which do not pickle
