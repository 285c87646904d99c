# Everything starts here, from python3 and make alone. `make help` lists the targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PORT ?= 8000
HOST ?= 127.0.0.1
STAMP := $(VENV)/.installed

.PHONY: help setup demo weights serve test client-setup client-test bench lint clean
CLIENT_VENV := client/.venv
CLIENT_STAMP := $(CLIENT_VENV)/.installed

help:
	@echo "make setup   the environment in $(VENV)"
	@echo "make demo    everything, with a filled demo project: prints address and login (PORT=8000)"
	@echo "make weights the demo's detectors, which 'make demo' trains in the background (needs torch and ultralytics)"
	@echo "make serve   everything, without the demo"
	@echo "make test    the tests, on the embedded PostgreSQL and Redis, and those of the client with real trainings"
	@echo "make client-test   the client's tests alone"
	@echo "make bench   the benchmarks, as ratios against references in the same run"
	@echo "make lint    style, types, import contracts, missing migrations"
	@echo "make clean   remove the environment and caches (data in var/ stays)"

setup: $(STAMP)

# uv installs the same hashed files several times faster than pip; it is a tool of this step only.
$(STAMP): requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Touchstone needs Python 3.11 or newer; $(PYTHON) is older. Name another: make setup PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv || true
	if [ -x $(BIN)/uv ]; then \
		VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --no-deps --require-hashes --compile-bytecode -r requirements-dev.txt; \
	else \
		$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements-dev.txt; \
	fi
	touch $(STAMP)

demo: setup
	$(BIN)/python manage.py up --demo --host $(HOST) --port $(PORT)

weights: setup
	$(BIN)/python manage.py make_demo_weights

serve: setup
	$(BIN)/python manage.py up --host $(HOST) --port $(PORT)

# The client trains with torch and transformers, which the server has no need of: an environment of its own, several GB.
client-setup: $(CLIENT_STAMP)

$(CLIENT_STAMP): client/requirements-dev.txt $(STAMP)
	$(PYTHON) -m venv $(CLIENT_VENV)
	if [ -x $(BIN)/uv ]; then \
		VIRTUAL_ENV=$(CLIENT_VENV) $(BIN)/uv pip install --quiet --require-hashes --compile-bytecode -r client/requirements-dev.txt; \
	else \
		$(CLIENT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r client/requirements-dev.txt; \
	fi
	touch $(CLIENT_STAMP)

ifdef TESTS
test: setup
	$(BIN)/python -m pytest $(TESTS)
else
test: setup client-setup client-test
	$(BIN)/python -m pytest -n auto --ignore tests/e2e
	$(BIN)/python -m pytest tests/e2e
endif

# Never from the root: our app `datasets` would shadow the package of that name.
client-test: client-setup
	cd client && .venv/bin/python -m pytest

bench: setup
	$(BIN)/python -m tests.bench

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	$(BIN)/python manage.py makemigrations --check --dry-run

clean:
	rm -rf $(VENV) $(CLIENT_VENV) .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
