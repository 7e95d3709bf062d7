# make run: everything from nothing to the comparison. make test: the tests. The rest is for development.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := solution_lstm solution_pretrained compare

.PHONY: run test vm lint table

$(VENV)/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed, $(PYTHON) is another one: make run PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -r requirements.txt
	touch $@

# A notebook takes its place only when every cell has run; papermill names each cell as it runs.
run: $(VENV)/installed
	@for notebook in $(NOTEBOOKS); do \
		echo "== $$notebook.ipynb"; \
		$(BIN)/papermill --log-level WARNING --progress-bar --kernel python3 $$notebook.ipynb .$$notebook.ipynb.partial \
			&& mv .$$notebook.ipynb.partial $$notebook.ipynb || exit 1; \
	done

test: $(VENV)/installed
	$(BIN)/python -m pytest

# The notebooks for a GPU machine, generated from those in the root.
vm: $(VENV)/installed
	$(BIN)/python vm/generate.py

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

# The result table of the README, from the newest comparison in models/.
table: $(VENV)/installed
	$(BIN)/python -m src.report
