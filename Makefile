# make demo   sets everything up, and trains CartPole on a broker, a learner and two actors
# make test   sets everything up, and passes the tests; WORKERS=0 in one process
# make clients  builds and tests the C++ and the JavaScript client; make toolchains installs
#               what that takes on Debian
# make check  lint and types
# make light  installs without extras, and starts what a broker's host needs
# make bench  measures headrace against what people use today; ONLY=ingest for one benchmark
# make chaos  breaks headrace on purpose for hours; ONLY=partitions, SEED=2, LENGTH=--short for less
# make vectors  writes test vectors for new kinds of messages

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
WORKERS ?= 2
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test clients toolchains light check bench chaos vectors clean

demo: $(VENV)/.run
	$(BIN)/headrace up examples/cartpole.toml --seed $(SEED) --overwrite

test: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/python -m pytest --ignore=tests/clients --numprocesses=$(WORKERS) \
		--cov --cov-report=term:skip-covered --cov-fail-under=90
	$(BIN)/coverage report --include='protocol/**,typings/headrace/protocol/**' --fail-under=100 --skip-covered

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
	rm -rf build/light && $(PYTHON) -m venv build/light
	build/light/bin/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt .
	build/light/bin/headrace broker --help > build/light/help.txt
	build/light/bin/headrace status --help >> build/light/help.txt
	build/light/bin/python -c "import importlib.util as u; \
		assert not [m for m in ('torch', 'ray', 'gymnasium', 'onnxruntime') if u.find_spec(m)]"
	rm -rf build

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright

bench: $(VENV)/.run
	$(BIN)/python -W ignore -m benchmarks $(ONLY)

chaos: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m chaos --seed $(SEED) $(LENGTH) $(ONLY)

vectors: $(VENV)/.dev
	PYTHONPATH=tests $(BIN)/python -m support.vectors

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
