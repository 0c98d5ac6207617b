# `make` lists the targets. Everything is installed in .venv; nothing else on the machine is changed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo services services-stop cluster cluster-stop \
	chaos test coverage test-long test-fast lint format reference bench clean

BIN := .venv/bin
READY := .venv/.ready

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Create or update .venv; PYTHON=… selects the interpreter
	@:

$(READY): pyproject.toml scripts/setup
	@PYTHON='$(PYTHON)' scripts/setup
	@touch $@

demo: setup  ## Run a server with a demo application
	@exec $(BIN)/nexxus serve --demo $(ARGS)

services: setup  ## Start Elasticsearch, RabbitMQ and Redis on this machine; installs them if necessary
	@PYTHONPATH=scripts $(BIN)/python -m services start </dev/null

services-stop: setup  ## Stop the servers that `make services` started
	@PYTHONPATH=scripts $(BIN)/python -m services stop

cluster: setup  ## Start the services and two nodes of each role; prints environment variables
	@PYTHONPATH=scripts $(BIN)/python scripts/cluster.py start </dev/null

cluster-stop: setup  ## Stop the nodes of `make cluster`; the services keep running
	@PYTHONPATH=scripts $(BIN)/python scripts/cluster.py stop

chaos: setup  ## Kill and disconnect a cluster's processes under load; ARGS='--faults 200 --seed 7'
	@PYTHONPATH=scripts:tests/support $(BIN)/python -m chaos $(ARGS) </dev/null

test: setup  ## Run the tests; ARGS='-k filter' selects some
	@scripts/test -m 'not long' $(ARGS)

coverage: setup  ## Run the tests and report which lines they reach
	@COVERAGE=1 scripts/test -m 'not long' $(ARGS)

test-long: setup  ## Run all tests, including those that take minutes, with ten times as many examples
	@scripts/test -m 'long or not long' --hypothesis-profile thorough $(ARGS)

test-fast: setup  ## Run only the unit tests
	@$(BIN)/python -m pytest tests/unit -m 'not long' $(ARGS) </dev/null

lint: setup  ## Check formatting, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## Format the code and apply automatic fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: setup  ## Generate nexxus.toml.example, docs/configuration.md and docs/conformance-kits.md
	$(BIN)/python -m nexxus.config.reference --example > nexxus.toml.example
	$(BIN)/python -m nexxus.config.reference --markdown > docs/configuration.md
	$(BIN)/python -m nexxus.scaffold.reference > docs/conformance-kits.md

bench: setup  ## Run the benchmarks; each prints a ratio to a reference
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS) </dev/null; done

clean:  ## Remove caches, reports and builds, but not .venv and nexxus-data
	rm -rf build dist *.egg-info .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
