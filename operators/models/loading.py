"""One model at a time goes through torch's loaders, which keep global state, and quietly."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from tensorsql.storage.files.quiet import quietly

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
