# `make demo` and `make test` are all a newcomer needs; both create .venv and install into it the
# exact releases that constraints.txt names. `make help` lists the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt
# The backend comes from the constraints as well, so it must not be built in isolation.
INSTALL_SELF := $(INSTALL) --no-build-isolation --editable
# `make upgrade` keeps to this release, since others may come as CUDA builds of gigabytes;
# `make upgrade TORCH=torch` takes the newest.
TORCH := torch==2.13.0

.PHONY: help demo test check golden mutants bench soak upgrade clean

help:
	@printf '%s\n' \
		'make demo     build the example database and run examples/demo.sql on it' \
		'make test     run the tests' \
		'make check    run the linters and the type checker' \
		'make golden   write the golden plans anew' \
		'make mutants  plant faults, one by one, that the tests have to catch' \
		'make soak     run the tests for longer' \
		'make bench    compare TPC-H with DuckDB' \
		'make upgrade  take the newest releases of everything, then test' \
		'make clean    remove what was installed'

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(INSTALL) pip
	$(INSTALL) setuptools
	$(INSTALL_SELF) .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(INSTALL_SELF) '.[test]'
	touch $@

$(VENV)/.installed-check: $(VENV)/.installed-test
	$(INSTALL_SELF) '.[check]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

soak: $(VENV)/.installed-test
	TENSORSQL_SOAK=1 $(BIN)/python -m pytest

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(VENV)/.installed-test
	TENSORSQL_GOLDEN=1 $(BIN)/python -m pytest tests/test_golden.py tests/test_rules.py
	TENSORSQL_GOLDEN=plans $(BIN)/python -m pytest tests/test_sqllogic.py

# Plants the faults of tests/mutants.py one by one; the tests have to catch every one.
mutants: $(VENV)/.installed-test
	$(BIN)/python tests/mutants.py

bench: $(VENV)/.installed-test
	$(BIN)/python -m tensorsql.tpch.bench

# The newest releases that pyproject.toml allows, for every platform and Python; then the tests.
upgrade: $(VENV)/.installed
	$(BIN)/pip install --quiet --upgrade uv
	printf '%s\n' '$(TORCH)' pip setuptools | $(BIN)/uv pip compile pyproject.toml - --quiet \
		--universal --all-extras --upgrade --no-annotate \
		--custom-compile-command 'make upgrade' --output-file constraints.txt
	$(MAKE) test check

clean:
	rm -rf $(VENV) *.egg-info
