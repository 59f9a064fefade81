# make serve     run dolium; arguments pass on: make serve ARGS='--listen 0.0.0.0:9000 --workers 4'
# make test      run the tests; arguments pass on: make test ARGS='tests/clients -k rclone'
# make soak      everything at once for minutes, workers being killed: make soak ARGS='--minutes 10'
# make check     formatting, lint, types and the import contract
# make fuzz      fuzz every parser for a minute in all; longer: make fuzz ARGS='--seconds 3600 --jobs 2'
# make bench     measure dolium beside its peers (installs them first; Go builds some), and Galaxy's store beside ours
# make tools     get clients and services that tests need and PyPI has not into .tools: Go and npm
# make wheel     build dist/*.whl
# make lock      renew the lock files
# make clean     remove what these made (never your data)
#
# All it needs is Python 3.11 or newer and PyPI. Another Python than `python3`: make PYTHON=python3.12 serve

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
MC := github.com/minio/mc@v0.0.0-20250313080218-cf909e1063a9
FAKE_GCS := github.com/fsouza/fake-gcs-server@v1.56.1
AZURITE := azurite@3.37.0

.PHONY: serve test soak check fuzz bench tools wheel lock clean

serve: $(VENV)/.runs
	@exec $(BIN)/python -m dolium serve $(ARGS)

# Tests that need no server, or one that is left in peace, run on both cores; those that kill, hang and time follow.
APART := tests/clients tests/contract tests/fuzz tests/galaxy tests/house tests/remote tests/s3 tests/unit

test: $(VENV)/.develops
ifeq ($(ARGS),)
	$(BIN)/python -m pytest -n 2 --dist loadscope $(APART) --ignore tests/unit/server
	$(BIN)/python -m pytest tests/unit/server
	$(BIN)/python -m pytest $(APART:%=--ignore %)
else
	$(BIN)/python -m pytest $(ARGS)
endif

soak: $(VENV)/.develops
	$(BIN)/python -m tests.drills.soak $(ARGS)

check: $(VENV)/.develops
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(VENV)/.fuzzes
	$(BIN)/python -m tests.fuzz.run $(ARGS)

bench: $(VENV)/.develops
	$(BIN)/python -m bench $(ARGS)
	$(BIN)/python -m bench.datasets

tools: .tools/bin/mc .tools/bin/fake-gcs-server .tools/node_modules/.bin/azurite-blob

.tools/bin/mc:
	@command -v go >/dev/null || { echo "make tools: Go is not installed" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" go install $(MC)

.tools/bin/fake-gcs-server:
	@command -v go >/dev/null || { echo "make tools: Go is not installed" >&2; exit 1; }
	GOBIN="$(CURDIR)/.tools/bin" go install $(FAKE_GCS)

.tools/node_modules/.bin/azurite-blob:
	@command -v npm >/dev/null || { echo "make tools: npm is not installed" >&2; exit 1; }
	npm install --prefix .tools --no-audit --no-fund --loglevel error $(AZURITE)

wheel: $(VENV)/.runs
	$(BIN)/python -m hatchling build -t wheel -d dist

LOCK = $(BIN)/uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-header --no-annotate

lock: $(VENV)/.develops
	$(LOCK) --group dev --output-file requirements-dev.lock
	$(LOCK) --group build --constraints requirements-dev.lock --output-file requirements.lock
	$(subst pyproject.toml,,$(LOCK)) --group fuzz --output-file requirements-fuzz.lock

clean:
	rm -rf $(VENV) .tools .fuzz dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests bench -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment. Everything comes by the hashes of a lock file; the package itself is installed in place.

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("dolium needs Python 3.11 or newer, this is " + sys.version.split()[0] + ": make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runs: requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.develops: requirements-dev.lock requirements.lock pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements-dev.lock
	$(PIP) install --no-deps --no-build-isolation -e .
	@touch $(VENV)/.runs $@

$(VENV)/.fuzzes: requirements-fuzz.lock | $(VENV)/.develops
	$(PIP) install --require-hashes -r requirements-fuzz.lock
	@touch $@
