# Everything a newcomer needs is `make demo`, `make up` and `make test`; each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo up dev test prove conformance simulate chaos bench screenshots check hooks lock clean

help: ## show this
	@awk -F ':.*## ' '/^##@ / {printf "\n%s\n", substr($$0, 5)} /^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# One virtual environment, from one lock with hashes; made anew when the lock changes.
$(VENV)/.ready: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed; set PYTHON=…" if sys.version_info < (3, 11) else 0)'
	@echo "setting up $(VENV) …"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

##@ Run

demo: $(VENV)/.ready ## settle a story of orders through every state, on real parts
	@$(BIN)/python -m stack demo

up: $(VENV)/.ready ## keep Temporal with its UI, simulator, worker and API running
	@exec $(BIN)/python -m stack up

dev: $(VENV)/.ready ## as up; worker and API start anew whenever a source file changes
	@exec $(BIN)/python -m stack dev

##@ Prove

# Four processes on two cores: most tests wait most of the time. The empty variable lets them share compiled modules.
test: $(VENV)/.ready ## test every promise, on real components; WORKERS=4
	@tests/system_packages
	@PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -n $(or $(WORKERS),4)

prove: $(VENV)/.ready ## the long tests: chaos run, overload, large batch, all planted bugs, many seeds, long fuzzing
	@tests/system_packages
	@FUZZ_EXAMPLES=$(or $(FUZZ_EXAMPLES),60) $(BIN)/python -m pytest -v -m 'prove or longer' --timeout 900

screenshots: $(VENV)/.ready ## make the pictures in docs/images anew, with the tests that look at pages
	@tests/system_packages
	@SCREENSHOTS=1 $(BIN)/python -m pytest -m '' tests/e2e/test_e2e_temporal_ui.py tests/conformance/test_report_browser.py

simulate: $(VENV)/.ready ## run SEEDS=100 seeded simulations; SEED=17 tells one in full
	@$(BIN)/python -m tests.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),100) --first $(or $(FIRST),1))

conformance: $(VENV)/.ready ## check the conformance kit on correct systems and on 123 with one fault each; MUTANTS='name name'
	@$(BIN)/python -m tests.conformance $(MUTANTS)

chaos: $(VENV)/.ready ## kill, freeze, fill and cut the real stack under load, on SQLite and PostgreSQL; SEED=1
	@$(BIN)/python -m tests.chaos $(if $(SEED),--seed $(SEED)) $(if $(SETTLEMENTS),--settlements $(SETTLEMENTS)) $(if $(KILLS),--kills $(KILLS)) $(if $(RATE),--rate $(RATE))

bench: $(VENV)/.ready ## measure what a settlement costs as ratios to a floor, then a storm of hanging calls; ROUNDS=4
	@$(BIN)/python -m bench $(if $(ROUNDS),--rounds $(ROUNDS))
	@$(BIN)/python -m bench.storm

##@ Develop

check: $(VENV)/.ready ## style, types, layers, locks, wheel, Kubernetes manifests
	@.ci/check

hooks: $(VENV)/.ready ## have git run the checks before each commit and push
	@$(BIN)/pre-commit install

lock: $(VENV)/.ready ## write the locks anew from pyproject.toml
	@.ci/lock

clean: ## remove what the commands above have made
	rm -rf $(VENV) .state build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
