"""The planted faults of tests/mutants.py fit the code and name tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mutants import MUTANTS, Mutant, planted

ROOT = Path(__file__).parent.parent
LEAST = 20
FOLDERS = ("parser", "binder", "rules", "operators", "storage", "indexes", "models")


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_fault_fits_the_code(mutant: Mutant) -> None:
    text = (ROOT / mutant.file).read_text(encoding="utf-8")
    compile(planted(mutant, text), mutant.file, "exec")
    assert mutant.old != mutant.new


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_its_test_is_there(mutant: Mutant) -> None:
    file, _, name = mutant.test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    function, _, case = name.partition("[")
    assert not name or re.search(rf"^def {function}\(", text, re.M)
    files = {path.stem for path in ROOT.glob("tests/sql/*.test")}
    rules = {path.stem for path in ROOT.glob("tests/golden/rules/*.txt")}
    assert not case or case.rstrip("]") in files | rules


def test_there_are_faults_of_every_part() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= LEAST
    for folder in FOLDERS:
        assert any(folder in mutant.file.split("/") for mutant in MUTANTS), folder
