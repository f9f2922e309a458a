# Set-up and the errands of attncli. `make demo` and `make test` need only make, Python 3.11 or newer and pip.
#
#   make demo PIP_ARGS='…'               passes options to pip; with none, pip's own configuration decides
#   make test PYTHON=python3.12          takes another Python
#   make test JOBS=4                     runs the tests in that many processes

PYTHON ?= python3
PIP_ARGS ?=
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
RACE = $(if $(wildcard $(PEERS)/bin/eole),$(PEERS)/bin/python,$(BIN)/python)
ATTNCLI := $(BIN)/attncli
AXE := .browser/axe.min.js
HAS_CHROMIUM := { command -v chromium || command -v chromium-browser || command -v google-chrome; } >/dev/null 2>&1
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -n )env DEBIAN_FRONTEND=noninteractive
APT := $(ROOT) apt-get update -q && $(ROOT) apt-get -o Acquire::Retries=3 install -y -q
INSTALL := $(BIN)/python -m pip install $(PIP_ARGS) -c constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test browser lint examples chaos matrix bench bench-quick peers clean

help: ## List what can be made.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed ## Train a translator of dates, score it and draw what it attends to.
	$(ATTNCLI) train specs/dates.yaml --resume
	$(ATTNCLI) evaluate runs/dates
	$(ATTNCLI) inspect runs/dates --text "de Sunday, November 22, 2026" --text "zh Nov 22, 2026" --out maps/dates --force
	@echo
	@echo "The attention page: $(CURDIR)/maps/dates/attention.html"

test: lint ## Lint, check the types and run every test.
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS)
	@test -s $(AXE) || echo "The page was not audited for accessibility: there is no axe-core; 'make browser' fetches it."
	@$(HAS_CHROMIUM) || echo "The page tests did not run: there is no Chromium; 'make browser' installs one."

# A browser, a font with Chinese characters for pictures, and axe-core (MPL-2.0), which audits the page: for tests alone.
# It takes apt-get as root (or sudo without a password) and npm; elsewhere install these by the system's own means.
browser: ## Install what the tests of the attention page need: Chromium, a CJK font, axe-core.
	@$(HAS_CHROMIUM) || { $(APT) chromium fonts-noto-cjk; }
	@fc-list :lang=zh 2>/dev/null | grep -q . || { $(APT) fonts-noto-cjk; }
	@test -s $(AXE) || { mkdir -p $(dir $(AXE)) && cd $(dir $(AXE)) && npm pack --silent axe-core@4.14.1 >/dev/null && \
	  tar -xzf axe-core-4.14.1.tgz --strip-components=1 package/axe.min.js package/LICENSE && rm axe-core-4.14.1.tgz; } || \
	  { echo "axe-core was not fetched: npm is needed for it" >&2; exit 1; }
	@echo "The tests of the page can run."

lint: $(VENV)/installed-test ## Lint and check the types.
	$(BIN)/ruff check .
	$(BIN)/mypy

examples: $(VENV)/installed-test ## Run the walk-throughs of examples/ in full, trainings included (takes long).
	ATTNCLI_FULL_RUNS=1 $(BIN)/python -m pytest tests/test_documents.py -k "examples" -s

chaos: $(VENV)/installed-test ## Kill trainings at random moments; the resumed ones must end bit for bit the same.
	$(BIN)/python benchmarks/chaos.py

matrix: $(VENV)/installed-test ## Try every pair of options of the language against every law, and write docs/matrix.md (hours).
	$(BIN)/python -m tests.matrix --out docs/matrix.md

bench: $(VENV)/installed-test ## Measure beside the peers that are installed, and write docs/benchmarks.md (15 minutes).
	$(RACE) -m benchmarks

bench-quick: $(VENV)/installed-test ## The same with fewer rounds (5 minutes); the page is printed, not written.
	$(RACE) -m benchmarks --quick --no-write

# JoeyNMT and Eole pin old versions of what they share, or packages that translating needs and training does not, and
# BertViz asks for a client of hubs that its page does without: they are installed without their dependencies, beside the
# few that they import.
peers: $(PEERS)/bin/python ## Install the peers of the benchmarks into an environment of their own.
	$(PEERS)/bin/python -m pip install $(PIP_ARGS) -c constraints.txt -e '.[test,peers]'
	$(PEERS)/bin/python -m pip install $(PIP_ARGS) --no-deps joeynmt==2.3.0 eole==0.6.4 bertviz==1.4.1

clean: ## Remove the virtual environment and the caches; runs and maps stay.
	rm -rf $(VENV) $(PEERS) build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say that the environment holds what these two files ask for.
$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e .
	touch $@

$(VENV)/installed-test: pyproject.toml constraints.txt | $(BIN)/python
	$(INSTALL) -e '.[test]'
	touch $@ $(VENV)/installed

$(PEERS)/bin/python: | $(BIN)/python
	$(BIN)/python -m venv $(PEERS)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is older than 3.11, or missing; name another with: make PYTHON=python3.12 …" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
