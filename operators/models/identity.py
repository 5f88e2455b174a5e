"""What tells one module from another, as a hash. CPU only: bytes are hashed there.

It covers the weights, the settings and the code. Activations are cached and indexes kept under it,
so whatever changes an answer has to change it, and it has to be the same when the same module is
registered again.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

_OF_EVERY_MODULE = frozenset(vars(nn.Module()))


def module_hash(module: nn.Module, preprocessing: str) -> str:
    """The hash of a module and of what is done to its inputs."""
    digest = hashlib.sha256(f"{module!r} {preprocessing}".encode())
    values = {**dict(module.named_buffers()), **module.state_dict()}  # some buffers are not state
    for name, value in sorted(values.items()):
        digest.update(name.encode() + _bytes(value))
    for path, part in module.named_modules():
        digest.update(path.encode())
        for piece in _definition(part):
            digest.update(piece)
    return digest.hexdigest()


def _definition(part: nn.Module) -> Iterator[bytes]:
    if isinstance(part, torch.jit.ScriptModule):
        with contextlib.suppress(AttributeError, RuntimeError):  # a part that is never called
            code, constants = part.code_with_constants
            yield code.encode() + _bytes(constants.const_mapping)
        return
    for name, value in sorted(vars(part).items()):
        if name not in _OF_EVERY_MODULE:
            yield name.encode() + _bytes(value)
    for kind in type(part).__mro__:
        if not kind.__module__.startswith("torch.nn.") and kind is not object:
            yield kind.__qualname__.encode()
            for name, member in sorted(vars(kind).items()):
                if isinstance(member, FunctionType):
                    yield name.encode() + _bytes(member)


def _bytes(value: Any) -> bytes:
    """Equal for equal values; of an object that could be anything only its class."""
    match value:
        case Tensor():
            return _tensor(value)
        case list() | tuple():
            return b"(" + b",".join(map(_bytes, value)) + b")"
        case set() | frozenset():
            return b"{" + b",".join(sorted(map(_bytes, value))) + b"}"
        case dict():
            return _bytes([*value.items()])
        case bool() | int() | float() | complex() | str() | bytes() | None | torch.dtype():
            return repr(value).encode()
        case FunctionType():
            return _bytes([value.__code__, value.__defaults__])
        case MethodType():
            return _bytes(value.__func__)
        case CodeType():
            return _bytes([value.co_code, value.co_consts, value.co_names])
    return f"{type(value).__qualname__} {getattr(value, '__qualname__', '')}".encode()


def _tensor(value: Tensor) -> bytes:
    head = f"{value.dtype} {tuple(value.shape)} "
    value = value.detach().cpu().resolve_conj().resolve_neg()
    if value.is_quantized:
        head += f"{value.qscheme()} {_quantisation(value)} "
        value = value.int_repr()
    if value.layout != torch.strided:
        value = value.to_dense()
    if value.is_complex():
        value = torch.view_as_real(value)
    return head.encode() + raw_bytes(value)


def raw_bytes(value: Tensor) -> bytes:
    """The numbers of a tensor as they lie in memory."""
    return bytes(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy())


def _quantisation(value: Tensor) -> str:
    if value.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return f"{value.q_scale()} {value.q_zero_point()}"
    return f"{value.q_per_channel_scales().tolist()} {value.q_per_channel_zero_points().tolist()}"
