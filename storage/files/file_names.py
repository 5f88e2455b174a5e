"""Text that is to name a file, and why the system refused it. Torch-free."""

from __future__ import annotations

import os

from tensorsql.errors import IOError


def check_path(path: str | os.PathLike[str]) -> None:
    """IOError for what no file or folder can be called."""
    text = os.fspath(path)
    if not text:
        raise IOError('"" is not the path of a file')
    if "\0" in text:
        raise IOError(f"{text!a} is not the path of a file: it has a NUL character in it")
    try:
        os.fsencode(text)
    except UnicodeError:
        raise IOError(f"{text!a} is not the path of a file: it is not Unicode text") from None
