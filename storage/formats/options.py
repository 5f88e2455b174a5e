"""Options of readers and writers: what `name => value` and COPY's list may say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tensorsql.errors import BindError, nearest

Files = str | Sequence[str]
Options = Mapping[str, Any]


def check_options(function: str, options: Options, known: Sequence[str]) -> None:
    """Raise BindError for an option that the function does not have."""
    for name in options:
        if name not in known:
            raise BindError(f'{function} has no option "{name}"{nearest(name, known)}')
