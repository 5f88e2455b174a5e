"""LIKE, ILIKE and regular expressions (RE2 syntax). CPU only: Arrow matches there."""

from __future__ import annotations

import re
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from tensorsql.errors import ConversionError, OutOfRangeError
from tensorsql.operators.functions.strings import check_replaced, kernel
from tensorsql.operators.functions.substring import screened

LONGEST = 10_000  # characters of a regular expression; RE2 takes longer ones too long
Token = str | None  # a literal character, or "%" and "_" as ANY and ONE
ANY, ONE = "%", "_"
LAST_GROUP = 9  # of REGEXP_EXTRACT


def _tokens(pattern: str, escape: str) -> list[tuple[bool, str]]:
    """(is a wildcard, character) of a LIKE pattern."""
    tokens, rest = [], iter(pattern)
    for character in rest:
        if escape and character == escape:
            following = next(rest, None)
            if following is None:
                raise ConversionError("a LIKE pattern must not end with the escape character")
            tokens.append((False, following))
        else:
            tokens.append((character in (ANY, ONE), character))
    return tokens


def _matcher(pattern: str, escape: str, fold: bool) -> Callable[[pa.Array], pa.Array]:
    """The cheapest test a pattern allows: equality, prefix, suffix, substring, or an expression."""
    tokens = _tokens(pattern, escape)
    wild = [place for place, (is_wild, _) in enumerate(tokens) if is_wild]
    text = "".join(character for is_wild, character in tokens if not is_wild)
    shape = [(place, tokens[place][1]) for place in wild]
    last = len(tokens) - 1
    if not wild and not fold:
        return lambda array: pc.equal(array, pa.scalar(text, array.type))
    if shape == [(0, ANY), (last, ANY)] and last > 0:
        return _screened(
            text, fold, lambda array: pc.match_substring(array, text, ignore_case=fold)
        )
    if shape == [(last, ANY)]:
        return lambda array: pc.starts_with(array, text, ignore_case=fold)
    if shape == [(0, ANY)]:
        return lambda array: pc.ends_with(array, text, ignore_case=fold)
    expression = "".join(
        {ANY: ".*", ONE: "."}[character] if is_wild else re.escape(character)
        for is_wild, character in tokens
    )
    longest = max(_pieces(tokens), key=len)
    whole = rf"(?s)\A{expression}\z"
    return _screened(
        longest,
        fold,
        lambda array: _compiled(pc.match_substring_regex, array, whole, ignore_case=fold),
    )


def _pieces(tokens: list[tuple[bool, str]]) -> list[str]:
    """The literal text between wildcards."""
    marked = "".join("\0" if is_wild else character for is_wild, character in tokens)
    return marked.split("\0")


def _screened(
    piece: str, fold: bool, test: Callable[[pa.Array], pa.Array]
) -> Callable[[pa.Array], pa.Array]:
    """The test, run only on texts with a piece that it needs, where that is worth looking for."""
    if fold or len(piece.encode()) < 2:
        return test
    return lambda array: screened(array, piece.encode(), test)


def _like(array: pa.Array, pattern: str, escape: str = "") -> pa.Array:
    """LIKE: % is any text, _ one character; there is no escape character unless given."""
    return _matcher(pattern, _one_character(escape), False)(array)


def _ilike(array: pa.Array, pattern: str, escape: str = "") -> pa.Array:
    """LIKE without regard to case."""
    return _matcher(pattern, _one_character(escape), True)(array)


def _one_character(escape: str) -> str:
    if len(escape) > 1:
        raise ConversionError(f"the escape of LIKE must be one character, not '{escape}'")
    return escape


def _flags(options: str) -> str:
    """Our option letters as an RE2 prefix: i = no case, s = dot matches newline, m = multi-line."""
    unknown = set(options) - set("cigmnps")
    if unknown:
        raise ConversionError(
            f"'{min(unknown)}' is no option of a regular expression; use i, s, m, g"
        )
    letters = "".join(letter for letter in "ism" if letter in options)
    return f"(?{letters})" if letters else ""


def _compiled(
    run: Callable[..., pa.Array],
    array: pa.Array,
    pattern: str,
    *arguments: object,
    **options: object,
) -> pa.Array:
    if len(pattern) > LONGEST:
        raise ConversionError(f"a pattern of {len(pattern)} characters is too long to search for")
    try:
        return run(array, pattern, *arguments, **options)
    except pa.ArrowInvalid as error:
        raise ConversionError(f"not a regular expression: {str(error).lower()}") from error


def _matches(array: pa.Array, pattern: str, options: str = "") -> pa.Array:
    """Whether the expression occurs in the text."""
    return _compiled(pc.match_substring_regex, array, _flags(options) + pattern)


def _full_match(array: pa.Array, pattern: str, options: str = "") -> pa.Array:
    """Whether the expression is the whole text."""
    return _compiled(pc.match_substring_regex, array, rf"{_flags(options)}\A(?:{pattern})\z")


def _replace(array: pa.Array, pattern: str, other: str, options: str = "") -> pa.Array:
    """The first occurrence replaced, or all with the option g; \\1 is the first group."""
    expression = _flags(options) + pattern
    if "g" in options:
        counted = pc.count_substring_regex
        copies = other.count("\\")
        check_replaced(array, other, lambda: _compiled(counted, array, expression), copies)
    return _compiled(
        pc.replace_substring_regex,
        array,
        expression,
        other,
        max_replacements=None if "g" in options else 1,
    )


def _extract(array: pa.Array, pattern: str, group: int = 0) -> pa.Array:
    """The first occurrence, or a group of it; empty where there is none."""
    if not 0 <= group <= LAST_GROUP:
        raise OutOfRangeError(f"the group of regexp_extract is 0 to {LAST_GROUP}, not {group}")
    matching = _compiled(pc.match_substring_regex, array, pattern)
    part = f"(?:{pattern})" if group else f"({pattern})"
    whole = rf"(?s:\A.*?){part}(?s:.*\z)"
    nothing = pa.scalar("", array.type)
    try:
        taken = pc.replace_substring_regex(array, whole, rf"\{group or 1}", max_replacements=1)
    except pa.ArrowInvalid:  # the expression itself is fine and has fewer groups
        return pc.if_else(matching, nothing, nothing)
    return pc.if_else(matching, taken, nothing)


like = kernel(_like)
ilike = kernel(_ilike)
regexp_matches = kernel(_matches)
regexp_full_match = kernel(_full_match)
regexp_replace = kernel(_replace)
regexp_extract = kernel(_extract)
