"""PREDICT anywhere in a query against the module itself and plain Python over its answers."""

from __future__ import annotations

import pickle
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import tensorsql
from tensorsql import errors

COUNT = 400
CLASSES = ("ash", "birch", "cedar")
random = np.random.default_rng(8)
IMAGES = random.integers(-3, 4, (COUNT, 2, 3)).astype(np.float32)
NUMBERS = random.integers(-9, 10, (COUNT, 2))
GROUPS = random.integers(0, 4, COUNT)
MISSING = random.random(COUNT) < 0.1


def whole(module: nn.Module, seed: int) -> nn.Module:
    """Small whole weights: outputs are exact, and ties happen."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weight in module.parameters():
            weight.copy_(torch.randint(-2, 3, weight.shape, generator=generator))
    return module.eval()


SEE = whole(nn.Sequential(nn.Flatten(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), 1)
NAME = whole(nn.Linear(2, 3), 2)
LINE = whole(nn.Linear(2, 1), 3)


def outputs(module: nn.Module, rows: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.from_numpy(rows.astype(np.float32))).double().numpy()


SEEN = outputs(SEE, IMAGES)
SCORES = outputs(NAME, NUMBERS)
LINES = outputs(LINE, NUMBERS)[:, 0]
CLASS = [None if gone else int(row.argmax()) for row, gone in zip(SEEN, MISSING, strict=True)]
LABEL = [
    None if gone else CLASSES[int(row.argmax())] for row, gone in zip(SCORES, MISSING, strict=True)
]
VALUE = [None if gone else float(one) for one, gone in zip(LINES, MISSING, strict=True)]
IDS = range(COUNT)


@pytest.fixture(scope="module")
def con() -> Iterator[tensorsql.Connection]:
    connection = tensorsql.connect()
    columns = {"id": np.arange(COUNT), "image": IMAGES, "grp": GROUPS, "missing": MISSING}
    connection.register("source", {**columns, "a": NUMBERS[:, 0], "b": NUMBERS[:, 1]})
    connection.execute(
        """CREATE TABLE t AS SELECT id, grp, CASE WHEN NOT missing THEN image END AS image,
        CASE WHEN NOT missing THEN a::DOUBLE END AS a, b::INTEGER AS b FROM source"""
    )
    connection.execute(
        "CREATE TABLE names AS SELECT * FROM (VALUES (0, 'x'), (1, 'y')) v(class, name)"
    )
    connection.register_model("see", SEE, input=[2, 3])
    connection.register_model("tree", NAME, features=["a", "b"], labels=list(CLASSES))
    connection.register_model("line", LINE, features=["a", "b"])
    yield connection
    connection.close()


@pytest.fixture(params=[7, 131072])
def ask(con: tensorsql.Connection, request: pytest.FixtureRequest) -> Any:
    con.execute(f"SET morsel_size = {request.param}")
    return lambda sql, *given: con.execute(sql, *given).fetchall()


def test_select(ask: Any) -> None:
    sql = "SELECT PREDICT(see, image), PREDICT(tree, a, b), PREDICT(line, a, b) FROM t ORDER BY id"
    assert ask(sql) == list(zip(CLASS, LABEL, VALUE, strict=True))


def test_where(ask: Any) -> None:
    rows = ask("SELECT id FROM t WHERE PREDICT(see, image) = 1 AND PREDICT(tree, a, b) <> 'ash'")
    expected = [i for i in IDS if CLASS[i] == 1 and LABEL[i] not in (None, "ash")]
    assert sorted(id for (id,) in rows) == expected
    nulls = ask("SELECT COUNT(*) FROM t WHERE PREDICT(see, image) IS NULL")
    assert nulls == [(int(MISSING.sum()),)]
    wrong = ask("SELECT COUNT(*) FROM t WHERE PREDICT(see, image) <> grp OR image IS NULL")
    assert wrong == [(sum(c is None or c != g for c, g in zip(CLASS, GROUPS, strict=True)),)]


def test_group_by_and_having(ask: Any) -> None:
    counts = Counter(LABEL)
    rows = ask("SELECT PREDICT(tree, a, b) AS p, COUNT(*) FROM t GROUP BY p ORDER BY p NULLS FIRST")
    assert rows == sorted(counts.items(), key=lambda pair: (pair[0] is not None, pair[0] or ""))
    having = ask(
        """SELECT grp, AVG(CASE WHEN PREDICT(see, image) = 0 THEN 1.0 ELSE 0.0 END) AS share
        FROM t GROUP BY grp HAVING MAX(PREDICT(line, a, b)) > 10 ORDER BY grp"""
    )
    expected = []
    for group in range(4):
        members = [i for i in IDS if GROUPS[i] == group]
        if max(VALUE[i] for i in members if VALUE[i] is not None) > 10:
            expected.append((group, sum(CLASS[i] == 0 for i in members) / len(members)))
    assert [(group, float(share)) for group, share in having] == expected


def test_order_by(ask: Any) -> None:
    rows = ask("SELECT id FROM t ORDER BY PREDICT(line, a, b) DESC, id LIMIT 9")
    order = sorted(IDS, key=lambda i: (VALUE[i] is None, -(VALUE[i] or 0), i))
    assert rows == [(i,) for i in order[:9]]


def test_join_conditions(ask: Any) -> None:
    rows = ask(
        """SELECT t.id, n.name FROM t JOIN names n ON n.class = PREDICT(see, t.image)
        WHERE t.id < 50 ORDER BY t.id"""
    )
    names = {0: "x", 1: "y"}
    assert rows == [(i, names[CLASS[i]]) for i in range(50) if CLASS[i] in names]
    outer = ask(
        """SELECT n.name, COUNT(t.id) FROM names n LEFT JOIN t
        ON PREDICT(see, t.image) = n.class AND t.grp = 2 GROUP BY n.name ORDER BY 1"""
    )
    counts = [sum(CLASS[i] == c and GROUPS[i] == 2 for i in IDS) for c in (0, 1)]
    assert outer == [("x", counts[0]), ("y", counts[1])]


def test_subqueries(ask: Any) -> None:
    rows = ask(
        """SELECT id FROM t WHERE PREDICT(see, image) IN (SELECT class FROM names)
        AND EXISTS (SELECT 1 FROM names n WHERE n.class = PREDICT(see, t.image)) ORDER BY id"""
    )
    assert rows == [(i,) for i in IDS if CLASS[i] in (0, 1)]
    best = ask(
        "SELECT MIN(id) FROM t WHERE PREDICT(line, a, b) = (SELECT MAX(PREDICT(line, a, b)) FROM t)"
    )
    top = max(value for value in VALUE if value is not None)
    assert best == [(VALUE.index(top),)]


def test_common_tables_views_and_windows(con: tensorsql.Connection, ask: Any) -> None:
    con.execute("CREATE OR REPLACE VIEW seen AS SELECT *, PREDICT(see, image) AS p FROM t")
    rows = ask(
        """WITH c AS (SELECT grp, p FROM seen WHERE p IS NOT NULL)
        SELECT a.grp, COUNT(*) FROM c a GROUP BY a.grp, a.p HAVING a.p = 2
        UNION ALL SELECT -1, COUNT(*) FROM c ORDER BY 1"""
    )
    counts = Counter(int(GROUPS[i]) for i in IDS if CLASS[i] == 2)
    assert rows == [(-1, COUNT - int(MISSING.sum())), *sorted(counts.items())]
    ranked = ask(
        """SELECT id, ROW_NUMBER() OVER (PARTITION BY PREDICT(see, image) ORDER BY id)
        FROM t WHERE grp = 1 ORDER BY id"""
    )
    seen: Counter[Any] = Counter()
    expected = []
    for i in IDS:
        if GROUPS[i] == 1:
            seen[CLASS[i]] += 1
            expected.append((i, seen[CLASS[i]]))
    assert ranked == expected


def test_table_form(ask: Any) -> None:
    rows = ask(
        """SELECT grp, prediction, COUNT(*) FROM PREDICT(MODEL = tree, DATA = t)
        WHERE id < 200 GROUP BY ALL ORDER BY ALL"""
    )
    counts = Counter((int(GROUPS[i]), LABEL[i]) for i in range(200))
    order = sorted(
        counts.items(), key=lambda pair: (pair[0][0], pair[0][1] is None, pair[0][1] or "")
    )
    assert rows == [(*key, count) for key, count in order]
    sub = ask(
        """SELECT id, prediction FROM PREDICT(MODEL = line,
        DATA = (SELECT b AS a, id, 1 AS b FROM t WHERE id < 5) AS s) ORDER BY id"""
    )
    swapped = np.stack([NUMBERS[:5, 1], np.ones(5)], 1)
    assert sub == [(i, float(v)) for i, v in enumerate(outputs(LINE, swapped)[:, 0])]


def test_probabilities(ask: Any) -> None:
    rows = ask(
        """SELECT PREDICT_PROBA(tree, a, b), PREDICT_PROBA(tree, a, b, class => 'cedar')
        FROM t ORDER BY id"""
    )
    chances = torch.softmax(torch.from_numpy(SCORES), 1).numpy()
    for i, (listed, one) in enumerate(rows):
        if MISSING[i]:
            assert listed is None and one is None
        else:
            assert listed == pytest.approx(chances[i]) and one == pytest.approx(chances[i, 2])
    certain = ask("SELECT COUNT(*) FROM t WHERE PREDICT_PROBA(tree, a, b, class => 'ash') > 0.999")
    assert certain == [(int(((chances[:, 0] > 0.999) & ~MISSING).sum()),)]


def test_changes_and_dml(con: tensorsql.Connection, ask: Any) -> None:
    con.execute("BEGIN")
    con.execute("CREATE TABLE kept AS SELECT id, PREDICT(tree, a, b) AS label FROM t")
    con.execute("UPDATE kept SET label = 'none' WHERE label IS NULL")
    con.execute("DELETE FROM t WHERE PREDICT(see, image) = 0")
    con.execute("INSERT INTO kept SELECT id + 1000, PREDICT(tree, a, b) FROM t WHERE id < 10")
    assert ask("SELECT COUNT(*) FROM t") == [(sum(c != 0 for c in CLASS),)]
    assert ask("SELECT label FROM kept WHERE id < 1000 ORDER BY id") == [
        (label or "none",) for label in LABEL
    ]
    con.execute("ROLLBACK")
    assert ask("SELECT COUNT(*) FROM t") == [(COUNT,)]


def test_constants_and_parameters(ask: Any) -> None:
    two, three = float(outputs(LINE, np.array([[2, 3]]))[0, 0]), None
    assert ask("SELECT PREDICT(line, 2, 3), PREDICT(line, NULL, 3)") == [(two, three)]
    assert ask("SELECT PREDICT(line, ?, ?)", (2, 3)) == [(two,)]
    assert ask("SELECT PREDICT(line, 2.0::DECIMAL(4, 1), 3::HUGEINT)") == [(two,)]
    assert ask("SELECT PREDICT(line, a, b) FROM t WHERE id < 0") == []
    assert ask("SELECT PREDICT(see, CASE WHEN id = 0 THEN image END) FROM t WHERE id < 2") == [
        (CLASS[0],),
        (None,),
    ]


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT PREDICT(tre, a, b) FROM t", 'model "tre" not found; did you mean "tree"?'),
        ("SELECT PREDICT(see, a) FROM t", 'model "see" takes 6 numbers or one TENSOR'),
        ("SELECT PREDICT(line, a) FROM t", 'model "line" takes 2 numbers or one TENSOR (a DOUBLE'),
        ("SELECT PREDICT(line, a, image) FROM t", 'model "line" takes 2 numbers or one TENSOR'),
        ("SELECT PREDICT(line, a, 'x') FROM t", "could not convert string 'x' to DOUBLE"),
        ("SELECT PREDICT(line, DISTINCT a, b) FROM t", "predict is no aggregate: DISTINCT"),
        ("SELECT PREDICT(line, a, bb) FROM t", 'column "bb" not found'),
        ("SELECT PREDICT_PROBA(line, a, b) FROM t", 'model "line" predicts a value'),
        (
            "SELECT PREDICT_PROBA(tree, a, b, class => 'oak') FROM t",
            'model "tree" has no class \'oak\'; there is "ash", "birch", "cedar"',
        ),
        (
            "SELECT PREDICT_PROBA(tree, a, b, class => NULL) FROM t",
            'model "tree" has no class NULL; there is "ash", "birch", "cedar"',
        ),
        ("SELECT PREDICT(line, *) FROM names", 'model "line" needs a column "a"'),
        ("SELECT * FROM PREDICT(MODEL = lin, DATA = t)", 'model "lin" not found; did you mean'),
        ("SELECT * FROM PREDICT(MODEL = line)", "predict needs data => …"),
        (
            "SELECT * FROM PREDICT(MODEL = line, DATA = tt)",
            'table "tt" not found; did you mean "t"',
        ),
        ("SELECT * FROM PREDICT(line, t)", "predict takes 0 arguments without a name"),
        ("SELECT PREDICT(line, true, 1)", "predict(BOOLEAN, INTEGER) does not exist"),
        ("DROP MODEL tre", 'model "tre" not found; did you mean "tree"?'),
        ("DESCRIBE MODEL tre", 'model "tre" not found; did you mean "tree"?'),
    ],
)
def test_errors(con: tensorsql.Connection, sql: str, message: str) -> None:
    with pytest.raises(errors.Error) as caught:
        con.execute(sql).fetchall()
    assert caught.value.message.startswith(message)


def write(path: Path) -> None:
    """A file that its name describes."""
    match path.name:
        case "net.pt":
            torch.save(LINE, path)
        case "state.pth":
            torch.save(LINE.state_dict(), path)
        case "code.pkl":
            path.write_bytes(pickle.dumps(print))
        case "junk.pt2" | "junk.safetensors" | "junk.xyz":
            path.write_bytes(b"junk")
        case "empty.pt2":
            path.write_bytes(b"")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("none.pt2", errors.IOError, r'model file ".*none\.pt2" does not exist'),
        ("junk.pt2", errors.CorruptError, r'".*junk\.pt2" is not a torch\.export archive'),
        ("empty.pt2", errors.CorruptError, r'".*empty\.pt2" is not a torch\.export archive'),
        ("junk.safetensors", errors.CorruptError, r'".*junk\.safetensors" is not a safetensors'),
        ("junk.xyz", errors.UnsupportedError, r'".*junk\.xyz" is no model file that is known here'),
        ("net.pt", errors.UnsupportedError, r'".*net\.pt" is a pickle and would run code'),
        ("state.pth", errors.UnsupportedError, r'".*state\.pth" is a pickle and would run code'),
        ("code.pkl", errors.UnsupportedError, r'".*code\.pkl" is a pickle and would run code'),
    ],
)
def test_refused_files(
    con: tensorsql.Connection, tmp_path: Path, name: str, error: type[errors.Error], message: str
) -> None:
    """The file is named, the catalog stays as it was, REPLACE included."""
    write(tmp_path / name)
    before = con.execute("SHOW MODELS").fetchall()
    for statement in ("CREATE MODEL fresh", "CREATE OR REPLACE MODEL line"):
        with pytest.raises(error) as caught:
            con.execute(f"{statement} FROM '{tmp_path / name}'")
        assert re.match(message, caught.value.message)
    assert con.execute("SHOW MODELS").fetchall() == before
    found = con.execute("SELECT PREDICT(line, 1, 1)").fetchall()
    assert found == [(float(outputs(LINE, np.ones((1, 2)))[0, 0]),)]


def test_trusted_pickle(con: tensorsql.Connection, tmp_path: Path) -> None:
    torch.save(LINE, tmp_path / "net.pt")
    con.execute(
        f"CREATE MODEL trusted FROM '{tmp_path / 'net.pt'}' WITH (trust = true, input = [2])"
    )
    assert con.execute("SELECT PREDICT(trusted, 2, 3) = PREDICT(line, 2, 3)").fetchall() == [
        (True,)
    ]
    con.execute("DROP MODEL trusted")


@pytest.mark.parametrize(
    ("module", "options", "message"),
    [
        (LINE, {}, 'model "line" exists already; pass replace=True'),
        (3, {"replace": True}, 'model "line" is of type int, not a torch module'),
        (
            LINE,
            {"replace": True, "inptu": [2]},
            'a model has no option "inptu"; did you mean "input"',
        ),
        (
            LINE,
            {"replace": True, "input": [3]},
            'model "line": the model fails on inputs of shape [3]',
        ),
        (LINE, {"replace": True, "scale": 0}, "option scale of a model is a number above 0, not 0"),
    ],
)
def test_refused_modules(
    con: tensorsql.Connection, module: Any, options: dict[str, Any], message: str
) -> None:
    before = con.execute("DESCRIBE MODEL line").fetchall()
    with pytest.raises(errors.Error) as caught:
        con.register_model("line", module, **options)
    assert caught.value.message.startswith(message)
    assert con.execute("DESCRIBE MODEL line").fetchall() == before
