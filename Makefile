# Every target sets up what it needs; a fresh machine needs Python 3.11 and make.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
DEMO ?= live
WEBHOOKS ?=
EXAMPLES ?= 2000

.DEFAULT_GOAL := help
.PHONY: help setup demo up demo-reset test explore check format lock docs bench

help: ## this list
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.ready ## the virtual environment with the locked dependencies

$(VENV)/.ready: requirements/dev.txt requirements/demo.txt pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; install it, or set PYTHON=..." >&2; exit 1; }
	@echo "Setting up the virtual environment (about a minute, this once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt \
	  || { echo "error: dependencies could not be installed: is the package registry reachable?" >&2; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/demo.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## everything, on real data; DEMO=replay exits after the table
	@$(BIN)/regulars demo --mode $(DEMO) $(if $(WEBHOOKS),--webhooks)

up: setup ## the same servers and services with no data; WEBHOOKS=1 sends webhooks too
	@$(BIN)/regulars up $(if $(WEBHOOKS),--webhooks)

demo-reset: setup ## delete what demo and up have stored
	@$(BIN)/regulars reset

test: setup ## every test, on its own servers and ports
	@$(BIN)/pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

explore: setup ## each property with EXAMPLES random examples: what "make test" never tries
	@REGULARS_TEST_EXAMPLES=$(EXAMPLES) $(BIN)/pytest -n auto --maxprocesses 4 tests/properties

check: setup ## ruff, mypy, import-linter, generated files
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m schemas.generate --check
	@$(BIN)/python -m services.openapi --check
	@$(BIN)/python -m services.reference --check

format: setup ## put the code in its form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: setup ## write the generated files: JSON Schema, AsyncAPI, OpenAPI
	@$(BIN)/python -m schemas.generate
	@$(BIN)/python -m services.openapi
	@$(BIN)/python -m services.reference

bench: setup ## first figures, each beside its limit, into docs/benchmarks.md
	@$(BIN)/python -m tests.bench

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --all-extras pyproject.toml -o requirements/dev.txt
	uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --constraint requirements/dev.txt pyproject.toml -o requirements/runtime.txt
