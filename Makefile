# Every target does its own set-up. It needs Python 3.11 or newer, git and make.
VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys, venv, ensurepip; \
	sys.exit(not (3, 11) <= sys.version_info < (3, 14))' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: help demo test test-all check bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo      run the main job on real data (scikit-learn's digits)"
	@echo "make test      run the tests"
	@echo "make check     format, lint, types, architecture, migrations, wheel"
	@echo "make bench     measure, as ratios to the limits in the same run"
	@echo "make test-all  run everything, the long fault campaigns too"

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "stemma needs Python 3.11, 3.12 or 3.13 with venv on the PATH" \
	"(Debian: apt-get install python3 python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(VENV)/.demo
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo,test,dev]'
	@touch $@

demo: $(VENV)/.demo
	$(BIN)/python examples/incident/run.py

test: $(VENV)/.dev
	@for p in strace openssl; do command -v $$p >/dev/null || \
	echo "NOTE: $$p is missing, some tests will be skipped (apt-get install $$p)"; done
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "not slow"

test-all: $(VENV)/.dev
	$(BIN)/python -m pytest -q -n 2 --dist worksteal

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q tests/architecture
	$(BIN)/python -m tests.migrations_check
	$(BIN)/python -m pytest -q tests/packaging -k contents

bench: $(VENV)/.dev
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
