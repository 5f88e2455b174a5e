"""JSON by Arrow's reader is what json.loads would give, or is not used."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import tensorsql
from tensorsql.storage.columns import types
from tensorsql.storage.formats import json as json_format
from tensorsql.storage.formats.text import json_arrow

HOW = json_format.JsonReading({})
NUMBERS = [
    "0", "-0", "1", "-7", "2.50", "0.0", "-0.0", "1e2", "1E-3", "9007199254740993", "1e-400",
    "0." + "0" * 330 + "1", "9223372036854775807", "9223372036854775808", "1e300", "1e400",
    "123456789012345678.5", "1" * 25, "1" * 45,
]  # fmt: skip
TEXTS = [
    "", "x", "é\U0001f600", "2020-01-01", "2020-01-01 10:11:12", "2020-01-01T10:11:12Z", "10:11:12",
    "a\nb", "a\u2028b", '"', "\\", "1", "null", "x\u0000y", "[[[",
    "550e8400-e29b-41d4-a716-446655440000",
]  # fmt: skip


def value(dice: random.Random, numbers: list[str], kind: str) -> str:
    match kind:
        case "number":
            return dice.choice(numbers)
        case "text":
            return json.dumps(dice.choice(TEXTS), ensure_ascii=dice.random() < 0.5)
        case "moment":
            return json.dumps(
                dice.choice(["2020-01-01", "2021-02-03T04:05:06", "2020-01-01 00:00"])
            )
        case "boolean":
            return dice.choice(["true", "false"])
        case "list":
            of = dice.choice(["number", "text"]) if dice.random() < 0.1 else "number"
            return "[" + ", ".join(value(dice, numbers, of) for _ in range(dice.randrange(3))) + "]"
        case "object":
            names = [name for name in ("a", "A", "b") if dice.random() < 0.5]
            return "{" + ",".join(f'"{n}" :{value(dice, numbers, "number")}' for n in names) + "}"
        case _:
            return "null"


def document(dice: random.Random) -> str:
    numbers = dice.sample(NUMBERS, 3)
    kinds = ["number", "text", "moment", "boolean", "list", "object", "null"]
    columns = {name: dice.choice(kinds) for name in ("a", "b", "c d", "é")}
    rows = []
    for _ in range(dice.choice([1, 3, 30])):
        pairs = []
        for name, usual in columns.items():
            kind = dice.choice(kinds) if dice.random() < 0.003 else usual
            kind = "null" if dice.random() < 0.1 else kind
            if dice.random() < 0.8:
                pairs.append(f"{json.dumps(name)}: {value(dice, numbers, kind)}")
        rows.append("{" + ", ".join(pairs) + "}")
    if dice.random() < 0.3:
        return "[" + dice.choice([",", " ,\n"]).join(rows) + "]" + dice.choice(["", " \n"])
    return dice.choice(["\n", "\r\n", "\n\n", " "]).join(rows)


def by_value(monkeypatch: pytest.MonkeyPatch, paths: list[Path], how: Any) -> pa.Table:
    with monkeypatch.context() as patch:
        patch.setattr(json_arrow, "read", lambda content: None)
        return json_format.read(paths, how)[0]


@pytest.mark.parametrize("block", [256, 1 << 24])
@pytest.mark.parametrize("seed", range(6))
def test_random_documents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seed: int, block: int
) -> None:
    dice = random.Random(seed)
    monkeypatch.setattr(json_arrow, "BLOCK", block)
    declared = {"a": types.DOUBLE, "b": types.VARCHAR, "z": types.BIGINT}
    used = 0
    for _ in range(60):
        paths = []
        for i in range(dice.choice([1, 1, 2])):
            paths.append(tmp_path / f"{i}.json")
            paths[-1].write_text(document(dice), newline="")
            used += json_arrow.read(paths[-1].read_bytes()) is not None
        for how in (HOW, json_format.JsonReading(declared)):
            found = json_format.read(paths, how)[0]
            expected = by_value(monkeypatch, paths, how)
            text = [path.read_text() for path in paths]
            assert found.schema == expected.schema, text
            assert repr(found.to_pylist()).replace("-0.0", "0.0") == repr(
                expected.to_pylist()
            ).replace("-0.0", "0.0"), text
    assert used > 10


@pytest.mark.parametrize(
    "text",
    [
        '{"a":1}\n\0{"a":2}', '{"a":"\\udc00"}', '[{"a":1}],"b":[2]', '[{"a":1}]} {"":[{"a":2}]',
        '{"a":' * 100_000, "[" * 100_000, '{"a":{"b":1,"b":2}}', '{"a":NaN}', '{"a":01}',
        '{"a":"x\ny"}', '{"a":1}{"a":1}x', '{"a":1},{"a":2}', "[1]", "1", "", "{}", "[{}]",
        '{"a":1} // x', '[{"a":1},]', '{"a":"\x01"}', '{"a":+1}', '{"a":.5}', "{'a':1}", '{"a":1',
    ],
)  # fmt: skip
def test_what_arrow_may_not_read(text: str) -> None:
    assert json_arrow.read(text.encode()) is None


def test_ordinary_files_are_read_by_arrow() -> None:
    rows = [
        {"id": i, "at": "2020-01-01 10:11:12", "x": i / 7, "tags": ["a", "é"], "o": {"k": None}}
        for i in range(1000)
    ]
    lines = "\n".join(map(json.dumps, rows))
    assert json_arrow.read(lines.encode()) is not None
    assert json_arrow.read(json.dumps(rows, indent=1).encode()) is not None


@pytest.mark.parametrize("suffix", ["json", "parquet"])
def test_boxes_and_tensors_come_back(tmp_path: Path, suffix: str) -> None:
    connection = tensorsql.connect()
    kinds = "b BOX, t TENSOR(2, 2), l DATE[], s STRUCT(a INTEGER[], d DECIMAL(5, 2))"
    connection.execute(f"CREATE TABLE t ({kinds}); CREATE TABLE u ({kinds})")
    values = "BOX_XYXY(1, 2, 3, 4), [[1.5, 2], [3, 4]], [DATE '2020-01-31', NULL]"
    connection.execute(f"INSERT INTO t VALUES ({values}, {{'a': [1], 'd': 1.50}})")
    connection.execute("INSERT INTO t VALUES (NULL, NULL, NULL, NULL)")
    connection.execute(f"COPY t TO '{tmp_path}/x.{suffix}'; COPY u FROM '{tmp_path}/x.{suffix}'")
    query = "SELECT b, t, l, s FROM "
    found = connection.execute(query + "u").fetchall()
    assert repr(found) == repr(connection.execute(query + "t").fetchall())
