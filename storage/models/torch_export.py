"""`.pt2`: archives of `torch.export`. Safe ones load as they are, others need trust."""

from __future__ import annotations

import contextlib
import warnings
import zipfile
from collections.abc import Iterator, Mapping
from typing import Any

import torch

from tensorsql.errors import CorruptError, UnsupportedError
from tensorsql.storage.models.model import CANONICAL_BATCH, Model
from tensorsql.storage.models.options import ModelOptions
from tensorsql.storage.models.trust import why_untrusted


def load(path: str, options: ModelOptions) -> Model:
    """The archive's module with its layers restored, in eval mode."""
    if not options.trust:
        refuse_code(path)
    try:
        with quiet():
            program = torch.export.load(path)
            module = torch.export.unflatten(program)
    except Exception as error:  # torch raises all kinds for a damaged archive
        raise CorruptError(f'"{path}" does not load as a torch.export archive: {error}') from error
    shape, dtype, batch = _input(program, path)
    return Model(module.eval(), options.input or shape, dtype, options.scale, batch)


def refuse_code(path: str) -> None:
    """UnsupportedError if loading would run code, CorruptError if it is no archive."""
    try:
        reason = why_untrusted(path)
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptError(f'"{path}" is not a torch.export archive: {error}') from error
    if reason:
        raise UnsupportedError(
            f'"{path}" would run code when loaded ({reason});'
            " if you trust its author, say WITH (trust = true)"
        )


def _input(program: torch.export.ExportedProgram, path: str) -> tuple[Any, torch.dtype, int]:
    """Row shape, element type and batch size of the only input; a fixed batch size is kept."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise UnsupportedError(f'"{path}" takes {len(names)} inputs; a model here takes one tensor')
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta["val"]
    batch, *row = value.shape
    shape = tuple(int(size) for size in row)
    return shape, value.dtype, _batch(batch, program.range_constraints)


def _batch(size: Any, ranges: Mapping[Any, Any]) -> int:
    if isinstance(size, int):
        return size
    limits = ranges.get(size.node.expr)
    if limits is not None and bool(limits.upper < CANONICAL_BATCH):
        return int(limits.upper)
    return CANONICAL_BATCH


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """torch warns about its own internals while it reads an archive."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
