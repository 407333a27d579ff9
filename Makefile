# Everything runs in .venv, which the first target that needs it makes.
# Another Python: make test PYTHON=python3.13 VENV=.venv-3.13

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
WORKERS ?= 3

BIN := $(VENV)/bin
LOWEST := $(VENV)-lowest
INSTALLED := $(VENV)/.installed
CODE := openenv_async openenv_sync tests examples benchmarks

# What shares a container engine runs one after the other, everything else in WORKERS processes: most of it waits.
ENGINE := tests/docker tests/providers tests/guide tests/conformance/test_project_container.py \
	tests/compat/client/containers
APART := -n $(WORKERS) --dist loadfile $(ENGINE:%=--ignore=%)
PEER = $$($(BIN)/python -c 'from benchmarks.peer import peer_python; print(peer_python(lambda line: None))')

.DEFAULT_GOAL := help
.PHONY: run test test-hub test-docker test-interop test-browser screenshots test-all test-lowest soak fuzz check lint types docs fmt bench build clean help

run: $(INSTALLED)  ## Write an environment into ./run, serve it, play an episode, stop the server
	@$(BIN)/python examples/first_run.py

test: $(INSTALLED)  ## Run the tests but the slow ones; ARGS="-k name" chooses some
ifeq ($(strip $(ARGS)),)
	$(BIN)/python -m pytest -m 'not slow' $(APART)
	$(BIN)/python -m pytest -m 'not slow' $(ENGINE)
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-hub: $(INSTALLED)  ## The part of the tests that talks to a Hub, which is their own
	$(BIN)/python -m pytest tests/hub tests/cli/test_push_* tests/cli/test_fork.py $(ARGS)

# On Debian, as root, engine.sh installs what it takes and starts dockerd if none runs; it ends what it started.
test-docker: $(INSTALLED)  ## The tests that need a container engine, with one
	OPENENV_TEST_ALL=1 tests/docker/engine.sh $(BIN)/python -m pytest tests/docker $(wildcard tests/providers) $(ARGS)

# Makes a virtual environment with openenv 0.10.0, as `make bench` does, unless OPENENV_PEER names an interpreter that has it.
test-interop: $(INSTALLED)  ## This project and openenv 0.10.0, each with the other's servers and clients
	OPENENV_TEST_ALL=1 $(BIN)/python -m pytest tests/interop $(ARGS)

# On Debian, as root, browser.sh installs Chromium where there is none.
test-browser: $(INSTALLED)  ## The web page's tests, in a real Chromium
	tests/browser/browser.sh
	OPENENV_TEST_ALL=1 $(BIN)/python -m pytest tests/browser $(ARGS)

screenshots: $(INSTALLED)  ## Make the README's picture of the web page anew
	tests/browser/browser.sh
	OPENENV_SCREENSHOTS=1 OPENENV_TEST_ALL=1 $(BIN)/python -m pytest tests/browser/test_web_look.py -k picture_of_the_page

test-all: check  ## The checks, then every test, on every loop: none may be skipped
	tests/browser/browser.sh
	OPENENV_PEER="$${OPENENV_PEER:-$(PEER)}" OPENENV_TEST_ALL=1 $(BIN)/python -m pytest $(APART)
	OPENENV_TEST_ALL=1 tests/docker/engine.sh $(BIN)/python -m pytest $(ENGINE)

# Old releases use what is deprecated in other old releases, so those warnings are not errors here.
test-lowest: $(INSTALLED)  ## The tests on the lowest versions that are declared; ARGS="tests/client" chooses some
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(LOWEST)
	$(BIN)/uv pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev]'
	$(LOWEST)/bin/python tests/packaging/lowest.py
ifeq ($(strip $(ARGS)),)
	$(LOWEST)/bin/python -m pytest -W ignore::DeprecationWarning $(APART)
else
	$(LOWEST)/bin/python -m pytest -W ignore::DeprecationWarning -n $(WORKERS) $(ARGS)
endif

soak: $(INSTALLED)  ## Five minutes of full load on a bad network, and then nothing has grown; ARGS="--seconds 60"
	$(BIN)/python tests/faults/soak.py $(ARGS)

fuzz: $(INSTALLED)  ## Coverage-guided fuzzing of the decoders for 30 s; ARGS="--seconds 600"
	@$(BIN)/python -c "import atheris" 2>/dev/null || $(BIN)/python -m pip install --quiet --editable ".[fuzz]"
	$(BIN)/python tests/fuzz/fuzz_decoders.py $(ARGS)

check: lint types docs  ## Lint, format, types and the pages

lint: $(INSTALLED)
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .

types: $(INSTALLED)
	$(BIN)/python -m mypy $(CODE)

docs: $(INSTALLED)  ## Build the pages into ./site; a broken link or an unknown name is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

fmt: $(INSTALLED)  ## Format the code and repair what ruff can
	$(BIN)/python -m ruff check --fix .
	$(BIN)/python -m ruff format .

bench: $(INSTALLED)  ## Measure against openenv 0.10.0, side by side
	$(BIN)/python -m benchmarks $(ARGS)

build: $(INSTALLED)  ## Build the wheel and the source archive into ./dist
	$(BIN)/python -m build

clean:  ## Remove what was built, generated and cached; .venv stays
	rm -rf build dist run site .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
	find $(CODE) scaffold -name __pycache__ -type d -prune -exec rm -rf {} +

help:  ## Show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

# The stamp is written last, so that an interrupted installation is done again.
$(INSTALLED): pyproject.toml README.md
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
		"$(PYTHON) is Python %d.%d and 3.11 is needed; try make PYTHON=python3.11" % sys.version_info[:2])'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV); this happens once and takes a minute or two."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@
