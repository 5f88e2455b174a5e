"""Completion: what is suggested at a place in a text. `|` is the cursor."""

from __future__ import annotations

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document

import tensorsql
from tensorsql.repl.completer import SqlCompleter, Suggestion, suggest
from tensorsql.repl.names import Names, names_of

NAMES = Names(
    tables={
        "images": ("id", "label", "image"),
        "masks": ("id", "mask", "box"),
        "order": ("Two Words", "id"),
    },
    models=("cnn", "churn"),
    settings=("threads", "morsel_size", "neuron_search"),
    functions=("substring", "sum", "upper", "cp"),
    table_functions=("read_parquet", "topk_similar"),
)

TABLES = ["images", "masks", '"order"']


def at(marked: str) -> list[Suggestion]:
    """What is suggested at the `|`."""
    cursor = marked.index("|")
    return suggest(marked.replace("|", ""), cursor, NAMES)


def texts(marked: str) -> list[str]:
    """The texts alone."""
    return [found.text for found in at(marked)]


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        # statements
        ("sel|", ["select"]),
        ("SEL|", ["SELECT"]),
        ("SELECT 1; SEL|", ["SELECT"]),
        ("cre|", ["create"]),
        # tables
        ("SELECT * FROM |", [*TABLES, "read_parquet(", "topk_similar("]),
        ("SELECT * FROM im|", ["images"]),
        ("SELECT * FROM TO|", ["TOPK_SIMILAR("]),
        ("SELECT * FROM images JOIN m|", ["masks"]),
        ("SELECT * FROM images, m|", ["masks"]),
        ("SELECT * FROM images i, m|", ["masks"]),
        ("SELECT * FROM f(1, 2), m|", ["masks"]),
        ("INSERT INTO o|", ['"order"']),
        ("UPDATE |", TABLES),
        ("DROP TABLE ma|", ["masks"]),
        ("DESCRIBE ma|", ["masks"]),
        ("SUMMARIZE im|", ["images"]),
        ("SELECT * FROM topk_similar(data => im|", ["images"]),
        ("SELECT (SELECT 1 FROM im|", ["images"]),
        ("SELECT 1;\nSELECT * FROM im|;\nSELECT 2", ["images"]),
        # columns
        ("SELECT lab| FROM images", ["label"]),
        ("SELECT LAB| FROM Images", ["label"]),
        ("SELECT images.| FROM images", ["id", "label", "image"]),
        ("SELECT i.la| FROM images AS i", ["label"]),
        ("SELECT i.| FROM masks m JOIN images i ON i.id = m.id", ["id", "label", "image"]),
        ("SELECT m.b| FROM masks m JOIN images i ON i.id = m.id", ["box"]),
        ('SELECT "order".| FROM "order"', ['"Two Words"', "id"]),
        ("SELECT * FROM masks WHERE bo|", ["box", "boolean"]),
        ("SELECT * FROM masks WHERE id = 1 AND mask.|", []),
        ("SELECT x.| FROM images", []),
        ("UPDATE images SET lab|", ["label"]),
        # models
        ("SELECT PREDICT(c|", ["cnn", "churn"]),
        ("SELECT * FROM PREDICT(MODEL = ch|", ["churn"]),
        ("SELECT * FROM TOPK_HIGHEST(model => c|", ["cnn", "churn"]),
        ("DROP MODEL c|", ["cnn", "churn"]),
        ("DESCRIBE MODEL c|", ["cnn", "churn"]),
        # settings
        ("SET th|", ["threads"]),
        ("RESET |", ["threads", "morsel_size", "neuron_search"]),
        # nowhere
        ("SELECT 'lab|", []),
        ("SELECT 1 -- sel|", []),
        ("SELECT /* sel|", []),
        ("SELECT zzz|", []),
        # commands
        (".|", [".help", ".tables", ".schema", ".mode", ".timer", ".read", ".quit", ".exit"]),
        (".t|", [".tables", ".timer"]),
        (".mode c|", ["csv"]),
        (".timer |", ["on", "off"]),
        (".schema im|", ["images"]),
        (".quit |", []),
        (".nothing |", []),
    ],
)
def test_suggestions(marked: str, expected: list[str]) -> None:
    assert texts(marked) == expected


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        ("SELECT su| FROM images", [("substring(", "function"), ("sum(", "function")]),
        ("SELECT SU| FROM images", [("SUBSTRING(", "function"), ("SUM(", "function")]),
        ("SELECT i| FROM images", [("id", "column"), ("image", "column"), ("ilike", "keyword")]),
    ],
)
def test_columns_come_before_functions_before_keywords(
    marked: str, expected: list[tuple[str, str]]
) -> None:
    found = [(each.text, each.kind) for each in at(marked)]
    assert found[: len(expected)] == expected


def test_columns_of_other_tables_stay_out() -> None:
    for marked in ("SELECT b| FROM images", "SELECT * FROM masks; SELECT b| FROM images"):
        assert Suggestion("box", "column", 1) not in at(marked)


def test_what_is_replaced_is_the_word() -> None:
    (found,) = at("SELECT lab| FROM images")
    assert found == Suggestion("label", "column", 3)
    (found,) = at(".sch|")
    assert found == Suggestion(".schema", "command", 4)


def test_any_text_is_safe() -> None:
    text = "SELECT \"a\"\"b\".x, 'it''s' FROM images i WHERE ((i.id) /* c */ -- d\n = $$ ; .x"
    for cursor in range(len(text) + 1):
        suggest(text, cursor, NAMES)
        suggest(text[cursor:], 0, NAMES)
        suggest(text[:cursor], cursor, NAMES)


def test_the_menu_waits_for_a_word() -> None:
    completer = SqlCompleter(lambda: NAMES)

    def shown(text: str, asked: bool) -> list[str]:
        event = CompleteEvent(text_inserted=not asked, completion_requested=asked)
        return [found.text for found in completer.get_completions(Document(text), event)]

    assert shown("SELECT * FROM ", asked=False) == []
    assert shown("SELECT * FROM ", asked=True)[:3] == TABLES
    assert shown("SELECT * FROM im", asked=False) == ["images"]


def test_names_of_a_session() -> None:
    with tensorsql.connect() as connection:
        connection.execute("CREATE TABLE t (a INTEGER, B VARCHAR)")
        connection.execute("CREATE VIEW v AS SELECT a AS x FROM t")
        connection.execute("CREATE TABLE gone AS SELECT 1 AS y")
        connection.execute("CREATE VIEW broken AS SELECT y FROM gone")
        connection.execute("DROP TABLE gone")
        connection.register("frame", {"c": [1, 2]})
        names = names_of(connection.session)
    assert names.tables["t"] == ("a", "B")
    assert names.tables["v"] == ("x",)
    assert names.tables["broken"] == ()
    assert names.tables["frame"] == ("c",)
    assert "threads" in names.settings
    assert {"sum", "upper", "coalesce", "nullif", "cp", "predict"} <= set(names.functions)
    assert not {"+", "is_null", "case"} & set(names.functions)
    assert {"range", "read_masks", "topk_similar"} <= set(names.table_functions)
