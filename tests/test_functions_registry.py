"""Signatures and kernels match; planning needs no torch."""

from __future__ import annotations

import pickle
import subprocess
import sys

from tensorsql.operators.functions.registry import kernel_of
from tensorsql.planner.functions.signatures import SIGNATURES

SCALAR = [each for overloads in SIGNATURES.values() for each in overloads if each.kind == "scalar"]
MODULES = (
    "logic",
    "comparison",
    "arithmetic",
    "bits",
    "conditional",
    "casts",
    "strings",
    "patterns",
    "numbers",
    "rounding",
    "temporal",
    "dates",
    "lists",
)


def test_every_scalar_signature_has_a_kernel() -> None:
    for signature in SCALAR:
        assert callable(kernel_of(signature.kernel)), signature.kernel


def test_every_kernel_has_a_signature() -> None:
    named = {signature.kernel for signature in SCALAR}
    for module in MODULES:
        loaded = sys.modules[f"tensorsql.operators.functions.{module}"]
        for name, value in vars(loaded).items():
            if name.startswith("_") or not callable(value) or isinstance(value, type):
                continue
            parameters = getattr(value, "__annotations__", {})
            is_kernel = list(parameters) == ["arguments", "call", "extent", "return"]
            if is_kernel and value.__module__ == loaded.__name__:
                assert f"{module}.{name}" in named, f"{module}.{name}"


def test_signatures_pickle_as_themselves() -> None:
    for signature in SCALAR:
        assert pickle.loads(pickle.dumps(signature)) is signature


def test_planner_imports_and_resolves_with_torch_blocked() -> None:
    script = """
import importlib, pkgutil, sys
sys.modules["torch"] = None
import tensorsql.planner
for module in pkgutil.walk_packages(tensorsql.planner.__path__, "tensorsql.planner."):
    importlib.import_module(module.name)
from tensorsql.planner.functions.folding import fold
from tensorsql.planner.plans.expressions import Literal
from tensorsql.planner.functions.resolve import resolve
from tensorsql.storage.columns.types import INTEGER
call = resolve("+", [Literal(INTEGER, 1), Literal(INTEGER, 2)])
assert fold(call).value == 3
"""
    subprocess.run([sys.executable, "-c", script], check=True)
