"""From a file or a Python module to a catalog record, and from the record to a loaded model."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from tensorsql.errors import BindError, CorruptError, UnsupportedError
from tensorsql.errors import IOError as FileError
from tensorsql.operators.models import safetensors, torch_export, torch_pickle
from tensorsql.operators.models.describe import describe, require_unchanged
from tensorsql.operators.models.file import ModelFile, read_model_file
from tensorsql.operators.models.identity import module_hash
from tensorsql.operators.models.model import Model
from tensorsql.operators.models.modules import private_copy, ready
from tensorsql.operators.models.options import (
    EVERY_MODEL,
    ModelOptions,
    checked_options,
    model_options,
)
from tensorsql.storage.files.quiet import quietly
from tensorsql.storage.tables.catalog import ModelEntry


@dataclass(frozen=True)
class Format:
    """A kind of model file: how it is read, and the options that reading it or using it reads."""

    name: str
    load: Callable[[ModelFile, ModelOptions], Model]
    options: tuple[str, ...]


_EXPORT = Format("torch.export", torch_export.load, (*EVERY_MODEL, "trust"))
_SAFETENSORS = Format("safetensors", safetensors.load, (*EVERY_MODEL, "trust", "factory"))
_TORCH = Format("torch", torch_pickle.load, (*EVERY_MODEL, "trust"))
FORMATS = {
    ".pt2": _EXPORT,
    ".safetensors": _SAFETENSORS,
    ".pt": _TORCH,
    ".pth": _TORCH,
    ".pkl": _TORCH,
}
MODULE = "module"  # the format of models registered from Python


def load_model(name: str, path: str, options: Mapping[str, Any]) -> ModelEntry:
    """The record of the model in a file, loaded once to learn its layers.

    IOError names a missing file, CorruptError a damaged one; UnsupportedError refuses a file that
    would run code without `trust`.
    """
    format = _format(path)
    checked = checked_options(format.name, options, format.options)
    read = model_options(checked)
    file = read_model_file(path)
    digest = hashlib.sha256(file.content + read.preprocessing.encode()).hexdigest()
    entry = ModelEntry(name, path, format.name, digest, options=checked, file_hash=file.digest)
    try:
        with alone_and_quiet():
            model = format.load(file, read)
            if read.trust:
                TRUSTED.add(file.digest)
            return describe(entry, model, read)
    except (BindError, UnsupportedError) as error:
        raise (
            error if path in error.message else type(error)(f'"{path}": {error.message}')
        ) from None


def register_module(name: str, module: nn.Module, options: Mapping[str, Any]) -> ModelEntry:
    """The record of a copy of the module: later changes of its weights are not seen."""
    if not isinstance(module, nn.Module):
        raise BindError(f'model "{name}" is of type {type(module).__name__}, not a torch module')
    checked = checked_options("registered", options, EVERY_MODEL)
    read = model_options(checked)
    try:
        with alone_and_quiet():
            private = ready(private_copy(module))
            entry = ModelEntry(
                name, "", MODULE, module_hash(private, read.preprocessing), options=checked
            )
            return describe(entry, Model(private, read.input, scale=read.scale), read)
    except (BindError, UnsupportedError) as error:
        raise type(error)(f'model "{name}": {error.message}') from error


def open_model(entry: ModelEntry, trust: bool = False) -> Model:
    """The loaded model of a record, checked as if its file were new.

    CorruptError if the file kept is not the one that the record was made for. A record that says
    `trust` may come from another author with the file: it counts with `trust` alone, or in the
    process where that was said.
    """
    if isinstance(entry.handle, Model):
        return entry.handle
    if entry.format == MODULE:
        raise UnsupportedError(f'model "{entry.name}" came from Python; register it again')
    load = _format(entry.source).load
    file = read_model_file(entry.source)
    if entry.file_hash and entry.file_hash != file.digest:
        raise CorruptError(
            f'model file "{entry.source}" is not the one that model "{entry.name}" was created'
            " from; create the model again"
        )
    options = model_options(entry.options)
    trusted = options.trust and (trust or file.digest in TRUSTED)
    try:
        with alone_and_quiet():
            loaded = load(file, dataclasses.replace(options, trust=trusted))
            if not entry.running.probed:
                require_unchanged(entry, loaded, options)
            return loaded.run_as(entry.running)
    except UnsupportedError as error:
        if trusted or not options.trust:
            raise
        raise UnsupportedError(
            f'model "{entry.name}" came with this database and would run code when opened; if you'
            " trust who made it, say SET trust_models = true"
        ) from error


def keep_file(entry: ModelEntry, directory: Path | None) -> ModelEntry:
    """The record with its file copied into a folder of the database, if that has one."""
    if directory is None:
        return entry
    file = read_model_file(entry.source)
    if file.digest != entry.file_hash:
        raise FileError(f'model file "{entry.source}" was changed while it was read')
    copied = Path(directory) / Path(entry.source).name
    try:
        copied.write_bytes(file.content)
    except OSError as error:
        raise FileError(f'cannot copy model file "{entry.source}": {error.strerror}') from error
    return dataclasses.replace(entry, source=str(copied))


def _format(path: str) -> Format:
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        suffixes = ", ".join(FORMATS)
        raise UnsupportedError(f'"{path}" is no model file that is known here; there is {suffixes}')
    return FORMATS[suffix]


TRUSTED: set[str] = set()  # hashes of the files that statements of this process said to trust


@contextlib.contextmanager
def alone_and_quiet() -> Iterator[None]:
    """Other threads wait; what torch warns and logs about its own internals is not shown."""
    with quietly():
        loud = [logger for logger in _torch_loggers() if not logger.disabled]
        for logger in loud:
            logger.disabled = True
        try:
            yield
        finally:
            for logger in loud:
                logger.disabled = False


def _torch_loggers() -> list[logging.Logger]:
    loggers = list(logging.root.manager.loggerDict.items())
    return [
        logger
        for name, logger in loggers
        if name.partition(".")[0] == "torch" and isinstance(logger, logging.Logger)
    ]
