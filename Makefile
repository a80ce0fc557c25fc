# The commands of this checkout; `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
# One recipe at a time: all of them share one environment.
.NOTPARALLEL:

VENV ?= .venv
PYTHON ?=
WORK_DIR ?= work_dirs/demo
# Processes of pytest; each keeps to one thread.
JOBS ?= 2
TEST ?= tests
PYTEST_ARGS ?=

PY_BIN := $(VENV)/bin/python
# The editable package points at this folder: a checkout that moved is installed anew.
HERE := $(shell printf '%s' '$(CURDIR)' | cksum | cut -d' ' -f1)
INPUTS := $(addprefix requirements/,build.txt runtime.txt curation.txt geo.txt timm.txt) \
	$(wildcard requirements/constraints*.txt) setup.py pyproject.toml tools/misc/make_venv.sh
ENVIRONMENT := $(VENV)/.s5_mm-environment-$(HERE)
DETECTION := $(VENV)/.s5_mm-detection-$(HERE)
TESTS := $(VENV)/.s5_mm-tests-$(HERE)
DOCS := $(VENV)/.s5_mm-docs-$(HERE)
INSTALL := PYTHON='$(PYTHON)' tools/misc/make_venv.sh

.PHONY: help demo test environment lint types format docstrings links docs wheel-check \
	check-env ops detection lock clean distclean

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

$(ENVIRONMENT): $(INPUTS)
	@$(INSTALL) $(VENV) environment $@

$(DETECTION): $(INPUTS) requirements/det.txt
	@$(INSTALL) $(VENV) detection $@

$(TESTS): $(INPUTS) requirements/det.txt requirements/tests.txt
	@$(INSTALL) $(VENV) tests $@

$(DOCS): $(INPUTS) requirements/det.txt requirements/tests.txt requirements/docs.txt
	@$(INSTALL) $(VENV) docs $@

demo: $(ENVIRONMENT)  ## install what is missing, then train with and without unlabelled scenes (CPU, minutes)
	$(PY_BIN) tools/demo.py --work-dir $(WORK_DIR)

test: $(TESTS)  ## install what is missing, then run the tests (TEST=path PYTEST_ARGS=...)
	OMP_NUM_THREADS=1 $(PY_BIN) -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS) $(TEST)

environment: $(ENVIRONMENT)  ## install what training, rasters and the demo need (3 GB, minutes)

detection: $(DETECTION)  ## the same, and what oriented detection needs

lint: $(TESTS)  ## ruff: rules and format; who may import whom
	$(PY_BIN) -m ruff check .
	$(PY_BIN) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

types: $(TESTS)  ## mypy: the types of s5_mm
	$(PY_BIN) -m mypy

format: $(TESTS)  ## let ruff mend what it can
	$(PY_BIN) -m ruff check --fix .
	$(PY_BIN) -m ruff format .

docstrings: $(TESTS)  ## at least 95 % of the code has docstrings
	$(PY_BIN) -m interrogate s5_mm tools setup.py

links: $(ENVIRONMENT)  ## files and headings that the pages link to are there
	$(PY_BIN) tools/misc/check_links.py

docs: $(DOCS)  ## the documentation as a site, build/docs/index.html
	$(PY_BIN) -m sphinx -W --keep-going -q docs build/docs

wheel-check: $(TESTS)  ## build the wheel; it holds every package, config and tool
	$(PY_BIN) tools/misc/check_wheel.py

check-env: $(ENVIRONMENT)  ## print what is there and the line that mends what is not
	$(PY_BIN) tools/misc/check_env.py

ops: $(DETECTION)  ## compiled operators of mmcv, optional: built once, then from the cache
	$(PY_BIN) tools/misc/build_ops.py

lock:  ## resolve requirements/lock.in anew for Python 3.10-3.13 (needs uv)
	tools/misc/lock.sh

clean:  ## remove what was built, keep the environment
	rm -rf build dist docs/api ./*.egg-info s5_mm/.mim
	rm -rf .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean  ## remove the environment too
	rm -rf $(VENV) $(VENV).lock
