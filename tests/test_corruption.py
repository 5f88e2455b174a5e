"""Any file of a database damaged in any way: the right answer or an error that says so.

Never another answer, a crash or a defect of ours; whatever was damaged is found by the statements
that check everything, and CHECKPOINT changes nothing then.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

SOAK = os.environ.get("TENSORSQL_SOAK") == "1"
CASES = 1500 if SOAK else 30
UNREADABLE = ("CorruptError", "IOError")
Answers = dict[str, Any]


class Server:
    """Asks for a database in a child process of its own, which may crash."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("corrupted_database.py"), folder / "good"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )
        self.wait()
        self.good = {
            mode: self.ask(mode, self.copied())
            for mode in ("plain", "model", *(["column"] if SOAK else []))
        }

    def send(self, mode: str, folder: Path) -> None:
        assert self.process.stdin
        self.process.stdin.write(f"{mode} {folder} {self.folder / 'said'}\n")
        self.wait()

    def wait(self) -> None:
        assert self.process.stdout
        assert int(self.process.stdout.readline()) == 0, "the child crashed"

    def ask(self, mode: str, folder: Path) -> Answers:
        self.send(mode, folder)
        found: Answers = json.loads((self.folder / "said").read_text())
        return found

    def copied(self) -> Path:
        shutil.rmtree(self.folder / "db", ignore_errors=True)
        shutil.copytree(self.folder / "good", self.folder / "db")
        return self.folder / "db"

    def check(self, mode: str, said: Answers) -> None:
        """Every answer is the right one, or says what cannot be read."""
        good = self.good["model" if "model" in mode else mode.partition(":")[0]]
        for name, (kind, text) in said.items():
            right = name == "check" or [kind, text] == good[name]
            assert right or kind in UNREADABLE, (name, kind, text)
            assert "defect" not in text


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("corruption"))
    yield started
    started.process.communicate()


def flip(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    for _ in range(chance.choice([1, 1, 1, 3, 20])):
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def fill(chance: random.Random, path: Path, _: Path) -> None:
    content = bytearray(path.read_bytes())
    start = chance.randrange(len(content))
    stop = min(len(content), start + chance.choice([1, 8, 100, 4096]))
    content[start:stop] = chance.choice([b"\0", b"\xff", b"\x55"]) * (stop - start)
    path.write_bytes(content)


def cut(chance: random.Random, path: Path, _: Path) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size))


def lengthen(chance: random.Random, path: Path, _: Path) -> None:
    with path.open("ab") as file:
        file.write(chance.randbytes(chance.choice([1, 100])))


def delete(_: random.Random, path: Path, __: Path) -> None:
    path.unlink()


def swap(_: random.Random, path: Path, other: Path) -> None:
    one, two = path.read_bytes(), other.read_bytes()
    path.write_bytes(two)
    other.write_bytes(one)


Damage = Callable[[random.Random, Path, Path], None]
DAMAGES: tuple[Damage, ...] = (flip, flip, flip, flip, fill, fill, cut, lengthen, delete, swap)


def files(folder: Path) -> list[Path]:
    found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock")
    return sorted(found, key=lambda path: (path.suffix, path.stat().st_size, path.name))


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in files(folder)}


@pytest.mark.parametrize("case", range(CASES))
def test_damaged_at_rest(server: Server, case: int) -> None:
    """Each file in turn; how, is random."""
    chance = random.Random(case)
    folder = server.copied()
    before = contents(folder)
    path = files(folder)[case % len(before)]
    others = [other for other in files(folder) if other.suffix == path.suffix and other != path]
    damage = chance.choice(DAMAGES if others else DAMAGES[:-1])
    damage(chance, path, chance.choice(others) if others else path)
    changed = contents(folder) != before
    needs_model = path.parent.parent.name in ("models", "indexes")
    mode = "model" if needs_model else "column" if SOAK else "plain"
    said = server.ask(mode, folder)
    server.check(mode, said)
    if path.parent != folder:
        found = [row for row in eval(said["check"][1]) if row[-1] != "ok"]
        assert bool(found) == changed and (said["checkpoint"][0] in UNREADABLE) == changed


@pytest.mark.parametrize("how", ["cut", "delete"])
@pytest.mark.parametrize("pattern", ["segments/*.arrow", "segments/*.npy", "indexes/*/*"])
def test_damaged_while_mapped(server: Server, how: str, pattern: str) -> None:
    """A file cut short behind its mapping is an error before it is SIGBUS."""
    mode = f"live-model:{how}:{pattern}"
    said = server.ask(mode, server.copied())
    server.check(mode, said)
    if how == "cut":
        assert any(kind in UNREADABLE for kind, _ in said.values())
