"""No model file runs code unasked: hostile archives in every layout, exchanged files, fuzz."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import random
import shutil
import subprocess
import sys
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

import tensorsql
from tensorsql import errors
from tensorsql.operators.models import load
from tensorsql.operators.models.load import load_model, open_model
from tests.model_archives import (
    exported,
    hostile_archives,
    members,
    payload,
    program,
    tiny,
    with_program,
    zipped,
)


def hostile_cases(mark: Path) -> dict[str, bytes]:
    return dict(hostile_archives(mark))


NAMES = list(hostile_cases(Path("nowhere")))


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def written(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "m.pt2"
    path.write_bytes(content)
    return str(path)


def test_an_honest_archive_answers_as_its_module(tmp_path: Path) -> None:
    saved = tmp_path / "saved.pt2"
    torch.export.save(exported(), saved)
    rows = torch.rand(5, 4)
    for path in (written(tmp_path, zipped(members())), str(saved)):
        try:
            entry = load_model("m", path, {})
        except errors.UnsupportedError:  # a torch that writes the older layout
            entry = load_model("m", path, {"trust": True})
        assert dict(entry.layers) == {"first": (5,), "relu": (5,), "last": (3,)}
        with torch.no_grad():
            assert torch.allclose(open_model(entry).outputs(rows), tiny()(rows))


@pytest.mark.parametrize("name", NAMES)
def test_no_archive_runs_code(tmp_path: Path, mark: Path, name: str) -> None:
    path = written(tmp_path, hostile_cases(mark)[name])
    before = set(sys.modules)
    with pytest.raises(errors.UnsupportedError, match=r"m\.pt2.*trust"):
        load_model("m", path, {})
    assert not mark.exists() and "antigravity" not in set(sys.modules) - before


def test_the_payloads_bite(tmp_path: Path, mark: Path) -> None:
    """torch's own loader runs them; were that not so, the tests above would say nothing."""
    bitten = set()
    for name, content in hostile_cases(mark).items():
        if name.startswith(("older", "data", "constant", "size")):
            with pytest.raises(Exception):  # noqa: B017
                torch.export.load(io.BytesIO(content)).module()(None)
        if mark.exists():
            bitten.add(name)
            mark.rmdir()
    assert {"older serialized_state_dict", "older serialized_example_inputs"} <= bitten, bitten


def test_trust_is_the_users_to_give(tmp_path: Path, mark: Path) -> None:
    path = written(tmp_path, hostile_cases(mark)["older serialized_state_dict"])
    with pytest.raises(errors.CorruptError, match=r"m\.pt2"):
        load_model("m", path, {"trust": True})
    assert mark.exists()


@pytest.mark.parametrize("suffix", [".pt2", ".pt", ".pth", ".pkl"])
def test_the_suffix_does_not_decide(tmp_path: Path, mark: Path, suffix: str) -> None:
    archives = hostile_cases(mark)
    for name in ("older serialized_constants", "data/weights/model.pt"):
        path = tmp_path / f"m{suffix}"
        path.write_bytes(archives[name])
        with pytest.raises(errors.UnsupportedError):
            load_model("m", str(path), {})
    path = tmp_path / f"plain{suffix}"
    path.write_bytes(zipped(members()))
    assert load_model("m", str(path), {}).layers
    assert not mark.exists()


# Zip files that two readers see differently, or that are larger than they look


def patched(content: bytes, old: bytes, new: bytes, last: bool) -> bytes:
    """The content with the first or the last occurrence of a text replaced."""
    place = content.rfind(old) if last else content.find(old)
    return content[:place] + new + content[place + len(old) :]


def odd_zips() -> dict[str, bytes]:
    plain = zipped(members())
    twice = zipped(members())
    buffer = io.BytesIO(twice)
    with zipfile.ZipFile(buffer, "a") as archive, pytest.warns(UserWarning):
        archive.writestr("m/models/model.json", b"{}")
    deflated = io.BytesIO()
    with zipfile.ZipFile(deflated, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("m/models/model.json", b"0" * 10_000_000)
    name = b"m/models/model.json"
    return {
        "a name twice": buffer.getvalue(),
        "a name in other case": zipped(members() | {"models/MODEL.json": b"{}"}),
        "a name in other form": zipped(members() | {"models/ｍodel.json": b"{}"}),
        "other names in the directory": patched(plain, name, b"m/models/mod3l.json", True),
        "other names at the members": patched(plain, name, b"m/models/mod3l.json", False),
        "compressed": deflated.getvalue(),
        "two archives": plain + zipped(members() | {"models/second.json": b"{}"}),
        "an absolute name": zipped(members(), "/m/"),
        "a name that climbs": zipped(members() | {"../../evil": b""}),
        "names with backslashes": zipped(members() | {"data\\weights\\model.pt": b""}),
        "another folder": zipped(members()) + zipped(members() | {"../n/x": b""}),
        "no folder": zipped(members(), ""),
        "no program": zipped({k: v for k, v in members().items() if "models" not in k}),
        "nested too deeply": zipped(
            members() | {"models/model.json": b"[" * 100_000 + b"]" * 100_000}
        ),
        "cut short": plain[: len(plain) // 2],
        "nothing": b"",
    }


@pytest.mark.parametrize("name", odd_zips())
def test_odd_zips_are_errors_that_name_the_file(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, odd_zips()[name])
    with pytest.raises((errors.CorruptError, errors.UnsupportedError), match=r"m\.pt2"):
        load_model("m", path, {})


def test_encrypted_members_are_refused(tmp_path: Path) -> None:
    content = bytearray(zipped(members()))
    for start, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        place = content.find(start)
        content[place + offset] |= 1
    with pytest.raises(errors.CorruptError, match="encrypted"):
        load_model("m", written(tmp_path, bytes(content)), {})


def test_sizes_that_would_never_be_done_are_refused(tmp_path: Path) -> None:
    changed = program()
    size = changed["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]
    for text in ("9**9**9**9", "Add(" * 400 + "1" + ")" * 400, "9" * 5000):
        size["as_expr"]["expr_str"] = text
        with pytest.raises(errors.UnsupportedError, match="a size"):
            load_model("m", written(tmp_path, zipped(with_program(changed))), {})
    changed = program()
    changed["range_constraints"] = {"u999999999999": {"min_val": 0, "max_val": 1}}
    with pytest.raises(errors.UnsupportedError, match="a name"):
        load_model("m", written(tmp_path, zipped(with_program(changed))), {})


def test_weights_are_views_of_their_own_bytes_only(tmp_path: Path) -> None:
    name = "data/weights/model_weights_config.json"
    for which, value in (
        ("sizes", [{"as_int": 5_000_000}, {"as_int": 4}]),
        ("strides", [{"as_int": 10**12}, {"as_int": 1}]),
        ("storage_offset", {"as_int": 10**9}),
        ("storage_offset", {"as_int": -3}),
        ("dtype", 99),
    ):
        config = json.loads(members()[name])
        config["config"]["first.weight"]["tensor_meta"][which] = value
        path = written(tmp_path, zipped(members() | {name: json.dumps(config).encode()}))
        with pytest.raises(errors.CorruptError, match=r"m\.pt2"):
            load_model("m", path, {})


def test_no_file_asks_for_more_memory_than_it_is_worth(tmp_path: Path) -> None:
    name = "data/weights/model_weights_config.json"
    config = json.loads(members()[name])
    config["config"]["first.weight"]["tensor_meta"].update(
        sizes=[{"as_int": 10**9}, {"as_int": 4}], strides=[{"as_int": 0}, {"as_int": 1}]
    )
    path = written(tmp_path, zipped(members() | {name: json.dumps(config).encode()}))
    with pytest.raises(errors.CorruptError, match=r"a tensor of \[1000000000, 4\] has 20 values"):
        load_model("m", path, {})
    for place, count in ((0, 10**12), (1, 10**10)):
        changed = program()
        sizes = changed["graph_module"]["graph"]["tensor_values"]["x"]["sizes"]
        sizes[place] = {"as_int": count}
        path = written(tmp_path, zipped(with_program(changed)))
        with pytest.raises(errors.UnsupportedError, match=rf"{count}.* too large"):
            load_model("m", path, {})


BEYOND = ("set_.source_Tensor", "resize_.default", "_nested_view_from_buffer.default")


@pytest.mark.parametrize("operator", BEYOND)
def test_operators_that_trust_sizes_are_none_of_a_models(tmp_path: Path, operator: str) -> None:
    changed = json.loads(json.dumps(program()).replace("relu.default", operator))
    path = written(tmp_path, zipped(with_program(changed)))
    with pytest.raises(errors.UnsupportedError, match="no operator on tensors"):
        load_model("m", path, {})


def test_an_archive_of_a_newer_torch_says_so(tmp_path: Path) -> None:
    changed = program()
    changed["schema_version"]["minor"] += 1000
    changed["torch_version"] = "9.9"
    changed["graph_module"]["graph_to_come"] = changed["graph_module"].pop("graph")
    path = written(tmp_path, zipped(with_program(changed)))
    with pytest.raises(errors.UnsupportedError, match=r"saved by PyTorch 9\.9.*cannot read"):
        load_model("m", path, {})


def test_an_archive_of_another_device_runs_on_the_cpu(tmp_path: Path) -> None:
    changed = json.loads(json.dumps(program()).replace('"type": "cpu"', '"type": "cuda"'))
    entry = load_model("m", written(tmp_path, zipped(with_program(changed))), {})
    rows = torch.rand(2, 4)
    with torch.no_grad():
        assert torch.allclose(open_model(entry).outputs(rows), tiny()(rows))


# Fuzz


def mutated(random_: random.Random, mark: Path) -> bytes:
    """An honest archive with a few of its members, names, texts or bytes changed."""
    code = f"__import__('os').mkdir({str(mark)!r})"
    found = members()
    for _ in range(random_.randint(1, 3)):
        name = random_.choice(list(found))
        match random_.randrange(6):
            case 0:
                del found[name]
            case 1:
                found[name] = payload(mark)
            case 2:
                other = random_.choice([*found, "serialized_state_dict.pt", "data/weights/m.pt"])
                found[random_.choice([other, other.upper(), f"x/{other}", f"/{other}"])] = found[
                    name
                ]
            case 3 if name.endswith(".json"):
                found[name] = _other_text(random_, found[name], code)
            case _:
                changed = bytearray(found[name] or b"\0")
                changed[random_.randrange(len(changed))] = random_.randrange(256)
                found[name] = bytes(changed)
    content = bytearray(zipped(found, random_.choice(["m/", "m/", "m/", "", "x/m/"])))
    if random_.random() < 0.2:
        content[random_.randrange(len(content))] = random_.randrange(256)
    return bytes(content)


def _other_text(random_: random.Random, content: bytes, code: str) -> bytes:
    """The JSON with one of its texts or numbers replaced."""
    try:
        document = json.loads(content)
    except ValueError:
        return content
    places: list[tuple[Any, Any]] = []

    def walk(value: Any) -> None:
        for key in value if isinstance(value, dict) else range(len(value)):
            places.append((value, key))
            if isinstance(value[key], dict | list):
                walk(value[key])

    walk(document)
    if places:
        owner, key = random_.choice(places)
        owner[key] = random_.choice(
            [code, None, -1, 2**40, [], {}, "torch.load", "_operator.call", "a.b", [code], True]
        )
    return json.dumps(document).encode()


def test_fuzzed_archives_load_or_are_errors(tmp_path: Path, mark: Path) -> None:
    random_ = random.Random(5)
    loaded = 0
    for _ in range(300):
        path = written(tmp_path, mutated(random_, mark))
        try:
            load_model("m", path, {})
            loaded += 1
        except errors.Error as error:
            assert not isinstance(error, errors.InternalError)
        assert not mark.exists()
    assert loaded  # some changes are harmless, so more than the zip is tried


# Files kept in a database


def kept(folder: Path) -> tuple[str, Path]:
    """A database with a model, closed, and its copy of the model's file."""
    path, file = str(folder / "d.tsql"), folder / "net.pt2"
    file.write_bytes(zipped(members()))
    with tensorsql.connect(path) as connection:
        connection.execute(f"CREATE MODEL m FROM '{file}' WITH (output = 'raw')")
        connection.register("f", {"id": [1], "x": torch.rand(1, 4).numpy()})
        connection.execute("CREATE TABLE t AS SELECT * FROM f")
    return path, next(Path(path).rglob("net.pt2"))


def test_an_exchanged_file_is_not_opened(tmp_path: Path, mark: Path) -> None:
    path, file = kept(tmp_path)
    for content in (hostile_cases(mark)["older serialized_state_dict"], file.read_bytes() + b"\0"):
        file.write_bytes(content)
        with tensorsql.connect(path) as connection, pytest.raises(errors.CorruptError) as found:
            connection.execute("SELECT PREDICT(m, x) FROM t").fetchall()
        assert "net.pt2" in str(found.value) and "create the model again" in str(found.value)
    assert not mark.exists()


def test_an_exchanged_file_whose_hash_was_exchanged_runs_nothing(
    tmp_path: Path, mark: Path
) -> None:
    path, file = kept(tmp_path)
    for content in list(hostile_cases(mark).values())[:6]:
        file.write_bytes(content)
        with tensorsql.connect(path) as connection:
            forge(connection, hashlib.sha256(content).hexdigest())
        with tensorsql.connect(path) as connection, pytest.raises(errors.UnsupportedError):
            connection.execute("SELECT PREDICT(m, x) FROM t").fetchall()
    assert not mark.exists()


def forge(connection: tensorsql.Connection, file_hash: str) -> None:
    """Write another hash into the record of the model."""
    with connection.session.open_transaction() as transaction:
        entry = transaction.model("m")
        assert entry is not None
        transaction.drop_model("m")
        transaction.put_model(dataclasses.replace(entry, file_hash=file_hash, handle=None))


def no_plain_archive() -> bytes:
    """What this torch writes, and more than may be in an archive without trust."""
    buffer = io.BytesIO()
    torch.export.save(exported(), buffer)
    with zipfile.ZipFile(buffer, "a") as archive:
        folder = archive.namelist()[0].partition("/")[0]
        archive.writestr(f"{folder}/data/weights/more.pt", b"")
    return buffer.getvalue()


@pytest.mark.parametrize("suffix", [".pt", ".pkl", ".pt2"])
def test_a_database_cannot_trust_its_own_models(tmp_path: Path, suffix: str) -> None:
    """Trust counts in the process where it was said; elsewhere it has to be said again."""
    file, path = tmp_path / f"net{suffix}", str(tmp_path / "d.tsql")
    if suffix == ".pt2":
        file.write_bytes(no_plain_archive())
    else:
        torch.save(tiny(), file)
    with tensorsql.connect(path) as connection:
        connection.execute(
            f"CREATE MODEL m FROM '{file}' WITH (trust = true, input = [4], output = 'raw')"
        )
        connection.register("f", {"x": torch.rand(1, 4).numpy()})
        connection.execute("CREATE TABLE t AS SELECT * FROM f")
    query = "SELECT PREDICT(m, x) FROM t"
    with tensorsql.connect(path) as connection:
        answer = connection.execute(query).fetchall()
    load.TRUSTED.clear()  # as in another process
    with tensorsql.connect(path) as connection:
        with pytest.raises(errors.UnsupportedError, match="SET trust_models"):
            connection.execute(query).fetchall()
        connection.execute("SET trust_models = true")
        assert connection.execute(query).fetchall() == answer


# Threads and noise


def test_models_load_in_threads(tmp_path: Path) -> None:
    paths = [tmp_path / f"m{number}.pt2" for number in range(4)]
    for path in paths:
        path.write_bytes(zipped(members()))
    failures: list[BaseException] = []
    start = threading.Barrier(8)

    def create(number: int) -> None:
        try:
            start.wait()
            with tensorsql.connect() as connection:
                connection.execute(f"CREATE MODEL m FROM '{paths[number % 4]}'")
                assert len(connection.execute("DESCRIBE MODEL m").fetchall()) > 4
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=create, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_loading_says_nothing_on_the_terminal(tmp_path: Path, mark: Path) -> None:
    files = {
        "good.pt2": zipped(members()),
        "old.pt2": hostile_cases(mark)["older serialized_state_dict"],
        "cut.pt2": zipped(members())[:3000],
    }
    script = ["import tensorsql", "c = tensorsql.connect()"]
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        for trust in ("false", "true"):
            statement = f"CREATE OR REPLACE MODEL m FROM '{tmp_path / name}' WITH (trust = {trust})"
            script += ["try:", f"    c.execute({statement!r})", "except tensorsql.Error: pass"]
    shown = ("-W", "always", "-W", "ignore::ResourceWarning")  # torch 2.6 leaves a folder behind
    done = subprocess.run(
        [sys.executable, *shown, "-c", "\n".join(script)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    shutil.rmtree(mark, ignore_errors=True)
