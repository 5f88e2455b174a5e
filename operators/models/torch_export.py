"""`.pt2`: archives of `torch.export`. Plain ones load as they are, others need trust."""

from __future__ import annotations

import io
import math
import sys
import zipfile
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_structure

from tensorsql.errors import CorruptError, Error, UnsupportedError
from tensorsql.operators.models.file import ModelFile
from tensorsql.operators.models.model import CANONICAL_BATCH, Model
from tensorsql.operators.models.options import ModelOptions
from tensorsql.operators.models.trust import PlainArchive, Untrusted, plain_archive
from tensorsql.storage.columns.column import CPU

_ONE_TENSOR = tree_structure(((0,), {}))  # of positional arguments and of keywords
LARGEST_EXPANDED = 2**24  # values of a tensor that repeats those of its file
_NO_ARCHIVE = (
    zipfile.BadZipFile,
    AttributeError,
    KeyError,
    NotImplementedError,
    RecursionError,
    TypeError,
    ValueError,
    EOFError,
)


def load(file: ModelFile, options: ModelOptions) -> Model:
    """The archive's module with its layers restored, in eval mode."""
    program = _program(file, options.trust)
    try:
        shape, dtype, batch = _input(program, file.path)
    except Error:
        raise
    except Exception as error:  # torch raises all kinds for a damaged archive
        raise _does_not_load(file, error) from error
    try:
        module = torch.export.unflatten(program).eval()
    except Exception as error:
        raise UnsupportedError(
            f'PyTorch {torch.__version__} cannot restore the layers of "{file.path}": {error}'
        ) from error
    return Model(module, options.input or shape, dtype, options.scale, batch)


def _program(file: ModelFile, trust: bool) -> torch.export.ExportedProgram:
    try:
        archive = plain_archive(file.content)
    except Untrusted as untrusted:
        if not trust:
            raise UnsupportedError(
                f'"{file.path}" could run code when loaded ({untrusted});'
                " if you trust its author, say WITH (trust = true)"
            ) from None
        return _by_torch(file)
    except _NO_ARCHIVE as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else error
        raise CorruptError(f'"{file.path}" is not a torch.export archive: {reason}') from error
    if archive.members.get("byteorder", b"little") != sys.byteorder.encode():
        raise UnsupportedError(f'"{file.path}" was saved on a machine of another byte order')
    try:
        return _plain_program(archive)
    except Exception as error:  # torch raises all kinds for a damaged archive
        if _is_newer(archive.program):
            raise UnsupportedError(
                f'"{file.path}" was saved by PyTorch {archive.program.get("torch_version")}, which '
                f"PyTorch {torch.__version__} cannot read; upgrade it or save the model with it"
            ) from error
        raise _does_not_load(file, error) from error


def _is_newer(program: Mapping[str, Any]) -> bool:
    """Whether the program is of a later schema than the installed PyTorch reads."""
    from torch._export.serde.schema import SCHEMA_VERSION

    version = program.get("schema_version") or {}
    return (version.get("major", 0), version.get("minor", 0)) > tuple(SCHEMA_VERSION)


def _by_torch(file: ModelFile) -> torch.export.ExportedProgram:
    try:
        return torch.export.load(io.BytesIO(file.content))
    except Exception as error:  # and unpickling may raise anything
        if find_spec("torch.export.pt2_archive") is None and b"archive_format" in file.content:
            raise UnsupportedError(
                f'"{file.path}" is of a layout that PyTorch {torch.__version__} does not read;'
                " upgrade it or save the model with it"
            ) from error
        raise _does_not_load(file, error) from error


def _does_not_load(file: ModelFile, error: Exception) -> CorruptError | UnsupportedError:
    text = str(error).strip() or type(error).__name__
    text = f"it lacks {text}" if isinstance(error, KeyError) else text
    if "schema version" in text:
        return UnsupportedError(f'"{file.path}" was saved by another version of PyTorch: {text}')
    return CorruptError(f'"{file.path}" does not load as a torch.export archive: {text}')


def _plain_program(archive: PlainArchive) -> torch.export.ExportedProgram:
    """What torch.export.load would give, past its reader of files and its fallbacks."""
    from torch._export.serde import schema, serialize

    dtypes = serialize._SERIALIZE_TO_TORCH_DTYPE
    parse: Any = serialize._dict_to_dataclass
    program = parse(schema.ExportedProgram, archive.program)
    weights = _tensors(archive.weights, "data/weights/", archive.members, dtypes)
    constants = _tensors(archive.constants, "data/constants/", archive.members, dtypes)
    deserializer = serialize.ExportedProgramDeserializer()
    return deserializer.deserialize(program, weights, constants, None)


def _tensors(
    config: Mapping[str, Any], folder: str, members: Mapping[str, bytes], dtypes: Mapping[int, Any]
) -> dict[str, Tensor]:
    """Tensors by name; those that lie in one member share its memory, as they did when saved."""
    storages: dict[str, Tensor] = {}
    tensors: dict[str, Tensor] = {}
    for name, entry in config.items():
        path = folder + entry["path_name"]
        if path not in storages:
            storages[path] = _storage(members[path])
        meta = entry["tensor_meta"]
        value = _view(storages[path], dtypes[meta["dtype"]], meta)
        if entry["is_param"]:
            value = nn.Parameter(value, requires_grad=False)
        tensors[name] = value
    return tensors


def _storage(content: bytes) -> Tensor:
    if not content:
        return torch.empty(0, dtype=torch.uint8, device=CPU)
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).to(CPU)


def _view(storage: Tensor, dtype: torch.dtype, meta: Mapping[str, Any]) -> Tensor:
    sizes, strides = ([size["as_int"] for size in meta[which]] for which in ("sizes", "strides"))
    stored = storage.view(dtype)
    if math.prod(sizes) > max(len(stored), LARGEST_EXPANDED):  # strides of 0 cost the file nothing
        raise ValueError(f"a tensor of {sizes} has {len(stored)} values")
    return stored.as_strided(sizes, strides, meta["storage_offset"]["as_int"])


def _input(program: torch.export.ExportedProgram, path: str) -> tuple[Any, torch.dtype, int]:
    """Row shape, element type and batch size of the only input; a fixed batch size is kept."""
    names = program.graph_signature.user_inputs
    if len(names) != 1:
        raise UnsupportedError(f'"{path}" takes {len(names)} inputs; a model here takes one tensor')
    node = next(node for node in program.graph.nodes if node.name == names[0])
    value = node.meta["val"]
    if not isinstance(value, Tensor) or program.call_spec.in_spec != _ONE_TENSOR:
        raise UnsupportedError(
            f'"{path}" takes its input by keyword or inside another object; export it as a module'
            " that is called with one tensor, as in torch.export.export(module, (tensor,))"
        )
    if value.dim() < 2:
        raise UnsupportedError(
            f'"{path}" takes {list(value.shape)}, which has no axis of its own for rows; export it'
            " with one, as in [1, 8] for rows of 8"
        )
    batch, *row = value.shape
    fixed = all(isinstance(size, int) for size in row)
    return tuple(row) if fixed else None, value.dtype, _batch(batch, program.range_constraints)


def _batch(size: Any, ranges: Mapping[Any, Any]) -> int:
    """The canonical batch, or the nearest to it that the program takes."""
    if isinstance(size, int):
        return size
    batch, limits = CANONICAL_BATCH, ranges.get(size.node.expr)
    if limits is not None and bool(limits.upper < batch):
        batch = int(limits.upper)
    if limits is not None and bool(limits.lower > batch):
        batch = int(limits.lower)
    step = int(size.node.expr.as_coeff_Mul()[0])  # a batch may have to be of eights
    return max(batch // step, 1) * step
