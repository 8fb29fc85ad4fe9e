SHELL := /bin/bash
.DEFAULT_GOAL := help
PY := .venv/bin/python

ENVIRONMENT ?= development
PORT ?= 8080
KAFKA_PORT ?= 9092
DATA_DIR ?= .data
DEMO_PATIENTS ?= 200
export ENVIRONMENT PORT KAFKA_PORT DATA_DIR DEMO_PATIENTS ROLE PATIENT ORG

.PHONY: help setup lock run test lint format bench bench-large token docs

help:  ## list the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /  make \1\t/' | expand -t 20

setup:  ## make .venv from the hashed lock (nothing to do when it is up to date)
	@infra/setup.sh

lock:  ## resolve pyproject.toml anew into the two lock files
	@infra/setup.sh lock

run: setup  ## set up and start everything: PORT, KAFKA_PORT, DATA_DIR, DEMO_PATIENTS
	@exec $(PY) -m infra run

test: lint  ## lint, types, import contracts and every test, with servers of their own
	@$(PY) -m pytest --numprocesses 2 --dist loadfile

lint: setup  ## ruff, mypy and the import contracts
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy
	@.venv/bin/lint-imports

format: setup  ## let ruff format and mend what it can
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

bench: setup  ## benchmarks against their baselines; writes build/bench.json
	@$(PY) -m tests.benchmarks

bench-large: setup  ## the same work in logs of up to five million events; writes build/bench-large.json
	@$(PY) -m tests.benchmarks --large

token: setup  ## print a bearer token of the local issuer: ROLE=clinician [PATIENT=id] [ORG=code]
	@$(PY) -m infra token

docs: setup  ## generate the documents that are made from the code
	@if [ -d "$${EXAMPLES_DIR:-../shared/examples}" ]; then $(PY) -m consumers.outcomes > docs/examples.md; fi
	@$(PY) -m infra docs
