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
MINUTES = 3
SEED = 1

VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip --disable-pip-version-check
INSTALL = $(PIP) install --quiet --progress-bar on -c $(VENV)/constraints.txt $(PIP_FLAGS)

# vLLM's build: cuda where there is an NVIDIA GPU, else cpu
VLLM = $(shell nvidia-smi -L 2>/dev/null | grep -q GPU && echo cuda || echo cpu)
ENVS = workflow/envs
MODEL = qwen2.5-coder-1.5b-instruct-q4_k_m
# llama.cpp without what only some machines of a kind can do; see its documentation for faster settings
LLAMA_CMAKE = -DGGML_NATIVE=OFF
LAPTOP = data/labels/base results/knowledge results/mining_quality/mimic_iv_ecg

.PHONY: help reproduce test test-thorough test-vllm test-cluster campaign lint bench profile vllm laptop lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1 - \2/p' Makefile

reproduce: $(VENV)/installed ## from raw archives to tables and figures; installs what it needs first
	@$(BIN)/snakemake --cores $(CORES)

test: $(VENV)/installed-dev ## the tests
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test-thorough: $(VENV)/installed-dev ## what takes long: the same properties on many more inputs
	@$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile -m "thorough and not slow and not vllm"

test-vllm: $(VENV)/installed-dev $(ENVS)/vllm/installed ## the tests that need vLLM, with a tiny random model
	@$(BIN)/python -m pytest -m vllm

test-cluster: $(VENV)/installed-dev ## the tests that need slurm on this machine (Debian's slurmctld, slurmd, slurm-client, munge) and root
	@$(BIN)/python -m pytest -m cluster tests/test_cluster.py

campaign: $(VENV)/installed-dev ## random kills, rot, full disks and edits: make campaign MINUTES=120 SEED=1
	@$(BIN)/python -m tests.campaign --minutes $(MINUTES) --seed $(SEED)

lint: $(VENV)/installed-dev ## style and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/snakefmt --check --compact-diff Snakefile workflow tests/engines/Snakefile

bench: $(VENV)/installed ## measure speed and memory
	@$(BIN)/python benchmarks/run.py

profile: $(VENV)/installed ## switch params.yaml: make profile NAME=tiny (params/tiny.yaml), NAME=demo to switch back
	@$(BIN)/python -m workflow.profile $(NAME)

vllm: $(ENVS)/vllm/installed ## install vLLM into an environment of its own: make vllm VLLM=cuda or cpu

laptop: $(VENV)/installed $(ENVS)/llama/installed ## mine the reports of a small demo with a small real model, about a quarter of an hour
	@$(BIN)/python -m workflow.local_model $(MODEL) .models
	@$(BIN)/python -m workflow.profile laptop
	@$(BIN)/python -m workflow.llama_server $(ENVS)/llama/bin/python .models/$(MODEL).gguf -- \
		$(BIN)/snakemake --cores 1 $(LAPTOP)
	@echo "Look at results/knowledge/ and results/mining_quality/; 'make profile NAME=demo' switches back."

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
	@$(BIN)/python -m workflow.commands
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	@$(INSTALL) -e ".[dev]"
	@touch $@

# --no-deps: exact versions, without packages beside which the CPU build cannot be imported
$(ENVS)/vllm/installed: $(ENVS)/vllm-cpu.txt $(ENVS)/vllm-cuda.txt
	@echo "Installing vLLM ($(VLLM)) into $(ENVS)/vllm; this takes some minutes and 3 GB or more."
	@test -x $(ENVS)/vllm/bin/python || $(PYTHON) -m venv $(ENVS)/vllm
	@$(ENVS)/vllm/bin/python -m pip --disable-pip-version-check install --quiet --progress-bar on $(PIP_FLAGS) \
		$(if $(filter cpu,$(VLLM)),--no-deps) -r $(ENVS)/vllm-$(VLLM).txt
	@cd / && VLLM_NO_USAGE_STATS=1 $(CURDIR)/$(ENVS)/vllm/bin/python -c "import vllm; print('vLLM', vllm.__version__)"
	@touch $@

# --no-cache-dir: pip's cache forgets with which settings a wheel was built, perhaps for another processor
$(ENVS)/llama/installed: $(ENVS)/llama.txt
	@echo "Building llama.cpp into $(ENVS)/llama; this takes some minutes and needs a C++ compiler."
	@test -x $(ENVS)/llama/bin/python || $(PYTHON) -m venv $(ENVS)/llama
	@CMAKE_BUILD_PARALLEL_LEVEL=$${CMAKE_BUILD_PARALLEL_LEVEL:-2} CMAKE_ARGS="$(LLAMA_CMAKE)" \
		$(ENVS)/llama/bin/python -m pip --disable-pip-version-check install --quiet --progress-bar on $(PIP_FLAGS) \
		--no-cache-dir --no-binary llama-cpp-python -r $(ENVS)/llama.txt
	@touch $@
