# Each target is a command of `python -m tools`, which works without make too. `make` alone lists them.

PYTHON ?= python3

# What a caller says is text: make does not expand it, and the shell finds it in its environment, never in a command.
# It is said behind make. A variable of the same name that a system or a shell has for something else says nothing.
said = $(if $(filter command,$(firstword $(origin $1))),$(value $1))
override PYTHON := $(value PYTHON)
SAID := URL BRANCH NOTEBOOK NAME AUTHORS A DIR ROSTER HAND WORKERS DEST FILE Q
$(foreach name,$(SAID),$(eval override $(name) := $$(call said,$(name))))
export PYTHON $(SAID)

TOOLS := "$$PYTHON" -m tools

.DEFAULT_GOAL := help
.PHONY: help setup book pdf epub zip test execute results bench refresh lab data export student course quiz slides calendar items grade gradescope project-check course-public test-course repository owner lint lock clean doctor python
.NOTPARALLEL:

help setup book pdf epub zip test refresh lab data export student course quiz slides calendar test-course lint lock clean doctor: python
	@$(TOOLS) $@

execute: python
	@$(TOOLS) execute $${NOTEBOOK:+"$$NOTEBOOK"}

results: python
	@$(TOOLS) results $${NAME:+"$$NAME"}

bench: python
	@$(TOOLS) bench $${NAME:+"$$NAME"}

grade: python
	@$(TOOLS) grade $${ROSTER:+--roster="$$ROSTER"} $${HAND:+--hand="$$HAND"} $${WORKERS:+--workers="$$WORKERS"} -- "$$A" "$$DIR"

gradescope: python
	@$(TOOLS) gradescope -- "$$A"

items: python
	@$(TOOLS) items $${Q:+--quiz="$$Q"} -- "$$FILE"

project-check: python
	@$(TOOLS) project-check -- "$$DIR"

course-public: python
	@$(TOOLS) course-public $${A:+--assignments="$$A"} -- "$$DEST"

repository: python
	@$(TOOLS) repository --branch="$${BRANCH:-main}" -- "$$URL"

owner: python
	@$(TOOLS) owner -- "$$AUTHORS"

python:
	@command -v "$$PYTHON" >/dev/null || { echo "There is no $$PYTHON: install Python 3.11 or later, or name it: make PYTHON=/path/to/python" >&2; exit 1; }
