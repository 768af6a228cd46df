# The verbs of this repository. `make demo` and `make test` need nothing but Python 3.11+, Node 20+ and this checkout.
PYTHON ?= python3
VENV ?= .venv
BIN := $(abspath $(VENV))/bin

.PHONY: demo test lint unit install clean

# Install into a virtual environment and take a model from training to a live endpoint and back to zero.
demo: install
	$(BIN)/jupyter serving quickstart

# Everything that CI runs: set-up of the machine, lint, types, TypeScript, Python, notebooks, browser.
test:
	PYTHON="$(PYTHON)" VENV="$(VENV)" bash scripts/test.sh

install:
	PYTHON="$(PYTHON)" VENV="$(VENV)" EXTRA=lab bash scripts/install.sh

# For the work loop, in a prepared environment.
lint:
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

unit:
	$(BIN)/pytest tests -m "not browser and not docker"

clean:
	rm -rf $(VENV) build dist artifacts .pytest_cache .mypy_cache .ruff_cache
