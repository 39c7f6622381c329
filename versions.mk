# verl's older versions: `make test-verl-versions`, outside `make test`. Each has an environment of
# its own with its own verl, over the packages of the CPU profile.
VERL_VERSIONS ?= 0.7.1 0.8.0
SITE = import sysconfig; print(sysconfig.get_path("purelib"))

.PHONY: test-verl-versions
.PRECIOUS: .venvs/verl-%/.ready

test-verl-versions: $(VERL_VERSIONS:%=test-verl-%)

test-verl-%: .venvs/verl-%/.ready
	.venvs/verl-$*/bin/python -m pytest tests/verl_versions tests/verl/test_legacy_trainer.py

# verl pins numpy below 2 up to 0.8, and the CPU build of vLLM wants 2: so verl comes without its
# dependencies, and those of the CPU profile serve it.
.venvs/verl-%/.ready: constraints/verl-%.txt $(READY)
	$(STEP) "environment in .venvs/verl-$*"
	rm -rf .venvs/verl-$*
	$(BIN)/python -m venv .venvs/verl-$*
	.venvs/verl-$*/bin/pip install --no-deps -r constraints/verl-$*.txt
	echo "import site; site.addsitedir('$$($(BIN)/python -c '$(SITE)')')" \
	  > "$$(.venvs/verl-$*/bin/python -c '$(SITE)')/zz_cpu_profile.pth"
	touch $@

# TRL's oldest version, over the packages of TRL's environment; the arena asks for transformers 5.
TRL_VERSIONS ?= 0.19.0
.PHONY: test-trl-versions
.PRECIOUS: .venvs/trl-%/.ready

test-trl-versions: $(TRL_VERSIONS:%=test-trl-%)

test-trl-%: .venvs/trl-%/.ready
	.venvs/trl-$*/bin/python -m pytest tests/trl tests/contract/test_hosts.py \
	  --ignore=tests/trl/test_arena.py

.venvs/trl-%/.ready: constraints/trl-%.txt $(TRL)/.ready
	$(STEP) "environment in .venvs/trl-$*"
	rm -rf .venvs/trl-$*
	$(PYTHON) -m venv .venvs/trl-$*
	.venvs/trl-$*/bin/pip install --no-deps -r constraints/trl-$*.txt
	echo "import site; site.addsitedir('$$($(TRL)/bin/python -c '$(SITE)')')" \
	  > "$$(.venvs/trl-$*/bin/python -c '$(SITE)')/zz_trl.pth"
	touch $@
