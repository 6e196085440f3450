.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
export RECSYS_HOME ?= $(CURDIR)/.recsys

help: ## What can be done here
	@echo "recsys_platform: from reading events to measured recommendations"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-8s %s\n", $$1, $$2}'
	@echo
	@echo "  The world lives in RECSYS_HOME (now $(RECSYS_HOME)). Another Python: make setup PYTHON=python3.12"

setup: $(READY) ## Virtual environment, locked dependencies, dbt manifest

demo: $(READY) ## Simulate a world and run everything on it, landing files to published recommendations
	@$(BIN)/recsys demo

dev: $(READY) ## Dagster's UI on the world in RECSYS_HOME, http://localhost:3000
	@$(BIN)/recsys dev

docs: $(READY) ## Build the dbt docs of the marts and serve them, http://localhost:8080
	@test -f "$(RECSYS_HOME)/warehouse.duckdb" || { echo "error: there is no warehouse in $(RECSYS_HOME): make demo first"; exit 1; }
	@$(BIN)/python -m recsys_platform.warehouse.dbt_docs
	@cd dbt_project && ../$(BIN)/dbt docs serve --target-path target/docs --port 8080 --no-browser

status: $(READY) ## What is loaded, how fresh, which lists are live
	@$(BIN)/recsys status

test: $(READY) ## All tests
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 8

test-aws: $(READY) ## Tests against servers that speak AWS and Snowflake
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 8 tests/aws tests/snowflake

lint: $(READY) ## Style, formatting and types
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

lock: $(READY) ## Compile the lock files anew from pyproject.toml
	@set -e; compile="$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.11"; \
	$$compile --group dev pyproject.toml -o requirements-dev.lock; \
	$$compile -c requirements-dev.lock pyproject.toml -o requirements.lock; \
	$$compile --group bench -c requirements-dev.lock -o requirements-bench.lock; \
	echo uv | $$compile - -o requirements-uv.lock

clean: ## Remove the environment and what dbt built; worlds stay
	rm -rf .venv dbt_project/target

$(READY): requirements-uv.lock requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || \
		{ echo "error: $$($(PYTHON) --version) does not do: Python 3.11 to 3.13 is needed; name one with PYTHON=…"; exit 1; }
	@echo "Setting up .venv (once; about a minute)…"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@$(BIN)/uv pip install --quiet --python .venv --require-hashes --compile-bytecode -r requirements-dev.lock
	@$(BIN)/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
	@cd dbt_project && ../$(BIN)/dbt --quiet parse
	@touch $@

.PHONY: help setup demo dev docs status test test-aws lint lock clean
