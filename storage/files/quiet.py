"""What libraries warn about their own internals, kept from the user's terminal."""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Iterator

_FILTERS = threading.RLock()  # the process has one list of filters, which is put back as it was


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """No warning is shown; one thread at a time."""
    with _FILTERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
