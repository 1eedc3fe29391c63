# Each target sets up what it needs. `make` alone lists the targets.

PYTHON ?= python3

# What a caller says is text: make does not expand it, and the shell finds it in its environment, never in a command.
override PYTHON := $(value PYTHON)
override URL := $(value URL)
override BRANCH := $(value BRANCH)
override NOTEBOOK := $(value NOTEBOOK)
override NAME := $(value NAME)
export PYTHON URL BRANCH NOTEBOOK NAME

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN := $(BIN)/python -m

.DEFAULT_GOAL := help
.PHONY: help setup book test execute results refresh lab export student repository lint clean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY) ## make .venv from requirements.txt

$(READY): requirements.txt pyproject.toml
	@command -v "$$PYTHON" >/dev/null || { echo "There is no $$PYTHON: install Python 3.11 or later, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
	@"$$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "The book needs Python 3.11 or later, and $$PYTHON is older: name another one, as in make PYTHON=python3.12" >&2; exit 1; }
	@"$$PYTHON" -c 'import venv, ensurepip' 2>/dev/null || { echo "$$PYTHON has no venv module: install it (on Debian and Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	"$$PYTHON" -m venv $(VENV)
	$(RUN) pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

book: $(READY) ## build the site from the notebooks' stored outputs
	$(BIN)/jupyter-book build . -n -W --keep-going
	@echo
	@echo "The book is built. Open $$PWD/_build/html/index.html in a browser."

test: $(READY) ## run all tests
	OMP_NUM_THREADS=1 $(RUN) pytest -n 2 --dist loadfile --no-loadscope-reorder \
		--nbval-lax --nbval-current-env --nbval-cell-timeout 120 \
		tests notebooks/[a-z]*.ipynb

execute: $(READY) ## run the notebooks in full and store their outputs (one: NOTEBOOK=notebooks/01_….ipynb)
	$(RUN) tools.execute $${NOTEBOOK:+"$$NOTEBOOK"}

results: $(READY) ## run the experiments, which are too long for a notebook (one: NAME=amortization_gaps)
	$(RUN) tools.experiments $${NAME:+"$$NAME"}

refresh: $(READY) ## stamp what is stale, where fast runs show that the code behaves as before
	$(RUN) tools.refresh

lab: $(READY) ## open the notebooks in JupyterLab
	$(RUN) jupyterlab --notebook-dir=notebooks

export: $(READY) ## write the modules that the chapters export, and the ladder
	$(RUN) tools.export

student: $(READY) ## write the notebooks without their solutions to _build/student
	$(BIN)/jupyter nbconvert --to notebook --output-dir _build/student \
		--TagRemovePreprocessor.enabled=True --TagRemovePreprocessor.remove_cell_tags=solution notebooks/[0-9]*.ipynb

repository: $(READY) ## write the repository's address everywhere: URL=https://github.com/owner/name [BRANCH=main]
	@$(RUN) tools.repository --branch="$${BRANCH:-main}" -- "$$URL"

lint: $(READY) ## check the style of the code
	$(RUN) ruff check .
	$(RUN) ruff format --check .

clean: ## remove what builds and tests leave behind (.venv stays, and experiments that were stopped)
	[ ! -d _build ] || find _build -mindepth 1 -maxdepth 1 ! -name experiments -exec rm -rf {} +
	rm -rf .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -name __pycache__ -type d -exec rm -rf {} +
