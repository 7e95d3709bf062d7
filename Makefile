PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP_INSTALL := $(BIN)/pip install --quiet --constraint constraints.txt
NOTEBOOKS := solution_lstm.ipynb solution_pretrained.ipynb compare.ipynb

# glibc keeps large freed blocks for the next training step instead of returning them to the system.
export MALLOC_MMAP_THRESHOLD_ := 4294967296
export MALLOC_TRIM_THRESHOLD_ := 8589934592
# oneDNN and torch cache a compiled kernel for each of the last 1,024 batch shapes. Batches have many shapes, so this
# cache would take much of the memory.
export ONEDNN_PRIMITIVE_CACHE_CAPACITY := 16
export LRU_CACHE_CAPACITY := 16
# Where a training run with report_to="tensorboard" writes its log.
export TENSORBOARD_LOGGING_DIR ?= $(CURDIR)/logs

# Clusters set these to packages of another Python, which would replace those of the environment.
unexport PYTHONPATH PYTHONHOME

.PHONY: help run lab adapt demo browser test test-fast test-thorough lint table seeds bench vm vm-run update publish

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(VENV)/installed  ## Run the three notebooks: data, both models, comparison
	$(BIN)/python vm/run_notebooks.py $(NOTEBOOKS)

# Kernels named python3 of the user or of a cluster would come before that of the environment.
lab: $(VENV)/installed  ## Open the notebooks in JupyterLab, with the Python of the environment
	JUPYTER_PREFER_ENV_PATH=1 JUPYTER_PATH= $(BIN)/jupyter lab $(firstword $(NOTEBOOKS))

adapt: $(VENV)/installed  ## Adapt the LSTM to your own tweets: make adapt CORPUS=path [TEXT_COLUMN=name]
	@test -n "$$CORPUS" || { echo "Name the file of your tweets: make adapt CORPUS=path/to/tweets.js"; exit 1; }
	@$(BIN)/python -m src.adapt "$$CORPUS" $${TEXT_COLUMN:+--text-column "$$TEXT_COLUMN"}

demo: $(VENV)/installed  ## Serve a page to type in, at http://127.0.0.1:8000
	$(BIN)/python -m src.demo

browser: $(VENV)/installed  ## Fetch the library with which the page's models run in the browser
	$(BIN)/python -m src.demo.browser_library

test: $(VENV)/installed-dev  ## Run all tests
	$(BIN)/python -m pytest -n 2

test-fast: $(VENV)/installed-dev  ## Run the quick tests, in a minute or two
	$(BIN)/python -m pytest -n 2 -m "not slow"

test-thorough: $(VENV)/installed-dev  ## Run all tests, the property tests on many more random examples
	$(BIN)/python -m pytest -n 2 --hypothesis-profile=thorough

lint: $(VENV)/installed-dev  ## Check style and spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	git ls-files -z | xargs -0 $(BIN)/codespell
	$(BIN)/jupyter nbconvert --log-level ERROR --to script --stdout $(NOTEBOOKS) | $(BIN)/codespell -

table: $(VENV)/installed  ## Write the newest comparison in models/ into the tables of README.md and benchmarks/RESULTS.md
	$(BIN)/python -m src.report.readme

seeds: $(VENV)/installed-dev  ## Train the newest LSTM with two more seeds, and the plain recipe once
	$(BIN)/python -m benchmarks.quality.seeds

bench: $(VENV)/installed-dev  ## Measure speed on this machine, for the last tables of benchmarks/RESULTS.md
	$(BIN)/python -m benchmarks.speed

vm: $(VENV)/installed  ## Generate the notebooks for a GPU machine from those in the root
	$(BIN)/python vm/generate.py

vm-run: $(VENV)/installed-vm  ## Run the notebooks for a GPU machine
	$(BIN)/python vm/run_notebooks.py $(addprefix vm/,$(NOTEBOOKS))

update: $(VENV)/installed-dev  ## Renew constraints.txt after a change in a requirements file
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade --no-header --no-annotate \
		requirements-dev.txt vm/requirements.txt --output-file $(VENV)/constraints.txt
	{ grep '^#' constraints.txt; grep -vE '^(nvidia|cuda|triton)' $(VENV)/constraints.txt; } > $(VENV)/constraints.new
	mv $(VENV)/constraints.new constraints.txt

publish:  ## Put the address of your repository into the links: make publish REPOSITORY=owner/name
	@case "$$REPOSITORY" in \
		*[!A-Za-z0-9._/-]* | */*/* | */. | */.. | /* | */ | *.*/*) false;; \
		*/*) ;; \
		*) false;; \
	esac || { echo "Name your repository: make publish REPOSITORY=owner/name"; exit 1; }
	@grep -q OWNER/REPOSITORY README.md CITATION.cff $(NOTEBOOKS) || \
		{ echo "Nothing is changed, the links have an address already: replace it by hand in README.md," \
			"CITATION.cff and the notebooks"; exit 1; }
	@for file in README.md CITATION.cff $(NOTEBOOKS); do \
		sed "s#OWNER/REPOSITORY#$$REPOSITORY#g" "$$file" > "$$file.new" && cat "$$file.new" > "$$file" && rm "$$file.new"; \
	done

$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed and $(PYTHON) is not. Name another one: make run PYTHON=python3.13"; exit 1; }
	$(PYTHON) -m venv $(VENV)

# An environment that exists keeps its Python.
$(VENV)/installed: requirements.txt constraints.txt | $(BIN)/pip
	$(PIP_INSTALL) -r requirements.txt
	touch $@

$(VENV)/installed-vm: $(VENV)/installed vm/requirements.txt
	$(PIP_INSTALL) -r vm/requirements.txt
	touch $@

$(VENV)/installed-dev: $(VENV)/installed-vm requirements-dev.txt
	$(PIP_INSTALL) -r requirements-dev.txt
	touch $@
