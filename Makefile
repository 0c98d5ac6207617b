# `make` lists what there is. Everything is kept in .venv; nothing else on the machine is changed.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo services services-stop cluster cluster-stop \
	chaos test test-long test-fast lint format reference bench clean

BIN := .venv/bin
READY := .venv/.ready

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## Make .venv, or bring it up to date; PYTHON=… chooses the interpreter
	@:

$(READY): pyproject.toml scripts/setup
	@PYTHON='$(PYTHON)' scripts/setup
	@touch $@

demo: setup  ## Run a server with an application to look at
	@exec $(BIN)/nexxus serve --demo $(ARGS)

services: setup  ## Start Elasticsearch, RabbitMQ and Redis on this machine, installing them if need be
	@PYTHONPATH=scripts $(BIN)/python -m services start </dev/null

services-stop: setup  ## End exactly what `make services` has started
	@PYTHONPATH=scripts $(BIN)/python -m services stop

cluster: setup  ## Start the services and two nodes of each role; prints what a shell needs
	@PYTHONPATH=scripts $(BIN)/python scripts/cluster.py start </dev/null

cluster-stop: setup  ## End the nodes of `make cluster`; the services go on
	@PYTHONPATH=scripts $(BIN)/python scripts/cluster.py stop

chaos: setup  ## Kill and cut off everything under load; ARGS='--faults 200 --seed 7'
	@PYTHONPATH=scripts:tests/support $(BIN)/python -m chaos $(ARGS) </dev/null

test: setup  ## Run the tests with a coverage report; ARGS='-k filter' chooses some
	@scripts/test -m 'not long' $(ARGS)

test-long: setup  ## Run all tests, those that take minutes too, and ten times as many examples
	@scripts/test -m 'long or not long' --hypothesis-profile thorough $(ARGS)

test-fast: setup  ## Run the unit tests only, without coverage
	@$(BIN)/python -m pytest tests/unit -m 'not long' $(ARGS) </dev/null

lint: setup  ## Check format, style and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## Format the code, and mend what mends itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

reference: setup  ## Write nexxus.toml.example, docs/configuration.md and docs/conformance-kits.md
	$(BIN)/python -m nexxus.config.reference --example > nexxus.toml.example
	$(BIN)/python -m nexxus.config.reference --markdown > docs/configuration.md
	$(BIN)/python -m nexxus.scaffold.reference > docs/conformance-kits.md

bench: setup  ## Run the benchmarks; each prints a ratio to a bare reference
	@set -e; for file in benchmarks/*.py; do echo "== $$file"; $(BIN)/python "$$file" $(ARGS) </dev/null; done

clean:  ## Remove caches, reports and builds; keep .venv and nexxus-data
	rm -rf build dist *.egg-info .coverage .coverage.* htmlcov .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
