"""A model file's content, read once: what is hashed and checked is what is loaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tensorsql.errors import IOError as FileError


@dataclass(frozen=True)
class ModelFile:
    """Path and content of a model file."""

    path: str
    content: bytes = field(repr=False)

    @cached_property
    def digest(self) -> str:
        """The hash of the content."""
        return hashlib.sha256(self.content).hexdigest()


def read_model_file(path: str) -> ModelFile:
    """The file; IOError that names it if it cannot be read."""
    if not Path(path).is_file():
        raise FileError(f'model file "{path}" does not exist')
    try:
        return ModelFile(path, Path(path).read_bytes())
    except OSError as error:
        raise FileError(f'cannot read model file "{path}": {error.strerror}') from error
