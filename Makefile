# Everything a developer or CI runs. `make` alone prints this list.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONSOLE := dashboards/console
CLIENTS := tests/wire/node

UNIT := $(BIN)/pytest tests/unit --cov=gateway.domain --cov-branch --cov-fail-under=100 --cov-report=term:skip-covered -q

# Tests and the demo start many processes: without compiled modules each one loses two seconds.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help setup demo run check fix test bench torture wheel wheel-test lock clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/\1|\2/' | column -t -s '|'

setup: $(VENV)/.installed $(CONSOLE)/lib/preact.js $(CLIENTS)/node_modules/.installed ## virtual environment, locked packages, console libraries

$(VENV)/.installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@# The lock is complete. Resolving it again asks for the newest of `coverage[toml]`, which has no hash here.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m pip check --disable-pip-version-check
	touch $@

$(CONSOLE)/lib/preact.js: $(CONSOLE)/package-lock.json
	cd $(CONSOLE) && npm ci --silent --no-audit --no-fund && npm run --silent lib && rm -rf node_modules
	touch $@

$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json
	cd $(CLIENTS) && npm ci --silent --no-audit --no-fund
	touch $@

demo: setup ## the virtual district, watched: narrates, runs until Ctrl-C
	$(BIN)/sightline demo

run: setup ## the service with config/sightline.example.toml
	$(BIN)/sightline run --config config/sightline.example.toml

check: setup ## format, lint, types, import contracts, unit tests (under 60 s)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	@$(BIN)/mypy & types=$$!; \
	$(BIN)/lint-imports && $(UNIT); units=$$?; \
	wait $$types && exit $$units

fix: setup ## format and mend what can be mended
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# The demo has the machine to itself. The fault tests mostly wait, so the rest runs beside them, and gives way.
test: setup ## all tests, with real servers and one 180 s demo; LEAVE_OUT=tests/unit after `make check`
	@mkdir -p build; $(BIN)/pytest tests/e2e -q; shown=$$?; \
	$(BIN)/pytest tests/integration -q > build/integration.log 2>&1 & faults=$$!; \
	nice -n 19 $(BIN)/pytest tests $(addprefix --ignore=tests/,bench e2e integration) $(addprefix --ignore=,$(LEAVE_OUT)) -q; others=$$?; \
	wait $$faults; faults=$$?; cat build/integration.log; exit $$((shown + others + faults))

bench: setup ## measure; writes build/bench.json
	PYTHONPATH=tests $(BIN)/python -m bench

torture: setup ## the fault matrix at full numbers (about an hour); prints the table of docs/design/faults.md
	SIGHTLINE_TORTURE=1 $(BIN)/pytest tests/integration -q -m torture

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m hatchling build -t wheel

wheel-test: wheel ## install the wheel in a clean environment and run it
	bash tests/e2e/wheel.sh

lock: ## compile requirements.lock anew (needs uv)
	uv pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-emit-index-url --no-annotate -o requirements.lock

clean: ## remove what was built
	rm -rf build dist $(VENV) $(CONSOLE)/node_modules $(CONSOLE)/lib $(CLIENTS)/node_modules .mypy_cache .ruff_cache .pytest_cache
