# make run: everything from nothing to the comparison. make test: the tests. The rest is for development.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := solution_lstm.ipynb solution_pretrained.ipynb compare.ipynb

# The C library keeps large blocks for the next step of a training instead of returning them after each.
export MALLOC_MMAP_THRESHOLD_ := 4294967296
export MALLOC_TRIM_THRESHOLD_ := 8589934592
# Batches have many shapes, and oneDNN and torch would keep programs for the last 1,024 of them: much of a training's memory.
export ONEDNN_PRIMITIVE_CACHE_CAPACITY := 16
export LRU_CACHE_CAPACITY := 16
# Where a training with report_to="tensorboard" writes to.
export TENSORBOARD_LOGGING_DIR ?= $(CURDIR)/logs

.PHONY: run test test-thorough vm vm-run lint table seeds bench demo

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another one: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

# What only a larger machine needs, and the tests of it.
$(VENV)/installed-vm: $(VENV)/installed vm/requirements.txt
	$(BIN)/pip install --quiet -r vm/requirements.txt
	touch $@

run: $(VENV)/installed
	$(BIN)/python vm/run_notebooks.py $(NOTEBOOKS)

test: $(VENV)/installed-vm
	$(BIN)/python -m pytest

# Every property on many more examples, among them nonsense for the reader of tweets and for the page.
test-thorough: $(VENV)/installed-vm
	$(BIN)/python -m pytest --hypothesis-profile=thorough

# The notebooks for a GPU machine, generated from those in the root; vm-run runs them there.
vm: $(VENV)/installed
	$(BIN)/python vm/generate.py

vm-run: $(VENV)/installed-vm
	$(BIN)/python vm/run_notebooks.py $(addprefix vm/,$(NOTEBOOKS))

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# A page to type in, on this machine: http://127.0.0.1:8000
demo: $(VENV)/installed
	$(BIN)/python -m src.demo

# The result table of the README, from the newest comparison in models/.
table: $(VENV)/installed
	$(BIN)/python -m src.report.readme

# The newest LSTM with two other seeds and the plain recipe, for the tables of compare.ipynb: three more trainings.
seeds: $(VENV)/installed
	$(BIN)/python -m benchmarks.quality.seeds

# How fast everything is on this machine: the tables at the end of benchmarks/RESULTS.md.
bench: $(VENV)/installed
	$(BIN)/python -m benchmarks.speed
