# Everything that a developer or a CI machine runs. `make` alone lists the targets.

SHELL := /bin/bash
.DEFAULT_GOAL := help

BIN := .venv/bin
STAMP := .venv/.up-to-date

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(STAMP) ## Make .venv with driftline and all development tools in it
	@:

$(STAMP): pyproject.toml uv.lock scripts/setup
	@scripts/setup
	@touch $@

.PHONY: demo
demo: setup ## Watch real data drift: no Kafka, Redis or Docker needed (ARGS=--live: in real time)
	@$(BIN)/driftline demo $(ARGS)

.PHONY: services
services: setup ## Check that the tests can start a real Kafka and Redis
	@scripts/services
	@$(BIN)/python -m driftline.sandbox

# Three processes, also on two cores: of two, three tenths of the time went by waiting for servers.
.PHONY: test
test: setup services ## Run all tests, with a real Kafka and Redis
	@$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# What is pure or reads files: a change there is tried in about a minute.
UNIT = columns config formats incidents panes performance publisher router sketches tables

.PHONY: unit
unit: setup ## Run the tests that need no server
	@$(BIN)/pytest -n 2 --dist loadfile -m "not real" $(UNIT:%=tests/%) tests/test_codec.py tests/test_imports.py $(ARGS)

.PHONY: chaos
chaos: setup services ## Kill and cut workers, routers, Kafka and Redis at random: RUNS=200 kills of workers, SEED=1
	@$(BIN)/python -m tests.chaos --runs $(or $(RUNS),200) --seed $(or $(SEED),1)

.PHONY: stress
stress: setup services ## Fill or slow down Redis, stop Kafka or fill its disk, refuse alerts: OUTAGE=120 (s) each
	@$(BIN)/python -m tests.chaos.stress --outage $(or $(OUTAGE),120)

.PHONY: recovery
recovery: setup services ## Measure how soon other workers continue after kill -9 and after SIGTERM: RUNS=20, STATE=1024 (MiB)
	@$(BIN)/python -m tests.chaos.recovery --runs $(or $(RUNS),20) --state $(or $(STATE),1024)

SCHEDULES = $(if $(SEED),1,10000)

.PHONY: simulate
simulate: setup ## Run workers in virtual time under faults: SCHEDULES=10000, or SEED=77 again
	@$(BIN)/python -m tests.simulation --schedules $(SCHEDULES) --seed $(or $(SEED),1) $(if $(FAULTS),--faults '$(FAULTS)')

.PHONY: mutations
mutations: setup services ## Break the code on purpose, and see which test notices
	@$(BIN)/python -m tests.mutations $(ARGS)

.PHONY: lint
lint: setup ## Check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

.PHONY: types
types: setup ## Check types, tests included
	@$(BIN)/mypy

.PHONY: fuzz
fuzz: setup ## Fuzz events and stored state: EVENTS=1000000 SEED=7
	@$(BIN)/python -m tests.fuzz --events $(or $(EVENTS),1000000) $(if $(SEED),--seed $(SEED)) $(if $(WORLD),--world $(WORLD))

.PHONY: guided
guided: setup ## Fuzz by coverage with atheris (Linux): SECONDS=300
	@$$(command -v uv || echo .tools/bin/uv) run --isolated --frozen --extra worker --group guided python -m tests.fuzz.guided $(or $(SECONDS),300)

.PHONY: upgrade
upgrade: setup services ## Upgrade from an earlier commit to this one: FROM=HEAD~1
	@$(BIN)/python -m tests.upgrade $(or $(FROM),HEAD~1)

.PHONY: golden
golden: setup ## Write a golden file of stored state, if a version rose
	@$(BIN)/python -m tests.upgrade.golden $(ARGS)

.PHONY: bench
bench: setup services ## Measure the cost of an event on this machine
	@$(BIN)/driftline bench $(ARGS)

.PHONY: client
client: setup ## Measure what `pip install driftline` installs for a service that publishes
	@$(BIN)/python -m tests.client

.PHONY: tables
tables: setup ## Measure the cost of a table's row in a backtest, without start-up: ROWS=500000
	@$(BIN)/python -m driftline.bench.tables --rows $(or $(ROWS),500000) $(ARGS)

.PHONY: memory
memory: setup ## Measure what a worker holds in memory far beyond all limits, and write docs/memory.md: MINUTES=10 SHARE=0.05
	@$(BIN)/python -m driftline.bench.memory --minutes $(or $(MINUTES),10) --share $(or $(SHARE),1) --output docs/memory.md

.PHONY: detection
detection: setup ## Measure what Driftline finds and how often it is wrong, and write docs/detection.md (ARGS=--quick: a small run, ARGS='--parts lengths --output docs/detection.md': one part of the page)
	@OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python -m driftline.detection $(or $(ARGS),--output docs/detection.md)

.PHONY: clean
clean: ## Remove everything that make created
	rm -rf .venv .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis dist build
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
