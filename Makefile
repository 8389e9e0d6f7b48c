# The two commands to know are `make demo` and `make test`. Both build .venv from the lock when it is missing or stale.

PYTHON ?= python3
OUT ?= demo-output
SEED ?=
ARGS ?=

# The table of the controlled release in the folder of real data that MONITOR_REAL_DATA names.
RELEASE := inversions/ginninderra-release-1/GA-inversion-data-1.csv

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCKED := $(VENV)/.locked
READY := $(VENV)/.ready
BENCH := $(VENV)/.bench

.DEFAULT_GOAL := help
.PHONY: help demo test test-all bench calibration lint format docs lock wheel clean

help: ## Say what each target does
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# The environment is thrown away with the lock it was made from, so that nothing from an older set stays behind.
$(LOCKED): requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info; v >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, found {v[0]}.{v[1]}. Name another: make PYTHON=python3.12 ...")'
	@echo "Building $(VENV) with $$($(PYTHON) --version) from requirements.lock (once, some minutes)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(PIP) install --quiet --require-hashes -r requirements.lock
	@touch $@

$(READY): $(LOCKED) pyproject.toml
	@$(PIP) install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv: $(READY)

demo: $(READY) ## Run the synthetic city from raw files to verdicts (OUT=folder, SEED=number)
	@$(BIN)/monitor demo --out $(OUT) $(if $(SEED),--seed $(SEED)) $(ARGS)

test: $(READY) ## Run the tests but the slow ones (ARGS="-k name" and the like)
	@$(BIN)/python -m pytest -q -m "not slow" $(ARGS)

test-all: $(READY) ## Run all tests, the slow ones too
	@$(BIN)/python -m pytest -q $(ARGS)

# What only the benchmarks need comes beside the locked set and moves none of it.
$(BENCH): $(READY)
	@mkdir -p build
	@sed -n 's/^\([A-Za-z0-9_.-]*==[^ ;\\]*\).*/\1/p' requirements.lock > build/constraints.txt
	@$(PIP) install --quiet --no-build-isolation -c build/constraints.txt -e '.[bench]'
	@touch $@

bench: $(BENCH) ## Run a case of the benchmarks against its targets (ARGS="case ..."; without: a list)
	@$(BIN)/python -m benchmarks $(ARGS)

calibration: $(READY) ## Prove how often verdicts are right (some 40 minutes; SEED=number)
	@$(BIN)/monitor calibrate $(if $(SEED),--seed $(SEED)) --workdir build $(ARGS)
	@$(if $(MONITOR_REAL_DATA),$(BIN)/monitor calibrate --release $(MONITOR_REAL_DATA)/$(RELEASE) --seed 20150527 --workdir build)

lint: $(READY) ## Check style, formatting, types and the layers
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

format: $(READY) ## Format the code and mend what ruff can mend
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(READY) ## Build the documentation into site/
	@$(BIN)/sphinx-build -q --keep-going -b html docs site
	@echo "Open site/index.html"

wheel: $(READY) ## Build the wheel and the source archive into dist/
	@$(BIN)/python -m hatchling build

# uv reads the metadata of every platform and Python at once; it is needed for nothing else, so it lives in its own venv.
lock: ## Write requirements.lock anew from pyproject.toml, keeping pins that still hold (UPGRADE=1: newest)
	@$(PYTHON) -m venv --clear build/lock-venv
	@build/lock-venv/bin/python -m pip --disable-pip-version-check install --quiet 'uv>=0.5'
	@cp requirements.lock build/requirements.lock
	@build/lock-venv/bin/uv pip compile --quiet --no-config --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--extra dev $(if $(UPGRADE),--upgrade) pyproject.toml -o build/requirements.lock
	@{ echo "# The tested set for Python 3.11 to 3.13, run-time and development. Written by: make lock"; \
		grep -v '^#' build/requirements.lock; } > build/requirements.lock.new
	@mv build/requirements.lock.new requirements.lock
	@echo "requirements.lock: $$(grep -c '==' requirements.lock) packages"

clean: ## Remove what the targets above made
	rm -rf $(VENV) build dist site demo-output .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
