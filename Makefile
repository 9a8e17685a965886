# make run      a live training in the cockpit          make test       every check and test
# make smollm2  prepare a real 135M language model      make test-all   also the tests that need it, and the slow ones

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: run test quick test-all check install smollm2 bench pictures clean

run: $(READY)
	@$(BIN)/rlpeaks run quickstart

install: $(READY)

# Compiled on all cores at once, which pip would do on one; and what tests start is compiled once, not at every start.
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-compile
export PYTHONDONTWRITEBYTECODE :=

$(READY): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(PIP) "torch==2.13.0"
	$(PIP) --constraint constraints.txt --editable ".[train,dev]"
	@$(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true
	@touch $(READY)

check: $(READY)
	$(BIN)/ruff check --quiet .
	$(BIN)/ruff format --quiet --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test: $(READY)
	@$(MAKE) --no-print-directory --jobs 2 check quick

# Three at once on two cores: much of what they do is wait for processes of their own.
quick: $(READY)
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder -m "not smollm2 and not slow"

test-all: check smollm2
	$(BIN)/python -m pytest

smollm2: $(READY)
	@$(BIN)/python -m trainers.smollm2

bench: $(READY)
	$(BIN)/python -m benchmarks.overhead
	$(BIN)/python -m benchmarks.cockpit

pictures: $(READY)
	$(BIN)/python -m benchmarks.pictures

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
