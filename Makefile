# `make` says what there is.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
LEAST ?= 97
WORKERS ?= 2
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
PYTEST := $(BIN)/python -m pytest --ignore=tests/clients --numprocesses=$(WORKERS)
PROTOCOL := protocol/*,*/protocol/*

.DEFAULT_GOAL := help
.PHONY: help demo test test-long test-nightly test-all coverage clients toolchains light check docs chaos compat zoo nightly \
	bench vectors pictures clean

help:
	@echo "make demo      sets everything up, and trains CartPole on a broker, a learner"
	@echo "               and two actors"
	@echo "make test      sets everything up, and passes the tests; WORKERS=0 in one process"
	@echo "make test-long the tests that train or wait for processes; test-all runs all"
	@echo "make check     lint, types and spelling"
	@echo "make clients   builds and tests the C++ and the JavaScript client;"
	@echo "               make toolchains installs what that takes on Debian"
	@echo "make docs      builds the documentation into build/site, with strict links"
	@echo "make light     installs without extras, and starts what a broker's host needs"
	@echo "make chaos     breaks headrace on purpose for hours; LENGTH=--short for minutes,"
	@echo "               ONLY=partitions for one scenario, SEED=2 for other faults"
	@echo "make compat    runs the learner's tests with other Ray releases"
	@echo "make nightly   all tests, chaos and compat: too long for each change"
	@echo "make bench     measures headrace against its alternatives; ONLY=ingest for one"
	@echo "make vectors   writes test vectors for new kinds of messages"
	@echo "make pictures  draws the pictures of the documentation"
	@echo "make clean     removes what the others made"

demo: $(VENV)/.run
	$(BIN)/headrace up examples/cartpole.toml --seed $(SEED) --overwrite

test: $(VENV)/.dev
	$(BIN)/coverage erase
	$(PYTEST) -m "not slow" --cov --cov-report=
	$(BIN)/coverage report --include='$(PROTOCOL)' --fail-under=100 --skip-covered

test-long: $(VENV)/.dev
	$(PYTEST) -m "slow and not nightly" --cov --cov-append --cov-report= --durations=20

test-nightly: $(VENV)/.dev
	$(PYTEST) -m nightly --cov --cov-append --cov-report= --durations=20

# After the tests; LEAST is the percentage that has to be covered.
coverage: $(VENV)/.dev
	$(BIN)/coverage report --fail-under=$(LEAST) --skip-covered

test-all: test test-long test-nightly coverage

# A client whose toolchain is not there is skipped, unless CI is "true".
clients: $(VENV)/.dev
	$(BIN)/python -m pytest tests/clients --numprocesses=$(WORKERS)

toolchains:
	apt-get update --quiet
	apt-get install --yes --quiet cmake g++ liblz4-dev libmsgpack-cxx-dev \
		libzmq3-dev pkg-config
	command -v npm > /dev/null || apt-get install --yes --quiet nodejs npm

# The broker on a host of its own: no torch, no Ray, no Gymnasium.
light:
	rm -rf build/light build/lib build/bdist.*
	$(PYTHON) -m venv build/light
	build/light/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt .
	build/light/bin/headrace broker --help > build/light/help.txt
	build/light/bin/headrace status --help >> build/light/help.txt
	build/light/bin/python -c "import importlib.util as u; \
		assert not [m for m in ('torch', 'ray', 'gymnasium', 'onnxruntime') if u.find_spec(m)]"
	rm -rf build/light build/lib build/bdist.*

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/codespell
	$(BIN)/mypy
	$(BIN)/pyright

docs: $(VENV)/.dev
	$(BIN)/python -m docs.site
	$(BIN)/zensical build --clean --strict

# Simulators of others, each trained for ten iterations from a run file.
zoo: $(VENV)/.dev
	$(INSTALL) '.[zoo]'
	$(BIN)/python -m pytest -q tests/zoo

chaos: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m chaos --seed $(SEED) $(LENGTH) $(ONLY)

compat: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m compat $(ONLY)

nightly: test-all chaos compat

bench: $(VENV)/.run
	$(BIN)/python -W ignore -m benchmarks $(ONLY)

vectors: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m support.vectors

pictures: $(VENV)/.dev
	$(BIN)/python -m docs.pictures

clean:
	rm -rf $(VENV) build dist runs

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[actor,learner]'
	touch $@

$(VENV)/.dev: $(VENV)/.run
	$(INSTALL) --editable '.[actor,learner,dev]'
	touch $@
