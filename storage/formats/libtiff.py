"""What libtiff says of a damaged file: not to the terminal, but in the error of the file."""

from __future__ import annotations

import ctypes
import threading
from contextlib import suppress
from typing import Any

from PIL import Image

SHOWN = 200  # bytes of a message


class _Said(threading.local):
    """The last message of this thread."""

    message = ""


_said = _Said()


def last_message() -> str:
    """What libtiff said last in this thread, "" if nothing since it was asked."""
    message, _said.message = _said.message, ""
    return message


def _keep(module: bytes, format: bytes, arguments: Any) -> None:
    buffer = ctypes.create_string_buffer(SHOWN)
    with suppress(AttributeError, OSError, TypeError):  # where C's printf has no such name
        ctypes.CDLL(None).vsnprintf(buffer, SHOWN, format, ctypes.c_void_p(arguments))
    _said.message = buffer.value.decode("utf-8", "replace")


# libtiff keeps its address for as long as the process lives
_KEEP = ctypes.CFUNCTYPE(None, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p)(_keep)


def take_messages() -> None:
    """Let libtiff tell us rather than the terminal; where it is out of reach it goes on as it was.

    Pillow's module is linked to it, so that its names are found behind the module's.
    """
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(Image.core.__file__)  # type: ignore[attr-defined]
        library.TIFFSetWarningHandler(None)
        library.TIFFSetErrorHandler(_KEEP)
