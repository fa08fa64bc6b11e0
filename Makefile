# Every target does its own set-up; it needs Python 3.11 to 3.13, git and make.
# `make PYTHON=/path/to/python3.12 ...` chooses the interpreter of a new environment.
VENV := .venv
BIN := $(VENV)/bin
SUITABLE := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))
# A name on the PATH is not enough (version managers leave names that fail): each must run.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c '$(SUITABLE)' >/dev/null 2>&1 && echo $$p && break; done)
NO_PYTHON = "stemma needs Python 3.11, 3.12 or 3.13 with venv; $(if $(PYTHON),$(PYTHON) is not that,\
there is none on the PATH) (Debian: apt-get install python3 python3-venv)"
# Tests and the demo start hundreds of short processes: what they load is compiled once.
export PYTHONDONTWRITEBYTECODE :=
# The build back end is a pinned one too, so the package is built without isolation.
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help demo test test-all check bench bench-store clean
.DEFAULT_GOAL := help
.NOTPARALLEL:

help:
	@echo "make demo        run the main job on real data (scikit-learn's digits)"
	@echo "make test        run the tests"
	@echo "make check       format, lint, types, architecture, migrations, wheel"
	@echo "make bench       measure, as ratios to the limits in the same run"
	@echo "make bench-store the store against its peers (an hour, 30 GB of disk)"
	@echo "make test-all    run everything, the long campaigns too"
	@echo "make clean       remove the environment and everything that was made"

$(BIN)/python:
	@$(or $(PYTHON),false) -c '$(SUITABLE)' >/dev/null 2>&1 || { echo >&2 $(NO_PYTHON); exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }

$(VENV)/.demo: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) hatchling
	$(INSTALL) --no-build-isolation -e '.[demo]'
	@touch $@

$(VENV)/.dev: $(BIN)/python pyproject.toml constraints.txt
	$(INSTALL) hatchling
	$(INSTALL) --no-build-isolation -e '.[demo,test,dev]'
	@touch $(VENV)/.demo $@

demo: $(VENV)/.demo
	$(BIN)/python examples/incident/run.py

test: $(VENV)/.dev
	@$(BIN)/python -m tests.programs
	$(BIN)/python -m pytest -q -n 3 --dist worksteal -m "not slow"

test-all: $(VENV)/.dev
	@$(BIN)/python -m tests.programs
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
	$(BIN)/python -m benchmarks.ancestors

bench-store: $(VENV)/.dev
	$(BIN)/python -m benchmarks.store --out build/benchmarks

clean:
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache \
	.hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
