# `make demo` and `make test` are all a newcomer needs; both create .venv and install into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check golden bench soak clean

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV)/.installed-check: $(VENV)/.installed-test
	$(BIN)/pip install --quiet --editable '.[check]'
	touch $@

demo: $(VENV)/.installed
	$(BIN)/python examples/demo.py

test: $(VENV)/.installed-test
	$(BIN)/python -m pytest

soak: $(VENV)/.installed-test
	TENSORSQL_SOAK=1 $(BIN)/python -m pytest

check: $(VENV)/.installed-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

golden: $(VENV)/.installed-test
	TENSORSQL_GOLDEN=1 $(BIN)/python -m pytest tests/test_golden.py tests/test_rules.py

bench: $(VENV)/.installed-test
	$(BIN)/python -m tensorsql.tpch.bench

clean:
	rm -rf $(VENV) *.egg-info
