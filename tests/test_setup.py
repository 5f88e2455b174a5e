"""What the commands install is pinned and lies in the ranges that users are promised."""

from __future__ import annotations

import tomllib
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tensorsql.parser import require_interpreted

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
ASKED = [*PROJECT["dependencies"], *(one for extra in EXTRAS.values() for one in extra)]


def pins() -> list[Requirement]:
    """The lines of constraints.txt."""
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if not line.startswith("#")]


def test_constraints_pin_exactly() -> None:
    loose = [str(pin) for pin in pins() if [clause.operator for clause in pin.specifier] != ["=="]]
    assert not loose


@pytest.mark.parametrize("asked", ASKED)
def test_constraints_lie_in_the_ranges(asked: str) -> None:
    requirement = Requirement(asked)
    name = requirement.name.replace("_", "-")
    pinned = [clause.version for pin in pins() if pin.name == name for clause in pin.specifier]
    assert pinned, f"{name} is not in constraints.txt; make upgrade"
    assert all(requirement.specifier.contains(one) for one in pinned)


@pytest.mark.parametrize("name", ["pip", "setuptools"])
def test_constraints_pin_what_installs(name: str) -> None:
    assert any(pin.name == name for pin in pins())


def test_the_oracle_is_the_release_whose_answers_the_tests_expect() -> None:
    (oracle,) = (Requirement(one) for one in EXTRAS["test"] if one.startswith("duckdb"))
    assert oracle.specifier.contains(version("duckdb")), f"tests compare with {oracle}"


def test_the_compiled_sqlglot_is_refused_with_the_cure() -> None:
    require_interpreted("sqlglot/parser.py")
    with pytest.raises(ImportError, match="pip uninstall sqlglotc"):
        require_interpreted(f"sqlglot/parser{EXTENSION_SUFFIXES[0]}")
