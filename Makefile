# Needs make, Python 3.11 or newer and pip; everything else goes into .venv.
#
#   make reproduce PYTHON=python3.12                    another Python
#   make reproduce TORCH=torch==2.13.0+cpu PIP_FLAGS="--extra-index-url URL"
#                                                       another build of torch than the one pip finds by itself;
#                                                       pytorch.org/get-started names the URL of each build

PYTHON = python3
TORCH =
PIP_FLAGS =
CORES = all
NAME = demo

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --quiet --progress-bar on -c $(VENV)/constraints.txt $(PIP_FLAGS)

.PHONY: help reproduce test lint bench profile lock clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

reproduce: $(VENV)/installed ## from raw archives to tables and figures; installs what it needs first
	@$(BIN)/snakemake --cores $(CORES)

test: $(VENV)/installed-dev ## all tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadgroup

lint: $(VENV)/installed-dev ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check --compact-diff Snakefile workflow tests/engines/Snakefile

bench: $(VENV)/installed ## measure speed and memory
	@$(BIN)/python benchmarks/run.py

profile: $(VENV)/installed ## switch params.yaml: make profile NAME=tiny (params/tiny.yaml), NAME=demo to switch back
	@$(BIN)/python -m workflow.profile $(NAME)

lock: $(VENV)/installed-dev ## write the installed versions to requirements.lock
	@echo "# Exact versions of everything the project was tested with; made by 'make lock'. Used as constraints by the Makefile." > requirements.lock
	@$(PIP) list --format=freeze --exclude kmerl --exclude pip --exclude setuptools | sed 's/+.*//' >> requirements.lock

clean: ## delete what was computed (DVC's cache and data/raw stay)
	@if [ -d data ]; then find data -mindepth 1 -maxdepth 1 ! -name raw -exec rm -rf {} +; fi
	@rm -rf logs .scratch .snakemake .pytest_cache .mypy_cache .ruff_cache .hypothesis dvc_plots

$(VENV)/installed: pyproject.toml requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing into $(VENV); this takes a few minutes."
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@if [ -n "$(TORCH)" ]; then { grep -v '^torch==' requirements.lock; echo "$(TORCH)"; } else cat requirements.lock; fi \
		> $(VENV)/constraints.txt
	@$(INSTALL) -e .
	@$(BIN)/python -m workflow.nogit
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(INSTALL) -e ".[dev]"
	@touch $@
