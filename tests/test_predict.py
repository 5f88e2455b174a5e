"""PREDICT and PREDICT_PROBA in SQL against the module itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tensorsql import errors
from tensorsql.operators.models import register_module
from tensorsql.session import Session
from tensorsql.session_state import SessionServices
from tensorsql.storage.tables.database import Database

EXAMPLES = Path(__file__).parent.parent / "examples"


def rows(session: Session, sql: str) -> list[tuple[object, ...]]:
    table = session.execute(sql).arrow()
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def register(session: Session, name: str, module: nn.Module, **options: object) -> nn.Module:
    with session.open_transaction() as transaction:
        transaction.put_model(register_module(name, module, options))
    return module.eval()


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    session = Session(Database.open(":memory:"))
    path = EXAMPLES / "fashion.pt2"
    session.execute(f"CREATE MODEL cnn FROM '{path}' WITH (scale = 255)")
    session.execute(
        "CREATE TABLE images AS SELECT index AS id, value AS image FROM"
        f" read_npy('{EXAMPLES / 'images.npy'}') WHERE index < 200"
    )
    session.execute("CREATE TABLE numbers (a DOUBLE, b INTEGER, label VARCHAR)")
    session.execute(
        "INSERT INTO numbers VALUES (1, 2, 'x'), (0.5, -1, 'y'), (NULL, 1, 'x'), (3, 3, 'z')"
    )
    torch.manual_seed(3)
    register(session, "line", nn.Linear(2, 1), features=["a", "b"])
    register(session, "three", nn.Linear(2, 3), labels=["red", "green", "blue"])
    register(session, "raw", nn.Linear(2, 3), output="raw")
    yield session
    session.close()


@pytest.fixture(scope="module")
def scores(session: Session) -> torch.Tensor:
    with session.open_transaction() as transaction:
        entry = transaction.model("cnn")
    assert entry is not None
    images = torch.from_numpy(np.load(EXAMPLES / "images.npy")[:200].copy())
    outputs: torch.Tensor = entry.handle.outputs(entry.handle.prepare(images))
    return outputs


def test_classes(session: Session, scores: torch.Tensor) -> None:
    found = rows(session, "SELECT id, PREDICT(cnn, image) FROM images ORDER BY id")
    assert [row[1] for row in found] == scores.argmax(1).tolist()
    described = session.execute("SELECT PREDICT(cnn, image) AS p FROM images LIMIT 1").arrow()
    assert str(described.schema.field("p").type) == "int32"


def test_anywhere(session: Session, scores: torch.Tensor) -> None:
    """In WHERE, GROUP BY, ORDER BY, HAVING, CASE and aggregates."""
    classes = scores.argmax(1)
    wanted = torch.nonzero(classes == 3)[:, 0].tolist()
    where = rows(session, "SELECT id FROM images WHERE PREDICT(cnn, image) = 3 ORDER BY id")
    assert [row[0] for row in where] == wanted
    grouped = rows(
        session,
        "SELECT PREDICT(cnn, image) AS p, count(*) AS n FROM images WHERE id < 150"
        " GROUP BY p HAVING count(*) > 2 ORDER BY p",
    )
    counts = torch.bincount(classes[:150], minlength=10).tolist()
    assert grouped == [(number, count) for number, count in enumerate(counts) if count > 2]
    ordered = rows(session, "SELECT id FROM images ORDER BY PREDICT(cnn, image) DESC, id LIMIT 7")
    order = sorted(range(200), key=lambda row: (-int(classes[row]), row))
    assert [row[0] for row in ordered] == order[:7]
    case = "SELECT sum(CASE WHEN id < 10 THEN PREDICT(cnn, image) END) FROM images"
    assert rows(session, case) == [(int(classes[:10].sum()),)]


def test_only_rows_that_pass_the_filter_run(session: Session) -> None:
    register(
        session, "fresh", nn.Sequential(nn.Flatten(), nn.Linear(784, 2)), input=[28, 28], scale=255
    )
    text = rows(
        session, "EXPLAIN ANALYZE SELECT PREDICT(fresh, image) FROM images WHERE id BETWEEN 5 AND 9"
    )
    assert "inferences 5" in str(text)
    again = rows(
        session, "EXPLAIN ANALYZE SELECT id FROM images WHERE PREDICT(fresh, image) = 1 AND id < 20"
    )
    assert "inferences 15" in str(again)


def test_probabilities(session: Session, scores: torch.Tensor) -> None:
    wanted = torch.softmax(scores.double(), 1)
    listed = rows(session, "SELECT PREDICT_PROBA(cnn, image) FROM images ORDER BY id")
    assert np.allclose([row[0] for row in listed], wanted.numpy())
    one = rows(session, "SELECT PREDICT_PROBA(cnn, image, class => 4) FROM images ORDER BY id")
    assert np.allclose([row[0] for row in one], wanted[:, 4].numpy())


def test_numbers_by_position_and_name(session: Session) -> None:
    by_position = rows(session, "SELECT PREDICT(line, a, b) FROM numbers")
    with session.open_transaction() as transaction:
        entry = transaction.model("line")
    assert entry is not None
    inputs = torch.tensor([[1, 2], [0.5, -1], [3, 3]])
    wanted = entry.handle.outputs(inputs).double().reshape(-1).tolist()
    assert by_position == [(wanted[0],), (wanted[1],), (None,), (wanted[2],)]
    assert rows(session, "SELECT PREDICT(line, *) FROM numbers") == by_position
    swapped = rows(session, "SELECT PREDICT(line, *) FROM (SELECT b, 'u' AS c, a FROM numbers)")
    assert swapped == by_position
    table = rows(
        session, "SELECT label, prediction FROM PREDICT(MODEL = line, DATA = numbers AS n)"
    )
    assert [row[1:] for row in table] == by_position


def test_labels_and_raw_outputs(session: Session) -> None:
    found = rows(session, "SELECT PREDICT(three, a, b), PREDICT_PROBA(three, a, b) FROM numbers")
    for label, chances in found:
        if chances is None:
            assert label is None
        else:
            assert isinstance(chances, list)
            assert label == ["red", "green", "blue"][int(np.argmax(chances))]
    first = rows(session, "SELECT PREDICT_PROBA(three, 1, 2, class => 'blue')")
    assert found[0][1][2] == first[0][0]  # type: ignore[index]
    raw = rows(session, "SELECT PREDICT(raw, a, b) FROM numbers")
    assert raw[2] == (None,) and len(raw[0][0]) == 3  # type: ignore[arg-type]
    grouped = rows(session, "SELECT PREDICT(three, a, b) AS p, count(*) FROM numbers GROUP BY p")
    assert sum(row[1] for row in grouped) == 4  # type: ignore[misc]


def test_ties_take_the_lowest_class(session: Session) -> None:
    module = nn.Linear(2, 4)
    nn.init.zeros_(module.weight)
    nn.init.constant_(module.bias, 1.0)
    register(session, "tied", module)
    assert rows(session, "SELECT PREDICT(tied, 1, 2)") == [(0,)]


def test_table_form(session: Session, scores: torch.Tensor) -> None:
    found = rows(
        session, "SELECT id, prediction FROM PREDICT(MODEL = cnn, DATA = images) ORDER BY id"
    )
    assert [row[1] for row in found] == scores.argmax(1).tolist()
    clash = "(SELECT a, b, 0 AS prediction FROM numbers)"
    columns = session.execute(f"SELECT * FROM PREDICT(MODEL = line, DATA = {clash})").arrow()
    assert columns.column_names == ["a", "b", "prediction", "prediction_1"]


@pytest.mark.parametrize("size", [1, 7, 0])
def test_morsels_do_not_change_a_bit(session: Session, size: int) -> None:
    sql = "SELECT PREDICT_PROBA(cnn, image) FROM images WHERE id < 30 ORDER BY id"
    wanted = rows(session, sql)
    session.services = SessionServices(lambda: True)  # without what queries left in the cache
    session.execute(f"SET morsel_size = {size}")
    assert rows(session, sql) == wanted
    session.execute("RESET morsel_size")


def test_the_guest_leaves_no_trace(session: Session) -> None:
    threads = torch.get_num_threads()
    rows(session, "SELECT PREDICT(cnn, image) FROM images")
    assert torch.get_num_threads() == threads and torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT PREDICT(cn, image) FROM images", 'model "cn" not found; did you mean "cnn"'),
        ("SELECT PREDICT(cnn, id) FROM images", 'model "cnn" takes 784 numbers or one TENSOR'),
        ("SELECT PREDICT(line, 1) FROM images", 'model "line" takes 2 numbers'),
        ("SELECT PREDICT(line, image) FROM images", "line"),
        ("SELECT PREDICT() FROM images", "a model and its arguments"),
        ("SELECT PREDICT_PROBA(line, 1, 2)", "predicts a value, not a class"),
        ("SELECT PREDICT_PROBA(cnn, image, class => 10) FROM images", "no class 10"),
        ("SELECT PREDICT_PROBA(cnn, image, klass => 1) FROM images", "class => a label"),
        ("SELECT PREDICT(line, *) FROM images", 'needs a column "a"'),
        ("SELECT * FROM PREDICT(MODEL = line, DATA = images)", 'needs a column "a"'),
        ("SELECT * FROM PREDICT(MODEL = line, DTA = images)", 'no argument "dta"'),
        ("SELECT neuron_distance(image) FROM images", "TOPK_SIMILAR"),
        ("CREATE MODEL bad FROM 'nowhere.pt2'", '"nowhere.pt2" does not exist'),
        (
            "CREATE MODEL bad FROM 'x.pt2' WITH (sclae = 2)",
            'no option "sclae"; did you mean "scale"',
        ),
        ("DESCRIBE MODEL cnnn", 'model "cnnn" not found'),
    ],
)
def test_errors(session: Session, sql: str, message: str) -> None:
    with pytest.raises(errors.Error) as caught:
        session.execute(sql)
    assert message in caught.value.message


def test_nothing_is_rescaled_silently(session: Session) -> None:
    session.execute(f"CREATE MODEL bare FROM '{EXAMPLES / 'fashion.pt2'}'")
    with pytest.raises(errors.BindError, match=r"takes float32.*holds uint8.*scale = 255"):
        session.execute("SELECT PREDICT(bare, image) FROM images")


def test_a_refused_model_leaves_the_catalog_as_it_was(session: Session, tmp_path: Path) -> None:
    before = rows(session, "SHOW MODELS")
    broken = tmp_path / "broken.pt2"
    broken.write_bytes(b"no zip")
    with pytest.raises(errors.CorruptError, match=r"broken\.pt2"):
        session.execute(f"CREATE OR REPLACE MODEL cnn FROM '{broken}'")
    assert rows(session, "SHOW MODELS") == before
    assert rows(session, "SELECT count(PREDICT(cnn, image)) FROM images WHERE id < 3") == [(3,)]


def test_describe(session: Session) -> None:
    found = rows(session, "DESCRIBE MODEL cnn")
    assert ("layer", "relu2", "(32, 14, 14)") in found
    assert ("output", "prediction", "INTEGER") in found
    assert ("output", "probabilities", "softmax") in found
    assert ("class", "9", None) in found
