"""What a reader takes for one character: a letter and its accents, a flag, a joined emoji."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

# Code points that join others; where a text has none of them, each stands alone.
JOINING = (
    r"[\p{M}\x{200C}\x{200D}\x{1F1E6}-\x{1F1FF}\x{1F3FB}-\x{1F3FF}"
    r"\x{1100}-\x{11FF}\x{A960}-\x{A97F}\x{D7B0}-\x{D7FF}\x{E0020}-\x{E007F}]|\r\n"
)
_ZWJ = 0x200D
_PICTURES = ((0x1F000, 0x1FAFF), (0x2190, 0x2BFF), (0x3030, 0x303D), (0x3297, 0x3299), (0xA9, 0xAE))


def reverse(array: pa.Array) -> pa.Array:
    """The text backwards, character by character as a reader sees them."""
    turned = pc.utf8_reverse(array)
    joined = pc.and_(pc.match_substring_regex(array, JOINING), pc.invert(pc.string_is_ascii(array)))
    if not pc.any(joined).as_py():
        return turned
    texts = array.filter(joined).to_pylist()
    whole = pa.array(["".join(reversed(list(clusters(text)))) for text in texts], array.type)
    return pc.replace_with_mask(turned, joined, whole)


def clusters(text: str) -> Iterator[str]:
    """The extended grapheme clusters of a text (UAX 29, without the rules of Indic conjuncts)."""
    start = 0
    for place in range(1, len(text)):
        if _breaks(text, start, place):
            yield text[start:place]
            start = place
    if text:
        yield text[start:]


def _breaks(text: str, start: int, place: int) -> bool:
    """Whether a character begins at `place`, when the one before began at `start`."""
    before, after = text[place - 1], text[place]
    if before == "\r" and after == "\n":
        return False
    if _is_control(before) or _is_control(after):
        return True
    if _extends(after):
        return False
    if ord(before) == _ZWJ and _is_picture(after):
        return not _is_picture(text[start])
    if _is_flag_half(before) and _is_flag_half(after):
        return (place - start) % 2 == 0
    return not _is_syllable(before, after)


def _is_control(letter: str) -> bool:
    joiner = letter in "\u200c\u200d" or 0xE0020 <= ord(letter) <= 0xE007F
    return unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") and not joiner


def _extends(letter: str) -> bool:
    code = ord(letter)
    extra = code in (0x200C, _ZWJ) or 0x1F3FB <= code <= 0x1F3FF or 0xE0020 <= code <= 0xE007F
    return extra or unicodedata.category(letter) in ("Mn", "Me", "Mc")


def _is_picture(letter: str) -> bool:
    return any(low <= ord(letter) <= high for low, high in _PICTURES)


def _is_flag_half(letter: str) -> bool:
    return 0x1F1E6 <= ord(letter) <= 0x1F1FF


def _is_syllable(before: str, after: str) -> bool:
    """Whether two Hangul letters stand in one syllable."""
    left, right = _hangul(before), _hangul(after)
    return (left, right) in {
        *(("L", kind) for kind in ("L", "V", "LV", "LVT")),
        *((kind, part) for kind in ("V", "LV") for part in ("V", "T")),
        *((kind, "T") for kind in ("T", "LVT")),
    }


def _hangul(letter: str) -> str:
    code = ord(letter)
    if 0xAC00 <= code <= 0xD7A3:
        return "LV" if (code - 0xAC00) % 28 == 0 else "LVT"
    for kind, ranges in _JAMO.items():
        if any(low <= code <= high for low, high in ranges):
            return kind
    return ""


_JAMO = {
    "L": ((0x1100, 0x115F), (0xA960, 0xA97C)),
    "V": ((0x1160, 0x11A7), (0xD7B0, 0xD7C6)),
    "T": ((0x11A8, 0x11FF), (0xD7CB, 0xD7FB)),
}
