# The tasks of this project, for people and for CI alike. Each sets up what it needs.

export PATH := $(CURDIR)/.venv/bin:$(PATH)
PYTHON ?= python3

.PHONY: repro test lint ui lock setup help

help:            ## say what there is
	@sed -n 's/^\([a-z]*\):.*## /  make \1	/p' Makefile

repro: setup     ## run the pipeline, from posts to a tracked run
	@dvc repro
	@python -m pipeline.report.summary

test: setup      ## run the tests
	@python -m pytest

lint: setup      ## check style and types
	@ruff check . && ruff format --check . && mypy

ui: setup        ## look at the runs in MLflow, on http://127.0.0.1:5000
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --host 127.0.0.1 --port 5000 --backend-store-uri "$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}" --default-artifact-root mlartifacts

setup: .venv/installed

# The stamp is written last: an installation that was broken off is taken up again.
.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo 'Python 3.11, 3.12 or 3.13 is needed; name one: make PYTHON=python3.12 …'; exit 1; }
	@echo 'Setting up .venv from requirements.txt: some minutes, once.'
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.txt
	@touch $@

lock: setup      ## write requirements.txt anew from pyproject.toml, for Linux and macOS, Python 3.11 to 3.13
	@uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --fork-strategy fewest \
	  --generate-hashes --no-annotate --no-emit-index-url --no-emit-find-links --no-header --quiet --upgrade -o requirements.txt
