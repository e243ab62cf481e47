# What a developer and an operator type. `make up` and `make test` are the two commands of the README.
.DEFAULT_GOAL := help
PYTHON := .venv/bin/python
ARGS ?=

.PHONY: help setup setup-dev up check test static roots trials zfs bench fresh lock

help: ## say what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 12

setup: ## install what is missing into .venv
	@sh deploy/setup.sh run

setup-dev: ## also what tests and checks need
	@sh deploy/setup.sh dev

up: setup ## watch this machine, end to end: make up ARGS="--port 9000"
	@exec $(PYTHON) -m watchkeep up $(ARGS)

check: setup-dev static ## format, lint, types, import contracts, unit tests
	@$(PYTHON) -m pytest -q -n 2 tests/unit

test: setup-dev ## everything that must pass, the short trials included
	@$(MAKE) --no-print-directory -j2 static roots
	@$(PYTHON) -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

static:
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports

roots:
	@sh deploy/timescale-root.sh >/dev/null
	@sh deploy/test-guest.sh >/dev/null
	@sh deploy/mysql-root.sh >/dev/null
	@sh deploy/test-machine.sh >/dev/null

trials: setup-dev ## the long trials; prints the table of docs/reliability.md
	@$(PYTHON) -m tests.trials --long $(ARGS)

bench: setup-dev ## the benchmarks, each beside a peer or a limit
	@$(PYTHON) -m benchmarks $(ARGS)

zfs: setup-dev ## snapshots of ZFS, in an emulated machine
	@sh deploy/zfs-machine.sh $(PYTHON) -m pytest -q -p no:cacheprovider tests/trials/zfs_snapshots.py $(ARGS)

fresh: ## the README from nothing in a Debian 12 and a Debian 13: make fresh ARGS=--long
	@sh deploy/fresh-trial.sh $(ARGS)

lock: ## choose dependency versions anew
	@sh deploy/lock.sh
