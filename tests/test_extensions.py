"""Everything that can be added by one file and one line is: no file stands outside its registry."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

import tensorsql
from tensorsql.errors import UnsupportedError
from tensorsql.operators.compiler import COMPILE
from tensorsql.operators.functions.registry import kernel_of
from tensorsql.operators.indexes import INDEXES
from tensorsql.operators.keys.grouping import AggregateKernel
from tensorsql.operators.models.load import FORMATS as MODEL_FORMATS
from tensorsql.planner.analysis.index_use import INDEX_METHODS
from tensorsql.planner.binder.table_functions import TABLE_FUNCTIONS
from tensorsql.planner.explain import explain
from tensorsql.planner.functions.signatures import GROUPS, SIGNATURES
from tensorsql.planner.optimizer import RULES
from tensorsql.planner.plans import index_plans, logical
from tensorsql.planner.plans.plan import Plan
from tensorsql.repl.commands import COMMANDS
from tensorsql.storage.formats import FORMATS

ROOT = Path(__file__).parent.parent
# What a folder of extensions has beside them.
SHARED = {
    "planner/functions/signatures": {"result_types"},
    "storage/formats": {
        *("objects", "options", "paths"),
        *("late_images", "libtiff", "picture_depth", "pictures"),
    },
}


def modules(folder: str) -> Iterator[tuple[str, ModuleType]]:
    """The extensions in a folder by file name."""
    for path in sorted((ROOT / folder).glob("*.py")):
        if path.stem != "__init__" and path.stem not in SHARED.get(folder, ()):
            package = "tensorsql." + folder.replace("/", ".")
            yield path.stem, importlib.import_module(f"{package}.{path.stem}")


def own(module: ModuleType) -> dict[str, object]:
    """The public functions and classes that a module defines."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


def test_every_rule_file_is_a_rule() -> None:
    for name, module in modules("planner/rules"):
        assert own(module).get(name) in RULES, name
    names = [rule.__name__ for rule in RULES]
    for rule in RULES:
        assert rule.__module__ == f"tensorsql.planner.rules.{rule.__name__}"
        assert names.count(rule.__name__) == 1 or rule.__name__ == "push_down_filters"


def test_every_kernel_has_a_signature_and_every_signature_a_kernel() -> None:
    overloads = [signature for found in SIGNATURES.values() for signature in found]
    named = {signature.kernel for signature in overloads}
    for path in named:
        kernel = kernel_of(path)
        assert callable(kernel) or isinstance(kernel, AggregateKernel), path
    for file, module in modules("operators/functions"):
        kernels = {
            name for name, value in vars(module).items() if isinstance(value, AggregateKernel)
        }
        for name, value in own(module).items():
            parameters = list(getattr(value, "__annotations__", {}))
            if parameters[1:] == ["call", "extent", "return"]:
                kernels.add(name)
        for name in kernels:
            assert name.startswith("_") or f"{file}.{name}" in named, f"{file}.{name}"


def test_every_group_of_signatures_is_registered() -> None:
    for name, module in modules("planner/functions/signatures"):
        assert any(module.SIGNATURES is group for group in GROUPS), name
        for alias, target in getattr(module, "ALIASES", {}).items():
            assert SIGNATURES[alias] is SIGNATURES[target], alias


def test_every_node_runs_and_explains_itself() -> None:
    for module in (logical, index_plans):
        for name, node in own(module).items():
            if inspect.isclass(node) and "__dataclass_fields__" in vars(node):
                assert node in COMPILE or node is logical.DependentJoin, name


def test_explain_prints_a_node_it_does_not_know() -> None:
    class Shuffle(logical.Limit):
        """A node without words of its own."""

    plan: Plan = Shuffle(logical.Values((), ((),)), 3)
    assert explain(plan).startswith("Shuffle\n  Values 1 row")


def test_every_format_is_registered() -> None:
    registered = {item.module: item for item in FORMATS}
    for name, module in modules("storage/formats"):
        assert callable(module.read_files), name
        assert hasattr(module, "write_table") == registered.pop(name).writes, name
    assert not registered
    for item in FORMATS:
        assert set(item.readers) <= TABLE_FUNCTIONS.keys()


def test_copy_and_from_go_by_the_registry(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text('{"a": 1, "b": "x"}\n{"a": 2}\n', encoding="utf-8")
    connection = tensorsql.connect()
    connection.execute("CREATE TABLE t (a INTEGER, b VARCHAR)")
    connection.execute(f"COPY t FROM '{path}'")
    for source in ("t", f"'{path}'", f"read_json_auto('{path}')"):
        rows = connection.execute(f"SELECT a, b FROM {source}").fetchall()
        assert rows == [(1, "x"), (2, None)]
    connection.execute(f"COPY t TO '{tmp_path / 'y.ndjson'}'")
    assert (tmp_path / "y.ndjson").read_text() == '{"a":1,"b":"x"}\n{"a":2,"b":null}\n'
    with pytest.raises(UnsupportedError, match='cannot write format "npy"'):
        connection.execute(f"COPY t TO '{tmp_path / 'y.npy'}'")


def test_every_kind_of_index_is_registered() -> None:
    methods = set()
    for path in (ROOT / "operators/indexes").glob("*/index.py"):
        module = importlib.import_module(f"tensorsql.operators.indexes.{path.parent.name}.index")
        for value in own(module).values():
            if inspect.isclass(value) and hasattr(value, "method"):
                assert type(INDEXES[value.method]) is value
                methods.add(value.method)
    assert methods == INDEXES.keys() == INDEX_METHODS.keys()
    calls = {function for method in INDEX_METHODS.values() for function in method.functions}
    assert calls <= SIGNATURES.keys()


def test_every_family_of_models_is_registered() -> None:
    loads = [module.load for _, module in modules("operators/models") if "load" in own(module)]
    assert set(loads) == {format.load for format in MODEL_FORMATS.values()}


@pytest.mark.parametrize("name", [name for name, _ in modules("repl/commands")])
def test_every_shell_command_is_registered(name: str) -> None:
    module = importlib.import_module(f"tensorsql.repl.commands.{name}")
    assert module.COMMAND in COMMANDS
    assert module.COMMAND.name == f".{name}"
