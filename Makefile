# make demo: the whole recipe on this machine.  make test: every test.  Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_NUM_THREADS ?= $(shell $(PYTHON) -c "import os; print(min(8, len(os.sched_getaffinity(0))))")
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE ?= 1

# make test-runs: whole small runs, stopped and started again (minutes).
.PHONY: demo test test-runs lint bench setup clean
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'acemath needs Python 3.11 or newer, this is ' + sys.version.split()[0])"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt torch
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: setup
	$(BIN)/acemath run

test: setup lint
	$(BIN)/pytest

test-runs: setup
	ACEMATH_WHOLE_RUNS=1 $(BIN)/pytest tests/pipeline/test_run.py

lint: setup
	$(BIN)/ruff check src tests benchmarks
	$(BIN)/mypy

bench: setup
	@echo "make bench-grading    accuracy, speed and robustness of the grader"

bench-grading: setup
	$(BIN)/python benchmarks/grading.py

clean:
	rm -rf $(VENV) runs
