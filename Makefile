# make run   builds the environment if it is missing, runs the pipeline at the configuration's profile, names the report
# make test  builds the environment if it is missing, runs the tests
PYTHON ?= python3.11
VENV := .venv
BIN := $(CURDIR)/$(VENV)/bin
export PATH := $(BIN):$(PATH)

.PHONY: run test lint lock clean

run: $(VENV)/ready
	snakemake --cores all --resources gpu=1
	@echo "Report: $(CURDIR)/results/report/index.html"

# A file of tests a core, each on one thread; those that run the engines, which take longest, first.
test: $(VENV)/ready
	OMP_NUM_THREADS=1 pytest --numprocesses logical --dist loadfile --no-loadscope-reorder $(PYTEST_ARGS)

lint: $(VENV)/ready
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

# After a change of pyproject.toml (needs uv).
lock:
	uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 --generate-hashes --no-annotate \
		--custom-compile-command "make lock" --output-file envs/requirements.lock

clean:
	rm -rf .bakeoff .snakemake logs
