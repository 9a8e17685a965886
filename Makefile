# make run      a live training in the cockpit          make test       every check and test
# make smollm2  prepare a real 135M language model      make test-all   also the tests that need it, and the slow ones

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: run test test-all check install smollm2 bench clean

run: $(READY)
	@$(BIN)/rlpeaks run quickstart

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "torch==2.13.0"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[train,dev]"
	@touch $(READY)

check: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: check
	$(BIN)/python -m pytest -n 2 --dist loadfile -m "not smollm2 and not slow"

test-all: check smollm2
	$(BIN)/python -m pytest

smollm2: $(READY)
	@$(BIN)/python -m trainers.smollm2

bench: $(READY)
	$(BIN)/python -m benchmarks.overhead

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
