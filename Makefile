# Needs Python 3.11 or newer and make, nothing else. `make` lists what there is.

PYTHONS ?= python3 python3.14 python3.13 python3.12 python3.11
VENV := .venv
BIN := $(VENV)/bin
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
# Excerpts in documents are not whole programs; formatting would turn them into something else.
RUFF_FORMAT := $(BIN)/ruff format --exclude '*.md'
PYTEST_ARGS ?=
# One of them runs all tests of whole systems, the others the rest.
TEST_JOBS ?= 3

.DEFAULT_GOAL := help
.PHONY: help install install-dev up down reset test deployment mutations prove check bench format lock venv

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: venv ## Install what running needs, into .venv
	@cmp -s requirements.lock $(VENV)/requirements.lock || { echo "Installing into $(VENV) …"; \
		$(BIN)/python -m pip install --quiet --require-hashes -r requirements.lock && \
		cp requirements.lock $(VENV)/requirements.lock; }

install-dev: install ## Install what testing needs, too
	@cmp -s requirements-dev.lock $(VENV)/requirements-dev.lock || { echo "Installing the test tools …"; \
		$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock && \
		cp requirements-dev.lock $(VENV)/requirements-dev.lock; }

up: install ## Start everything, with fault injection; Ctrl-C stops it
	@grep -qs '^AMENDS_FAULT_INJECTION=' .env || export AMENDS_FAULT_INJECTION="$${AMENDS_FAULT_INJECTION:-true}"; \
	exec ./amends up

down: ## Stop what another terminal started
	@./amends down

reset: ## Stop everything and delete all data, after asking
	@./amends reset

# Without it a traceback that is formatted while pytest reads source code, by a finaliser for instance, ends the test run:
# both parse Python, and CPython 3.11 then fails with "AST constructor recursion depth mismatch".
test check deployment mutations: export PYTHONNODEBUGRANGES = 1

test: install-dev ## Run the tests, but for the next two; they start what they need, on free ports
	@$(BIN)/python -m pytest -n $(TEST_JOBS) --dist loadgroup $(PYTEST_ARGS)

deployment: install-dev ## Test what outgrew one machine: the image, PostgreSQL, RabbitMQ, two processes of each part
	@$(BIN)/python -m pytest tests/deployment $(PYTEST_ARGS)

mutations: install-dev ## Put bugs into a copy of the code, one at a time: the proof must find each
	@$(BIN)/python -m pytest -q tests/mutations $(PYTEST_ARGS)

prove: install ## Try every failure at every step of the sagas of the running system
	@./amends prove

check: install-dev ## Check format, lint, types, imports and run the unit tests
	@$(RUFF_FORMAT) --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/lint-imports
	@$(BIN)/python -m pytest -q tests/unit

bench: install-dev ## Measure what the documents claim about speed, in some minutes
	@$(BIN)/python -m benchmarks.list_orders

format: install-dev ## Format the code and fix what can be fixed
	@$(RUFF_FORMAT) .
	@$(BIN)/ruff check --fix .

LOCK := $(BIN)/uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate
lock: venv ## Write both lock files anew from pyproject.toml
	@$(BIN)/python -m pip install --quiet uv
	@$(LOCK) -o requirements.lock
	@$(LOCK) --extra dev -c requirements.lock -o requirements-dev.lock

# A virtual environment whose Python is gone, because that was upgraded, is made anew.
venv:
	@$(BIN)/python $(NEW_ENOUGH) 2>/dev/null || { \
		for python in $(PYTHONS); do \
			if $$python $(NEW_ENOUGH) 2>/dev/null; then exec $$python -m venv --clear $(VENV); fi; \
		done; \
		echo "Amends needs Python 3.11 or newer, and found none of: $(PYTHONS). Try: make install PYTHONS=/path/to/python" >&2; \
		exit 1; }
