"""Completion: `suggest` decides from the text alone, `SqlCompleter` shows it in the prompt."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from sqlglot.tokenizer_core import Token, TokenType

from tensorsql.parser.dialect import scan
from tensorsql.repl.commands import COMMANDS
from tensorsql.repl.names import Names
from tensorsql.repl.words import KEYWORDS, STATEMENTS, quoted, unquoted

WORD = re.compile(r"\w*\Z")
QUALIFIED = re.compile(r'(\w+|"(?:[^"]|"")+")\.\Z')
BEFORE_TABLE = ("INTO", "UPDATE", "TABLE", "DESCRIBE", "SUMMARIZE", "VIEW")
CLAUSES = ("SELECT", "FROM", "WHERE", "BY", "HAVING", "SET", "VALUES", "ON", "USING", "QUALIFY")
# Words that end a list of tables: none of them is an alias.
NO_ALIAS = frozenset((*KEYWORDS, *STATEMENTS, "CROSS", "NATURAL", "ASOF", "POSITIONAL", "SEMI"))


@dataclass(frozen=True)
class Suggestion:
    """`text` may replace the `length` characters before the cursor; `kind` says what it is."""

    text: str
    kind: str
    length: int


def suggest(text: str, cursor: int, names: Names) -> list[Suggestion]:
    """What may stand at the cursor, best first: names that fit the place, then keywords."""
    before = text[:cursor]
    word = WORD.search(before)[0]  # type: ignore[index]
    if before.lstrip().startswith("."):
        return list(_commands(before.lstrip(), names))
    tokens, rest = scan(before)
    if rest < len(before) or _in_comment(before, tokens):
        return []
    statement = _last_statement(tokens)
    if word and statement and statement[-1].end == len(before) - 1:
        statement = statement[:-1]
    qualifier = QUALIFIED.search(before[: len(before) - len(word)])
    scope = _tables_in(_statement_at(text, cursor), names)
    if qualifier:
        completions = [(name, "column") for name in scope.get(unquoted(qualifier[1]).lower(), ())]
    else:
        completions = list(_completions(statement, scope, names))
    return list(_matching(completions, word))


def _in_comment(before: str, tokens: Sequence[Token]) -> bool:
    blank = before[tokens[-1].end + 1 :] if tokens else before
    return "--" in blank.rpartition("\n")[2]


def _last_statement(tokens: Sequence[Token]) -> list[Token]:
    starts = [i + 1 for i, t in enumerate(tokens) if t.token_type == TokenType.SEMICOLON]
    return list(tokens[starts[-1] if starts else 0 :])


def _statement_at(text: str, cursor: int) -> list[Token]:
    """The tokens of the whole statement around the cursor: FROM often follows what is typed."""
    tokens, _ = scan(text)
    ends = [token.start for token in tokens if token.token_type == TokenType.SEMICOLON]
    first = max((end for end in ends if end < cursor), default=-1)
    last = min((end for end in ends if end >= cursor), default=len(text))
    return [token for token in tokens if first < token.start < last]


def _tables_in(tokens: Sequence[Token], names: Names) -> dict[str, tuple[str, ...]]:
    """Columns by name and by alias of the tables that the statement mentions."""
    folded = {name.lower(): columns for name, columns in names.tables.items()}
    columns_by_name = {}
    for i, token in enumerate(tokens):
        columns = folded.get(token.text.lower())
        if columns is None or (i and _word(tokens[i - 1]) == "."):
            continue
        columns_by_name[token.text.lower()] = columns
        after = i + 2 if i + 1 < len(tokens) and _word(tokens[i + 1]) == "AS" else i + 1
        if after < len(tokens) and _can_alias(tokens[after]):
            columns_by_name[tokens[after].text.lower()] = columns
    return columns_by_name


def _word(token: Token) -> str:
    return token.text.upper()


def _can_alias(token: Token) -> bool:
    return bool(re.match(r"\w+\Z", token.text)) and _word(token) not in NO_ALIAS


Completions = Iterator[tuple[str, str]]


def _completions(
    statement: Sequence[Token], scope: dict[str, tuple[str, ...]], names: Names
) -> Completions:
    """(name, kind) of everything that fits after these tokens of the statement."""
    if not statement:
        yield from ((word, "keyword") for word in STATEMENTS)
        return
    place = _place(statement)
    if place in SPECIAL:
        yield from SPECIAL[place](names)
        return
    columns = dict.fromkeys(name for group in scope.values() for name in group)
    yield from ((name, "column") for name in columns)
    yield from ((name, "function") for name in names.functions)
    yield from ((word, "keyword") for word in KEYWORDS)
    yield from ((name, "table") for name in names.tables)


def _place(statement: Sequence[Token]) -> str:
    """The key in SPECIAL of the place after these tokens, empty where expressions go."""
    words = [_word(token) for token in statement]
    if words[-1] in ("SET", "RESET") and len(words) == 1:
        return "setting"
    if words[-1] == "MODEL" and words[0] in ("DROP", "DESCRIBE"):
        return "model"
    if words[-2:] in (["PREDICT", "("], ["MODEL", "=>"], ["MODEL", "="]):
        return "model"
    if words[-2:] in (["DATA", "=>"], ["DATA", "="]) or words[-1] in BEFORE_TABLE:
        return "table"
    if words[-1] in ("FROM", "JOIN") or (words[-1] == "," and _clause(words) == "FROM"):
        return "source"
    return ""


def _clause(words: Sequence[str]) -> str:
    """The word that began the clause the last token is in, brackets that are closed left out."""
    depth = 0
    for word in reversed(words):
        depth += (word == ")") - (word == "(")
        if depth < 0:
            return ""
        if depth == 0 and word in CLAUSES:
            return word
    return ""


def _tables(names: Names) -> Completions:
    yield from ((name, "table") for name in names.tables)


def _sources(names: Names) -> Completions:
    yield from _tables(names)
    yield from ((name, "function") for name in names.table_functions)


def _models(names: Names) -> Completions:
    yield from ((name, "model") for name in names.models)


def _settings(names: Names) -> Completions:
    yield from ((name, "setting") for name in names.settings)


SPECIAL: dict[str, Callable[[Names], Completions]] = {
    "table": _tables,
    "source": _sources,
    "model": _models,
    "setting": _settings,
}


def _matching(completions: Iterable[tuple[str, str]], word: str) -> Iterator[Suggestion]:
    seen = set()
    for name, kind in completions:
        folded = name.lower()
        if folded.startswith(word.lower()) and folded not in seen:
            seen.add(folded)
            yield Suggestion(_spelled(name, kind, word), kind, len(word))


def _spelled(name: str, kind: str, word: str) -> str:
    """As SQL needs it; keywords and functions in the case that was begun."""
    if kind == "keyword":
        return name.lower() if word.islower() else name
    if kind == "function":
        return (name.upper() if word.isupper() else name) + "("
    return name if kind == "setting" else quoted(name)


def _commands(before: str, names: Names) -> Iterator[Suggestion]:
    name, space, argument = before.partition(" ")
    if not space:
        commands = [(command.name, "command") for command in COMMANDS]
        yield from (Suggestion(n, k, len(name)) for n, k in commands if n.startswith(name.lower()))
        return
    for command in COMMANDS:
        if command.name == name.lower() and " " not in argument:
            for choice in command.choices(names):
                if choice.lower().startswith(argument.lower()):
                    yield Suggestion(choice, "argument", len(argument))


class SqlCompleter(Completer):
    """Shows suggestions; `names` is asked each time, so that it can be as fresh as it likes."""

    def __init__(self, names: Callable[[], Names]) -> None:
        self._names = names

    def get_completions(self, document: Document, event: CompleteEvent) -> Iterator[Completion]:
        """Suggestions at the cursor; while typing only once a word has begun."""
        before = document.text_before_cursor
        if not event.completion_requested and not re.search(r"[\w.]\Z", before):
            return
        for suggestion in suggest(document.text, document.cursor_position, self._names()):
            yield Completion(suggestion.text, -suggestion.length, display_meta=suggestion.kind)
