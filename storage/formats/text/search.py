"""Patterns in whole texts, searched for by RE2."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def contains(content: bytes, pattern: str) -> bool:
    """Whether the pattern occurs anywhere."""
    ends = pa.py_buffer(np.array([0, len(content)], np.int64))
    whole = pa.Array.from_buffers(pa.large_binary(), 1, [None, ends, pa.py_buffer(content)])
    return bool(pc.match_substring_regex(whole, pattern)[0].as_py())
