# Every target works on a fresh clone: the environment is built on first use and again when what it is built from changes.
PYTHON ?= python3
VENV ?= .venv
READY := $(VENV)/.ready

export PATH := $(abspath $(VENV))/bin:$(PATH)

.PHONY: help install demo fetch test check bench size clean

help:
	@echo "make demo     two sentences through the embedded model, and what else there is"
	@echo "make test     the whole test suite"
	@echo "make fetch    what tests read and run from elsewhere: data, small models, a browser, clients"
	@echo "make check    format, lint, types, and the rules of the tree"
	@echo "make bench    every benchmark, results as JSON under benchmarks/results"
	@echo "make size     lines per folder"
	@echo "make install  the environment alone, in $(VENV); PYTHON=python3.12 chooses another interpreter"
	@echo "make clean    remove the environment and everything generated"

install: $(READY)

# torch goes in first and alone, held to its tested version: resolved together with the rest it may come as its CUDA build.
$(READY): export PIP_CONSTRAINT := constraints.txt
$(READY): export PIP_DISABLE_PIP_VERSION_CHECK := 1
$(READY): pyproject.toml constraints.txt
	@echo "Installing into $(VENV) (a minute or two)"
	@$(PYTHON) -m venv $(VENV)
	@python -m pip install -qq torch
	@python -m pip install -qq --editable ".[test,check]"
	@touch $@

demo: $(READY)
	@python examples/demo.py

fetch: $(READY)
	@scripts/fetch

test: $(READY)
	@scripts/test

check: $(READY)
	@scripts/check

bench: $(READY)
	@scripts/bench

size: $(READY)
	@scripts/size

clean:
	@rm -rf $(VENV) .cache dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
