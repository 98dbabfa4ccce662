# make run   builds the environment if it is missing, runs the pipeline at the configuration's profile, names the report
# make test  builds the environment with what developers need besides if it is missing, runs the tests
PYTHON ?= python3.11
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)

.PHONY: run test lint lock clean

run: $(VENV)/ready
	snakemake --cores all --resources gpu=1
	@echo "Report: $(CURDIR)/results/report/index.html"

# A file of tests a core, each on one thread; those that run the engines, which take longest, first.
test: $(VENV)/ready-to-test
	OMP_NUM_THREADS=1 pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/ready-to-test
	ruff check . && ruff format --check .
	mypy
	snakefmt --check Snakefile workflow/rules
	snakemake --lint

# Everything is pinned with its hash in the lock; the project itself comes last, with no say in what is installed.
$(VENV)/ready: envs/requirements.lock pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || python3 -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement envs/requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $@

# requirements-dev.lock has the same packages, and those that tests need.
$(VENV)/ready-to-test: envs/requirements-dev.lock $(VENV)/ready
	$(BIN)/python -m pip install --quiet --require-hashes --requirement envs/requirements-dev.lock
	touch $@

# After a change of pyproject.toml (needs uv).
COMPILE := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command "make lock"
lock:
	$(COMPILE) --output-file envs/requirements.lock
	$(COMPILE) --extra dev --constraint envs/requirements.lock --output-file envs/requirements-dev.lock

clean:
	rm -rf .bakeoff .snakemake logs
