.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
READY_DEV := .venv/.ready-dev
READY_INFRA := infra/.venv/.ready
READY_NOTEBOOKS := .venv/.ready-notebooks
INFRA := infra/.venv/bin
PYTEST := $(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 8 -rs
# Only what is imported is compiled to bytecode, and that is kept for the next process.
unexport PYTHONDONTWRITEBYTECODE
export RECSYS_HOME ?= $(CURDIR)/.recsys

help: ## What can be done here
	@echo "recsys_platform: from reading events to measured recommendations"
	@echo
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1|\2/' | awk -F'|' '{printf "  make %-11s %s\n", $$1, $$2}'
	@echo
	@echo "  The world lives in RECSYS_HOME (now $(RECSYS_HOME)). Another Python: make setup PYTHON=python3.12"

setup: $(READY) ## Virtual environment with what the platform itself needs, dbt manifest

demo: $(READY) ## Simulate a world and run everything on it, landing files to published recommendations
	@$(BIN)/recsys demo

loop: $(READY) ## Readers respond to what the API shows, models learn from it, an A/B test and canaries decide; about ten minutes
	@RECSYS_HOME="$(RECSYS_HOME)/loop" $(BIN)/recsys demo --loop

serve: $(READY) ## The recommendation API on the world in RECSYS_HOME, http://localhost:8000
	@$(BIN)/recsys serve

dev: $(READY) ## Dagster's UI on the world in RECSYS_HOME, http://localhost:3000
	@$(BIN)/recsys dev

notebooks: $(READY_NOTEBOOKS) ## Four notebooks for data scientists in JupyterLab, on the world in RECSYS_HOME
	@$(BIN)/recsys notebooks
	@$(BIN)/jupyter lab "$(RECSYS_HOME)/notebooks"

docs: $(READY) ## Build the dbt docs of the marts and serve them, http://localhost:8080
	@test -f "$(RECSYS_HOME)/warehouse.duckdb" || { echo "error: there is no warehouse in $(RECSYS_HOME): make demo first"; exit 1; }
	@$(BIN)/python -m recsys_platform.transform.dbt_docs
	@cd dbt_project && ../$(BIN)/dbt docs serve --target-path target/docs --port 8080 --no-browser

status: $(READY) ## What is loaded, how fresh, which lists are live
	@$(BIN)/recsys status

test: $(READY_DEV) ## The tests to run all day: all but those marked slow
	@$(PYTEST) -m "not slow"

test-all: $(READY_DEV) ## All tests, nothing left out, and the share of code that they cover
	@$(PYTEST) --cov --cov-report=
	@echo "coverage of recsys_platform, without what runs in other processes: $$($(BIN)/coverage report --format=total) %"

test-aws: $(READY_DEV) ## Tests against servers that speak AWS and Snowflake
	@$(PYTEST) tests/aws tests/snowflake

bench: $(READY_DEV) ## Every benchmark at a size for two cores, an hour at most; writes the table of docs/benchmarks.md
	@$(BIN)/python benchmarks/all.py

clients: $(READY_DEV) ## Generate the clients of the API anew, after a change of its document
	@$(BIN)/python scripts/clients.py

infra: $(READY_INFRA) ## Templates of all sizes for AWS, linted, scanned and tested, without an account; needs Node
	@rm -rf infra/cdk.out
	@$(INFRA)/pytest -c infra/pytest.ini infra/tests
	@$(INFRA)/cfn-lint --config-file infra/.cfnlintrc infra/cdk.out/*/*.template.json && echo "cfn-lint: no finding in $$(ls infra/cdk.out/*/*.template.json | wc -l) templates"

image: ## Images for production: TAG, BASE by its digest, SOURCE; needs docker, podman or buildah
	@$(PYTHON) scripts/image_build.py --tag "$(or $(TAG),latest)" --base "$(BASE)" --source "$(SOURCE)"

image-check: $(READY_DEV) ## Build the images on a base of Debian's packages, start each process, ask it; root, buildah, debootstrap
	@$(BIN)/python scripts/image_check.py

lint: $(READY_DEV) ## Style of Python and SQL, spelling, secrets and types
	@$(BIN)/pre-commit run --all-files && $(BIN)/mypy

wheel: $(READY) ## A wheel of the platform, dbt project included, in dist/
	@$(BIN)/uv build --quiet --no-build-isolation --python $(BIN)/python && ls dist/*.whl

# dagster-dbt asks for sqlglot[rs], a compiled parser of 90 MB that only fakesnow has use for: its group is dev.
lock: $(READY) ## Compile the lock files anew from pyproject.toml
	@set -e; compile="$(BIN)/uv pip compile --quiet --upgrade --universal --generate-hashes --no-emit-index-url --python-version 3.11"; \
	lean() { echo sqlglot | $$compile --override - "$$@"; }; \
	lean --extra spark --extra serve --extra metrics --extra lineage --group dev pyproject.toml -o requirements-dev.lock; \
	lean -c requirements-dev.lock --extra serve --extra lineage pyproject.toml -o requirements.lock; \
	printf 'ipykernel\njupyterlab\njupytext\n' | $$compile -c requirements-dev.lock - -o requirements-notebooks.lock; \
	$$compile --group bench -c requirements-dev.lock -o requirements-bench.lock; \
	printf 'editables\nhatchling>=1.27\nuv\n' | $$compile -c requirements-dev.lock - -o requirements-uv.lock; \
	$$compile -c requirements-dev.lock infra/build.in -o infra/build.lock; \
	$$compile -c requirements-dev.lock infra/mlflow.in -o infra/mlflow.lock; \
	$$compile infra/requirements.in -o infra/requirements.lock

clean: ## Remove the environment and what dbt built; worlds stay
	rm -rf .venv infra/.venv infra/cdk.out dbt_project/target

$(READY): requirements-uv.lock requirements.lock pyproject.toml
	@$(PYTHON) scripts/prerequisites.py . 2
	@echo "Setting up .venv (once; about a minute)…"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-uv.lock
	@wheels=$$($(PYTHON) -c 'import sys; print("--only-binary :all:" * (sys.version_info >= (3, 12)))'); \
		$(BIN)/uv pip install --quiet --python .venv --no-deps $$wheels --require-hashes -r requirements.lock
	@$(BIN)/uv pip install --quiet --python .venv --no-deps --no-build-isolation -e .
	@cd dbt_project && ../$(BIN)/dbt --quiet parse
	@touch $@

$(READY_DEV): $(READY) requirements-dev.lock clients/typescript/package-lock.json
	@$(BIN)/python scripts/prerequisites.py . 2
	@echo "Adding to .venv what tests and linters need (once; about a minute)…"
	@$(BIN)/uv pip install --quiet --python .venv --no-deps --require-hashes --compile-bytecode -r requirements-dev.lock
	@PATH="$(CURDIR)/$(BIN):$$PATH" npm ci --silent --no-audit --no-fund --prefix clients/typescript \
		|| echo "note: without the npm registry tests of the TypeScript client are skipped: \`make clients\` tries again"
	@command -v node >/dev/null || echo "note: without Node \`make infra\` cannot make the templates for AWS: install it, on Debian and Ubuntu with \`sudo apt install nodejs\`"
	@command -v chromium chromium-browser google-chrome >/dev/null \
		|| echo "note: without Chromium the tests in a browser are skipped: install it, on Debian and Ubuntu with \`sudo apt install chromium\`"
	@touch $@

$(READY_NOTEBOOKS): $(READY) requirements-notebooks.lock
	@echo "Adding JupyterLab to .venv (once; about a minute)…"
	@$(BIN)/uv pip install --quiet --python .venv --no-deps --require-hashes -r requirements-notebooks.lock
	@touch $@

$(READY_INFRA): requirements-uv.lock infra/requirements.lock | $(READY)
	@command -v node >/dev/null || { echo "error: the CDK needs Node 20 or newer: install it, on Debian and Ubuntu with \`sudo apt install nodejs\`"; exit 1; }
	@echo "Setting up infra/.venv (once; 400 MB, half a minute)…"
	@$(PYTHON) -m venv --without-pip infra/.venv
	@$(BIN)/uv pip install --quiet --python infra/.venv --no-deps --require-hashes --compile-bytecode -r infra/requirements.lock
	@touch $@

.PHONY: help setup demo loop serve dev docs status test test-all test-aws bench clients infra image image-check lint wheel lock clean
	printf 'ipykernel\njupyterlab\njupytext\n' | $$compile -c requirements-dev.lock - -o requirements-notebooks.lock; \
