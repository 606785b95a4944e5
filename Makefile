# make demo   sets everything up, and trains CartPole on a broker, a learner and two actors
# make test   sets everything up, and passes the tests
# make check  lint and types
# make vectors  writes the test vectors of the wire anew

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SEED ?= 1
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test check vectors clean

demo: $(VENV)/.run
	$(BIN)/headrace up deploy/examples/cartpole.toml --seed $(SEED) --overwrite

test: $(VENV)/.dev
	$(BIN)/coverage erase
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered --cov-fail-under=90
	$(BIN)/coverage report --include='protocol/*,typings/headrace/protocol/*' --fail-under=100 --skip-covered

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright

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
