# Every target does its own set-up: it needs Python 3.10 or newer with pip, and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Most of a test is waiting for processes, so more workers than processors.
SUITE_FLAGS ?= -n 4 --dist loadgroup -q
DEMO ?= demo
DRILL ?=

.PHONY: test check demo bench drill clients docs clean

test: .make/dev  ## the whole suite
	$(BIN)/python -m pytest $(SUITE_FLAGS)

check: .make/dev .make/check  ## lint, types; warnings are errors
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

demo: .make/demo  ## a real campaign that is killed once midway and carried on
	$(BIN)/python examples/digits/killed_midway.py $(DEMO)

bench: .make/dev  ## measures every figure of docs/benchmarks.md
	$(BIN)/python benchmarks/all.py

drill: .make/dev  ## breaks everything at every point, for hours; make drill DRILL="kills --scale 0.1" takes a part
	$(BIN)/python tests/drill/drill.py $(DRILL)

clients: .make/dev .make/clients/installed  ## the skills in the real Claude Code and Codex; needs Node.js with npm
	$(BIN)/python -m pytest tests/clients -q

docs: .make/dev  ## writes the generated pages
	$(BIN)/python docs/make_configuration.py

.make/venv:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed; make PYTHON=python3.12 names one"; exit 1; }
	@# Debian's python3 may come without venv; pip alone can make one too.
	$(PYTHON) -m venv $(VENV) 2>/dev/null || { rm -rf $(VENV); \
	  $(PYTHON) -m pip install --quiet --disable-pip-version-check --target .make/virtualenv virtualenv && \
	  PYTHONPATH=.make/virtualenv $(PYTHON) -m virtualenv --quiet $(VENV); }
	@mkdir -p .make && touch $@

.make/demo: .make/venv pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

.make/dev: .make/demo requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

.make/clients/installed: requirements-clients.txt
	@mkdir -p .make/clients
	@if command -v npm >/dev/null; then \
	  npm install --prefix .make/clients --no-save --no-audit --no-fund --loglevel=error $$(cat requirements-clients.txt) && touch $@; \
	else echo "npm, which comes with Node.js 20 or newer, is not there: the tests will say that they are skipped"; fi

.make/check: .make/venv requirements-check.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-check.txt
	@touch $@

clean:  ## removes what the targets made
	rm -rf $(VENV) .make build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
