# Silverline (银龄). `make demo` shows it, `make test` proves it, `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help

# uv: the one on the PATH, or one in a private environment of this folder.
UV := $(shell command -v uv 2>/dev/null || echo .tools/uv/bin/uv)
RUN := $(UV) run --no-sync
PYTHON ?= python3

# What Python has compiled serves the next process, even where a system says that none may keep it:
# the demo is four processes and the tests start hundreds, each 2 s of work without.
unexport PYTHONDONTWRITEBYTECODE
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/bytecode

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z][a-z-]*:.*## / {printf "  \033[36m%-16s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.tools/uv/bin/uv:
	@echo "→ uv (in .tools/uv)"
	@$(PYTHON) -m venv .tools/uv
	@.tools/uv/bin/python -m pip install --quiet --disable-pip-version-check uv

# The stamp lies in the environment and goes with it: a second call costs nothing.
.venv/.synced: pyproject.toml uv.lock | $(filter .tools/%,$(UV))
	@echo "→ Python packages (uv.lock)"
	@$(UV) sync --locked --quiet
	@touch $@

.PHONY: python
python: .venv/.synced

.PHONY: assets
assets: python ## Build the browser's part (npm ci, esbuild)
	@$(RUN) python tools/assets.py build

.PHONY: setup-demo
setup-demo: python assets

.PHONY: setup
setup: setup-demo ## Everything that demo and test need, without running them
	@$(RUN) python tools/setup/test_parts.py
	@$(RUN) python -m tools.lab.community install

.PHONY: demo
demo: setup-demo ## Show it: database, broker, web, ingest, simulated devices in this terminal
	@$(RUN) silverline demo $(ARGS)

.PHONY: up
up: setup-demo ## Run it for real on this machine, with its own database and broker in var/
	@$(RUN) silverline up $(ARGS)

.PHONY: test
test: setup lint ## Prove it: every test, on real parts
	@$(RUN) python tools/setup/run_tests.py $(ARGS)

.PHONY: soak
soak: setup ## The long form: faults at random for MINUTES=60, ten thousand damaged frames a codec
	@SILVERLINE_SOAK_MINUTES=$(or $(MINUTES),60) \
		$(RUN) python -m pytest -q -s -m soak tests/contract tests/faults $(ARGS)

.PHONY: lint
lint: python ## ruff, mypy --strict, import-linter
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@MYPYPATH=firmware-sim $(RUN) mypy --strict firmware-sim
	@$(RUN) lint-imports

.PHONY: format
format: python ## Put the code in shape
	@$(RUN) ruff check --fix-only .
	@$(RUN) ruff format .

.PHONY: bench
bench: setup ## Measure ingest beside a bare COPY of the same rows
	@$(RUN) python -m tools.bench.ingest $(ARGS)

.PHONY: bench-all
bench-all: setup ## The same in full: a million messages, both storage modes, alarms, memory (an hour)
	@$(RUN) python -m tools.bench.ingest --full --beside
	@$(RUN) python -m tools.bench.ingest --full --mode apache
	@$(RUN) python -m tools.bench.alarms
	@$(RUN) python -m tools.bench.steady --minutes 10

.PHONY: bench-chart
bench-chart: setup ## How long a chart takes from 100 million readings (some minutes, 12 GB of disk)
	@$(RUN) python -m tools.bench.chart $(ARGS)

.PHONY: bench-detection
bench-detection: setup ## How soon illnesses are noticed, and how often somebody who is well rings
	@$(RUN) python -m tools.bench.detection $(ARGS)

.PHONY: lab
lab: python ## A real TimescaleDB for tests (Debian, root, no Docker)
	@$(RUN) python tools/lab/timescaledb up

.PHONY: image-check
image-check: python ## Build the container image and try it out (Debian, root, no Docker)
	@$(RUN) python tools/lab/container check

.PHONY: deploy-check
deploy-check: python ## Try compose.yaml and deploy/ with the real programs (Debian, root)
	@$(RUN) python tools/lab/deployment check

.PHONY: clean
clean: ## Remove what was built; the data in var/ stays
	rm -rf .venv .tools .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis \
		dashboards/assets/node_modules dashboards/assets/dist tools/lab/pglite/node_modules \
		bench-results test-results

.PHONY: clean-data
clean-data: ## Remove the embedded databases too (asks first)
	@read -p "Delete every embedded database in var/? Type yes: " answer && [ "$$answer" = yes ] && rm -rf var
