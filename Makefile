# Every target makes what it needs; `make help` lists them.
VENV := .venv
BIN := $(VENV)/bin
# The first of these that really runs and is 3.11 or 3.12; a name on the path may be a shim without an interpreter.
RIGHT := import sys; raise SystemExit(sys.version_info[:2] not in ((3, 11), (3, 12)))
PYTHON ?= $(shell for p in python3.11 python3.12 python3; do \
	if $$p -c '$(RIGHT)' >/dev/null 2>&1; then echo $$p; break; fi; done)
UV := UV_PROJECT_ENVIRONMENT=$(VENV) $(BIN)/uv
SYNC := $(UV) sync --quiet --locked --inexact --python $(BIN)/python
PYTEST := $(BIN)/python -m pytest
# A worker for each core; tests marked `alone` wait until the others pause. PARALLEL= runs all in one process.
PARALLEL ?= -n auto --dist worksteal

FUZZ_RUNS ?= 1000000
FUZZ_SEED ?= 1

.PHONY: help setup demo test coverage fuzz test-postgres test-vllm test-model test-all-pythons check eval bench lock docs clean
help:  ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

setup: $(VENV)/.ready  ## Create .venv with the command .venv/bin/daytwo

$(VENV)/.ready: pyproject.toml uv.lock
	@test -n "$(PYTHON)" || { echo "Daytwo needs Python 3.11 or 3.12 and found neither." \
	  "Next: apt-get install python3.11, or make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then apt-get update -qq && apt-get install -y -qq python3-venv; \
	  else echo "$(PYTHON) has no venv module. Next: sudo apt-get install python3-venv" >&2; exit 2; fi; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import uv' 2>/dev/null || $(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@# Where a proxy signs with a certificate of its own, only the system's store knows it.
	@echo "installing what uv.lock names into $(VENV)"
	@$(SYNC) 2>$(VENV)/first-try.log || UV_SYSTEM_CERTS=1 $(SYNC) || { cat $(VENV)/first-try.log >&2; exit 1; }
	@touch $@

demo: setup  ## Show the main job in three acts, in under five minutes
	@$(BIN)/daytwo demo

test: setup  ## Run every test that needs no GPU and no network
	$(PYTEST) $(PARALLEL)

coverage: setup  ## Run the same tests and measure what they cover; about twice as long
	$(PYTEST) $(PARALLEL) --cov --cov-report=term

test-postgres: setup  ## Run the tests of the store on a PostgreSQL server that they start themselves
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || { \
	  if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql; \
	  else echo "no PostgreSQL server is installed. Next: sudo apt-get install postgresql" >&2; exit 2; fi; }
	@$(SYNC) --extra postgres || UV_SYSTEM_CERTS=1 $(SYNC) --extra postgres
	DAYTWO_TEST_POSTGRES=required $(PYTEST) -m postgres tests/agent tests/serve

test-vllm: setup  ## Run the lane on a real vLLM with a tiny random model (makes its environment, 3.5 GB)
	$(PYTEST) -m vllm -v -rs tests/lanes

test-model: setup  ## Run the lane on real small models on that vLLM (LONG=1: hours, with the larger one)
	$(PYTEST) -m "model$(if $(LONG),, and not long)" -v -rs tests/lanes

test-all-pythons: setup  ## Run the tests on 3.11 and 3.12, each where it is to be had
	@for version in 3.11 3.12; do \
	  found=""; \
	  for p in python$$version $$HOME/.pyenv/versions/$$version*/bin/python; do \
	    if $$p -c "import sys; raise SystemExit('%d.%d' % sys.version_info[:2] != '$$version')" >/dev/null 2>&1; then found=$$p; break; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "== Python $$version: not to be had here"; continue; fi; \
	  echo "== Python $$version: $$found"; \
	  UV_PROJECT_ENVIRONMENT=.venv-$$version $(BIN)/uv sync --quiet --locked --python "$$($$found -c 'import sys; print(sys.executable)')" || exit 1; \
	  .venv-$$version/bin/python -m pytest $(PARALLEL) || exit 1; \
	done

check: setup  ## Format, lint, types, import fences, size caps, generated docs
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(PYTEST) tests/house
	$(BIN)/python -m serve.docs --check

eval: setup  ## Score the rules and four scripted models, good and bad, on every scenario
	@$(BIN)/daytwo eval --scripted all

bench: setup  ## Measure help, small and large logs, the index, retrieval and the code; prints Markdown
	@$(BIN)/python -m evals.bench

fuzz: setup  ## Feed a million changed inputs to every parser (FUZZ_RUNS=, FUZZ_SEED=; kept in ~/.cache/daytwo-fuzz)
	@$(SYNC) --group fuzz || UV_SYSTEM_CERTS=1 $(SYNC) --group fuzz || echo "without atheris: seeded mutations"
	$(BIN)/python tests/fuzz/fuzz_run.py --runs $(FUZZ_RUNS) --seed $(FUZZ_SEED)

lock: setup  ## Lock the newest dependencies that fit
	$(UV) lock --upgrade

docs: setup  ## Write docs/help.md, docs/settings.md, docs/schemas/
	$(BIN)/python -m serve.docs

clean:  ## Remove everything that was made
	rm -rf $(VENV) .venv-3.11 .venv-3.12 .mypy_cache .ruff_cache .pytest_cache .coverage htmlcov
