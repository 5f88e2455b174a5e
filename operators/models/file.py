"""A model file's content, read once: what is hashed and checked is what is loaded.

So it is with the members of a `torch.export` archive. Nothing but this opens the file, so it does
not matter how another reader would see a zip with two directories, two members of one name or more
content than its directory names.
"""

from __future__ import annotations

import hashlib
import io
import unicodedata
import zipfile
from collections.abc import Iterable, Mapping
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


def read_members(content: bytes) -> Mapping[str, bytes]:
    """Every member by its full name.

    ValueError or BadZipFile for what is no archive as torch writes one: encrypted, compressed (so
    that no member is larger than the file), or with names that a folder could not hold.
    """
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = [info for info in archive.infolist() if not info.is_dir()]
        _refuse_twice(info.filename for info in members)
        for info in members:
            if info.flag_bits & 1 or info.compress_type != zipfile.ZIP_STORED:
                raise ValueError(f"{info.filename} is encrypted or compressed")
        if sum(info.file_size for info in members) > len(content):
            raise ValueError("its members overlap")
        return {info.filename: archive.read(info) for info in members}


def _refuse_twice(names: Iterable[str]) -> None:
    """Two names are one where some file system or reader would take them for the same."""
    seen: set[str] = set()
    for name in names:
        plain = unicodedata.normalize("NFKC", name).casefold()
        if plain in seen:
            raise ValueError(f"{name} is in it twice")
        seen.add(plain)
