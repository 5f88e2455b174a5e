r"""Texts with escapes, as in E'a\n': \b \f \n \r \t, bytes as \x41 and \101, else the character."""

from __future__ import annotations

import re

ESCAPE = re.compile(rb"\\x([0-9a-fA-F]{1,2})|\\([0-7]{1,3})|\\(.)|''", re.DOTALL)
NAMED = {b"b": b"\b", b"f": b"\f", b"n": b"\n", b"r": b"\r", b"t": b"\t"}


def unescaped(body: str) -> str:
    """The text between the quotes; ValueError if its bytes make no text, or hold a zero."""
    text = ESCAPE.sub(_character, body.encode()).decode()
    if "\0" in text:
        raise ValueError("a text with escapes cannot hold the character zero")
    return text


def _character(match: re.Match[bytes]) -> bytes:
    if match[1] is not None:
        return bytes([int(match[1], 16)])
    if match[2] is not None:
        return bytes([int(match[2], 8) & 255])
    return b"'" if match[3] is None else NAMED.get(match[3], match[3])
